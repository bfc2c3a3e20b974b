//! Walking from a sampler back to the texts that guide it.
//!
//! Conditionings are combined, filtered and swapped on their way; every text that contributes to one side is
//! found. Circles and very deep chains end the walk.

use std::collections::HashSet;

use super::resolve::switch_branch;
use super::{Stop, Target, Want, resolve};
use crate::workflow::{Graph, Link, Node};

/// Deepest chain followed; the walk is recursive, and a workflow is an upload.
const MAX_DEPTH: usize = 200;
/// Inputs that hold prompts, in text encoders and text nodes.
pub(super) const TEXT_INPUTS: [&str; 16] = [
    "Text",
    "text",
    "prompt",
    "text_g",
    "text_l",
    "clip_g",
    "clip_l",
    "t5xxl",
    "llama",
    "qwen25_7b",
    "mt5xl",
    "bert",
    "user_prompt",
    "caption",
    "tags",
    "positive_prompt",
];
/// Inputs through which a conditioning never comes.
const NOT_CONDITIONING: [&str; 16] = [
    "model",
    "clip",
    "vae",
    "image",
    "images",
    "pixels",
    "mask",
    "latent",
    "samples",
    "latent_image",
    "control_net",
    "style_model",
    "clip_vision",
    "clip_vision_output",
    "sigmas",
    "noise",
];
/// Whether a prompt or its opposite is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Positive,
    Negative,
}

impl Role {
    fn input(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }
}

/// The texts of one side of a sampler.
#[derive(Default)]
pub(super) struct Texts {
    /// Where they stand.
    pub found: Vec<Target>,
    /// Whether an emptied conditioning was met.
    pub zero: bool,
}

/// Finds the texts of one side of a sampler.
pub(super) fn traced_texts<'g>(graph: &'g Graph, sampler: &'g str, role: Role) -> Texts {
    let mut walk = Walk { graph, seen: HashSet::new(), depth: 0, texts: Texts::default() };
    walk.sampler(sampler, role);
    walk.texts
}

/// Inputs of a text node that hold its text. A plain `text` is the text; an encoder with several gets all.
pub(super) fn text_inputs(node: &Node) -> Vec<&str> {
    let key = |name: &str| node.inputs.get_key_value(name).map(|(key, _)| key.as_str());
    if let Some(only) = ["Text", "text"].into_iter().find_map(key) {
        return vec![only];
    }
    let all: Vec<&str> = TEXT_INPUTS.into_iter().filter_map(key).collect();
    if all.is_empty() {
        ["value", "Value", "string", "String"].into_iter().find_map(key).into_iter().collect()
    } else {
        all
    }
}

/// A walk from a sampler to its texts.
struct Walk<'g> {
    graph: &'g Graph,
    seen: HashSet<(&'g str, u64)>,
    depth: usize,
    texts: Texts,
}

impl<'g> Walk<'g> {
    fn sampler(&mut self, id: &'g str, role: Role) {
        let Some(node) = self.graph.node(id) else { return };
        self.input(id, node, role.input(), role);
        if let Some(link) = node.link("guider")
            && let Some(guider) = self.graph.node(link.node_id)
        {
            self.input(link.node_id, guider, role.input(), role);
            if role == Role::Positive {
                for input in ["conditioning", "cond1", "cond2"] {
                    self.input(link.node_id, guider, input, role);
                }
            }
        }
    }

    fn input(&mut self, id: &'g str, node: &'g Node, input: &str, role: Role) {
        match node.inputs.get(input) {
            // All-in-one loaders take the texts themselves.
            Some(value) if value.is_string() => {
                self.texts.found.push(Target { node_id: id.to_owned(), input: input.to_owned() });
            }
            Some(_) => {
                if let Some(link) = node.link(input) {
                    self.link(link, role);
                }
            }
            None => {}
        }
    }

    fn link(&mut self, link: Link<'g>, role: Role) {
        if self.depth >= MAX_DEPTH || !self.seen.insert((link.node_id, link.slot)) {
            return;
        }
        self.depth += 1;
        self.node(link, role);
        self.depth -= 1;
    }

    fn node(&mut self, link: Link<'g>, role: Role) {
        let Some(node) = self.graph.node(link.node_id) else { return };
        let id = link.node_id;
        if node.class_type == "ConditioningZeroOut" {
            self.texts.zero = true;
            return;
        }
        if node.inputs.contains_key("positive") && node.inputs.contains_key("negative") {
            let side = match (node.inputs.get(role.input()).is_some_and(serde_json::Value::is_string), link.slot) {
                (false, 0) => Role::Positive,
                (false, 1) => Role::Negative,
                _ => role,
            };
            self.input(id, node, side.input(), role);
            return;
        }
        if let Some(branch) = switch_branch(self.graph, id, node) {
            self.input(id, node, branch, role);
            return;
        }
        let conditionings: Vec<_> =
            node.links().filter(|(input, _)| input.starts_with("cond")).map(|(_, link)| link).collect();
        if !conditionings.is_empty() {
            for link in conditionings {
                self.link(link, role);
            }
            return;
        }
        let mut texts = text_inputs(node)
            .into_iter()
            .filter(|input| resolve(self.graph, id, input, Want::Text) != Err(Stop::WrongType))
            .peekable();
        if texts.peek().is_some() {
            self.texts.found.extend(texts.filter_map(|input| resolve(self.graph, id, input, Want::Text).ok()));
            return;
        }
        let onward: Vec<_> =
            node.links().filter(|(input, _)| !NOT_CONDITIONING.contains(input)).map(|(_, link)| link).collect();
        for link in onward {
            self.link(link, role);
        }
    }
}
