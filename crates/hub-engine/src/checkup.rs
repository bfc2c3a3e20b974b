//! Checks for `doctor`: what works, and what a person should do about what does not.

use hub_core::{catalogue::Mode, server::ServerState};

use crate::{ServerView, context::Context};

/// How a hub gets its first server.
const NO_SERVER: &str =
    "none is switched on; add one on the page `/servers`, or set COMFYUI_API_URL, or try `genimage serve --demo`";

/// One check: what was looked at, and how it is or what to do.
pub(crate) type Line = (String, Result<String, String>);

/// All checks, in the order in which a person would go through them.
pub(crate) async fn run(ctx: &Context, servers: &[ServerView]) -> Vec<Line> {
    let mut lines = vec![database(ctx).await, artifacts(ctx).await];
    lines.extend(servers.iter().map(server));
    if servers.iter().all(|view| !view.server.enabled) {
        lines.push(("ComfyUI servers".to_owned(), Err(NO_SERVER.to_owned())));
    }
    lines.extend(Mode::ALL.into_iter().filter_map(|mode| render_types(ctx, mode)));
    lines.extend(llm_servers(ctx).await);
    lines
}

async fn database(ctx: &Context) -> Line {
    let outcome = match ctx.store.ping().await {
        Ok(()) => Ok("can be written and read".to_owned()),
        Err(error) => Err(format!("{error}; check the database URL and the disk")),
    };
    ("database".to_owned(), outcome)
}

async fn artifacts(ctx: &Context) -> Line {
    let outcome = match ctx.vault.probe().await {
        Ok(()) => Ok("can be written and read".to_owned()),
        Err(error) => Err(format!("{error}; check the folder's rights and the disk, or the object store's URL")),
    };
    ("picture store".to_owned(), outcome)
}

fn server(view: &ServerView) -> Line {
    let outcome = if view.state.takes_work() || matches!(view.state, ServerState::Disabled | ServerState::Draining) {
        let version = view.version.as_deref().map(|version| format!(", ComfyUI {version}")).unwrap_or_default();
        Ok(format!("{}{version}", view.state.as_str()))
    } else {
        let why = view.reason.as_deref().unwrap_or("no reason is known");
        Err(format!("{} at {}: {why}", view.state.as_str(), view.server.base_url))
    };
    (format!("server `{}`", view.server.name), outcome)
}

fn render_types(ctx: &Context, mode: Mode) -> Option<Line> {
    let snapshot = ctx.catalogue.snapshot();
    let of_mode: Vec<_> = snapshot.catalogue.render_types.iter().filter(|row| row.mode == mode).collect();
    if of_mode.is_empty() && mode != Mode::Generate {
        return None;
    }
    let broken: Vec<&str> =
        of_mode.iter().filter(|row| snapshot.runnable(row).is_none()).map(|row| row.name.as_str()).collect();
    let outcome = match () {
        () if of_mode.is_empty() => Err("no render type; import a workflow and make one of it".to_owned()),
        () if !broken.is_empty() => Err(format!("without their workflow: {}; import it", broken.join(", "))),
        () if snapshot.catalogue.default_for(mode).is_none() => Err("none is the default; choose one".to_owned()),
        () => Ok(format!("{} render types", of_mode.len())),
    };
    Some((format!("render types for `{}`", mode.tool()), outcome))
}

async fn llm_servers(ctx: &Context) -> Vec<Line> {
    let rows = match ctx.store.llm_server_list().await {
        Ok(rows) => rows,
        Err(error) => return vec![("LLM servers".to_owned(), Err(error.to_string()))],
    };
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows.into_iter().filter(|row| row.enabled) {
        let outcome = match ctx.llm.client(&row).await {
            Ok(client) => match client.version().await {
                Ok(version) => Ok(format!("answers, version {version}")),
                Err(error) => Err(format!("{error} ({})", row.base_url)),
            },
            Err(failure) => Err(failure.to_string()),
        };
        lines.push((format!("LLM server `{}`", row.name), outcome));
    }
    lines
}
