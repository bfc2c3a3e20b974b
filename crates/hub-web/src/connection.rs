//! Does what an MCP client does at its start: opens a session at the hub's own address and lists the tools.
//!
//! It is a real request over a real connection, so that it also tells of a public address that leads nowhere, of a proxy
//! that swallows headers and of a key that is refused. It goes to the configured addresses only, never to one that a
//! request names: no page can be made to knock at other doors. The key is sent and forgotten.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::{Host, Url};

use crate::{router::App, said};

/// Longest wait for one address, from the first byte sent to the last one read.
const LIMIT: Duration = Duration::from_secs(10);
/// The same in the words of the page.
const LIMIT_S: u64 = LIMIT.as_secs();
/// Most bytes read of one answer; a list of tools is some ten thousand.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;
/// How much of a refusal without a reason is shown, in characters.
const SHOWN_MAX_CHARS: usize = 200;
/// The revision that all clients of today speak.
const PROTOCOL: &str = "2025-11-25";
/// Names the session that `initialize` opened.
const SESSION: &str = "mcp-session-id";

/// What came of asking one address.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) endpoint: String,
    pub(crate) outcome: Outcome,
}

/// What a client would meet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is let in; these are the tools it may use.
    Tools(Vec<String>),
    /// Something there refuses it, with that reason.
    Refused { status: u16, reason: String },
    /// Something answers, but not as an MCP server does.
    Strange(String),
    /// Nothing answers.
    Silent(String),
}

/// Tries the public address; where nothing answers there, or none is configured, the one that the hub listens on.
pub(crate) async fn try_own(app: &App, key: Option<&SecretString>) -> Vec<Tried> {
    let bases = [app.config.public_url.clone(), app.engine.config().listen_url.clone()];
    let mut tried: Vec<Tried> = Vec::new();
    for base in bases.into_iter().flatten() {
        let endpoint = endpoint(base);
        if tried.iter().any(|earlier| earlier.endpoint == endpoint.as_str()) {
            continue;
        }
        let outcome = match tokio::time::timeout(LIMIT, list_tools(&endpoint, key)).await {
            Ok(Ok(tools)) => Outcome::Tools(tools),
            Ok(Err(outcome)) => outcome,
            Err(_) => Outcome::Silent(said!("no whole answer within {n} seconds", n = LIMIT_S)),
        };
        let silent = matches!(outcome, Outcome::Silent(_));
        tried.push(Tried { endpoint: endpoint.into(), outcome });
        if !silent {
            break;
        }
    }
    tried
}

/// Where MCP is spoken. Who listens on all addresses is reached on the loopback one.
fn endpoint(mut base: Url) -> Url {
    let loopback = match base.host() {
        Some(Host::Ipv4(ip)) if ip.is_unspecified() => Some("127.0.0.1"),
        Some(Host::Ipv6(ip)) if ip.is_unspecified() => Some("[::1]"),
        _ => None,
    };
    if let Some(host) = loopback {
        // An address is a host for any URL that had one.
        let _ = base.set_host(Some(host));
    }
    let path = format!("{}/mcp", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

async fn list_tools(endpoint: &Url, key: Option<&SecretString>) -> Result<Vec<String>, Outcome> {
    let mut session = Session::new(endpoint, key)?;
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": PROTOCOL, "capabilities": {},
            "clientInfo": { "name": "genimage-connect-page", "version": env!("CARGO_PKG_VERSION") } },
    });
    let opened = session.post(&hello).await?;
    session.id = opened.headers().get(SESSION).cloned();
    result_of(opened, 1).await?;
    session.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
    let asked = session.post(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).await?;
    let listed = result_of(asked, 2).await;
    session.end().await;
    let listed = listed?;
    let Some(tools) = listed["tools"].as_array() else {
        return Err(Outcome::Strange(said!("it lists no tools").to_string()));
    };
    Ok(tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect())
}

struct Session<'a> {
    http: Client,
    endpoint: &'a Url,
    authorization: Option<HeaderValue>,
    id: Option<HeaderValue>,
}

