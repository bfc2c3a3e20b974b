//! How much of the pool each caller gets.

use hub_core::{caller::CallerWeights, error::UserError};

use super::Engine;
use crate::{background::Background, context::Context, persist};

/// Key of the weights that are stored.
pub(crate) const WEIGHTS_SETTING: &str = "caller_weights";

/// The stored weights.
async fn stored(ctx: &Context) -> Result<CallerWeights, UserError> {
    Ok(persist::user(ctx, || ctx.store.setting_get(WEIGHTS_SETTING)).await?.unwrap_or_default())
}

/// Those that are stored, for other callers those of their keys, and for the rest those of the configuration.
async fn in_force(ctx: &Context) -> Result<CallerWeights, UserError> {
    Ok(stored(ctx).await?.or(&ctx.callers.weights()).or(&ctx.config.caller_weights))
}

/// Has the queue follow what is stored and configured.
///
/// # Errors
/// `storage`.
pub(crate) async fn apply(ctx: &Context, background: &Background) -> Result<(), UserError> {
    background.weigh(in_force(ctx).await?);
    Ok(())
}

impl Engine {
    /// The weights in force: those that are stored, for other callers those of their keys, and for the rest those
    /// of the configuration.
    ///
    /// # Errors
    /// `storage`.
    pub async fn caller_weights(&self) -> Result<CallerWeights, UserError> {
        in_force(self.ctx()).await
    }

    /// Stores weights instead of those stored before. They count at once, for what waits too.
    ///
    /// # Errors
    /// `storage`.
    pub async fn set_caller_weights(&self, weights: &CallerWeights) -> Result<(), UserError> {
        let ctx = self.ctx();
        persist::user(ctx, || ctx.store.setting_set(WEIGHTS_SETTING, weights)).await?;
        apply(ctx, &self.inner.background).await
    }
}
