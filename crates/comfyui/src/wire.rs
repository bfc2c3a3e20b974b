//! The shapes of a server's answers, and how to read them when they are not quite JSON.
//!
//! Every field a caller does not need is skipped while parsing: `/queue` and `/history` carry whole graphs.
//! Unknown fields never fail a parse; missing ones fall back where a version is known to lack them.

mod flags;
mod history;
mod inventory;
mod lenient;
mod object_info;
mod output;
mod rejection;
mod replaced;

pub(crate) use history::parse_history;
pub use history::{HistoryEntry, HistoryStatus};
pub use inventory::{Fingerprint, Inventory};
pub(crate) use lenient::{from_slice, sanitise};
pub use object_info::{InputKind, InputSpec, NodeInfo, NodeInputs, ObjectInfo, Variant, WidgetHints};
pub use output::{FileKind, Media, NodeOutput, Output, OutputFile, OutputItem};
pub(crate) use rejection::{RejectionBody, RejectionError};
pub use replaced::{NewInput, Replacement};

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `GET /system_stats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemStats {
    /// The process and its host.
    pub system: SystemInfo,
    /// Compute devices; the first is the primary one.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// The process and its host. Of `argv` only [known flags](SystemInfo::flags) are kept: the rest reveals paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// `linux`, `posix`, `nt`, …
    #[serde(default)]
    pub os: String,
    /// Server version; absent on very old servers and some forks.
    #[serde(default)]
    pub comfyui_version: Option<String>,
    /// Python, as `sys.version` prints it.
    #[serde(default)]
    pub python_version: Option<String>,
    /// PyTorch.
    #[serde(default)]
    pub pytorch_version: Option<String>,
    /// Flags the server was started with that change what it can do, such as `--lowvram`; never one with a path.
    #[serde(default, rename(deserialize = "argv"), deserialize_with = "flags::read")]
    pub flags: Vec<String>,
    /// Host memory in bytes.
    #[serde(default, deserialize_with = "lenient::bytes")]
    pub ram_total: Option<u64>,
    /// Free host memory in bytes.
    #[serde(default, deserialize_with = "lenient::bytes")]
    pub ram_free: Option<u64>,
}

/// One compute device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Such as `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`.
    #[serde(default)]
    pub name: String,
    /// `cuda`, `cpu`, `mps`, …
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Its number, when it has one.
    #[serde(default)]
    pub index: Option<i64>,
    /// Device memory in bytes.
    #[serde(default, deserialize_with = "lenient::bytes")]
    pub vram_total: Option<u64>,
    /// Free device memory in bytes: what nobody holds, and what ComfyUI holds but does not use.
    #[serde(default, deserialize_with = "lenient::bytes")]
    pub vram_free: Option<u64>,
    /// Device memory that ComfyUI holds, in bytes.
    #[serde(default, deserialize_with = "lenient::bytes")]
    pub torch_vram_total: Option<u64>,
    /// The part of it that it does not use, in bytes.
    #[serde(default, deserialize_with = "lenient::bytes")]
    pub torch_vram_free: Option<u64>,
}

/// `GET /features`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Whether previews can carry their prompt id.
    #[serde(default)]
    pub supports_preview_metadata: bool,
    /// Largest body the server takes, in bytes.
    #[serde(default, deserialize_with = "lenient::bytes")]
    pub max_upload_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PromptInfo {
    pub exec_info: ExecInfo,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ExecInfo {
    pub queue_remaining: u32,
}

/// `GET /queue`, in the order the server will run it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    /// What runs now; one item on today's servers.
    pub running: Vec<QueueItem>,
    /// What waits, soonest first.
    pub pending: Vec<QueueItem>,
}

impl Queue {
    /// Whether the prompt runs or waits here.
    pub fn contains(&self, prompt_id: &str) -> bool {
        self.is_running(prompt_id) || self.position(prompt_id).is_some()
    }

    /// Whether the prompt runs now.
    pub fn is_running(&self, prompt_id: &str) -> bool {
        self.running.iter().any(|item| item.prompt_id == prompt_id)
    }

    /// How many prompts wait before this one; `None` when it does not wait.
    pub fn position(&self, prompt_id: &str) -> Option<usize> {
        self.pending.iter().position(|item| item.prompt_id == prompt_id)
    }
}

/// One queued prompt; its graph is skipped while parsing.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueItem {
    /// Priority; lower runs first.
    pub number: f64,
    /// Its id.
    pub prompt_id: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RawQueue {
    #[serde(default)]
    queue_running: Vec<QueueItem>,
    #[serde(default)]
    queue_pending: Vec<QueueItem>,
}

impl From<RawQueue> for Queue {
    fn from(raw: RawQueue) -> Self {
        // The server stores pending prompts as a heap and shows it as it lies, so the order means nothing.
        let in_order = |mut items: Vec<QueueItem>| {
            items.sort_by(|a, b| a.number.total_cmp(&b.number).then_with(|| a.prompt_id.cmp(&b.prompt_id)));
            items
        };
        Self { running: in_order(raw.queue_running), pending: in_order(raw.queue_pending) }
    }
}

impl<'de> Deserialize<'de> for QueueItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tuple;
        impl<'de> Visitor<'de> for Tuple {
            type Value = QueueItem;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[number, prompt_id, graph, …]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<QueueItem, A::Error> {
                let missing = |at| serde::de::Error::invalid_length(at, &"[number, prompt_id, …]");
                let number = seq.next_element()?.ok_or_else(|| missing(0))?;
                let prompt_id = seq.next_element()?.ok_or_else(|| missing(1))?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(QueueItem { number, prompt_id })
            }
        }
        deserializer.deserialize_seq(Tuple)
    }
}

/// A clean acceptance of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The id the server runs it under. Servers before 0.3.45 ignore the one they were given: trust this one.
    pub prompt_id: String,
    /// Its place in the order of execution; falls back to 0 when the server restarts.
    pub number: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SubmitAnswer {
    pub prompt_id: String,
    #[serde(default)]
    pub number: f64,
    #[serde(flatten)]
    pub rest: RejectionBody,
}

/// Where an uploaded file ended up; the server may have chosen another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedImage {
    /// File name as stored.
    pub name: String,
    /// Folder below the input folder; empty for its root.
    #[serde(default)]
    pub subfolder: String,
    /// `input`, `temp` or `output`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

impl UploadedImage {
    /// How a loader node names this file: `subfolder/name`.
    pub fn reference(&self) -> String {
        if self.subfolder.is_empty() { self.name.clone() } else { format!("{}/{}", self.subfolder, self.name) }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct CancelAnswer {
    pub cancelled: bool,
}
