//! What administrators change: servers, LLM servers, render types, styles, settings. Each change is
//! stored, then the background and the catalogue are told, then it is answered.

use std::sync::Arc;

use hub_core::{
    catalogue::{RenderType, Style},
    error::{ErrorCode, UserError},
    ids::{LlmServerId, RenderTypeId, ServerId, StyleId},
    server::{BaseUrl, LlmDialect, LlmServer, NewServer, SecretSource, Server},
    suggest,
};
use serde_json::Value;

use super::{Engine, checks};
use crate::{EngineConfig, ServerView, SettingView, catalogue::Runnable, checkup, import, refusal::storage, seed};

impl Engine {
    // ---- servers ----

    /// All servers, with their live state.
    pub fn servers(&self) -> Vec<ServerView> {
        self.inner.background.servers()
    }

    /// Adds a server and opens a session with it.
    ///
    /// # Errors
    /// `bad_argument`; `conflict` naming the server that has the name or address; `storage`.
    pub async fn server_add(&self, mut new: NewServer) -> Result<Server, UserError> {
        new.name = checks::name(&new.name)?;
        checks::new_server(&new)?;
        match self.store().server_insert(&new).await {
            Ok(server) => {
                self.servers_changed().await?;
                Ok(server)
            }
            Err(error) => Err(self.server_refused(error).await),
        }
    }

    /// Changes a server; its session follows.
    ///
    /// # Errors
    /// `not_found`; `bad_argument`; `conflict` naming the server that has the name or address; `storage`.
    pub async fn server_update(&self, mut server: Server) -> Result<Server, UserError> {
        server.name = checks::name(&server.name)?;
        checks::server(&server)?;
        match self.store().server_update(&server).await {
            Ok(true) => {
                self.servers_changed().await?;
                Ok(server)
            }
            Ok(false) => Err(gone("server", &server.name)),
            Err(error) => Err(self.server_refused(error).await),
        }
    }

    /// Deletes a server. Jobs that it ran keep its name.
    ///
    /// # Errors
    /// `not_found`; `storage`.
    pub async fn server_delete(&self, id: ServerId) -> Result<(), UserError> {
        if !self.store().server_delete(id).await.map_err(storage)? {
            return Err(gone("server", &id.to_string()));
        }
        self.servers_changed().await
    }

    pub(super) async fn servers_changed(&self) -> Result<(), UserError> {
        // The catalogue first: it counts the servers that a plan needs.
        self.reload().await?;
        self.inner.background.servers_changed().await
    }

    // ---- LLM servers ----

    /// Adds an LLM server. It is used once a role is assigned to it.
    ///
    /// # Errors
    /// `bad_argument`; `conflict` when the name is taken; `storage`.
    pub async fn llm_server_add(
        &self,
        name: &str,
        base_url: BaseUrl,
        dialect: LlmDialect,
        api_key: Option<SecretSource>,
    ) -> Result<LlmServer, UserError> {
        let name = name.to_owned();
        let id = LlmServerId::new();
        self.llm_server_create(LlmServer { id, name, base_url, dialect, api_key, gpu: None, enabled: true }).await
    }

    /// Adds an LLM server as it is given, under the id it has.
    ///
    /// # Errors
    /// `bad_argument`; `conflict` when the name is taken; `storage`.
    pub async fn llm_server_create(&self, mut server: LlmServer) -> Result<LlmServer, UserError> {
        server.name = checks::name(&server.name)?;
        checks::llm_server(&server)?;
        self.store().llm_server_insert(&server).await.map_err(storage)?;
        self.reload().await?;
        Ok(server)
    }

    /// Changes an LLM server.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the name is taken; `storage`.
    pub async fn llm_server_update(&self, mut server: LlmServer) -> Result<LlmServer, UserError> {
        server.name = checks::name(&server.name)?;
        checks::llm_server(&server)?;
        if !self.store().llm_server_update(&server).await.map_err(storage)? {
            return Err(gone("LLM server", &server.name));
        }
        self.ctx().llm.forget();
        self.reload().await?;
        Ok(server)
    }

    /// Deletes it and detaches it from its roles; templates and settings stay.
    ///
    /// # Errors
    /// `not_found`; `storage`.
    pub async fn llm_server_delete(&self, id: LlmServerId) -> Result<(), UserError> {
        if !self.store().llm_server_delete(id).await.map_err(storage)? {
            return Err(gone("LLM server", &id.to_string()));
        }
        self.ctx().llm.forget();
        self.reload().await
    }

    /// Names of the models that an LLM server lists.
    ///
    /// # Errors
    /// `not_found` when the server does not exist; `llm_unavailable` saying why it does not answer.
    pub async fn llm_models(&self, id: LlmServerId) -> Result<Vec<String>, UserError> {
        let rows = self.store().llm_server_list().await.map_err(storage)?;
        let row = rows.into_iter().find(|row| row.id == id).ok_or_else(|| gone("LLM server", &id.to_string()))?;
        let unavailable = |why: String| UserError::new(ErrorCode::LlmUnavailable, format!("`{}`: {why}.", row.name));
        let client = self.ctx().llm.client(&row).await.map_err(|failure| unavailable(failure.to_string()))?;
        let models = client.models().await.map_err(|error| unavailable(error.to_string()))?;
        Ok(models.into_iter().map(|model| model.name).collect())
    }

