//! The older system's dialect, for bots written against it: `POST /legacy/mcp` answers at once with a
//! stream, and `/ws/stream/{id}` brings one result and the end.
//!
//! A stream is nothing but a job under another spelling of its id. Nothing is kept here, so a client
//! may join late, twice, after a restart of the hub, or at another replica.

mod stream;

use std::{sync::Arc, time::Duration};

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
    follow::{Followed, follow},
    hub::{Hub, log_failure},
    jsonrpc::{
        self,
        message::{self, Code, Incoming, RpcError},
    },
    names::IDEMPOTENCY_HEADER,
    tools::{HubTool, generate_prompt},
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

/// Begins the job and tells where its stream is, or its result where the older system did so.
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
    let job = begun.submitted.job.id;
    if tool == generate_prompt::NAME
        && let Some(answer) = at_once(hub, job, delivery).await?
    {
        return Ok(answer);
    }
    let stream_id = stream_id(job);
    let path = format!("/ws/stream/{stream_id}");
    let ws_url = delivery.websocket_url(&path).unwrap_or(path);
    Ok(json!({"jsonrpc": "2.0", "method": "stream/start", "params": {"stream_id": stream_id, "ws_url": ws_url}}))
}

/// The answer to a call that the older system answered without a stream. `None` when it takes too long: then it
/// gets a stream like the others.
async fn at_once(hub: &Hub, job: JobId, delivery: &Delivery) -> Result<Option<Value>, RpcError> {
    let wait = Duration::from_secs(limits::WAIT_MAX_S.into());
    let followed = follow(&hub.engine, job, wait, None, &hub.closing).await.map_err(|error| refusal(&error))?;
    let Followed::Ended(view) = followed else { return Ok(None) };
    match stream::outcome(&view, delivery) {
        ("result", result) => Ok(Some(json!({"jsonrpc": "2.0", "result": {"content": result["content"]}}))),
        (_, error) => {
            Err(RpcError::new(Code::Server, error["message"].as_str().unwrap_or("The job failed.").to_owned()))
        }
    }
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
