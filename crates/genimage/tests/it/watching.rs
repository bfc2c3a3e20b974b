//! The dashboard and the alert rules that are shipped name only what `/metrics` tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

use crate::hub::Hub;

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib").join(name)).unwrap()
}

/// Names in an expression that look like metrics.
fn named(text: &str) -> BTreeSet<String> {
    let word = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    text.split(|byte| !word(byte))
        .filter(|word| word.starts_with("genimage_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

fn expressions(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "expr" || key == "query" => into.push(text.clone()),
                    _ => expressions(value, into),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| expressions(value, into)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_shown_or_watched_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &[]);
    let metrics = hub.http.get(format!("{}/metrics", hub.url)).send().await.unwrap().text().await.unwrap();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        told.insert(name.to_owned(), kind.to_owned());
    }
    assert!(told.len() > 15, "{metrics}");
    let is_told = |name: &str| {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        told.contains_key(name) || histogram.is_some_and(|name| told.get(name).is_some_and(|kind| kind == "histogram"))
    };

    let dashboard: Value = serde_json::from_str(&shipped("grafana-dashboard.json")).unwrap();
    let mut shown = Vec::new();
    expressions(&dashboard, &mut shown);
    let shown: BTreeSet<String> = shown.iter().flat_map(|expression| named(expression)).collect();
    let rules = shipped("prometheus-alerts.yml");
    let rules: String = rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    // What descriptions name counts too.
    for name in shown.iter().chain(&named(&rules)) {
        assert!(is_told(name), "{name} is not among {:?}", told.keys());
    }
    let ids: BTreeSet<u64> =
        dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
    // What the hub counts is shown somewhere, but for what is of no use in a picture.
    for name in told.keys().filter(|name| name.starts_with("genimage_") && *name != "genimage_jobs_missed_total") {
        let is_shown = shown.iter().any(|shown| shown.starts_with(name.as_str()));
        assert!(is_shown, "{name} is nowhere on the dashboard");
    }
}
