//! Sends the response head before the handler's first message.
//!
//! The SDK answers a request of the current era only when its handler first says something. Clients
//! and proxies give up on a server that sends no head for a while, so a silent request is answered
//! with an event stream that holds comments until the real answer is spliced in. Fast answers keep
//! their status. Dropping the stream drops the inner request, which the SDK takes as cancellation.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Largest answer that is turned from one JSON document into one event, in bytes.
const WRAPPED_BODY_MAX_BYTES: usize = 64 * 1024 * 1024;
/// One comment: legal in any event stream, ignored by every client.
const COMMENT: Bytes = Bytes::from_static(b": working\n\n");

/// When to send what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Silence after which the head is sent.
    pub(super) head_after: Duration,
    /// Time between comments.
    pub(super) keep_alive: Duration,
}

/// Passes `request` on; answers early when nothing comes.
pub(super) async fn early_sse(State(pace): State<Pace>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let mut inner = Box::pin(next.run(request));
    if let Ok(response) = tokio::time::timeout(pace.head_after, &mut inner).await {
        return response;
    }
    let events = async_stream::stream! {
        yield Ok::<Bytes, axum::Error>(COMMENT);
        let response = loop {
            match tokio::time::timeout(pace.keep_alive, &mut inner).await {
                Ok(response) => break response,
                Err(_) => yield Ok(COMMENT),
            }
        };
        if is_event_stream(response.headers()) {
            let mut events = response.into_body().into_data_stream();
            while let Some(chunk) = events.next().await {
                yield chunk;
            }
        } else {
            for piece in as_event(response).await {
                yield Ok(piece);
            }
        }
    };
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (head, Body::from_stream(events)).into_response()
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// The pieces of an event with the answer, which may be megabytes of pictures and is not copied. The status line is
/// gone by now, so whatever is no JSON-RPC message becomes a JSON-RPC error.
async fn as_event(response: Response) -> [Bytes; 3] {
    let status = response.status();
    let message = match axum::body::to_bytes(response.into_body(), WRAPPED_BODY_MAX_BYTES).await {
        Ok(bytes) => one_line(&bytes),
        Err(error) => {
            tracing::warn!(%error, "an answer could not be read to its end");
            None
        }
    };
    let message = message.unwrap_or_else(|| {
        let error = json!({"code": -32603, "message": format!("The request failed: {status}.")});
        json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string().into()
    });
    [Bytes::from_static(b"data: "), message, Bytes::from_static(b"\n\n")]
}

/// A JSON document without line breaks, so that one `data:` line holds it; `None` for anything else.
fn one_line(bytes: &Bytes) -> Option<Bytes> {
    let document = bytes.trim_ascii();
    if document.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Some(serde_json::from_slice::<Value>(document).ok()?.to_string().into());
    }
    serde_json::from_slice::<IgnoredAny>(document).ok()?;
    Some(bytes.slice_ref(document))
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, middleware, routing::post};
    use tower::ServiceExt;

    use super::*;

    fn app(pace: Pace, answer_after: Duration) -> Router {
        Router::new()
            .route(
                "/",
                post(move || async move {
                    tokio::time::sleep(answer_after).await;
                    (StatusCode::BAD_REQUEST, "{\"id\":1}\n")
                }),
            )
            .layer(middleware::from_fn_with_state(pace, early_sse))
    }

    async fn answer(pace: Pace, answer_after: Duration) -> (StatusCode, String) {
        let request = Request::post("/").body(Body::empty()).expect("a valid request");
        let response = app(pace, answer_after).oneshot(request).await.expect("infallible");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 4096).await.expect("the body ends");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[test]
    fn a_document_stays_where_it_is_unless_it_has_line_breaks() {
        let plain = Bytes::from_static(b" {\"id\": 1}\n");
        let found = one_line(&plain).expect("a document");
        assert_eq!((found.as_ref(), found.as_ptr()), (&b"{\"id\": 1}"[..], plain[1..].as_ptr()));
        assert_eq!(one_line(&Bytes::from_static(b"{\r\n\"id\":\n1}")).as_deref(), Some(&b"{\"id\":1}"[..]));
        for broken in [&b""[..], b"{", b"<html>", b"{}\n{}"] {
            assert_eq!(one_line(&Bytes::from_static(broken)), None);
        }
    }

    #[tokio::test]
    async fn a_fast_answer_keeps_its_status() {
        let pace = Pace { head_after: Duration::from_secs(30), keep_alive: Duration::from_secs(30) };
        assert_eq!(answer(pace, Duration::ZERO).await, (StatusCode::BAD_REQUEST, "{\"id\":1}\n".to_owned()));
    }

    #[tokio::test]
    async fn a_slow_answer_comes_as_an_event_after_comments() {
        let pace = Pace { head_after: Duration::from_millis(5), keep_alive: Duration::from_millis(20) };
        let (status, body) = answer(pace, Duration::from_millis(200)).await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.starts_with(": working\n\n: working\n\n"), "{body}");
        assert!(body.ends_with("data: {\"id\":1}\n\n"), "{body}");
    }
}
