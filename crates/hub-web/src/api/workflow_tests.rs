//! Test runs of workflows, and which servers can run one.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use hub_core::{catalogue::Workflow, ids::WorkflowId};
use hub_engine::WorkflowCheck;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answers::{Conflict, Invalid, NotFound},
    body::JsonBody,
    jobs::{SubmittedRecord, accepted, idempotency_key},
};
use crate::{asker::Asker, error::WebError, lookup, router::App};

/// How to try a workflow.
#[derive(Deserialize, ToSchema)]
#[schema(as = WorkflowTestRun)]
#[serde(deny_unknown_fields)]
pub(crate) struct TryBody {
    /// Which version; left out = the one that the path names, by a name the newest.
    #[serde(default)]
    version: Option<u32>,
    /// Pins it to a server, by name or id; left out = any that can run it.
    #[serde(default)]
    server: Option<String>,
    /// Some of `prompt`, `negative_prompt`, `image`, `seed`, `width`, `height`, `denoise`, `region`, `mask`, `part`, as
    /// the tools take them. What is left out stays as the workflow has it; the picture is the hub's newest.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    arguments: Option<Map<String, Value>>,
}

/// Runs one version of a workflow once, as an ordinary job, whether or not a render type runs it: without styles,
/// without enhancement.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/test-run", tag = "workflows", operation_id = "test_run_workflow",
    params(("id" = String, Path, description = "Name, or id of a version"), ("Idempotency-Key" = Option<String>, Header)),
    request_body = TryBody,
    responses((status = 202, body = SubmittedRecord, headers(("Location" = String))), NotFound, Conflict, Invalid))]
pub(crate) async fn run(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(given): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<TryBody>,
) -> Result<Response, WebError> {
    let workflow = version_of(&app, &given, body.version).await?;
    let key = idempotency_key(None, &headers)?;
    let arguments = body.arguments.unwrap_or_default();
    Ok(accepted(app.engine.workflow_try(&caller, &workflow, body.server, key, arguments).await?))
}

/// Which servers to ask again.
#[derive(Deserialize, ToSchema)]
#[schema(as = WorkflowCheckRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    /// Which version; left out = the one that the path names, by a name the newest.
    #[serde(default)]
    version: Option<u32>,
    /// Only this server's lists are read again, by name or id; left out = those of all that are switched on.
    #[serde(default)]
    server: Option<String>,
}

/// Which servers can run a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkflowCheckResult)]
pub(crate) struct CheckRecord {
    /// The version that was looked at.
    id: WorkflowId,
    version: u32,
    /// Those that can run it first.
    servers: Vec<WorkflowCheck>,
    /// Servers that did not answer, by name: of them is told what was known before.
    silent: Vec<String>,
}

/// Reads the servers' lists of nodes and models again now, and tells which servers can run the workflow.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/check", tag = "workflows", operation_id = "check_workflow",
    params(("id" = String, Path, description = "Name, or id of a version")),
    request_body = CheckBody,
    responses((status = 200, body = CheckRecord), NotFound))]
pub(crate) async fn check(
    State(app): State<App>,
    Path(given): Path<String>,
    JsonBody(body): JsonBody<CheckBody>,
) -> Result<Json<CheckRecord>, WebError> {
    let workflow = version_of(&app, &given, body.version).await?;
    let only = body.server.as_deref().map(|given| lookup::server(&app, given)).transpose()?;
    let silent = app.engine.servers_read_again(only.map(|view| view.id())).await;
    let servers = app.engine.workflow_check(&workflow);
    Ok(Json(CheckRecord { id: workflow.id, version: workflow.version, servers, silent }))
}

async fn version_of(app: &App, given: &str, version: Option<u32>) -> Result<Workflow, WebError> {
    let named = lookup::workflow(app, given).await?;
    match version {
        Some(number) if number != named.version => {
            let found = app.engine.store().workflow_version(&named.name, number).await?;
            found.ok_or_else(|| WebError::missing(&format!("version of `{}`", named.name), &number.to_string()))
        }
        _ => Ok(named),
    }
}
