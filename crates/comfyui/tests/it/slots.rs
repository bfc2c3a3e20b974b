//! Slot detection on the standard graphs and on hard cases.

use std::fmt::Write as _;

use comfyui::Graph;
use comfyui::workflow::slots::{Severity, Slots, Source, detect};
use comfyui::workflow::{SlotKind, files};
use serde_json::{Value, json};

use crate::fixtures;

/// One line per slot, for people to review.
fn table(slots: &Slots) -> String {
    let mut text = String::new();
    for slot in &slots.slots {
        let targets: Vec<String> =
            slot.targets.iter().map(|target| format!("{}.{}", target.node_id, target.input)).collect();
        let current = slot.current.as_ref().map(ToString::to_string).unwrap_or_default();
        writeln!(text, "{:?} = {} [{:?}, {:?}] {current}", slot.kind, targets.join(" "), slot.source, slot.confidence)
            .unwrap();
    }
    for problem in &slots.problems {
        writeln!(text, "! {:?} {}: {}", problem.severity, problem.node.as_deref().unwrap_or("-"), problem.message)
            .unwrap();
    }
    text
}

fn targets(slots: &Slots, kind: SlotKind) -> Vec<String> {
    slots
        .get(kind)
        .map(|slot| slot.targets.iter().map(|t| format!("{}.{}", t.node_id, t.input)).collect())
        .unwrap_or_default()
}

/// The same graph as its author would have left it without titles.
fn untitled(graph: &Graph) -> Graph {
    let mut value = graph.to_value();
    for node in value.as_object_mut().unwrap().values_mut() {
        node.as_object_mut().unwrap().remove("_meta");
    }
    Graph::parse(&value).unwrap()
}

#[test]
fn the_standard_graphs_are_understood() {
    for (name, graph) in fixtures::standard_graphs() {
        insta::with_settings!({ snapshot_suffix => name.as_str(), omit_expression => true }, {
            insta::assert_snapshot!(table(&detect(&graph)));
        });
    }
}

#[test]
fn titles_change_how_a_slot_is_found_but_not_what() {
    for (name, graph) in fixtures::standard_graphs() {
        let (titled, bare) = (detect(&graph), detect(&untitled(&graph)));
        let kinds =
            |slots: &Slots| slots.slots.iter().map(|slot| (slot.kind, slot.targets.clone())).collect::<Vec<_>>();
        assert_eq!(kinds(&titled), kinds(&bare), "{name}");
        assert!(bare.slots.iter().all(|slot| slot.source != Source::Title));
    }
}

#[test]
fn the_first_releases_titles_are_found() {
    let bare = untitled(&fixtures::graph("txt2img_sd15"));
    let found = detect(&bare);
    let mut value = bare.to_value();
    let titles = [
        (SlotKind::Prompt, "Positive Prompt"),
        (SlotKind::Negative, "Negative Prompt"),
        (SlotKind::Width, "Latent Image"),
    ];
    for (kind, title) in titles {
        let node = found.get(kind).unwrap().targets[0].node_id.clone();
        value[node]["_meta"] = json!({ "title": title });
    }
    let named = detect(&Graph::parse(&value).unwrap());
    for kind in [SlotKind::Prompt, SlotKind::Negative, SlotKind::Width, SlotKind::Height] {
        assert_eq!(named.get(kind).unwrap().source, Source::Title, "{kind:?}");
        assert_eq!(targets(&named, kind), targets(&found, kind), "{kind:?}");
    }
}

#[test]
fn every_kind_is_listed_in_its_order() {
    // Whoever reads a word that is none names all that there are.
    let told = serde_json::from_value::<SlotKind>(json!("?")).unwrap_err().to_string();
    let known: Vec<&str> = told.split('`').skip(3).step_by(2).collect();
    let listed: Vec<Value> = SlotKind::ALL.iter().map(|kind| json!(kind)).collect();
    assert_eq!(listed, known);
}

#[test]
fn no_standard_graph_has_an_error() {
    for (name, graph) in fixtures::standard_graphs() {
        let slots = detect(&graph);
        assert!(!fixtures::has_errors(&slots), "{name}: {:?}", slots.problems);
        assert_eq!(slots.output_nodes().collect::<Vec<_>>(), ["9"], "{name}");
        let stored = serde_json::to_string(&slots).unwrap();
        assert_eq!(serde_json::from_str::<Slots>(&stored).unwrap(), slots);
    }
}

