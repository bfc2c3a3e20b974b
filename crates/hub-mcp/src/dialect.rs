//! The older system's dialect, for bots written against it: `POST /legacy/mcp` answers at once with a
//! stream, and `/ws/stream/{id}` brings one result and the end.
//!
//! A stream is nothing but a job under another spelling of its id. Nothing is kept here, so a client
//! may join late, twice, after a restart of the hub, or at another replica.

mod stream;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, post},
};
use hub_core::{error::UserError, ids::JobId, limits};
use serde_json::{Map, Value, json};

use crate::{
    calls,
    delivery::Delivery,
    hub::{Hub, log_failure},
    jsonrpc::{
        self,
        message::{self, Code, Incoming, RpcError},
    },
    names::IDEMPOTENCY_HEADER,
    tools::HubTool,
};

/// The routes of the dialect.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/legacy/mcp", post(answer))
        .route("/ws/stream/{id}", any(stream::join))
        .layer(DefaultBodyLimit::max(limits::BODY_MAX_BYTES))
        .with_state(stream::DialectState::new(hub))
}

/// Always 200 with JSON, as the older system did; a notification is taken and not answered.
async fn answer(State(state): State<stream::DialectState>, request: Request) -> Response {
    let hub = &*state.hub;
    let (parts, body) = request.into_parts();
    let delivery = Delivery::of_extensions(&parts.extensions, &hub.config);
    let key = parts.headers.get(IDEMPOTENCY_HEADER).and_then(|value| value.to_str().ok());
    let (message, id) = match jsonrpc::read(body).await {
        Ok(Incoming::Request(message, id)) => (message, id),
        Ok(Incoming::Notification) => return StatusCode::ACCEPTED.into_response(),
        Err(error) => return respond(&error.message(&Value::Null)),
    };
    let answered = match message.method.as_str() {
        "tools/list" => Ok(json!({"jsonrpc": "2.0", "result": {"tools": hub.listing().tools()}, "id": id})),
        "tools/call" => match message::tool_call(message.params) {
            Ok((name, arguments)) => begin(hub, &name, &arguments, key, &delivery).await.map(|mut start| {
                start["id"] = id.clone();
                start
            }),
            Err(error) => Err(error),
        },
        other => {
            let shown: String = other.chars().take(80).collect();
            Err(RpcError::new(Code::MethodNotFound, format!("Method '{shown}' not found.")))
        }
    };
    respond(&answered.unwrap_or_else(|error| error.message(&id)))
}

fn respond(message: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], message.to_string()).into_response()
}

/// Begins the job and tells where its stream is.
async fn begin(
    hub: &Hub,
    name: &str,
    arguments: &Map<String, Value>,
    key: Option<&str>,
    delivery: &Delivery,
) -> Result<Value, RpcError> {
    let Ok(HubTool::Job(tool)) = HubTool::named(name) else {
        let shown: String = name.chars().take(80).collect();
        return Err(RpcError::new(Code::Server, format!("Tool '{shown}' not found.")));
    };
    let begun = calls::begin(hub, tool, arguments, key, delivery).await.map_err(|error| refusal(&error))?;
    let stream_id = stream_id(begun.submitted.job.id);
    let path = format!("/ws/stream/{stream_id}");
    let ws_url = delivery.websocket_url(&path).unwrap_or(path);
    Ok(json!({"jsonrpc": "2.0", "method": "stream/start", "params": {"stream_id": stream_id, "ws_url": ws_url}}))
}

fn refusal(error: &UserError) -> RpcError {
    log_failure("a call in the older dialect", error);
    if error.code.is_callers() {
        RpcError::new(Code::InvalidParams, format!("Invalid parameters: {}", error.explain()))
    } else {
        RpcError::new(Code::Server, error.explain())
    }
}

/// The id of a job's stream: the job's UUID, as the older system's clients expect one.
fn stream_id(job: JobId) -> String {
    job.as_uuid().hyphenated().to_string()
}
