//! `/livez` (`/healthz`) and `/readyz`, for supervisors and load balancers.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use hub_core::{access::Scope, caller::Caller};
use hub_store::StoreError;
use serde_json::json;
use tokio::sync::Mutex;

use crate::{asker::Asker, router::App};

/// Longest wait for each part to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer is told again: each part is asked by writing to it, and anybody may ask the hub.
const TOLD_AGAIN: Duration = Duration::from_secs(5);

/// What the parts answered when they were asked last.
#[derive(Default)]
pub(crate) struct LastAnswers {
    store: LastAnswer,
    objects: LastAnswer,
}

/// What one part answered. Whoever comes while it is asked waits for that answer.
#[derive(Default)]
struct LastAnswer(Mutex<Option<(Instant, Answer)>>);

type Answer = Result<(), Trouble>;

/// Why a part cannot be used: in a word for programs, and in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    word: &'static str,
    reason: &'static str,
}

impl LastAnswer {
    async fn or_ask(&self, ask: impl Future<Output = Answer>) -> Answer {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = *last
            && at.elapsed() < TOLD_AGAIN
        {
            return answer;
        }
        let answer = ask.await;
        *last = Some((Instant::now(), answer));
        answer
    }
}

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether requests can be served. Why not, and how servers are, is told to those who may know. A hub without servers is
/// ready: it takes jobs and tells callers what is missing.
pub(crate) async fn ready(State(app): State<App>, Asker(caller): Asker) -> Response {
    let LastAnswers { store, objects } = &app.health;
    let (store, objects) = tokio::join!(store.or_ask(ask_store(&app)), objects.or_ask(ask_objects(&app)));
    let ready = store.is_ok() && objects.is_ok();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !may_know(&app, &caller) {
        return (status, Json(json!({ "ready": ready }))).into_response();
    }
    let servers = app.engine.servers();
    let ready_servers = servers.iter().filter(|view| view.state.takes_work()).count();
    let troubles = [store.err(), objects.err()].into_iter().flatten();
    let mut reasons: Vec<String> = troubles.map(|trouble| trouble.reason.to_owned()).collect();
    if servers.is_empty() {
        reasons.push("no ComfyUI server is registered".to_owned());
    } else if ready_servers == 0 {
        reasons.push(format!("none of {} ComfyUI servers takes work", servers.len()));
    }
    let told = |answer: Answer| answer.map_or_else(|trouble| trouble.word, |()| "ok");
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

async fn ask_store(app: &App) -> Answer {
    match tokio::time::timeout(PATIENCE, app.engine.store().ping()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready: the database cannot be used");
            Err(trouble_of(&error))
        }
        Err(_) => {
            tracing::error!("not ready: the database does not answer in time");
            Err(Trouble { word: "unreachable", reason: "the database does not answer in time" })
        }
    }
}

/// Without the error's own words, which may name paths.
fn trouble_of(error: &StoreError) -> Trouble {
    let (word, reason) = match error {
        StoreError::Busy(_) => {
            ("locked", "the database is locked: another process holds it, or writes take longer than they should")
        }
        StoreError::ReadOnly(_) => ("read_only", "the database is read-only"),
        StoreError::Full(_) => ("full", "no space is left for the database"),
        _ => ("unreachable", "the database does not answer; the log says more"),
    };
    Trouble { word, reason }
}

async fn ask_objects(app: &App) -> Answer {
    match tokio::time::timeout(PATIENCE, app.engine.objects_probe()).await {
        Ok(Ok(())) => return Ok(()),
        // What it failed of is in the log already.
        Ok(Err(_)) => {}
        Err(_) => tracing::error!("not ready: the picture store does not answer"),
    }
    let reason = "the picture store cannot be written and read; the log says more";
    Err(Trouble { word: "unreachable", reason })
}

fn may_know(app: &App, caller: &Caller) -> bool {
    *caller != Caller::stranger() && app.engine.rights_of(caller).is_none_or(|rights| rights.has(Scope::Read))
}
