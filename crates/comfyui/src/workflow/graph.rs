//! A workflow graph in API format.
//!
//! Owns parsing and writing without loss: unknown keys, metadata, number forms and the order of nodes survive.
//! Node ids are strings as the editor writes them, `"3"` or `"57:8:2"` for flattened subgraphs. It checks
//! shape only; whether classes and values exist is the server's to say.

use std::cmp::Ordering;

use indexmap::IndexMap;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::WorkflowError;

/// Most nodes a graph may have.
pub const MAX_NODES: usize = 4_096;

/// Nodes by id, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    nodes: IndexMap<String, Node>,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its class, such as `KSampler`.
    pub class_type: String,
    /// Values and links by input name.
    pub inputs: Map<String, Value>,
    /// `_meta`, as found.
    pub meta: Option<Value>,
    /// Every other key, as found.
    pub extra: Map<String, Value>,
}

/// The output slot of a node that an input is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Where it comes from.
    pub node_id: &'a str,
    /// Which of its outputs.
    pub slot: u64,
}

impl Node {
    /// What the editor shows above it.
    pub fn title(&self) -> Option<&str> {
        self.meta.as_ref()?.get("title")?.as_str().filter(|title| !title.trim().is_empty())
    }

    /// The link an input holds, if it holds one.
    pub fn link(&self, input: &str) -> Option<Link<'_>> {
        as_link(self.inputs.get(input)?)
    }

    /// The value an input holds, if it holds one and not a link.
    pub fn literal(&self, input: &str) -> Option<&Value> {
        self.inputs.get(input).filter(|value| as_link(value).is_none())
    }

    /// Its linked inputs, in order.
    pub fn links(&self) -> impl Iterator<Item = (&str, Link<'_>)> {
        self.inputs.iter().filter_map(|(name, value)| Some((name.as_str(), as_link(value)?)))
    }
}

/// `["4", 0]`. Everything else is a value; the server wraps real lists as `{"__value__": […]}`.
pub fn as_link(value: &Value) -> Option<Link<'_>> {
    let [Value::String(node_id), slot] = value.as_array()?.as_slice() else { return None };
    Some(Link { node_id, slot: slot.as_u64()? })
}

impl Graph {
    /// Reads a graph.
    ///
    /// # Errors
    /// [`WorkflowError`] when a node has no class or unreadable inputs, or there are no or too many nodes.
    pub fn parse(value: &Value) -> Result<Self, WorkflowError> {
        let Some(object) = value.as_object() else {
            return Err(WorkflowError::NotAWorkflow("it is not a JSON object".to_owned()));
        };
        Self::check_size(object)?;
        let parse = |(id, node): (&String, &Value)| Ok((id.clone(), parse_node(id, node.clone())?));
        Ok(Self { nodes: object.iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// Like [`Graph::parse`], without copying.
    pub(super) fn from_object(object: Map<String, Value>) -> Result<Self, WorkflowError> {
        Self::check_size(&object)?;
        let parse = |(id, node): (String, Value)| {
            let node = parse_node(&id, node)?;
            Ok((id, node))
        };
        Ok(Self { nodes: object.into_iter().map(parse).collect::<Result<_, _>>()? })
    }

    fn check_size(object: &Map<String, Value>) -> Result<(), WorkflowError> {
        match object.len() {
            0 => Err(WorkflowError::NotAWorkflow("it has no nodes".to_owned())),
            count if count > MAX_NODES => {
                Err(WorkflowError::TooLarge(format!("{count} nodes, at most {MAX_NODES} are allowed")))
            }
            _ => Ok(()),
        }
    }

    /// The graph as JSON, as it was read.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("maps with text keys and JSON values always serialise")
    }

    /// One node.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// All nodes, in the order of the file.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(id, node)| (id.as_str(), node))
    }

    /// All links as (consumer, input, source), in the order of the file.
    pub fn links(&self) -> impl Iterator<Item = (&str, &str, Link<'_>)> {
        self.nodes().flat_map(|(id, node)| node.links().map(move |(input, link)| (id, input, link)))
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none; a parsed graph always has some.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn node_mut(&mut self, id: &str) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }
}

fn parse_node(id: &str, value: Value) -> Result<Node, WorkflowError> {
    let fail = |problem: &str| WorkflowError::Node { node_id: id.to_owned(), problem: problem.to_owned() };
    let Value::Object(mut extra) = value else { return Err(fail("is not an object")) };
    let class_type = match extra.shift_remove("class_type") {
        Some(Value::String(class)) if !class.trim().is_empty() => class,
        Some(_) => return Err(fail("has an unusable class_type")),
        None => return Err(fail("has no class_type")),
    };
    // A node without inputs may lack the key; the server then fails, so it is always written back.
    let inputs = match extra.shift_remove("inputs") {
        Some(Value::Object(inputs)) => inputs,
        None => Map::new(),
        Some(_) => return Err(fail("has inputs that are not an object")),
    };
    let meta = extra.shift_remove("_meta");
    Ok(Node { class_type, inputs, meta, extra })
}

impl Serialize for Graph {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.nodes.len()))?;
        for (id, node) in &self.nodes {
            map.serialize_entry(id, node)?;
        }
        map.end()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("inputs", &self.inputs)?;
        map.serialize_entry("class_type", &self.class_type)?;
        if let Some(meta) = &self.meta {
            map.serialize_entry("_meta", meta)?;
        }
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Graph {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_object(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A graph as it is posted: each node has `_meta` with a title, which servers need when they swap a replaced
/// class for its successor, and nothing else beyond class and inputs.
pub(crate) struct Posted<'a>(pub &'a Graph);

struct PostedNode<'a>(&'a Node);

#[derive(Serialize)]
struct Titled<'a> {
    title: &'a str,
}

impl Serialize for Posted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.nodes.iter().map(|(id, node)| (id, PostedNode(node))))
    }
}

impl Serialize for PostedNode<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let node = self.0;
        let mut out = serializer.serialize_struct("Node", 3)?;
        out.serialize_field("inputs", &node.inputs)?;
        out.serialize_field("class_type", &node.class_type)?;
        match &node.meta {
            Some(meta) if node.title().is_some() => out.serialize_field("_meta", meta)?,
            _ => out.serialize_field("_meta", &Titled { title: &node.class_type })?,
        }
        out.end()
    }
}

/// Orders ids as people do: `"9"` before `"10"`, `"57:3"` before `"57:10"`, numbers before names.
pub fn node_order(a: &str, b: &str) -> Ordering {
    let parts =
        |id: &str| id.split(':').map(|part| part.parse::<u64>().map_err(|_| part.to_owned())).collect::<Vec<_>>();
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
}
