//! Slots as a person corrects them: what was detected is kept where it was left alone.

use thiserror::Error;

use super::{
    Confidence, Found, Slot, SlotKind, Slots, Source, Target, completeness_problems, structure_problems, trace::Trace,
};
use crate::workflow::Graph;

/// Why a target cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// The graph has no such node.
    #[error("the workflow has no node {0}")]
    NoNode(String),
    /// The node has no such input.
    #[error("node {node} has no input `{input}`; it has {}", known.join(", "))]
    NoInput {
        /// The node.
        node: String,
        /// What was named.
        input: String,
        /// Inputs that hold a value.
        known: Vec<String>,
    },
    /// The input takes its value from another node.
    #[error("input `{input}` of node {node} is linked to another node; choose the value at the end of that link")]
    Linked {
        /// The node.
        node: String,
        /// The input.
        input: String,
    },
}

/// The slots that a person chose for a graph. One that is as in `before` keeps how it was found; any other is
/// certain, since a person said so. An output names a node, every other kind an input that holds a value.
///
/// # Errors
/// The first target that cannot be set, with its kind.
pub fn confirm(
    graph: &Graph,
    before: &Slots,
    chosen: Vec<(SlotKind, Vec<Target>)>,
) -> Result<Slots, (SlotKind, BadTarget)> {
    let mut found = Found { graph, slots: Vec::new(), problems: Vec::new() };
    structure_problems(&mut found);
    for (kind, targets) in chosen {
        for target in &targets {
            check(graph, kind, target).map_err(|why| (kind, why))?;
        }
        match before.all(kind).find(|slot| slot.targets == targets) {
            Some(same) => found.slots.push(Slot::clone(same)),
            None => found.add(kind, targets, Source::Hand, Confidence::Certain),
        }
    }
    completeness_problems(&mut found, &Trace::of(graph));
    let Found { mut slots, mut problems, .. } = found;
    slots.sort_by_key(|slot| slot.kind);
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    Ok(Slots { slots, problems })
}

fn check(graph: &Graph, kind: SlotKind, target: &Target) -> Result<(), BadTarget> {
    let Some(node) = graph.node(&target.node_id) else { return Err(BadTarget::NoNode(target.node_id.clone())) };
    // Of an output only the node counts, whatever its input takes.
    if kind == SlotKind::Output && (target.input.is_empty() || node.inputs.contains_key(&target.input)) {
        return Ok(());
    }
    let (node_id, input) = (target.node_id.clone(), target.input.clone());
    if node.literal(&target.input).is_some() {
        Ok(())
    } else if node.inputs.contains_key(&target.input) {
        Err(BadTarget::Linked { node: node_id, input })
    } else {
        let known = node.inputs.keys().filter(|name| node.literal(name).is_some()).cloned().collect();
        Err(BadTarget::NoInput { node: node_id, input, known })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workflow::slots::detect;

    fn graph() -> Graph {
        Graph::parse(&json!({
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
            "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "one", "clip": ["1", 1]}},
            "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "two", "clip": ["1", 1]}},
            "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "5": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0],
                "latent_image": ["4", 0], "seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler",
                "scheduler": "normal", "denoise": 1.0}},
            "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
            "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}}
        }))
        .expect("a graph")
    }

    fn at(node: &str, input: &str) -> Vec<Target> {
        vec![Target { node_id: node.to_owned(), input: input.to_owned() }]
    }

    #[test]
    fn what_is_left_alone_stays_and_what_is_changed_is_certain() {
        let graph = graph();
        let before = detect(&graph);
        let mut chosen: Vec<_> = before.slots.iter().map(|slot| (slot.kind, slot.targets.clone())).collect();
        assert_eq!(confirm(&graph, &before, chosen.clone()).expect("the same"), before);
        for (kind, targets) in &mut chosen {
            if *kind == SlotKind::Prompt {
                *targets = at("3", "text");
            }
        }
        let after = confirm(&graph, &before, chosen).expect("two targets");
        let prompt = after.get(SlotKind::Prompt).expect("there");
        assert_eq!((prompt.source, prompt.confidence), (Source::Hand, Confidence::Certain));
        assert_eq!(prompt.current, Some(json!("two")));
        assert_eq!(after.get(SlotKind::Seed), before.get(SlotKind::Seed));
    }

    #[test]
    fn targets_that_cannot_be_set_are_named() {
        let graph = graph();
        let refused = |kind, targets| confirm(&graph, &Slots::default(), vec![(kind, targets)]).expect_err("no").1;
        assert_eq!(refused(SlotKind::Prompt, at("9", "text")), BadTarget::NoNode("9".to_owned()));
        assert!(matches!(refused(SlotKind::Prompt, at("2", "clip")), BadTarget::Linked { .. }));
        let BadTarget::NoInput { known, .. } = refused(SlotKind::Prompt, at("2", "words")) else { panic!("no input") };
        assert_eq!(known, ["text"]);
        let none = confirm(&graph, &Slots::default(), Vec::new()).expect("nothing chosen");
        assert!(!none.problems.is_empty(), "what is missing is told");
    }
}
