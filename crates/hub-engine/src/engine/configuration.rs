//! The whole configuration as a file, of a hub that runs.

use hub_core::error::UserError;

use super::Engine;
use crate::{ExportOptions, ImportOptions, ImportReport, configuration};

impl Engine {
    /// See [`configuration::export`].
    ///
    /// # Errors
    /// As there.
    pub async fn config_export(&self, options: ExportOptions) -> Result<String, UserError> {
        configuration::export(self.store(), options).await
    }

    /// See [`configuration::import`]; sessions and catalogue follow at once.
    ///
    /// # Errors
    /// As there.
    pub async fn config_import(&self, bytes: &[u8], options: &ImportOptions) -> Result<ImportReport, UserError> {
        let report = configuration::import(self.store(), bytes, options).await?;
        if !options.dry_run {
            self.ctx().llm.forget();
            self.servers_changed().await?;
            super::weights::apply(self.ctx(), &self.inner.background).await?;
        }
        Ok(report)
    }
}
