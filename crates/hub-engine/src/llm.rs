//! From a role to a model that answers: which server, which model, and a client for it.
//!
//! Owns the clients (one per server, rebuilt when its row changes or its key is refused) and a bound on
//! calls at the same time. Never builds prompts, never falls back: what to do without an LLM is the
//! planner's decision.

mod failure;
mod models;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hub_core::{
    ids::LlmServerId,
    server::{LlmDialect, LlmRole, LlmServer},
};
use hub_store::Store;
use ollama::{ChatOptions, ChatRequest, Client, Dialect, ErrorKind, Format, LlmConfig, Message, Think, Timeouts};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

pub(crate) use self::failure::LlmFailure;
use self::models::{checked, first_capable};
use crate::{lease::Leases, secret};

/// Calls to LLM servers at the same time; more wait here rather than in the servers.
const CALLS_PARALLEL: usize = 8;
/// How long a model that was picked from a server's list stays picked.
const PICK_TTL: Duration = Duration::from_mins(1);
/// Longest wait before a busy server is tried again.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Usual wait before the one retry.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// What is asked of a model.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) messages: Vec<Message>,
    shape: Option<Shape>,
}

/// How an answer is held to a JSON Schema.
#[derive(Debug, Clone)]
struct Shape {
    schema: Value,
    seed: u32,
}

impl Question {
    /// One that is answered in plain text.
    fn text(messages: Vec<Message>) -> Self {
        Self { messages, shape: None }
    }

    /// One that is answered by JSON after a schema. The same seed has the same model answer much the same.
    pub(crate) fn shaped(messages: Vec<Message>, schema: Value, seed: u64) -> Self {
        // Models take 32 bits; both halves count.
        #[expect(clippy::cast_possible_truncation, reason = "folded on purpose")]
        let seed = (seed ^ (seed >> 32)) as u32;
        // Servers that read it as a signed number would refuse the highest bit.
        Self { messages, shape: Some(Shape { schema, seed: seed >> 1 }) }
    }
}

/// Clients of the LLM servers; cheap to clone.
#[derive(Clone)]
pub(crate) struct Llm {
    inner: Arc<Inner>,
}

struct Inner {
    clients: Mutex<HashMap<LlmServerId, (LlmServer, Client)>>,
    picks: Mutex<HashMap<(LlmServerId, LlmRole), (String, Instant)>>,
    calls: Semaphore,
    leases: Leases,
}

/// A model that serves a role.
pub(crate) struct Model {
    client: Client,
    server: LlmServer,
    name: String,
}

impl Llm {
    /// `leases` are asked before a server's GPU is used that it shares.
    pub(crate) fn new(leases: Leases) -> Self {
        Self {
            inner: Arc::new(Inner {
                clients: Mutex::default(),
                picks: Mutex::default(),
                calls: Semaphore::new(CALLS_PARALLEL),
                leases,
            }),
        }
    }

    /// The model assigned to a role, or the first capable one of the assigned server.
    pub(crate) async fn model(&self, store: &Store, role: LlmRole) -> Result<Model, LlmFailure> {
        let assignment = store.llm_assignment(role).await?.ok_or(LlmFailure::NotAssigned)?;
        let server = store
            .llm_server_list()
            .await?
            .into_iter()
            .find(|server| server.id == assignment.server && server.enabled)
            .ok_or(LlmFailure::NotAssigned)?;
        let client = self.client(&server).await?;
        let name = match assignment.model {
            Some(name) => checked(&client, &server, name, role).await?,
            None => self.pick(&client, &server, role).await?,
        };
        Ok(Model { client, server, name })
    }

