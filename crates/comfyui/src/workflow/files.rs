//! What a server must have to run a graph: model files and node classes.
//!
//! A model file is recognised by the input that names it or by its extension. The set is also the affinity
//! key: two graphs with equal sets can share what is loaded on a card.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Graph;
use crate::error::MissingResource;
use crate::wire::{Inventory, ObjectInfo};

/// Inputs of standard loaders, with the model folder they choose from.
const LOADER_INPUTS: [(&str, &str); 23] = [
    ("ckpt_name", "checkpoints"),
    ("unet_name", "diffusion_models"),
    ("clip_name", "text_encoders"),
    ("clip_name1", "text_encoders"),
    ("clip_name2", "text_encoders"),
    ("clip_name3", "text_encoders"),
    ("clip_name4", "text_encoders"),
    ("vae_name", "vae"),
    ("lora_name", "loras"),
    ("control_net_name", "controlnet"),
    ("style_model_name", "style_models"),
    ("gligen_name", "gligen"),
    ("hypernetwork_name", "hypernetworks"),
    ("photomaker_model_name", "photomaker"),
    ("ipadapter_file", "ipadapter"),
    ("upscale_model_name", "upscale_models"),
    ("base_ckpt_name", "checkpoints"),
    ("refiner_ckpt_name", "checkpoints"),
    ("audio_encoder_name", "audio_encoders"),
    ("model_name", "models"),
    ("model_path", "models"),
    ("instantid_file", "instantid"),
    ("pulid_file", "pulid"),
];

const EXTENSIONS: [&str; 9] = [".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx", ".pt2"];

/// A model file a graph names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelFile {
    /// Model folder as far as the input's name tells, otherwise the input's name.
    pub folder: String,
    /// The input that names it.
    pub input: String,
    /// The file, as the graph spells it; may have a subfolder.
    pub name: String,
}

/// Model files of a graph, sorted.
pub fn model_files(graph: &Graph) -> BTreeSet<ModelFile> {
    literals(graph)
        .filter(|(_, input, value)| is_model_input(input, value))
        .map(|(class, input, value)| ModelFile {
            folder: folder(class, input).to_owned(),
            input: input.to_owned(),
            name: value.to_owned(),
        })
        .collect()
}

/// Node classes of a graph, sorted.
pub fn node_classes(graph: &Graph) -> BTreeSet<String> {
    graph.nodes().map(|(_, node)| node.class_type.clone()).collect()
}

/// What a server with this `/object_info` lacks to run the graph. Input pictures are not looked at: they are
/// uploaded before the graph is posted.
pub fn missing(graph: &Graph, info: &ObjectInfo) -> BTreeSet<MissingResource> {
    let classes = graph
        .nodes()
        .filter(|(_, node)| !info.has_class(&node.class_type))
        .map(|(_, node)| MissingResource::NodeClass { class_type: node.class_type.clone() });
    let files = literals(graph)
        .filter(|(_, input, value)| is_model_input(input, value))
        .filter(|(class, input, value)| {
            info.choices(class, input).is_some_and(|choices| !choices.iter().any(|c| c == value))
        })
        .map(|(_, input, value)| MissingResource::ModelFile { input: input.to_owned(), name: value.to_owned() });
    classes.chain(files).collect()
}

/// What a server must have to run a graph, ready to be held against many servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    classes: BTreeSet<String>,
    files: BTreeSet<NeededFile>,
}

/// A model file where a graph names it: another class may list other files under the same input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct NeededFile {
    class: String,
    input: String,
    name: String,
}

impl Needs {
    /// What the graph needs.
    pub fn of(graph: &Graph) -> Self {
        let files = literals(graph)
            .filter(|(_, input, value)| is_model_input(input, value))
            .map(|(class, input, value)| NeededFile {
                class: class.to_owned(),
                input: input.to_owned(),
                name: value.to_owned(),
            })
            .collect();
        Self { classes: node_classes(graph), files }
    }

    /// What a server with this inventory lacks. Input pictures are not looked at: they are uploaded before the
    /// graph is posted. A file is lacking only where its loader lists others, or none at all.
    pub fn lacking(&self, inventory: &Inventory) -> BTreeSet<MissingResource> {
        let classes = self
            .classes
            .iter()
            .filter(|class| !inventory.has_class(class))
            .map(|class| MissingResource::NodeClass { class_type: class.clone() });
        let files = self
            .files
            .iter()
            .filter(|file| inventory.lists(&file.class, &file.input, &file.name) == Some(false))
            .map(|file| MissingResource::ModelFile { input: file.input.clone(), name: file.name.clone() });
        classes.chain(files).collect()
    }
}

/// Whether standard loaders name their file by this input.
pub(crate) fn is_loader_input(input: &str) -> bool {
    LOADER_INPUTS.iter().any(|(name, _)| *name == input)
}

/// Whether `value` of `input` names a model file, by the input's name or the value's extension.
pub(crate) fn is_model_input(input: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    if value.is_empty() || value == "none" || value.contains('\n') {
        return false;
    }
    // `taesd` and friends stand in `vae_name` without being files.
    has_model_extension(&value) || (is_loader_input(input) && input != "vae_name" && !input.starts_with("model_"))
}

/// Whether a file is a model, by its extension.
pub(crate) fn has_model_extension(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// The input by which the standard loader of a model folder names its file; the folder itself for those without
/// one, and `model` where even that is unknown.
pub(crate) fn input_of_folder(folder: &str) -> &str {
    match folder {
        "" => "model",
        "upscale_models" => "model_name",
        // Former names of folders.
        "clip" | "clip_vision" => "clip_name",
        "unet" => "unet_name",
        _ => LOADER_INPUTS.iter().find(|(_, of)| *of == folder).map_or(folder, |(input, _)| input),
    }
}

fn folder<'a>(class: &str, input: &'a str) -> &'a str {
    if input == "model_name" && class.contains("Upscale") {
        return "upscale_models";
    }
    if input == "model_name" && class.contains("Ultralytics") {
        return "ultralytics";
    }
    if input == "clip_name" && class.contains("Vision") {
        return "clip_vision";
    }
    LOADER_INPUTS.iter().find(|(name, _)| *name == input).map_or(input, |(_, folder)| folder)
}

/// Every text that stands directly in an input, as (class, input, text). Prompts are skipped by their newlines
/// and missing extensions later; notes cannot occur in API format.
fn literals(graph: &Graph) -> impl Iterator<Item = (&str, &str, &str)> {
    graph.nodes().flat_map(|(_, node)| {
        node.inputs
            .iter()
            .filter_map(|(input, value)| Some((node.class_type.as_str(), input.as_str(), value.as_str()?)))
    })
}
