//! `/history/{id}`: the one trustworthy account of how a prompt ended.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{FileKind, NodeOutput, Output, OutputFile, OutputItem};
use crate::events::ExecutionError;
use crate::workflow::node_order;

/// How a prompt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryStatus {
    /// All outputs were produced.
    Success,
    /// A node failed; outputs made before that are kept.
    Error,
    /// Somebody interrupted it.
    Interrupted,
}

/// A finished prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Its id.
    pub prompt_id: String,
    /// How it ended.
    pub status: HistoryStatus,
    /// Everything it produced, ordered by node id, then as the node listed it.
    pub outputs: Vec<Output>,
    /// Nodes whose result came from the server's cache.
    pub cached_nodes: Vec<String>,
    /// Server's clock when it started, in ms since the epoch.
    pub started_ms: Option<u64>,
    /// Server's clock when it ended, in ms since the epoch.
    pub ended_ms: Option<u64>,
    error: Option<Box<ExecutionError>>,
}

impl HistoryEntry {
    /// What failed, when `status` is [`HistoryStatus::Error`] and the server said so.
    pub fn error(&self) -> Option<&ExecutionError> {
        self.error.as_deref()
    }

    /// How long it ran, by the server's clock.
    pub fn run_time(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.ended_ms?.checked_sub(self.started_ms?)?))
    }

    /// The files, of all roots, in order.
    pub fn files(&self) -> impl Iterator<Item = (&str, &OutputFile)> {
        self.outputs.iter().filter_map(|output| match &output.item {
            OutputItem::File(file) => Some((output.node_id.as_str(), file)),
            OutputItem::Text(_) => None,
        })
    }

    /// The files to hand out: kept results if there are any, otherwise previews.
    pub fn primary_files(&self) -> Vec<&OutputFile> {
        let of = |kind| self.files().map(|(_, file)| file).filter(|file| file.kind == kind).collect::<Vec<_>>();
        let kept = of(FileKind::Output);
        if kept.is_empty() { of(FileKind::Temp) } else { kept }
    }

    /// The texts, with the node that showed them.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.outputs.iter().filter_map(|output| match &output.item {
            OutputItem::Text(text) => Some((output.node_id.as_str(), text.as_str())),
            OutputItem::File(_) => None,
        })
    }
}

/// The graph in `prompt` is skipped: unknown fields cost no memory.
#[derive(Deserialize)]
struct RawEntry {
    #[serde(default)]
    outputs: IndexMap<String, Map<String, Value>>,
    #[serde(default)]
    status: Option<RawStatus>,
}

#[derive(Deserialize)]
struct RawStatus {
    #[serde(default)]
    status_str: String,
    #[serde(default)]
    messages: Vec<(String, Value)>,
}

/// Reads the answer of `/history/{id}`; `None` when the server does not know it as finished.
pub(crate) fn parse_history(body: &[u8], prompt_id: &str) -> Result<Option<HistoryEntry>, serde_json::Error> {
    let mut answer: IndexMap<String, RawEntry> = super::from_slice(body)?;
    Ok(answer.swap_remove(prompt_id).map(|raw| entry(prompt_id, &raw)))
}

fn entry(prompt_id: &str, raw: &RawEntry) -> HistoryEntry {
    let mut nodes: Vec<_> = raw.outputs.iter().collect();
    nodes.sort_by(|(a, _), (b, _)| node_order(a, b));
    let outputs: Vec<Output> = nodes.into_iter().flat_map(|(id, output)| NodeOutput::parse(id, output).0).collect();
    let messages = raw.status.as_ref().map(|status| status.messages.as_slice()).unwrap_or_default();
    let find = |name: &str| messages.iter().rev().find(|(kind, _)| kind == name).map(|(_, data)| data);
    let timestamp = |data: &Value| data.get("timestamp").and_then(Value::as_u64);
    let error = find("execution_error").and_then(|data| ExecutionError::deserialize(data).ok()).map(Box::new);
    let status = match raw.status.as_ref().map(|status| status.status_str.as_str()) {
        Some("success") => HistoryStatus::Success,
        _ if find("execution_interrupted").is_some() => HistoryStatus::Interrupted,
        // Very old forks write no status at all; results are then the only witness.
        None | Some("") if error.is_none() && !outputs.is_empty() => HistoryStatus::Success,
        _ => HistoryStatus::Error,
    };
    let ends = ["execution_success", "execution_error", "execution_interrupted"];
    HistoryEntry {
        prompt_id: prompt_id.to_owned(),
        status,
        cached_nodes: find("execution_cached")
            .and_then(|data| Vec::deserialize(data.get("nodes")?).ok())
            .unwrap_or_default(),
        started_ms: find("execution_start").and_then(timestamp),
        ended_ms: ends.iter().find_map(|name| find(name)).and_then(timestamp),
        outputs,
        error,
    }
}
