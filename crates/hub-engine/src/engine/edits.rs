//! Changes of what is stored, as read, change and write in one step: when another editor was quicker,
//! the change is made again on what that one left, so that neither is lost.

use hub_core::{
    catalogue::{RenderType, Style},
    error::{ErrorCode, UserError},
    ids::{LlmServerId, RenderTypeId, ServerId, StyleId},
    server::{LlmServer, Server},
};
use hub_store::{StoreError, Swapped};

use super::{Engine, admin::gone, checks};
use crate::{
    import,
    refusal::{conflict, storage},
};

/// Tries of one change; each failure means that another editor was quicker.
pub(super) const EDIT_TRIES: usize = 5;

impl Engine {
    /// Changes a server: `edit` is given the server as it is now and answers what it shall be. Its
    /// session follows.
    ///
    /// # Errors
    /// What `edit` refuses; `not_found`; `bad_argument`; `conflict` naming the server that has the name
    /// or address; `storage`.
    pub async fn server_edit(
        &self,
        id: ServerId,
        edit: impl Fn(&Server) -> Result<Server, UserError>,
    ) -> Result<Server, UserError> {
        for _ in 0..EDIT_TRIES {
            let found = self.store().server_get(id).await.map_err(storage)?;
            let before = found.ok_or_else(|| gone("server", &id.to_string()))?;
            let mut after = edit(&before)?;
            after.name = checks::name(&after.name)?;
            checks::server(&after)?;
            match self.store().server_swap(&before, &after).await {
                Ok(Swapped::Done) => {
                    self.servers_changed().await?;
                    return Ok(after);
                }
                Ok(Swapped::Gone) => return Err(gone("server", &id.to_string())),
                Ok(Swapped::Changed) => {}
                Err(error) => return Err(self.server_refused(error).await),
            }
        }
        Err(contended())
    }

    /// Changes an LLM server; see [`Engine::server_edit`].
    ///
    /// # Errors
    /// What `edit` refuses; `not_found`; `bad_argument`; `conflict` when the name is taken; `storage`.
    pub async fn llm_server_edit(
        &self,
        id: LlmServerId,
        edit: impl Fn(&LlmServer) -> Result<LlmServer, UserError>,
    ) -> Result<LlmServer, UserError> {
        for _ in 0..EDIT_TRIES {
            let rows = self.store().llm_server_list().await.map_err(storage)?;
            let before =
                rows.into_iter().find(|row| row.id == id).ok_or_else(|| gone("LLM server", &id.to_string()))?;
            let mut after = edit(&before)?;
            after.name = checks::name(&after.name)?;
            checks::llm_server(&after)?;
            match self.store().llm_server_swap(&before, &after).await.map_err(storage)? {
                Swapped::Done => {
                    self.ctx().llm.forget();
                    self.reload().await?;
                    return Ok(after);
                }
                Swapped::Gone => return Err(gone("LLM server", &id.to_string())),
                Swapped::Changed => {}
            }
        }
        Err(contended())
    }

    /// Changes a style; see [`Engine::server_edit`].
    ///
    /// # Errors
    /// What `edit` refuses; `not_found`; `bad_argument`; `conflict` when the name is taken; `storage`.
    pub async fn style_edit(
        &self,
        id: StyleId,
        edit: impl Fn(&Style) -> Result<Style, UserError>,
    ) -> Result<Style, UserError> {
        for _ in 0..EDIT_TRIES {
            let rows = self.store().style_list().await.map_err(storage)?;
            let before = rows.into_iter().find(|row| row.id == id).ok_or_else(|| gone("style", &id.to_string()))?;
            let mut after = edit(&before)?;
            after.name = checks::name(&after.name)?;
            checks::style(&after)?;
            match self.store().style_swap(&before, &after).await.map_err(storage)? {
                Swapped::Done => {
                    self.reload().await?;
                    return Ok(after);
                }
                Swapped::Gone => return Err(gone("style", &id.to_string())),
                Swapped::Changed => {}
            }
        }
        Err(contended())
    }

    /// Changes a render type; see [`Engine::server_edit`]. Whether its workflow can run it is checked where that
    /// changes, or where callers are led to it: one whose workflow is broken can still be hidden.
    ///
    /// # Errors
    /// What `edit` refuses; `not_found`; `bad_argument`; `workflow_invalid` naming what is missing;
    /// `conflict` when the name is taken; `storage`.
    pub async fn render_type_edit(
        &self,
        id: RenderTypeId,
        edit: impl Fn(&RenderType) -> Result<RenderType, UserError>,
    ) -> Result<RenderType, UserError> {
        for _ in 0..EDIT_TRIES {
            let rows = self.store().render_type_list().await.map_err(storage)?;
            let before =
                rows.into_iter().find(|row| row.id == id).ok_or_else(|| gone("render type", &id.to_string()))?;
            let mut after = edit(&before)?;
            after.name = checks::name(&after.name)?;
            checks::render_type(&after)?;
            if must_run(&before, &after) {
                let runnable = self.runnable(&after).await?;
                import::check_mode(&runnable.workflow, &runnable.slots, after.mode)?;
            }
            match self.store().render_type_swap(&before, &after).await.map_err(storage)? {
                Swapped::Done => {
                    self.reload().await?;
                    return Ok(after);
                }
                Swapped::Gone => return Err(gone("render type", &id.to_string())),
                Swapped::Changed => {}
            }
        }
        Err(contended())
    }

    /// The store's refusal of a server, naming the one that has what was wanted.
    pub(super) async fn server_refused(&self, error: StoreError) -> UserError {
        let (argument, wanted) = match &error {
            StoreError::NameTaken { name } => ("name", name.clone()),
            StoreError::UrlTaken { url } => ("base_url", url.clone()),
            _ => return storage(error),
        };
        let servers = match self.store().server_list().await {
            Ok(servers) => servers,
            Err(error) => return storage(error),
        };
        match servers.into_iter().find(|row| row.name == wanted || row.base_url.to_string() == wanted) {
            Some(holder) if argument == "name" => {
                conflict(argument, format!("The name `{wanted}` belongs to {} at {}.", holder.id, holder.base_url))
                    .with_hint("Choose another name, or change that server.")
            }
            Some(holder) => conflict(
                argument,
                format!("The address {wanted} belongs to the server `{}`, {}.", holder.name, holder.id),
            )
            .with_hint("One address is one server: change that one, or delete it first."),
            // It was deleted in between: trying again will do.
            None => storage(error),
        }
    }
}

/// Whether a change makes a render type run another way, or leads callers to it who were not led there before.
fn must_run(before: &RenderType, after: &RenderType) -> bool {
    let runs_alike = before.workflow == after.workflow
        && before.workflow_version == after.workflow_version
        && before.mode == after.mode;
    !runs_alike || (after.visible && !before.visible) || (after.is_default && !before.is_default)
}

pub(super) fn contended() -> UserError {
    UserError::new(ErrorCode::Conflict, "Others change it all the time; nothing was written.").with_retry_after_s(1)
}
