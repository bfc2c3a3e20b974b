//! The tasks extension: another view of the same job rows. A task's id is its job's id, so nothing is
//! kept here and every replica can answer.

use std::time::Duration;

use hub_core::{
    error::{ErrorCode, UserError},
    ids::JobId,
    job::JobStateKind,
};
use hub_engine::JobView;
use rmcp::{
    ErrorData,
    model::{DetailedTask, GetTaskResult, Task, TaskPayload, TaskStatus},
};
use serde_json::{Value, json};

use crate::{calls, delivery::Delivery, hub::Hub, result};

/// A call is answered with a task only when its job takes longer than this.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// How often a client should ask, in milliseconds.
const POLL_INTERVAL_MS: u64 = 1_000;

/// One day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// The task of a job. It can be asked for as long as jobs are kept.
pub(crate) fn task_of(hub: &Hub, view: &JobView) -> Task {
    let times = &view.job.times;
    let updated = times.finished_at.or(times.started_at).or(times.queued_at).unwrap_or(times.created_at);
    let message = view
        .progress
        .as_ref()
        .map_or_else(|| view.job.state.kind().as_str().to_owned(), hub_engine::JobProgress::describe);
    let task = Task::new(
        view.job.id.to_string(),
        status_of(view.job.state.kind()),
        times.created_at.to_rfc3339(),
        updated.to_rfc3339(),
    )
    .with_status_message(message)
    .with_poll_interval_ms(POLL_INTERVAL_MS);
    match hub.engine.config().retention_days {
        Some(days) => task.with_ttl_ms(u64::from(days) * DAY_MS),
        None => task,
    }
}

/// A job that failed is a completed task whose result says so: `failed` means a broken request.
fn status_of(state: JobStateKind) -> TaskStatus {
    match state {
        JobStateKind::Planning
        | JobStateKind::Queued
        | JobStateKind::Assigned
        | JobStateKind::Running
        | JobStateKind::Collecting => TaskStatus::Working,
        JobStateKind::Succeeded | JobStateKind::Failed | JobStateKind::Expired => TaskStatus::Completed,
        JobStateKind::Cancelled => TaskStatus::Cancelled,
    }
}

/// `tasks/get`.
///
/// # Errors
/// -32602 for an unknown task.
pub(crate) async fn get(hub: &Hub, id: &str, delivery: &Delivery) -> Result<GetTaskResult, ErrorData> {
    let view = hub.engine.view_for(&delivery.caller, parse(id)?).await.map_err(|error| protocol_error(id, &error))?;
    let task = task_of(hub, &view);
    let payload = match task.status {
        TaskStatus::Completed => {
            let answer = calls::ended(hub, &view, None, delivery).await;
            match serde_json::to_value(answer) {
                Ok(Value::Object(result)) => TaskPayload::Completed { result },
                Ok(_) | Err(_) => return Err(ErrorData::internal_error("The result cannot be written.", None)),
            }
        }
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        _ => TaskPayload::Working,
    };
    Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
}

/// `tasks/update`: our tasks never ask anything, so answers to them are taken and dropped.
///
/// # Errors
/// -32602 for an unknown task.
pub(crate) async fn update(hub: &Hub, id: &str, delivery: &Delivery) -> Result<(), ErrorData> {
    hub.engine.view_for(&delivery.caller, parse(id)?).await.map(|_| ()).map_err(|error| protocol_error(id, &error))
}

/// `tasks/cancel`.
///
/// # Errors
/// -32602 for an unknown task.
pub(crate) async fn cancel(hub: &Hub, id: &str, delivery: &Delivery) -> Result<(), ErrorData> {
    let job = parse(id)?;
    hub.engine.check_job(&delivery.caller, job).await.map_err(|error| protocol_error(id, &error))?;
    hub.engine.cancel(job).await.map(|_| ()).map_err(|error| protocol_error(id, &error))
}

fn parse(id: &str) -> Result<JobId, ErrorData> {
    id.parse().map_err(|_| unknown(id))
}

fn unknown(id: &str) -> ErrorData {
    let shown: String = id.chars().take(80).collect();
    ErrorData::invalid_params("Unknown task.", Some(json!({"taskId": shown})))
}

fn protocol_error(id: &str, error: &UserError) -> ErrorData {
    if error.code == ErrorCode::UnknownJob {
        unknown(id)
    } else {
        ErrorData::internal_error(error.explain(), Some(result::error_record(error)))
    }
}
