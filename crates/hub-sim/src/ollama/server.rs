//! What all requests of one double share: routes, record, faults, queue, and the models in memory.
//!
//! Owns admission: everything between a parsed request and an answer that may be played. Never writes a wire shape.

mod faults;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::faults::bend;
use super::{
    OllamaConfig, RecordedRequest, ScriptedFault, SimModel, answer, compat,
    memory::{self, Loaded, Memory},
    native,
    play::{Ending, Play, Running, token_count, wait},
    request::{Asked, KeepAlive, Refusal},
};
use crate::card::Card;

/// Largest body taken.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// Most requests remembered.
const MAX_RECORDS: usize = 10_000;
/// The real server's default on small GPUs.
const NUM_CTX: u64 = 4096;
/// What a picture costs, in tokens.
const TOKENS_PER_IMAGE: usize = 256;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: OllamaConfig,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    cancelled: AtomicUsize,
    stop: CancellationToken,
    state: Mutex<Changing>,
    /// The card that it shares with others, and its name there.
    pub(super) card: Mutex<Option<(Card, String)>>,
}

#[derive(Debug, Default)]
pub(super) struct Changing {
    records: VecDeque<RecordedRequest>,
    faults: VecDeque<ScriptedFault>,
    failing_paths: Vec<FailingPath>,
    replies: Vec<(String, String)>,
    pub(super) memory: Memory,
}

#[derive(Debug)]
struct FailingPath {
    path: String,
    status: u16,
    error: String,
    times: usize,
}

