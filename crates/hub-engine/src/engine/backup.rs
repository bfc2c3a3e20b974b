//! A backup of a hub that runs, and whether its files can be had.

use hub_core::error::{ErrorCode, UserError};

use super::Engine;
use crate::backup::{self, BackupStream};

impl Engine {
    /// Begins a backup, of which there is one at a time; see [`backup::stream`].
    ///
    /// # Errors
    /// `conflict` while another is made; else as there.
    pub async fn backup(&self, program: &str) -> Result<BackupStream, UserError> {
        let one = self.ctx().backups.clone().try_acquire_owned().map_err(|_| {
            UserError::new(ErrorCode::Conflict, "A backup is being made already.")
                .with_hint("Wait until it is done.")
                .with_retry_after_s(60)
        })?;
        backup::stream(self.store(), self.ctx().vault.objects(), program, one).await
    }

    /// Writes, reads and deletes a small file in the picture store.
    ///
    /// # Errors
    /// `storage` when it cannot.
    pub async fn objects_probe(&self) -> Result<(), UserError> {
        Ok(self.ctx().vault.probe().await?)
    }
}