#[test]
fn values_are_followed_to_their_primitives() {
    let slots = detect(&fixtures::flow("switch_nodes"));
    assert_eq!(targets(&slots, SlotKind::Steps), ["40.value"]);
    let slots = detect(&fixtures::flow("subgraph_style_ids"));
    assert_eq!(targets(&slots, SlotKind::Prompt), ["57:6.text"]);
    assert_eq!(targets(&slots, SlotKind::Negative), ["57:7.text"]);
}

#[test]
fn a_second_pass_shares_prompt_and_seeds_but_not_steps() {
    let slots = detect(&fixtures::flow("hires_fix"));
    assert_eq!(targets(&slots, SlotKind::Prompt), ["6.text"]);
    assert_eq!(targets(&slots, SlotKind::Seed), ["3.seed", "31.seed"]);
    assert_eq!(targets(&slots, SlotKind::Steps), ["3.steps"]);
    assert_eq!(targets(&slots, SlotKind::Denoise), ["3.denoise"]);
    assert_eq!(targets(&slots, SlotKind::Width), ["5.width"]);
}

fn refiner() -> Graph {
    let encode =
        |text: &str, clip: &str| json!({"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": [clip, 1]}});
    let sampler = |noise: &str,
                   seed: u64,
                   model: &str,
                   positive: &str,
                   negative: &str,
                   latent: &str,
                   start: u32,
                   end: u32| {
        json!({"class_type": "KSamplerAdvanced", "inputs": {"add_noise": noise, "noise_seed": seed, "steps": 25, "cfg": 7.5, "sampler_name": "euler",
            "scheduler": "normal", "start_at_step": start, "end_at_step": end, "return_with_leftover_noise": "enable", "model": [model, 0],
            "positive": [positive, 0], "negative": [negative, 0], "latent_image": [latent, 0]}})
    };
    let loader = |name: &str| json!({"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}});
    let mut positive = encode("a fox", "1");
    positive["_meta"] = json!({"title": " positive PROMPT "});
    Graph::parse(&json!({
        "1": loader("base.safetensors"), "2": loader("refiner.safetensors"),
        "3": positive, "4": encode("bad", "1"), "5": encode("a fox", "2"), "6": encode("worse", "2"),
        "7": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1}},
        "8": sampler("enable", 5, "1", "3", "4", "7", 0, 20),
        "9": sampler("disable", 0, "2", "5", "6", "8", 20, 10000),
        "10": {"class_type": "VAEDecode", "inputs": {"samples": ["9", 0], "vae": ["1", 2]}},
        "11": {"class_type": "SaveImage", "inputs": {"images": ["10", 0], "filename_prefix": "x"}}
    }))
    .unwrap()
}

#[test]
fn base_and_refiner_share_what_they_should() {
    let slots = detect(&refiner());
    assert_eq!(targets(&slots, SlotKind::Prompt), ["3.text", "5.text"]);
    assert_eq!(targets(&slots, SlotKind::Negative), ["4.text", "6.text"]);
    assert_eq!(targets(&slots, SlotKind::Seed), ["8.noise_seed"], "the second stage keeps its own");
    assert_eq!(targets(&slots, SlotKind::Cfg), ["8.cfg", "9.cfg"]);
    assert_eq!(targets(&slots, SlotKind::Checkpoint), ["1.ckpt_name"]);
    assert!(!slots.has(SlotKind::Steps), "their share is a ratio");
}

#[test]
fn contract_titles_are_exclusive_and_a_seed_is_created() {
    let mut value = fixtures::graph("txt2img_sd15").to_value();
    value["20"] = json!({"class_type": "Text Multiline", "inputs": {"Text": "old", "text": "decoy"}, "_meta": {"title": "MCP_INPUT_PROMPT"}});
    value["21"] = json!({"class_type": "Seed", "inputs": {}, "_meta": {"title": "MCP_SEED"}});
    value["22"] =
        json!({"class_type": "Any", "inputs": {"width": 1, "height": 2}, "_meta": {"title": "MCP_RESOLUTION"}});
    value["23"] = json!({"class_type": "Float", "inputs": {"value": 0.2}, "_meta": {"title": "MCP_DENOISE"}});
    value["24"] =
        json!({"class_type": "LoadImage", "inputs": {"image": "x.png"}, "_meta": {"title": "MCP_INPUT_IMAGE"}});
    value["25"] =
        json!({"class_type": "PreviewImage", "inputs": {"images": ["24", 0]}, "_meta": {"title": "MCP_OUTPUT_IMAGE"}});
    let slots = detect(&Graph::parse(&value).unwrap());
    for (kind, expected) in [
        (SlotKind::Prompt, "20.Text"),
        (SlotKind::Negative, "7.text"),
        (SlotKind::Seed, "21.value"),
        (SlotKind::Width, "22.width"),
        (SlotKind::Height, "22.height"),
        (SlotKind::Denoise, "23.value"),
        (SlotKind::InputImage, "24.image"),
        (SlotKind::Output, "25.images"),
    ] {
        assert_eq!(targets(&slots, kind), [expected], "{kind:?}");
        assert_eq!(slots.get(kind).unwrap().source, Source::Title);
    }
}

