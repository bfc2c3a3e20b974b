//! Frames to events.
//!
//! Text frames are parsed in two steps, envelope first with its data left raw, then straight into the shape the
//! type calls for, so that no intermediate value tree is built. The decoder keeps one piece of state: the last
//! `executing`, to which pictures without metadata are attributed.

use bytes::{Buf, Bytes};
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

use super::{Event, ExecutionError, ImageFormat, NodeProgress, NodeState};
use crate::wire::{NodeOutput, sanitise};

const BINARY_PREVIEW: u32 = 1;
const BINARY_TEXT: u32 = 3;
const BINARY_PREVIEW_WITH_METADATA: u32 = 4;

/// Decodes the frames of one connection, in order.
#[derive(Debug, Default)]
pub struct Decoder {
    executing: Option<(Option<String>, String)>,
    unknown: u64,
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages were unknown or malformed so far.
    pub fn unknown_count(&self) -> u64 {
        self.unknown
    }

    /// Decodes a text frame.
    pub fn text(&mut self, frame: &str) -> Event {
        let event = match decode_text(frame) {
            Ok(event) => event,
            Err(_) => match sanitise(frame.as_bytes()) {
                Cow::Owned(clean) => std::str::from_utf8(&clean)
                    .map_err(|_| ())
                    .and_then(|clean| decode_text(clean).map_err(|_| ()))
                    .unwrap_or_else(|()| malformed()),
                Cow::Borrowed(_) => malformed(),
            },
        };
        self.note(&event);
        event
    }

    /// Decodes a binary frame; pictures share its memory.
    pub fn binary(&mut self, frame: Bytes) -> Event {
        let event = self.decode_binary(frame).unwrap_or_else(|| Event::Unknown { kind: "binary".to_owned() });
        self.note(&event);
        event
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Executing { prompt_id, node: Some(node) } => {
                self.executing = Some((prompt_id.clone(), node.clone()));
            }
            Event::Executing { node: None, .. } => self.executing = None,
            Event::Unknown { .. } => self.unknown += 1,
            _ => {}
        }
    }

    fn decode_binary(&self, mut frame: Bytes) -> Option<Event> {
        match frame.try_get_u32().ok()? {
            BINARY_PREVIEW => {
                let format = match frame.try_get_u32().ok()? {
                    1 => ImageFormat::Jpeg,
                    2 => ImageFormat::Png,
                    _ => return None,
                };
                let (prompt_id, node) = match &self.executing {
                    Some((prompt_id, node)) => (prompt_id.clone(), Some(node.clone())),
                    None => (None, None),
                };
                Some(Event::Preview { prompt_id, node, format, bytes: frame })
            }
            BINARY_TEXT => {
                let node = take_prefixed(&mut frame)?;
                let node = std::str::from_utf8(&node).ok()?.to_owned();
                Some(Event::Text { node, text: String::from_utf8_lossy(&frame).into_owned() })
            }
            BINARY_PREVIEW_WITH_METADATA => {
                let metadata: PreviewMetadata = serde_json::from_slice(&take_prefixed(&mut frame)?).ok()?;
                let format = match metadata.image_type.as_str() {
                    "image/jpeg" => ImageFormat::Jpeg,
                    "image/png" => ImageFormat::Png,
                    "image/webp" => ImageFormat::Webp,
                    _ => return None,
                };
                let node = metadata.display_node_id.or(metadata.node_id);
                Some(Event::Preview { prompt_id: metadata.prompt_id, node, format, bytes: frame })
            }
            _ => None,
        }
    }
}

/// Splits off a field that a `u32` length precedes.
fn take_prefixed(frame: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(frame.try_get_u32().ok()?).ok()?;
    (length <= frame.len()).then(|| frame.split_to(length))
}

