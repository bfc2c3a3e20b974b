//! The editor's own format, read leniently.
//!
//! Owns the shapes only: version 0.4 (links as arrays) and version 1 (links as objects), subgraph definitions
//! at any depth, ids as numbers or texts. What has the wrong shape is left out; what that means for the graph
//! is found out by those who look for it. It knows nothing of node classes.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::{Map, Value};

/// Definitions inside definitions.
const MAX_DEFINITION_DEPTH: usize = 16;
/// Inputs or outputs of one node.
const MAX_SLOTS: usize = 1_000;

/// A saved workflow: its top level, and the subgraphs it may use.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub root: Scope<'a>,
    pub definitions: HashMap<&'a str, Definition<'a>>,
}

/// One level of a graph: the nodes and links that see each other.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub nodes: IndexMap<String, UiNode<'a>>,
    pub links: IndexMap<String, UiLink>,
}

/// A subgraph that nodes can be instances of.
#[derive(Debug)]
pub(super) struct Definition<'a> {
    pub id: &'a str,
    pub inputs: Vec<Port<'a>>,
    pub outputs: Vec<Port<'a>>,
    pub scope: Scope<'a>,
    /// The id under which its links start at its inputs.
    pub input_node: String,
}

/// An input or output of a subgraph, seen from inside.
#[derive(Debug)]
pub(super) struct Port<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    /// Its links inside; all of them exist.
    pub links: Vec<String>,
}

/// A node as saved.
#[derive(Debug)]
pub(super) struct UiNode<'a> {
    pub class: &'a str,
    pub title: Option<&'a str>,
    pub mode: Mode,
    pub inputs: Vec<UiSlot<'a>>,
    pub outputs: Vec<UiSlot<'a>>,
    pub values: Saved<'a>,
    pub properties: Option<&'a Map<String, Value>>,
}

/// Whether a node takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Active,
    Muted,
    Bypassed,
}

/// An input or output of a node.
#[derive(Debug)]
pub(super) struct UiSlot<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    /// For inputs: the link that ends here.
    pub link: Option<String>,
    /// For inputs: whether a widget stands behind it.
    pub widget: bool,
    /// For outputs: whether anything starts here.
    pub used: bool,
}

/// Values of a node's widgets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Saved<'a> {
    /// In the order of the widgets.
    Listed(&'a [Value]),
    /// By name, as some custom nodes do.
    Named(&'a Map<String, Value>),
}

/// Where a link starts and ends.
#[derive(Debug)]
pub(super) struct UiLink {
    pub origin: String,
    pub origin_slot: usize,
    pub target: String,
    pub target_slot: usize,
}

impl<'a> Document<'a> {
    /// `None` when this is not the editor's format.
    pub(super) fn read(ui: &'a Value) -> Option<Self> {
        ui.get("nodes")?.as_array()?;
        let mut definitions = HashMap::new();
        read_definitions(ui, &mut definitions, 0);
        Some(Self { root: Scope::read(ui), definitions })
    }
}

fn read_definitions<'a>(graph: &'a Value, found: &mut HashMap<&'a str, Definition<'a>>, depth: usize) {
    let subgraphs = graph.get("definitions").and_then(|definitions| definitions.get("subgraphs"));
    for subgraph in subgraphs.and_then(Value::as_array).into_iter().flatten() {
        let Some(id) = subgraph.get("id").and_then(Value::as_str) else { continue };
        found.insert(id, Definition::read(id, subgraph));
        if depth < MAX_DEFINITION_DEPTH {
            read_definitions(subgraph, found, depth + 1);
        }
    }
}