#[test]
fn titled_nodes_that_cannot_be_set_are_reported_and_tracing_goes_on() {
    let mut value = fixtures::graph("txt2img_sd15").to_value();
    value["20"] =
        json!({"class_type": "StringConcatenate", "inputs": {"string_a": "a", "string_b": "b", "delimiter": ","}});
    value["6"]["inputs"]["text"] = json!(["20", 0]);
    let slots = detect(&Graph::parse(&value).unwrap());
    assert!(!slots.has(SlotKind::Prompt));
    let messages: Vec<&str> = slots.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert!(messages.iter().any(|message| message.contains("computed by another node")), "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("No prompt input")), "{messages:?}");
}

#[test]
fn links_into_nowhere_and_circles_are_errors() {
    let graph = Graph::parse(&json!({
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["99", 0], "filename_prefix": "x"}},
        "4": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 2, "positive": ["4", 0], "negative": ["4", 0], "latent_image": ["4", 0], "model": ["4", 0]}}
    }))
    .unwrap();
    let slots = detect(&graph);
    let errors: Vec<_> = slots
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| problem.node.as_deref())
        .collect();
    assert_eq!(errors.len(), 2, "{:?}", slots.problems);
    assert!(errors.contains(&Some("3")));
}

#[test]
fn model_files_make_the_affinity_key() {
    let names = |graph: &str| {
        files::model_files(&fixtures::graph(graph))
            .into_iter()
            .map(|file| format!("{}/{}", file.folder, file.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("txt2img_sd15"), ["checkpoints/v1-5-pruned-emaonly-fp16.safetensors"]);
    assert_eq!(
        names("txt2img_flux_dev"),
        [
            "diffusion_models/flux1-dev.safetensors",
            "text_encoders/clip_l.safetensors",
            "text_encoders/t5xxl_fp8_e4m3fn_scaled.safetensors",
            "vae/ae.safetensors"
        ]
    );
    assert_eq!(names("upscale_model"), ["upscale_models/RealESRGAN_x4plus.safetensors"]);
    assert!(files::node_classes(&fixtures::graph("upscale_model")).contains("ImageUpscaleWithModel"));
}

#[test]
fn what_a_server_lacks_follows_from_its_object_info() {
    let info =
        serde_json::from_value(fixtures::json("v0.33.0/http_get.json")["GET /object_info"]["response"]["json"].clone())
            .unwrap();
    let missing: Vec<String> =
        files::missing(&fixtures::graph("txt2img_sd15"), &info).into_iter().map(|m| m.to_string()).collect();
    assert!(missing.contains(&"model file v1-5-pruned-emaonly-fp16.safetensors (ckpt_name)".to_owned()), "{missing:?}");
    assert!(files::missing(&fixtures::flow("img2img"), &info).iter().all(|m| !m.to_string().contains("tiny_sd15")));
}

#[test]
fn hostile_depth_ends_the_walk_and_not_the_process() {
    let mut value = fixtures::graph("txt2img_sd15").to_value();
    for number in 0..4_000 {
        let next = if number == 3_999 { "6".to_owned() } else { format!("c{}", number + 1) };
        value[format!("c{number}")] =
            json!({"class_type": "ConditioningSetArea", "inputs": {"conditioning": [next, 0]}});
    }
    value["3"]["inputs"]["positive"] = json!(["c0", 0]);
    let slots = detect(&Graph::parse(&value).unwrap());
    assert_eq!(targets(&slots, SlotKind::Prompt), ["6.text"], "the title still finds it");
    let too_many: serde_json::Map<_, _> =
        (0..5_000).map(|n| (n.to_string(), json!({"class_type": "A", "inputs": {}}))).collect();
    assert!(Graph::parse(&too_many.into()).is_err());
}
