//! The workflows that come with the hub, against what their authors wrote down about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use comfyui::workflow::bind::{Bindings, bind_all};
use comfyui::workflow::slots::{Severity, detect};
use comfyui::workflow::{Graph, SlotKind, Slots, Source, detect_and_unwrap, files};
use serde_json::{Value, json};

/// A workflow and its notes.
struct Shipped {
    name: String,
    graph: Graph,
    slots: Slots,
    notes: toml::Table,
}

impl Shipped {
    /// Kind to targets, as the notes have it. Where results go is noted apart, how they are named is not.
    fn noted_slots(&self) -> BTreeMap<String, BTreeSet<String>> {
        let noted = self.notes["slots"].as_table().unwrap();
        noted.iter().map(|(kind, targets)| (kind.clone(), texts(targets))).collect()
    }

    fn found_slots(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for slot in &self.slots.slots {
            if !matches!(slot.kind, SlotKind::Output | SlotKind::FilenamePrefix) {
                let targets = slot.targets.iter().map(|target| format!("{}.{}", target.node_id, target.input));
                found.entry(kind_name(slot.kind)).or_default().extend(targets);
            }
        }
        found
    }
}

fn kind_name(kind: SlotKind) -> String {
    serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned()
}

fn texts(array: &toml::Value) -> BTreeSet<String> {
    array.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn shipped() -> Vec<Shipped> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../workflows");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    assert!(paths.len() >= 10, "the shipped workflows are not where they were");
    let load = |path: PathBuf| {
        let found = detect_and_unwrap(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(found.source, Source::Api, "{}", path.display());
        let notes = std::fs::read_to_string(path.with_extension("toml")).unwrap().parse().unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Shipped { name, slots: detect(&found.graph), graph: found.graph, notes }
    };
    paths.into_iter().map(load).collect()
}

fn one(name: &str) -> Shipped {
    shipped().into_iter().find(|workflow| workflow.name == name).unwrap()
}

#[test]
fn detection_finds_what_the_authors_noted() {
    for workflow in shipped() {
        let worrying: Vec<_> =
            workflow.slots.problems.iter().filter(|problem| problem.severity > Severity::Info).collect();
        assert!(worrying.is_empty(), "{}: {worrying:?}", workflow.name);
        assert_eq!(workflow.found_slots(), workflow.noted_slots(), "{}", workflow.name);
        let outputs: BTreeSet<String> = workflow.slots.output_nodes().map(str::to_owned).collect();
        assert_eq!(outputs, texts(&workflow.notes["outputs"]), "{}", workflow.name);
        assert_eq!(workflow.notes["name"].as_str(), Some(workflow.name.as_str()));
    }
}

#[test]
fn needs_are_the_classes_and_files_of_the_graph() {
    for workflow in shipped() {
        let needs = workflow.notes["needs"].as_table().unwrap();
        assert_eq!(files::node_classes(&workflow.graph), texts(&needs["nodes"]), "{}", workflow.name);
        let noted: BTreeSet<(String, String)> = needs["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| (model["folder"].as_str().unwrap().to_owned(), model["name"].as_str().unwrap().to_owned()))
            .collect();
        let found: BTreeSet<(String, String)> =
            files::model_files(&workflow.graph).into_iter().map(|file| (file.folder, file.name)).collect();
        assert_eq!(found, noted, "{}", workflow.name);
    }
}

#[test]
fn noted_defaults_are_the_values_in_the_graph() {
    for workflow in shipped() {
        for (kind, value) in workflow.notes["defaults"].as_table().unwrap() {
            let slot = workflow.slots.slots.iter().find(|slot| kind_name(slot.kind) == *kind).unwrap();
            let in_graph = slot.current.as_ref().and_then(Value::as_f64);
            let noted =
                value.as_float().or_else(|| value.as_integer().and_then(|n| u32::try_from(n).ok()).map(f64::from));
            assert_eq!(in_graph, noted, "{} {kind}", workflow.name);
        }
    }
}

/// Every input that differs, as `node.input` to its new value.
fn changes(before: &Graph, after: &Graph) -> BTreeMap<String, Value> {
    let inputs = |graph: &Graph| -> BTreeMap<String, Value> {
        let node_inputs = |(id, node): (&str, &comfyui::workflow::Node)| {
            node.inputs.iter().map(|(input, value)| (format!("{id}.{input}"), value.clone())).collect::<Vec<_>>()
        };
        graph.nodes().flat_map(node_inputs).collect()
    };
    let (before, after) = (inputs(before), inputs(after));
    assert!(before.keys().eq(after.keys()), "binding neither adds nor removes an input");
    after.into_iter().filter(|(key, value)| before[key] != *value).collect()
}

#[test]
fn binding_changes_the_targets_and_nothing_else() {
    for workflow in shipped() {
        let noted = workflow.noted_slots();
        let has = |kind: &str| noted.contains_key(kind);
        let values = Bindings {
            prompt: Some("a lighthouse at \"dusk\",\n 灯台".to_owned()),
            seed: Some(u64::MAX),
            width: Some(832),
            height: Some(1216),
            filename_prefix: Some("hub/0190/img".to_owned()),
            input_image: has("input_image").then(|| "hub/0190/in.png".to_owned()),
            ..Bindings::default()
        };
        let bound = bind_all(&workflow.graph, &workflow.slots, &values).unwrap();
        let mut expected = BTreeMap::new();
        for (kind, value) in [
            ("prompt", json!("a lighthouse at \"dusk\",\n 灯台")),
            ("seed", json!(u64::MAX)),
            ("width", json!(832)),
            ("height", json!(1216)),
            ("input_image", json!("hub/0190/in.png")),
        ] {
            for target in noted.get(kind).into_iter().flatten() {
                expected.insert(target.clone(), value.clone());
            }
        }
        for output in texts(&workflow.notes["outputs"]) {
            expected.insert(format!("{output}.filename_prefix"), json!("hub/0190/img"));
        }
        assert_eq!(changes(&workflow.graph, &bound.graph), expected, "{}", workflow.name);
        let unused: Vec<SlotKind> = [SlotKind::Prompt, SlotKind::Seed, SlotKind::Width, SlotKind::Height]
            .into_iter()
            .filter(|kind| !has(&kind_name(*kind)))
            .collect();
        assert_eq!(bound.unused, unused, "{}", workflow.name);
        // What is posted carries the seed in full.
        let posted: Graph = serde_json::from_str(&serde_json::to_string(&bound.graph).unwrap()).unwrap();
        assert_eq!(posted, bound.graph, "{}", workflow.name);
    }
}

#[test]
fn guidance_of_distilled_models_leaves_cfg_alone() {
    for (name, guidance, cfg) in [("txt2img-flux-dev", "5.guidance", "8"), ("edit-flux-kontext", "9.guidance", "11")] {
        let workflow = one(name);
        let values = Bindings { guidance: Some(4.25), negative: Some("blurry".to_owned()), ..Bindings::default() };
        let bound = bind_all(&workflow.graph, &workflow.slots, &values).unwrap();
        assert_eq!(changes(&workflow.graph, &bound.graph), BTreeMap::from([(guidance.to_owned(), json!(4.25))]));
        assert_eq!(bound.graph.node(cfg).unwrap().inputs["cfg"], 1.0, "{name}");
        assert_eq!(bound.unused, [SlotKind::Negative], "a model without negatives");
    }
}

#[test]
fn edit_instructions_and_their_negatives_are_told_apart() {
    let workflow = one("edit-qwen-image-edit");
    let values =
        Bindings { prompt: Some("make it night".to_owned()), negative: Some("day".to_owned()), ..Bindings::default() };
    let bound = bind_all(&workflow.graph, &workflow.slots, &values).unwrap();
    let expected =
        BTreeMap::from([("8.prompt".to_owned(), json!("make it night")), ("9.prompt".to_owned(), json!("day"))]);
    assert_eq!(changes(&workflow.graph, &bound.graph), expected);
}
