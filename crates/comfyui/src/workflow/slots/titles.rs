//! Slots by title: the author's word.
//!
//! Two families. `MCP_*` titles are a contract and exclusive. Plain titles ("Positive Prompt", "Seed", …) are
//! a convention; a text node that the author left untitled but that holds the very same text is added to them
//! later, by tracing. Matching ignores case and surrounding blanks. Duplicates are all patched.

use super::{Confidence, Found, Severity, SlotKind, Source, Stop, Target, Want, resolve};
use crate::workflow::Node;
use crate::workflow::slots::texts::text_inputs;

struct Rule {
    kind: SlotKind,
    /// Lower case. The first title of each is the contract's, or empty.
    contract: &'static [&'static str],
    plain: &'static [&'static str],
    want: Want,
    /// Candidates, best first; empty for texts, which have their own rule.
    inputs: &'static [&'static str],
}

const VALUE: [&str; 2] = ["Value", "value"];

const RULES: [Rule; 17] = [
    Rule {
        kind: SlotKind::Prompt,
        contract: &["mcp_input_prompt"],
        plain: &[
            "positive prompt",
            "positive",
            "prompt",
            "edit instruction",
            "instruction",
            "clip text encode (positive prompt)",
            "clip text encode (positive)",
        ],
        want: Want::Text,
        inputs: &[],
    },
    Rule {
        kind: SlotKind::Negative,
        contract: &["mcp_input_negative_prompt"],
        plain: &["negative prompt", "negative", "clip text encode (negative prompt)", "clip text encode (negative)"],
        want: Want::Text,
        inputs: &[],
    },
    Rule {
        kind: SlotKind::Seed,
        contract: &["mcp_seed"],
        plain: &["seed", "noise seed", "random seed"],
        want: Want::Number,
        inputs: &["Value", "value", "seed", "noise_seed"],
    },
    Rule { kind: SlotKind::Width, contract: &["mcp_resolution"], plain: SIZES, want: Want::Number, inputs: &["width"] },
    Rule {
        kind: SlotKind::Height,
        contract: &["mcp_resolution"],
        plain: SIZES,
        want: Want::Number,
        inputs: &["height"],
    },
    Rule {
        kind: SlotKind::Width,
        contract: &["mcp_width"],
        plain: &["width"],
        want: Want::Number,
        inputs: &["Value", "value", "width"],
    },
    Rule {
        kind: SlotKind::Height,
        contract: &["mcp_height"],
        plain: &["height"],
        want: Want::Number,
        inputs: &["Value", "value", "height"],
    },
    Rule {
        kind: SlotKind::Denoise,
        contract: &["mcp_denoise"],
        plain: &["denoise", "denoising strength"],
        want: Want::Number,
        inputs: &["value", "Value", "denoise"],
    },
    Rule {
        kind: SlotKind::Steps,
        contract: &["mcp_steps"],
        plain: &["steps"],
        want: Want::Number,
        inputs: &["Value", "value", "steps"],
    },
    Rule {
        kind: SlotKind::Cfg,
        contract: &["mcp_cfg"],
        plain: &["cfg", "cfg scale"],
        want: Want::Number,
        inputs: &["Value", "value", "cfg"],
    },
    Rule {
        kind: SlotKind::Guidance,
        contract: &["mcp_guidance"],
        plain: &["guidance"],
        want: Want::Number,
        inputs: &["Value", "value", "guidance"],
    },
    Rule {
        kind: SlotKind::Sampler,
        contract: &["mcp_sampler"],
        plain: &["sampler name"],
        want: Want::Text,
        inputs: &["sampler_name", "Value", "value"],
    },
    Rule {
        kind: SlotKind::Scheduler,
        contract: &["mcp_scheduler"],
        plain: &["scheduler name"],
        want: Want::Text,
        inputs: &["scheduler", "Value", "value"],
    },
    Rule {
        kind: SlotKind::Checkpoint,
        contract: &["mcp_checkpoint"],
        plain: &["checkpoint"],
        want: Want::Text,
        inputs: &["ckpt_name", "unet_name", "model_name", "Value", "value"],
    },
    Rule {
        kind: SlotKind::Mask,
        contract: &["mcp_input_mask", "mcp_mask"],
        plain: &["mask image", "input mask", "mask"],
        want: Want::Text,
        inputs: &["image", "Value", "value"],
    },
    Rule {
        kind: SlotKind::Detector,
        contract: &["mcp_detector"],
        plain: &["detector"],
        want: Want::Text,
        inputs: &["model_name", "Value", "value"],
    },
    Rule {
        kind: SlotKind::Batch,
        contract: &["mcp_batch"],
        plain: &["batch size", "batch"],
        want: Want::Number,
        inputs: &["batch_size", "Value", "value", "amount"],
    },
];

