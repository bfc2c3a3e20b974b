//! ComfyUI servers. Credentials go in and never come out.

mod auth;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chrono::{DateTime, Utc};
use hub_core::{
    error::UserError,
    ids::ServerId,
    limits,
    server::{
        BaseUrl, CaSource, DEFAULT_MAX_IN_FLIGHT, DEFAULT_RUN_LIMIT_S, DEFAULT_STALL_LIMIT_S, DEFAULT_WEIGHT,
        NewServer, Server, ServerState,
    },
};
use hub_engine::{ServerLive, ServerView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::auth::auth_of;
pub(crate) use self::auth::{AuthBody, AuthRecord, is_set, moved_away, parse_auth_over, place, same_place};
use super::{
    answers::{self, Changed, Conflict, Invalid, NotFound, PatchOf},
    body::{JsonBody, parse_whole, patched},
    etag::Expected,
};
use crate::{error::WebError, lookup, router::App};

/// Fields of the record that are told but not taken: they may be sent back.
const READ_ONLY: [&str; 11] = [
    "id",
    "etag",
    "created_at",
    "state",
    "reason",
    "version",
    "devices",
    "in_flight",
    "queue_remaining",
    "latency_ms",
    "live",
];

/// One server: how it is set, and how it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Server)]
pub(crate) struct ServerRecord {
    id: ServerId,
    /// Unique.
    name: String,
    /// Address without trailing slash; unique.
    #[schema(value_type = String)]
    base_url: BaseUrl,
    auth: AuthRecord,
    /// `Origin` header that is sent; null = none.
    origin: Option<String>,
    /// Certificates it is trusted by beside the system's: PEM, or `file:PATH`.
    #[schema(value_type = Option<String>)]
    ca: Option<CaSource>,
    /// Share of work against its peers.
    weight: f64,
    /// Group for pinning.
    group: Option<String>,
    /// Name of the GPU that it shares with the LLM servers of the same `gpu`.
    gpu: Option<String>,
    /// The hub's prompts that may be on it at once.
    max_in_flight: u32,
    /// Longest run of one prompt, in seconds.
    run_limit_s: u32,
    /// Longest time without a sign of progress, in seconds.
    stall_limit_s: u32,
    /// Off: no work and no session.
    enabled: bool,
    /// Gets no new work but finishes what it has.
    draining: bool,
    created_at: DateTime<Utc>,
    /// Version of the settings above, for `If-Match`.
    etag: String,
    /// What it is at.
    state: ServerState,
    /// Why, where the state needs a reason.
    reason: Option<String>,
    /// Of ComfyUI.
    version: Option<String>,
    devices: Vec<String>,
    /// The hub's prompts on it.
    in_flight: u32,
    /// Prompts in its queue, others' included.
    queue_remaining: Option<u32>,
    /// Of the newest probe.
    latency_ms: Option<f64>,
    /// All the rest that is known of it.
    live: ServerLive,
}

impl ServerRecord {
    fn of(view: ServerView, app: &App) -> Self {
        let server = view.server;
        Self {
            etag: app.versions.of(&server),
            id: server.id,
            auth: AuthRecord::of(&server.auth),
            name: server.name,
            base_url: server.base_url,
            origin: server.origin,
            ca: server.ca,
            weight: server.weight,
            group: server.group,
            gpu: server.gpu,
            max_in_flight: server.max_in_flight,
            run_limit_s: server.run_limit_s,
            stall_limit_s: server.stall_limit_s,
            enabled: server.enabled,
            draining: server.draining,
            created_at: server.created_at,
            state: view.state,
            reason: view.reason,
            version: view.version,
            devices: view.devices,
            in_flight: view.in_flight,
            queue_remaining: view.queue_remaining,
            latency_ms: view.latency.map(|latency| (latency.as_secs_f64() * 1e6).round() / 1e3),
            live: view.live,
        }
    }
}

/// All servers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerList {
    /// In the order of their names.
    servers: Vec<ServerRecord>,
}

