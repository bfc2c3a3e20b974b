//! ComfyUI servers: what there is, switch one off, remove one; one in full and its form are below.

mod detail;
mod edit;
mod filter;
mod shown;
mod typed;

use std::collections::BTreeMap;

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{Html, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{
    ids::ServerId,
    server::{Server, ServerAuth, ServerState},
};
use hub_engine::{ExportOptions, ExportParts, ServerView};
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use self::{
    detail::ServerDetailPage,
    edit::{ServerPage, ServerTestLive},
};
pub(crate) use self::{
    detail::{drain, refresh, say, show as show_one, test},
    edit::{add, create, save, show as show_settings, test_typed},
};
use self::{
    filter::{Choice, ListQuery},
    shown::ShownTest,
};
use super::{
    Frame,
    back::Back,
    form::{Done, Sent, shown as show_page},
    html, see_other,
    shown::Moment,
};
use crate::{
    attachment, audit::about, error::WebError, language::Said, live, lookup, render::Page, router::App, said,
    undo::Undo,
};

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct ServersPage {
    frame: Frame,
    /// How all of them passed a test, when that was just asked for.
    tests: Vec<NamedTest>,
    /// The filter as typed.
    query: String,
    states: Vec<Choice>,
    filtered: bool,
    /// Address of the live stream of this very list.
    live_path: String,
    #[serde(flatten)]
    now: ServersNow,
}

/// The part that is redrawn.
#[derive(Debug, Serialize)]
pub(crate) struct ServersLive {
    #[serde(flatten)]
    now: ServersNow,
}

#[derive(Debug, Serialize)]
struct ServersNow {
    /// By group; those of none come first.
    groups: Vec<Group>,
    /// How many there are in all, and how many of them fit the filter.
    total: usize,
    found: usize,
    /// This very list, to come back to after a change.
    here: String,
}

/// One server's test among those of others.
#[derive(Debug, Serialize)]
struct NamedTest {
    name: String,
    path: Option<String>,
    test: ShownTest,
}

/// Servers that are pinned to by one name.
#[derive(Debug, Serialize)]
struct Group {
    name: String,
    servers: Vec<ShownServer>,
}

/// A server as pages show it.
#[derive(Debug, Serialize)]
pub(crate) struct ShownServer {
    id: String,
    name: String,
    base_url: String,
    state: &'static str,
    label: Said,
    tone: &'static str,
    reason: Option<String>,
    version: Option<String>,
    devices: Vec<String>,
    in_flight: u32,
    max_in_flight: u32,
    queue: Option<u32>,
    latency_ms: Option<u64>,
    /// When it last answered.
    last_seen: Option<Moment>,
    auth: Said,
    weight: String,
    vram: Option<String>,
    model_files: usize,
    loaded: Vec<String>,
    /// How often it swapped models, where it ran anything.
    loads: Option<String>,
    enabled: bool,
    path: String,
    delete_path: String,
    enabled_path: String,
}

impl ShownServer {
    pub(crate) fn of(view: ServerView, now: DateTime<Utc>) -> Self {
        let (label, tone) = match view.state {
            ServerState::Connecting => (said!("Connecting"), "wait"),
            ServerState::Ready => (said!("Ready"), "good"),
            ServerState::Degraded => (said!("Degraded"), "wait"),
            ServerState::Down => (said!("Down"), "bad"),
            ServerState::Unauthorized => (said!("Unauthorised"), "bad"),
            ServerState::Incompatible => (said!("Not ComfyUI"), "bad"),
            ServerState::Draining => (said!("Draining"), "wait"),
            ServerState::Disabled => (said!("Off"), "off"),
            ServerState::Zombie => (said!("Stuck"), "bad"),
        };
        let auth = match view.server.auth {
            ServerAuth::None => said!("none"),
            ServerAuth::Basic { .. } => said!("user and password"),
            ServerAuth::Bearer { .. } => said!("bearer token"),
            ServerAuth::ApiKey { .. } => said!("key in a header"),
            ServerAuth::Headers { .. } => said!("own headers"),
        };
        let memory = |free: bool| -> Option<u64> {
            let devices = view.live.info.iter().flat_map(|info| &info.devices);
            devices.map(|device| if free { device.vram_free_bytes } else { device.vram_total_bytes }).sum()
        };
        let vram = match (memory(true), memory(false)) {
            (Some(free), Some(all)) if all > 0 => {
                Some(said!("{free} free of {all}", free = super::shown::bytes(free), all = super::shown::bytes(all)))
            }
            _ => None,
        };
        Self {
            path: format!("/servers/{}", view.server.id),
            weight: view.server.weight.to_string(),
            vram,
            model_files: view.live.inventory.model_files,
            loaded: view.live.loaded.clone(),
            loads: shown::model_loads(&view.live),
            delete_path: format!("/servers/{}/delete", view.server.id),
            enabled_path: format!("/servers/{}/enabled", view.server.id),
            id: view.server.id.to_string(),
            name: view.server.name,
            base_url: view.server.base_url.to_string(),
            state: view.state.as_str(),
            label,
            tone,
            reason: view.reason,
            version: view.version,
            devices: view.devices.iter().map(|device| device_name(device)).collect(),
            in_flight: view.in_flight,
            max_in_flight: view.server.max_in_flight,
            queue: view.queue_remaining,
            latency_ms: view.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
            last_seen: view.live.last_seen.map(|at| Moment::of(at, now)),
            auth,
            enabled: view.server.enabled,
        }
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self::of(sample_view(), super::shown::sample::now())
    }
}

#[cfg(test)]
fn sample_server() -> Server {
    use hub_core::server::{DEFAULT_RUN_LIMIT_S, DEFAULT_STALL_LIMIT_S, SecretSource};
    Server {
        id: ServerId::from_uuid(uuid::Uuid::from_u128(5)),
        name: super::shown::sample::HOSTILE.to_owned(),
        base_url: "http://192.0.2.7:8188".parse().expect("valid"),
        auth: ServerAuth::Bearer { token: SecretSource::from("hunter2".to_owned()) },
        origin: None,
        ca: None,
        weight: 1.5,
        group: Some("<b>fast\u{202e}".to_owned()),
        gpu: Some("<gpu>\u{202e}".to_owned()),
        max_in_flight: hub_core::server::DEFAULT_MAX_IN_FLIGHT,
        run_limit_s: DEFAULT_RUN_LIMIT_S,
        stall_limit_s: DEFAULT_STALL_LIMIT_S,
        enabled: true,
        draining: false,
        created_at: super::shown::sample::now(),
    }
}

#[cfg(test)]
fn sample_view() -> ServerView {
    ServerView {
        server: Server { name: super::shown::sample::HOSTILE.to_owned(), ..sample_server() },
        state: ServerState::Down,
        reason: Some(super::shown::sample::HOSTILE.to_owned()),
        version: Some("0.33.0".to_owned()),
        devices: vec!["<gpu>\u{202e}".to_owned()],
        in_flight: 1,
        queue_remaining: Some(2),
        latency: Some(std::time::Duration::from_millis(12)),
        live: hub_engine::ServerLive {
            last_seen: Some(super::shown::sample::now()),
            loaded: vec!["<b>model\u{202e}".to_owned()],
            runs: 3,
            model_loads: 2,
            ..hub_engine::ServerLive::default()
        },
    }
}

/// `NVIDIA RTX 4090` from ComfyUI's `cuda:0 NVIDIA RTX 4090 : cudaMallocAsync`.
fn device_name(told: &str) -> String {
    let name = told.split(" : ").next().unwrap_or(told);
    match name.split_once(' ') {
        Some((index, name)) if index.contains(':') && !name.is_empty() => name.to_owned(),
        _ => name.to_owned(),
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
    done: Done,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let mut page = page(&app, query);
    page.frame.flash = done.flash();
    html(&app, &page)
}

pub(crate) async fn live(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, WebError> {
    let Query(query) = query?;
    let own = app.clone();
    live::on_changes(&app, move || {
        let (app, query) = (own.clone(), query.clone());
        async move { app.renderer.render(&ServersLive { now: now(&app, &query) }) }
    })
}

/// All servers and LLM servers as a file that a hub imports. Secrets are left out: who wants them in it exports the
/// configuration with a passphrase.
pub(crate) async fn export(State(app): State<App>) -> Result<Response, WebError> {
    let options = ExportOptions { parts: ExportParts::ServersOnly, ..ExportOptions::default() };
    let text = app.engine.config_export(options).await?;
    Ok(attachment::answer("genimage-servers.json", attachment::JSON, text))
}

/// Tests all servers at once, as they are stored, and shows the page with the outcomes.
pub(crate) async fn test_all(State(app): State<App>) -> Result<Response, WebError> {
    let tests = app.engine.servers_test_all().await?;
    let named = |test: hub_engine::ServerTest| NamedTest {
        name: test.name.clone(),
        path: test.server.map(|id| format!("/servers/{id}")),
        test: ShownTest::of(&test),
    };
    let mut page = page(&app, ListQuery::default());
    page.tests = tests.into_iter().map(named).collect();
    show_page(&app, &page)
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let id: ServerId = id.parse().map_err(|_| WebError::missing("server", &id))?;
    app.engine.server_delete(id).await?;
    Ok(see_other("/servers?done=server-deleted"))
}

#[derive(Deserialize)]
pub(crate) struct EnabledForm {
    enabled: bool,
    /// The list as it was found.
    #[serde(default)]
    back: String,
}

pub(crate) async fn set_enabled(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<EnabledForm>,
) -> Result<Response, WebError> {
    let known = lookup::server(&app, &id)?.server;
    let enabled = form.enabled;
    app.engine.server_edit(known.id, |server| Ok(Server { enabled, ..server.clone() })).await?;
    let undo = Undo::Enable { server: known.id, enabled: !enabled };
    let (changed, same) = (known.enabled != enabled, undo.clone());
    let back = Back::to(&form.back, "/servers");
    let number = app.undos.keep_once(undo, changed, |kept| *kept == same, &back);
    let (done, state) = if enabled { ("server-enabled", "on") } else { ("server-disabled", "off") };
    Ok(about(see_other(&back.with_undo(done, number)), format!("{}: {state}", known.name)))
}

fn page(app: &App, query: ListQuery) -> ServersPage {
    ServersPage {
        frame: Frame::new("servers", said!("Servers")),
        tests: Vec::new(),
        states: query.choices(),
        filtered: query.is_filtered(),
        live_path: query.path("/servers/live"),
        now: now(app, &query),
        query: query.q,
    }
}

fn now(app: &App, query: &ListQuery) -> ServersNow {
    let views = app.engine.servers();
    let (total, time) = (views.len(), app.engine.store().clock().now());
    let mut groups: BTreeMap<String, Vec<ShownServer>> = BTreeMap::new();
    for view in views.into_iter().filter(|view| query.takes(view)) {
        groups.entry(view.server.group.clone().unwrap_or_default()).or_default().push(ShownServer::of(view, time));
    }
    let found = groups.values().map(Vec::len).sum();
    let groups = groups.into_iter().map(|(name, servers)| Group { name, servers }).collect();
    ServersNow { groups, total, found, here: query.path("/servers") }
}

#[cfg(test)]
fn sample_now() -> ServersNow {
    let group = |name: &str| Group { name: name.to_owned(), servers: vec![ShownServer::sample()] };
    let here = format!("/servers?q={}", super::shown::sample::HOSTILE);
    ServersNow { groups: vec![group(""), group(super::shown::sample::HOSTILE)], total: 3, found: 2, here }
}

impl Page for ServersPage {
    const TEMPLATE: &'static str = "pages/servers.html";

    #[cfg(test)]
    fn sample() -> Self {
        let name = super::shown::sample::HOSTILE.to_owned();
        let test = NamedTest { name, path: Some("/servers/srv_1".to_owned()), test: ShownTest::sample() };
        let query = ListQuery { q: super::shown::sample::HOSTILE.to_owned(), state: "off".to_owned() };
        Self {
            frame: Frame::new("servers", said!("Servers")),
            tests: vec![test],
            states: query.choices(),
            filtered: true,
            live_path: query.path("/servers/live"),
            query: query.q,
            now: sample_now(),
        }
    }
}

impl Page for ServersLive {
    const TEMPLATE: &'static str = "pages/servers_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { now: sample_now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_shown_by_its_name_alone() {
        assert_eq!(device_name("cuda:0 NVIDIA RTX 4090 : cudaMallocAsync"), "NVIDIA RTX 4090");
        assert_eq!(device_name("cuda:1 AMD Radeon"), "AMD Radeon");
        assert_eq!(device_name("cpu"), "cpu");
    }
}
