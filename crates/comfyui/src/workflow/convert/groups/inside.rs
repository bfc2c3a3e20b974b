//! What lies inside a group: its nodes and links, and under which names its inputs and values show outside.
//!
//! The names follow the order of the nodes; one that is taken gets the node's title before it, then a number. So
//! does the order of the values: node by node, and last those of inputs that were made linkable.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::super::widgets::{has_control, is_widget, link_type};
use super::{Held, Port, name_of};
use crate::wire::{InputKind, InputSpec, NodeInfo, ObjectInfo, WidgetHints};

/// Most nodes and links of one group.
const NODES_MAX: usize = 500;
const LINKS_MAX: usize = 5_000;

/// A link between two nodes, by position.
pub(super) struct Link {
    pub(super) origin: usize,
    pub(super) origin_slot: usize,
    pub(super) target: usize,
    pub(super) target_slot: usize,
}

/// The inside of a group.
pub(super) struct Inside<'g> {
    /// Copies with ids by position and without the links that they had before.
    pub(super) nodes: Vec<Value>,
    pub(super) links: Vec<Link>,
    /// Outputs that show outside: node, slot, type.
    pub(super) outputs: Vec<(usize, usize, String)>,
    pub(super) ports: Vec<Port>,
    pub(super) held: Vec<Held>,
    pub(super) widgets: NodeInfo,
    data: &'g Value,
    info: &'g ObjectInfo,
    seen: HashMap<String, u32>,
    /// Outputs that lead out of the group although they are used inside, too.
    external: HashMap<(usize, usize), String>,
}

/// What a node of a group shows: inputs in order, types of outputs.
struct Shown {
    inputs: Vec<(String, InputSpec)>,
    outputs: Vec<String>,
}

impl<'g> Inside<'g> {
    /// `None` when the shape is wrong, it is too large, or another group is inside.
    pub(super) fn read(data: &'g Value, info: &'g ObjectInfo) -> Option<Self> {
        let links = data.get("links").and_then(Value::as_array);
        let listed = data.get("nodes")?.as_array()?;
        if listed.len() > NODES_MAX || links.is_some_and(|links| links.len() > LINKS_MAX) {
            return None;
        }
        let mut nodes = listed.clone();
        for (at, node) in nodes.iter_mut().enumerate() {
            let class = node.get("type")?.as_str()?;
            if name_of(class).is_some() {
                return None;
            }
            node["id"] = json!(at.to_string());
            if !node.get("inputs").is_some_and(Value::is_array) {
                node["inputs"] = json!([]);
            }
            for slot in node["inputs"].as_array_mut().into_iter().flatten() {
                if !slot.is_object() {
                    return None;
                }
                slot["link"] = Value::Null;
            }
        }
        let count = nodes.len();
        let listed = |key: &str| data.get(key).and_then(Value::as_array).into_iter().flatten();
        let place = |value: Option<&Value>| usize::try_from(value?.as_u64()?).ok();
        let node_at = |value: Option<&Value>| place(value).filter(|at| *at < count);
        // A link from outside has no origin.
        let link = |link: &Value| {
            Some(Link {
                origin: node_at(link.get(0))?,
                origin_slot: place(link.get(1))?,
                target: node_at(link.get(2))?,
                target_slot: place(link.get(3))?,
            })
        };
        let external = |one: &Value| {
            let kind = one.get(2).and_then(Value::as_str).unwrap_or("*");
            Some(((node_at(one.get(0))?, place(one.get(1))?), kind.to_owned()))
        };
        Some(Self {
            links: listed("links").filter_map(link).collect(),
            external: listed("external").filter_map(external).collect(),
            nodes,
            data,
            info,
            outputs: Vec::new(),
            ports: Vec::new(),
            held: Vec::new(),
            widgets: NodeInfo::default(),
            seen: HashMap::new(),
        })
    }

    /// Finds and names everything that shows outside.
    pub(super) fn name_all(&mut self) {
        let mut linkable: Vec<(usize, Vec<(String, InputSpec)>)> = Vec::new();
        for at in 0..self.nodes.len() {
            let Some(shown) = self.shown(at) else { continue };
            let mut fed = Vec::new();
            // By their place among the node's inputs, as texts: so they are sorted.
            let mut converted = BTreeMap::new();
            for (name, spec) in shown.inputs {
                if !is_widget(&spec) {
                    fed.push((name, spec));
                } else if let Some(slot) = self.slot_with_widget(at, &name) {
                    converted.insert(slot.to_string(), (name, spec));
                } else {
                    let outside = self.name(at, &name);
                    self.hold(outside, at, name, spec);
                }
            }
            for (name, spec) in fed {
                self.fed(at, &name, &spec);
            }
            linkable.push((at, converted.into_values().collect()));
            for (slot, kind) in shown.outputs.into_iter().enumerate() {
                if self.is_output(at, slot) {
                    self.outputs.push((at, slot, kind));
                }
            }
        }
        for (at, inputs) in linkable {
            for (name, spec) in inputs.into_iter().filter(|(name, _)| !self.is_fed(at, name)).collect::<Vec<_>>() {
                let outside = self.name(at, &name);
                let kind = link_type(&spec).to_owned();
                self.ports.push(Port { name: outside.clone(), kind, widget: true, node: at, input: name.clone() });
                self.widgets.input.required.insert(outside, controlled(&name, spec));
            }
        }
    }