/// How a server is set. What is left out has its default.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ServerSettings)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerBody {
    /// Unique; 1 to 120 characters.
    pub(crate) name: String,
    /// `http` or `https`, with or without a path prefix; unique.
    pub(crate) base_url: String,
    /// Left out of a change: stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AuthBody>)]
    pub(crate) auth: Option<Map<String, Value>>,
    /// `Origin` header to send. Default: none.
    #[serde(default)]
    pub(crate) origin: Option<String>,
    /// Certificates to trust it by beside the system's, when it is self-signed or of a private authority:
    /// PEM, or `file:PATH`. Default: none.
    #[serde(default)]
    pub(crate) ca: Option<String>,
    /// Share of work against its peers; above 0, at most 1000. Default 1.
    #[serde(default)]
    pub(crate) weight: Option<f64>,
    /// Group for pinning. Default: none.
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// Name of the GPU that it shares with LLM servers, which have the same `gpu`: the hub then has one make room
    /// for the other. 1 to 120 characters. Default: none, it shares no GPU.
    #[serde(default)]
    pub(crate) gpu: Option<String>,
    /// Prompts at once, 1 to 64. Default 2.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 64)]
    pub(crate) max_in_flight: Option<u32>,
    /// Longest run of one prompt, in seconds. Default 1800.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604_800)]
    pub(crate) run_limit_s: Option<u32>,
    /// Longest time without a sign of progress, in seconds. Default 600.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604_800)]
    pub(crate) stall_limit_s: Option<u32>,
    /// Default true.
    #[serde(default)]
    pub(crate) enabled: Option<bool>,
    /// Default false.
    #[serde(default)]
    pub(crate) draining: Option<bool>,
}

/// A change of the above.
type ServerPatch = PatchOf<ServerBody>;

impl ServerBody {
    fn of(server: &Server) -> Self {
        Self {
            name: server.name.clone(),
            base_url: server.base_url.to_string(),
            auth: None,
            origin: server.origin.clone(),
            ca: server.ca.clone().map(String::from),
            weight: Some(server.weight),
            group: server.group.clone(),
            gpu: server.gpu.clone(),
            max_in_flight: Some(server.max_in_flight),
            run_limit_s: Some(server.run_limit_s),
            stall_limit_s: Some(server.stall_limit_s),
            enabled: Some(server.enabled),
            draining: Some(server.draining),
        }
    }

    /// `stored`: the server that this changes; it lends the secrets that are left out.
    ///
    /// # Errors
    /// `bad_argument` naming the field.
    pub(crate) fn parse(self, stored: Option<&Server>) -> Result<NewServer, UserError> {
        let base_url = parse_base_url(&self.base_url)?;
        let auth = auth_of(self.auth, &base_url, stored)?;
        let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(NewServer {
            name: parse_name(&self.name)?,
            base_url,
            auth,
            origin: given(self.origin),
            ca: given(self.ca)
                .map(|ca| ca.parse().map_err(|error| UserError::argument("ca", format!("{error}."))))
                .transpose()?,
            weight: self.weight.unwrap_or(DEFAULT_WEIGHT),
            group: given(self.group),
            gpu: given(self.gpu),
            max_in_flight: self.max_in_flight.unwrap_or(DEFAULT_MAX_IN_FLIGHT),
            run_limit_s: self.run_limit_s.unwrap_or(DEFAULT_RUN_LIMIT_S),
            stall_limit_s: self.stall_limit_s.unwrap_or(DEFAULT_STALL_LIMIT_S),
            enabled: self.enabled.unwrap_or(true),
            draining: self.draining.unwrap_or(false),
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

/// Lists all servers with their live state.
#[utoipa::path(get, path = "/api/v1/servers", tag = "servers", operation_id = "list_servers",
    responses((status = 200, body = ServerList)))]
pub(crate) async fn list(State(app): State<App>) -> Json<ServerList> {
    Json(ServerList { servers: app.engine.servers().into_iter().map(|view| ServerRecord::of(view, &app)).collect() })
}

/// Tells one server, by id or name.
#[utoipa::path(get, path = "/api/v1/servers/{id}", tag = "servers", operation_id = "get_server",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 200, body = ServerRecord, headers(("ETag" = String))), NotFound))]
pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let view = lookup::server(&app, &id)?;
    Ok(told(&app, view))
}

/// Adds a server and opens a session with it.
#[utoipa::path(post, path = "/api/v1/servers", tag = "servers", operation_id = "add_server",
    request_body = ServerBody,
    responses((status = 201, body = ServerRecord, headers(("Location" = String), ("ETag" = String))),
        Conflict, Invalid))]
