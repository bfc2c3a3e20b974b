//! Carries MCP messages between standard input and output and a hub's `/mcp`.
//!
//! Each line from the client is one POST; what the hub answers, as JSON or as an event stream, goes
//! out line by line. Both protocol eras pass: a legacy session's id is remembered, and a modern
//! request's headers are derived from its body (`MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name`).

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::StreamExt as _;
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Protocol versions from this one on carry their state in each request.
const MODERN: &str = "2026-07-28";
/// Key of the protocol version in a modern request's `_meta`.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Lines that may wait to be written.
const OUT_QUEUE: usize = 64;
/// How much of a refusal that is no JSON-RPC is passed on, in characters.
const SHOWN_MAX_CHARS: usize = 300;
/// Longest line of an event stream, in bytes: a picture of the largest size, in base64.
const LINE_MAX_BYTES: usize = 64 * 1024 * 1024;

struct Bridge {
    endpoint: Url,
    http: reqwest::Client,
    session: Mutex<Session>,
    running: Mutex<HashMap<String, CancellationToken>>,
    out: mpsc::Sender<String>,
}

#[derive(Default)]
struct Session {
    id: Option<String>,
    version: Option<String>,
}

/// Carries messages until standard input ends; answers that are under way are still delivered.
///
/// # Errors
/// When standard input or output fails.
pub(super) async fn run(endpoint: Url, key: Option<&str>) -> anyhow::Result<()> {
    let mut headers = header::HeaderMap::new();
    if let Some(key) = key {
        let mut value =
            header::HeaderValue::from_str(&format!("Bearer {key}")).context("auth.api_key is no header value")?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let http = reqwest::Client::builder()
        .default_headers(headers)
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("cannot make an HTTP client")?;
    let (out, lines) = mpsc::channel(OUT_QUEUE);
    let writer = tokio::spawn(write_lines(lines));
    let bridge = Arc::new(Bridge { endpoint, http, session: Mutex::default(), running: Mutex::default(), out });
    let mut posts = JoinSet::new();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = input.next_line().await.context("cannot read standard input")? {
        if line.trim().is_empty() {
            continue;
        }
        let message: Value = match serde_json::from_str(&line) {
            Ok(message) => message,
            Err(error) => {
                bridge.answer(failure(&Value::Null, -32700, &format!("not JSON: {error}"))).await;
                continue;
            }
        };
        if bridge.cancels(&message).await {
            continue;
        }
        // A handshake must be through before anything relies on its session.
        let handshake = matches!(message["method"].as_str(), Some("initialize"));
        let carried = Arc::clone(&bridge).carry(message);
        if handshake {
            carried.await;
        } else {
            posts.spawn(carried);
        }
        while posts.try_join_next().is_some() {}
    }
    while posts.join_next().await.is_some() {}
    drop(bridge);
    writer.await.context("the writer panicked")?
}

async fn write_lines(mut lines: mpsc::Receiver<String>) -> anyhow::Result<()> {
    let mut out = tokio::io::stdout();
    while let Some(line) = lines.recv().await {
        out.write_all(line.as_bytes()).await.context("cannot write standard output")?;
        out.write_all(b"\n").await.context("cannot write standard output")?;
        out.flush().await.context("cannot write standard output")?;
    }
    Ok(())
}

fn failure(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

impl Bridge {
    async fn answer(&self, message: Value) {
        // The receiver lives as long as the process reads its input.
        if self.out.send(message.to_string()).await.is_err() {
            tracing::debug!("nobody reads standard output any more");
        }
    }

    /// In the modern era a request is cancelled by closing its stream; in the older one the message
    /// goes to the hub.
    async fn cancels(&self, message: &Value) -> bool {
        if message["method"] != "notifications/cancelled" || self.session.lock().await.id.is_some() {
            return false;
        }
        let id = message["params"]["requestId"].to_string();
        if let Some(token) = self.running.lock().await.remove(&id) {
            token.cancel();
        }
        true
    }

    async fn carry(self: Arc<Self>, message: Value) {
        let id = message.get("id").cloned();
        let key = id.as_ref().map(Value::to_string);
        let token = CancellationToken::new();
        if let Some(key) = &key {
            self.running.lock().await.insert(key.clone(), token.clone());
        }
        let outcome = tokio::select! {
            outcome = self.post(&message) => outcome,
            () = token.cancelled() => Ok(()),
        };
        if let Some(key) = &key {
            self.running.lock().await.remove(key);
        }
        if let (Err(error), Some(id)) = (outcome, id) {
            self.answer(failure(&id, -32603, &format!("the hub cannot be reached: {error:#}"))).await;
        }
    }

    async fn post(&self, message: &Value) -> anyhow::Result<()> {
        let request = self
            .http
            .post(self.endpoint.clone())
            .header(header::ACCEPT, "application/json, text/event-stream")
            .json(message);
        let response = self.with_era(request, message).await.send().await?;
        if message["method"] == "initialize" {
            self.remember(&response).await;
        }
        let streamed = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if streamed {
            return self.pass_stream(response).await;
        }
        let status = response.status();
        let body = response.text().await?;
        match serde_json::from_str::<Value>(&body) {
            Ok(answer) if answer.get("jsonrpc").is_some() => {
                self.answer(answer).await;
                Ok(())
            }
            _ if status.is_success() => Ok(()),
            _ => {
                let shown: String = body.chars().take(SHOWN_MAX_CHARS).collect();
                if let Some(id) = message.get("id") {
                    self.answer(failure(id, -32603, &format!("the hub refuses it: {status} {shown}"))).await;
                }
                Ok(())
            }
        }
    }

    async fn with_era(&self, request: RequestBuilder, message: &Value) -> RequestBuilder {
        let modern = message["params"]["_meta"][META_VERSION].as_str().filter(|version| *version >= MODERN);
        let Some(version) = modern else {
            let session = self.session.lock().await;
            let request = match &session.version {
                Some(version) => request.header("mcp-protocol-version", version),
                None => request,
            };
            return match &session.id {
                Some(id) => request.header("mcp-session-id", id),
                None => request,
            };
        };
        let request = request.header("mcp-protocol-version", version);
        let Some(method) = message["method"].as_str() else { return request };
        let request = request.header("mcp-method", method);
        let name = ["name", "uri", "taskId"].iter().find_map(|key| message["params"][*key].as_str());
        match name {
            Some(name) => request.header("mcp-name", header_text(name)),
            None => request,
        }
    }

    async fn remember(&self, response: &Response) {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut session = self.session.lock().await;
        session.id = text("mcp-session-id");
        session.version = None;
    }

    /// Forwards the `data:` of each event. Line breaks inside a datum would break the framing of
    /// standard output; JSON has none.
    async fn pass_stream(&self, response: Response) -> anyhow::Result<()> {
        let mut pending = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            // What came before holds no line end: a picture of many chunks is not searched again.
            let mut searched = pending.len();
            pending.extend_from_slice(&chunk?);
            while let Some(end) = pending[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=searched + end).collect();
                searched = 0;
                self.pass_line(&line).await;
            }
            anyhow::ensure!(pending.len() <= LINE_MAX_BYTES, "an answer is larger than {LINE_MAX_BYTES} bytes");
        }
        Ok(())
    }

    async fn pass_line(&self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        let Ok(message) = serde_json::from_slice::<Value>(data) else { return };
        if let Some(version) = message["result"]["protocolVersion"].as_str() {
            self.session.lock().await.version = Some(version.to_owned());
        }
        self.answer(message).await;
    }
}

/// Names that a header cannot carry as they are travel in base64, as the protocol says.
fn header_text(name: &str) -> String {
    if name.bytes().all(|byte| (b'!'..=b'~').contains(&byte) || byte == b' ') {
        name.to_owned()
    } else {
        format!("=?base64?{}?=", BASE64_STANDARD.encode(name))
    }
}
