//! Workflows: import one, list what is stored, go back to an older version.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use hub_core::{
    catalogue::Workflow,
    error::{ErrorCode, UserError},
    ids::WorkflowId,
};
use hub_engine::{Conversion, ImportedWorkflow, SlotView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    answers::{self, Conflict, Invalid, NotFound},
    body::JsonBody,
    servers::parse_name,
};
use crate::{error::WebError, lookup, router::App};

/// A workflow that is to be stored as the next version of its name.
#[derive(Deserialize, ToSchema)]
#[schema(as = WorkflowImport)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportBody {
    /// 1 to 120 characters.
    name: String,
    /// The graph as ComfyUI exports it, or its text.
    #[schema(value_type = Object)]
    graph: Value,
    /// One line for people.
    #[serde(default)]
    description: Option<String>,
}

/// One version of a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workflow)]
pub(crate) struct WorkflowRecord {
    /// Id of this version.
    id: WorkflowId,
    /// Shared by all versions.
    name: String,
    /// 1, 2, 3 … within the name.
    version: u32,
    description: String,
    /// Values that requests set.
    slots: Vec<SlotRecord>,
    /// What a person should look at.
    problems: Vec<String>,
    /// How a workflow in ComfyUI's saved format became a graph; in the answer of its import.
    #[serde(skip_serializing_if = "Option::is_none")]
    converted: Option<Conversion>,
    /// The graph in ComfyUI's API format; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    graph: Option<Value>,
}

/// A value that requests set in a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Slot)]
struct SlotRecord {
    /// `prompt`, `seed`, `width` …
    kind: String,
    /// Where, as `node.input`.
    targets: Vec<String>,
    /// How it was found.
    source: String,
    /// How sure the finding is: `certain`, `likely`, or `guess`, which a person should look at.
    confidence: String,
}

impl WorkflowRecord {
    fn of(view: ImportedWorkflow) -> Self {
        let ImportedWorkflow { workflow, slots, problems, converted } = view;
        let slot = |SlotView { kind, targets, source, confidence }| SlotRecord { kind, targets, source, confidence };
        Self {
            id: workflow.id,
            name: workflow.name,
            version: workflow.version,
            description: workflow.description,
            slots: slots.into_iter().map(slot).collect(),
            problems,
            converted,
            graph: None,
        }
    }
}

/// Workflows, or versions of one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkflowList {
    /// The newest version of each, in the order of their names; or all of one, newest first.
    workflows: Vec<WorkflowRecord>,
}

/// Imports a workflow as the next version of its name; tells the detected slots and problems.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows", operation_id = "import_workflow",
    request_body = ImportBody,
    responses((status = 201, body = WorkflowRecord, headers(("Location" = String))), Invalid))]
pub(crate) async fn import(State(app): State<App>, JsonBody(body): JsonBody<ImportBody>) -> Result<Response, WebError> {
    let name = parse_name(&body.name)?;
    let graph = match body.graph {
        // Scripts that read a file often pass its text on.
        Value::String(text) => serde_json::from_str(&text).map_err(|error| {
            let mut fault =
                UserError::new(ErrorCode::WorkflowInvalid, format!("The text in `graph` is not valid JSON: {error}."));
            fault.argument = Some("graph".to_owned());
            fault
        })?,
        graph => graph,
    };
    let imported = app.engine.workflow_import_value(&name, &graph, body.description.as_deref().unwrap_or("")).await?;
    Ok(stored(imported))
}

/// Lists the newest version of each workflow.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows", operation_id = "list_workflows",
    responses((status = 200, body = WorkflowList)))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<WorkflowList>, WebError> {
    let workflows = app.engine.store().workflow_list().await?;
    Ok(Json(told(&app, workflows)))
}

/// Tells one version by id, or the newest by name; with its graph.
#[utoipa::path(get, path = "/api/v1/workflows/{id}", tag = "workflows", operation_id = "get_workflow",
    params(("id" = String, Path, description = "Id of a version, or name")),
    responses((status = 200, body = WorkflowRecord), NotFound))]
