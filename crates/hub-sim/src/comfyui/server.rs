//! The HTTP face: routes, the front door, answers.
//!
//! Owns which path leads where (every path also below `/api`; jobs only there), authentication, the origin check and
//! the faults of requests. It never decides what a prompt does.

mod door;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, Request, Response as HttpResponse, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::config::ComfyConfig;
use super::network::CutListener;
use super::state::Sim;
use super::{files, jobs, object_info, prompt, pyjson, run, upload, view, ws};
use crate::script::Fault;

/// Largest WebSocket message a client may send, bytes.
const MAX_CLIENT_MESSAGE_BYTES: usize = 1 << 20;

type Shared = State<Arc<Sim>>;
type Params = Query<HashMap<String, String>>;

/// Begins a life of the process on this listener.
pub(super) fn serve(sim: &Arc<Sim>, listener: TcpListener) {
    let Some(over) = sim.begin() else { return };
    tokio::spawn(run::work(sim.clone(), over.clone()));
    let app = app(sim);
    let listener = CutListener { inner: listener, over, frost: sim.frost.clone() };
    sim.serving(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::warn!(%error, "the simulated server stopped");
        }
    }));
}

/// The path prefix with a leading and without a trailing slash, or "".
pub(super) fn prefix(config: &ComfyConfig) -> String {
    let bare = config.path_prefix.as_deref().unwrap_or("").trim_matches('/');
    if bare.is_empty() { String::new() } else { format!("/{bare}") }
}

fn app(sim: &Arc<Sim>) -> Router {
    let api = routes().merge(
        Router::new()
            .route("/jobs", get(jobs::list))
            .route("/jobs/cancel", post(jobs::cancel_many))
            .route("/jobs/{id}", get(jobs::one))
            .route("/jobs/{id}/cancel", post(jobs::cancel)),
    );
    let limit = usize::try_from(sim.config.max_upload_bytes).unwrap_or(usize::MAX);
    let all = routes().nest("/api", api).route("/", get(index)).route("/login", any(door::login));
    let prefix = prefix(&sim.config);
    let all = if prefix.is_empty() { all } else { Router::new().nest(&prefix, all) };
    all.fallback(async || empty(404))
        .layer(DefaultBodyLimit::max(limit))
        .layer(middleware::from_fn_with_state(sim.clone(), guard))
        .with_state(sim.clone())
}

fn routes() -> Router<Arc<Sim>> {
    Router::new()
        .route("/ws", any(socket))
        .route("/system_stats", get(system_stats))
        .route("/features", get(async |State(sim): Shared| json_answer(200, &features(&sim))))
        .route("/prompt", get(queue_length).post(post_prompt))
        .route("/queue", get(queue).post(change_queue))
        .route("/history", get(history).post(change_history))
        .route("/history/{id}", get(history_of))
        .route("/interrupt", post(interrupt))
        .route("/free", post(free))
        .route("/object_info", get(async |State(sim): Shared| describe(&sim, None)))
        .route(
            "/object_info/{class}",
            get(async |State(sim): Shared, Path(class): Path<String>| describe(&sim, Some(&class))),
        )
        .route("/models", get(async || json_answer(200, object_info::folders())))
        .route("/models/{folder}", get(models))
        .route("/experiment/models/{folder}", get(model_sizes))
        .route("/embeddings", get(embeddings))
        .route("/upload/image", post(upload::image))
        .route("/upload/mask", post(upload::mask))
        .route("/view", get(view::view))
        .route("/internal/files/{folder}", get(stored_files))
}

/// Everything that happens before a route: counting, the front door, request faults.
async fn guard(State(sim): Shared, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let bare = path.strip_prefix(prefix(&sim.config).as_str()).unwrap_or(&path);
    let bare = bare.strip_prefix("/api").filter(|rest| rest.starts_with('/')).unwrap_or(bare).to_owned();
    let route = format!("{} {}", request.method(), pattern(&bare));
    sim.count(|s| *s.requests_by_route.entry(route).or_default() += 1);
    let wants_door = bare != "/login";
    if let Some(refused) = wants_door.then(|| door::refuse(&sim, &request)).flatten() {
        return finish(refused);
    }
    if bare != "/ws" || sim.faults().has_route("/ws") {
        match sim.faults().for_request(request.method().as_str(), &bare) {
            Some(Fault::Http { status, body, .. }) => return finish(faulty(status, body)),
            Some(_) if bare != "/ws" => return finish(html()),
            _ => {}
        }
    }
    let limit = sim.config.max_upload_bytes;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return finish(too_large(limit));
    }
    // The real server knows no GET route at /interrupt and the like: it answers 404, not 405.
    let post_only = ["/interrupt", "/free", "/upload/image", "/upload/mask"].contains(&bare.as_str());
    let get = request.method() == axum::http::Method::GET;
    if post_only && get {
        return finish(empty(404));
    }
    let answer = next.run(request).await;
    finish(match answer.status() {
        StatusCode::METHOD_NOT_ALLOWED => text_answer(405, "405: Method Not Allowed"),
        StatusCode::PAYLOAD_TOO_LARGE => too_large(limit),
        _ => answer,
    })
}

