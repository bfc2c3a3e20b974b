//! Tests of ComfyUI servers, what is said of them by hand, and what happened to them.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use hub_core::{
    error::UserError,
    server::{Reach, ServerAuth},
};
use hub_engine::{Alert, ServerTest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answers::{Invalid, NotFound},
    body::JsonBody,
    servers::{AuthBody, parse_auth_over, parse_base_url},
};
use crate::{error::WebError, lookup, router::App};

/// What to test: settings that are not stored, or, without `base_url`, every server that is.
#[derive(Deserialize, ToSchema)]
#[schema(as = ServerTestRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestBody {
    /// Address to test.
    #[serde(default)]
    base_url: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<AuthBody>)]
    auth: Option<Map<String, Value>>,
    #[serde(default)]
    origin: Option<String>,
    #[serde(default)]
    ca: Option<String>,
    /// Id or name of the stored server that lends the secrets which `auth` leaves out: for its own
    /// address only, so that no secret goes to another place.
    #[serde(default)]
    server: Option<String>,
}

/// Tests and how they went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerTestList {
    tests: Vec<ServerTest>,
}

/// Tests a server as it is stored, stage by stage; changes nothing.
#[utoipa::path(post, path = "/api/v1/servers/{id}/test", tag = "servers", operation_id = "test_server",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 200, description = "How it went; a server that fails is an answer, no fault", body = ServerTest),
        NotFound))]
pub(crate) async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<ServerTest>, WebError> {
    let view = lookup::server(&app, &id)?;
    Ok(Json(app.engine.server_test(view.id()).await?))
}

/// Tests settings that are not stored, or all servers that are.
#[utoipa::path(post, path = "/api/v1/servers/test", tag = "servers", operation_id = "test_servers",
    request_body = TestBody,
    responses((status = 200, body = ServerTestList), Invalid))]
pub(crate) async fn several(
    State(app): State<App>,
    JsonBody(body): JsonBody<TestBody>,
) -> Result<Json<ServerTestList>, WebError> {
    let Some(base_url) = &body.base_url else {
        let fields = [
            ("auth", body.auth.is_some()),
            ("origin", body.origin.is_some()),
            ("ca", body.ca.is_some()),
            ("server", body.server.is_some()),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, given)| *given) {
            return Err(UserError::argument("base_url", format!("`{field}` is given, but `base_url` is not."))
                .with_hint("Give the address to test, or nothing to test all servers.")
                .into());
        }
        return Ok(Json(ServerTestList { tests: app.engine.servers_test_all().await? }));
    };
    let base_url = parse_base_url(base_url)?;
    let lender = body.server.as_deref().map(|given| lookup::server(&app, given)).transpose()?;
    let lent = lender.map(|view| view.server).filter(|server| server.base_url == base_url);
    let stored = lent.map_or(ServerAuth::None, |server| server.auth);
    let reach = Reach {
        auth: body.auth.map_or_else(|| Ok(stored.clone()), |auth| parse_auth_over(auth, &stored))?,
        origin: body.origin.filter(|origin| !origin.is_empty()),
        ca: body
            .ca
            .filter(|ca| !ca.is_empty())
            .map(|ca| ca.parse().map_err(|error| UserError::argument("ca", format!("{error}."))))
            .transpose()?,
        base_url,
    };
    Ok(Json(ServerTestList { tests: vec![app.engine.server_test_reach(&reach).await] }))
}

/// Has a server's list of nodes and models read again soon.
#[utoipa::path(post, path = "/api/v1/servers/{id}/refresh", tag = "servers", operation_id = "refresh_server",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 202, description = "It will be read soon"), NotFound))]
pub(crate) async fn refresh(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, WebError> {
    let view = lookup::server(&app, &id)?;
    app.engine.server_refresh(view.id())?;
    Ok(StatusCode::ACCEPTED)
}

/// What is said by hand of a server and a workflow.
#[derive(Deserialize, ToSchema)]
#[schema(as = ServerWorkflowSettings)]
#[serde(deny_unknown_fields)]
pub(crate) struct SayBody {
    /// It can, or cannot, run the workflow, whatever its lists of nodes and models say; null = go by those.
    compatible: Option<bool>,
}

/// Says by hand whether a server can run a workflow.
#[utoipa::path(put, path = "/api/v1/servers/{id}/workflows/{workflow}", tag = "servers",
    operation_id = "set_server_workflow",
    params(("id" = String, Path, description = "Id or name"), ("workflow" = String, Path, description = "Name")),
    request_body = SayBody,
    responses((status = 204), NotFound, Invalid))]
pub(crate) async fn say(
    State(app): State<App>,
    Path((id, workflow)): Path<(String, String)>,
    JsonBody(body): JsonBody<SayBody>,
) -> Result<StatusCode, WebError> {
    let view = lookup::server(&app, &id)?;
    app.engine.server_say(view.id(), &workflow, body.compatible).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What happened to servers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    /// Of this process, oldest first.
    alerts: Vec<Alert>,
}

/// Lists what happened to servers lately.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "servers", operation_id = "list_alerts",
    responses((status = 200, body = AlertList)))]
pub(crate) async fn alerts(State(app): State<App>) -> Json<AlertList> {
    Json(AlertList { alerts: app.engine.recent_alerts() })
}
