//! A workflow's graph in the form in which people look at it.

use comfyui::workflow::Graph;
use hub_core::catalogue::Workflow;
use serde_json::Value;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id in the graph.
    pub id: String,
    /// Its class, such as `KSampler`.
    pub class: String,
    /// What its author called it.
    pub title: Option<String>,
    /// In the order of the file.
    pub inputs: Vec<InputView>,
}

/// One input of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputView {
    /// Its name.
    pub name: String,
    /// Where its value is.
    pub holds: InputHolds,
}

/// What an input holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputHolds {
    /// A value, as text.
    Value(String),
    /// What another node gives: its id.
    Link(String),
}

/// The nodes of a workflow, in the order of the file; none of a graph that does not read.
pub(crate) fn nodes_of(workflow: &Workflow) -> Vec<NodeView> {
    let Ok(graph) = Graph::parse(&workflow.graph) else { return Vec::new() };
    let nodes = graph.nodes().map(|(id, node)| NodeView {
        id: id.to_owned(),
        class: node.class_type.clone(),
        title: node.title().map(str::to_owned),
        inputs: node
            .inputs
            .iter()
            .map(|(name, value)| InputView {
                name: name.clone(),
                holds: node
                    .link(name)
                    .map_or_else(|| InputHolds::Value(text(value)), |link| InputHolds::Link(link.node_id.to_owned())),
            })
            .collect(),
    });
    nodes.collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
