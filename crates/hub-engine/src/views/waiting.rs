//! Why a job waits, as told to the edges.

use hub_core::{ids::ServerId, server::ServerState};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a job waits for a server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WhyWaiting {
    /// Jobs before it; 0 = next. `None` while it has just come.
    pub position: Option<u32>,
    /// Time until it probably begins, in seconds from now, from learned times; `None` when no server takes it
    /// as things are.
    pub estimated_start_s: Option<f64>,
    /// Each enabled server, by name.
    pub servers: Vec<ServerWhy>,
}

/// Why a job is not at work on one server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ServerWhy {
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// What it is at.
    pub state: ServerState,
    /// Why not.
    pub reason: WaitReason,
    /// The same in words, to be read after the name.
    pub detail: String,
    /// Where it could run: time until it would end there if it went there next, in seconds from now.
    pub ends_in_s: Option<f64>,
}

/// Kinds of reasons why a job is not at work on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The server takes no work.
    NotReady,
    /// Its breaker is open.
    Resting,
    /// An LLM server has the GPU that the server shares with it.
    GpuInUse,
    /// It lacks model files or nodes.
    Lacks,
    /// An earlier attempt ruled it out.
    Excluded,
    /// The job is pinned elsewhere.
    NotPinned,
    /// It has as much as it may, or is to be given more only shortly before it is free.
    Busy,
    /// It has room: others are first, or the job ends sooner elsewhere.
    Free,
}
