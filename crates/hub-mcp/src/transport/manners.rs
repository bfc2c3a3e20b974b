//! Answers that the SDK words for no client: broken bodies, and the end of a session.
//!
//! A POST whose body is no JSON-RPC message gets a JSON-RPC error with status 400, as every other
//! broken request here does. A session that was ended is answered with 204, which is what clients
//! look for. Knows no method and no tool.

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use crate::jsonrpc::message::{Code, RpcError};

/// What the SDK says of JSON that it takes for no message.
const UNREADABLE: StatusCode = StatusCode::UNSUPPORTED_MEDIA_TYPE;

/// Passes requests on, and puts what comes back into words that clients know.
pub(super) async fn manners(State(body_max_bytes): State<usize>, request: Request, next: Next) -> Response {
    match *request.method() {
        Method::POST if is_json(request.headers()) => post(body_max_bytes, request, next).await,
        Method::DELETE => {
            let response = next.run(request).await;
            if response.status() == StatusCode::ACCEPTED { StatusCode::NO_CONTENT.into_response() } else { response }
        }
        _ => next.run(request).await,
    }
}

/// Other types are refused by their header alone.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

async fn post(body_max_bytes: usize, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, body_max_bytes).await else {
        let text = format!("The body could not be read; at most {body_max_bytes} bytes are taken.");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &RpcError::new(Code::InvalidRequest, text), &Value::Null);
    };
    let id = match read_id(&bytes) {
        Ok(id) => id,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error, &Value::Null),
    };
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if response.status() == UNREADABLE {
        let text = "The body is JSON, but no JSON-RPC 2.0 message: it needs `jsonrpc`, and `method` as a text.";
        return refuse(StatusCode::BAD_REQUEST, &RpcError::new(Code::InvalidRequest, text.to_owned()), &id);
    }
    response
}

/// The one member that an answer needs, whatever else the message holds.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    id: Value,
}

/// The id of a JSON object, null where it has none.
fn read_id(bytes: &Bytes) -> Result<Value, RpcError> {
    let invalid = |text: &str| RpcError::new(Code::InvalidRequest, text.to_owned());
    match serde_json::from_slice::<Head>(bytes) {
        Err(error) if !error.is_data() => Err(RpcError::new(Code::Parse, format!("The body is not JSON: {error}."))),
        // A list would do for the shape, by serde's rules.
        Ok(_) | Err(_) if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') => {
            Err(invalid("Batches are not taken; send one request per POST."))
        }
        Err(_) => Err(invalid("A JSON-RPC message must be a JSON object.")),
        Ok(Head { id }) => Ok(if id.is_string() || id.is_number() { id } else { Value::Null }),
    }
}

fn refuse(status: StatusCode, error: &RpcError, id: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], error.message(id).to_string()).into_response()
}
