//! What one version of a workflow changed, node by node.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::shown::shorten;
use crate::{
    language::{Said, apart},
    said,
};

/// Longest value shown, in characters.
const VALUE_SHOWN_CHARS: usize = 80;
/// Most differences shown.
const SHOWN_MAX: usize = 200;

/// All differences from the version before.
#[derive(Debug, Serialize)]
pub(super) struct Differences {
    /// Number of the version before.
    pub(super) from: u32,
    pub(super) rows: Vec<Difference>,
    /// So many are not shown.
    pub(super) more: usize,
}

/// One difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    action: Said,
    tone: &'static str,
    /// `5 Sampler`.
    node: String,
    /// The input that is another; empty for a whole node.
    input: String,
    before: String,
    after: String,
}

impl Differences {
    /// Between two graphs in API format.
    pub(super) fn between(from: u32, before: &Value, after: &Value) -> Self {
        let mut rows = Vec::new();
        let (before, after) = (nodes(before), nodes(after));
        let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for id in ids {
            match (before.get(id), after.get(id)) {
                (None, Some(node)) => rows.push(Difference::whole(said!("new"), "good", id, node)),
                (Some(node), None) => rows.push(Difference::whole(said!("gone"), "bad", id, node)),
                (Some(old), Some(new)) => within(id, old, new, &mut rows),
                (None, None) => {}
            }
        }
        let more = rows.len().saturating_sub(SHOWN_MAX);
        rows.truncate(SHOWN_MAX);
        Self { from, rows, more }
    }
}

fn nodes(graph: &Value) -> Map<String, Value> {
    graph.as_object().cloned().unwrap_or_default()
}

fn within(id: &str, old: &Value, new: &Value, rows: &mut Vec<Difference>) {
    let class = |node: &Value| node["class_type"].as_str().unwrap_or_default().to_owned();
    let mut add = |input: &str, before: String, after: String| {
        let name = name(id, new);
        rows.push(Difference {
            action: said!("changed"),
            tone: "info",
            node: name,
            input: input.to_owned(),
            before,
            after,
        });
    };
    if class(old) != class(new) {
        add("class", class(old), class(new));
    }
    let (before, after) = (nodes(&old["inputs"]), nodes(&new["inputs"]));
    let inputs: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for input in inputs {
        let (old, new) = (before.get(input), after.get(input));
        if old != new {
            add(input, words(old), words(new));
        }
    }
}

/// A value for people; a link as `→ node`.
fn words(value: Option<&Value>) -> String {
    let text = match value {
        None => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(link)) if link.len() == 2 && link[0].is_string() => {
            format!("→ {}", link[0].as_str().unwrap_or_default())
        }
        Some(other) => other.to_string(),
    };
    shorten(&text, VALUE_SHOWN_CHARS)
}

fn name(id: &str, node: &Value) -> String {
    let title = node["_meta"]["title"].as_str().or(node["class_type"].as_str()).unwrap_or_default();
    format!("{id} {}", apart::apart(&shorten(title, VALUE_SHOWN_CHARS)))
}

impl Difference {
    fn whole(action: Said, tone: &'static str, id: &str, node: &Value) -> Self {
        Self { action, tone, node: name(id, node), input: String::new(), before: String::new(), after: String::new() }
    }

    #[cfg(test)]
    pub(super) fn sample() -> Self {
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        Self { action: said!("changed"), tone: "info", node: text(), input: text(), before: text(), after: text() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_and_inputs_that_differ_are_told_and_no_others() {
        let before = json!({
            "1": {"class_type": "A", "inputs": {"x": 1, "y": ["2", 0], "z": "same"}},
            "2": {"class_type": "B", "inputs": {}},
        });
        let after = json!({
            "1": {"class_type": "A", "_meta": {"title": "First"}, "inputs": {"x": 2, "y": ["3", 0], "z": "same"}},
            "3": {"class_type": "C", "inputs": {}},
        });
        let found = Differences::between(4, &before, &after);
        let rows: Vec<String> = found
            .rows
            .iter()
            .map(|row| format!("{} {} {} {} {}", row.action, row.node, row.input, row.before, row.after))
            .collect();
        assert_eq!(rows, ["changed 1 First x 1 2", "changed 1 First y → 2 → 3", "gone 2 B   ", "new 3 C   "]);
        assert_eq!((found.from, found.more), (4, 0));
        assert!(Differences::between(1, &after, &after).rows.is_empty(), "only a title is no difference");
        assert!(Differences::between(1, &json!(null), &json!([])).rows.is_empty());
    }
}