    fn shown(&self, at: usize) -> Option<Shown> {
        let class = self.class(at);
        if let Some(info) = self.info.node(class) {
            let inputs = info.input.iter().map(|(name, spec)| (name.to_owned(), spec.clone())).collect();
            return Some(Shown { inputs, outputs: info.output.clone() });
        }
        match class {
            "PrimitiveNode" => {
                let mut spec = self.fed_by(at)?;
                if matches!(link_type(&spec), "INT" | "FLOAT" | "COMBO") {
                    spec.widget.control = Some(true);
                }
                let outputs = vec![link_type(&spec).to_owned()];
                Some(Shown { inputs: vec![("value".to_owned(), spec)], outputs })
            }
            "Reroute" => {
                let is_fed = self.links.iter().any(|link| link.target == at);
                let passes_on = self.links.iter().any(|link| link.origin == at);
                if is_fed && passes_on && !self.external.contains_key(&(at, 0)) {
                    return None;
                }
                let kind = self.passes(at);
                let widget = WidgetHints { force_input: true, ..WidgetHints::default() };
                let kind_of = InputKind::Type(kind.clone());
                let spec = InputSpec { kind: kind_of, default: None, min: None, max: None, widget };
                Some(Shown { inputs: vec![(kind.clone(), spec)], outputs: vec![kind] })
            }
            _ => None,
        }
    }

    /// The input that a primitive inside holds the value of.
    fn fed_by(&self, primitive: usize) -> Option<InputSpec> {
        let link = self.links.iter().find(|link| link.origin == primitive)?;
        let name = self.slot_name(link.target, link.target_slot)?;
        self.info.node(self.class(link.target))?.input(name).cloned()
    }

    /// The type that a reroute passes on.
    fn passes(&self, at: usize) -> String {
        let on = self.links.iter().filter(|link| link.origin == at).find_map(|link| {
            self.nodes[link.target]["inputs"].get(link.target_slot)?["type"].as_str().filter(|kind| *kind != "*")
        });
        let from = || {
            let link = self.links.iter().find(|link| link.target == at)?;
            self.nodes[link.origin]["outputs"].get(link.origin_slot)?["type"].as_str()
        };
        let out = || self.external.get(&(at, 0)).map(String::as_str);
        on.or_else(from).or_else(out).unwrap_or("*").to_owned()
    }

    /// An input that only links feed.
    fn fed(&mut self, at: usize, name: &str, spec: &InputSpec) {
        let reroute = self.class(at) == "Reroute";
        let input = if reroute { String::new() } else { name.to_owned() };
        if self.is_fed(at, &input) {
            return;
        }
        let outside = self.name(at, name);
        if self.said(at, "input", name, "visible") != Some(&Value::Bool(false)) {
            let kind = link_type(spec).to_owned();
            self.ports.push(Port { name: outside, kind, widget: false, node: at, input });
        }
    }

    fn hold(&mut self, outside: String, at: usize, name: String, spec: InputSpec) {
        self.widgets.input.required.insert(outside.clone(), controlled(&name, spec));
        self.held.push(Held { name: outside, node: at, widget: name });
    }

    /// Whether a link inside ends at an input.
    fn is_fed(&self, at: usize, input: &str) -> bool {
        self.links
            .iter()
            .any(|link| link.target == at && (input.is_empty() || self.slot_name(at, link.target_slot) == Some(input)))
    }

    fn is_output(&self, at: usize, slot: usize) -> bool {
        let used = self.links.iter().any(|link| link.origin == at && link.origin_slot == slot);
        let hidden = used && !self.external.contains_key(&(at, slot));
        match self.said(at, "output", &slot.to_string(), "visible") {
            Some(Value::Bool(visible)) => *visible,
            _ => !hidden,
        }
    }

    /// The name of an input outside; it is taken from then on.
    fn name(&mut self, at: usize, input: &str) -> String {
        let said = self.said(at, "input", input, "name").and_then(Value::as_str);
        let node = &self.nodes[at];
        let label = || {
            let slots = node["inputs"].as_array().into_iter().flatten();
            slots.filter(|slot| slot["name"] == input).find_map(|slot| slot["label"].as_str())
        };
        let mut name = said.or_else(label).unwrap_or(input).to_owned();
        let mut key = name.clone();
        let title = node["title"].as_str();
        let titled = self.class(at) == "PrimitiveNode" && title.is_some_and(|title| !title.is_empty());
        if titled || self.seen.contains_key(&name) {
            let prefix = title.unwrap_or(self.class(at));
            name = format!("{prefix} {input}");
            key.clone_from(&name);
            if let Some(times) = self.seen.get(&name) {
                name = format!("{prefix} {times} {input}");
            }
        }
        *self.seen.entry(key).or_insert(1) += 1;
        name
    }

    /// What a person said about an input or output in the editor's dialogue for groups.
    fn said(&self, at: usize, side: &str, name: &str, what: &str) -> Option<&'g Value> {
        self.data.get("config")?.get(at.to_string())?.get(side)?.get(name)?.get(what)
    }

    fn class(&self, at: usize) -> &str {
        self.nodes[at]["type"].as_str().unwrap_or_default()
    }

    fn slot_name(&self, at: usize, slot: usize) -> Option<&str> {
        self.nodes[at]["inputs"].get(slot)?["name"].as_str()
    }

    /// The place of an input that has a widget and can be linked.
    fn slot_with_widget(&self, at: usize, input: &str) -> Option<usize> {
        let slots = self.nodes[at]["inputs"].as_array()?;
        slots.iter().position(|slot| slot["name"] == input && slot["widget"]["name"] == input)
    }
}

/// A seed keeps its control under another name.
fn controlled(name: &str, mut spec: InputSpec) -> InputSpec {
    spec.widget.control = Some(has_control(name, &spec));
    spec
}
