//! ComfyUI servers. Credentials go in and never come out.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use hub_core::{
    error::UserError,
    ids::ServerId,
    limits,
    server::{BaseUrl, DEFAULT_MAX_IN_FLIGHT, NewServer, SecretSource, ServerAuth},
};
use hub_engine::ServerView;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::body::JsonBody;
use crate::{error::WebError, router::App};

/// What stands for a secret that is stored here.
const MASK: &str = "***";
/// Most prompts that may be set to run on one server at once.
const MAX_IN_FLIGHT_MAX: u32 = 64;

/// One server as programs see it.
#[derive(Debug, Serialize)]
pub(crate) struct ServerRecord {
    id: ServerId,
    name: String,
    base_url: BaseUrl,
    auth: Value,
    state: hub_core::server::ServerState,
    reason: Option<String>,
    version: Option<String>,
    devices: Vec<String>,
    in_flight: u32,
    max_in_flight: u32,
    queue_remaining: Option<u32>,
    latency_ms: Option<f64>,
    weight: f64,
    group: Option<String>,
    enabled: bool,
    draining: bool,
}

impl ServerRecord {
    fn of(view: ServerView) -> Self {
        let ServerView { server, state, reason, version, devices, in_flight, queue_remaining, latency, live: _ } = view;
        Self {
            id: server.id,
            auth: masked(&server.auth),
            name: server.name,
            base_url: server.base_url,
            state,
            reason,
            version,
            devices,
            in_flight,
            max_in_flight: server.max_in_flight,
            queue_remaining,
            latency_ms: latency.map(|latency| (latency.as_secs_f64() * 1e6).round() / 1e3),
            weight: server.weight,
            group: server.group,
            enabled: server.enabled,
            draining: server.draining,
        }
    }
}

/// The kind of proof and where its secret comes from, never the secret.
fn masked(auth: &ServerAuth) -> Value {
    match auth {
        ServerAuth::None => json!({"kind": "none"}),
        ServerAuth::Basic { user, password } => json!({"kind": "basic", "user": user, "password": mask(password)}),
        ServerAuth::Bearer { token } => json!({"kind": "bearer", "token": mask(token)}),
        ServerAuth::ApiKey { header, key } => json!({"kind": "api_key", "header": header, "key": mask(key)}),
        ServerAuth::Headers { headers } => {
            let headers: Vec<Value> = headers.iter().map(|(name, value)| json!([name, mask(value)])).collect();
            json!({"kind": "headers", "headers": headers})
        }
    }
}

