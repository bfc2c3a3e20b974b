//! What the engine shows of ComfyUI servers: live state, inventory, tests, alerts.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use comfyui::MissingResource;
use hub_core::{
    catalogue::Mode,
    ids::{ServerId, WorkflowId},
    server::{BaseUrl, Server, ServerState},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::LeaseView;

/// A ComfyUI server with its live state.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerView {
    /// As configured.
    pub server: Server,
    /// What its session is at.
    pub state: ServerState,
    /// Why, in words, when it is not ready.
    pub reason: Option<String>,
    /// ComfyUI version it told.
    pub version: Option<String>,
    /// GPUs it told, by name.
    pub devices: Vec<String>,
    /// Prompts of ours that are on it.
    pub in_flight: u32,
    /// Prompts in its queue, ours and others'.
    pub queue_remaining: Option<u32>,
    /// Duration of the newest probe.
    pub latency: Option<Duration>,
    /// All the rest that is known of it.
    pub live: ServerLive,
}

impl ServerView {
    /// Its id.
    pub fn id(&self) -> ServerId {
        self.server.id
    }
}

/// What the session with a server learned. Everything is as of the newest answer, and empty before it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct ServerLive {
    /// Raised whenever the server's process is found to be another one; starts at 0.
    pub epoch: u64,
    /// When it last answered.
    pub last_seen: Option<DateTime<Utc>>,
    /// The process and its machine.
    pub info: Option<ServerInfo>,
    /// Others' work on it.
    pub foreign: ForeignQueue,
    /// Whether it rests after failures.
    pub breaker: BreakerView,
    /// Model files that its newest job of ours used, sorted; they are likely in its memory.
    pub loaded: Vec<String>,
    /// The hub's runs on it that went well, since the hub's start.
    pub runs: u64,
    /// Those of them for which it had to load models.
    pub model_loads: u64,
    /// What is known of its nodes and files.
    pub inventory: InventoryView,
    /// Workflows that jobs do not go there for, and what was said about workflows by hand.
    pub workflows: Vec<WorkflowOnServer>,
    /// The GPU that it shares with LLM servers, when it shares one.
    pub lease: Option<LeaseView>,
    /// What a person should know although the server works.
    pub warnings: Vec<String>,
}

/// The process behind an address, and its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct ServerInfo {
    /// ComfyUI's version.
    pub version: Option<String>,
    /// `linux`, `posix`, `nt`, …
    pub os: String,
    /// Python's version.
    pub python: Option<String>,
    /// PyTorch's version.
    pub pytorch: Option<String>,
    /// Memory of the machine in bytes.
    pub ram_total_bytes: Option<u64>,
    /// Free memory of the machine in bytes.
    pub ram_free_bytes: Option<u64>,
    /// Flags it was started with that matter, such as `--lowvram`.
    pub flags: Vec<String>,
    /// Its GPUs, the primary one first.
    pub devices: Vec<DeviceView>,
}

/// One GPU (or whatever computes).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct DeviceView {
    /// As the server names it.
    pub name: String,
    /// `cuda`, `cpu`, `mps`, …
    pub kind: String,
    /// Its memory in bytes.
    pub vram_total_bytes: Option<u64>,
    /// Its free memory in bytes.
    pub vram_free_bytes: Option<u64>,
}

/// Prompts that others put into a server's queue.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct ForeignQueue {
    /// How many.
    pub count: u32,
    /// A guess at the time until they are done, in seconds, from how long others' prompts took before.
    pub remaining_s: Option<f64>,
}

/// The breaker of a server.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct BreakerView {
    /// It gets no work.
    pub open: bool,
    /// Failures of jobs in a row, by the server's fault.
    pub failures: u32,
    /// Seconds until one job may try again.
    pub retry_in_s: Option<f64>,
}

/// How much is known of a server's nodes and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InventoryState {
    /// Nothing: no job is kept away.
    #[default]
    Unknown,
    /// It was read within its refresh time.
    Known,
    /// It was read, but too long ago to keep a job from being tried.
    Stale,
}

/// What is known of a server's nodes and files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct InventoryView {
    /// How much.
    pub state: InventoryState,
    /// Why it could not be read the last time.
    pub problem: Option<String>,
    /// Seconds since it was read.
    pub age_s: Option<f64>,
    /// Node classes.
    pub node_classes: usize,
    /// Node classes of a shape that could not be read; they count as present.
    pub malformed_classes: usize,
    /// Model files that its loaders list.
    pub model_files: usize,
}

/// What a server lacks to run a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Lack {
    /// Node classes, sorted.
    pub nodes: Vec<String>,
    /// Model files, sorted.
    pub files: Vec<String>,
}

impl Lack {
    /// Whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.files.is_empty()
    }
}

