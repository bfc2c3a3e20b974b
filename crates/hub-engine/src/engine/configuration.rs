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

    /// See [`configuration::import`]; sessions, catalogue and settings follow at once.
    ///
    /// # Errors
    /// As there.
    pub async fn config_import(&self, bytes: &[u8], options: &ImportOptions) -> Result<ImportReport, UserError> {
        let import = configuration::import(self.store(), bytes, options);
        if options.dry_run {
            return import.await;
        }
        let report = self.ctx().settings.rewritten(self.store(), import).await?;
        self.ctx().llm.forget();
        self.servers_changed().await?;
        super::weights::apply(self.ctx(), &self.inner.background).await?;
        Ok(report)
    }
}
