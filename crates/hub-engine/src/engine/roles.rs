//! What LLMs do for the hub: who plays which role, and what each role is told.

use hub_core::{
    error::UserError,
    server::{LlmAssignment, LlmRole},
};
use hub_store::StoreError;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Engine, checks,
    edits::{EDIT_TRIES, contended},
};
use crate::{
    DescribeTemplates, EnhanceTemplates, PromptGeneratorSettings, describe, plan::enhance, prompt_generator,
    refusal::storage,
};

impl Engine {
    /// Assigns a role to a server and model; `None` switches the role off.
    ///
    /// # Errors
    /// `not_found` when the server does not exist; `storage`.
    pub async fn llm_assign(&self, role: LlmRole, to: Option<LlmAssignment>) -> Result<(), UserError> {
        self.llm_assign_if(role, to, |_| Ok(())).await
    }

    /// The same, where `expected` is given who plays it now and may refuse.
    ///
    /// # Errors
    /// What `expected` refuses; as [`Engine::llm_assign`].
    pub async fn llm_assign_if(
        &self,
        role: LlmRole,
        to: Option<LlmAssignment>,
        expected: impl Fn(Option<&LlmAssignment>) -> Result<(), UserError>,
    ) -> Result<(), UserError> {
        for _ in 0..EDIT_TRIES {
            let before = self.store().llm_assignment(role).await.map_err(storage)?;
            expected(before.as_ref())?;
            if self.store().llm_assignment_swap(role, before.as_ref(), to.as_ref()).await.map_err(storage)? {
                self.ctx().llm.forget();
                return self.reload().await;
            }
        }
        Err(contended())
    }

    /// Gives a role to somebody when nobody plays it. Answers whether it was given.
    ///
    /// # Errors
    /// As [`Engine::llm_assign`].
    pub(super) async fn llm_assign_free(&self, role: LlmRole, to: &LlmAssignment) -> Result<bool, UserError> {
        let given = self.store().llm_assignment_swap(role, None, Some(to)).await.map_err(storage)?;
        if given {
            self.ctx().llm.forget();
            self.reload().await?;
        }
        Ok(given)
    }

    /// Instructions for descriptions, as changed or as shipped.
    ///
    /// # Errors
    /// `storage`.
    pub async fn describe_templates(&self) -> Result<DescribeTemplates, UserError> {
        self.setting(describe::TEMPLATES_SETTING).await
    }

    /// Changes the instructions for descriptions: `edit` is given them as they are and answers what they shall be.
    ///
    /// # Errors
    /// What `edit` refuses; `bad_argument` naming the template; `storage`.
    pub async fn describe_templates_edit(
        &self,
        edit: impl Fn(&DescribeTemplates) -> Result<DescribeTemplates, UserError>,
    ) -> Result<DescribeTemplates, UserError> {
        let checked = |now: &DescribeTemplates| {
            let after = edit(now)?;
            after.check().map(|()| after)
        };
        self.setting_edit(describe::TEMPLATES_SETTING, checked).await
    }

    /// Instructions for enhancement, as changed or as shipped.
    ///
    /// # Errors
    /// `storage`.
    pub async fn enhance_templates(&self) -> Result<EnhanceTemplates, UserError> {
        self.setting(enhance::TEMPLATES_SETTING).await
    }

    /// Changes the instructions for enhancement; see [`Engine::describe_templates_edit`].
    ///
    /// # Errors
    /// What `edit` refuses; `bad_argument` naming what is too long; `storage`.
    pub async fn enhance_templates_edit(
        &self,
        edit: impl Fn(&EnhanceTemplates) -> Result<EnhanceTemplates, UserError>,
    ) -> Result<EnhanceTemplates, UserError> {
        let checked = |now: &EnhanceTemplates| {
            let after = edit(now)?;
            checks::text("prompt", &after.prompt)?;
            checks::text("negative", &after.negative)?;
            Ok(after)
        };
        self.setting_edit(enhance::TEMPLATES_SETTING, checked).await
    }

    /// How prompts are generated.
    ///
    /// # Errors
    /// `storage`.
    pub async fn prompt_generator(&self) -> Result<PromptGeneratorSettings, UserError> {
        self.setting(prompt_generator::SETTING).await
    }

    /// Changes how prompts are generated; see [`Engine::describe_templates_edit`].
    ///
    /// # Errors
    /// What `edit` refuses; `bad_argument` naming the setting and what it may be; `storage`.
    pub async fn prompt_generator_edit(
        &self,
        edit: impl Fn(&PromptGeneratorSettings) -> Result<PromptGeneratorSettings, UserError>,
    ) -> Result<PromptGeneratorSettings, UserError> {
        let catalogue = self.catalogue();
        let checked = |now: &PromptGeneratorSettings| {
            let after = edit(now)?;
            after.check(&catalogue).map(|()| after)
        };
        let changed = self.setting_edit(prompt_generator::SETTING, checked).await?;
        self.reload().await?;
        Ok(changed)
    }

    async fn setting<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, UserError> {
        Ok(self.store().setting_get(key).await.map_err(storage)?.unwrap_or_default())
    }

    /// Reads, changes and writes in one step; when another editor was quicker, once more on what that one left. What
    /// is stored and cannot be read is replaced by a reset alone.
    pub(super) async fn setting_edit<T>(
        &self,
        key: &str,
        edit: impl Fn(&T) -> Result<T, UserError>,
    ) -> Result<T, UserError>
    where
        T: Default + DeserializeOwned + PartialEq + Serialize + Send + Sync,
    {
        for _ in 0..EDIT_TRIES {
            let stored: Option<T> = match self.store().setting_get(key).await {
                Err(error @ StoreError::Inconsistency { .. }) => {
                    let after = edit(&T::default())?;
                    if after != T::default() {
                        return Err(storage(error));
                    }
                    if self.store().setting_mend(key, &after).await.map_err(storage)? {
                        return Ok(after);
                    }
                    // Somebody else has mended it meanwhile.
                    continue;
                }
                found => found.map_err(storage)?,
            };
            let after = match &stored {
                Some(before) => edit(before)?,
                None => edit(&T::default())?,
            };
            if self.store().setting_swap(key, stored.as_ref(), &after).await.map_err(storage)? {
                return Ok(after);
            }
        }
        Err(contended())
    }
}
