//! Slots by class: where a class leaves no choice, and the lists that need no tracing (seeds, LoRAs, outputs).

use std::collections::HashMap;

use super::trace::Trace;
use super::{Confidence, Found, Severity, SlotKind, Source, Target, Want, resolve};
use crate::workflow::{Graph, Node};

/// Inputs that name a main model.
pub(super) const CHECKPOINT_INPUTS: [&str; 5] = ["ckpt_name", "unet_name", "base_ckpt_name", "model_path", "gguf_name"];
/// Show or send pictures without saving them under a prefix.
const OUTPUT_CLASSES: [&str; 3] = ["PreviewImage", "SaveImageWebsocket", "PreviewAny"];

/// Whether a node draws: it turns noise into a latent or a picture, guided by a prompt. Custom samplers are
/// recognised by their inputs.
pub fn is_sampler(node: &Node) -> bool {
    let has = |input: &str| node.inputs.contains_key(input);
    let noisy = has("seed") || has("noise_seed") || has("noise");
    let guided = has("positive") || has("guider") || has("basic_pipe") || has("pipe");
    noisy && guided && (has("steps") || has("sigmas"))
}

/// Whether a node's result is shown or saved.
pub(super) fn is_output(node: &Node) -> bool {
    node.inputs.contains_key("filename_prefix") || OUTPUT_CLASSES.contains(&node.class_type.as_str())
}

/// The input by which pictures enter an output node.
pub(super) fn output_target(id: &str, node: &Node) -> Target {
    let input = node.links().next().map_or("images", |(name, _)| name);
    Target { node_id: id.to_owned(), input: input.to_owned() }
}

/// Whether a node loads a model that finds parts of a picture, such as `UltralyticsDetectorProvider`.
fn is_detector(node: &Node) -> bool {
    node.class_type.contains("DetectorProvider")
}

/// Whether a node makes a latent of a given size out of nothing.
pub(super) fn is_empty_latent(node: &Node) -> bool {
    let has = |input: &str| node.inputs.contains_key(input);
    let sized = has("width") && has("height");
    let from_nothing =
        !["image", "images", "pixels", "samples", "latent"].iter().any(|input| node.link(input).is_some());
    sized && from_nothing && (node.class_type.contains("Latent") || has("batch_size"))
}

/// Whether a node reads a picture file.
pub(super) fn is_image_loader(node: &Node) -> bool {
    node.class_type.contains("LoadImage") && node.inputs.contains_key("image")
}

pub(super) fn detect(found: &mut Found<'_>, trace: &Trace<'_>) {
    seeds(found);
    images_and_masks(found, trace);
    outputs(found);
    file_slots(found);
    only_checkpoint(found);
    only_latent(found);
}

/// All seeds, except of a second stage that adds no noise.
fn seeds(found: &mut Found<'_>) {
    if found.has(SlotKind::Seed) {
        return;
    }
    let graph = found.graph;
    let targets: Vec<Target> = graph
        .nodes()
        .filter(|(_, node)| adds_noise(node))
        .flat_map(|(id, node)| {
            ["seed", "noise_seed"]
                .into_iter()
                .filter(|input| node.inputs.contains_key(*input))
                .map(move |input| (id, input))
        })
        .filter_map(|(id, input)| resolve(graph, id, input, Want::Number).ok())
        .collect();
    found.add(SlotKind::Seed, targets, Source::Class, Confidence::Likely);
}

/// `KSamplerAdvanced` with `add_noise: disable` goes on with the noise of the stage before; so does a custom
/// sampler with `add_noise: false`.
pub(super) fn adds_noise(node: &Node) -> bool {
    !node.literal("add_noise").is_some_and(|value| value.as_str() == Some("disable") || value.as_bool() == Some(false))
}

