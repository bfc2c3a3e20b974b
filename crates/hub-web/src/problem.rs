//! Problem documents (RFC 9457), and which HTTP status each error has.

use axum::http::StatusCode;
use hub_core::error::{ErrorCode, UserError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::WebError;

/// Why a request was not served: a problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A URN of the code, or `about:blank` where the status says all.
    #[serde(rename = "type")]
    kind: String,
    /// The problem's kind in a few words.
    title: String,
    /// The HTTP status again.
    status: u16,
    /// What is wrong, naming what was given.
    detail: String,
    /// Stable reason for programs, e.g. `bad_argument`, `not_found`, `conflict`.
    code: &'static str,
    /// The field, query parameter or argument at fault; parts of it by dots and indexes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    argument: Option<String>,
    /// What would have been valid, when that can be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    valid_values: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hint: Option<String>,
    /// Seconds after which trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_s: Option<u32>,
    /// Whether the same request may succeed later without a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
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
                code: code_of(*status),
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
            code: error.code.as_str(),
            argument: error.argument.clone(),
            valid_values: error.valid_values.clone(),
            hint: error.hint.clone(),
            retry_after_s: error.retry_after_s,
            recoverable: Some(error.code.recoverable()),
        }
    }
}

/// The code of a fault that HTTP's status tells whole.
fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PRECONDITION_FAILED => "changed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::FORBIDDEN => "forbidden",
        status if status.is_server_error() => "unavailable",
        _ => "bad_request",
    }
}

/// The HTTP status of an error. 5xx = the hub's side failed, and may not the next time.
pub(crate) fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadArgument
        | ErrorCode::UnknownTool
        | ErrorCode::UnknownStyle
        | ErrorCode::UnknownRenderType
        | ErrorCode::WrongMode
        | ErrorCode::InputImage
        | ErrorCode::WorkflowInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::UnknownJob | ErrorCode::UnknownImage | ErrorCode::NotFound => StatusCode::NOT_FOUND,
        // Not 503, which clients try again by themselves: what is not set up stays so until somebody acts.
        ErrorCode::IdempotencyMismatch | ErrorCode::Cancelled | ErrorCode::Conflict | ErrorCode::NotConfigured => {
            StatusCode::CONFLICT
        }
        ErrorCode::Changed => StatusCode::PRECONDITION_FAILED,
        ErrorCode::QueueFull | ErrorCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::OutOfMemory | ErrorCode::NodeFailed | ErrorCode::ServerLost | ErrorCode::NoOutput => {
            StatusCode::BAD_GATEWAY
        }
        ErrorCode::NoServer
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
        ErrorCode::NotFound => "Not found",
        ErrorCode::Conflict => "It contradicts what is there",
        ErrorCode::Changed => "Changed meanwhile",
        ErrorCode::InputImage => "The input picture cannot be used",
        ErrorCode::NotConfigured => "Not set up",
        ErrorCode::NoServer => "No server",
        ErrorCode::NoCompatibleServer => "No server can run this",
        ErrorCode::QueueFull => "The queue is full",
        ErrorCode::Forbidden => "Not allowed for this key",
        ErrorCode::QuotaExceeded => "The key's quota is used up",
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