pub(crate) async fn add(State(app): State<App>, JsonBody(body): JsonBody<ServerBody>) -> Result<Response, WebError> {
    let server = app.engine.server_add(body.parse(None)?).await?;
    let record = ServerRecord::of(view_of(&app, server)?, &app);
    Ok(answers::created(&format!("/api/v1/servers/{}", record.id), Some(&record.etag), &record))
}

/// Sets a server anew: what is left out has its default, except `auth`, which stays.
#[utoipa::path(put, path = "/api/v1/servers/{id}", tag = "servers", operation_id = "replace_server",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = ServerBody,
    responses((status = 200, body = ServerRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn replace(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    edit(&app, &id, &headers, |_| parse_whole(fields.clone(), &READ_ONLY)).await
}

/// Changes the fields that are given (JSON Merge Patch); `null` sets one to its default.
#[utoipa::path(patch, path = "/api/v1/servers/{id}", tag = "servers", operation_id = "change_server",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = ServerPatch,
    responses((status = 200, body = ServerRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(mut fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    if fields.get("auth").is_some_and(Value::is_null) {
        fields.insert("auth".to_owned(), serde_json::json!({"kind": "none"}));
    }
    edit(&app, &id, &headers, |server| patched(&ServerBody::of(server), &fields, &READ_ONLY)).await
}

/// Deletes a server. Jobs that it ran keep its name.
#[utoipa::path(delete, path = "/api/v1/servers/{id}", tag = "servers", operation_id = "delete_server",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    responses((status = 204), NotFound, Changed))]
pub(crate) async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    let view = lookup::server(&app, &id)?;
    Expected::of(&headers)?.check(&app.versions.of(&view.server))?;
    app.engine.server_delete(view.id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn edit(
    app: &App,
    id: &str,
    headers: &HeaderMap,
    body: impl Fn(&Server) -> Result<ServerBody, UserError>,
) -> Result<Response, WebError> {
    let expected = Expected::of(headers)?;
    let id = lookup::server(app, id)?.id();
    let changed = app.engine.server_edit(id, |server| {
        expected.check(&app.versions.of(server))?;
        Ok(body(server)?.parse(Some(server))?.into_server(server.id, server.created_at))
    });
    let server = changed.await?;
    Ok(told(app, view_of(app, server)?))
}

fn told(app: &App, view: ServerView) -> Response {
    let record = ServerRecord::of(view, app);
    answers::versioned(&record.etag.clone(), &record)
}

/// The live view of a server as just stored; none when it was deleted at the same moment.
fn view_of(app: &App, server: Server) -> Result<ServerView, WebError> {
    let view = app.engine.servers().into_iter().find(|view| view.id() == server.id);
    let view = view.ok_or_else(|| WebError::missing("server", &server.name))?;
    Ok(ServerView { server, ..view })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_of_the_record_can_be_sent_back_or_is_read_only() {
        let server = NewServer::named("x", "http://gpu".parse().expect("valid"))
            .into_server(ServerId::new(), DateTime::UNIX_EPOCH);
        let Value::Object(taken) = json!(ServerBody::of(&server)) else { panic!("an object") };
        let schema = serde_json::to_value(<ServerRecord as utoipa::PartialSchema>::schema()).expect("serialises");
        for field in schema["properties"].as_object().expect("properties").keys() {
            let known = taken.contains_key(field) || field == "auth" || READ_ONLY.contains(&field.as_str());
            assert!(known, "{field} is neither taken nor read-only");
        }
    }
}
