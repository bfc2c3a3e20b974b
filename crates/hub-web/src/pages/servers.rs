//! ComfyUI servers: what there is, add one, switch one off, remove one.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{Html, Response},
};
use hub_core::{
    error::UserError,
    ids::ServerId,
    server::{NewServer, ServerAuth, ServerState},
};
use hub_engine::ServerView;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Flash, Frame,
    form::{Done, Fault, Sent, refused},
    html, see_other,
};
use crate::{api, error::WebError, render::Page, router::App};

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct ServersPage {
    frame: Frame,
    servers: Vec<ShownServer>,
    typed: Typed,
    fault: Option<Fault>,
    auth_kinds: [(&'static str, &'static str); 4],
}

/// A server as pages show it.
#[derive(Debug, Serialize)]
pub(crate) struct ShownServer {
    id: String,
    name: String,
    base_url: String,
    state: &'static str,
    label: &'static str,
    tone: &'static str,
    reason: Option<String>,
    version: Option<String>,
    devices: Vec<String>,
    in_flight: u32,
    max_in_flight: u32,
    queue: Option<u32>,
    latency_ms: Option<u64>,
    auth: &'static str,
    enabled: bool,
    delete_path: String,
    enabled_path: String,
}

impl ShownServer {
    pub(crate) fn of(view: ServerView) -> Self {
        let (label, tone) = match view.state {
            ServerState::Connecting => ("Connecting", "wait"),
            ServerState::Ready => ("Ready", "good"),
            ServerState::Degraded => ("Degraded", "wait"),
            ServerState::Down => ("Down", "bad"),
            ServerState::Unauthorized => ("Unauthorised", "bad"),
            ServerState::Incompatible => ("Not ComfyUI", "bad"),
            ServerState::Draining => ("Draining", "wait"),
            ServerState::Disabled => ("Off", "off"),
            ServerState::Zombie => ("Stuck", "bad"),
        };
        let auth = match view.server.auth {
            ServerAuth::None => "none",
            ServerAuth::Basic { .. } => "user and password",
            ServerAuth::Bearer { .. } => "bearer token",
            ServerAuth::ApiKey { .. } => "key in a header",
            ServerAuth::Headers { .. } => "own headers",
        };
        Self {
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
            auth,
            enabled: view.server.enabled,
        }
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        use hub_core::server::{DEFAULT_RUN_LIMIT_S, DEFAULT_STALL_LIMIT_S, SecretSource, Server};
        let server = Server {
            id: ServerId::from_uuid(uuid::Uuid::from_u128(5)),
            name: super::shown::sample::HOSTILE.to_owned(),
            base_url: "http://192.0.2.7:8188".parse().expect("valid"),
            auth: ServerAuth::Bearer { token: SecretSource::from("hunter2".to_owned()) },
            origin: None,
            ca: None,
            weight: 1.0,
            group: None,
            gpu: None,
            max_in_flight: hub_core::server::DEFAULT_MAX_IN_FLIGHT,
            run_limit_s: DEFAULT_RUN_LIMIT_S,
            stall_limit_s: DEFAULT_STALL_LIMIT_S,
            enabled: true,
            draining: false,
            created_at: super::shown::sample::now(),
        };
        Self::of(ServerView {
            server,
            state: ServerState::Down,
            reason: Some(super::shown::sample::HOSTILE.to_owned()),
            version: Some("0.33.0".to_owned()),
            devices: vec!["<gpu>".to_owned()],
            in_flight: 1,
            queue_remaining: Some(2),
            latency: Some(std::time::Duration::from_millis(12)),
            live: hub_engine::ServerLive::default(),
        })
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

/// What was typed, to be shown again. Secrets are not: they would land in the page.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    base_url: String,
    #[serde(default)]
    auth: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    header: String,
    #[serde(default, skip_serializing)]
    secret: String,
}

/// Kinds of proof the form offers; header lists are for the API.
const AUTH_KINDS: [(&str, &str); 4] =
    [("none", "None"), ("basic", "User and password"), ("bearer", "Bearer token"), ("api_key", "Key in a header")];

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<Done>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let mut page = page(&app);
    page.frame.flash = Flash::of(query.done.as_deref());
    html(&app, &page)
}

