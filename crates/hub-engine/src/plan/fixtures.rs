//! Catalogue rows for the tests of planning.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hub_core::{
    catalogue::{Catalogue, Mode, RenderType, Style, Workflow},
    ids::WorkflowId,
    request::{AspectRatio, ImageSize},
};
use serde_json::{Value, json};

use crate::catalogue::{Runnable, Snapshot};

pub(crate) fn style(name: &str) -> Style {
    Style::new(name, "test")
}

pub(crate) fn render_type(name: &str, mode: Mode) -> RenderType {
    let size = |width_px, height_px| ImageSize { width_px, height_px };
    RenderType {
        sizes: BTreeMap::from([(AspectRatio::R1x1, size(1024, 1024)), (AspectRatio::R16x9, size(1344, 768))]),
        ..RenderType::new(name, name, mode)
    }
}

/// One render type to generate and one to upscale, with their workflows, and one server.
pub(crate) fn snapshot() -> Snapshot {
    let mut generate = render_type("sdxl", Mode::Generate);
    generate.is_default = true;
    let mut upscale = render_type("4x", Mode::Upscale);
    upscale.is_default = true;
    let workflows =
        HashMap::from([(generate.id, runnable("sdxl", text_to_image())), (upscale.id, runnable("4x", upscaler()))]);
    let catalogue =
        Catalogue { version: 1, render_types: vec![generate, upscale], enabled_servers: 1, ..Catalogue::default() };
    Snapshot::new(catalogue, workflows)
}

fn runnable(name: &str, graph: Value) -> Arc<Runnable> {
    let workflow = Workflow {
        id: WorkflowId::new(),
        name: name.to_owned(),
        version: 1,
        graph,
        slots: Value::Null,
        description: String::new(),
    };
    Arc::new(Runnable::new(workflow))
}

/// The smallest graph with all slots of text to picture.
pub(crate) fn text_to_image() -> Value {
    json!({
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "_meta": {"title": "MCP_INPUT_PROMPT"},
              "inputs": {"text": "x", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "_meta": {"title": "MCP_INPUT_NEGATIVE_PROMPT"},
              "inputs": {"text": "y", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "_meta": {"title": "MCP_RESOLUTION"},
              "inputs": {"width": 512, "height": 512, "batch_size": 1}},
        "5": {"class_type": "KSampler", "inputs": {
            "seed": 1, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "_meta": {"title": "MCP_OUTPUT_IMAGE"},
              "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
    })
}

/// A graph with an input picture and nothing else to set.
pub(crate) fn upscaler() -> Value {
    json!({
        "1": {"class_type": "LoadImage", "_meta": {"title": "MCP_INPUT_IMAGE"}, "inputs": {"image": "x.png"}},
        "2": {"class_type": "ImageScaleBy",
              "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "scale_by": 2.0}},
        "3": {"class_type": "SaveImage", "_meta": {"title": "MCP_OUTPUT_IMAGE"},
              "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    })
}
