//! Group nodes, the way before subgraphs: written as the subgraphs they would be today.
//!
//! A file keeps a group as a copy of its nodes under `extra.groupNodes`, with links by position. The node that
//! stands for it (`workflow>NAME`, in the oldest files `workflow/NAME`) has an input for everything inside that
//! nothing inside feeds, and one list with the values of all widgets inside. Owns which is which; opening what
//! comes of it is the business of the subgraphs. A group with a group inside is left as it is.

mod inside;

use indexmap::IndexMap;
use serde_json::{Value, json};

use self::inside::Inside;
use super::ui::Saved;
use super::widgets;
use crate::wire::{NodeInfo, ObjectInfo};

/// What the classes of such nodes begin with: today's files and the oldest.
pub(super) const PREFIXES: [&str; 2] = ["workflow>", "workflow/"];
/// Under which a subgraph's links begin and end at its border.
const BORDER: [&str; 2] = ["-10", "-20"];

/// The name of the group that a class stands for.
pub(super) fn name_of(class: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| class.strip_prefix(prefix))
}

/// The document with its groups as subgraphs; `None` when it has none that can be written so.
pub(super) fn as_subgraphs(ui: &Value, info: &ObjectInfo) -> Option<Value> {
    let groups = ui.get("extra")?.get("groupNodes")?.as_object().filter(|groups| !groups.is_empty())?;
    let mut document = ui.clone();
    let mut read: IndexMap<String, Option<Group>> = IndexMap::new();
    let definitions = document.get("definitions").and_then(|all| all.get("subgraphs")).and_then(Value::as_array);
    let inner = definitions.map_or(0, Vec::len);
    for at in std::iter::once(None).chain((0..inner).map(Some)) {
        let scope = match at {
            None => Some(&mut document),
            Some(at) => document.pointer_mut(&format!("/definitions/subgraphs/{at}")),
        };
        let nodes = scope.and_then(|scope| scope.get_mut("nodes")).and_then(Value::as_array_mut);
        for node in nodes.into_iter().flatten() {
            let Some(class) = node.get("type").and_then(Value::as_str) else { continue };
            let Some(data) = name_of(class).and_then(|name| groups.get(name)) else { continue };
            let class = class.to_owned();
            let group = read.entry(class).or_insert_with_key(|class| Group::read(class, data, info));
            if let Some(group) = group {
                group.lead_to(node);
            }
        }
    }
    let made: Vec<Value> = read.into_values().flatten().map(|group| group.definition).collect();
    if made.is_empty() {
        return None;
    }
    match document.pointer_mut("/definitions/subgraphs").and_then(Value::as_array_mut) {
        Some(definitions) => definitions.extend(made),
        None => document["definitions"] = json!({"subgraphs": made}),
    }
    Some(document)
}

/// An input of a group.
struct Port {
    name: String,
    kind: String,
    /// A value stands behind it.
    widget: bool,
    node: usize,
    input: String,
}

/// A value that the node of a group holds for a widget inside.
struct Held {
    name: String,
    node: usize,
    widget: String,
}

/// One group.
struct Group {
    class: String,
    ports: Vec<Port>,
    held: Vec<Held>,
    /// What is inside, as if it were one class: tells which saved value is whose.
    widgets: NodeInfo,
    definition: Value,
}

impl Group {
    /// `None` when it is not of the shape that groups have.
    fn read(class: &str, data: &Value, info: &ObjectInfo) -> Option<Self> {
        let mut inside = Inside::read(data, info)?;
        inside.name_all();
        let Inside { mut nodes, links, outputs, ports, held, widgets, .. } = inside;
        let mut wires = Wires { nodes: &mut nodes, links: Vec::new() };
        for link in &links {
            wires.between(link.origin, link.origin_slot, link.target, link.target_slot);
        }
        let inputs: Vec<Value> = (0..).zip(&ports).map(|(at, port)| wires.enters(at, port)).collect();
        let outputs: Vec<Value> =
            (0..).zip(&outputs).map(|(at, (node, slot, kind))| wires.leaves(at, *node, *slot, kind)).collect();
        let links = wires.links;
        let definition = json!({
            "id": class, "inputs": inputs, "outputs": outputs, "nodes": nodes, "links": links,
            "inputNode": {"id": BORDER[0]}, "outputNode": {"id": BORDER[1]},
        });
        Some(Self { class: class.to_owned(), ports, held, widgets, definition })
    }

