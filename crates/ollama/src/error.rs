//! What can go wrong when talking to an LLM server, and what the caller does next.
//!
//! Owns the crate's one error enum and the reading of error bodies in both dialects.
//! Never holds a URL or a key: `reqwest` errors are stripped of theirs.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest text taken over from a server's error body, in characters.
const MAX_MESSAGE_CHARS: usize = 400;
/// Longest wait a server's `Retry-After` can ask for; more is treated as this much.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A failed call. [`Error::kind`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made, or it was refused.
    #[error("the LLM server cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The connection ended before the answer did.
    #[error("the LLM server's answer broke off")]
    Interrupted(#[source] Option<reqwest::Error>),
    /// The server was silent, or slow, for longer than configured.
    #[error("the LLM server did not {phase} within {limit_ms} ms")]
    Timeout {
        /// What was being waited for.
        phase: WaitPhase,
        /// The configured limit, in milliseconds.
        limit_ms: u64,
    },
    /// The server's own queue is full, it is still loading, or a rate limit applies.
    #[error("the LLM server is busy: {message}")]
    Busy {
        /// The server's words.
        message: String,
        /// How long the server asked to be left alone, if it did; at most an hour.
        retry_after: Option<Duration>,
    },
    /// The server does not have this model.
    #[error("the LLM server has no such model: {message}")]
    ModelMissing {
        /// The server's words.
        message: String,
    },
    /// The key is missing, wrong or not allowed to do this.
    #[error("the LLM server refused the credentials: {message}")]
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// The server understood the request and will never accept it.
    #[error("the LLM server refused the request ({status}): {message}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The server failed by itself: a 5xx status, or an error in the middle of a stream.
    #[error("the LLM server failed: {message}")]
    ServerFailed {
        /// The server's words.
        message: String,
    },
    /// The answer is not what the dialect promises.
    #[error("the LLM server's answer cannot be understood: {what}")]
    Malformed {
        /// What was expected, in words.
        what: String,
        /// The parser's complaint, where there is one.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// The answer grew past its limit and was cut off.
    #[error("the LLM server's answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that was hit, in bytes.
        limit_bytes: usize,
    },
    /// This dialect has no such call, or the request cannot be expressed in it.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The client cannot be built from this configuration.
    #[error("the LLM server's settings are unusable: {0}")]
    Config(String),
}

/// What was being waited for when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitPhase {
    /// A connection.
    Connect,
    /// The first byte of an answer; loading a model happens here.
    FirstByte,
    /// The next piece of an answer that had begun.
    NextChunk,
    /// The end of the whole call.
    Finish,
}

impl std::fmt::Display for WaitPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "accept a connection",
            Self::FirstByte => "begin to answer",
            Self::NextChunk => "continue its answer",
            Self::Finish => "finish its answer",
        })
    }
}

/// Failures sorted by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// May work if tried again, here or on another server.
    Transient,
    /// Try again later, no sooner than `retry_after` when it is given.
    Busy {
        /// The server's wish; at most an hour.
        retry_after: Option<Duration>,
    },
    /// Choose another model or another server.
    ModelMissing,
    /// Someone must fix the key.
    Unauthorized,
    /// The request or the settings must change; trying again is pointless.
    Rejected,
    /// The server answered nonsense; the same request may still work on a second try.
    Malformed,
    /// A configured limit of time was hit.
    Timeout,
}

impl Error {
    /// Sorts this failure by what to do next.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable(_) | Self::Interrupted(_) | Self::ServerFailed { .. } => ErrorKind::Transient,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Busy { retry_after, .. } => ErrorKind::Busy { retry_after: *retry_after },
            Self::ModelMissing { .. } => ErrorKind::ModelMissing,
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::Rejected { .. } | Self::Unsupported(_) | Self::Config(_) => ErrorKind::Rejected,
            Self::Malformed { .. } | Self::TooLarge { .. } => ErrorKind::Malformed,
        }
    }

    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), source: None }
    }

    pub(crate) fn unparsable(what: impl Into<String>, source: serde_json::Error) -> Self {
        Self::Malformed { what: what.into(), source: Some(source) }
    }

    pub(crate) fn timeout(phase: WaitPhase, limit: Duration) -> Self {
        Self::Timeout { phase, limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Sorts a failure to send; a body that breaks later is [`Error::Interrupted`].
    pub(crate) fn send(source: reqwest::Error, connect_limit: Duration) -> Self {
        let source = source.without_url();
        if source.is_timeout() {
            return Self::timeout(WaitPhase::Connect, connect_limit);
        }
        Self::Unreachable(source)
    }

    /// Sorts an answer whose status is not a success by status and words.
    pub(crate) fn from_status(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let Spoken { message, code } =
            Spoken::read(body).unwrap_or_else(|| Spoken { message: plain_message(status, body), code: None });
        let code = code.as_deref().unwrap_or_default();
        match status.as_u16() {
            401 | 403 => Self::Unauthorized { message },
            404 if code == "model_not_found" || names_a_missing_model(&message) => Self::ModelMissing { message },
            // An exhausted account answers 429 as well, and no waiting helps there.
            429 if code == "insufficient_quota" => Self::Rejected { status: 429, message },
            429 | 503 => Self::Busy { message, retry_after: retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)) },
            408 | 499 | 500..=599 => Self::ServerFailed { message },
            status => Self::Rejected { status, message },
        }
    }

    /// Reads `{"error": …}` out of a chunk that arrived with status 200; `None` when there is no error in it.
    pub(crate) fn in_stream(chunk: &Value) -> Option<Self> {
        let error = chunk.get("error").filter(|error| !error.is_null())?;
        let spoken = Spoken::from_error(error);
        // Some gateways put the status of the server behind them into the code; Ollama has it beside the error.
        let code = error.get("code").and_then(Value::as_u64).or_else(|| chunk.get("status").and_then(Value::as_u64));
        let status = code
            .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
            .filter(|status| status.is_client_error() || status.is_server_error());
        Some(match status {
            Some(status) => Self::from_status(status, None, chunk.to_string().as_bytes()),
            None => Self::ServerFailed { message: spoken.message },
        })
    }
}