impl<'a> Definition<'a> {
    fn read(id: &'a str, subgraph: &'a Value) -> Self {
        let scope = Scope::read(subgraph);
        let node_id = |key: &str, usual: &str| {
            let id = subgraph.get(key).and_then(|node| as_id(node.get("id")?));
            id.unwrap_or_else(|| usual.to_owned())
        };
        let (input_node, output_node) = (node_id("inputNode", "-10"), node_id("outputNode", "-20"));
        let mut starts: HashMap<usize, Vec<&String>> = HashMap::new();
        let mut ends: HashMap<usize, Vec<&String>> = HashMap::new();
        for (id, link) in &scope.links {
            if link.origin == input_node {
                starts.entry(link.origin_slot).or_default().push(id);
            }
            if link.target == output_node {
                ends.entry(link.target_slot).or_default().push(id);
            }
        }
        let ports = |key: &str, found: &HashMap<usize, Vec<&String>>| -> Vec<Port<'a>> {
            let listed = subgraph.get(key).and_then(Value::as_array).into_iter().flatten().take(MAX_SLOTS);
            let read = |(index, port): (usize, &'a Value)| {
                // The first link decides which widget stands behind an input, so the file's own order comes first.
                let named = port.get("linkIds").and_then(Value::as_array).into_iter().flatten().filter_map(as_id);
                let mut links: Vec<String> = named.filter(|id| scope.links.contains_key(id)).collect();
                if links.is_empty() {
                    links = found.get(&index).into_iter().flatten().map(|id| (*id).clone()).collect();
                }
                Port { name: text(port, "name"), kind: kind(port), links }
            };
            listed.enumerate().map(read).collect()
        };
        let (inputs, outputs) = (ports("inputs", &starts), ports("outputs", &ends));
        Self { id, inputs, outputs, scope, input_node }
    }

    /// The position of an input, by name.
    pub(super) fn input_index(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|port| port.name == name)
    }
}

impl<'a> Scope<'a> {
    fn read(graph: &'a Value) -> Self {
        let listed = |key: &str| graph.get(key).and_then(Value::as_array).into_iter().flatten();
        let nodes = listed("nodes").filter_map(|node| Some((as_id(node.get("id")?)?, UiNode::read(node)?))).collect();
        let links = listed("links").filter_map(read_link).collect();
        Self { nodes, links }
    }
}

impl<'a> UiNode<'a> {
    fn read(node: &'a Value) -> Option<Self> {
        let slots = |key: &str| -> Vec<UiSlot<'a>> {
            node.get(key).and_then(Value::as_array).into_iter().flatten().take(MAX_SLOTS).map(UiSlot::read).collect()
        };
        Some(Self {
            class: node.get("type")?.as_str()?,
            title: node.get("title").and_then(Value::as_str).filter(|title| !title.is_empty()),
            mode: match node.get("mode").and_then(Value::as_u64) {
                Some(2) => Mode::Muted,
                Some(4) => Mode::Bypassed,
                _ => Mode::Active,
            },
            inputs: slots("inputs"),
            outputs: slots("outputs"),
            values: match node.get("widgets_values") {
                Some(Value::Array(values)) => Saved::Listed(values),
                Some(Value::Object(values)) => Saved::Named(values),
                _ => Saved::Listed(&[]),
            },
            properties: node.get("properties").and_then(Value::as_object),
        })
    }

    /// Its first value, which is all that some of the editor's own nodes have.
    pub(super) fn first_value(&self) -> Option<&'a Value> {
        match self.values {
            Saved::Listed(values) => values.first(),
            Saved::Named(values) => values.values().next(),
        }
    }

    /// The input that a link ends at.
    pub(super) fn input_of_link(&self, link: &str) -> Option<&UiSlot<'a>> {
        self.inputs.iter().find(|slot| slot.link.as_deref() == Some(link))
    }

    /// Whether any link starts or ends here.
    pub(super) fn is_connected(&self) -> bool {
        self.inputs.iter().any(|slot| slot.link.is_some()) || self.outputs.iter().any(|slot| slot.used)
    }
}

impl<'a> UiSlot<'a> {
    fn read(slot: &'a Value) -> Self {
        Self {
            name: text(slot, "name"),
            kind: kind(slot),
            link: slot.get("link").and_then(as_id),
            widget: slot.get("widget").is_some_and(Value::is_object),
            used: slot.get("links").and_then(Value::as_array).is_some_and(|links| !links.is_empty()),
        }
    }
}

/// `[id, origin, slot, target, slot, type]` or an object with the same in words.
fn read_link(link: &Value) -> Option<(String, UiLink)> {
    let part = |index: usize, key: &str| link.get(index).or_else(|| link.get(key));
    let slot = |index: usize, key: &str| part(index, key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let id = as_id(part(0, "id")?)?;
    let link = UiLink {
        origin: as_id(part(1, "origin_id")?)?,
        origin_slot: slot(2, "origin_slot")?,
        target: as_id(part(3, "target_id")?)?,
        target_slot: slot(4, "target_slot").unwrap_or_default(),
    };
    Some((id, link))
}

/// Ids are numbers, and texts where an editor extension made them.
fn as_id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The type of a slot: a name, a choice list in old files, or a number that stands for "any".
fn kind(slot: &Value) -> &str {
    match slot.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(_)) => "COMBO",
        _ => "*",
    }
}