    /// Makes the node of a group an instance of its subgraph: inputs by today's names, values by inner node.
    fn lead_to(&self, node: &mut Value) {
        self.rename_inputs(node);
        let values = node.get("widgets_values").cloned().unwrap_or_default();
        let saved = match &values {
            Value::Array(values) if !values.is_empty() => Saved::Listed(values),
            Value::Object(values) => Saved::Named(values),
            // The nodes inside have their own.
            _ => return,
        };
        let layout = widgets::lay_out(&self.class, &self.widgets, saved);
        let value_of = |name: &str| layout.widget(name).and_then(|widget| widget.value.clone()).unwrap_or_default();
        let mut proxies = Vec::new();
        let mut values = Vec::new();
        for port in self.ports.iter().filter(|port| port.widget) {
            // Minus one: an input of the subgraph itself.
            proxies.push(json!(["-1", port.name]));
            values.push(value_of(&port.name));
        }
        for held in &self.held {
            proxies.push(json!([held.node.to_string(), held.widget]));
            values.push(value_of(&held.name));
            // What a choice brings with it.
            let prefix = format!("{}.", held.name);
            for widget in &layout.widgets {
                if let Some(rest) = widget.name.strip_prefix(&prefix) {
                    proxies.push(json!([held.node.to_string(), format!("{}.{rest}", held.widget)]));
                    values.push(widget.value.clone().unwrap_or_default());
                }
            }
        }
        node["widgets_values"] = values.into();
        if !node.get("properties").is_some_and(Value::is_object) {
            node["properties"] = json!({});
        }
        node["properties"]["proxyWidgets"] = proxies.into();
    }

    /// Where a file calls its inputs otherwise, they are known by their order.
    fn rename_inputs(&self, node: &mut Value) {
        let Some(saved) = node.get_mut("inputs").and_then(Value::as_array_mut) else { return };
        let is_known = |slot: &Value| self.ports.iter().any(|port| slot["name"] == port.name);
        if saved.iter().all(is_known) {
            return;
        }
        let fed: Vec<&Port> = self.ports.iter().filter(|port| !port.widget).collect();
        let mut slots: Vec<&mut Value> = saved.iter_mut().filter(|slot| slot.get("widget").is_none()).collect();
        if fed.len() == slots.len() {
            for (slot, port) in slots.iter_mut().zip(fed) {
                slot["name"] = json!(port.name);
            }
        }
    }
}

/// Writes the links inside a group.
struct Wires<'n> {
    nodes: &'n mut Vec<Value>,
    links: Vec<Value>,
}

impl Wires<'_> {
    fn link(&mut self, origin: &str, origin_slot: usize, target: &str, target_slot: usize) -> Value {
        let id = json!(self.links.len() + 1);
        self.links.push(json!({
            "id": id, "origin_id": origin, "origin_slot": origin_slot, "target_id": target, "target_slot": target_slot,
        }));
        id
    }

    fn between(&mut self, origin: usize, origin_slot: usize, target: usize, target_slot: usize) {
        let id = self.link(&origin.to_string(), origin_slot, &target.to_string(), target_slot);
        if let Some(slot) = self.nodes[target]["inputs"].get_mut(target_slot) {
            slot["link"] = id;
        }
    }

    /// An input of the group, and its link to the node inside.
    fn enters(&mut self, at: usize, port: &Port) -> Value {
        let inputs = self.nodes[port.node]["inputs"].as_array().map_or(&[][..], Vec::as_slice);
        // The one input of a reroute has no name.
        let by_name = inputs.iter().position(|slot| slot["name"] == port.input);
        let slot = by_name.unwrap_or(if port.input.is_empty() { 0 } else { inputs.len() });
        let known = slot < inputs.len();
        let id = self.link(BORDER[0], at, &port.node.to_string(), slot);
        let inner = &mut self.nodes[port.node]["inputs"];
        if known {
            inner[slot]["link"] = id.clone();
        } else if let Some(inner) = inner.as_array_mut() {
            inner.push(json!({"name": port.input, "type": port.kind, "link": id}));
        }
        json!({"name": port.name, "type": port.kind, "linkIds": [id]})
    }

    fn leaves(&mut self, at: usize, node: usize, slot: usize, kind: &str) -> Value {
        let id = self.link(&node.to_string(), slot, BORDER[1], at);
        json!({"name": kind, "type": kind, "linkIds": [id]})
    }
}