/// Seconds of a `Retry-After` header; dates are ignored, since they need a clock both sides agree on.
pub(crate) fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

struct Spoken {
    message: String,
    code: Option<String>,
}

impl Spoken {
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        // FastAPI-based servers say `detail`, a few say `message` at the top.
        let error = ["error", "detail", "message"].iter().find_map(|key| body.get(key).filter(|e| !e.is_null()))?;
        Some(Self::from_error(error))
    }

    fn from_error(error: &Value) -> Self {
        let words = error.as_str().or_else(|| error.get("message").and_then(Value::as_str));
        let message = words.map_or_else(|| shorten(&error.to_string()), shorten);
        let code = error.get("code").and_then(Value::as_str).map(ToOwned::to_owned);
        Self { message, code }
    }
}

fn names_a_missing_model(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("model") && (message.contains("not found") || message.contains("does not exist"))
}

fn plain_message(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    // A proxy's HTML page says nothing that its status does not.
    if text.trim().is_empty() || text.trim_start().starts_with('<') {
        return status.to_string();
    }
    format!("{status}: {}", shorten(&text))
}

fn shorten(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((cut, _)) => format!("{}…", &one_line[..cut]),
        None => one_line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        Error::from_status(StatusCode::from_u16(status).expect("a status"), None, body.as_bytes()).kind()
    }

    #[test]
    fn statuses_are_sorted_by_what_to_do_next() {
        assert_eq!(kind(404, r#"{"error":"model 'x' not found"}"#), ErrorKind::ModelMissing);
        assert_eq!(kind(404, "404 page not found"), ErrorKind::Rejected);
        assert_eq!(
            kind(404, r#"{"error":{"message":"The model `x` does not exist.","code":404}}"#),
            ErrorKind::ModelMissing
        );
        assert_eq!(kind(401, r#"{"error":"unauthorized","signin_url":"https://x"}"#), ErrorKind::Unauthorized);
        assert_eq!(kind(429, r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#), ErrorKind::Rejected);
        assert_eq!(kind(429, "{}"), ErrorKind::Busy { retry_after: None });
        assert_eq!(kind(502, "<html>bad gateway</html>"), ErrorKind::Transient);
        assert_eq!(kind(400, r#"{"error":"illegal base64 data at input byte 4"}"#), ErrorKind::Rejected);
    }

    #[test]
    fn long_and_multi_line_bodies_become_one_short_line() {
        let body = format!("{{\"error\":\"{}\"}}", "word\\n ".repeat(500));
        let Error::Rejected { message, .. } = Error::from_status(StatusCode::BAD_REQUEST, None, body.as_bytes()) else {
            panic!("400 is a refusal");
        };
        assert!(message.chars().count() <= MAX_MESSAGE_CHARS + 1);
        assert!(!message.contains('\n'));
    }

    #[test]
    fn an_html_error_page_is_reduced_to_its_status() {
        let error = Error::from_status(StatusCode::BAD_GATEWAY, None, b"<html><h1>nginx</h1></html>");
        assert_eq!(error.to_string(), "the LLM server failed: 502 Bad Gateway");
    }

    #[test]
    fn a_gateways_code_inside_a_stream_is_believed() {
        let busy = Error::in_stream(&serde_json::json!({"error": {"code": 429, "message": "slow down"}}));
        assert_eq!(busy.map(|e| e.kind()), Some(ErrorKind::Busy { retry_after: None }));
        let refused = Error::in_stream(&serde_json::json!({"error": "context too long", "status": 400}));
        assert_eq!(refused.map(|e| e.kind()), Some(ErrorKind::Rejected));
        assert!(Error::in_stream(&serde_json::json!({"error": null, "done": true})).is_none());
    }
}
