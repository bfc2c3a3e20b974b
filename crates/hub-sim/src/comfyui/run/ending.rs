//! How a run is told and how it ends: the messages history keeps, errors, interrupts and the history entry.
//!
//! Owns the order at the end: history first, then the free worker, then `executing` with a null node.

use serde_json::{Map, Value, json};

use super::Run;
use super::nodes::Failure;
use crate::comfyui::history::Entry;
use crate::comfyui::state::now_ms;
use crate::comfyui::{ExecutedPrompt, Outcome, graph};

impl Run<'_> {
    /// Sends a message that history keeps.
    pub(super) fn milestone(&mut self, kind: &str, mut data: Value) {
        data["timestamp"] = json!(now_ms());
        self.events.to_client(self.sim, kind, &data);
        self.messages.push(json!([kind, data]));
    }

    pub(super) fn interrupted(&mut self, id: &str) {
        let data = json!({"prompt_id": self.job.id, "node_id": id, "node_type": graph::class(self.job.graph(), id),
            "executed": self.executed, "timestamp": now_ms()});
        self.events.to_client_or_all(self.sim, "execution_interrupted", &data);
        self.messages.push(json!(["execution_interrupted", data]));
    }

    pub(super) fn failed(&mut self, failure: &Failure, pending: &[String]) {
        let graph = self.job.graph();
        let inputs: Map<String, Value> = graph
            .get(&failure.node)
            .and_then(|n| n["inputs"].as_object())
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), json!([value])))
            .collect();
        let current: Vec<&String> = graph
            .keys()
            .filter(|id| pending.contains(id) || self.executed.contains(id) || **id == failure.node)
            .collect();
        let data = json!({"prompt_id": self.job.id, "node_id": failure.node, "node_type": graph::class(graph, &failure.node),
            "executed": self.executed, "exception_message": failure.message, "exception_type": failure.kind,
            "traceback": Failure::traceback(), "current_inputs": inputs, "current_outputs": current, "timestamp": now_ms()});
        self.events.to_client(self.sim, "execution_error", &data);
        self.messages.push(json!(["execution_error", data]));
    }

    /// Writes history, frees the worker and says so.
    pub(super) fn finish(mut self, outcome: Outcome, started_ms: u64) {
        let finished_ms = now_ms();
        let success = outcome == Outcome::Success;
        let status = json!({"status_str": if success { "success" } else { "error" }, "completed": success,
            "messages": std::mem::take(&mut self.messages)});
        let entry = Entry::new(self.job.clone(), std::mem::take(&mut self.outputs), status, started_ms, finished_ms);
        self.sim.record(ExecutedPrompt {
            prompt_id: self.job.id.clone(),
            client_id: self.job.client_id.clone(),
            graph: self.job.graph.clone(),
            outcome,
            started_at_ms: started_ms,
            finished_at_ms: finished_ms,
        });
        {
            let mut state = self.sim.state();
            state.history.add(entry);
            state.running = None;
            state.broadcast_status();
        }
        self.events.done(self.sim);
    }
}
