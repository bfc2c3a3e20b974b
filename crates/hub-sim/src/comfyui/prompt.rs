//! `POST /prompt`: from a body to a queued job, with the faults that strike there.
//!
//! Owns the order of checks of the real handler, including where it crashes. Never runs a prompt.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::graph::Graph;
use super::pyjson;
use super::queue::Job;
use super::server::{crash, json_answer};
use super::state::{Sim, now_ms};
use super::validate::{Rules, Verdict, error, validate};
use crate::script::{DieAt, Fault};

/// Time for the answer to leave before the process dies.
const LAST_WORDS: Duration = Duration::from_millis(15);

/// Handles the body of `POST /prompt`.
pub(super) async fn post(sim: &Arc<Sim>, body: &str) -> Response {
    sim.count(|s| s.prompts_received += 1);
    let healed = sim.healed();
    let faults = sim.faults().for_prompt(body);
    if faults.contains(&Fault::Die { at: DieAt::BeforeAccept }) {
        drop(sim.down());
        return std::future::pending().await;
    }
    let Ok(document) = pyjson::parse(body) else { return crash() };
    let request = match document {
        Value::Object(request) => request,
        Value::Array(_) => Map::new(),
        _ => return crash(),
    };
    let Some((number, order)) = number(sim, &request) else { return crash() };
    let ready = match check(sim, request) {
        Ok(ready) => ready,
        Err(answer) => return *answer,
    };
    let job = Arc::new(Job {
        number: number.clone(),
        order,
        id: ready.id.clone(),
        client_id: ready.extra["client_id"].as_str().map(str::to_owned),
        graph: Arc::new(Value::Object(ready.graph)),
        extra: ready.extra,
        outputs: ready.outputs,
        create_time: now_ms(),
        faults: faults.clone(),
        healed,
    });
    let poisoned = job.extra.get("client_id").is_some_and(|c| c.is_object() || c.is_array());
    let crashed = enqueue(sim, job);
    if poisoned || faults.contains(&Fault::Die { at: DieAt::AfterAccept }) {
        die_soon(sim);
    }
    if faults.contains(&Fault::AcceptThenTimeout) {
        return std::future::pending().await;
    }
    if crashed || faults.contains(&Fault::QueuedBut500) {
        return crash();
    }
    let node_errors = if faults.contains(&Fault::NodeErrors200) { invented_error() } else { ready.node_errors };
    json_answer(200, &json!({"prompt_id": ready.id, "number": number, "node_errors": node_errors}))
}

/// A request that may be queued.
struct Ready {
    id: String,
    graph: Graph,
    extra: Value,
    outputs: Vec<String>,
    node_errors: Value,
}

/// The number of the prompt; the counter moves even when the prompt turns out bad. `None` is a crash.
fn number(sim: &Sim, request: &Map<String, Value>) -> Option<(Value, f64)> {
    if let Some(wanted) = request.get("number") {
        let order = match wanted {
            Value::Number(n) => n.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            Value::Bool(b) => f64::from(u8::from(*b)),
            _ => return None,
        };
        return Some((json!(order), order));
    }
    let mut state = sim.state();
    let counter = state.next_number;
    state.next_number += 1;
    let number = if request.get("front").is_some_and(|f| *f == true) { -counter } else { counter };
    Some((json!(number), number as f64))
}

fn check(sim: &Sim, mut request: Map<String, Value>) -> Result<Ready, Box<Response>> {
    let bad = |error: Value, node_errors: &Value| {
        Box::new(json_answer(400, &json!({"error": error, "node_errors": node_errors})))
    };
    let Some(prompt) = request.remove("prompt") else {
        return Err(bad(error("no_prompt", "No prompt provided", "No prompt provided", &json!({})), &json!({})));
    };
    let mut graph = match prompt {
        Value::Object(graph) => graph,
        Value::Array(list) if list.is_empty() && !sim.version.after(0, 3, 64) => Map::new(),
        _ => return Err(Box::new(crash())),
    };
    let id = prompt_id(sim, request.get("prompt_id")).ok_or_else(|| {
        let details = "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one";
        bad(error("invalid_prompt_id", "prompt_id must be a valid UUID", details, &json!({})), &json!({}))
    })?;
    let mut extra = match request.remove("extra_data") {
        None => Map::new(),
        Some(Value::Object(extra)) => extra,
        Some(_) => return Err(Box::new(crash())),
    };
    if let Some(client) = request.remove("client_id") {
        extra.insert("client_id".to_owned(), client);
    }
    let targets: Option<Vec<String>> = request
        .get("partial_execution_targets")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let listing = sim.listing();
    let has_file = |name: &str| sim.files().annotated(name).is_some();
    let rules = Rules { catalogue: &sim.catalogue, listing: &listing, version: sim.version, has_file: &has_file };
    match validate(&mut graph, targets.as_deref(), &rules) {
        Verdict::Good { outputs, node_errors } => {
            if sim.version.after(0, 3, 68) {
                extra.insert("create_time".to_owned(), json!(now_ms()));
            }
            Ok(Ready { id, graph, extra: Value::Object(extra), outputs, node_errors })
        }
        Verdict::Bad { error, node_errors } => Err(bad(error, &node_errors)),
        Verdict::Crash => Err(Box::new(crash())),
    }
}

/// The id to use, or `None` when the wanted one is refused.
fn prompt_id(sim: &Sim, wanted: Option<&Value>) -> Option<String> {
    let wanted = match wanted {
        None | Some(Value::Null) => return Some(Uuid::new_v4().to_string()),
        Some(wanted) => wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned),
    };
    if !sim.version.after(0, 3, 44) {
        return Some(Uuid::new_v4().to_string());
    }
    let canonical = Uuid::parse_str(&wanted).is_ok_and(|id| id.to_string() == wanted);
    (canonical || !sim.version.after(0, 24, 0)).then_some(wanted)
}

/// Queues the job; true when the real heap would raise on the way (two equal keys).
fn enqueue(sim: &Sim, job: Arc<Job>) -> bool {
    let mut state = sim.state();
    if job.faults.contains(&Fault::ZombieWorker) {
        state.worker_is_dead = true;
    }
    if let (true, Some(client)) = (job.faults.contains(&Fault::Deaf), &job.client_id) {
        state.sockets.deafen(client);
    }
    let tied = state.pending.items().iter().any(|other| other.ties_with(&job));
    state.pending.push(job);
    state.broadcast_status();
    drop(state);
    sim.wake.notify_one();
    tied
}

fn die_soon(sim: &Arc<Sim>) {
    let sim = sim.clone();
    tokio::spawn(async move {
        tokio::time::sleep(LAST_WORDS).await;
        drop(sim.down());
    });
}

/// What a server says when one of several outputs was dropped.
fn invented_error() -> Value {
    let reason = error("required_input_missing", "Required input is missing", "image", &json!({"input_name": "image"}));
    json!({"11": {"errors": [reason], "dependent_outputs": ["10"], "class_type": "ImageInvert"}})
}
