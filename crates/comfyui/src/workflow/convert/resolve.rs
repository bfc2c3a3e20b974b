//! Where an input gets its value from, through everything that does not reach the server.
//!
//! Follows one link at a time: reroutes, set and get nodes, bypassed nodes, and the borders of subgraphs in
//! both directions. Each step is taken once; a link that leads back to itself is an error.

use std::collections::HashSet;

use serde_json::Value;

use super::expand::{Instance, Instances, Role};
use super::ui::Mode;

/// The end of a link.
#[derive(Debug, PartialEq)]
pub(super) enum Source<'r> {
    /// Nothing that has a value.
    Nothing,
    /// An output of a node that reaches the server.
    Output(usize, usize),
    /// A value held by a subgraph's outside.
    Held(&'r Value),
    /// The value of a primitive node.
    Primitive(&'r Value),
}

/// A link that leads back to itself.
#[derive(Debug)]
pub(super) struct Cycle;

/// Follows links among instances.
#[derive(Debug)]
pub(super) struct Resolver<'r, 'a> {
    pub instances: &'r Instances<'a>,
}

/// A step on the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step<'r> {
    /// The input of an instance, and the type asked for where an earlier step fixed it.
    Input(usize, usize, Option<&'r str>),
    /// The output of an instance, and the type asked for.
    Output(usize, usize, &'r str),
}

impl<'r, 'a> Resolver<'r, 'a> {
    /// The source of an input.
    ///
    /// # Errors
    /// [`Cycle`].
    pub(super) fn source(&self, instance: usize, input: usize) -> Result<Source<'r>, Cycle> {
        let mut seen = HashSet::new();
        let mut step = Step::Input(instance, input, None);
        loop {
            if !seen.insert(step.clone()) {
                return Err(Cycle);
            }
            let next = match step {
                Step::Input(at, input, wanted) => self.after_input(at, input, wanted),
                Step::Output(at, slot, wanted) => self.after_output(at, slot, wanted),
            };
            match next {
                Ok(next) => step = next,
                Err(end) => return Ok(end),
            }
        }
    }

    fn instance(&self, at: usize) -> &'r Instance<'a> {
        &self.instances.all[at]
    }

    /// `Ok` is a further step, `Err` the end.
    fn after_input(&self, at: usize, input: usize, wanted: Option<&'r str>) -> Result<Step<'r>, Source<'r>> {
        let instance = self.instance(at);
        let Some(input) = instance.inputs.get(input) else { return Err(Source::Nothing) };
        let Some(link) = input.link.and_then(|id| instance.scope.links.get(id)) else { return Err(Source::Nothing) };
        if let Some(parent) = instance.parent
            && let Role::Subgraph { definition, host } = &self.instance(parent).role
            && link.origin == definition.input_node
        {
            return self.outside(parent, link.origin_slot, host.inputs.get(link.origin_slot));
        }
        match self.instances.find(instance.parent, &link.origin) {
            Some(origin) => Ok(Step::Output(origin, link.origin_slot, wanted.unwrap_or(input.kind))),
            None => Err(Source::Nothing),
        }
    }

    /// An input of a subgraph, seen from inside: what is linked to it outside, else the value held there.
    fn outside(&self, host: usize, input: usize, held: Option<&'r Option<Value>>) -> Result<Step<'r>, Source<'r>> {
        match self.instance(host).inputs.get(input) {
            Some(outside) if outside.link.is_some() => Ok(Step::Input(host, input, None)),
            _ => Err(held.and_then(Option::as_ref).map_or(Source::Nothing, Source::Held)),
        }
    }

    fn after_output(&self, at: usize, slot: usize, wanted: &'r str) -> Result<Step<'r>, Source<'r>> {
        let instance = self.instance(at);
        match instance.node.mode {
            Mode::Muted => return Err(Source::Nothing),
            Mode::Bypassed => {
                let input = bypass(instance, slot, wanted).ok_or(Source::Nothing)?;
                return Ok(Step::Input(at, input, None));
            }
            Mode::Active => {}
        }
        match &instance.role {
            Role::Known { .. } | Role::Unknown => Err(Source::Output(at, slot)),
            Role::Reroute | Role::Set => Ok(Step::Input(at, slot, Some(wanted))),
            Role::Get => match self.setter(at) {
                Some(setter) => Ok(Step::Input(setter, 0, Some(wanted))),
                None => Err(Source::Nothing),
            },
            Role::Primitive => Err(self.primitive(instance).map_or(Source::Nothing, Source::Primitive)),
            Role::Note => Err(Source::Nothing),
            Role::Subgraph { definition, host } => {
                let links = definition.outputs.get(slot).map_or(&[][..], |port| &port.links);
                let Some(link) = links.iter().find_map(|id| definition.scope.links.get(id)) else {
                    return Err(Source::Nothing);
                };
                if link.origin == definition.input_node {
                    return self.outside(at, link.origin_slot, host.inputs.get(link.origin_slot));
                }
                match self.instances.find(Some(at), &link.origin) {
                    Some(inner) => Ok(Step::Output(inner, link.origin_slot, wanted)),
                    None => Err(Source::Nothing),
                }
            }
        }
    }

    /// The set node with the name of a get node: beside it, else in the graphs around.
    fn setter(&self, getter: usize) -> Option<usize> {
        let name = self.instance(getter).node.first_value()?.as_str()?;
        let mut around = self.instance(getter).parent;
        loop {
            let found = self.instances.all.iter().position(|other| {
                other.parent == around
                    && matches!(other.role, Role::Set)
                    && other.node.first_value().and_then(Value::as_str) == Some(name)
            });
            match (found, around) {
                (Some(found), _) => return Some(found),
                (None, Some(parent)) => around = self.instance(parent).parent,
                (None, None) => return None,
            }
        }
    }

    fn primitive(&self, instance: &'r Instance<'a>) -> Option<&'r Value> {
        let given = instance.parent.and_then(|parent| match &self.instance(parent).role {
            Role::Subgraph { host, .. } => {
                let own_id = instance.id.rsplit(':').next().unwrap_or_default();
                host.only_value_for(own_id)
            }
            _ => None,
        });
        given.or_else(|| instance.node.first_value())
    }
}

