//! Slots by tracing links back from the samplers.
//!
//! A sampler is fed by texts (through conditioning nodes), by a latent (empty, or a picture's) and by a model
//! (through LoRAs and patches). Each walk marks what it visited, so circles end it.

use std::collections::{HashMap, HashSet};

use super::classes::{adds_noise, checkpoint_target, is_empty_latent, is_image_loader, is_sampler, size_slots};
use super::resolve::switch_branch;
use super::texts::{Role, traced_texts};
use super::{Confidence, Found, Severity, SlotKind, Source, Target, Want, resolve};
use crate::workflow::{Graph, Node};

/// Inputs through which the latent to be redrawn never comes.
const NOT_LATENT: [&str; 15] = [
    "model",
    "clip",
    "vae",
    "positive",
    "negative",
    "conditioning",
    "mask",
    "control_net",
    "upscale_model",
    "sigmas",
    "noise",
    "guider",
    "sampler",
    "clip_vision",
    "style_model",
];

/// What the walks found.
pub(super) struct Trace<'g> {
    /// All samplers, in the order of the file.
    pub samplers: Vec<&'g str>,
    /// Samplers that no other sampler precedes.
    pub first_stage: Vec<&'g str>,
    /// Empty latents that feed first-stage samplers.
    pub latents: Vec<&'g str>,
    /// Nodes that scale an input picture to a given size on its way to a sampler.
    pub scalers: Vec<&'g str>,
    /// Picture loaders that feed first-stage samplers.
    pub images: Vec<&'g str>,
    /// Whether some negative is an emptied conditioning.
    pub negative_is_zero: bool,
    positive: Vec<Target>,
    negative: Vec<Target>,
}

impl<'g> Trace<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        let samplers: Vec<&str> = graph.nodes().filter(|(_, node)| is_sampler(node)).map(|(id, _)| id).collect();
        let mut trace = Self {
            samplers,
            first_stage: Vec::new(),
            latents: Vec::new(),
            scalers: Vec::new(),
            images: Vec::new(),
            negative_is_zero: false,
            positive: Vec::new(),
            negative: Vec::new(),
        };
        for id in trace.samplers.clone() {
            let origin = Origin::of(graph, id);
            if !origin.after_sampler {
                trace.first_stage.push(id);
                trace.latents.extend(origin.latents);
                trace.scalers.extend(origin.scalers);
                trace.images.extend(origin.images);
            }
            trace.positive.extend(traced_texts(graph, id, Role::Positive).found);
            let negative = traced_texts(graph, id, Role::Negative);
            trace.negative.extend(negative.found);
            trace.negative_is_zero |= negative.zero;
        }
        // One text for both sides can only be the prompt.
        let positive = trace.positive.clone();
        trace.negative.retain(|target| !positive.contains(target));
        trace
    }
}

pub(super) fn detect(found: &mut Found<'_>, trace: &Trace<'_>) {
    texts(found, SlotKind::Prompt, &trace.positive);
    texts(found, SlotKind::Negative, &trace.negative);
    size_slots(found, &trace.latents, Source::Trace, Confidence::Likely);
    if trace.latents.is_empty() {
        size_slots(found, &trace.scalers, Source::Trace, Confidence::Guess);
    }
    checkpoint(found, trace);
    sampling(found, trace);
}

/// A plain title names one text node; others on the same side that hold the same text belong to it (an SDXL
/// base and refiner, for one). Under a contract title nothing is added.
fn texts(found: &mut Found<'_>, kind: SlotKind, traced: &[Target]) {
    let graph = found.graph;
    let text = |target: &Target| graph.node(&target.node_id).and_then(|node| node.literal(&target.input)).cloned();
    if let Some(slot) = found.slots.iter_mut().find(|slot| slot.kind == kind) {
        let contract = slot.targets.iter().any(|target| {
            let title = graph.node(&target.node_id).and_then(Node::title).unwrap_or_default();
            title.trim().to_lowercase().starts_with("mcp_")
        });
        if !contract {
            let same: Vec<_> = traced
                .iter()
                .filter(|target| text(target) == slot.current && !slot.targets.contains(target))
                .cloned()
                .collect();
            slot.targets.extend(same);
        }
        return;
    }
    let titled: Vec<Target> = found.slots.iter().flat_map(|slot| slot.targets.clone()).collect();
    let targets = traced.iter().filter(|target| !titled.contains(target)).cloned().collect();
    found.add(kind, targets, Source::Trace, Confidence::Likely);
}

/// Where the latent of a sampler comes from.
#[derive(Default)]
struct Origin<'g> {
    after_sampler: bool,
    latents: Vec<&'g str>,
    scalers: Vec<&'g str>,
    images: Vec<&'g str>,
}

impl<'g> Origin<'g> {
    fn of(graph: &'g Graph, sampler: &'g str) -> Self {
        let mut origin = Self::default();
        let mut seen = HashSet::from([sampler]);
        let mut next = vec![sampler];
        while let Some(id) = next.pop() {
            let Some(node) = graph.node(id) else { continue };
            if id != sampler && is_sampler(node) {
                origin.after_sampler = true;
                continue;
            }
            if id != sampler {
                origin.note(id, node);
            }
            let onward: Vec<&str> = match switch_branch(graph, id, node).and_then(|branch| node.link(branch)) {
                Some(link) => vec![link.node_id],
                None => node
                    .links()
                    .filter(|(input, _)| !NOT_LATENT.contains(input))
                    .map(|(_, link)| link.node_id)
                    .collect(),
            };
            next.extend(onward.into_iter().rev().filter(|id| seen.insert(id)));
        }
        origin
    }