impl From<&BTreeSet<MissingResource>> for Lack {
    fn from(missing: &BTreeSet<MissingResource>) -> Self {
        let mut lack = Self::default();
        for resource in missing {
            match resource {
                MissingResource::NodeClass { class_type } => lack.nodes.push(class_type.clone()),
                MissingResource::ModelFile { name, .. } => lack.files.push(name.clone()),
                MissingResource::InputImage { .. } => {}
            }
        }
        for names in [&mut lack.nodes, &mut lack.files] {
            names.sort();
            names.dedup();
        }
        lack
    }
}

impl std::fmt::Display for Lack {
    /// `node class A, model file b.safetensors`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes = self.nodes.iter().map(|node| ("node class", node));
        let files = self.files.iter().map(|file| ("model file", file));
        for (at, (what, name)) in nodes.chain(files).enumerate() {
            write!(f, "{}{what} {name}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Why jobs of a workflow do, or do not, go to a server, where there is anything to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WorkflowOnServer {
    /// The workflow by name.
    pub workflow: String,
    /// Its version.
    pub workflow_id: WorkflowId,
    /// What the server lacks, by its inventory or by what it refused.
    pub lack: Lack,
    /// The server refused it although its inventory lists everything.
    pub refused: bool,
    /// Said by hand, against all else: it can (`true`) or cannot run it.
    pub said: Option<bool>,
    /// What follows: jobs go there.
    pub compatible: bool,
}

/// Answer of a test of one server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ServerTest {
    /// The server; `None` for settings that are not stored.
    pub server: Option<ServerId>,
    /// Its name; empty for settings that are not stored.
    pub name: String,
    /// Its address.
    #[schema(value_type = String)]
    pub base_url: BaseUrl,
    /// No stage failed.
    pub ok: bool,
    /// ComfyUI's version.
    pub version: Option<String>,
    /// What was tried, in this order.
    pub stages: Vec<TestStage>,
    /// Each visible render type, and what the server lacks for it. Empty when the inventory could not be read.
    pub render_types: Vec<RenderTypeOnServer>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

impl ServerTest {
    /// The first stage that failed.
    pub fn failure(&self) -> Option<&TestStage> {
        self.stages.iter().find(|stage| stage.outcome == StageOutcome::Failed)
    }
}

/// One stage of a test.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TestStage {
    /// Which one.
    pub name: StageName,
    /// How it went.
    pub outcome: StageOutcome,
    /// What was found, in words.
    pub detail: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// What a test tries, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// The address leads to something that takes connections.
    Reachable,
    /// It takes the credentials.
    Authorised,
    /// It is ComfyUI.
    Comfyui,
    /// Its event socket opens.
    Events,
    /// It tells its nodes and files.
    Inventory,
    /// It has what the render types need.
    RenderTypes,
}

/// How a stage went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageOutcome {
    /// Well.
    Ok,
    /// It works, but a person should read the detail.
    Warning,
    /// It does not work.
    Failed,
    /// Not tried, since an earlier stage failed.
    Skipped,
}

/// A render type held against a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RenderTypeOnServer {
    /// The render type by name.
    pub render_type: String,
    /// Its workflow by name.
    pub workflow: String,
    /// The server has everything it needs.
    pub ok: bool,
    /// What is lacking.
    pub lack: Lack,
}

/// Something happened to a server that a person may want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Alert {
    /// Raised with every alert of this process; tells a reader what it has seen.
    pub sequence: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub kind: AlertKind,
    /// The server.
    pub server: ServerId,
    /// Its name then.
    pub name: String,
    /// In words.
    pub message: String,
}

/// What happened to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// It does not answer any more.
    ServerLost,
    /// It takes work again.
    ServerBack,
    /// It refuses the hub's credentials.
    ServerUnauthorized,
    /// What answers is not ComfyUI.
    ServerIncompatible,
    /// It answers, but runs nothing any more.
    ServerZombie,
    /// It failed several jobs in a row and rests.
    BreakerOpened,
}

impl AlertKind {
    /// The kind as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerLost => "server_lost",
            Self::ServerBack => "server_back",
            Self::ServerUnauthorized => "server_unauthorized",
            Self::ServerIncompatible => "server_incompatible",
            Self::ServerZombie => "server_zombie",
            Self::BreakerOpened => "breaker_opened",
        }
    }
}

/// Whether a server can run one version of a workflow now, as far as is known.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WorkflowCheck {
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// Why it cannot, in words that go behind its name; null when it can.
    pub why_not: Option<String>,
    /// How long ago its lists of nodes and files were read, in seconds; null when they are unknown.
    pub read_s_ago: Option<f64>,
}

/// What a test run of a workflow can be given, by the slots that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct TrialForm {
    /// The tool whose arguments it takes.
    pub mode: Mode,
    /// Prompt.
    pub takes_prompt: bool,
    /// Seed.
    pub takes_seed: bool,
    /// Picture to work on.
    pub takes_image: bool,
    /// What of the picture is redrawn.
    pub takes_mask: bool,
}
