//! From the editor's saved format to a graph that can be posted.
//!
//! [`to_api`] does what the web client does before it sends a workflow: it opens subgraphs and groups, follows links
//! through everything that is only there for people, and gives every input its saved value by what the server
//! says about its classes (`/object_info`). The same file and the same classes always give the same graph.
//! What it cannot convert it names, node by node; it never guesses and never talks to a server.

mod expand;
mod groups;
mod problem;
mod promote;
mod replaced;
mod resolve;
mod text;
mod ui;
mod widgets;

use serde_json::{Map, Value, json};

use self::expand::{Instance, Role};
use self::resolve::{Resolver, Source};
use self::ui::{Document, Mode};
use self::widgets::Widget;
use super::Graph;
use crate::wire::{NodeInfo, ObjectInfo};

pub use problem::{ConvertError, NodeProblem, Why};

/// A converted workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The graph, as the web client would send it.
    pub graph: Graph,
    /// What a person should know about it: nodes that were left out, values that look wrong.
    pub warnings: Vec<NodeProblem>,
}

/// Converts a workflow saved by the editor, with the classes of the server that will run it.
///
/// # Errors
/// [`ConvertError`]: the nodes that cannot be converted, each with the reason.
pub fn to_api(ui: &Value, info: &ObjectInfo) -> Result<Converted, ConvertError> {
    let replaced = replaced::as_replaced(ui, info);
    let ui = replaced.as_ref().unwrap_or(ui);
    let opened = groups::as_subgraphs(ui, info);
    let document = Document::read(opened.as_ref().unwrap_or(ui)).ok_or(ConvertError::NotUi)?;
    let instances = expand::unfold(&document, info)?;
    let mut writing = Writing {
        resolver: Resolver { instances: &instances },
        problems: Vec::new(),
        warnings: Vec::new(),
        nodes: Map::new(),
    };
    for at in 0..instances.all.len() {
        writing.node(at);
    }
    let Writing { problems, warnings, nodes, .. } = writing;
    if !problems.is_empty() {
        return Err(ConvertError::Nodes(problems));
    }
    if nodes.is_empty() {
        return Err(ConvertError::Empty);
    }
    let graph = Graph::from_object(nodes).map_err(|error| ConvertError::TooLarge(error.to_string()))?;
    Ok(Converted { graph, warnings })
}

struct Writing<'r, 'a> {
    resolver: Resolver<'r, 'a>,
    problems: Vec<NodeProblem>,
    warnings: Vec<NodeProblem>,
    nodes: Map<String, Value>,
}

