//! Jobs and their states. The transitions are a pure function; the store repeats the expected state
//! and attempt in its UPDATE, so that two writers cannot both win.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    error::UserError,
    ids::{JobId, PromptId, ServerId},
    parts::Outcome,
    placement::Placement,
    recipe::Recipe,
    request::{GeneratedPrompt, JobRequest},
    trace::TraceParent,
};

/// One try to run a job on one server. The number fences late writers: only the newest attempt may
/// change the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1, 2, 3 … within the job.
    pub number: u32,
    /// Where.
    pub server: ServerId,
    /// Under which id it was posted there.
    pub prompt_id: PromptId,
}

/// What a job is at.
#[derive(Debug, Clone, PartialEq)]
pub enum JobState {
    /// Accepted; the prompt is being enhanced, or the LLM is at work.
    Planning,
    /// Has its recipe and waits for a server.
    Queued,
    /// Belongs to a server; may or may not be posted there yet.
    Assigned(Attempt),
    /// The server runs it.
    Running(Attempt),
    /// Made in parts, which are at work; it has no attempt of its own. Counts as running.
    InParts,
    /// Ran; its files are being fetched.
    Collecting(Attempt),
    /// Ended with a result.
    Succeeded,
    /// Ended without.
    Failed(UserError),
    /// Ended because somebody asked.
    Cancelled,
    /// Ended because it waited too long.
    Expired,
}

/// The state without its data: what is stored, filtered by and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStateKind {
    /// See [`JobState::Planning`].
    Planning,
    /// See [`JobState::Queued`].
    Queued,
    /// See [`JobState::Assigned`].
    Assigned,
    /// See [`JobState::Running`].
    Running,
    /// See [`JobState::Collecting`].
    Collecting,
    /// See [`JobState::Succeeded`].
    Succeeded,
    /// See [`JobState::Failed`].
    Failed,
    /// See [`JobState::Cancelled`].
    Cancelled,
    /// See [`JobState::Expired`].
    Expired,
}

impl JobStateKind {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::Planning,
        Self::Queued,
        Self::Assigned,
        Self::Running,
        Self::Collecting,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether the job has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// The state as it is printed and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Collecting => "collecting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for JobStateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no job state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a job state")]
pub struct InvalidJobState(String);

impl FromStr for JobStateKind {
    type Err = InvalidJobState;

    fn from_str(text: &str) -> Result<Self, InvalidJobState> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidJobState(text.chars().take(40).collect()))
    }
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// The recipe is ready.
    Planned,
    /// A server was chosen and the attempt written.
    Assign(Attempt),
    /// The server began.
    Start {
        /// Number of the attempt that says so.
        attempt: u32,
    },
    /// The first of its parts has begun.
    Began,
    /// All its parts have ended, and this follows.
    Complete(Outcome),
    /// The server is done.
    Collect {
        /// Number of the attempt that says so.
        attempt: u32,
    },
    /// The result is stored. Without attempt: work that needs no server (an LLM's answer).
    Succeed {
        /// Number of the attempt that says so.
        attempt: Option<u32>,
    },
    /// The attempt is over without result; the job goes back to the queue.
    Requeue {
        /// Number of the attempt that says so.
        attempt: u32,
    },
    /// It cannot be done.
    Fail(UserError),
    /// Somebody asked.
    Cancel,
    /// It waited too long.
    Expire,
}

/// An event that the state does not allow.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a job that is {from} cannot take {event}")]
pub struct InvalidTransition {
    /// State before.
    pub from: JobStateKind,
    /// The event's name.
    pub event: &'static str,
}

impl JobState {
    /// The state without its data.
    pub fn kind(&self) -> JobStateKind {
        match self {
            Self::Planning => JobStateKind::Planning,
            Self::Queued => JobStateKind::Queued,
            Self::Assigned(_) => JobStateKind::Assigned,
            Self::Running(_) | Self::InParts => JobStateKind::Running,
            Self::Collecting(_) => JobStateKind::Collecting,
            Self::Succeeded => JobStateKind::Succeeded,
            Self::Failed(_) => JobStateKind::Failed,
            Self::Cancelled => JobStateKind::Cancelled,
            Self::Expired => JobStateKind::Expired,
        }
    }

