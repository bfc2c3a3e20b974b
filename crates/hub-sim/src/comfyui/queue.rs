//! The prompt queue: a binary heap laid out exactly as Python's `heapq`, so that `GET /queue` shows the real,
//! unsorted order.
//!
//! Owns order and removal. Never runs anything.

use std::sync::Arc;

use serde_json::{Value, json};

use super::graph::Graph;
use crate::script::Fault;

/// A validated prompt.
#[derive(Debug)]
pub(crate) struct Job {
    /// As answered to the caller: an integer, or a float when the caller chose it.
    pub(crate) number: Value,
    pub(crate) order: f64,
    pub(crate) id: String,
    pub(crate) graph: Arc<Value>,
    pub(crate) extra: Value,
    pub(crate) outputs: Vec<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) create_time: u64,
    pub(crate) faults: Vec<Fault>,
    /// How often faults were cleared before it came.
    pub(crate) healed: u64,
}

impl Job {
    /// The prompt as a map.
    pub(crate) fn graph(&self) -> &Graph {
        self.graph.as_object().expect("validation accepts objects only")
    }

    /// `[number, id, graph, extra_data, outputs]` as in `/queue` and `/history`.
    pub(crate) fn tuple(&self) -> Value {
        json!([self.number, self.id, &*self.graph, self.extra, self.outputs])
    }

    fn before(&self, other: &Job) -> bool {
        (self.order, self.id.as_str()) < (other.order, other.id.as_str())
    }

    pub(crate) fn ties_with(&self, other: &Job) -> bool {
        self.order.total_cmp(&other.order).is_eq() && self.id == other.id
    }
}

/// Pending prompts.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    items: Vec<Arc<Job>>,
}

impl Heap {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn items(&self) -> &[Arc<Job>] {
        &self.items
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    pub(crate) fn push(&mut self, job: Arc<Job>) {
        self.items.push(job);
        self.sift_down(0, self.items.len() - 1);
    }

    pub(crate) fn pop(&mut self) -> Option<Arc<Job>> {
        let last = self.items.pop()?;
        if self.items.is_empty() {
            return Some(last);
        }
        let first = std::mem::replace(&mut self.items[0], last);
        self.sift_up(0);
        Some(first)
    }

    /// Removes one pending prompt; true when it was there.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(at) = self.items.iter().position(|j| j.id == id) else { return false };
        self.items.remove(at);
        for start in (0..self.items.len() / 2).rev() {
            self.sift_up(start);
        }
        true
    }

    fn sift_down(&mut self, start: usize, mut at: usize) {
        while at > start {
            let parent = (at - 1) / 2;
            if !self.items[at].before(&self.items[parent]) {
                break;
            }
            self.items.swap(at, parent);
            at = parent;
        }
    }

    fn sift_up(&mut self, start: usize) {
        let mut at = start;
        let mut child = 2 * at + 1;
        while child < self.items.len() {
            let right = child + 1;
            if right < self.items.len() && !self.items[child].before(&self.items[right]) {
                child = right;
            }
            self.items.swap(at, child);
            at = child;
            child = 2 * at + 1;
        }
        self.sift_down(start, at);
    }
}