impl<'r> Writing<'r, '_> {
    fn node(&mut self, at: usize) {
        let instance = &self.resolver.instances.all[at];
        if instance.node.mode != Mode::Active {
            return;
        }
        match &instance.role {
            Role::Known { info, .. } => self.known(at, instance, info),
            Role::Unknown => self.unknown(instance, instance.node.is_connected()),
            _ => {}
        }
    }

    fn known(&mut self, at: usize, instance: &'r Instance<'_>, info: &NodeInfo) {
        let mut inputs = self.values(instance);
        for (index, input) in instance.inputs.iter().enumerate() {
            let value = match self.resolver.source(at, index) {
                Ok(Source::Nothing) => continue,
                Ok(Source::Output(origin, slot)) => {
                    let origin = &self.resolver.instances.all[origin];
                    // Files that others wrote may tell a link at one of its ends only.
                    if matches!(origin.role, Role::Unknown) && !origin.node.is_connected() {
                        self.unknown(origin, true);
                    }
                    json!([origin.id, slot])
                }
                Ok(Source::Held(value)) => as_value(value.clone()),
                Ok(Source::Primitive(value)) => {
                    let value = self.settled(instance, &input.name, value.clone());
                    as_value(value)
                }
                Err(_) => {
                    self.problems.push(instance.problem(Why::LinkCycle(input.name.clone())));
                    continue;
                }
            };
            inputs.insert(input.name.clone(), value);
        }
        if let Role::Known { layout, .. } = &instance.role {
            for input in layout.made_by_page.iter().filter(|input| !inputs.contains_key(*input)) {
                let why = format!("takes its input `{input}` from the web page (a camera, a recorder or a 3D view)");
                self.problems.push(instance.problem(Why::Other(why)));
            }
        }
        self.note_missing(instance, info, &inputs);
        let title = instance.node.title.or(Some(info.display_name.as_str()).filter(|name| !name.is_empty()));
        let node = json!({
            "inputs": inputs,
            "class_type": instance.node.class,
            "_meta": {"title": title.unwrap_or(instance.node.class)},
        });
        self.nodes.insert(instance.id.clone(), node);
    }

    /// The values of a node's widgets, as saved or as the subgraph around gives them.
    fn values(&mut self, instance: &'r Instance<'_>) -> Map<String, Value> {
        let mut inputs = Map::new();
        let Role::Known { layout, .. } = &instance.role else { return inputs };
        self.warnings.extend(layout.doubts.iter().map(|doubt| instance.problem(Why::Other(doubt.clone()))));
        for widget in layout.widgets.iter().filter(|widget| widget.sent) {
            let value = match self.given(instance, widget) {
                Some(given) => Some(given.clone()),
                None => widget.value.clone().map(|value| self.settled(instance, &widget.name, value)),
            };
            if let Some(value) = value {
                inputs.insert(widget.name.clone(), as_value(value));
            }
        }
        inputs
    }

    /// The value that the subgraph around a node gives to one of its widgets.
    fn given(&self, instance: &Instance<'_>, widget: &Widget<'_>) -> Option<&'r Value> {
        let Role::Subgraph { host, .. } = &self.resolver.instances.all[instance.parent?].role else { return None };
        let own_id = instance.id.rsplit(':').next()?;
        host.value_for(own_id, &widget.name).filter(|_| !widget.spec.widget.socketless)
    }

    /// A text with its comments removed and its alternatives decided, where its input allows them.
    fn settled(&mut self, instance: &Instance<'_>, input: &str, value: Value) -> Value {
        let Role::Known { layout, .. } = &instance.role else { return value };
        let allowed = layout.widget(input).is_some_and(|widget| widget.spec.widget.dynamic_prompts);
        let Some(text) = value.as_str().filter(|_| allowed) else { return value };
        let (settled, chose) = text::settle(text);
        if chose {
            let why = format!("has alternatives `{{a|b}}` in its input `{input}`; the first one was taken");
            self.warnings.push(instance.problem(Why::Other(why)));
        }
        Value::String(settled)
    }

    /// Inputs that the server will insist on and that have no source.
    fn note_missing(&mut self, instance: &Instance<'_>, info: &NodeInfo, inputs: &Map<String, Value>) {
        for (name, spec) in &info.input.required {
            let grows =
                matches!(widgets::link_type(spec), "COMFY_AUTOGROW_V3" | "IMAGEUPLOAD" | "AUDIOUPLOAD" | "AUDIO_UI");
            if !inputs.contains_key(name) && !grows {
                let why = format!("has nothing at its input `{name}`, which it needs");
                self.warnings.push(instance.problem(Why::Other(why)));
            }
        }
    }

    fn unknown(&mut self, instance: &Instance<'_>, connected: bool) {
        let why = if groups::name_of(instance.node.class).is_some() {
            Some(Why::GroupNode)
        } else if is_uuid(instance.node.class) {
            Some(Why::NoDefinition)
        } else {
            connected.then_some(Why::NotInstalled)
        };
        if let Some(why) = why {
            let problem = instance.problem(why);
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        } else {
            let why = "is not installed; nothing is connected to it, so it was left out".to_owned();
            self.warnings.push(instance.problem(Why::Other(why)));
        }
    }
}

/// A list as a value would be taken for a link, so it travels wrapped.
fn as_value(value: Value) -> Value {
    if value.is_array() { json!({"__value__": value}) } else { value }
}

/// Subgraphs are named by UUIDs, which no class is.
fn is_uuid(class: &str) -> bool {
    uuid::Uuid::try_parse(class).is_ok()
}
