//! A double of an Ollama server over a real socket: `/api/*` and the OpenAI-compatible `/v1/*`.
//!
//! Owns: models with capabilities, loading and unloading, the queue, both wire dialects with the real field shapes and
//! error texts, deterministic answers that are of use in a demo, and scripted faults. It never runs a model and never
//! reaches out to the network.
//!
//! Invariants: the same request gets the same text; every wait ends when the double stops; a client that goes away frees
//! its place in the queue at once.
//!
//! Answers are chosen in this order: a fault's text, the first of [`OllamaConfig::replies`] whose key occurs in the
//! conversation, and else an answer made from the request: an instance of the JSON Schema in `format`, a description of
//! the images (real size and average colour), or the last user message with vivid detail added. A `Prompt:` line or
//! `<prompt>` element in that message marks what to enhance.
//!
//! As a TOML file:
//! ```toml
//! delay_ms = 300
//! load_ms = 2000
//! replies = [["describe a fox", "A fox."]]
//! [[models]]
//! name = "sim-llama:latest"
//! capabilities = ["completion", "tools"]
//! [[faults]]
//! kind = "mid_stream_error"
//! error = "an error was encountered while running the model"
//! times = 2
//! ```

mod answer;
mod compat;
mod image_facts;
mod instance;
mod memory;
mod native;
mod play;
mod request;
mod server;
mod vram;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::ListenerExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use server::Shared;

use crate::card::Card;

/// Longest wait for open connections when the double stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How the double looks and behaves. All fields have defaults in a file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OllamaConfig {
    /// What `/api/version` says. Default `0.12.6`.
    pub version: String,
    /// The models it has. Default: one that writes, one that sees, one that thinks.
    pub models: Vec<SimModel>,
    /// From the start of a request, once its model is loaded, to the first token, in milliseconds. Default 0.
    pub delay_ms: u64,
    /// Between tokens, in milliseconds. Default 0.
    pub token_ms: u64,
    /// To load a model that is not in memory, or that is wanted with another context size, in milliseconds.
    /// Default 0.
    pub load_ms: u64,
    /// Requests worked on at the same time; more wait in line. Default 1.
    pub parallel: usize,
    /// Requests that may wait; beyond them the answer is 503. Default 512.
    pub max_queue: usize,
    /// Models in memory at the same time. Default 3.
    pub max_loaded: usize,
    /// When set, every request but `/` needs it as a bearer token. Default: none.
    pub api_key: Option<String>,
    /// Whether `/api/tags` names capabilities, as only newer servers do. Default true.
    pub list_capabilities: bool,
    /// `(contains, reply)`: the exact answer when any message contains the first text, ignoring case. Default: none.
    pub replies: Vec<(String, String)>,
    /// Faults for the first requests, in order. Default: none.
    pub faults: Vec<ScriptedFault>,
}

impl Default for OllamaConfig {
    fn default() -> Self {
        Self {
            version: "0.12.6".to_owned(),
            models: vec![
                SimModel::new("sim-llama:latest", &["completion", "tools"]),
                SimModel::new("sim-vision:latest", &["completion", "vision"]),
                SimModel::new("sim-thinker:latest", &["completion", "tools", "thinking"]),
            ],
            delay_ms: 0,
            token_ms: 0,
            load_ms: 0,
            parallel: 1,
            max_queue: 512,
            max_loaded: 3,
            api_key: None,
            list_capabilities: true,
            replies: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl OllamaConfig {
    /// Reads a configuration file's text; what it leaves out has its default.
    ///
    /// # Errors
    /// When the text is not TOML or holds an unknown key.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// A model the double pretends to have.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimModel {
    /// Name with tag. Default `sim-llama:latest`.
    pub name: String,
    /// Of `completion`, `tools`, `insert`, `vision`, `embedding`, `thinking`. Default `completion`.
    pub capabilities: Vec<String>,
    /// Architecture family. Default `llama`.
    pub family: String,
    /// Number of parameters, as Ollama writes it. Default `8.0B`.
    pub parameter_size: String,
    /// How its weights are packed. Default `Q4_K_M`.
    pub quantization: String,
    /// Size on disk, in bytes. Default 4.9 GB.
    pub size_bytes: u64,
    /// Longest context in tokens. Default 131072.
    pub context_length: u64,
}

impl Default for SimModel {
    fn default() -> Self {
        Self::new("sim-llama:latest", &["completion"])
    }
}

impl SimModel {
    /// A model of usual size.
    pub fn new(name: &str, capabilities: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            capabilities: capabilities.iter().map(|&word| word.to_owned()).collect(),
            family: "llama".to_owned(),
            parameter_size: "8.0B".to_owned(),
            quantization: "Q4_K_M".to_owned(),
            size_bytes: 4_920_753_328,
            context_length: 131_072,
        }
    }

    fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|word| word == capability)
    }
}

