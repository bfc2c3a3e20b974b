//! Turns a 400 answer of `POST /prompt` into something a scheduler can act on and a person can read.
//!
//! Two questions matter: is the graph wrong everywhere, or does only *this server* lack a node or a file
//! ([`Rejection::missing`])? And which node, under which title, is to blame? Server versions word the same
//! fault differently; both wordings end in the same [`RejectionKind`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scrub;
use crate::wire::RejectionBody;
use crate::workflow::{Graph, files};

/// Errors listed per message, so that a graph with hundreds of faults stays readable.
const MAX_LISTED: usize = 5;

/// The server's verdict on a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The sort of fault.
    pub kind: RejectionKind,
    /// One or more plain sentences naming nodes and inputs; safe to show.
    pub message: String,
    /// Every faulty node, in the server's order.
    pub nodes: Vec<NodeRejection>,
    /// What this server lacks. When this is not empty, another server may well accept the same graph.
    pub missing: Vec<MissingResource>,
}

/// The sort of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionKind {
    /// An input has a value or a link the server does not take.
    Validation,
    /// A node class is not installed.
    MissingNodeType,
    /// Nothing in the graph produces a result.
    NoOutputs,
    /// The prompt id was not a canonical UUID.
    InvalidPromptId,
    /// Anything newer than this crate.
    Other,
}

/// One faulty node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRejection {
    /// Id in the graph.
    pub node_id: String,
    /// Class, when the server named it.
    pub class_type: String,
    /// Title in the graph, when it has one.
    pub title: Option<String>,
    /// Its faults.
    pub errors: Vec<NodeErrorDetail>,
}

/// One fault of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeErrorDetail {
    /// The server's type, such as `value_not_in_list`.
    pub kind: String,
    /// The input concerned.
    pub input: Option<String>,
    /// A readable sentence part; scrubbed.
    pub message: String,
    /// The server's details; scrubbed.
    pub details: String,
}

/// Something the graph needs and this server lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MissingResource {
    /// A node class (a custom node pack, or a newer server).
    NodeClass {
        /// Its name.
        class_type: String,
    },
    /// A model file.
    ModelFile {
        /// The input that names it, such as `ckpt_name`.
        input: String,
        /// The file, as the graph spells it.
        name: String,
    },
    /// An input picture that was not uploaded.
    InputImage {
        /// The file, as the graph spells it.
        name: String,
    },
}

impl std::fmt::Display for MissingResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NodeClass { class_type } => write!(f, "node class {class_type}"),
            Self::ModelFile { input, name } => write!(f, "model file {name} ({input})"),
            Self::InputImage { name } => write!(f, "input image {name}"),
        }
    }
}

/// Reads a 400 body (or the node errors of a 200). `graph` gives nodes their titles.
pub(crate) fn parse_rejection(body: &RejectionBody, graph: Option<&Graph>) -> Rejection {
    let mut missing = Vec::new();
    let nodes: Vec<NodeRejection> = body
        .node_errors
        .iter()
        .map(|(id, node)| NodeRejection {
            node_id: id.clone(),
            class_type: node.class_type.clone().unwrap_or_default(),
            title: graph.and_then(|g| g.node(id)).and_then(|n| n.title()).map(str::to_owned),
            errors: node.errors.iter().map(|e| detail(e, &mut missing)).collect(),
        })
        .collect();
    let (error_type, error_message, error_details) = match &body.error {
        Some(error) => (error.kind.as_str(), scrub(&error.message), scrub(&error.details)),
        None => ("", String::new(), String::new()),
    };
    let class = body.error.as_ref().and_then(missing_class);
    if let Some(class_type) = &class {
        missing.push(MissingResource::NodeClass { class_type: class_type.clone() });
    }
    let kind = match error_type {
        "missing_node_type" | "invalid_prompt" if class.is_some() => RejectionKind::MissingNodeType,
        "missing_node_type" | "invalid_prompt" | "prompt_outputs_failed_validation" => RejectionKind::Validation,
        "prompt_no_outputs" | "no_prompt" => RejectionKind::NoOutputs,
        "invalid_prompt_id" => RejectionKind::InvalidPromptId,
        _ if !nodes.is_empty() => RejectionKind::Validation,
        _ => RejectionKind::Other,
    };
    missing.sort();
    missing.dedup();
    let message = if nodes.is_empty() {
        whole_graph_message(kind, &error_message, &error_details)
    } else {
        nodes_message(&nodes)
    };
    Rejection { kind, message, nodes, missing }
}

