//! WebSocket clients: who is connected, what is sent to whom.
//!
//! Owns the table of sockets with the takeover quirk of the real server (see the module text of `comfyui`). A
//! client that does not read goes deaf once [`MAX_QUEUED_MESSAGES`] wait for it, where the real server would block.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::pyjson;
use super::state::Sim;

/// Messages that may wait for one slow client.
const MAX_QUEUED_MESSAGES: usize = 16_384;

/// What the connection task is told.
pub(crate) enum Outgoing {
    Text(Utf8Bytes),
    Binary(Bytes),
    /// Cut the connection without a close frame.
    Drop,
}

struct Socket {
    sender: mpsc::Sender<Outgoing>,
    deaf: bool,
    wants_metadata: bool,
}

/// The connected clients by id.
#[derive(Default)]
pub(crate) struct Sockets {
    by_id: HashMap<String, Socket>,
}

/// Who gets a message.
#[derive(Clone, Copy)]
pub(crate) enum To<'a> {
    All,
    Client(&'a str),
}

impl Sockets {
    /// A text message to everybody.
    pub(crate) fn broadcast<T: Serialize>(&mut self, kind: &str, data: &T) {
        self.send(To::All, kind, data);
    }

    /// A text message.
    pub(crate) fn send<T: Serialize>(&mut self, to: To<'_>, kind: &str, data: &T) {
        if self.has(to) {
            let text = format!("{{\"type\": \"{kind}\", \"data\": {}}}", pyjson::dump(data));
            self.send_text(to, text);
        }
    }

    /// A ready-made text frame.
    pub(crate) fn send_text(&mut self, to: To<'_>, text: String) {
        let text = Utf8Bytes::from(text);
        self.each(to, |_| Outgoing::Text(text.clone()));
    }

    /// A binary frame.
    pub(crate) fn send_binary(&mut self, to: To<'_>, frame: &Bytes) {
        self.each(to, |_| Outgoing::Binary(frame.clone()));
    }

    /// True when somebody would hear it.
    pub(crate) fn has(&self, to: To<'_>) -> bool {
        match to {
            To::All => !self.by_id.is_empty(),
            To::Client(id) => self.by_id.contains_key(id),
        }
    }

    /// True when the client asked for previews with metadata.
    pub(crate) fn wants_metadata(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|s| s.wants_metadata)
    }

    /// The client hears nothing more until it connects again.
    pub(crate) fn deafen(&mut self, id: &str) {
        if let Some(socket) = self.by_id.get_mut(id) {
            socket.deaf = true;
        }
    }

    /// Cuts the client's connection.
    pub(crate) fn cut(&mut self, id: &str) {
        if let Some(socket) = self.by_id.remove(id) {
            // A full queue means the client is being cut already.
            let _full = socket.sender.try_send(Outgoing::Drop);
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut_all(&mut self) {
        for (_, socket) in self.by_id.drain() {
            // A full queue means the client is being cut already.
            let _full = socket.sender.try_send(Outgoing::Drop);
        }
    }

    fn each(&mut self, to: To<'_>, message: impl Fn(&Socket) -> Outgoing) {
        let deliver = |socket: &Socket| socket.deaf || socket.sender.try_send(message(socket)).is_ok();
        match to {
            To::All => self.by_id.retain(|_, socket| deliver(socket)),
            To::Client(id) => {
                if self.by_id.get(id).is_some_and(|socket| !deliver(socket)) {
                    self.by_id.remove(id);
                }
            }
        }
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(sim: Arc<Sim>, socket: WebSocket, client_id: Option<String>) {
    sim.count(|s| s.ws_connections += 1);
    let id = client_id.filter(|id| !id.is_empty()).unwrap_or_else(|| Uuid::new_v4().simple().to_string());
    let mut inbox = enter(&sim, &id);
    let cut = talk(&sim, socket, &id, &mut inbox).await;
    if !cut {
        // As on the real server this removes whoever holds the id now, even a newer connection.
        sim.state().sockets.by_id.remove(&id);
    }
}

/// Registers the client and greets it.
fn enter(sim: &Sim, id: &str) -> mpsc::Receiver<Outgoing> {
    let (sender, inbox) = mpsc::channel(MAX_QUEUED_MESSAGES);
    let mut state = sim.state();
    state.sockets.by_id.insert(id.to_owned(), Socket { sender, deaf: false, wants_metadata: false });
    let hello = json!({"status": {"exec_info": {"queue_remaining": state.queue_remaining()}}, "sid": id});
    state.sockets.send(To::Client(id), "status", &hello);
    let current =
        state.running.as_ref().filter(|r| r.job.client_id.as_deref() == Some(id)).and_then(|r| r.node.clone());
    if let Some(node) = current {
        state.sockets.send(To::Client(id), "executing", &json!({"node": node}));
    }
    inbox
}

/// Moves messages both ways; true when the connection was cut on purpose.
async fn talk(sim: &Sim, mut socket: WebSocket, id: &str, inbox: &mut mpsc::Receiver<Outgoing>) -> bool {
    let mut first = true;
    let mut replaced = false;
    loop {
        tokio::select! {
            biased;
            outgoing = inbox.recv(), if !replaced => {
                let sent = match outgoing {
                    Some(Outgoing::Text(text)) => socket.send(Message::Text(text)).await,
                    Some(Outgoing::Binary(frame)) => socket.send(Message::Binary(frame)).await,
                    Some(Outgoing::Drop) => return true,
                    None => {
                        replaced = true;
                        continue;
                    }
                };
                if sent.is_err() {
                    return false;
                }
            }
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Text(text))) => {
                    if first {
                        greet_features(sim, id, &text);
                    }
                    first = false;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                Some(Ok(_)) => {}
            }
        }
    }
}

/// Answers `feature_flags` when it is the first text of a client.
fn greet_features(sim: &Sim, id: &str, text: &str) {
    let Ok(message) = serde_json::from_str::<Value>(text) else { return };
    if message["type"] != "feature_flags" || !sim.version.after(0, 3, 44) {
        return;
    }
    let wants = message["data"]["supports_preview_metadata"] == true;
    let mut state = sim.state();
    if let Some(socket) = state.sockets.by_id.get_mut(id) {
        socket.wants_metadata = wants;
    }
    state.sockets.send(To::Client(id), "feature_flags", &super::server::features(sim));
}