fn finish(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::SERVER, HeaderValue::from_static("Python/3.11 aiohttp/3.14.5"));
    answer
}

/// The route of a path, with its variable part named.
fn pattern(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["history", _] => "/history/{id}".to_owned(),
        ["object_info", _] => "/object_info/{class}".to_owned(),
        ["models", _] => "/models/{folder}".to_owned(),
        ["experiment", "models", _] => "/experiment/models/{folder}".to_owned(),
        ["jobs", "cancel"] => "/jobs/cancel".to_owned(),
        ["jobs", _] => "/jobs/{id}".to_owned(),
        ["jobs", _, "cancel"] => "/jobs/{id}/cancel".to_owned(),
        _ => path.to_owned(),
    }
}

async fn index() -> Response {
    html()
}

async fn socket(State(sim): Shared, Query(params): Params, upgrade: WebSocketUpgrade) -> Response {
    let client_id = params.get("clientId").cloned();
    upgrade.max_message_size(MAX_CLIENT_MESSAGE_BYTES).on_upgrade(move |socket| ws::serve(sim, socket, client_id))
}

async fn system_stats(State(sim): Shared) -> Response {
    let (total, others) = sim.vram();
    // What torch holds, and a part of it that it does not use and counts as free.
    let held = sim.vram_held();
    let unused = held / 8;
    let free = total.saturating_sub(held + others) + unused;
    let ram: u64 = 64 << 30;
    json_answer(
        200,
        &json!({
            "system": {"os": "linux", "ram_total": ram, "ram_free": ram / 2, "comfyui_version": sim.config.version,
                "required_frontend_version": "1.49.6", "python_version": "3.11.7 (main) [GCC 12.2.0]",
                "pytorch_version": "2.11.0+cu130", "embedded_python": false, "argv": ["main.py", "--listen", sim.addr.ip().to_string()]},
            "devices": [{"name": "cuda:0 Simulated GPU : cudaMallocAsync", "type": "cuda", "index": 0, "vram_total": total,
                "vram_free": free, "torch_vram_total": held, "torch_vram_free": unused}]
        }),
    )
}

/// What `/features` and the socket tell.
pub(super) fn features(sim: &Sim) -> Value {
    let mut features = json!({"supports_preview_metadata": true, "max_upload_size": sim.config.max_upload_bytes,
        "extension": {"manager": {"supports_v4": true}}});
    if sim.version.after(0, 13, 0) {
        features["node_replacements"] = json!(true);
        features["assets"] = json!(false);
    }
    features
}

async fn queue_length(State(sim): Shared) -> Response {
    let remaining = sim.state().queue_remaining();
    json_answer(200, &json!({"exec_info": {"queue_remaining": remaining}}))
}

async fn post_prompt(State(sim): Shared, body: String) -> Response {
    prompt::post(&sim, &body).await
}

async fn queue(State(sim): Shared) -> Response {
    let (running, pending) = {
        let state = sim.state();
        (state.running.as_ref().map(|r| r.job.clone()), state.pending.items().to_vec())
    };
    let running: Vec<Value> = running.iter().map(|j| j.tuple()).collect();
    let pending: Vec<Value> = pending.iter().map(|j| j.tuple()).collect();
    json_answer(200, &json!({"queue_running": running, "queue_pending": pending}))
}

async fn change_queue(State(sim): Shared, body: String) -> Response {
    let Ok(body) = pyjson::parse(&body) else { return crash() };
    if body["clear"] == true {
        let mut state = sim.state();
        state.pending.clear();
        state.broadcast_status();
    }
    for id in body["delete"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        sim.delete_pending(id);
    }
    empty(200)
}

async fn history(State(sim): Shared, Query(params): Params) -> Response {
    let number = |name: &str| params.get(name).map(|v| v.parse::<i64>()).transpose();
    let (Ok(max), Ok(offset)) = (number("max_items"), number("offset")) else { return crash() };
    let natural = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok());
    let page = sim.state().history.page(natural(max), natural(offset));
    json_text(200, page)
}

