//! What can go wrong at this edge, and how it is told.
//!
//! One type for pages and programs: as a response it is a problem document; the layer
//! [`crate::pages::show_errors`] turns it into a page where a person asked. A failure is logged here,
//! once, and only when it is the hub's.

use axum::{
    extract::rejection::{BytesRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hub_core::{
    error::{ErrorCode, UserError},
    limits, suggest,
};
use hub_store::{StoreError, StoreErrorKind};

use crate::problem;

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum WebError {
    /// Refused or failed, in words for the caller.
    #[error("{0}")]
    User(#[from] UserError),
    /// The request itself cannot be read; the status says how.
    #[error("{detail}")]
    Request {
        /// 4xx.
        status: StatusCode,
        /// One sentence.
        detail: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl WebError {
    /// The request cannot be read.
    pub(crate) fn request(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::Request { status, detail: detail.into(), hint: None }
    }

    /// No route of that path.
    pub(crate) fn no_route(path: &str) -> Self {
        let shown: String = path.chars().take(120).collect();
        Self::request(StatusCode::NOT_FOUND, format!("There is nothing at {shown}."))
    }

    /// The route exists, with other methods.
    pub(crate) fn method_not_allowed(path: &str) -> Self {
        let shown: String = path.chars().take(120).collect();
        Self::request(StatusCode::METHOD_NOT_ALLOWED, format!("{shown} does not take this method."))
    }

    /// The thing named in the path does not exist.
    pub(crate) fn missing(what: &str, given: &str) -> Self {
        Self::missing_among(what, given, std::iter::empty())
    }

    /// The thing named in the path does not exist; the nearest of `known` may be meant.
    pub(crate) fn missing_among<'a>(what: &str, given: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let shown: String = given.chars().filter(|c| !c.is_control()).take(80).collect();
        Self::Request {
            status: StatusCode::NOT_FOUND,
            hint: suggest::nearest(&shown, known).map(|near| format!("Did you mean `{near}`?")),
            detail: format!("There is no {what} `{shown}`."),
        }
    }

    /// A defect of the hub: the log gets `context`, the caller a plain sentence.
    pub(crate) fn internal(context: &dyn std::fmt::Display) -> Self {
        tracing::error!(%context, "a request failed for a defect of the hub");
        Self::User(UserError::new(ErrorCode::Internal, "The hub failed to answer; its log has the details."))
    }

    /// Status as HTTP tells it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::User(error) => problem::status_of(error.code),
            Self::Request { status, .. } => *status,
        }
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> Self {
        let kind = error.kind();
        tracing::error!(error = %error, ?kind, "the database failed a request");
        let error = UserError::new(ErrorCode::Storage, "The hub's database did not answer.");
        Self::User(match kind {
            StoreErrorKind::Transient => error.with_hint("Try again in a moment.").with_retry_after_s(2),
            StoreErrorKind::Full => error.with_hint("The disk is full: free some space."),
            StoreErrorKind::ReadOnly => error.with_hint("The disk is read-only: make it writable."),
            _ => error.with_hint("The hub's log has the details."),
        })
    }
}

impl From<BytesRejection> for WebError {
    fn from(rejection: BytesRejection) -> Self {
        let status = rejection.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("The body is too large; at most {} bytes are taken.", limits::BODY_MAX_BYTES);
            return Self::request(status, detail);
        }
        Self::request(StatusCode::BAD_REQUEST, "The body did not arrive whole.")
    }
}

impl From<QueryRejection> for WebError {
    fn from(rejection: QueryRejection) -> Self {
        Self::request(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, axum::Json(problem::Problem::of(&self))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Self::User(UserError { retry_after_s: Some(seconds), .. }) = &self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