/// Picture files by what their outputs feed: slot 0 is the picture, slot 1 its alpha as a mask.
fn images_and_masks(found: &mut Found<'_>, trace: &Trace<'_>) {
    let graph = found.graph;
    let (want_images, want_masks) = (!found.has(SlotKind::InputImage), !found.has(SlotKind::Mask));
    let mut links_by_source: HashMap<&str, Vec<u64>> = HashMap::new();
    for (_, _, link) in graph.links() {
        links_by_source.entry(link.node_id).or_default().push(link.slot);
    }
    let mut images: Vec<Target> = Vec::new();
    let mut masks: Vec<Target> = Vec::new();
    for (id, node) in graph.nodes().filter(|(_, node)| is_image_loader(node)) {
        let Ok(target) = resolve(graph, id, "image", Want::Text) else { continue };
        let used = links_by_source.get(id).map(Vec::as_slice).unwrap_or_default();
        let only_mask = node.class_type.contains("Mask") || (!used.contains(&0) && used.contains(&1));
        if !only_mask && used.contains(&1) {
            found.problem(Severity::Info, Some(id), "The mask is the transparent part of this input image.");
        }
        if taken(found, &target) {
            continue;
        }
        match used {
            [] => found.problem(Severity::Info, Some(id), "This picture is loaded but never used."),
            _ if only_mask => masks.push(target),
            _ => images.push(target),
        }
    }
    // The picture that is redrawn comes first, references after it.
    images.sort_by_key(|target| !trace.images.contains(&target.node_id.as_str()));
    let (source, confidence) =
        if images.len() == 1 { (Source::Class, Confidence::Likely) } else { (Source::Trace, Confidence::Guess) };
    for target in images.into_iter().filter(|_| want_images) {
        found.add(SlotKind::InputImage, vec![target], source, confidence);
    }
    for target in masks.into_iter().filter(|_| want_masks) {
        found.add(SlotKind::Mask, vec![target], Source::Class, Confidence::Likely);
    }
}

fn taken(found: &Found<'_>, target: &Target) -> bool {
    found
        .slots
        .iter()
        .any(|slot| matches!(slot.kind, SlotKind::InputImage | SlotKind::Mask) && slot.targets.contains(target))
}

fn outputs(found: &mut Found<'_>) {
    let graph = found.graph;
    let all: Vec<(&str, &Node)> = graph.nodes().filter(|(_, node)| is_output(node)).collect();
    let prefixes = all.iter().filter_map(|(id, _)| resolve(graph, id, "filename_prefix", Want::Text).ok()).collect();
    found.add(SlotKind::FilenamePrefix, prefixes, Source::Class, Confidence::Certain);
    for (id, node) in &all {
        let prefix_is_computed = resolve(graph, id, "filename_prefix", Want::Text) == Err(super::Stop::Computed);
        if prefix_is_computed {
            let message =
                "The file name is computed by other nodes, so equal runs may be answered from the server's cache.";
            found.problem(Severity::Warning, Some(id), message);
        }
        if node.class_type == "SaveImageWebsocket" {
            let message = "This node sends its pictures over the event socket only: they are lost when it breaks. SaveImage is safer.";
            found.problem(Severity::Warning, Some(id), message);
        }
    }
    if found.has(SlotKind::Output) {
        return;
    }
    let (saved, shown): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(_, node)| node.inputs.contains_key("filename_prefix"));
    let (chosen, confidence) = match (saved.len(), shown.len()) {
        (0, _) => (shown, Confidence::Guess),
        (1, _) => (saved, Confidence::Likely),
        _ => (saved, Confidence::Guess),
    };
    if saved_nothing(&chosen) {
        found.problem(Severity::Info, None, "Pictures are only previewed, not saved, on the server.");
    }
    let targets = chosen.into_iter().map(|(id, node)| output_target(id, node)).collect();
    found.add(SlotKind::Output, targets, Source::Class, confidence);
}

fn saved_nothing(chosen: &[(&str, &Node)]) -> bool {
    !chosen.is_empty() && chosen.iter().all(|(_, node)| !node.inputs.contains_key("filename_prefix"))
}