    /// The attempt that owns the job now.
    pub fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Assigned(attempt) | Self::Running(attempt) | Self::Collecting(attempt) => Some(*attempt),
            _ => None,
        }
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// [`InvalidTransition`] when the state does not allow it: after a terminal state nothing does,
    /// and an attempt that is not the newest changes nothing.
    pub fn apply(self, event: JobEvent) -> Result<Self, InvalidTransition> {
        let from = self.kind();
        let refuse = |event| Err(InvalidTransition { from, event });
        match (self, event) {
            (Self::Planning, JobEvent::Planned) => Ok(Self::Queued),
            (Self::Queued, JobEvent::Assign(attempt)) => Ok(Self::Assigned(attempt)),
            (Self::Assigned(at), JobEvent::Start { attempt }) if at.number == attempt => Ok(Self::Running(at)),
            (Self::Assigned(at) | Self::Running(at), JobEvent::Collect { attempt }) if at.number == attempt => {
                Ok(Self::Collecting(at))
            }
            (Self::Collecting(at), JobEvent::Succeed { attempt: Some(attempt) }) if at.number == attempt => {
                Ok(Self::Succeeded)
            }
            (Self::Planning, JobEvent::Succeed { attempt: None }) => Ok(Self::Succeeded),
            (Self::Queued, JobEvent::Began) => Ok(Self::InParts),
            (Self::InParts, JobEvent::Complete(outcome)) => Ok(match outcome {
                Outcome::Succeeded { .. } => Self::Succeeded,
                Outcome::Failed(error) => Self::Failed(error),
                Outcome::Expired => Self::Expired,
                Outcome::Cancelled => Self::Cancelled,
            }),
            (Self::Assigned(at) | Self::Running(at) | Self::Collecting(at), JobEvent::Requeue { attempt })
                if at.number == attempt =>
            {
                Ok(Self::Queued)
            }
            (state, JobEvent::Fail(error)) if !state.kind().is_terminal() => Ok(Self::Failed(error)),
            (state, JobEvent::Cancel) if !state.kind().is_terminal() => Ok(Self::Cancelled),
            (Self::Planning | Self::Queued, JobEvent::Expire) => Ok(Self::Expired),
            (_, JobEvent::Planned) => refuse("a plan"),
            (_, JobEvent::Assign(_)) => refuse("a server"),
            (_, JobEvent::Start { .. }) => refuse("a start"),
            (_, JobEvent::Began) => refuse("the start of a part"),
            (_, JobEvent::Complete(_)) => refuse("the end of its parts"),
            (_, JobEvent::Collect { .. }) => refuse("its end"),
            (_, JobEvent::Succeed { .. }) => refuse("a result"),
            (_, JobEvent::Requeue { .. }) => refuse("a requeue"),
            (_, JobEvent::Fail(_)) => refuse("a failure"),
            (_, JobEvent::Cancel) => refuse("a cancel"),
            (_, JobEvent::Expire) => refuse("an expiry"),
        }
    }
}

/// When each part of a job's life began, in UTC; `None` = not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTimes {
    /// Accepted.
    pub created_at: DateTime<Utc>,
    /// Recipe ready.
    pub queued_at: Option<DateTime<Utc>>,
    /// Newest attempt's server began.
    pub started_at: Option<DateTime<Utc>>,
    /// Terminal.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Which part of another job a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The whole: the caller's job, which holds the results of all its parts.
    pub of: JobId,
    /// Its place among them, from 0.
    pub index: u32,
}

/// One job as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Who asked.
    pub caller: Caller,
    /// What was asked, parsed.
    pub request: JobRequest,
    /// What it is at.
    pub state: JobState,
    /// The plan, once there is one; none for jobs that need no ComfyUI server.
    pub recipe: Option<Recipe>,
    /// Text result, for jobs that have one: a description, or a generated prompt as JSON.
    pub text: Option<String>,
    /// What the caller should know although the job goes on.
    pub warnings: Vec<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// Servers that must not get it again.
    pub excluded: Vec<ServerId>,
    /// Higher goes first within one caller. Default 0.
    pub priority: i32,
    /// The servers it is pinned to.
    pub placement: Placement,
    /// The caller's key for replays.
    pub idempotency_key: Option<String>,
    /// The job that this one retries, runs again or varies; that one may be deleted by now.
    pub parent: Option<JobId>,
    /// Where its caller's trace goes on.
    pub trace: Option<TraceParent>,
    /// The server that ran or runs the newest attempt.
    pub server: Option<ServerId>,
    /// Timings.
    pub times: JobTimes,
    /// Set for jobs that make one picture of several: they are run like any other, and told to nobody
    /// who asks for jobs.
    pub part: Option<Part>,
}

impl Job {
    /// Whether it is made in parts, and runs nowhere itself.
    pub fn is_whole(&self) -> bool {
        self.part.is_none() && self.request.pictures() > 1
    }

    /// The job that holds its results: itself, or the whole that it is a part of.
    pub fn result_job(&self) -> JobId {
        self.part.map_or(self.id, |part| part.of)
    }
}

impl Job {
    /// The prompt that a finished `generate_prompt` job made.
    pub fn generated_prompt(&self) -> Option<GeneratedPrompt> {
        match self.request {
            JobRequest::Prompt(_) => serde_json::from_str(self.text.as_deref()?).ok(),
            JobRequest::Image(_) | JobRequest::Describe(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
