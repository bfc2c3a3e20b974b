//! The messages of one run, in the recorded shapes and order.
//!
//! Owns the cumulative `progress_state`. A prompt without client id sends progress to everybody and the rest to
//! nobody, as the real server does.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::comfyui::pyjson;
use crate::comfyui::queue::Job;
use crate::comfyui::state::Sim;
use crate::comfyui::ws::To;

/// Event number of a preview without metadata.
const PREVIEW: u32 = 1;
/// Event number of a preview with metadata.
const PREVIEW_WITH_METADATA: u32 = 4;
/// An event number no server uses.
const UNKNOWN: u32 = 77;
/// Picture formats of [`PREVIEW`].
const JPEG: u32 = 1;
const PNG: u32 = 2;

/// A picture sent over the socket.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Jpeg,
    Png,
}

/// Sends the events of one prompt.
pub(super) struct Events {
    prompt_id: String,
    client: Option<String>,
    /// Node id and its part of `progress_state`.
    nodes: Vec<(String, String)>,
    /// What the last progress of the running node said.
    last: Option<(u64, u64)>,
}

impl Events {
    pub(super) fn new(job: &Job) -> Events {
        Events { prompt_id: job.id.clone(), client: job.client_id.clone(), nodes: Vec::new(), last: None }
    }

    /// To the client of the prompt only.
    pub(super) fn to_client(&self, sim: &Sim, kind: &str, data: &Value) {
        if let Some(client) = &self.client {
            sim.state().sockets.send(To::Client(client), kind, data);
        }
    }

    /// To the client, or to everybody when there is none.
    pub(super) fn to_client_or_all(&self, sim: &Sim, kind: &str, data: &Value) {
        sim.state().sockets.send(self.to(), kind, data);
    }

    /// A node begins.
    pub(super) fn start(&mut self, sim: &Sim, id: &str) {
        self.last = None;
        self.progress_state(sim, id, "0.0", "1.0", "running");
        self.to_client(sim, "executing", &json!({"node": id, "display_node": id, "prompt_id": self.prompt_id}));
    }

    /// A step of a node, with a preview picture when there is one.
    pub(super) fn progress(&mut self, sim: &Sim, id: &str, value: u64, max: u64, preview: Option<Vec<u8>>) {
        self.last = Some((value, max));
        self.progress_state(sim, id, &value.to_string(), &max.to_string(), "running");
        let with_metadata = self.wants_metadata(sim);
        let progress = json!({"value": value, "max": max, "prompt_id": self.prompt_id, "node": id});
        match preview {
            Some(jpeg) if with_metadata => {
                self.picture(sim, id, Format::Jpeg, &jpeg);
                self.to_client_or_all(sim, "progress", &progress);
            }
            preview => {
                self.to_client_or_all(sim, "progress", &progress);
                if let Some(jpeg) = preview {
                    self.picture(sim, id, Format::Jpeg, &jpeg);
                }
            }
        }
    }

    /// A picture as a binary frame, in the form the client asked for.
    pub(super) fn picture(&self, sim: &Sim, id: &str, format: Format, bytes: &[u8]) {
        let frame = if self.wants_metadata(sim) {
            let mime = if matches!(format, Format::Jpeg) { "image/jpeg" } else { "image/png" };
            let metadata = pyjson::dump(&json!({"node_id": id, "prompt_id": self.prompt_id, "display_node_id": id,
                "parent_node_id": null, "real_node_id": id, "image_type": mime}));
            let length = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
            [&PREVIEW_WITH_METADATA.to_be_bytes()[..], &length.to_be_bytes(), metadata.as_bytes(), bytes].concat()
        } else {
            let number = if matches!(format, Format::Jpeg) { JPEG } else { PNG };
            [&PREVIEW.to_be_bytes()[..], &number.to_be_bytes(), bytes].concat()
        };
        sim.state().sockets.send_binary(self.to(), &Bytes::from(frame));
    }

    /// A node showed something.
    pub(super) fn executed(&self, sim: &Sim, id: &str, output: &Value) {
        let data = json!({"node": id, "display_node": id, "output": output, "prompt_id": self.prompt_id});
        self.to_client(sim, "executed", &data);
    }

    /// A node ended.
    pub(super) fn finish(&mut self, sim: &Sim, id: &str) {
        match self.last.take() {
            Some((_, max)) => self.progress_state(sim, id, &max.to_string(), &max.to_string(), "finished"),
            None => self.progress_state(sim, id, "1.0", "1.0", "finished"),
        }
    }

    /// A node was not run because its result is known.
    pub(super) fn reused(&mut self, sim: &Sim, id: &str) {
        self.progress_state(sim, id, "1", "1", "finished");
    }

    /// The worker is free again; always the last message.
    pub(super) fn done(&self, sim: &Sim) {
        self.to_client(sim, "executing", &json!({"node": null, "prompt_id": self.prompt_id}));
    }

    /// Messages that no client knows.
    pub(super) fn unknown(&self, sim: &Sim) {
        let mut state = sim.state();
        state.sockets.send(self.to(), "crystools.monitor", &json!({"cpu_utilization": 7.5, "gpus": []}));
        state.sockets.send(self.to(), "assets.seed.progress", &json!({"scanned": 3}));
        state.sockets.send_text(self.to(), "{\"type\": \"unheard_of\"}".to_owned());
        let frame = [&UNKNOWN.to_be_bytes()[..], b"\x00\x01payload"].concat();
        state.sockets.send_binary(self.to(), &Bytes::from(frame));
    }

    fn to(&self) -> To<'_> {
        self.client.as_deref().map_or(To::All, To::Client)
    }

    fn wants_metadata(&self, sim: &Sim) -> bool {
        self.client.as_deref().is_some_and(|c| sim.state().sockets.wants_metadata(c))
    }

    fn progress_state(&mut self, sim: &Sim, id: &str, value: &str, max: &str, state: &str) {
        if !sim.version.after(0, 3, 44) || !sim.state().sockets.has(self.to()) {
            return;
        }
        let (name, prompt) = (pyjson::dump(id), pyjson::dump(&self.prompt_id));
        let part = format!(
            "{name}: {{\"value\": {value}, \"max\": {max}, \"state\": \"{state}\", \"node_id\": {name}, \"prompt_id\": {prompt}, \
             \"display_node_id\": {name}, \"parent_node_id\": null, \"real_node_id\": {name}}}"
        );
        match self.nodes.iter_mut().find(|(known, _)| known == id) {
            Some((_, old)) => *old = part,
            None => self.nodes.push((id.to_owned(), part)),
        }
        let parts: Vec<&str> = self.nodes.iter().map(|(_, part)| part.as_str()).collect();
        let text = format!(
            "{{\"type\": \"progress_state\", \"data\": {{\"prompt_id\": {prompt}, \"nodes\": {{{}}}}}}}",
            parts.join(", ")
        );
        sim.state().sockets.send_text(self.to(), text);
    }
}
