//! Following a linked value to the literal at the end of its chain.
//!
//! Values come through primitives, switches, reroutes and nodes that hand an input on under the same name.
//! Where a node computes its output, the chain ends without a literal: overwriting one of its inputs would
//! mean something else.

use serde_json::Value;

use super::Target;
use crate::workflow::graph::as_link;
use crate::workflow::{Graph, Node};

/// Longest chain followed.
const MAX_HOPS: usize = 64;

/// What kind of value is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::workflow) enum Want {
    /// A string.
    Text,
    /// A number.
    Number,
    /// A boolean.
    Flag,
}

impl Want {
    pub(in crate::workflow) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Flag => value.is_boolean(),
        }
    }

    /// Inputs under which primitives hold such a value.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["value", "Value", "string", "String", "text", "Text", "prompt"],
            Self::Number => {
                &["value", "Value", "int", "Int", "float", "Float", "number", "Number", "seed", "noise_seed"]
            }
            Self::Flag => &["value", "Value", "boolean", "Boolean"],
        }
    }
}

/// Why no literal was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::workflow) enum Stop {
    /// The node or the input does not exist.
    Absent,
    /// The value is computed by another node.
    Computed,
    /// There is a literal, of another type.
    WrongType,
}

/// The literal that feeds `input` of `node_id`.
pub(in crate::workflow) fn resolve(graph: &Graph, node_id: &str, input: &str, want: Want) -> Result<Target, Stop> {
    let mut node_id = node_id;
    let mut input = input;
    for _ in 0..MAX_HOPS {
        let node = graph.node(node_id).ok_or(Stop::Absent)?;
        let value = node.inputs.get(input).ok_or(Stop::Absent)?;
        let Some(link) = as_link(value) else {
            if !want.fits(value) {
                return Err(Stop::WrongType);
            }
            return Ok(Target { node_id: node_id.to_owned(), input: input.to_owned() });
        };
        let source = graph.node(link.node_id).ok_or(Stop::Absent)?;
        input = handed_on(graph, link.node_id, source, input, want).ok_or(Stop::Computed)?;
        node_id = link.node_id;
    }
    Err(Stop::Computed)
}

/// The input of `source` that its output repeats unchanged.
fn handed_on<'g>(graph: &'g Graph, id: &str, source: &'g Node, wanted: &str, want: Want) -> Option<&'g str> {
    let plausible =
        |name: &str| source.inputs.get(name).is_some_and(|value| as_link(value).is_some() || want.fits(value));
    if let Some(branch) = switch_branch(graph, id, source) {
        return Some(branch);
    }
    let own_name = |name: &str| source.inputs.get_key_value(name).map(|(key, _)| key.as_str());
    if plausible(wanted) {
        return own_name(wanted);
    }
    let links = source.links().count();
    if links == 1 && source.class_type.contains("Reroute") {
        return source.links().next().map(|(name, _)| name);
    }
    // A node fed by others computes; one that stands alone is a primitive.
    if let Some(name) = want.names().iter().find(|name| plausible(name)) {
        let feeds_itself = source.link(name).is_some();
        if links == usize::from(feeds_itself) {
            return own_name(name);
        }
        return None;
    }
    let mut fitting = source.inputs.iter().filter(|(_, value)| want.fits(value));
    match (links, fitting.next(), fitting.next()) {
        (0, Some((name, _)), None) => Some(name.as_str()),
        _ => None,
    }
}

/// The live branch of `ComfySwitchNode` and its kind.
pub(super) fn switch_branch<'g>(graph: &'g Graph, id: &str, node: &'g Node) -> Option<&'g str> {
    node.inputs.get("switch")?;
    let (yes, no) = (node.inputs.get_key_value("on_true")?.0, node.inputs.get_key_value("on_false")?.0);
    let flag = resolve(graph, id, "switch", Want::Flag).ok()?;
    let value = graph.node(&flag.node_id)?.literal(&flag.input)?.as_bool()?;
    Some(if value { yes } else { no })
}
