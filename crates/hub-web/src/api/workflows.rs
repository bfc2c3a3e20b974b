//! Workflows: import one, list what is stored.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use hub_core::{
    catalogue::Workflow,
    error::{ErrorCode, UserError},
    ids::WorkflowId,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body::JsonBody, servers::parse_name};
use crate::{error::WebError, router::App};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportBody {
    name: String,
    graph: Value,
    #[serde(default)]
    description: Option<String>,
}

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
    let body = json!({
        "id": imported.workflow.id,
        "name": imported.workflow.name,
        "version": imported.workflow.version,
        "description": imported.workflow.description,
        "slots": imported.slots,
        "problems": imported.problems,
        "converted": imported.converted,
    });
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/workflows/{}", imported.workflow.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Value>, WebError> {
    let workflows = app.engine.store().workflow_list().await?;
    let workflows: Vec<Value> = workflows.iter().map(summary).collect();
    Ok(Json(json!({"workflows": workflows})))
}

/// One version by id, or the newest by name; with its graph.
pub(crate) async fn show(State(app): State<App>, Path(given): Path<String>) -> Result<Json<Value>, WebError> {
    let store = app.engine.store();
    let found = match given.parse::<WorkflowId>() {
        Ok(id) => store.workflow_get(id).await?,
        Err(_) => store.workflow_latest(&given).await?,
    };
    let workflow = found.ok_or_else(|| WebError::missing("workflow", &given))?;
    let mut record = summary(&workflow);
    record["graph"] = workflow.graph;
    Ok(Json(record))
}

fn summary(workflow: &Workflow) -> Value {
    json!({
        "id": workflow.id,
        "name": workflow.name,
        "version": workflow.version,
        "description": workflow.description,
        "slots": workflow.slots,
    })
}
