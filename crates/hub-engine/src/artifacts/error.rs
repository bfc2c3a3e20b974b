//! What can go wrong between the hub and its picture store.

use std::io;

use hub_core::error::{ErrorCode, UserError};

use crate::refusal::{disk_full, read_only};

/// A failure to store or read a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// The object store failed.
    #[error("the object store failed: {0}")]
    Objects(#[from] object_store::Error),
    /// A blocking task died.
    #[error("a background thread died: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl VaultError {
    /// Whether a person has to do something about the disk, after which the same will succeed: make space, or make it
    /// writable.
    pub(crate) fn heals(&self) -> bool {
        self.is_full() || self.is_read_only()
    }

    fn is_full(&self) -> bool {
        matches!(self.io_kind(), Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    fn is_read_only(&self) -> bool {
        matches!(self.io_kind(), Some(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied))
    }

    /// What the system said.
    fn io_kind(&self) -> Option<io::ErrorKind> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Some(error.kind());
            }
            cause = error.source();
        }
        None
    }
}

impl From<VaultError> for UserError {
    fn from(error: VaultError) -> Self {
        tracing::error!(error = %error, "the artifact store failed");
        match error {
            VaultError::Objects(object_store::Error::NotFound { .. }) => {
                Self::new(ErrorCode::UnknownImage, "The picture's file is gone from the hub's store.")
            }
            ref full if full.is_full() => disk_full(),
            ref closed if closed.is_read_only() => read_only(),
            VaultError::Objects(_) => {
                Self::new(ErrorCode::Storage, "The hub's picture store failed.").with_hint("The hub's log says more.")
            }
            VaultError::Thread(_) => Self::new(ErrorCode::Internal, "The hub failed while it handled a picture."),
        }
    }
}