pub(crate) async fn show(State(app): State<App>, Path(given): Path<String>) -> Result<Json<WorkflowRecord>, WebError> {
    Ok(Json(with_graph(&app, lookup::workflow(&app, &given).await?)))
}

/// Deletes a workflow with all its versions, unless a render type or an unfinished job runs it.
#[utoipa::path(delete, path = "/api/v1/workflows/{id}", tag = "workflows", operation_id = "delete_workflow",
    params(("id" = String, Path, description = "Name, or id of any version")),
    responses((status = 204), NotFound, Conflict))]
pub(crate) async fn remove(State(app): State<App>, Path(given): Path<String>) -> Result<StatusCode, WebError> {
    let workflow = lookup::workflow(&app, &given).await?;
    app.engine.workflow_delete(&workflow.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists all versions of a workflow, newest first.
#[utoipa::path(get, path = "/api/v1/workflows/{id}/versions", tag = "workflows",
    operation_id = "list_workflow_versions",
    params(("id" = String, Path, description = "Name, or id of any version")),
    responses((status = 200, body = WorkflowList), NotFound))]
pub(crate) async fn versions(
    State(app): State<App>,
    Path(given): Path<String>,
) -> Result<Json<WorkflowList>, WebError> {
    let workflow = lookup::workflow(&app, &given).await?;
    let versions = app.engine.store().workflow_versions(&workflow.name).await?;
    Ok(Json(told(&app, versions)))
}

/// Tells one version by its number; with its graph.
#[utoipa::path(get, path = "/api/v1/workflows/{id}/versions/{version}", tag = "workflows",
    operation_id = "get_workflow_version",
    params(("id" = String, Path, description = "Name, or id of any version"), ("version" = u32, Path)),
    responses((status = 200, body = WorkflowRecord), NotFound))]
pub(crate) async fn show_version(
    State(app): State<App>,
    Path((given, version)): Path<(String, String)>,
) -> Result<Json<WorkflowRecord>, WebError> {
    let missing = || WebError::missing(&format!("version of `{given}`"), &version);
    let number: u32 = version.parse().map_err(|_| missing())?;
    let name = lookup::workflow(&app, &given).await?.name;
    let workflow = app.engine.store().workflow_version(&name, number).await?.ok_or_else(missing)?;
    Ok(Json(with_graph(&app, workflow)))
}

/// Makes an older version the newest again, as a new version with the same graph and slots.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/versions/{version}/restore", tag = "workflows",
    operation_id = "restore_workflow_version",
    params(("id" = String, Path, description = "Name, or id of any version"), ("version" = u32, Path)),
    responses((status = 201, body = WorkflowRecord, headers(("Location" = String))), NotFound))]
pub(crate) async fn restore(
    State(app): State<App>,
    Path((given, version)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let number: u32 = version.parse().map_err(|_| WebError::missing(&format!("version of `{given}`"), &version))?;
    let name = lookup::workflow(&app, &given).await?.name;
    Ok(stored(app.engine.workflow_restore(&name, number).await?))
}

fn stored(imported: ImportedWorkflow) -> Response {
    let record = WorkflowRecord::of(imported);
    answers::created(&format!("/api/v1/workflows/{}", record.id), None, &record)
}

fn with_graph(app: &App, workflow: Workflow) -> WorkflowRecord {
    let graph = workflow.graph.clone();
    WorkflowRecord { graph: Some(graph), ..WorkflowRecord::of(app.engine.workflow_view(workflow)) }
}

fn told(app: &App, workflows: Vec<Workflow>) -> WorkflowList {
    let record = |workflow| WorkflowRecord::of(app.engine.workflow_view(workflow));
    WorkflowList { workflows: workflows.into_iter().map(record).collect() }
}
