//! `/livez` (`/healthz`) and `/readyz`, for supervisors and load balancers.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use hub_core::{access::Scope, caller::Caller};
use serde_json::json;
use tokio::sync::Mutex;

use crate::{asker::Asker, router::App};

/// Longest wait for each part to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer of the picture store is told again: to ask it writes a file, and anybody may ask the hub.
const TOLD_AGAIN: Duration = Duration::from_secs(5);

/// Whether the picture store answered when it was asked last.
#[derive(Default)]
pub(crate) struct Objects(Mutex<Option<(Instant, bool)>>);

impl Objects {
    async fn answer(&self, app: &App) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < TOLD_AGAIN
        {
            return answered;
        }
        let answered = match tokio::time::timeout(PATIENCE, app.engine.objects_probe()).await {
            Ok(Ok(())) => true,
            // What it failed of is in the log already.
            Ok(Err(_)) => false,
            Err(_) => {
                tracing::error!("not ready: the picture store does not answer");
                false
            }
        };
        *last = Some((Instant::now(), answered));
        answered
    }
}

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether requests can be served. Why not, and how servers are, is told to those who may know. A hub without servers is
/// ready: it takes jobs and tells callers what is missing.
pub(crate) async fn ready(State(app): State<App>, Asker(caller): Asker) -> Response {
    let (store, objects) = tokio::join!(store_answers(&app), app.objects.answer(&app));
    let ready = store && objects;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !may_know(&app, &caller) {
        return (status, Json(json!({ "ready": ready }))).into_response();
    }
    let servers = app.engine.servers();
    let ready_servers = servers.iter().filter(|view| view.state.takes_work()).count();
    let mut reasons = Vec::new();
    if !store {
        reasons.push("the database does not answer".to_owned());
    }
    if !objects {
        reasons.push("the picture store cannot be written and read; the log says more".to_owned());
    }
    if servers.is_empty() {
        reasons.push("no ComfyUI server is registered".to_owned());
    } else if ready_servers == 0 {
        reasons.push(format!("none of {} ComfyUI servers takes work", servers.len()));
    }
    let told = |answers: bool| if answers { "ok" } else { "unreachable" };
    let body = json!({
        "ready": ready,
        "store": told(store),
        "objects": told(objects),
        "servers": {"ready": ready_servers, "all": servers.len()},
        "reasons": reasons,
        "version": app.config.version,
    });
    (status, Json(body)).into_response()
}

async fn store_answers(app: &App) -> bool {
    match tokio::time::timeout(PATIENCE, app.engine.store().ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready: the database does not answer");
            false
        }
        Err(_) => {
            tracing::error!("not ready: the database does not answer in time");
            false
        }
    }
}

fn may_know(app: &App, caller: &Caller) -> bool {
    *caller != Caller::stranger() && app.engine.rights_of(caller).is_none_or(|rights| rights.has(Scope::Read))
}
