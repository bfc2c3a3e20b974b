//! What a server says while it works, over one WebSocket.
//!
//! Owns the decoding of text and binary frames and the life of the socket (pings, silence, end). Never fails
//! on a message it does not understand: custom nodes and newer servers send their own, so those become
//! [`Event::Unknown`] and are counted. Never decides what a job's fate is; [`Follow`] folds events into
//! progress, and only `/history` tells the truth.

mod connection;
mod decode;
mod follow;
mod missing;

pub use connection::Connection;
pub use decode::Decoder;
pub use follow::{Follow, Outcome, Phase, Progress};
pub use missing::missing_model;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::scrub;
use crate::wire::NodeOutput;

/// One message of a server. Ids are strings as the server writes them (`"3"`, `"57:8"`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The queue changed (anybody's).
    Status {
        /// Prompts running and waiting.
        queue_remaining: u32,
        /// The client id, in the first message of a connection.
        sid: Option<String>,
    },
    /// A prompt began.
    ExecutionStart {
        /// Which.
        prompt_id: String,
    },
    /// These nodes need not run again. Sent for every prompt, mostly empty.
    ExecutionCached {
        /// Which prompt.
        prompt_id: String,
        /// Which nodes.
        nodes: Vec<String>,
    },
    /// A node began; `node: None` with a prompt id means that the prompt is over **and in the history**.
    Executing {
        /// Absent in the message sent to a reconnecting client.
        prompt_id: Option<String>,
        /// The node, or nothing any more.
        node: Option<String>,
    },
    /// One node moved on.
    Progress {
        /// Which prompt.
        prompt_id: String,
        /// Which node.
        node: String,
        /// Steps done.
        value: f64,
        /// Steps in all.
        max: f64,
    },
    /// All nodes that began so far.
    ProgressState {
        /// Which prompt.
        prompt_id: String,
        /// Each node's state.
        nodes: Vec<NodeProgress>,
    },
    /// A node showed a result. Not "a node finished": most show none.
    Executed {
        /// Which prompt.
        prompt_id: String,
        /// Which node.
        node: String,
        /// The result.
        output: NodeOutput,
    },
    /// All nodes ran. Sent **before** the history entry exists.
    ExecutionSuccess {
        /// Which prompt.
        prompt_id: String,
    },
    /// A node failed.
    ExecutionError(Box<ExecutionError>),
    /// Somebody interrupted the prompt.
    ExecutionInterrupted {
        /// Which prompt.
        prompt_id: String,
        /// The node that was running.
        node: Option<String>,
    },
    /// A picture: a preview, or a result of `SaveImageWebsocket` (then it is a PNG).
    Preview {
        /// Which prompt; unknown after a reconnect when the server sends no metadata.
        prompt_id: Option<String>,
        /// Which node.
        node: Option<String>,
        /// Encoding of `bytes`.
        format: ImageFormat,
        /// The encoded picture; shares the frame's memory.
        bytes: Bytes,
    },
    /// A line of text a node shows while it works.
    Text {
        /// Which node.
        node: String,
        /// The text.
        text: String,
    },
    /// The server's answer to our first frame.
    FeatureFlags {
        /// Its flags.
        flags: Value,
    },
    /// Anything else, and anything malformed.
    Unknown {
        /// The type it claimed, or what was wrong with it.
        kind: String,
    },
}

impl Event {
    /// The prompt this is about, when it is about one.
    pub fn prompt_id(&self) -> Option<&str> {
        match self {
            Self::ExecutionStart { prompt_id }
            | Self::ExecutionCached { prompt_id, .. }
            | Self::Progress { prompt_id, .. }
            | Self::ProgressState { prompt_id, .. }
            | Self::Executed { prompt_id, .. }
            | Self::ExecutionSuccess { prompt_id }
            | Self::ExecutionInterrupted { prompt_id, .. } => Some(prompt_id),
            Self::ExecutionError(error) => Some(&error.prompt_id),
            Self::Executing { prompt_id, .. } | Self::Preview { prompt_id, .. } => prompt_id.as_deref(),
            Self::Status { .. } | Self::Text { .. } | Self::FeatureFlags { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
    /// `image/webp`.
    Webp,
}

impl ImageFormat {
    /// Its MIME type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }
}

/// One node's part of a [`Event::ProgressState`].
#[derive(Debug, Clone, PartialEq)]
pub struct NodeProgress {
    /// The node as run; nodes that expand at run time get ids the graph does not have.
    pub node_id: String,
    /// The node of the posted graph it belongs to, when the server says so.
    pub display_node_id: Option<String>,
    /// Steps done.
    pub value: f64,
    /// Steps in all; 1 for most nodes.
    pub max: f64,
    /// Whether it is done.
    pub state: NodeState,
}

/// Whether a node is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Not yet begun.
    Pending,
    /// At work.
    Running,
    /// Done.
    Finished,
    /// Failed, or a state newer than this crate.
    Other,
}

/// A node's failure, from `execution_error` or the history. Traceback and inputs are dropped while parsing:
/// they hold paths and tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionError {
    /// Which prompt.
    #[serde(default)]
    pub prompt_id: String,
    /// Which node.
    #[serde(default)]
    pub node_id: String,
    /// Its class.
    #[serde(default)]
    pub node_type: String,
    /// The exception's class, such as `RuntimeError`.
    #[serde(default)]
    pub exception_type: String,
    /// The exception's text as the server wrote it; may hold paths. Show [`ExecutionError::summary`] instead.
    #[serde(default)]
    pub exception_message: String,
}

impl ExecutionError {
    /// One sentence fit to be shown.
    pub fn summary(&self) -> String {
        let what = scrub(&self.exception_message);
        let class = self.exception_type.rsplit('.').next().unwrap_or_default();
        let what = match (what.as_str(), class) {
            ("", "") => "it failed without a reason".to_owned(),
            ("", class) => class.to_owned(),
            (what, "") => what.to_owned(),
            (what, class) => format!("{class}: {what}"),
        };
        format!("{} (node {}) failed: {what}", self.node_type, self.node_id)
    }
}

/// Whether a failure is about memory: freeing it, or a bigger card, may help where nothing else does.
pub fn is_out_of_memory(error: &ExecutionError) -> bool {
    let kind = error.exception_type.as_str();
    if kind == "OOMError" || kind.ends_with("OutOfMemoryError") || kind == "MemoryError" {
        return true;
    }
    let message = error.exception_message.to_ascii_lowercase();
    message.contains("allocation on device")
        || message.contains("out of memory")
        || message.contains("not enough memory")
}