/// The class named by an unknown-node answer: a field since 0.11, part of a sentence before.
fn missing_class(error: &crate::wire::RejectionError) -> Option<String> {
    match error.kind.as_str() {
        "missing_node_type" => error.extra_info.get("class_type").and_then(Value::as_str).map(str::to_owned),
        "invalid_prompt" => error
            .message
            .strip_prefix("Cannot execute because node ")?
            .strip_suffix(" does not exist.")
            .map(str::to_owned),
        _ => None,
    }
}

fn whole_graph_message(kind: RejectionKind, message: &str, details: &str) -> String {
    let base = match kind {
        RejectionKind::NoOutputs => "The workflow has no output node, so there is nothing to run",
        RejectionKind::Validation if message == "Prompt outputs failed validation" && details.is_empty() => {
            // Servers up to 0.19 answer a cycle in the graph this way and name no node.
            "The server found the workflow invalid without naming a node; its links may form a circle"
        }
        _ if message.is_empty() => "The server rejected the workflow without a reason",
        _ => message,
    };
    let base = base.trim_end_matches('.');
    if details.is_empty() || details == message || kind == RejectionKind::NoOutputs {
        format!("{base}.")
    } else {
        format!("{base} ({}).", details.trim_end_matches('.'))
    }
}

fn nodes_message(nodes: &[NodeRejection]) -> String {
    let all: Vec<String> = nodes
        .iter()
        .flat_map(|node| {
            let name = node.title.as_deref().unwrap_or(&node.class_type);
            node.errors.iter().map(move |error| format!("{name} (node {}): {}.", node.node_id, error.message))
        })
        .collect();
    let mut text = all.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>().join(" ");
    if all.len() > MAX_LISTED {
        let more = format!(" And {} more.", all.len() - MAX_LISTED);
        text.push_str(&more);
    }
    text
}

fn detail(error: &crate::wire::RejectionError, missing: &mut Vec<MissingResource>) -> NodeErrorDetail {
    let input = error.extra_info.get("input_name").and_then(Value::as_str).map(str::to_owned);
    let details = scrub(&error.details);
    let name = input.as_deref().unwrap_or("an input");
    let received = error.extra_info.get("received_value").and_then(Value::as_str);
    let message = match error.kind.as_str() {
        "required_input_missing" => format!("input '{name}' is missing"),
        "value_smaller_than_min" | "value_bigger_than_max" => {
            format!("input '{name}': {}", lower_first(&scrub(&error.message)))
        }
        "value_not_in_list" => {
            if let Some(value) = received
                && files::is_model_input(name, value)
            {
                missing.push(MissingResource::ModelFile { input: name.to_owned(), name: value.to_owned() });
                format!("the server does not have the file '{value}' for input '{name}'")
            } else {
                format!("input '{name}' has a value the server does not know: {details}")
            }
        }
        "custom_validation_failed" => {
            if let Some((_, file)) = details.split_once("Invalid image file: ") {
                missing.push(MissingResource::InputImage { name: file.to_owned() });
                format!("the input image '{file}' is not on the server")
            } else {
                format!("input '{name}' was refused: {details}")
            }
        }
        "exception_during_inner_validation" => format!("the link of input '{name}' leads nowhere ({details})"),
        "bad_linked_input" => format!("the link of input '{name}' is malformed"),
        "dependency_cycle" => format!("its links form a circle: {details}"),
        _ if details.is_empty() => lower_first(&scrub(&error.message)),
        _ => format!("{}: {details}", lower_first(&scrub(&error.message))),
    };
    NodeErrorDetail { kind: error.kind.clone(), input, message, details }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