    // ---- settings ----

    /// Limits and policies in force now, from memory.
    pub fn settings(&self) -> Arc<EngineConfig> {
        self.ctx().settings.now()
    }

    /// All settings, with where their values come from and what is valid.
    pub async fn setting_list(&self) -> Vec<SettingView> {
        self.ctx().settings.list().await
    }

    /// Changes settings by key, all or none; `null` takes back what was stored. `replace`: what is not named is
    /// taken back too. `expected` is given the settings as they are and may refuse.
    ///
    /// # Errors
    /// What `expected` refuses; `bad_argument` naming the key and what is valid; `conflict` for a key that the
    /// environment sets; `storage`.
    pub async fn settings_change(
        &self,
        changes: &serde_json::Map<String, Value>,
        replace: bool,
        expected: impl FnOnce(&[SettingView]) -> Result<(), UserError>,
    ) -> Result<Vec<SettingView>, UserError> {
        let before = self.settings().answers.wait_s;
        let views = self.ctx().settings.change(self.store(), changes, replace, expected).await?;
        if self.settings().answers.wait_s != before {
            // The tools' schemas tell how long a call waits: whoever holds a list of them is to read it anew.
            self.reload().await?;
        }
        Ok(views)
    }

    // ---- render types and styles ----

    /// Adds or changes a render type; checks that its workflow exists and has the slots its mode needs.
    ///
    /// # Errors
    /// `bad_argument`, `workflow_invalid` naming what is missing; `storage`.
    pub async fn render_type_save(&self, mut render_type: RenderType) -> Result<RenderType, UserError> {
        render_type.name = checks::name(&render_type.name)?;
        checks::render_type(&render_type)?;
        let runnable = self.runnable(&render_type).await?;
        import::check_mode(&runnable.workflow, &runnable.slots, render_type.mode)?;
        self.store().render_type_save(&render_type).await.map_err(storage)?;
        self.reload().await?;
        Ok(render_type)
    }

    pub(super) async fn runnable(&self, render_type: &RenderType) -> Result<Runnable, UserError> {
        let name = &render_type.workflow;
        let found = match render_type.workflow_version {
            Some(version) => self.store().workflow_version(name, version).await,
            None => self.store().workflow_latest(name).await,
        };
        if let Some(workflow) = found.map_err(storage)? {
            return Ok(Runnable::new(workflow));
        }
        let version = render_type.workflow_version.map(|version| format!(" version {version}")).unwrap_or_default();
        let error = UserError::argument("workflow", format!("There is no workflow `{name}`{version}."));
        let known = self.store().workflow_list().await.map_err(storage)?;
        let names = || known.iter().map(|workflow| workflow.name.as_str());
        let error = match suggest::nearest(name, names()) {
            Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
            None => error.with_hint("Import it first."),
        };
        Err(error.with_valid(names()))
    }

    /// Deletes a render type.
    ///
    /// # Errors
    /// `not_found`; `storage`.
    pub async fn render_type_delete(&self, id: RenderTypeId) -> Result<(), UserError> {
        if !self.store().render_type_delete(id).await.map_err(storage)? {
            return Err(gone("render type", &id.to_string()));
        }
        self.reload().await
    }

    /// Adds or changes a style.
    ///
    /// # Errors
    /// `bad_argument`; `conflict` when the name is taken; `storage`.
    pub async fn style_save(&self, mut style: Style) -> Result<Style, UserError> {
        style.name = checks::name(&style.name)?;
        checks::style(&style)?;
        self.store().style_save(&style).await.map_err(storage)?;
        self.reload().await?;
        Ok(style)
    }

    /// Deletes a style.
    ///
    /// # Errors
    /// `not_found`; `storage`.
    pub async fn style_delete(&self, id: StyleId) -> Result<(), UserError> {
        if !self.store().style_delete(id).await.map_err(storage)? {
            return Err(gone("style", &id.to_string()));
        }
        self.reload().await
    }

    /// Fills an empty catalogue from the seed files: `workflows` = (toml, json) pairs, `styles` and
    /// `render_types` = their TOML. Does nothing once it has been done.
    ///
    /// # Errors
    /// `internal` naming the seed file that does not read; `storage`.
    pub async fn seed_catalogue(
        &self,
        workflows: &[(&str, &str)],
        styles: &str,
        render_types: &str,
    ) -> Result<(), UserError> {
        if seed::seed(self.store(), workflows, styles, render_types).await? {
            self.reload().await?;
        }
        Ok(())
    }

    /// Checks for `doctor`: each line is (what, Ok(detail) | Err(what to do)).
    pub async fn checkup(&self) -> Vec<(String, Result<String, String>)> {
        checkup::run(self.ctx(), &self.servers()).await
    }

    pub(super) async fn reload(&self) -> Result<(), UserError> {
        self.ctx().catalogue.reload(self.store()).await
    }
}

pub(super) fn gone(what: &str, which: &str) -> UserError {
    UserError::new(ErrorCode::NotFound, format!("There is no {what} `{which}` (any more)."))
}