pub(crate) async fn add(State(app): State<App>, Sent(typed): Sent<Typed>) -> Result<Response, WebError> {
    let added = match parse(&typed) {
        Ok(new) => app.engine.server_add(new).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match added {
        Ok(()) => Ok(see_other("/servers?done=server-added")),
        Err(error) => {
            let mut page = page(&app);
            page.typed = typed;
            page.fault = Some(Fault::of(&error));
            refused(&app, &error, &page)
        }
    }
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let id: ServerId = id.parse().map_err(|_| WebError::missing("server", &id))?;
    app.engine.server_delete(id).await?;
    Ok(see_other("/servers?done=server-deleted"))
}

#[derive(Deserialize)]
pub(crate) struct EnabledForm {
    enabled: bool,
}

pub(crate) async fn set_enabled(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<EnabledForm>,
) -> Result<Response, WebError> {
    let known: Option<ServerId> = id.parse().ok();
    let view = app.engine.servers().into_iter().find(|view| Some(view.id()) == known);
    let mut server = view.ok_or_else(|| WebError::missing("server", &id))?.server;
    server.enabled = form.enabled;
    app.engine.server_update(server).await?;
    Ok(see_other(if form.enabled { "/servers?done=server-enabled" } else { "/servers?done=server-disabled" }))
}

fn page(app: &App) -> ServersPage {
    ServersPage {
        frame: Frame::new("servers", "Servers"),
        servers: app.engine.servers().into_iter().map(ShownServer::of).collect(),
        typed: Typed::default(),
        fault: None,
        auth_kinds: AUTH_KINDS,
    }
}

fn parse(typed: &Typed) -> Result<NewServer, UserError> {
    let kind = if typed.auth.is_empty() { "none" } else { typed.auth.as_str() };
    let fields: &[(&str, &str)] = match kind {
        "basic" => &[("user", &typed.user), ("password", &typed.secret)],
        "bearer" => &[("token", &typed.secret)],
        "api_key" => &[("header", &typed.header), ("key", &typed.secret)],
        _ => &[],
    };
    let auth: Map<String, Value> = std::iter::once(("kind", kind))
        .chain(fields.iter().copied())
        .map(|(name, value)| (name.to_owned(), Value::from(value.trim())))
        .collect();
    let (name, base_url) = (api::parse_name(&typed.name)?, api::parse_base_url(&typed.base_url)?);
    Ok(NewServer { auth: api::parse_auth(auth)?, ..NewServer::named(name, base_url) })
}

impl Page for ServersPage {
    const TEMPLATE: &'static str = "pages/servers.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = super::shown::sample::HOSTILE.to_owned();
        Self {
            frame: Frame::new("servers", "Servers"),
            servers: vec![ShownServer::sample()],
            typed: Typed { name: text.clone(), secret: "hunter2".to_owned(), ..Typed::default() },
            fault: Some(Fault { field: "name".to_owned(), text, changed: false }),
            auth_kinds: AUTH_KINDS,
        }
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

    #[test]
    fn a_server_form_becomes_a_server_or_a_fault_beside_its_field() {
        let typed = |auth: &str, secret: &str| Typed {
            name: "gpu".to_owned(),
            base_url: "gpu:8188".to_owned(),
            auth: auth.to_owned(),
            secret: secret.to_owned(),
            ..Typed::default()
        };
        assert!(parse(&typed("", "")).is_ok());
        assert!(parse(&typed("bearer", "token")).is_ok());
        assert_eq!(parse(&typed("bearer", "")).expect_err("no token").argument.as_deref(), Some("auth"));
        assert_eq!(parse(&typed("basic", "x")).expect_err("no user").argument.as_deref(), Some("auth"));
        let unnamed = Typed { name: " ".to_owned(), ..typed("", "") };
        assert_eq!(parse(&unnamed).expect_err("no name").argument.as_deref(), Some("name"));
        let elsewhere = Typed { base_url: "ftp://x".to_owned(), ..typed("", "") };
        assert_eq!(parse(&elsewhere).expect_err("no http").argument.as_deref(), Some("base_url"));
    }
}
