//! Transcripts recorded from two real servers.

use std::path::PathBuf;

use comfyui::{
    Graph,
    workflow::slots::{Severity, Slots},
};
use serde_json::Value;

pub(crate) const VERSIONS: [&str; 2] = ["v0.33.0", "v0.3.64"];

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The recorder wrote Python's JSON, with one NaN.
pub(crate) fn json(name: &str) -> Value {
    let text = String::from_utf8(bytes(name)).unwrap().replace(": NaN", ": null");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn graph(name: &str) -> Graph {
    Graph::parse(&json("graphs/standard_graphs_api.json")[name]).unwrap()
}

/// A graph that really ran.
pub(crate) fn flow(name: &str) -> Graph {
    Graph::parse(&json("v0.33.0/real_flows.json")[name]["prompt"]).unwrap()
}

pub(crate) fn standard_graphs() -> Vec<(String, Graph)> {
    let all = json("graphs/standard_graphs_api.json");
    all.as_object().unwrap().iter().map(|(name, value)| (name.clone(), Graph::parse(value).unwrap())).collect()
}

/// Whether the server will refuse the graph.
pub(crate) fn has_errors(slots: &Slots) -> bool {
    slots.problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// Every recorded JSON file, as its name below the folder and its content.
pub(crate) fn recordings() -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut names = Vec::new();
    for part in VERSIONS.into_iter().chain(["auth"]) {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            names.push(format!("{part}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    names.retain(|name| name.rsplit_once('.').is_some_and(|(_, extension)| extension == "json"));
    names.sort();
    names.into_iter().map(|name| (name.clone(), json(&name))).collect()
}

/// Calls `visit` with every value of a tree and its path, parents first.
pub(crate) fn walk<'v>(value: &'v Value, path: &str, visit: &mut impl FnMut(&str, &'v Value)) {
    visit(path, value);
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}"), visit)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| walk(value, &format!("{path}/{at}"), visit));
        }
        _ => {}
    }
}
