//! A `ComfyUI` server double over real HTTP and WebSocket connections.
//!
//! [`ComfySim`] is the handle: it starts, kills and restarts the server, injects faults and tells what happened.
//! Behaviour follows recordings of real servers (0.33.0 and 0.3.64): routes, validation texts, queue order, event
//! sequences, caching, history. Pictures are drawn, never generated. Dropping the handle stops the server.
//!
//! Two quirks of the real server are kept on purpose: a second socket with the same client id takes over, and closing
//! the first then leaves the second open but deaf; and `execution_success` comes before the history entry exists.

mod config;
mod files;
mod graph;
mod history;
mod jobs;
mod network;
mod object_info;
mod prompt;
mod pyjson;
mod queue;
mod render;
mod run;
mod server;
mod state;
mod trace;
mod upload;
mod validate;
mod view;
mod ws;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;

pub use config::{ComfyConfig, InvalidAuth, Models, SimAuth};
use state::Sim;

use crate::card::Card;
use crate::script::{Injection, Script};

/// Tries to bind the old port again after a restart, 20 ms apart.
const REBIND_TRIES: u32 = 100;

/// A running double; stops when dropped.
#[derive(Debug)]
pub struct ComfySim {
    sim: Arc<Sim>,
    addr: SocketAddr,
}

impl ComfySim {
    /// Starts a double; port 0 picks a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: SocketAddr, config: ComfyConfig) -> io::Result<ComfySim> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let sim = Arc::new(Sim::new(config, addr));
        server::serve(&sim, listener);
        Ok(ComfySim { sim, addr })
    }

    /// Starts a double with the faults of a script armed.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_script(listen: SocketAddr, script: Script) -> io::Result<ComfySim> {
        let sim = ComfySim::start(listen, script.server).await?;
        script.fault.into_iter().for_each(|fault| sim.inject(fault));
        Ok(sim)
    }

    /// The base URL, with the path prefix, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.addr, server::prefix(&self.sim.config))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What happened so far, over all restarts.
    pub fn stats(&self) -> SimStats {
        self.sim.stats()
    }

    /// Arms a fault; a bare [`crate::Fault`] strikes the next prompt (or request).
    pub fn inject(&self, fault: impl Into<Injection>) {
        self.sim.faults().arm(fault.into());
    }

    /// Disarms everything; a hung job goes on and a dead worker wakes.
    pub fn clear_faults(&self) {
        self.sim.heal();
    }

    /// Guards the door otherwise from now on; open sockets stay.
    pub fn set_auth(&self, auth: Option<SimAuth>) {
        *self.sim.auth() = auth;
    }

    /// Puts it on a card that it shares with others, under this name.
    pub fn share(&self, card: &Card, name: &str) {
        self.sim.share(card.clone(), name);
    }

    /// True while the process answers.
    pub fn is_up(&self) -> bool {
        self.sim.is_up()
    }

    /// Drops all sockets without a close frame; the port refuses until [`ComfySim::restart`].
    pub async fn kill(&mut self) {
        if let Some(task) = self.sim.down() {
            // The listener is closed when its task has ended; a cancelled task is what we asked for.
            let _cancelled = task.await;
        }
    }

    /// Starts again on the same port with empty queue and history; output files stay, numbers restart at 0.
    pub async fn restart(&mut self) {
        self.kill().await;
        restart(&self.sim).await;
    }

    /// Connections stand still: nothing is read or answered until [`ComfySim::thaw`], as with a stopped process or a
    /// network that swallows everything. The worker goes on.
    pub fn freeze(&self) {
        self.sim.frost.set(true);
    }

    /// Connections go on where they stood.
    pub fn thaw(&self) {
        self.sim.frost.set(false);
    }

    /// Cuts every event socket without a close frame; HTTP goes on.
    pub fn drop_sockets(&self) {
        self.sim.state().sockets.cut_all();
    }

    /// Stops for good.
    pub async fn shutdown(mut self) {
        self.kill().await;
    }
}

impl Drop for ComfySim {
    fn drop(&mut self) {
        self.sim.retire();
    }
}

/// Binds the old port and begins a new life.
async fn restart(sim: &Arc<Sim>) {
    for _ in 0..REBIND_TRIES {
        match TcpListener::bind(sim.addr).await {
            Ok(listener) => {
                server::serve(sim, listener);
                return;
            }
            Err(error) => {
                tracing::debug!(%error, addr = %sim.addr, "port not free yet");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    tracing::warn!(addr = %sim.addr, "the simulated server could not bind its port again");
}

/// How a prompt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All its nodes ran.
    Success,
    /// A node raised.
    Error,
    /// Somebody stopped it.
    Interrupted,
}

/// One prompt that ran to an end.
#[derive(Debug, Clone)]
pub struct ExecutedPrompt {
    /// Its id, as it was answered.
    pub prompt_id: String,
    /// The client that posted it, if it said who it is.
    pub client_id: Option<String>,
    /// The graph as validated.
    pub graph: Arc<Value>,
    /// How it ended.
    pub outcome: Outcome,
    /// When its run began, Unix time in milliseconds.
    pub started_at_ms: u64,
    /// When it ended, Unix time in milliseconds.
    pub finished_at_ms: u64,
}

/// What a double did, over all restarts.
#[derive(Debug, Clone, Default)]
pub struct SimStats {
    /// `POST /prompt` bodies that arrived, good or bad.
    pub prompts_received: u64,
    /// The latest prompts that ran to an end (10 000 at most), in order.
    pub executed: Vec<ExecutedPrompt>,
    /// How often model files were loaded.
    pub model_loads: u64,
    /// Loads that threw out another set.
    pub model_swaps: u64,
    /// Interrupts that hit a running prompt.
    pub interrupts: u64,
    /// Requests by method and route, such as `GET /history/{id}`; `/api` and the prefix are left out.
    pub requests_by_route: BTreeMap<String, u64>,
    /// WebSocket connections accepted.
    pub ws_connections: u64,
}