fn malformed() -> Event {
    Event::Unknown { kind: "malformed".to_owned() }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StatusData {
    status: StatusInner,
    #[serde(default)]
    sid: Option<String>,
}

#[derive(Deserialize)]
struct StatusInner {
    exec_info: crate::wire::ExecInfo,
}

#[derive(Deserialize)]
struct PromptOnly {
    prompt_id: String,
}

#[derive(Deserialize)]
struct CachedData {
    prompt_id: String,
    #[serde(default)]
    nodes: Vec<String>,
}

#[derive(Deserialize)]
struct ExecutingData {
    #[serde(default)]
    prompt_id: Option<String>,
    #[serde(default)]
    node: Option<String>,
}

#[derive(Deserialize)]
struct ProgressData {
    prompt_id: String,
    node: String,
    value: f64,
    max: f64,
}

#[derive(Deserialize)]
struct ProgressStateData {
    prompt_id: String,
    nodes: IndexMap<String, NodeProgressData>,
}

#[derive(Deserialize)]
struct NodeProgressData {
    #[serde(default)]
    display_node_id: Option<String>,
    #[serde(default)]
    value: Option<f64>,
    #[serde(default)]
    max: Option<f64>,
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
struct ExecutedData {
    prompt_id: String,
    node: String,
    #[serde(default)]
    output: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct InterruptedData {
    prompt_id: String,
    #[serde(default)]
    node_id: Option<String>,
}

#[derive(Deserialize)]
struct PreviewMetadata {
    #[serde(default)]
    prompt_id: Option<String>,
    #[serde(default)]
    node_id: Option<String>,
    #[serde(default)]
    display_node_id: Option<String>,
    image_type: String,
}

fn decode_text(frame: &str) -> Result<Event, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_str(frame)?;
    let data = envelope.data.map_or("null", RawValue::get);
    Ok(match envelope.kind.as_ref() {
        "status" => {
            let data: StatusData = parse(data)?;
            Event::Status { queue_remaining: data.status.exec_info.queue_remaining, sid: data.sid }
        }
        "execution_start" => Event::ExecutionStart { prompt_id: parse::<PromptOnly>(data)?.prompt_id },
        "execution_success" => Event::ExecutionSuccess { prompt_id: parse::<PromptOnly>(data)?.prompt_id },
        "execution_cached" => {
            let data: CachedData = parse(data)?;
            Event::ExecutionCached { prompt_id: data.prompt_id, nodes: data.nodes }
        }
        "executing" => {
            let data: ExecutingData = parse(data)?;
            Event::Executing { prompt_id: data.prompt_id, node: data.node }
        }
        "progress" => {
            let data: ProgressData = parse(data)?;
            Event::Progress { prompt_id: data.prompt_id, node: data.node, value: data.value, max: data.max }
        }
        "progress_state" => progress_state(parse(data)?),
        "executed" => {
            let data: ExecutedData = parse(data)?;
            let output = data.output.map(|output| NodeOutput::parse(&data.node, &output)).unwrap_or_default();
            Event::Executed { prompt_id: data.prompt_id, node: data.node, output }
        }
        "execution_error" => Event::ExecutionError(parse::<Box<ExecutionError>>(data)?),
        "execution_interrupted" => {
            let data: InterruptedData = parse(data)?;
            Event::ExecutionInterrupted { prompt_id: data.prompt_id, node: data.node_id }
        }
        "feature_flags" => Event::FeatureFlags { flags: parse(data)? },
        other => Event::Unknown { kind: other.to_owned() },
    })
}

fn parse<T: DeserializeOwned>(data: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(data)
}

fn progress_state(data: ProgressStateData) -> Event {
    let nodes = data
        .nodes
        .into_iter()
        .map(|(node_id, node)| NodeProgress {
            node_id,
            display_node_id: node.display_node_id,
            value: node.value.unwrap_or_default(),
            max: node.max.unwrap_or(1.0),
            state: match node.state.as_str() {
                "pending" => NodeState::Pending,
                "running" => NodeState::Running,
                "finished" => NodeState::Finished,
                _ => NodeState::Other,
            },
        })
        .collect();
    Event::ProgressState { prompt_id: data.prompt_id, nodes }
}
