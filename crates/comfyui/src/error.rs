//! What can go wrong when talking to a server, sorted by what the caller should do about it.
//!
//! [`Error`] is for every call; [`SubmitError`] is for `POST /prompt` alone, where the question "may it be
//! queued after all?" decides between trying elsewhere and asking first. Displayed texts are safe to show to
//! people: no secrets, no tracebacks, no paths of the server's disk. Causes stay reachable through `source()`.

mod rejection;
mod scrub;

pub(crate) use rejection::parse_rejection;
pub use rejection::{MissingResource, NodeErrorDetail, NodeRejection, Rejection, RejectionKind};
pub use scrub::scrub;

use std::time::Duration;

/// What to do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The server or the network had a bad moment: try again later or elsewhere.
    Transient,
    /// Credentials are missing, wrong or not allowed here: a person must fix them.
    Unauthorized,
    /// The server understood and said no, or the call itself was wrong: repeating it is pointless.
    Rejected,
    /// The thing asked for is not there (any more).
    Gone,
    /// Something answers at this address, but it does not speak like ComfyUI.
    NotComfyUi,
    /// A body exceeded a limit, theirs or ours.
    TooLarge,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot work: bad address, unusable header, no certificate store.
    #[error("{0}")]
    Config(String),
    /// No connection was made, so the server has certainly not seen the request.
    #[error("cannot connect to the server")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server shows a certificate that nobody we trust vouches for; it has not seen the request.
    #[error("the server's TLS certificate is not trusted; give the certificate of its authority, or its own")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing was received for `after`.
    #[error("the server did not answer within {} s", after.as_secs())]
    Timeout {
        /// The idle limit that ran out.
        after: Duration,
    },
    /// The connection broke after it was made.
    #[error("the connection to the server broke")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// 401, 403, a login page, or a redirect to one.
    #[error("the server refused the credentials ({detail})")]
    Unauthorized {
        /// Which refusal it was.
        detail: String,
    },
    /// Another status than the call allows; `message` is the scrubbed head of the body.
    #[error("the server answered {status}: {message}")]
    Status {
        /// HTTP status code.
        status: u16,
        /// First words of the body, scrubbed.
        message: String,
    },
    /// The resource does not exist on this server.
    #[error("{0} is not on this server")]
    Gone(String),
    /// HTML, a redirect, or anything else that ComfyUI never sends.
    #[error("this does not look like ComfyUI: {0}")]
    NotComfyUi(String),
    /// The answer is JSON but not of the expected shape.
    #[error("the server sent an answer that could not be understood ({what})")]
    Decode {
        /// Which answer.
        what: &'static str,
        /// Where it went wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A body was larger than `limit_bytes`.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that was hit, in bytes; 0 when only the server knows it.
        limit_bytes: u64,
    },
    /// The WebSocket broke or went silent.
    #[error("the event socket failed: {detail}")]
    Socket {
        /// What happened to it.
        detail: String,
        /// Cause, when there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl Error {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect(_)
            | Self::Certificate(_)
            | Self::Timeout { .. }
            | Self::Transport(_)
            | Self::Socket { .. } => ErrorKind::Transient,
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::Status { status, .. } if is_transient_status(*status) => ErrorKind::Transient,
            Self::Status { .. } | Self::Config(_) => ErrorKind::Rejected,
            Self::Gone(_) => ErrorKind::Gone,
            Self::NotComfyUi(_) | Self::Decode { .. } => ErrorKind::NotComfyUi,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
        }
    }

    /// The whole chain of causes on one line, for logs.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    pub(crate) fn socket(detail: impl Into<String>) -> Self {
        Self::Socket { detail: detail.into(), source: None }
    }
}

/// 5xx says nothing about the request, 408 and 429 ask for patience.
fn is_transient_status(status: u16) -> bool {
    status >= 500 || status == 408 || status == 429
}

/// A `POST /prompt` that did not end in a clean acceptance.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// 400: the server will not run this graph. Nothing was queued.
    #[error("{}", .0.message)]
    Rejected(Box<Rejection>),
    /// 200 with node errors: some outputs were dropped and the rest **is queued** under `prompt_id`.
    /// Treat it as a failure and cancel that prompt.
    #[error("only a part of the workflow was accepted: {}", rejection.message)]
    PartiallyAccepted {
        /// The prompt that now waits on the server.
        prompt_id: String,
        /// What was wrong with the dropped part.
        rejection: Box<Rejection>,
    },
    /// 413: the graph is larger than the server (or its proxy) takes. Nothing was queued.
    #[error("the workflow is larger than the server accepts")]
    TooLarge,
    /// The credentials were refused. Nothing was queued.
    #[error("the server refused the credentials")]
    Unauthorized(#[source] Error),
    /// Time-out, broken connection or 5xx: **it may be queued and may run**. Ask `/queue` and `/history` first.
    #[error("it is unknown whether the server queued the workflow")]
    Unknown(#[source] Error),
    /// The server certainly did not queue it: it could not be reached, or something else answered.
    #[error("the workflow could not be sent")]
    NotSent(#[source] Error),
}