    /// Waits for a turn to call. Budgets begin when it has come; hold it until all calls of one job are done.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        self.inner.calls.acquire().await.expect("nobody closes this semaphore")
    }

    /// Asks and waits for a cleaned, usable answer: one retry for failures that may pass, all within the
    /// budget. Take a turn first.
    pub(crate) async fn ask(
        &self,
        store: &Store,
        role: LlmRole,
        messages: Vec<Message>,
        budget: Duration,
    ) -> Result<String, LlmFailure> {
        self.ask_shaped(store, role, &Question::text(messages), budget).await
    }

    /// Like [`Llm::ask`]. An answer that has a shape is passed on as the model wrote it: it may not fit.
    pub(crate) async fn ask_shaped(
        &self,
        store: &Store,
        role: LlmRole,
        question: &Question,
        budget: Duration,
    ) -> Result<String, LlmFailure> {
        let queued = AtomicBool::new(false);
        match tokio::time::timeout(budget, self.ask_twice(store, role, question, &queued)).await {
            Ok(answer) => answer,
            Err(_) if queued.into_inner() => Err(LlmFailure::GpuBusy { limit: budget }),
            Err(_) => Err(LlmFailure::Budget { limit: budget }),
        }
    }

    async fn ask_twice(
        &self,
        store: &Store,
        role: LlmRole,
        question: &Question,
        queued: &AtomicBool,
    ) -> Result<String, LlmFailure> {
        let failure = match self.ask_once(store, role, question, queued).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let pause = match &failure {
            LlmFailure::Call { cause, .. } => match cause.kind() {
                ErrorKind::Transient | ErrorKind::Malformed => RETRY_PAUSE,
                ErrorKind::Busy { retry_after } => retry_after.unwrap_or(RETRY_PAUSE).min(RETRY_PAUSE_MAX),
                // A rotated key is read anew; a model that went away is picked anew.
                ErrorKind::Unauthorized | ErrorKind::ModelMissing => Duration::ZERO,
                ErrorKind::Rejected | ErrorKind::Timeout => return Err(failure),
            },
            LlmFailure::Useless => RETRY_PAUSE,
            _ => return Err(failure),
        };
        tracing::info!(error = %failure, "an LLM call is tried once more");
        self.forget();
        tokio::time::sleep(pause).await;
        self.ask_once(store, role, question, queued).await
    }

    /// `queued` tells whether it waits for the GPU rather than for the answer.
    async fn ask_once(
        &self,
        store: &Store,
        role: LlmRole,
        question: &Question,
        queued: &AtomicBool,
    ) -> Result<String, LlmFailure> {
        /// Longest answer, in tokens: some four times the longest useful prompt.
        const ANSWER_MAX_TOKENS: u32 = 2048;
        /// Longest answer that has a shape, in tokens: proposals as well as prompts.
        const SHAPED_MAX_TOKENS: u32 = 6144;
        let model = self.model(store, role).await?;
        let mut request = ChatRequest::new(model.name.clone(), question.messages.clone());
        request.think = Some(think(&model.name));
        let num_predict = Some(if question.shape.is_some() { SHAPED_MAX_TOKENS } else { ANSWER_MAX_TOKENS });
        request.options = ChatOptions {
            num_predict,
            seed: question.shape.as_ref().map(|shape| shape.seed),
            ..ChatOptions::default()
        };
        request.format = question.shape.as_ref().map(|shape| Format::Schema(shape.schema.clone()));
        let claim = self.inner.leases.call(&model.server, &model.name);
        if let Some(claim) = &claim {
            queued.store(true, Ordering::Relaxed);
            claim.granted().await;
            queued.store(false, Ordering::Relaxed);
        }
        let answer = model
            .client
            .chat(&request)
            .await
            .map_err(|cause| LlmFailure::Call { server: model.server.name.clone(), cause })?;
        if question.shape.is_some() {
            return Ok(answer.content);
        }
        let text = ollama::clean_text(&answer.content);
        if text.is_empty() || text.chars().count() > hub_core::limits::PROMPT_MAX_CHARS {
            return Err(LlmFailure::Useless);
        }
        Ok(text)
    }

    /// Drops clients and picks, so that the next call reads keys and lists anew.
    pub(crate) fn forget(&self) {
        self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.inner.picks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A client for a server, as its row says now.
    pub(crate) async fn client(&self, server: &LlmServer) -> Result<Client, LlmFailure> {
        {
            let clients = self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, client)) = clients.get(&server.id).filter(|(row, _)| row == server) {
                return Ok(client.clone());
            }
        }
        let api_key = match &server.api_key {
            Some(source) => Some(secret::resolve(source).await.map_err(|cause| {
                tracing::error!(server = %server.name, error = %cause, "an LLM server's key cannot be read");
                LlmFailure::Secret { server: server.name.clone(), cause }
            })?),
            None => None,
        };
        let dialect = match server.dialect {
            LlmDialect::Ollama => Dialect::Ollama,
            LlmDialect::OpenAi => Dialect::OpenAi,
        };
        let config =
            LlmConfig { base_url: server.base_url.as_url().clone(), dialect, api_key, timeouts: Timeouts::default() };
        let client = Client::new(config).map_err(|cause| LlmFailure::Call { server: server.name.clone(), cause })?;
        let mut clients = self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert(server.id, (server.clone(), client.clone()));
        Ok(client)
    }

    async fn pick(&self, client: &Client, server: &LlmServer, role: LlmRole) -> Result<String, LlmFailure> {
        let key = (server.id, role);
        {
            let picks = self.inner.picks.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((name, _)) = picks.get(&key).filter(|(_, at)| at.elapsed() < PICK_TTL) {
                return Ok(name.clone());
            }
        }
        let name = first_capable(client, server, role).await?;
        let mut picks = self.inner.picks.lock().unwrap_or_else(PoisonError::into_inner);
        picks.insert(key, (name.clone(), Instant::now()));
        Ok(name)
    }
}

/// Thinking costs time and gains nothing here. The gpt-oss family cannot stop, only think less.
fn think(model: &str) -> Think {
    if model.contains("gpt-oss") { Think::Low } else { Think::Off }
}
