//! What a caller is told when a request cannot be served.
//!
//! One shape for every edge: a stable code, one sentence, and what to do about it. Internal context
//! (server paths, tracebacks, SQL) never enters it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Stable, machine-readable reason. The printed form (`snake_case`) is part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// An argument is missing, of the wrong type or out of range.
    BadArgument,
    /// No tool of that name.
    UnknownTool,
    /// No style of that name.
    UnknownStyle,
    /// No render type of that name.
    UnknownRenderType,
    /// The render type exists, but for another tool.
    WrongMode,
    /// No job of that id.
    UnknownJob,
    /// No stored picture of that id.
    UnknownImage,
    /// Nothing of that id or name.
    NotFound,
    /// The change contradicts what is there, e.g. a name that another has.
    Conflict,
    /// What was to be changed is not as it was read.
    Changed,
    /// An input picture could not be fetched, read or accepted.
    InputImage,
    /// The hub lacks what the tool needs (no render type, no LLM …); a person must set it up.
    NotConfigured,
    /// No ComfyUI server is registered or enabled.
    NoServer,
    /// Servers exist, but none has the nodes and models that the workflow needs.
    NoCompatibleServer,
    /// The queue is full; try again later.
    QueueFull,
    /// The caller's key does not allow it.
    Forbidden,
    /// What the caller's key allows per day is used up.
    QuotaExceeded,
    /// The workflow cannot run as it is; names the node.
    WorkflowInvalid,
    /// The GPU ran out of memory.
    OutOfMemory,
    /// A node failed while it ran; names the node.
    NodeFailed,
    /// The server was lost and no other could take the job.
    ServerLost,
    /// A limit on queue wait or run time was reached.
    TimedOut,
    /// The job was cancelled.
    Cancelled,
    /// The workflow ran but produced no file.
    NoOutput,
    /// The LLM server did not answer or answered nonsense.
    LlmUnavailable,
    /// The same idempotency key came with other arguments.
    IdempotencyMismatch,
    /// The hub is shutting down.
    ShuttingDown,
    /// Storage failed (disk full, database locked or gone).
    Storage,
    /// A defect of the hub; the log has the details.
    Internal,
}

impl ErrorCode {
    /// The code as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadArgument => "bad_argument",
            Self::UnknownTool => "unknown_tool",
            Self::UnknownStyle => "unknown_style",
            Self::UnknownRenderType => "unknown_render_type",
            Self::WrongMode => "wrong_mode",
            Self::UnknownJob => "unknown_job",
            Self::UnknownImage => "unknown_image",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Changed => "changed",
            Self::InputImage => "input_image",
            Self::NotConfigured => "not_configured",
            Self::NoServer => "no_server",
            Self::NoCompatibleServer => "no_compatible_server",
            Self::QueueFull => "queue_full",
            Self::Forbidden => "forbidden",
            Self::QuotaExceeded => "quota_exceeded",
            Self::WorkflowInvalid => "workflow_invalid",
            Self::OutOfMemory => "out_of_memory",
            Self::NodeFailed => "node_failed",
            Self::ServerLost => "server_lost",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::NoOutput => "no_output",
            Self::LlmUnavailable => "llm_unavailable",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::ShuttingDown => "shutting_down",
            Self::Storage => "storage",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later without any change by the caller.
    pub fn recoverable(self) -> bool {
        matches!(
            self,
            Self::NoServer
                | Self::QueueFull
                | Self::QuotaExceeded
                | Self::OutOfMemory
                | Self::ServerLost
                | Self::TimedOut
                | Self::LlmUnavailable
                | Self::ShuttingDown
                | Self::Storage
        )
    }

    /// Whether the caller can mend the request from the message alone.
    pub fn is_callers(self) -> bool {
        matches!(
            self,
            Self::BadArgument
                | Self::UnknownTool
                | Self::UnknownStyle
                | Self::UnknownRenderType
                | Self::WrongMode
                | Self::UnknownJob
                | Self::UnknownImage
                | Self::NotFound
                | Self::Conflict
                | Self::Changed
                | Self::InputImage
                | Self::Forbidden
                | Self::QuotaExceeded
                | Self::IdempotencyMismatch
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One refusal or failure, in words for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[error("{message}")]
pub struct UserError {
    /// Stable reason.
    pub code: ErrorCode,
    /// One sentence saying what is wrong, naming the value that was given.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The argument at fault, as the tool's schema names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// What would have been valid, when that can be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub valid_values: Vec<String>,
    /// Seconds after which trying again makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

impl UserError {
    /// An error with a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            argument: None,
            valid_values: Vec::new(),
            retry_after_s: None,
        }
    }

    /// A fault in the argument `name`.
    pub fn argument(name: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorCode::BadArgument, message);
        error.argument = Some(name.to_owned());
        error
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the valid values.
    #[must_use]
    pub fn with_valid(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.valid_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Adds when to try again, in seconds.
    #[must_use]
    pub fn with_retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The whole error as one paragraph: message, valid values, hint.
    pub fn explain(&self) -> String {
        let mut text = self.message.clone();
        if !self.valid_values.is_empty() {
            text.push_str(" Valid values: ");
            text.push_str(&self.valid_values.join(", "));
            text.push('.');
        }
        if let Some(hint) = &self.hint {
            text.push(' ');
            text.push_str(hint);
        }
        text
    }
}
