//! Finished prompts, as `/history` tells them.
//!
//! Owns the entries in order of finishing, at most [`MAX_ENTRIES`]. Entries are turned into text once, when they are
//! written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::pyjson;
use super::queue::Job;

/// As many as the real server keeps.
const MAX_ENTRIES: usize = 10_000;

/// One finished prompt.
pub(crate) struct Entry {
    pub(crate) job: Arc<Job>,
    pub(crate) outputs: Value,
    pub(crate) status: Value,
    pub(crate) started_ms: u64,
    pub(crate) finished_ms: u64,
    text: String,
}

impl Entry {
    pub(crate) fn new(
        job: Arc<Job>,
        outputs: Map<String, Value>,
        status: Value,
        started_ms: u64,
        finished_ms: u64,
    ) -> Entry {
        let meta: Map<String, Value> = outputs
            .keys()
            .map(|id| {
                let meta = json!({"node_id": id, "display_node": id, "parent_node": null, "real_node_id": id});
                (id.clone(), meta)
            })
            .collect();
        let outputs = Value::Object(outputs);
        let text = format!(
            "{{\"prompt\": {}, \"outputs\": {}, \"status\": {}, \"meta\": {}}}",
            pyjson::dump(&job.tuple()),
            pyjson::dump(&outputs),
            pyjson::dump(&status),
            pyjson::dump(&meta)
        );
        Entry { job, outputs, status, started_ms, finished_ms, text }
    }

    /// True when the prompt was interrupted.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.status["messages"]
            .as_array()
            .is_some_and(|m| m.iter().any(|message| message[0] == "execution_interrupted"))
    }
}

/// All entries.
#[derive(Default)]
pub(crate) struct History {
    entries: BTreeMap<u64, Arc<Entry>>,
    by_id: HashMap<String, u64>,
    next: u64,
}

impl History {
    /// Adds an entry; one with the same id is replaced.
    pub(crate) fn add(&mut self, entry: Entry) {
        self.remove(&entry.job.id.clone());
        self.by_id.insert(entry.job.id.clone(), self.next);
        self.entries.insert(self.next, Arc::new(entry));
        self.next += 1;
        while self.entries.len() > MAX_ENTRIES {
            if let Some((_, oldest)) = self.entries.pop_first() {
                self.by_id.remove(&oldest.job.id);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(at) = self.by_id.remove(id) {
            self.entries.remove(&at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.by_id.clear();
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Entry>> {
        self.entries.get(self.by_id.get(id)?)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// The answer of `/history/{id}`.
    pub(crate) fn one(&self, id: &str) -> String {
        self.get(id).map_or_else(|| "{}".to_owned(), |e| object([e]))
    }

    /// The answer of `/history`: oldest first; without offset the last `max_items`.
    pub(crate) fn page(&self, max_items: Option<usize>, offset: Option<usize>) -> String {
        let wanted = max_items.unwrap_or(usize::MAX);
        let skip = offset.unwrap_or_else(|| self.entries.len().saturating_sub(wanted));
        object(self.entries.values().skip(skip).take(wanted))
    }
}

fn object<'a>(entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> String {
    let mut out = String::from("{");
    for (index, entry) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(&pyjson::dump(&entry.job.id));
        out.push_str(": ");
        out.push_str(&entry.text);
    }
    out.push('}');
    out
}