/// What goes wrong with one chat or generate request, in either dialect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OllamaFault {
    /// This status and text instead of an answer.
    Status {
        /// HTTP status.
        status: u16,
        /// Text of `error`.
        error: String,
    },
    /// 503 with the real server's words for a full queue.
    Busy,
    /// Half the answer, then an error line; without streaming a 500.
    MidStreamError {
        /// Text of `error`.
        error: String,
    },
    /// Half the answer, then silence until the client goes away.
    Stall,
    /// Not even a status until the client goes away.
    Silent,
    /// Half the answer, then the connection is cut.
    BreakOff,
    /// Half the answer, then a line that is not JSON.
    Malformed,
    /// The usual answer with a chatty lead-in, in quotes.
    Prose,
    /// The usual answer in a ``` fence with a lead-in.
    Fenced,
    /// The usual answer after this thinking trace, whatever `think` says.
    Thinking {
        /// The trace.
        text: String,
    },
    /// The usual answer with `<think>…</think>` leaked into the content.
    ThinkTags {
        /// The trace.
        text: String,
    },
    /// The first half of the usual answer, ended properly with `length`.
    CutShort,
    /// This text instead of the usual answer.
    Reply {
        /// The text.
        text: String,
    },
}

/// A fault for the next `times` requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScriptedFault {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: OllamaFault,
    /// For how many requests. Default 1.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// A request the double was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRequest {
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body; null when it is not JSON.
    pub body: Value,
}

/// A running double; it stops when dropped.
#[derive(Debug)]
pub struct OllamaSim {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl OllamaSim {
    /// Starts a double; port 0 picks a free one. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: SocketAddr, config: OllamaConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(config, stop.clone()));
        // Tokens leave one by one, as from the real server, instead of waiting for each other's acknowledgement.
        let listener = listener.tap_io(|socket| {
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "the Ollama double's socket stays slow");
            }
        });
        let serving = axum::serve(listener, server::router(Arc::clone(&shared)))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the Ollama double stopped serving");
            }
        });
        Ok(Self { addr, shared, stop, task: Some(task) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base URL without trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Requests so far, oldest first; the oldest are forgotten past ten thousand.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.requests()
    }

    /// Names of the models in memory now.
    pub fn loaded(&self) -> Vec<String> {
        self.shared.loaded_names()
    }

    /// Answers that clients gave up before their end.
    pub fn cancelled(&self) -> usize {
        self.shared.cancelled()
    }

    /// Lets the next `times` chat or generate requests fail, after those that were injected before.
    pub fn inject(&self, fault: OllamaFault, times: usize) {
        self.shared.inject(ScriptedFault { fault, times });
    }

    /// Lets the next `times` requests to this exact path (such as `/api/tags`) answer a status and an error text.
    pub fn fail_path(&self, path: &str, status: u16, error: &str, times: usize) {
        self.shared.fail_path(path, status, error, times);
    }

    /// Puts it on a card that it shares with others, under this name.
    pub fn share(&self, card: &Card, name: &str) {
        self.shared.share(card.clone(), name);
    }

    /// Forgets all faults that were not used yet.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Answers this to conversations containing the first text, before the replies of the configuration.
    pub fn reply_to(&self, contains: &str, reply: &str) {
        self.shared.reply_to(contains, reply);
    }

    /// Closes the port, cuts answers that are under way and waits until that is done.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && tokio::time::timeout(STOP_GRACE, task).await.is_err()
        {
            tracing::warn!("a connection of the Ollama double outlived its stop");
        }
    }
}

impl Drop for OllamaSim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
