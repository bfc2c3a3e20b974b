//! `/api/jobs`: the newer view of queue and history.
//!
//! Owns filtering, sorting, paging and cancelling as the real server does it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::history::Entry;
use super::pyjson;
use super::queue::Job;
use super::server::{crash, json_answer};
use super::state::Sim;

const STATES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "cancelled"];

type Params = Query<std::collections::HashMap<String, String>>;

/// `GET /api/jobs`.
pub(super) async fn list(State(sim): State<Arc<Sim>>, Query(params): Params) -> Response {
    let wanted: Vec<&str> = params
        .get("status")
        .map(|s| s.split(',').map(str::trim).filter(|s| !s.is_empty()).collect())
        .unwrap_or_default();
    let unknown: Vec<&str> = wanted.iter().copied().filter(|s| !STATES.contains(s)).collect();
    if !unknown.is_empty() {
        let text = format!("Invalid status value(s): {}. Valid values: {}", unknown.join(", "), STATES.join(", "));
        return json_answer(400, &json!({"error": text}));
    }
    let state = sim.state();
    if state.history.entries().any(|e| is_poison(&e.job)) {
        return crash();
    }
    let mut jobs: Vec<Value> = state.history.entries().map(|e| finished(e, false)).collect();
    jobs.extend(state.running.iter().map(|r| waiting(&r.job, "in_progress")));
    jobs.extend(state.pending.items().iter().map(|j| waiting(j, "pending")));
    drop(state);
    let workflow = params.get("workflow_id");
    jobs.retain(|j| {
        (wanted.is_empty() || wanted.iter().any(|w| j["status"] == **w))
            && workflow.is_none_or(|w| j["workflow_id"] == **w)
    });
    let ascending = params.get("sort_order").is_some_and(|o| o == "asc");
    let by_duration = params.get("sort_by").is_some_and(|s| s == "execution_duration");
    jobs.sort_by_key(|j| if by_duration { duration(j) } else { j["create_time"].as_u64().unwrap_or(0) });
    if !ascending {
        jobs.reverse();
    }
    let total = jobs.len();
    let offset = params.get("offset").and_then(|o| o.parse::<usize>().ok()).unwrap_or(0);
    let limit = params.get("limit").and_then(|l| l.parse::<usize>().ok());
    let page: Vec<Value> = jobs.into_iter().skip(offset).take(limit.unwrap_or(usize::MAX)).collect();
    let more = offset + page.len() < total;
    json_answer(
        200,
        &json!({"jobs": page, "pagination": {"offset": offset, "limit": limit, "total": total, "has_more": more}}),
    )
}

/// `GET /api/jobs/{id}`.
pub(super) async fn one(State(sim): State<Arc<Sim>>, Path(id): Path<String>) -> Response {
    let state = sim.state();
    let found = if let Some(running) = state.running.as_ref().filter(|r| r.job.id == id) {
        Some(waiting(&running.job, "in_progress"))
    } else if let Some(job) = state.pending.items().iter().find(|j| j.id == id) {
        Some(waiting(job, "pending"))
    } else {
        state.history.get(&id).map(|e| finished(e, true))
    };
    drop(state);
    match found {
        Some(job) => json_answer(200, &job),
        None => json_answer(404, &json!({"error": "Job not found"})),
    }
}

/// `POST /api/jobs/{id}/cancel`.
pub(super) async fn cancel(State(sim): State<Arc<Sim>>, Path(id): Path<String>) -> Response {
    let cancelled = cancel_one(&sim, &id);
    json_answer(200, &json!({"cancelled": cancelled}))
}

/// `POST /api/jobs/cancel`.
pub(super) async fn cancel_many(State(sim): State<Arc<Sim>>, body: String) -> Response {
    let ids = pyjson::parse(&body).ok().and_then(|b| b["job_ids"].as_array().cloned());
    let Some(ids) = ids else {
        return json_answer(400, &json!({"error": "job_ids must be a list"}));
    };
    let invalid: Vec<&Value> =
        ids.iter().filter(|id| id.as_str().is_none_or(|s| Uuid::parse_str(s).is_err())).collect();
    if !invalid.is_empty() {
        return json_answer(400, &json!({"error": "job_ids contains invalid id(s)", "invalid_ids": invalid}));
    }
    let hits = ids.iter().filter_map(Value::as_str).filter(|id| cancel_one(&sim, id)).count();
    json_answer(200, &json!({"cancelled": hits > 0}))
}

fn cancel_one(sim: &Sim, id: &str) -> bool {
    sim.delete_pending(id) || sim.interrupt(Some(id))
}

fn waiting(job: &Job, status: &str) -> Value {
    with_workflow(
        job,
        json!({"id": job.id, "status": status, "priority": job.number, "create_time": job.create_time,
        "outputs_count": 0, "previewable_outputs_count": 0}),
    )
}

fn finished(entry: &Entry, whole: bool) -> Value {
    let status = match entry.status["status_str"].as_str() {
        Some("success") => "completed",
        _ if entry.was_interrupted() => "cancelled",
        _ => "failed",
    };
    let files: Vec<(&String, &String, &Value)> = entry
        .outputs
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(node, output)| {
            output.as_object().into_iter().flatten().map(move |(media, items)| (node, media, items))
        })
        .flat_map(|(node, media, items)| items.as_array().into_iter().flatten().map(move |item| (node, media, item)))
        .filter(|(_, _, item)| item.is_object())
        .collect();
    let mut job = json!({"id": entry.job.id, "status": status, "priority": entry.job.number, "create_time": entry.job.create_time,
        "execution_start_time": entry.started_ms, "execution_end_time": entry.finished_ms,
        "outputs_count": files.len(), "previewable_outputs_count": files.len()});
    if let Some((node, media, item)) = files.first() {
        let mut preview = (*item).clone();
        preview["nodeId"] = json!(node);
        preview["mediaType"] = json!(media);
        job["preview_output"] = preview;
    }
    let mut job = with_workflow(&entry.job, job);
    if whole {
        job["outputs"] = entry.outputs.clone();
        job["execution_status"] = entry.status.clone();
        job["workflow"] = json!({"prompt": &*entry.job.graph, "extra_data": entry.job.extra});
    }
    job
}

fn with_workflow(job: &Job, mut shown: Value) -> Value {
    if let Some(id) = job.extra["extra_pnginfo"]["workflow"].get("id") {
        shown["workflow_id"] = id.clone();
    }
    shown
}

/// Prompts whose workflow is null make the real listing crash until they are deleted.
fn is_poison(job: &Job) -> bool {
    let info: Option<&Map<String, Value>> = job.extra.as_object();
    match info.and_then(|e| e.get("extra_pnginfo")) {
        Some(Value::Null) => true,
        Some(info) => info.get("workflow").is_some_and(Value::is_null),
        None => false,
    }
}

fn duration(job: &Value) -> u64 {
    let time = |name: &str| job[name].as_u64().unwrap_or(0);
    time("execution_end_time").saturating_sub(time("execution_start_time"))
}