const SIZES: &[&str] = &["size", "latent image", "resolution", "image size"];
const INPUT_IMAGE: [&[&str]; 2] = [&["mcp_input_image"], &["input image", "source image", "image input"]];
const OUTPUT: [&[&str]; 2] = [&["mcp_output_image"], &["output", "output image"]];

pub(super) fn detect(found: &mut Found<'_>) {
    for rule in &RULES {
        if !found.has(rule.kind) {
            apply(found, rule);
        }
    }
    input_images(found);
    outputs(found);
}

fn apply(found: &mut Found<'_>, rule: &Rule) {
    let graph = found.graph;
    for titles in [rule.contract, rule.plain] {
        let mut targets = Vec::new();
        for (id, node) in graph.nodes().filter(|(_, node)| is_titled(node, titles)) {
            let inputs = inputs_of(node, rule);
            if inputs.is_empty() {
                // The contract's seed may sit in a node that shows no input until it is set.
                if rule.kind == SlotKind::Seed && titles == rule.contract {
                    targets.push(Target { node_id: id.to_owned(), input: "value".to_owned() });
                }
                continue;
            }
            for input in inputs {
                match resolve(graph, id, input, rule.want) {
                    Ok(target) => targets.push(target),
                    Err(stop) => unusable(found, id, node, input, stop),
                }
            }
        }
        if !targets.is_empty() {
            found.add(rule.kind, targets, Source::Title, Confidence::Certain);
            return;
        }
    }
}

/// The inputs of a titled node that a rule means.
fn inputs_of<'n>(node: &'n Node, rule: &Rule) -> Vec<&'n str> {
    if rule.inputs.is_empty() {
        return text_inputs(node);
    }
    let key = |name: &&str| node.inputs.get_key_value(*name).map(|(key, _)| key.as_str());
    rule.inputs.iter().find_map(key).into_iter().collect()
}

fn unusable(found: &mut Found<'_>, id: &str, node: &Node, input: &str, stop: Stop) {
    let title = node.title().unwrap_or_default();
    let why = match stop {
        Stop::Absent => "is linked to nothing",
        Stop::Computed => "is computed by another node",
        Stop::WrongType => "holds a value of another type",
    };
    found.problem(Severity::Warning, Some(id), format!("'{title}' cannot be set: its input '{input}' {why}."));
}

/// One slot per picture, since each gets its own.
fn input_images(found: &mut Found<'_>) {
    let graph = found.graph;
    for titles in INPUT_IMAGE {
        for (id, node) in graph.nodes().filter(|(_, node)| is_titled(node, titles)) {
            let Some(input) = ["image", VALUE[0], VALUE[1]].into_iter().find(|name| node.inputs.contains_key(*name))
            else {
                continue;
            };
            match resolve(graph, id, input, Want::Text) {
                Ok(target) => found.add(SlotKind::InputImage, vec![target], Source::Title, Confidence::Certain),
                Err(stop) => unusable(found, id, node, input, stop),
            }
        }
        if found.has(SlotKind::InputImage) {
            return;
        }
    }
}

fn outputs(found: &mut Found<'_>) {
    let graph = found.graph;
    for titles in OUTPUT {
        let targets: Vec<Target> = graph
            .nodes()
            .filter(|(_, node)| is_titled(node, titles) && super::classes::is_output(node))
            .map(|(id, node)| super::classes::output_target(id, node))
            .collect();
        if !targets.is_empty() {
            found.add(SlotKind::Output, targets, Source::Title, Confidence::Certain);
            return;
        }
    }
}

fn is_titled(node: &Node, titles: &[&str]) -> bool {
    node.title().is_some_and(|title| {
        let title = title.trim().to_lowercase();
        titles.contains(&title.as_str())
    })
}
