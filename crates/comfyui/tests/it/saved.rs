//! Workflows in the editor's saved format, converted to what the web client itself sends for them.
//!
//! Each file under `fixtures/saved` holds a graph written for these tests and the output of the real client
//! (`app.graphToPrompt()`, frontend 1.49.6) for it; `object_info.json` is the part of that server's answer
//! that these graphs need.

mod broken;
mod groups;
mod odd;

use std::sync::LazyLock;

use comfyui::ObjectInfo;
use comfyui::workflow::{Converted, Graph, convert::ConvertError, to_api};
use serde_json::{Value, json};

use crate::fixtures;

const GRAPHS: [&str; 13] = [
    "bypassed",
    "dynamic",
    "muted",
    "primitives",
    "reroutes",
    "subgraph_nested",
    "subgraph_off",
    "subgraph_primitive",
    "subgraph_twice",
    "text_to_image",
    "texts",
    "values",
    "version_1",
];

static INFO: LazyLock<ObjectInfo> =
    LazyLock::new(|| serde_json::from_value(fixtures::json("saved/object_info.json")).unwrap());

fn ui(name: &str) -> Value {
    fixtures::json(&format!("saved/{name}.json"))["ui"].clone()
}

/// Converts with the classes of the fixtures.
fn convert(ui: &Value) -> Result<Converted, ConvertError> {
    to_api(ui, &INFO)
}

/// What a node of a converted graph has at an input.
fn input(graph: &Graph, node: &str, input: &str) -> Value {
    graph.node(node).unwrap().inputs.get(input).cloned().unwrap_or_default()
}

/// An input with a link: its name and type, the node and slot it comes from.
type Linked<'a> = (&'a str, &'a str, u64, u64);

/// A graph of plain nodes: id, class, values and linked inputs.
fn small(nodes: &[(u64, &str, Value, &[Linked<'_>])]) -> Value {
    let (mut links, mut written) = (Vec::new(), Vec::new());
    for (id, class, values, inputs) in nodes {
        let mut slots = Vec::new();
        for (name, kind, source, slot) in *inputs {
            links.push(json!([links.len() + 1, source, slot, id, slots.len(), kind]));
            slots.push(json!({"name": name, "type": kind, "link": links.len()}));
        }
        let kinds = inputs.first().map_or("IMAGE", |(_, kind, ..)| *kind);
        let outputs = json!([{"name": kinds, "type": kinds, "links": [1]}]);
        written.push(json!({"id": id, "type": class, "inputs": slots, "outputs": outputs, "widgets_values": values}));
    }
    json!({"nodes": written, "links": links, "version": 0.4})
}

/// Whole numbers are the same whether written with a fraction or not.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(value.clone(), |number| json!(number)),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        _ => value.clone(),
    }
}

#[test]
fn every_saved_graph_becomes_what_the_web_client_sends() {
    for name in GRAPHS {
        let file = fixtures::json(&format!("saved/{name}.json"));
        let converted = convert(&file["ui"]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (ours, theirs) = (plain(&converted.graph.to_value()), plain(&file["api"]));
        for (id, node) in theirs.as_object().unwrap() {
            assert_eq!(ours[id], *node, "{name}, node {id}");
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn the_recorded_pair_converts() {
    let pair = fixtures::json("graphs/ui_vs_api_format.json");
    let mut ours = convert(&pair["ui_format"]).unwrap().graph.to_value();
    // The pair was written by hand, with the class where the client puts the name people see.
    ours["1"]["_meta"] = pair["api_format"]["1"]["_meta"].clone();
    ours["3"]["_meta"] = pair["api_format"]["3"]["_meta"].clone();
    assert_eq!(ours, pair["api_format"]);
}

#[test]
fn what_was_muted_away_from_an_input_is_told() {
    let converted = convert(&ui("muted")).unwrap();
    let told: Vec<String> = converted.warnings.iter().map(ToString::to_string).collect();
    assert!(
        told.contains(&"node 3 (`SaveImage`) has nothing at its input `images`, which it needs".to_owned()),
        "{told:?}"
    );
}

#[test]
fn object_info_survives_being_stored() {
    let again: ObjectInfo = serde_json::from_str(&serde_json::to_string(&*INFO).unwrap()).unwrap();
    assert_eq!(again, *INFO);
    let file = fixtures::json("saved/dynamic.json");
    assert_eq!(to_api(&file["ui"], &again), to_api(&file["ui"], &INFO));
}

#[test]
fn a_class_that_cannot_be_read_costs_only_itself() {
    let mut all = fixtures::json("saved/object_info.json");
    all["List"] = json!(["not", "a", "class"]);
    all["Nothing"] = Value::Null;
    all["NoInputs"] = json!({"input": null, "output": "IMAGE", "display_name": 7, "api_node": "yes"});
    all["Wild"] = json!({"input": {"required": {"a": [], "b": [7, "x"], "c": ["INT", []], "d": null, "e": "STRING",
        "f": ["COMBO"], "g": ["COMFY_DYNAMICCOMBO_V3", {"options": [1, {"key": 2}]}]}, "optional": []}});
    let read: ObjectInfo = serde_json::from_value(all).unwrap();
    assert_eq!(read.odd, ["List", "Nothing"]);
    assert!(read.has_class("NoInputs") && read.has_class("Wild"));
    let wild = json!({"nodes": [{"id": 1, "type": "Wild", "widgets_values": [1, "x"]}]});
    assert_eq!(input(&to_api(&wild, &read).unwrap().graph, "1", "c"), json!(1));
}

#[test]
fn thousands_of_classes_are_read() {
    let class = fixtures::json("saved/object_info.json")["KSampler"].clone();
    let all: serde_json::Map<String, Value> = (0..3_000).map(|n| (format!("Class{n}"), class.clone())).collect();
    let read: ObjectInfo = serde_json::from_value(Value::Object(all)).unwrap();
    assert_eq!(read.classes().count(), 3_000);
}