impl<'a> Session<'a> {
    fn new(endpoint: &'a Url, key: Option<&SecretString>) -> Result<Self, Outcome> {
        // No proxy of the environment: the hub's own address is not for it. No redirects: clients send their key where
        // they were told to.
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(LIMIT).build();
        let mut authorization = key
            .map(|key| HeaderValue::try_from(format!("Bearer {}", key.expose_secret())))
            .transpose()
            .map_err(|_| Outcome::Silent(said!("the key is no header").to_string()))?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Self { http: http.map_err(|error| silent(&error))?, endpoint, authorization, id: None })
    }

    fn as_client(&self, request: RequestBuilder) -> RequestBuilder {
        let mut request = request.header(header::ACCEPT, "application/json, text/event-stream");
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
        if let Some(id) = &self.id {
            request = request.header(SESSION, id.clone()).header("mcp-protocol-version", PROTOCOL);
        }
        request
    }

    /// The answer's head, when it is none of a refusal.
    async fn post(&self, message: &Value) -> Result<Response, Outcome> {
        let request = self.as_client(self.http.post(self.endpoint.clone())).json(message);
        let answer = request.send().await.map_err(|error| silent(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let mut reason = String::from_utf8_lossy(&body(answer, |_| false).await?).into_owned();
        if let Ok(problem) = serde_json::from_str::<Value>(&reason) {
            let told = problem["detail"].as_str().or_else(|| problem["error"]["message"].as_str());
            reason = told.map_or(reason.clone(), str::to_owned);
        }
        let reason = reason.trim().chars().take(SHOWN_MAX_CHARS).collect();
        Err(Outcome::Refused { status: status.as_u16(), reason })
    }

    /// Leaves nothing behind. A hub that does not listen to it forgets the session by itself.
    async fn end(&self) {
        if self.id.is_some()
            && let Err(error) = self.as_client(self.http.delete(self.endpoint.clone())).send().await
        {
            tracing::debug!(%error, "the session of a connection's test was not ended");
        }
    }
}

/// The result with this id, from a body that is one message or a stream of them.
async fn result_of(answer: Response, id: u64) -> Result<Value, Outcome> {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let streams = kind.starts_with("text/event-stream");
    let status = answer.status().as_u16();
    let bytes = body(answer, |read| streams && in_stream(read, id).is_some()).await?;
    let message = if streams { in_stream(&bytes, id) } else { serde_json::from_slice(&bytes).ok() };
    let Some(mut message) = message.filter(Value::is_object) else {
        return Err(Outcome::Strange(said!("what it answers is no message of MCP").to_string()));
    };
    if let Some(reason) = message["error"]["message"].as_str() {
        return Err(Outcome::Refused { status, reason: reason.chars().take(SHOWN_MAX_CHARS).collect() });
    }
    Ok(message["result"].take())
}

/// The message with this id among server-sent events; a line that has not come whole is none yet.
fn in_stream(read: &[u8], id: u64) -> Option<Value> {
    let text = String::from_utf8_lossy(read);
    let messages = text.lines().filter_map(|line| line.strip_prefix("data:"));
    messages.filter_map(|data| serde_json::from_str::<Value>(data).ok()).find(|message| message["id"] == id)
}

/// The body up to where it is `enough`.
async fn body(mut answer: Response, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Outcome> {
    let mut read = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| silent(&error))? {
        if read.len() + piece.len() > ANSWER_MAX_BYTES {
            return Err(Outcome::Strange(said!("its answer is longer than any list of tools").to_string()));
        }
        read.extend_from_slice(&piece);
        if enough(&read) {
            break;
        }
    }
    Ok(read)
}

/// The reason at the bottom: what lies above it only repeats the address.
fn silent(error: &reqwest::Error) -> Outcome {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    Outcome::Silent(deepest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_where_mcp_is_spoken() {
        for (base, asked) in [
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001/mcp"),
            ("http://0.0.0.0:8001/", "http://127.0.0.1:8001/mcp"),
            ("http://[::]:8001/", "http://[::1]:8001/mcp"),
            ("https://hub.test/pictures/", "https://hub.test/pictures/mcp"),
        ] {
            assert_eq!(endpoint(base.parse().expect("a URL")).as_str(), asked);
        }
    }

    #[test]
    fn a_message_is_found_in_a_stream_once_it_is_whole() {
        let whole =
            "id: 0\ndata:\n\nevent: message\ndata: {\"id\":1,\"result\":{}}\n\ndata: {\"id\":2,\"result\":{\"a\":";
        assert!(in_stream(whole.as_bytes(), 1).is_some());
        assert!(in_stream(whole.as_bytes(), 2).is_none());
        assert!(in_stream(format!("{whole}3}}}}").as_bytes(), 2).is_some());
    }
}
