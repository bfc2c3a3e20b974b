//! The nodes that a saved workflow stands for: every instance of a subgraph opened, every node given its id.
//!
//! Owns the list of [`Instance`]s and the ids (`outer:inner`); links are followed elsewhere. A subgraph that
//! contains itself and one that unfolds without bound end as problems.

use std::collections::HashMap;

use super::problem::{ConvertError, NodeProblem, Why};
use super::promote::{Host, Promotions};
use super::ui::{Definition, Document, Mode, Scope, UiNode};
use super::widgets::{self, Layout};
use crate::wire::{NodeInfo, ObjectInfo};
use crate::workflow::graph::MAX_NODES;

/// Most nodes of any sort that are unfolded.
const MAX_INSTANCES: usize = 2 * MAX_NODES;
/// Subgraphs inside subgraphs.
pub(super) const MAX_DEPTH: usize = 64;

/// A node in its place.
#[derive(Debug)]
pub(super) struct Instance<'a> {
    /// `57`, or inside subgraphs `57:8`.
    pub id: String,
    /// The subgraph instance around it.
    pub parent: Option<usize>,
    pub scope: &'a Scope<'a>,
    pub node: &'a UiNode<'a>,
    pub role: Role<'a>,
    pub inputs: Vec<Input<'a>>,
}

/// An input in the order in which the editor counts them.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub name: String,
    pub kind: &'a str,
    pub link: Option<&'a str>,
}

/// What a node is to the editor.
#[derive(Debug)]
pub(super) enum Role<'a> {
    /// A class of the server.
    Known { info: &'a NodeInfo, layout: Layout<'a> },
    /// An instance of a subgraph.
    Subgraph { definition: &'a Definition<'a>, host: Host },
    /// Passes its input on.
    Reroute,
    /// Holds one value for the inputs it is connected to.
    Primitive,
    /// Puts its input under a name.
    Set,
    /// Gives what was put under a name.
    Get,
    /// Text for people.
    Note,
    /// None of these.
    Unknown,
}

/// All instances, and the way to find one.
#[derive(Debug, Default)]
pub(super) struct Instances<'a> {
    pub all: Vec<Instance<'a>>,
    places: HashMap<(Option<usize>, &'a str), usize>,
}

impl Instances<'_> {
    /// The node with this id beside the children of `parent`.
    pub(super) fn find(&self, parent: Option<usize>, id: &str) -> Option<usize> {
        self.places.get(&(parent, id)).copied()
    }
}

impl Instance<'_> {
    pub(super) fn problem(&self, why: Why) -> NodeProblem {
        problem(&self.id, self.node, why)
    }
}

fn problem(id: &str, node: &UiNode<'_>, why: Why) -> NodeProblem {
    let title = node.title.filter(|title| *title != node.class).map(str::to_owned);
    NodeProblem { node_id: id.to_owned(), title, class: node.class.to_owned(), why }
}

/// Unfolds a document.
///
/// # Errors
/// Subgraphs that contain themselves, by name; too many nodes.
pub(super) fn unfold<'a>(document: &'a Document<'a>, info: &'a ObjectInfo) -> Result<Instances<'a>, ConvertError> {
    let promotions = Promotions::new(document, info);
    let mut unfolding = Unfolding { document, info, promotions, out: Instances::default(), problems: Vec::new() };
    unfolding.scope(&document.root, None, &mut Vec::new())?;
    if unfolding.problems.is_empty() { Ok(unfolding.out) } else { Err(ConvertError::Nodes(unfolding.problems)) }
}

struct Unfolding<'a> {
    document: &'a Document<'a>,
    info: &'a ObjectInfo,
    promotions: Promotions<'a>,
    out: Instances<'a>,
    problems: Vec<NodeProblem>,
}

impl<'a> Unfolding<'a> {
    fn scope(
        &mut self,
        scope: &'a Scope<'a>,
        parent: Option<usize>,
        inside: &mut Vec<&'a str>,
    ) -> Result<(), ConvertError> {
        for (node_id, node) in &scope.nodes {
            if self.out.all.len() >= MAX_INSTANCES {
                return Err(ConvertError::TooLarge(format!("its subgraphs unfold to more than {MAX_INSTANCES} nodes")));
            }
            let id = match parent {
                Some(parent) => format!("{}:{node_id}", self.out.all[parent].id),
                None => node_id.clone(),
            };
            let role = self.role(node_id, node, parent);
            let inputs = inputs(node, &role);
            let here = self.out.all.len();
            let opened = match &role {
                Role::Subgraph { definition, .. } if node.mode == Mode::Active => Some(*definition),
                _ => None,
            };
            self.out.places.insert((parent, node_id), here);
            self.out.all.push(Instance { id, parent, scope, node, role, inputs });
            let Some(definition) = opened else { continue };
            if inside.contains(&definition.id) || inside.len() >= MAX_DEPTH {
                let problem = self.out.all[here].problem(Why::ContainsItself);
                self.problems.push(problem);
                continue;
            }
            inside.push(definition.id);
            self.scope(&definition.scope, Some(here), inside)?;
            inside.pop();
        }
        Ok(())
    }

    fn role(&self, id: &str, node: &'a UiNode<'a>, parent: Option<usize>) -> Role<'a> {
        if let Some(definition) = self.document.definitions.get(node.class) {
            let around = parent.and_then(|parent| match &self.out.all[parent].role {
                Role::Subgraph { host, .. } => Some(host),
                _ => None,
            });
            return Role::Subgraph { definition, host: self.promotions.host(id, node, definition, around) };
        }
        if let Some(info) = self.info.node(node.class) {
            return Role::Known { info, layout: widgets::lay_out(node.class, info, node.values) };
        }
        match node.class {
            "Reroute" | "Reroute (rgthree)" => Role::Reroute,
            "PrimitiveNode" => Role::Primitive,
            "SetNode" | "easy setNode" => Role::Set,
            "GetNode" | "easy getNode" => Role::Get,
            "Note" | "MarkdownNote" => Role::Note,
            _ => Role::Unknown,
        }
    }
}

/// The inputs of a node as the editor lists them after loading: what the class declares, first those without
/// a widget, then what only the file knows.
fn inputs<'a>(node: &'a UiNode<'a>, role: &Role<'a>) -> Vec<Input<'a>> {
    let link = |name: &str| node.inputs.iter().find(|slot| slot.name == name).and_then(|slot| slot.link.as_deref());
    let declared = |name: &str, kind: &'a str| Input { name: name.to_owned(), kind, link: link(name) };
    match role {
        Role::Known { layout, .. } => {
            let mut inputs: Vec<Input<'a>> = layout.sockets.iter().map(|(name, kind)| declared(name, kind)).collect();
            let shown = layout.widgets.iter().filter(|widget| !widget.spec.widget.socketless);
            inputs.extend(shown.map(|widget| declared(&widget.name, widgets::link_type(widget.spec))));
            for slot in &node.inputs {
                // An input with a widget that the class no longer has is dropped.
                if !slot.widget && !inputs.iter().any(|input| input.name == slot.name) {
                    inputs.push(declared(slot.name, slot.kind));
                }
            }
            inputs
        }
        Role::Subgraph { definition, .. } => {
            definition.inputs.iter().map(|port| declared(port.name, port.kind)).collect()
        }
        _ => node
            .inputs
            .iter()
            .map(|slot| Input { name: slot.name.to_owned(), kind: slot.kind, link: slot.link.as_deref() })
            .collect(),
    }
}
