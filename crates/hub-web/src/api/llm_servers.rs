//! LLM servers. Keys go in and never come out.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use hub_core::{
    error::UserError,
    ids::LlmServerId,
    server::{BaseUrl, LlmDialect, LlmServer, SecretSource},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answers::{self, Changed, Conflict, Invalid, NotFound, PatchOf},
    body::{JsonBody, parse_whole, patched},
    etag::Expected,
    servers::{is_set, moved_away, parse_base_url, parse_name, place, same_place},
};
use crate::{error::WebError, lookup, router::App};

/// Fields of the record that are told but not taken: they may be sent back.
const READ_ONLY: [&str; 4] = ["id", "etag", "api_key_set", "api_key_from"];

/// One LLM server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LlmServer)]
pub(crate) struct LlmServerRecord {
    id: LlmServerId,
    /// Unique.
    name: String,
    /// Address without trailing slash.
    #[schema(value_type = String)]
    base_url: BaseUrl,
    dialect: Dialect,
    /// Whether it has a key.
    api_key_set: bool,
    /// Where the key is kept: `stored`, `env:NAME` or `file:PATH`.
    api_key_from: Option<String>,
    /// Name of the GPU that it shares with the ComfyUI servers of the same `gpu`.
    gpu: Option<String>,
    /// Off: not used.
    enabled: bool,
    /// Version, for `If-Match`.
    etag: String,
}

impl LlmServerRecord {
    fn of(server: &LlmServer, app: &App) -> Self {
        Self {
            id: server.id,
            name: server.name.clone(),
            base_url: server.base_url.clone(),
            dialect: server.dialect.into(),
            api_key_set: server.api_key.as_ref().is_some_and(is_set),
            api_key_from: server.api_key.as_ref().and_then(place),
            gpu: server.gpu.clone(),
            enabled: server.enabled,
            etag: app.versions.of(server),
        }
    }
}

/// How an LLM server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LlmDialect)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dialect {
    /// Ollama's own API.
    Ollama,
    /// `/v1` as OpenAI defined it.
    #[serde(alias = "open_ai")]
    Openai,
}

impl From<LlmDialect> for Dialect {
    fn from(dialect: LlmDialect) -> Self {
        match dialect {
            LlmDialect::Ollama => Self::Ollama,
            LlmDialect::OpenAi => Self::Openai,
        }
    }
}

impl From<Dialect> for LlmDialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Ollama => Self::Ollama,
            Dialect::Openai => Self::OpenAi,
        }
    }
}

/// All LLM servers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LlmServerList {
    /// In the order of their names.
    llm_servers: Vec<LlmServerRecord>,
}

/// How an LLM server is set. What is left out has its default.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = LlmServerSettings)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmServerBody {
    /// Unique; 1 to 120 characters.
    pub(crate) name: String,
    /// `http` or `https`.
    pub(crate) base_url: String,
    /// Default `ollama`.
    #[serde(default)]
    pub(crate) dialect: Option<Dialect>,
    /// The key itself, `env:NAME` or `file:PATH`. Left out of a change: stays; `null` or empty: none.
    #[serde(default, skip_serializing)]
    #[schema(write_only)]
    pub(crate) api_key: Option<String>,
    /// Name of the GPU that it shares with ComfyUI servers, which have the same `gpu`: the hub then has one make
    /// room for the other. 1 to 120 characters. Default: none, it shares no GPU.
    #[serde(default)]
    pub(crate) gpu: Option<String>,
    /// Default true.
    #[serde(default)]
    pub(crate) enabled: Option<bool>,
}

/// A change of the above.
type LlmServerPatch = PatchOf<LlmServerBody>;

impl LlmServerBody {
    fn of(server: &LlmServer) -> Self {
        Self {
            name: server.name.clone(),
            base_url: server.base_url.to_string(),
            dialect: Some(server.dialect.into()),
            api_key: None,
            gpu: server.gpu.clone(),
            enabled: Some(server.enabled),
        }
    }

    /// `stored`: the server that this changes; it lends its key, as long as that goes to the same place.
    ///
    /// # Errors
    /// `bad_argument` naming the field.
    pub(crate) fn into_server(self, id: LlmServerId, stored: Option<&LlmServer>) -> Result<LlmServer, UserError> {
        let base_url = parse_base_url(&self.base_url)?;
        let kept = stored.filter(|stored| self.api_key.is_none() && stored.api_key.is_some());
        if let Some(stored) = kept.filter(|stored| !same_place(&stored.base_url, &base_url)) {
            return Err(
                moved_away("api_key", &stored.base_url, &base_url).with_hint("Give `api_key` again, or null for none.")
            );
        }
        Ok(LlmServer {
            id,
            name: parse_name(&self.name)?,
            base_url,
            dialect: self.dialect.map_or(LlmDialect::Ollama, LlmDialect::from),
            api_key: match self.api_key {
                None => kept.and_then(|stored| stored.api_key.clone()),
                Some(key) => Some(key).filter(|key| !key.is_empty()).map(SecretSource::from),
            },
            gpu: self.gpu.map(|gpu| gpu.trim().to_owned()).filter(|gpu| !gpu.is_empty()),
            enabled: self.enabled.unwrap_or(true),
        })
    }
}