async fn history_of(State(sim): Shared, Path(id): Path<String>) -> Response {
    let entry = sim.state().history.one(&id);
    json_text(200, entry)
}

async fn change_history(State(sim): Shared, body: String) -> Response {
    let Ok(body) = pyjson::parse(&body) else { return crash() };
    let mut state = sim.state();
    if body["clear"] == true {
        state.history.clear();
    }
    for id in body["delete"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        state.history.remove(id);
    }
    empty(200)
}

/// An unreadable body counts as a global interrupt; so does an id on servers that do not know it yet.
async fn interrupt(State(sim): Shared, body: String) -> Response {
    let wanted = pyjson::parse(&body).ok().and_then(|b| b["prompt_id"].as_str().map(str::to_owned));
    let only = wanted.filter(|_| sim.version.after(0, 3, 56));
    sim.interrupt(only.as_deref());
    empty(200)
}

async fn free(State(sim): Shared, body: String) -> Response {
    let Ok(body) = pyjson::parse(&body) else { return crash() };
    let mut state = sim.state();
    let memory = body["free_memory"] == true;
    state.free_models |= body["unload_models"] == true || memory;
    state.free_cache |= memory;
    state.free();
    drop(state);
    sim.hold();
    empty(200)
}

fn describe(sim: &Sim, only: Option<&str>) -> Response {
    json_answer(200, &sim.catalogue.describe(only, &sim.listing()))
}

async fn models(State(sim): Shared, Path(folder): Path<String>) -> Response {
    let legacy = ["unet", "clip"].contains(&folder.as_str());
    if !legacy && !object_info::folders().contains(&folder.as_str()) {
        return empty(404);
    }
    json_answer(200, sim.listing().models.folder(&folder))
}

async fn model_sizes(State(sim): Shared, Path(folder): Path<String>) -> Response {
    let Some(bytes) = sim.config.model_bytes.filter(|_| object_info::folders().contains(&folder.as_str())) else {
        return empty(404);
    };
    let listing = sim.listing();
    let file = |name: &String| json!({"name": name, "pathIndex": 0, "modified": 1_795_293_333.03, "created": 1_795_293_333.03, "size": bytes});
    json_answer(200, &listing.models.folder(&folder).iter().map(file).collect::<Vec<_>>())
}

async fn embeddings(State(sim): Shared) -> Response {
    let names: Vec<String> =
        sim.config.models.embeddings.iter().map(|n| n.trim_end_matches(".safetensors").to_owned()).collect();
    json_answer(200, &names)
}

async fn stored_files(State(sim): Shared, Path(folder): Path<String>) -> Response {
    match files::Folder::read(&folder) {
        Some(folder) => json_answer(200, &sim.files().paths(folder)),
        None => json_answer(400, &json!({"error": "Invalid directory type"})),
    }
}

/// JSON as aiohttp sends it.
pub(super) fn json_answer<T: Serialize + ?Sized>(status: u16, body: &T) -> Response {
    json_text(status, pyjson::dump(body))
}

fn json_text(status: u16, body: String) -> Response {
    answer(status, "application/json; charset=utf-8", body)
}

fn text_answer(status: u16, body: &str) -> Response {
    answer(status, "text/plain; charset=utf-8", body.to_owned())
}

fn answer(status: u16, kind: &'static str, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// An answer without body.
pub(super) fn empty(status: u16) -> Response {
    HttpResponse::builder().status(status).body(Body::empty()).unwrap_or_else(|_| crash())
}

/// What aiohttp answers when a handler raises.
pub(super) fn crash() -> Response {
    let mut answer = text_answer(500, "500 Internal Server Error\n\nServer got itself in trouble");
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// What aiohttp answers to a body above the limit.
pub(super) fn too_large(limit: u64) -> Response {
    text_answer(413, &format!("Maximum request body size {limit} exceeded."))
}

fn faulty(status: u16, body: String) -> Response {
    let kind = match body.trim_start().chars().next() {
        Some('{' | '[') => "application/json; charset=utf-8",
        Some('<') => "text/html; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    answer(status, kind, body)
}

fn html() -> Response {
    let page =
        "<!DOCTYPE html><html><head><title>ComfyUI</title></head><body>Simulated ComfyUI: please log in.</body></html>";
    answer(200, "text/html; charset=utf-8", page.to_owned())
}