/// What a request came to.
pub(super) enum Admitted {
    /// The model was only put into memory.
    Loaded,
    /// The model was only taken out of memory.
    Unloaded,
    /// An answer to play.
    Answer(Box<Play>, Running),
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(async || "Ollama is running"))
        .route("/api/version", get(native::version))
        .route("/api/tags", get(native::tags))
        .route("/api/ps", get(native::ps))
        .route("/api/show", post(native::show))
        .route("/api/chat", post(native::chat))
        .route("/api/generate", post(native::generate))
        .route("/v1/models", get(compat::models))
        // Everything after the prefix, since names may hold slashes.
        .route("/v1/models/{*model}", get(compat::model))
        .route("/v1/chat/completions", post(compat::chat))
        .fallback(async || (StatusCode::NOT_FOUND, "404 page not found"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed"))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), gate))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(shared)
}

/// Records every request, checks the key and lets scripted paths fail.
async fn gate(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return refuse(&parts.uri, &Refusal::new(400, "http: request body too large"));
    };
    let path = parts.uri.path().to_owned();
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let key_fits = shared.config.api_key.as_ref().is_none_or(|key| authorization == Some(format!("Bearer {key}")));
    shared.record(RecordedRequest {
        method: parts.method.to_string(),
        path: path.clone(),
        authorization,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    if !key_fits && path != "/" {
        return refuse(&parts.uri, &Refusal::new(401, "unauthorized"));
    }
    if let Some(refusal) = shared.next_path_failure(&path) {
        return refuse(&parts.uri, &refusal);
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

fn refuse(uri: &axum::http::Uri, refusal: &Refusal) -> Response {
    if uri.path().starts_with("/v1/") { compat::error(refusal) } else { native::error(refusal) }
}

/// A JSON answer with the real server's content type.
pub(super) fn json(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("content-type", "application/json; charset=utf-8")], Bytes::from(body.to_string())).into_response()
}

impl Shared {
    pub(super) fn new(config: OllamaConfig, stop: CancellationToken) -> Self {
        let state = Changing {
            faults: config.faults.iter().cloned().collect(),
            replies: config.replies.clone(),
            ..Changing::default()
        };
        Self {
            slots: Arc::new(Semaphore::new(config.parallel.max(1))),
            waiting: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
            stop,
            state: Mutex::new(state),
            card: Mutex::default(),
            config,
        }
    }

    /// Decides on a chat or generate request, waiting for its turn, its model and its first token.
    pub(super) async fn admit(self: &Arc<Self>, asked: Asked, verb: &str) -> Result<Admitted, Refusal> {
        let started = Instant::now();
        let model = self.model(&asked.model)?;
        let only_memory = asked.messages.is_empty();
        if only_memory && asked.keep_alive == Some(KeepAlive::For(Duration::ZERO)) {
            self.state().memory.remove(&model.name);
            self.hold();
            return Ok(Admitted::Unloaded);
        }
        check_capabilities(model, &asked, verb)?;
        let fault = if only_memory { None } else { self.next_fault() };
        self.fail_at_once(fault.as_ref()).await?;
        let running = self.take_place(model, asked.keep_alive).await?;
        let load = self.load(model, &asked).await?;
        if only_memory {
            running.finish();
            return Ok(Admitted::Loaded);
        }
        if !wait(Duration::from_millis(self.config.delay_ms), &self.stop).await {
            return Err(stopped());
        }
        let replies = self.state().replies.clone();
        let mut play = Play {
            content: answer::text(&asked, model.can("vision"), &replies),
            thinking: if model.can("thinking") && asked.think != Some(false) {
                answer::thinking(&asked)
            } else {
                String::new()
            },
            prompt_tokens: prompt_tokens(&asked),
            done_reason: "stop",
            started,
            load,
            ending: Ending::Done,
            token_wait: Duration::from_millis(self.config.token_ms),
            model: asked.model,
        };
        if let Some(limit) = asked.num_predict {
            cut_to(&mut play, limit);
        }
        bend(&mut play, fault);
        Ok(Admitted::Answer(Box::new(play), running))
    }

    /// The model of this name; a name without a tag means `latest`.
    pub(super) fn model(&self, name: &str) -> Result<&SimModel, Refusal> {
        if name.is_empty() {
            return Err(Refusal::new(400, "model is required"));
        }
        let models = &self.config.models;
        let found = models.iter().find(|model| model.name == name || model.name.strip_suffix(":latest") == Some(name));
        found.ok_or_else(|| Refusal::new(404, format!("model '{name}' not found")))
    }

    /// Models in memory, longest-lived first.
    pub(super) fn loaded(&self) -> Vec<(&SimModel, Loaded)> {
        let mut state = self.state();
        let models = self.config.models.iter();
        let mut loaded: Vec<_> = models.filter_map(|model| Some((model, state.memory.get(&model.name)?))).collect();
        loaded.sort_by_key(|(_, loaded)| std::cmp::Reverse(memory::end(loaded)));
        loaded
    }

    pub(super) fn loaded_names(&self) -> Vec<String> {
        self.loaded().into_iter().map(|(model, _)| model.name.clone()).collect()
    }

    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.state().records.iter().cloned().collect()
    }

    pub(super) fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn inject(&self, fault: ScriptedFault) {
        self.state().faults.push_back(fault);
    }

    pub(super) fn fail_path(&self, path: &str, status: u16, error: &str, times: usize) {
        let failing = FailingPath { path: path.to_owned(), status, error: error.to_owned(), times };
        self.state().failing_paths.push(failing);
    }

    pub(super) fn clear_faults(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.failing_paths.clear();
    }

    pub(super) fn reply_to(&self, contains: &str, reply: &str) {
        self.state().replies.insert(0, (contains.to_owned(), reply.to_owned()));
    }

    /// An answer is over, one way or another.
    pub(super) fn ended(&self, model: &str, keep_alive: Option<KeepAlive>, finished: bool) {
        if !finished {
            self.cancelled.fetch_add(1, Ordering::Relaxed);
        }
        self.state().memory.used(model, keep_alive);
        self.hold();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Changing> {
        // Nothing panics while holding it, and if something did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, request: RecordedRequest) {
        let mut state = self.state();
        if state.records.len() == MAX_RECORDS {
            state.records.pop_front();
        }
        state.records.push_back(request);
    }

    async fn take_place(self: &Arc<Self>, model: &SimModel, keep_alive: Option<KeepAlive>) -> Result<Running, Refusal> {
        let slots = Arc::clone(&self.slots);
        let permit = if let Ok(permit) = Arc::clone(&slots).try_acquire_owned() {
            permit
        } else {
            let _line = self.stand_in_line()?;
            tokio::select! {
                permit = slots.acquire_owned() => permit.map_err(|_| stopped())?,
                () = self.stop.cancelled() => return Err(stopped()),
            }
        };
        let shared = Arc::clone(self);
        Ok(Running { shared, model: model.name.clone(), keep_alive, finished: false, permit: Some(permit) })
    }

    fn stand_in_line(&self) -> Result<InLine<'_>, Refusal> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.config.max_queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(queue_full());
        }
        Ok(InLine(&self.waiting))
    }

    /// Puts the model into memory unless it is there with the same context; answers how long that took.
    async fn load(&self, model: &SimModel, asked: &Asked) -> Result<Duration, Refusal> {
        let num_ctx = asked.num_ctx.unwrap_or(NUM_CTX);
        let resident = self.state().memory.get(&model.name).is_some_and(|loaded| loaded.num_ctx == num_ctx);
        let load = if resident { Duration::ZERO } else { Duration::from_millis(self.config.load_ms) };
        if !wait(load, &self.stop).await {
            return Err(stopped());
        }
        let vram_bytes = self.room_for(model, resident);
        let loaded = (num_ctx, vram_bytes);
        self.state().memory.insert(&model.name, loaded, asked.keep_alive, self.config.max_loaded);
        self.hold();
        Ok(load)
    }
}

struct InLine<'a>(&'a AtomicUsize);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn check_capabilities(model: &SimModel, asked: &Asked, verb: &str) -> Result<(), Refusal> {
    let name = &asked.model;
    if asked.think == Some(true) && !model.can("thinking") {
        return Err(Refusal::new(400, format!("\"{name}\" does not support thinking")));
    }
    if !model.can("completion") {
        return Err(Refusal::new(400, format!("\"{name}\" does not support {verb}")));
    }
    if asked.wants_tools && !model.can("tools") {
        return Err(Refusal::new(400, format!("registry.ollama.ai/library/{} does not support tools", model.name)));
    }
    Ok(())
}

fn prompt_tokens(asked: &Asked) -> usize {
    asked.messages.iter().map(|turn| token_count(&turn.content) + turn.images.len() * TOKENS_PER_IMAGE).sum()
}

fn cut_to(play: &mut Play, tokens: u64) {
    let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
    if token_count(&play.content) > tokens {
        play.content = play.content.split_inclusive(' ').take(tokens).collect();
        play.done_reason = "length";
    }
}

fn queue_full() -> Refusal {
    Refusal::new(503, "server busy, please try again.  maximum pending requests exceeded")
}

fn stopped() -> Refusal {
    Refusal::new(499, "request canceled")
}
