//! LLM servers and the roles they serve.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use hub_core::{
    error::UserError,
    ids::LlmServerId,
    server::{LlmAssignment, LlmDialect, LlmRole, LlmServer, SecretSource},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    body::JsonBody,
    servers::{mask, parse_base_url, parse_name},
};
use crate::{error::WebError, router::App};

/// Roles by their names in paths.
const ROLES: [(&str, LlmRole); 2] = [("enhance", LlmRole::Enhance), ("describe", LlmRole::Describe)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddBody {
    name: String,
    base_url: String,
    #[serde(default)]
    dialect: Option<DialectBody>,
    #[serde(default)]
    api_key: Option<SecretSource>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DialectBody {
    Ollama,
    #[serde(alias = "open_ai")]
    Openai,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignBody {
    /// Id or name; `null` = nobody.
    server: Option<String>,
    #[serde(default)]
    model: Option<String>,
}

fn record(server: &LlmServer) -> Value {
    json!({
        "id": server.id,
        "name": server.name,
        "base_url": server.base_url,
        "dialect": match server.dialect { LlmDialect::Ollama => "ollama", LlmDialect::OpenAi => "openai" },
        "api_key": server.api_key.as_ref().map(mask),
        "enabled": server.enabled,
    })
}

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Value>, WebError> {
    let servers = app.engine.store().llm_server_list().await?;
    Ok(Json(json!({"llm_servers": servers.iter().map(record).collect::<Vec<_>>()})))
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, WebError> {
    Ok(Json(record(&find(&app, &id).await?)))
}

pub(crate) async fn add(State(app): State<App>, JsonBody(body): JsonBody<AddBody>) -> Result<Response, WebError> {
    let dialect = match body.dialect {
        None | Some(DialectBody::Ollama) => LlmDialect::Ollama,
        Some(DialectBody::Openai) => LlmDialect::OpenAi,
    };
    let (name, base_url) = (parse_name(&body.name)?, parse_base_url(&body.base_url)?);
    let server = app.engine.llm_server_add(&name, base_url, dialect, body.api_key).await?;
    let mut response = (StatusCode::CREATED, Json(record(&server))).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/llm-servers/{}", server.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, WebError> {
    let known = find(&app, &id).await?;
    app.engine.llm_server_delete(known.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn roles(State(app): State<App>) -> Result<Json<Value>, WebError> {
    let mut roles = serde_json::Map::new();
    for (name, role) in ROLES {
        let assignment = app.engine.store().llm_assignment(role).await?;
        roles.insert(name.to_owned(), json!(assignment));
    }
    Ok(Json(json!({"roles": roles})))
}

pub(crate) async fn assign(
    State(app): State<App>,
    Path(role): Path<String>,
    JsonBody(body): JsonBody<AssignBody>,
) -> Result<Json<Value>, WebError> {
    let role = parse_role(&role)?;
    let assignment = match body.server {
        None => None,
        Some(given) => {
            let server =
                find(&app, &given).await.map_err(|_| UserError::argument("server", "`server` names no LLM server."))?;
            Some(LlmAssignment { server: server.id, model: body.model.filter(|model| !model.is_empty()) })
        }
    };
    app.engine.llm_assign(role, assignment.clone()).await?;
    Ok(Json(json!(assignment)))
}

pub(crate) async fn unassign(State(app): State<App>, Path(role): Path<String>) -> Result<StatusCode, WebError> {
    app.engine.llm_assign(parse_role(&role)?, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse_role(given: &str) -> Result<LlmRole, WebError> {
    ROLES
        .into_iter()
        .find(|(name, _)| *name == given)
        .map(|(_, role)| role)
        .ok_or_else(|| WebError::missing("role", given))
}

/// By id or by name.
async fn find(app: &App, given: &str) -> Result<LlmServer, WebError> {
    let id: Option<LlmServerId> = given.parse().ok();
    let servers = app.engine.store().llm_server_list().await?;
    servers
        .into_iter()
        .find(|candidate| Some(candidate.id) == id || candidate.name == given)
        .ok_or_else(|| WebError::missing("LLM server", given))
}
