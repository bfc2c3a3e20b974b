//! One server: how it is, what it has, how a test goes, and what is said of it by hand.

use axum::{
    extract::{Path, State},
    response::{Html, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{error::UserError, server::Server};
use hub_engine::ServerView;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Frame,
        form::{Done, Sent, shown as show_page},
        html, see_other,
    },
    ShownServer,
    shown::{ShownLive, ShownTest},
};
use crate::{audit::about, error::WebError, language::Said, lookup, render::Page, router::App, said};

/// The page of one server.
#[derive(Debug, Serialize)]
pub(crate) struct ServerDetailPage {
    frame: Frame,
    server: ShownServer,
    live: ShownLive,
    /// Group, weight and limits.
    settings: Vec<(Said, String)>,
    test: Option<ShownTest>,
    draining: bool,
    path: String,
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = load(&app, lookup::server(&app, &id)?).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// Tests the server as it is stored, and shows the page with the outcome.
pub(crate) async fn test(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let view = lookup::server(&app, &id)?;
    let test = app.engine.server_test(view.id()).await?;
    let mut page = load(&app, lookup::server(&app, &id)?).await?;
    page.test = Some(ShownTest::of(&test));
    show_page(&app, &page)
}

/// Has its list of nodes and models read again.
pub(crate) async fn refresh(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let view = lookup::server(&app, &id)?;
    app.engine.server_refresh(view.id())?;
    Ok(see_other(&format!("/servers/{}?done=server-refresh", view.id())))
}

#[derive(Deserialize)]
pub(crate) struct DrainForm {
    draining: bool,
}

/// Lets a server finish what it has and gives it no more, or gives it work again.
pub(crate) async fn drain(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<DrainForm>,
) -> Result<Response, WebError> {
    let view = lookup::server(&app, &id)?;
    app.engine.server_edit(view.id(), |server| Ok(Server { draining: form.draining, ..server.clone() })).await?;
    let (done, state) = if form.draining { ("server-draining", "draining") } else { ("server-resumed", "resumed") };
    let response = see_other(&format!("/servers/{}?done={done}", view.id()));
    Ok(about(response, format!("{}: {state}", view.server.name)))
}

/// What is said by hand of a workflow.
#[derive(Deserialize)]
pub(crate) struct SayForm {
    workflow: String,
    said: String,
}

pub(crate) async fn say(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<SayForm>,
) -> Result<Response, WebError> {
    let view = lookup::server(&app, &id)?;
    let said = match form.said.as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        "auto" => None,
        _ => {
            return Err(UserError::argument("said", said!("`said` is none of its values."))
                .with_valid(["auto", "yes", "no"])
                .into());
        }
    };
    app.engine.server_say(view.id(), &form.workflow, said).await?;
    let response = see_other(&format!("/servers/{}?done=server-said", view.id()));
    Ok(about(response, format!("{}: {}", view.server.name, form.workflow)))
}

async fn load(app: &App, view: ServerView) -> Result<ServerDetailPage, WebError> {
    let workflows = app.engine.store().workflow_list().await?;
    let names: Vec<String> = workflows.into_iter().map(|workflow| workflow.name).collect();
    let files = app.engine.server_files(view.id());
    let live = ShownLive::of(&view.live, &names, files);
    Ok(page(view, live, app.engine.store().clock().now()))
}

fn page(view: ServerView, live: ShownLive, now: DateTime<Utc>) -> ServerDetailPage {
    let server = &view.server;
    let seconds = |seconds: u32| super::super::shown::duration(chrono::TimeDelta::seconds(i64::from(seconds)));
    let none = || said!("none").to_string();
    ServerDetailPage {
        frame: Frame::new("servers", server.name.clone()),
        live,
        settings: vec![
            (said!("Group"), server.group.clone().unwrap_or_else(none)),
            (said!("Weight"), server.weight.to_string()),
            (said!("Shared GPU"), server.gpu.clone().unwrap_or_else(none)),
            (said!("At once"), server.max_in_flight.to_string()),
            (said!("Longest run"), seconds(server.run_limit_s)),
            (said!("Longest silence"), seconds(server.stall_limit_s)),
        ],
        test: None,
        draining: server.draining,
        path: format!("/servers/{}", server.id),
        server: ShownServer::of(view, now),
    }
}

impl Page for ServerDetailPage {
    const TEMPLATE: &'static str = "pages/server.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::super::shown::sample::{HOSTILE, now};
        use hub_engine::{DeviceView, Lack, ServerInfo, ServerLive, WorkflowOnServer};
        let text = || HOSTILE.to_owned();
        let mut view = super::sample_view();
        view.live = ServerLive {
            last_seen: Some(now()),
            info: Some(ServerInfo {
                version: Some(text()),
                os: text(),
                python: Some(text()),
                pytorch: Some(text()),
                ram_total_bytes: Some(64_000_000_000),
                ram_free_bytes: Some(1),
                flags: vec![text()],
                devices: vec![DeviceView {
                    name: text(),
                    kind: text(),
                    vram_total_bytes: Some(24_000_000_000),
                    vram_free_bytes: Some(12_000_000_000),
                }],
            }),
            loaded: vec![text()],
            warnings: vec![text()],
            workflows: vec![WorkflowOnServer {
                workflow: text(),
                workflow_id: hub_core::ids::WorkflowId::from_uuid(uuid::Uuid::from_u128(9)),
                lack: Lack { nodes: vec![text()], files: vec![text()] },
                refused: false,
                said: None,
                compatible: false,
            }],
            ..ServerLive::default()
        };
        let files = [("lora_name".to_owned(), vec![text()])].into();
        let live = ShownLive::of(&view.live, &[text()], files);
        Self { test: Some(ShownTest::sample()), ..page(view, live, now()) }
    }
}