    fn note(&mut self, id: &'g str, node: &Node) {
        let sized = node.inputs.contains_key("width") && node.inputs.contains_key("height");
        if is_empty_latent(node) {
            self.latents.push(id);
        } else if is_image_loader(node) {
            self.images.push(id);
        } else if sized && node.link("image").is_some() {
            self.scalers.push(id);
        }
    }
}

/// The model of the first stage; a refiner keeps its own.
fn checkpoint(found: &mut Found<'_>, trace: &Trace<'_>) {
    if found.has(SlotKind::Checkpoint) {
        return;
    }
    let graph = found.graph;
    let targets = trace.first_stage.iter().filter_map(|id| model_of(graph, id)).collect();
    found.add(SlotKind::Checkpoint, targets, Source::Trace, Confidence::Likely);
}

fn model_of(graph: &Graph, sampler: &str) -> Option<Target> {
    let mut seen = HashSet::new();
    let mut next = vec![sampler];
    while let Some(id) = next.pop() {
        let node = graph.node(id).filter(|_| seen.insert(id));
        let Some(node) = node else { continue };
        if let Some(target) = checkpoint_target(graph, id, node) {
            return Some(target);
        }
        next.extend(
            node.links()
                .filter(|(input, _)| input.starts_with("model") || matches!(*input, "guider" | "pipe" | "basic_pipe"))
                .map(|(_, link)| link.node_id),
        );
    }
    None
}

/// Steps, cfg and the like: of the first stage, and of later stages that only go on with it.
fn sampling(found: &mut Found<'_>, trace: &Trace<'_>) {
    let graph = found.graph;
    let continues = |id: &&str| graph.node(id).is_some_and(|node| !adds_noise(node));
    let stages: Vec<&str> =
        trace.samplers.iter().copied().filter(|id| trace.first_stage.contains(id) || continues(id)).collect();
    let split = stages.iter().any(|id| graph.node(id).is_some_and(is_split));
    for (kind, input, want) in [
        (SlotKind::Steps, "steps", Want::Number),
        (SlotKind::Cfg, "cfg", Want::Number),
        (SlotKind::Sampler, "sampler_name", Want::Text),
        (SlotKind::Scheduler, "scheduler", Want::Text),
        (SlotKind::Denoise, "denoise", Want::Number),
    ] {
        if found.has(kind) {
            continue;
        }
        if kind == SlotKind::Steps && split {
            let message = "The steps are divided between two samplers and stay as they are.";
            found.problem(Severity::Info, stages.first().copied(), message);
            continue;
        }
        let targets = stages.iter().filter_map(|id| setting(graph, id, input, want)).collect();
        found.add(kind, targets, Source::Trace, Confidence::Likely);
    }
    if !found.has(SlotKind::Guidance) {
        let guidance = graph.nodes().filter_map(|(id, _)| resolve(graph, id, "guidance", Want::Number).ok()).collect();
        found.add(SlotKind::Guidance, guidance, Source::Class, Confidence::Likely);
    }
}

/// Whether a sampler stops early for another one to go on: its share of the steps is a ratio to keep.
fn is_split(node: &Node) -> bool {
    let number = |input: &str| node.literal(input).and_then(serde_json::Value::as_f64);
    matches!((number("end_at_step"), number("steps")), (Some(end), Some(steps)) if end < steps)
}

/// A setting of a sampler, in the sampler or in the nodes that set it up.
fn setting(graph: &Graph, sampler: &str, input: &str, want: Want) -> Option<Target> {
    let node = graph.node(sampler)?;
    if node.inputs.contains_key(input) {
        return resolve(graph, sampler, input, want).ok();
    }
    for name in ["guider", "sampler", "sigmas"] {
        let mut link = node.link(name);
        // Sigmas may be split or scaled on their way.
        for _ in 0..8 {
            let Some(at) = link else { break };
            let part = graph.node(at.node_id)?;
            if part.inputs.contains_key(input) {
                return resolve(graph, at.node_id, input, want).ok();
            }
            link = part.link(name);
        }
    }
    None
}

/// A node on a circle of links, if there is one.
pub(super) fn find_cycle(graph: &Graph) -> Option<&str> {
    let mut waiting: HashMap<&str, usize> = graph
        .nodes()
        .map(|(id, node)| (id, node.links().filter(|(_, link)| graph.node(link.node_id).is_some()).count()))
        .collect();
    let mut consumers: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, _, link) in graph.links() {
        consumers.entry(link.node_id).or_default().push(id);
    }
    let mut ready: Vec<&str> = graph.nodes().map(|(id, _)| id).filter(|id| waiting[id] == 0).collect();
    let mut done = 0;
    while let Some(id) = ready.pop() {
        done += 1;
        for consumer in consumers.get(id).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(consumer) {
                *count -= 1;
                if *count == 0 {
                    ready.push(consumer);
                }
            }
        }
    }
    if done == graph.len() {
        return None;
    }
    // What is left sits on a circle or behind one; going upstream from it must end on the circle.
    let mut at = graph.nodes().map(|(id, _)| id).find(|id| waiting[id] > 0)?;
    for _ in 0..graph.len() {
        at = graph
            .node(at)?
            .links()
            .map(|(_, link)| link.node_id)
            .find(|id| waiting.get(id).is_some_and(|count| *count > 0))?;
    }
    Some(at)
}