/// A secret that is kept elsewhere is told by its place.
pub(super) fn mask(secret: &SecretSource) -> String {
    match secret {
        SecretSource::Literal(_) => MASK.to_owned(),
        SecretSource::Env(name) => format!("env:{name}"),
        SecretSource::File(path) => format!("file:{path}"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddBody {
    name: String,
    base_url: String,
    #[serde(default)]
    auth: Option<Map<String, Value>>,
    #[serde(default)]
    max_in_flight: Option<u32>,
}

impl AddBody {
    fn parse(self) -> Result<NewServer, UserError> {
        Ok(NewServer {
            name: parse_name(&self.name)?,
            base_url: parse_base_url(&self.base_url)?,
            auth: self.auth.map_or(Ok(ServerAuth::None), parse_auth)?,
            max_in_flight: match self.max_in_flight {
                None => DEFAULT_MAX_IN_FLIGHT,
                Some(count) if (1..=MAX_IN_FLIGHT_MAX).contains(&count) => count,
                Some(count) => {
                    return Err(UserError::argument(
                        "max_in_flight",
                        format!("`max_in_flight` is {count}, but must be from 1 to {MAX_IN_FLIGHT_MAX}."),
                    ));
                }
            },
        })
    }
}

/// A name of something: 1 to 120 characters, none of them a control character.
pub(crate) fn parse_name(text: &str) -> Result<String, UserError> {
    let text = text.trim();
    let chars = text.chars().count();
    if chars == 0 || chars > limits::NAME_MAX_CHARS || text.chars().any(char::is_control) {
        return Err(UserError::argument(
            "name",
            format!("`name` must have 1 to {} characters and no control characters.", limits::NAME_MAX_CHARS),
        ));
    }
    Ok(text.to_owned())
}

/// A server's address.
pub(crate) fn parse_base_url(text: &str) -> Result<BaseUrl, UserError> {
    text.parse().map_err(|error| UserError::argument("base_url", format!("{error}.")))
}

/// Fields of each kind of proof, besides `kind`.
const AUTH_KINDS: [(&str, &[&str]); 5] = [
    ("none", &[]),
    ("basic", &["user", "password"]),
    ("bearer", &["token"]),
    ("api_key", &["header", "key"]),
    ("headers", &["headers"]),
];

/// Proof of identity, as `{"kind": "bearer", "token": "…"}`. The faults quote no value: one may be a
/// secret.
pub(crate) fn parse_auth(given: Map<String, Value>) -> Result<ServerAuth, UserError> {
    let kinds = || AUTH_KINDS.map(|(kind, _)| kind);
    let kind = given.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some((kind, fields)) = AUTH_KINDS.into_iter().find(|(name, _)| *name == kind) else {
        return Err(UserError::argument("auth", "`auth.kind` is none of the known kinds.").with_valid(kinds()));
    };
    if let Some(unknown) = given.keys().find(|key| *key != "kind" && !fields.contains(&key.as_str())) {
        let shown: String = unknown.chars().take(40).collect();
        return Err(UserError::argument("auth", format!("`auth` of kind `{kind}` has no field `{shown}`."))
            .with_valid(fields.iter().copied()));
    }
    for field in fields {
        let empty = given.get(*field).is_none_or(|value| value.is_null() || value.as_str() == Some(""));
        if empty {
            return Err(UserError::argument("auth", format!("`auth` of kind `{kind}` needs `{field}`.")));
        }
    }
    let header = given.get("header").and_then(Value::as_str);
    if header.is_some_and(|name| http::HeaderName::try_from(name).is_err()) {
        return Err(UserError::argument("auth", "`auth.header` is not a header name."));
    }
    serde_json::from_value(Value::Object(given)).map_err(|_| {
        UserError::argument("auth", format!("the fields of `auth` of kind `{kind}` have the wrong types."))
    })
}

pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    let servers: Vec<ServerRecord> = app.engine.servers().into_iter().map(ServerRecord::of).collect();
    Json(json!({"servers": servers}))
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<ServerRecord>, WebError> {
    find(&app, &id).map(|view| Json(ServerRecord::of(view)))
}

pub(crate) async fn add(State(app): State<App>, JsonBody(body): JsonBody<AddBody>) -> Result<Response, WebError> {
    let server = app.engine.server_add(body.parse()?).await?;
    let id = server.id;
    let view = app.engine.servers().into_iter().find(|view| view.id() == id);
    // Between the write and the session's start the server has no live state yet.
    let record = match view {
        Some(view) => json!(ServerRecord::of(view)),
        None => json!({"id": id, "name": server.name, "base_url": server.base_url, "auth": masked(&server.auth)}),
    };
    let mut response = (StatusCode::CREATED, Json(record)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/servers/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, WebError> {
    let view = find(&app, &id)?;
    app.engine.server_delete(view.id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// By id or by name.
fn find(app: &App, given: &str) -> Result<ServerView, WebError> {
    let id: Option<ServerId> = given.parse().ok();
    app.engine
        .servers()
        .into_iter()
        .find(|view| Some(view.id()) == id || view.server.name == given)
        .ok_or_else(|| WebError::missing("server", given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(value: &Value) -> Result<ServerAuth, UserError> {
        parse_auth(value.as_object().expect("an object").clone())
    }

    #[test]
    fn a_secret_never_comes_out() {
        for value in [
            json!({"kind": "basic", "user": "u", "password": "hunter2"}),
            json!({"kind": "bearer", "token": "hunter2"}),
            json!({"kind": "api_key", "header": "X-Key", "key": "hunter2"}),
            json!({"kind": "headers", "headers": [["X-A", "hunter2"]]}),
        ] {
            let told = masked(&auth(&value).expect("valid")).to_string();
            assert!(!told.contains("hunter2") && told.contains(MASK), "{told}");
            assert!(told.contains(value["kind"].as_str().expect("a kind")), "{told}");
        }
        let env = masked(&auth(&json!({"kind": "bearer", "token": "env:TOKEN"})).expect("valid"));
        assert_eq!(env["token"], "env:TOKEN");
    }

    #[test]
    fn a_fault_in_auth_quotes_no_secret() {
        for value in [
            json!({"kind": "magic", "token": "hunter2"}),
            json!({"kind": "bearer", "tokne": "hunter2"}),
            json!({"kind": "bearer"}),
            json!({"kind": "bearer", "token": ""}),
            json!({"kind": "api_key", "header": "no spaces", "key": "hunter2"}),
            json!({"kind": "headers", "headers": "hunter2"}),
        ] {
            let error = auth(&value).expect_err("refused");
            assert_eq!(error.argument.as_deref(), Some("auth"));
            assert!(!error.explain().contains("hunter2"), "{}", error.explain());
        }
    }
}