/// The input that a bypassed node passes on to one of its outputs.
fn bypass(instance: &Instance<'_>, slot: usize, wanted: &str) -> Option<usize> {
    let inputs = &instance.inputs;
    if is_any(wanted) {
        return Some(if inputs.len() > slot { slot } else { 0 });
    }
    let output = output_type(instance, slot)?;
    let passes = |kind: &str| connects(kind, output) && connects(kind, wanted);
    if inputs.get(slot).is_some_and(|input| passes(input.kind)) {
        return Some(slot);
    }
    let exact = inputs.iter().position(|input| input.kind == wanted);
    exact.or_else(|| inputs.iter().position(|input| passes(input.kind)))
}

fn output_type<'i>(instance: &'i Instance<'_>, slot: usize) -> Option<&'i str> {
    let declared = match &instance.role {
        Role::Known { info, .. } => info.output.get(slot).map(String::as_str),
        Role::Subgraph { definition, .. } => definition.outputs.get(slot).map(|port| port.kind),
        _ => None,
    };
    let declared = declared.map(|kind| if kind == "COMFY_MATCHTYPE_V3" { "*" } else { kind });
    declared.or_else(|| instance.node.outputs.get(slot).map(|output| output.kind))
}

fn is_any(kind: &str) -> bool {
    kind.is_empty() || kind == "*"
}

/// Whether the editor would let a link of one type end at the other: equal, any, or one of several.
fn connects(a: &str, b: &str) -> bool {
    if is_any(a) || is_any(b) {
        return true;
    }
    a.split(',').any(|a| b.split(',').any(|b| is_any(a) || is_any(b) || a.eq_ignore_ascii_case(b)))
}
