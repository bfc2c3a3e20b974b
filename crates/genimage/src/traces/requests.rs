//! A span for each request of a machine edge, from its head to the last byte of its answer.

use axum::{
    extract::{MatchedPath, Request, State},
    http::HeaderValue,
    middleware::Next,
    response::Response,
};
use hub_core::trace::TraceParent;
use opentelemetry::{
    Context as Parent, KeyValue,
    trace::{Span as _, SpanKind, Status, Tracer as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::jobs::remote;
use crate::held::until_sent;

const HEADER: &str = "traceparent";

/// Whether programs ask there for work.
fn is_followed(path: &str) -> bool {
    path == "/mcp" || ["/legacy/", "/api/", "/v1/"].iter().any(|start| path.starts_with(start))
}

/// Follows one request. What comes of it goes on from its span: the header names it as the parent.
pub(super) async fn follow(State(tracer): State<SdkTracer>, mut request: Request, next: Next) -> Response {
    if !is_followed(request.uri().path()) {
        return next.run(request).await;
    }
    let parent = request.headers().get(HEADER).and_then(|value| TraceParent::parse(value.to_str().ok()?));
    let parent = parent.map_or_else(Parent::new, |trace| remote(&trace));
    // The route, not the path: paths hold ids.
    let route = request.extensions().get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let mut span = tracer
        .span_builder(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("http.request.method", method), KeyValue::new("http.route", route)])
        .start_with_context(&tracer, &parent);
    if let Some(header) = header(&span) {
        request.headers_mut().insert(HEADER, header);
    }
    let response = next.run(request).await;
    let status = response.status();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(status.to_string()));
    }
    // Ended when it is dropped.
    until_sent(response, span)
}

fn header(span: &Span) -> Option<HeaderValue> {
    let at = span.span_context();
    let parent = TraceParent {
        trace_id: u128::from_be_bytes(at.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(at.span_id().to_bytes()),
        sampled: at.is_sampled(),
    };
    HeaderValue::from_str(&parent.to_string()).ok()
}
