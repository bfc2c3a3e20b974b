//! Plain JSON-RPC at `/mcp`, for callers that send none of MCP's headers: one POST, one JSON answer,
//! so that `curl -d` works.
//!
//! Knows `initialize`, `ping`, `tools/list` and `tools/call`. A message without id is a notification:
//! taken, never answered. Whatever is wrong is said in JSON.

pub(crate) mod message;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hub_core::limits;
use rmcp::model::{CallToolResult, ProtocolVersion};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::message::{Code, Incoming, RpcError};
use crate::{
    calls,
    delivery::Delivery,
    hub::Hub,
    names::{IDEMPOTENCY_HEADER, INSTRUCTIONS, SERVER_NAME, SERVER_VERSION},
    result,
    tools::{HubTool, may_call},
};

const MCP_HEADERS: [&str; 3] = ["mcp-protocol-version", "mcp-session-id", "mcp-method"];

/// Answers plain requests itself and passes MCP's on.
pub(crate) async fn answer_plain(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !is_plain(request.headers()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let delivery = Delivery::of_extensions(&parts.extensions, &hub.config);
    let key = parts.headers.get(IDEMPOTENCY_HEADER).and_then(|value| value.to_str().ok());
    let (message, id) = match read(body).await {
        Ok(Incoming::Request(message, id)) => (message, id),
        Ok(Incoming::Notification) => return StatusCode::ACCEPTED.into_response(),
        Err(error) => return respond(error.status(), &error.message(&Value::Null)),
    };
    match answer(&hub, &message.method, message.params, key, &delivery).await {
        Ok(Answer::Value(result)) => respond(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": id, "result": result})),
        Ok(Answer::Result(result)) => reply(&id, &result),
        Ok(Answer::Text(result)) => {
            // The list is text already; writing it anew for each caller would be the main cost.
            let mut text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":").into_bytes();
            text.extend_from_slice(&result);
            text.push(b'}');
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(error) => respond(error.status(), &error.message(&id)),
    }
}

/// None of MCP's headers, and no stream wanted.
fn is_plain(headers: &HeaderMap) -> bool {
    let wants_stream = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|accept| accept.to_ascii_lowercase().contains("text/event-stream"));
    !wants_stream && MCP_HEADERS.iter().all(|name| !headers.contains_key(*name))
}

/// Reads one message within the limit on bodies.
pub(crate) async fn read(body: Body) -> Result<Incoming, RpcError> {
    let bytes = axum::body::to_bytes(body, limits::BODY_MAX_BYTES).await.map_err(|error| {
        tracing::debug!(%error, "a body was not read");
        RpcError::new(
            Code::InvalidRequest,
            format!("The body could not be read; at most {} bytes are taken.", limits::BODY_MAX_BYTES),
        )
    })?;
    Incoming::parse(&bytes)
}

enum Answer {
    Value(Value),
    Result(Box<CallToolResult>),
    Text(bytes::Bytes),
}

async fn answer(
    hub: &Hub,
    method: &str,
    params: Map<String, Value>,
    key: Option<&str>,
    delivery: &Delivery,
) -> Result<Answer, RpcError> {
    match method {
        "ping" => Ok(Answer::Value(json!({}))),
        "initialize" => Ok(Answer::Value(initialize(&params))),
        "tools/list" => Ok(match hub.engine.rights_of(&delivery.caller) {
            None => Answer::Text(hub.listing().plain.clone()),
            Some(rights) => {
                let listing = hub.listing();
                let tools = listing.tools().iter().filter(|tool| may_call(&rights, &tool.name));
                Answer::Value(json!({"tools": tools.collect::<Vec<_>>()}))
            }
        }),
        "tools/call" => {
            let (name, arguments) = message::tool_call(params)?;
            let tool = HubTool::named(&name).map_err(|error| {
                RpcError::new(Code::InvalidParams, error.explain()).with_data(result::error_record(&error))
            })?;
            let mut answered = calls::answer(hub, tool, &arguments, key, delivery).await;
            // Of a later revision than what a caller without headers can expect.
            answered.result_type = None;
            Ok(Answer::Result(Box::new(answered)))
        }
        other => {
            let shown: String = other.chars().take(80).collect();
            let known = "initialize, ping, tools/list, tools/call";
            Err(RpcError::new(
                Code::MethodNotFound,
                format!("There is no method `{shown}` without MCP's headers. Valid: {known}."),
            ))
        }
    }
}

/// Enough of the handshake for simple clients. There is no session; nothing has to follow.
fn initialize(params: &Map<String, Value>) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let latest = ProtocolVersion::LATEST_WITH_INITIALIZE;
    let version = ProtocolVersion::KNOWN_VERSIONS
        .iter()
        .find(|known| Some(known.as_str()) == asked && known.as_str() <= latest.as_str())
        .unwrap_or(&latest);
    json!({
        "protocolVersion": version.as_str(),
        "capabilities": {"tools": {}},
        "serverInfo": {"name": SERVER_NAME, "version": SERVER_VERSION},
        "instructions": INSTRUCTIONS,
    })
}

/// Writes a result straight into the body: by way of a [`Value`], its pictures would be copied once more.
fn reply(id: &Value, result: &CallToolResult) -> Response {
    #[derive(Serialize)]
    struct Reply<'a> {
        jsonrpc: &'static str,
        id: &'a Value,
        result: &'a CallToolResult,
    }
    match serde_json::to_vec(&Reply { jsonrpc: "2.0", id, result }) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a result cannot be written");
            let error = RpcError::new(Code::Internal, "The result cannot be written.".to_owned());
            respond(error.status(), &error.message(id))
        }
    }
}

fn respond(status: StatusCode, message: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], message.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_a_request_without_any_mark_of_mcp_is_plain() {
        assert!(is_plain(&headers(&[("accept", "*/*"), ("content-type", "application/x-www-form-urlencoded")])));
        assert!(is_plain(&headers(&[("accept", "application/json")])));
        assert!(!is_plain(&headers(&[("accept", "application/json, text/event-stream")])));
        assert!(!is_plain(&headers(&[("mcp-protocol-version", "2026-07-28")])));
        assert!(!is_plain(&headers(&[("mcp-session-id", "x")])));
        assert!(!is_plain(&headers(&[("mcp-method", "tools/list")])));
    }
}
