//! What the engine shows of a job's past.

use chrono::{DateTime, Utc};
use hub_core::{
    error::UserError,
    ids::ServerId,
    job::{Job, JobStateKind},
};
use serde::Serialize;
use utoipa::ToSchema;

/// One try to run a job on one server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AttemptView {
    /// 1, 2, 3 … within the job, or within the part.
    pub number: u32,
    /// Which of the job's pictures it was for, from 1; absent for a job that is not made in parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub part: Option<u32>,
    /// Where.
    pub server_id: ServerId,
    /// The server's name, as long as it is known.
    pub server: Option<String>,
    /// Under which id it was posted there.
    pub prompt_id: String,
    /// When the server was chosen.
    pub assigned_at: DateTime<Utc>,
    /// When it was over; null while it owns the job.
    pub ended_at: Option<DateTime<Utc>>,
    /// `succeeded`; `requeued` (by its server's fault); `returned` (by nobody's fault); `failed`; `cancelled`; null
    /// while it owns the job.
    pub outcome: Option<String>,
    /// Why, where it was neither success nor a cancel.
    pub error: Option<UserError>,
    /// Whether the server loaded models for it; null where nobody knows, as of runs that did not succeed.
    pub loaded_models: Option<bool>,
}

/// What a point of a job's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimelineStep {
    /// Accepted and stored.
    Created,
    /// Its recipe is ready; it waits for a server.
    Queued,
    /// A server was chosen.
    Assigned,
    /// The server began (newest attempt only).
    Running,
    /// An attempt was over, and the job was not.
    AttemptEnded,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It waited too long.
    Expired,
}

/// A point of a job's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimelinePoint {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub step: TimelineStep,
    /// The attempt's number, where one is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub attempt: Option<u32>,
    /// Which of the job's pictures that was for, from 1; absent for a job that is not made in parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub part: Option<u32>,
    /// The attempt's server by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub server: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
}

/// A job's past.
#[derive(Debug, Clone, PartialEq)]
pub struct JobHistory {
    /// Its attempts, the first one first.
    pub attempts: Vec<AttemptView>,
    /// The points of its life in their order.
    pub timeline: Vec<TimelinePoint>,
}

impl JobHistory {
    /// The past of a job with these attempts.
    pub(crate) fn of(job: &Job, attempts: Vec<AttemptView>) -> Self {
        let bare = |at, step| TimelinePoint { at, step, attempt: None, part: None, server: None, detail: None };
        let mut timeline = vec![bare(job.times.created_at, TimelineStep::Created)];
        timeline.extend(job.times.queued_at.map(|at| bare(at, TimelineStep::Queued)));
        let in_parts = job.is_whole();
        let newest = attempts.last().map(|attempt| attempt.number).filter(|_| !in_parts);
        for attempt in &attempts {
            let point = |at, step, detail| TimelinePoint {
                at,
                step,
                attempt: Some(attempt.number),
                part: attempt.part,
                server: attempt.server.clone(),
                detail,
            };
            timeline.push(point(attempt.assigned_at, TimelineStep::Assigned, None));
            if newest == Some(attempt.number) {
                timeline.extend(job.times.started_at.map(|at| point(at, TimelineStep::Running, None)));
            }
            let went_on = matches!(attempt.outcome.as_deref(), Some("requeued" | "returned"));
            if let Some(at) = attempt.ended_at.filter(|_| went_on) {
                let why = attempt.error.as_ref().map(|error| error.message.clone());
                timeline.push(point(at, TimelineStep::AttemptEnded, why));
            }
        }
        if in_parts {
            // Its parts are at work at the same time.
            timeline.extend(job.times.started_at.map(|at| bare(at, TimelineStep::Running)));
            timeline.sort_by_key(|point| (point.at, point.step as u8));
        }
        if let (Some(at), Some(step)) = (job.times.finished_at, end(job.state.kind())) {
            let why = match &job.state {
                hub_core::job::JobState::Failed(error) => Some(error.message.clone()),
                _ => None,
            };
            timeline.push(TimelinePoint { detail: why, ..bare(at, step) });
        }
        Self { attempts, timeline }
    }
}

fn end(state: JobStateKind) -> Option<TimelineStep> {
    match state {
        JobStateKind::Succeeded => Some(TimelineStep::Succeeded),
        JobStateKind::Failed => Some(TimelineStep::Failed),
        JobStateKind::Cancelled => Some(TimelineStep::Cancelled),
        JobStateKind::Expired => Some(TimelineStep::Expired),
        JobStateKind::Planning
        | JobStateKind::Queued
        | JobStateKind::Assigned
        | JobStateKind::Running
        | JobStateKind::Collecting => None,
    }
}

/// Where a waiting job shall be among those of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// This priority; higher goes first.
    Priority(i64),
    /// Before all others.
    First,
    /// Behind all others.
    Last,
}