/// Lists all LLM servers.
#[utoipa::path(get, path = "/api/v1/llm-servers", tag = "llm", operation_id = "list_llm_servers",
    responses((status = 200, body = LlmServerList)))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<LlmServerList>, WebError> {
    let servers = app.engine.store().llm_server_list().await?;
    Ok(Json(LlmServerList { llm_servers: servers.iter().map(|server| LlmServerRecord::of(server, &app)).collect() }))
}

/// Tells one LLM server, by id or name.
#[utoipa::path(get, path = "/api/v1/llm-servers/{id}", tag = "llm", operation_id = "get_llm_server",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 200, body = LlmServerRecord, headers(("ETag" = String))), NotFound))]
pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    Ok(told(&app, &lookup::llm_server(&app, &id).await?))
}

/// Names of the models that an LLM server lists.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LlmModels {
    models: Vec<String>,
}

/// Asks an LLM server for its models.
#[utoipa::path(get, path = "/api/v1/llm-servers/{id}/models", tag = "llm", operation_id = "list_llm_models",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 200, body = LlmModels), NotFound))]
pub(crate) async fn models(State(app): State<App>, Path(id): Path<String>) -> Result<Json<LlmModels>, WebError> {
    let known = lookup::llm_server(&app, &id).await?;
    Ok(Json(LlmModels { models: app.engine.llm_models(known.id).await? }))
}

/// Adds an LLM server. It is used once a role is assigned to it.
#[utoipa::path(post, path = "/api/v1/llm-servers", tag = "llm", operation_id = "add_llm_server",
    request_body = LlmServerBody,
    responses((status = 201, body = LlmServerRecord, headers(("Location" = String), ("ETag" = String))),
        Conflict, Invalid))]
pub(crate) async fn add(State(app): State<App>, JsonBody(body): JsonBody<LlmServerBody>) -> Result<Response, WebError> {
    let server = app.engine.llm_server_create(body.into_server(LlmServerId::new(), None)?).await?;
    let record = LlmServerRecord::of(&server, &app);
    Ok(answers::created(&format!("/api/v1/llm-servers/{}", server.id), Some(&record.etag), &record))
}

/// Sets an LLM server anew: what is left out has its default, except `api_key`, which stays.
#[utoipa::path(put, path = "/api/v1/llm-servers/{id}", tag = "llm", operation_id = "replace_llm_server",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = LlmServerBody,
    responses((status = 200, body = LlmServerRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn replace(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(mut fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    null_removes_the_key(&mut fields);
    edit(&app, &id, &headers, |_| parse_whole(fields.clone(), &READ_ONLY)).await
}

/// Changes the fields that are given (JSON Merge Patch); `null` sets one to its default.
#[utoipa::path(patch, path = "/api/v1/llm-servers/{id}", tag = "llm", operation_id = "change_llm_server",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = LlmServerPatch,
    responses((status = 200, body = LlmServerRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(mut fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    null_removes_the_key(&mut fields);
    edit(&app, &id, &headers, |server| patched(&LlmServerBody::of(server), &fields, &READ_ONLY)).await
}

/// Deletes an LLM server; roles that it played are then played by none.
#[utoipa::path(delete, path = "/api/v1/llm-servers/{id}", tag = "llm", operation_id = "delete_llm_server",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    responses((status = 204), NotFound, Changed))]
pub(crate) async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    let known = lookup::llm_server(&app, &id).await?;
    Expected::of(&headers)?.check(&app.versions.of(&known))?;
    app.engine.llm_server_delete(known.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `null` would be taken for left out, which keeps the key.
fn null_removes_the_key(fields: &mut Map<String, Value>) {
    if fields.get("api_key").is_some_and(Value::is_null) {
        fields.insert("api_key".to_owned(), Value::from(""));
    }
}

async fn edit(
    app: &App,
    id: &str,
    headers: &HeaderMap,
    body: impl Fn(&LlmServer) -> Result<LlmServerBody, UserError>,
) -> Result<Response, WebError> {
    let expected = Expected::of(headers)?;
    let id = lookup::llm_server(app, id).await?.id;
    let changed = app.engine.llm_server_edit(id, |server| {
        expected.check(&app.versions.of(server))?;
        body(server)?.into_server(server.id, Some(server))
    });
    Ok(told(app, &changed.await?))
}

fn told(app: &App, server: &LlmServer) -> Response {
    let record = LlmServerRecord::of(server, app);
    answers::versioned(&record.etag, &record)
}
