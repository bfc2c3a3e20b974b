//! Problem documents (RFC 9457), and which HTTP status each error has.

use axum::http::StatusCode;
use hub_core::error::{ErrorCode, UserError};
use serde::Serialize;

use crate::error::WebError;

/// A problem document.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<ErrorCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    argument: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    valid_values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recoverable: Option<bool>,
}

impl Problem {
    /// The document that tells `error`.
    pub(crate) fn of(error: &WebError) -> Self {
        match error {
            WebError::User(error) => Self::of_user(error),
            WebError::Request { status, detail, hint } => Self {
                kind: "about:blank".to_owned(),
                title: status.canonical_reason().unwrap_or("Refused").to_owned(),
                status: status.as_u16(),
                detail: detail.clone(),
                code: None,
                argument: None,
                valid_values: Vec::new(),
                hint: hint.clone(),
                retry_after_s: None,
                recoverable: None,
            },
        }
    }

    fn of_user(error: &UserError) -> Self {
        Self {
            kind: format!("urn:genimage:error:{}", error.code),
            title: title_of(error.code).to_owned(),
            status: status_of(error.code).as_u16(),
            detail: error.message.clone(),
            code: Some(error.code),
            argument: error.argument.clone(),
            valid_values: error.valid_values.clone(),
            hint: error.hint.clone(),
            retry_after_s: error.retry_after_s,
            recoverable: Some(error.code.recoverable()),
        }
    }
}

/// The HTTP status of an error. 4xx = the caller can mend it, 5xx = only the hub's side can.
pub(crate) fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadArgument
        | ErrorCode::UnknownTool
        | ErrorCode::UnknownStyle
        | ErrorCode::UnknownRenderType
        | ErrorCode::WrongMode
        | ErrorCode::InputImage
        | ErrorCode::WorkflowInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::UnknownJob | ErrorCode::UnknownImage => StatusCode::NOT_FOUND,
        ErrorCode::IdempotencyMismatch | ErrorCode::Cancelled => StatusCode::CONFLICT,
        ErrorCode::QueueFull => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::OutOfMemory | ErrorCode::NodeFailed | ErrorCode::ServerLost | ErrorCode::NoOutput => {
            StatusCode::BAD_GATEWAY
        }
        ErrorCode::NotConfigured
        | ErrorCode::NoServer
        | ErrorCode::NoCompatibleServer
        | ErrorCode::LlmUnavailable
        | ErrorCode::ShuttingDown
        | ErrorCode::Storage => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The error's kind in a few words, the same for every occurrence.
pub(crate) fn title_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadArgument => "An argument is wrong",
        ErrorCode::UnknownTool => "No such tool",
        ErrorCode::UnknownStyle => "No such style",
        ErrorCode::UnknownRenderType => "No such render type",
        ErrorCode::WrongMode => "Render type of another tool",
        ErrorCode::UnknownJob => "No such job",
        ErrorCode::UnknownImage => "No such picture",
        ErrorCode::InputImage => "The input picture cannot be used",
        ErrorCode::NotConfigured => "Not set up",
        ErrorCode::NoServer => "No server",
        ErrorCode::NoCompatibleServer => "No server can run this",
        ErrorCode::QueueFull => "The queue is full",
        ErrorCode::WorkflowInvalid => "The workflow cannot run",
        ErrorCode::OutOfMemory => "Out of GPU memory",
        ErrorCode::NodeFailed => "A node failed",
        ErrorCode::ServerLost => "The server was lost",
        ErrorCode::TimedOut => "Timed out",
        ErrorCode::Cancelled => "Cancelled",
        ErrorCode::NoOutput => "No output",
        ErrorCode::LlmUnavailable => "The LLM is not available",
        ErrorCode::IdempotencyMismatch => "The key belongs to another request",
        ErrorCode::ShuttingDown => "Shutting down",
        ErrorCode::Storage => "Storage failed",
        ErrorCode::Internal => "Internal error",
    }
}
