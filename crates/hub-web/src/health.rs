//! `/healthz` and `/readyz`, for supervisors and load balancers.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use crate::router::App;

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether requests can be served, and why not. A hub without servers is ready: it takes jobs and
/// tells callers what is missing.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let store = app.engine.store().ping().await;
    if let Err(error) = &store {
        tracing::error!(error = %error, "not ready: the database does not answer");
    }
    let servers = app.engine.servers();
    let ready_servers = servers.iter().filter(|view| view.state.takes_work()).count();
    let mut reasons = Vec::new();
    if store.is_err() {
        reasons.push("the database does not answer".to_owned());
    }
    if servers.is_empty() {
        reasons.push("no ComfyUI server is registered".to_owned());
    } else if ready_servers == 0 {
        reasons.push(format!("none of {} ComfyUI servers takes work", servers.len()));
    }
    let status = if store.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": store.is_ok(),
        "store": if store.is_ok() { "ok" } else { "unreachable" },
        "servers": {"ready": ready_servers, "all": servers.len()},
        "reasons": reasons,
        "version": app.config.version,
    });
    (status, Json(body)).into_response()
}
