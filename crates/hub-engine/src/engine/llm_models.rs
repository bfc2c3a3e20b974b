//! What the models of an LLM server can do, for people who choose one for a role.

use futures_util::StreamExt as _;
use hub_core::{
    error::{ErrorCode, UserError},
    ids::LlmServerId,
};
use ollama::{Capability, Model};

use super::{Engine, admin};
use crate::refusal::storage;

/// Models that are looked at one by one where the list does not say what they can do.
const LOOKED_AT_MAX: usize = 60;
/// How many of them at once.
const LOOKED_AT_ONCE: usize = 4;

/// A model that an LLM server lists. `None` = nobody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmModelView {
    /// The name to ask for.
    pub name: String,
    /// Whether it writes text.
    pub writes: Option<bool>,
    /// Whether it sees pictures.
    pub sees: Option<bool>,
}

impl Engine {
    /// The models that an LLM server lists, in its order, with what they can do.
    ///
    /// # Errors
    /// `not_found` when the server does not exist; `llm_unavailable` saying why it does not answer.
    pub async fn llm_models_told(&self, id: LlmServerId) -> Result<Vec<LlmModelView>, UserError> {
        let rows = self.store().llm_server_list().await.map_err(storage)?;
        let row =
            rows.into_iter().find(|row| row.id == id).ok_or_else(|| admin::gone("LLM server", &id.to_string()))?;
        let unavailable = |why: String| UserError::new(ErrorCode::LlmUnavailable, format!("`{}`: {why}.", row.name));
        let client = self.ctx().llm.client(&row).await.map_err(|failure| unavailable(failure.to_string()))?;
        let models = client.models().await.map_err(|error| unavailable(error.to_string()))?;
        let told = futures_util::stream::iter(models.into_iter().enumerate()).map(|(at, model)| {
            let client = client.clone();
            async move {
                let Model { name, mut capabilities, .. } = model;
                if capabilities.is_none() && at < LOOKED_AT_MAX {
                    // OpenAI-compatible servers do not describe their models: that is no fault of theirs.
                    capabilities = client.show(&name).await.ok().map(|details| details.capabilities);
                }
                let can = |what: &Capability| capabilities.as_ref().map(|all| all.contains(what));
                LlmModelView { writes: can(&Capability::Completion), sees: can(&Capability::Vision), name }
            }
        });
        Ok(told.buffered(LOOKED_AT_ONCE).collect().await)
    }
}