/// LoRAs and upscale models: one slot per loader, in the order of the file.
fn file_slots(found: &mut Found<'_>) {
    let graph = found.graph;
    for (id, node) in graph.nodes() {
        if let Ok(target) = resolve(graph, id, "lora_name", Want::Text) {
            found.add(SlotKind::Lora, vec![target], Source::Class, Confidence::Likely);
        }
        if is_detector(node)
            && !found.has(SlotKind::Detector)
            && let Ok(target) = resolve(graph, id, "model_name", Want::Text)
        {
            found.add(SlotKind::Detector, vec![target], Source::Class, Confidence::Likely);
        }
        if node.class_type.contains("UpscaleModel")
            && let Ok(target) = resolve(graph, id, "model_name", Want::Text)
        {
            found.add(SlotKind::UpscaleModel, vec![target], Source::Class, Confidence::Likely);
        }
    }
}

/// The name of the main model a loader loads.
pub(super) fn checkpoint_target(graph: &Graph, id: &str, node: &Node) -> Option<Target> {
    let input = CHECKPOINT_INPUTS.into_iter().find(|input| node.inputs.contains_key(*input))?;
    resolve(graph, id, input, Want::Text).ok()
}

fn only_checkpoint(found: &mut Found<'_>) {
    if found.has(SlotKind::Checkpoint) {
        return;
    }
    let graph = found.graph;
    let mut loaders = graph.nodes().filter_map(|(id, node)| checkpoint_target(graph, id, node));
    if let (Some(target), None) = (loaders.next(), loaders.next()) {
        found.add(SlotKind::Checkpoint, vec![target], Source::Class, Confidence::Likely);
    }
}

fn only_latent(found: &mut Found<'_>) {
    let graph = found.graph;
    let mut latents = graph.nodes().filter(|(_, node)| is_empty_latent(node)).map(|(id, _)| id);
    let (Some(latent), None) = (latents.next(), latents.next()) else { return };
    size_slots(found, &[latent], Source::Class, Confidence::Likely);
}

/// Width, height and batch of these nodes, and of the nodes that must know the same size.
pub(super) fn size_slots(found: &mut Found<'_>, nodes: &[&str], source: Source, confidence: Confidence) {
    let graph = found.graph;
    let followers: Vec<&str> = graph
        .nodes()
        .filter(|(_, node)| matches!(node.class_type.as_str(), "Flux2Scheduler" | "ModelSamplingFlux"))
        .map(|(id, _)| id)
        .collect();
    for (kind, input) in [(SlotKind::Width, "width"), (SlotKind::Height, "height")] {
        if found.has(kind) {
            add_followers(found, kind, input, &followers);
            continue;
        }
        let targets =
            |ids: &[&str]| ids.iter().filter_map(|id| resolve(graph, id, input, Want::Number).ok()).collect::<Vec<_>>();
        let mut all = targets(nodes);
        if !all.is_empty() {
            all.extend(targets(&followers));
            found.add(kind, all, source, confidence);
        }
    }
    if !found.has(SlotKind::Batch) {
        let batch = nodes.iter().filter_map(|id| resolve(graph, id, "batch_size", Want::Number).ok()).collect();
        found.add(SlotKind::Batch, batch, source, confidence);
    }
}

/// A titled size must reach the nodes that repeat it, or the picture is computed for another size.
pub(super) fn add_followers(found: &mut Found<'_>, kind: SlotKind, input: &str, followers: &[&str]) {
    let graph = found.graph;
    let more: Vec<Target> = followers.iter().filter_map(|id| resolve(graph, id, input, Want::Number).ok()).collect();
    if let Some(slot) = found.slots.iter_mut().find(|slot| slot.kind == kind) {
        for target in more {
            if !slot.targets.contains(&target) {
                slot.targets.push(target);
            }
        }
    }
}
