//! How much of the pool each caller gets.

use hub_core::{caller::CallerWeights, error::UserError};

use super::Engine;
use crate::{background::Background, context::Context, persist};

/// Key of the weights that are stored.
pub(crate) const WEIGHTS_SETTING: &str = "caller_weights";

/// The stored weights; callers without one have that of the configuration.
async fn stored(ctx: &Context) -> Result<CallerWeights, UserError> {
    Ok(persist::user(ctx, || ctx.store.setting_get(WEIGHTS_SETTING)).await?.unwrap_or_default())
}

/// Has the queue follow what is stored and configured.
///
/// # Errors
/// `storage`.
pub(crate) async fn apply(ctx: &Context, background: &Background) -> Result<(), UserError> {
    background.weigh(stored(ctx).await?.or(&ctx.config.caller_weights));
    Ok(())
}

impl Engine {
    /// The weights in force: those that are stored, and for other callers those of the configuration.
    ///
    /// # Errors
    /// `storage`.
    pub async fn caller_weights(&self) -> Result<CallerWeights, UserError> {
        Ok(stored(self.ctx()).await?.or(&self.ctx().config.caller_weights))
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
