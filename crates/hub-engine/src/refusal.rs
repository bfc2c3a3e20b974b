//! Turns failures of storage into what a caller is told. The internal text goes to the log, once, here.

use hub_core::error::{ErrorCode, UserError};
use hub_store::{StoreError, StoreErrorKind};

/// What a caller is told about a failure of the store.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`, which hands over the error")]
pub(crate) fn storage(error: StoreError) -> UserError {
    match &error {
        StoreError::NameTaken { name } => {
            return conflict("name", format!("The name `{name}` is taken."))
                .with_hint("Choose another name, or change the one that has it.");
        }
        StoreError::UrlTaken { url } => {
            return conflict("base_url", format!("The address {url} is registered already."));
        }
        StoreError::IdempotencyMismatch { job } => {
            let message = format!("The idempotency key belongs to {job}, which was asked with other arguments.");
            return UserError::new(ErrorCode::IdempotencyMismatch, message)
                .with_hint("Use a new key for a new request.");
        }
        StoreError::Gone { what } => {
            return UserError::new(ErrorCode::NotFound, format!("{what} does not exist (any more)."));
        }
        StoreError::NoSnapshot { what } => {
            return UserError::new(
                ErrorCode::NotConfigured,
                format!("The hub's database is no SQLite file but {what}."),
            )
            .with_hint("Copy the folder of the pictures after it; usage.md tells how.");
        }
        _ => {}
    }
    tracing::error!(error = %error, kind = ?error.kind(), "storage failed");
    let (code, message) = match error.kind() {
        StoreErrorKind::Transient => (ErrorCode::Storage, "The hub's database is busy or cannot be reached."),
        StoreErrorKind::Full => return disk_full(),
        StoreErrorKind::ReadOnly => return read_only(),
        StoreErrorKind::Conflict => (ErrorCode::Internal, "The change contradicts what is stored."),
        StoreErrorKind::Corrupt => (ErrorCode::Storage, "The hub's database holds something unreadable."),
        StoreErrorKind::Newer => (ErrorCode::Storage, "The hub's database is newer than the hub."),
        StoreErrorKind::Other => (ErrorCode::Storage, "The hub's database failed."),
    };
    let told = UserError::new(code, message);
    match error.kind() {
        StoreErrorKind::Transient => told.with_retry_after_s(2),
        _ => told.with_hint("The hub's log says more."),
    }
}

/// No space is left, for rows or for pictures.
pub(crate) fn disk_full() -> UserError {
    UserError::new(ErrorCode::Storage, "The hub's disk is full.")
        .with_hint("Whoever runs the hub must make space.")
        .with_retry_after_s(60)
}

/// Nothing can be written, rows or pictures.
pub(crate) fn read_only() -> UserError {
    UserError::new(ErrorCode::Storage, "The hub's disk is read-only.")
        .with_hint("Whoever runs the hub must make it writable.")
        .with_retry_after_s(60)
}

/// The error for a value that another has already.
pub(crate) fn conflict(argument: &str, message: impl Into<String>) -> UserError {
    let mut error = UserError::new(ErrorCode::Conflict, message);
    error.argument = Some(argument.to_owned());
    error
}

/// The error for an input picture that is not accepted.
pub(crate) fn input_image(message: impl Into<String>) -> UserError {
    let mut error = UserError::new(ErrorCode::InputImage, message);
    error.argument = Some("image".to_owned());
    error
}
