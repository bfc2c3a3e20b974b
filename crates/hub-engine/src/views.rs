//! What the engine shows to the edges.

pub(crate) mod graph;
mod history;
mod lease;
mod reconciler;
mod server;
mod waiting;

use std::sync::Arc;

use bytes::Bytes;
use hub_core::{
    artifact::Artifact,
    ids::JobId,
    job::{Job, JobStateKind},
    recipe::Recipe,
};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

pub use graph::{InputHolds, InputView, NodeView};
pub use history::{AttemptView, JobHistory, Precedence, TimelinePoint, TimelineStep};
pub use lease::{LeaseHolder, LeaseView};
pub use reconciler::{ReconcilerRun, ReconcilerView};
pub use server::{
    Alert, AlertKind, BreakerView, DeviceView, ForeignQueue, InventoryState, InventoryView, Lack, RenderTypeOnServer,
    ServerInfo, ServerLive, ServerTest, ServerView, StageName, StageOutcome, TestStage, TrialForm, WorkflowCheck,
    WorkflowOnServer,
};

pub use waiting::{ServerWhy, WaitReason, WhyWaiting};

/// Answer of a submit.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The job, as stored.
    pub job: Job,
    /// An earlier job that this call repeats, instead of a new one.
    pub replayed: bool,
}

/// What a request would do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanView {
    /// The whole recipe. Its prompts have their styles; an LLM that would reword them first was not asked.
    pub recipe: Recipe,
    /// An LLM would reword the prompt first.
    pub would_enhance: bool,
    /// What the caller should know.
    pub warnings: Vec<String>,
    /// The enabled servers, in the order of their names.
    pub servers: Vec<PlannedServer>,
}

/// Whether a server could run a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlannedServer {
    /// Its name.
    pub name: String,
    /// Why it could not, as far as is known; null when it could.
    pub why_not: Option<String>,
}

/// How far a job is. The newest state only: watchers that are slow miss steps, never the end.
#[derive(Debug, Clone, PartialEq)]
pub struct JobProgress {
    /// The job.
    pub job: JobId,
    /// Raised with every change; never goes back.
    pub sequence: u64,
    /// What it is at.
    pub state: JobStateKind,
    /// Jobs before it, while it waits; 0 = next.
    pub queue_position: Option<u32>,
    /// Server that has it, by name; of several pictures, all that are at work.
    pub server: Option<Arc<str>>,
    /// Work done, 0–1; never goes back within one attempt, and for several pictures never at all.
    pub fraction: f32,
    /// Step and steps of the node that runs.
    pub steps: Option<(u32, u32)>,
    /// The node that runs, by title or class; before that, what is being prepared.
    pub node: Option<Arc<str>>,
    /// Picture of the unfinished work.
    pub preview: Option<LivePreview>,
    /// While it waits and no server takes such jobs: why, in words, server by server.
    pub why_waiting: Option<Arc<str>>,
    /// For a job that makes several pictures: how many of them have ended, and how many there are.
    pub parts: Option<(u32, u32)>,
    /// The job of which this one makes one picture.
    pub part_of: Option<JobId>,
}

impl JobProgress {
    /// Progress of a job about which nothing but its state is known.
    pub fn of(job: &Job) -> Self {
        let state = job.state.kind();
        Self {
            job: job.id,
            sequence: 0,
            state,
            queue_position: None,
            server: None,
            fraction: if state.is_terminal() { 1.0 } else { 0.0 },
            steps: None,
            node: None,
            preview: None,
            why_waiting: None,
            parts: job.is_whole().then(|| (0, job.request.pictures())),
            part_of: job.part.map(|part| part.of),
        }
    }

    /// One line for people: `waiting, 3 before it`, `KSampler 12/20 on gpu-1`.
    pub fn describe(&self) -> String {
        let place = self.server.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
        if let (JobStateKind::Queued, Some(why)) = (self.state, &self.why_waiting) {
            return format!("waiting for a server: {why}");
        }
        if let (JobStateKind::Running, Some((done, of))) = (self.state, self.parts) {
            let at_work = if place.is_empty() { String::new() } else { format!(", at work{place}") };
            return format!("{done} of {of} pictures done{at_work}");
        }
        match (self.state, self.queue_position, &self.node, self.steps) {
            (JobStateKind::Planning, _, Some(what), _) => what.to_string(),
            (JobStateKind::Planning, ..) => "preparing the prompt".to_owned(),
            (JobStateKind::Queued, Some(0), ..) => "waiting, next in line".to_owned(),
            (JobStateKind::Queued, Some(before), ..) => format!("waiting, {before} before it"),
            (JobStateKind::Queued, None, ..) => "waiting".to_owned(),
            (JobStateKind::Assigned, ..) => format!("starting{place}"),
            (JobStateKind::Running, _, Some(node), Some((step, steps))) => format!("{node} {step}/{steps}{place}"),
            (JobStateKind::Running, _, Some(node), None) => format!("{node}{place}"),
            (JobStateKind::Running, ..) => format!("running{place}"),
            (JobStateKind::Collecting, ..) => "fetching the result".to_owned(),
            (state, ..) => state.as_str().to_owned(),
        }
    }
}

/// Picture of the unfinished work.
#[derive(Clone, PartialEq)]
pub struct LivePreview {
    /// MIME type.
    pub mime: &'static str,
    /// The encoded picture.
    pub bytes: Bytes,
}

impl std::fmt::Debug for LivePreview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LivePreview({}, {} bytes)", self.mime, self.bytes.len())
    }
}

/// Follows one job.
#[derive(Debug, Clone)]
pub struct JobWatch(pub(crate) watch::Receiver<JobProgress>);

impl JobWatch {
    /// The newest progress.
    pub fn now(&mut self) -> JobProgress {
        self.0.borrow_and_update().clone()
    }

    /// Waits for a change and answers it; `None` once the job has ended and its end was answered.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<JobProgress> {
        if self.0.changed().await.is_ok() { Some(self.now()) } else { None }
    }
}

/// A job with what belongs to it, for lists and results.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// The job.
    pub job: Job,
    /// Its results, the primary one first.
    pub artifacts: Vec<Artifact>,
    /// Server of the newest attempt, by name.
    pub server: Option<String>,
    /// Live progress, while the job has not ended.
    pub progress: Option<JobProgress>,
}

/// Bounds on a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewBudget {
    /// Longest side, in pixels.
    pub max_side_px: u32,
    /// Encoded size, in bytes.
    pub max_bytes: usize,
}

/// A picture made small for a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// MIME type: `image/jpeg`, or the original's where the original fits the budget.
    pub mime: String,
    /// The encoded picture.
    pub bytes: Bytes,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

/// One slot of an imported workflow, in words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SlotView {
    /// `prompt`, `seed`, `width` …
    pub kind: String,
    /// Where, as `node.input`.
    pub targets: Vec<String>,
    /// How it was found: `title`, `class`, `trace`, `hand`.
    pub source: String,
    /// How sure the finding is: `certain`, `likely`, `guess`.
    pub confidence: String,
}

/// Answer of a workflow import.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedWorkflow {
    /// The stored version.
    pub workflow: hub_core::catalogue::Workflow,
    /// What was detected.
    pub slots: Vec<SlotView>,
    /// What a person should look at.
    pub problems: Vec<String>,
    /// For a workflow in ComfyUI's saved format: how it became a graph.
    pub converted: Option<Conversion>,
}

/// How a saved workflow became a graph.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Conversion {
    /// Name of the server whose node list was used.
    pub server: String,
    /// What to know about it: nodes that were left out, values that look wrong. Each names a node.
    pub warnings: Vec<String>,
}
