//! The doors of agents: MCP and plain JSON-RPC at `/mcp`, the older system's dialect at `/legacy/mcp`.
//!
//! The real edge before a real engine that has nothing to draw with: every call that is understood ends in an answer at
//! once, and no job is left behind.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, request::Builder},
};
use hub_core::clock::SystemClock;
use hub_engine::{Engine, EngineConfig};
use hub_mcp::{McpConfig, McpEdge};
use hub_store::Store;
use object_store::memory::InMemory;
use serde_json::Value;
use tokio::{runtime::Runtime, time::timeout};
use tower::ServiceExt;

use crate::choice;

/// Longest time for an answer. None of them waits for anything.
const DEADLINE: Duration = Duration::from_mins(1);
/// Largest answer: the list of all tools, and the fuzzer's own input said back.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;
const MCP_VERSION: &str = "2026-07-28";

struct Hub {
    runtime: Runtime,
    router: Router,
    /// Ends its work when dropped.
    _engine: Engine,
}

static HUB: LazyLock<Hub> = LazyLock::new(|| {
    // Another default may be there already, of another target in the same process.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let engine = runtime.block_on(async {
        let clock = Arc::new(SystemClock);
        let store = Store::open("sqlite::memory:", clock.clone()).await.expect("a database in memory opens");
        Engine::start(EngineConfig::default(), store, Arc::new(InMemory::new()), clock).await.expect("an engine starts")
    });
    let router = McpEdge::new(engine.clone(), McpConfig::default()).router();
    Hub { runtime, router, _engine: engine }
});

/// A plain request is always answered by one JSON-RPC message under its id, a notification by none; a request of MCP
/// is answered under its id or refused by an HTTP status.
///
/// The first byte chooses: a plain request (even), or one with MCP's headers (odd).
///
/// # Panics
/// When a promise is broken.
pub fn json_rpc(data: &[u8]) {
    let (chosen, body) = choice(data);
    if chosen % 2 == 1 {
        return mcp(body);
    }
    let Some((status, answer)) = ask(Request::post("/mcp"), body) else { return };
    one_answer(status, &answer, body);
}

/// Always 200 and one JSON-RPC message under the request's id, except that a notification is taken and not answered.
///
/// # Panics
/// When a promise is broken.
pub fn legacy_dialect(data: &[u8]) {
    let Some((status, answer)) = ask(Request::post("/legacy/mcp"), data) else { return };
    assert!(status == StatusCode::OK || status == StatusCode::ACCEPTED, "the older system always said 200: {status}");
    one_answer(status, &answer, data);
}

/// Whether an answer belongs to the request as JSON-RPC has it.
fn one_answer(status: StatusCode, answer: &[u8], body: &[u8]) {
    let asked = serde_json::from_slice::<Value>(body).ok();
    let object = asked.as_ref().and_then(Value::as_object);
    let id = object.and_then(|object| object.get("id"));
    if status == StatusCode::ACCEPTED {
        assert!(answer.is_empty() && object.is_some() && id.is_none(), "only a notification goes unanswered");
        return;
    }
    let message: Value = serde_json::from_slice(answer).expect("the answer is JSON");
    well_formed(&message);
    let usable = id.filter(|id| id.is_string() || id.is_number() || id.is_null());
    assert_eq!(message["id"], usable.cloned().unwrap_or_default(), "the answer is the request's");
    if usable.is_none() {
        assert!(message.get("error").is_some(), "nothing was asked that could be answered: {message}");
    }
}

/// A response of JSON-RPC 2.0; the older system's start of a stream is a request under the caller's id.
fn well_formed(message: &Value) {
    assert_eq!(message["jsonrpc"], "2.0", "{message}");
    if let Some(error) = message.get("error") {
        assert!(error["code"].is_i64() && error["message"].as_str().is_some_and(|text| !text.is_empty()), "{message}");
        assert!(message.get("result").is_none(), "{message}");
    } else {
        assert!(message.get("result").is_some() || message["method"] == "stream/start", "{message}");
    }
}

fn mcp(body: &[u8]) {
    let asked = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let header = |at: &str| {
        asked.pointer(at).and_then(Value::as_str).filter(|text| text.bytes().all(|b| (32..127).contains(&b)))
    };
    // What stays open until somebody leaves.
    if matches!(header("/method"), Some("subscriptions/listen" | "initialize")) {
        return;
    }
    let mut request = Request::post("/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", MCP_VERSION);
    if let Some(method) = header("/method") {
        request = request.header("mcp-method", method);
    }
    if let Some(name) = ["/params/name", "/params/uri", "/params/taskId"].iter().find_map(|at| header(at)) {
        request = request.header("mcp-name", name);
    }
    let Some((status, answer)) = ask(request, body) else { return };
    assert!(status.as_u16() < 500, "a caller's bytes are not the hub's fault: {status}");
    if !status.is_success() || answer.is_empty() {
        return;
    }
    let text = std::str::from_utf8(&answer).expect("the answer is text");
    let messages: Vec<Value> = if text.starts_with('{') {
        vec![serde_json::from_str(text).expect("the answer is JSON")]
    } else {
        let data = text.lines().filter_map(|line| line.strip_prefix("data:")).filter(|data| !data.trim().is_empty());
        data.map(|data| serde_json::from_str(data).expect("every event is JSON")).collect()
    };
    for message in messages.iter().filter(|message| message.get("method").is_none()) {
        well_formed(message);
        assert!(message["id"].is_null() || message["id"] == asked["id"], "the answer is the request's: {message}");
    }
}

/// The status and the whole answer. `None` where the request would have the hub go to an address.
fn ask(request: Builder, body: &[u8]) -> Option<(StatusCode, Vec<u8>)> {
    if body.windows(3).any(|bytes| bytes == b"://") {
        return None;
    }
    let hub = &*HUB;
    let request = request.header("host", "hub.test:8001").body(Body::from(body.to_vec())).expect("a valid request");
    hub.runtime.block_on(async {
        let whole = async {
            let response = hub.router.clone().oneshot(request).await.expect("the router never fails");
            let status = response.status();
            (status, to_bytes(response.into_body(), ANSWER_MAX_BYTES).await.expect("the answer ends").to_vec())
        };
        Some(timeout(DEADLINE, whole).await.expect("the answer comes in time"))
    })
}
