//! What administrators change: servers, LLM servers, workflows, render types, styles. Each change is
//! stored, then the background and the catalogue are told, then it is answered.

use comfyui::workflow::Found;
use hub_core::{
    catalogue::{RenderType, Style},
    error::{ErrorCode, UserError},
    ids::{LlmServerId, RenderTypeId, ServerId, StyleId},
    server::{BaseUrl, LlmAssignment, LlmDialect, LlmRole, LlmServer, NewServer, SecretSource, Server},
    suggest,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Engine, checks};
use crate::{
    DescribeTemplates, EnhanceTemplates, ImportedWorkflow, ServerView, catalogue::Runnable, checkup, describe, import,
    plan::enhance, refusal::storage, seed,
};

impl Engine {
    // ---- servers ----

    /// All servers, with their live state.
    pub fn servers(&self) -> Vec<ServerView> {
        self.inner.background.servers()
    }

    /// Adds a server and opens a session with it.
    ///
    /// # Errors
    /// `bad_argument` when the name or address is taken; `storage`.
    pub async fn server_add(&self, mut new: NewServer) -> Result<Server, UserError> {
        new.name = checks::name(&new.name)?;
        checks::in_flight(new.max_in_flight)?;
        let server = self.store().server_insert(&new).await.map_err(storage)?;
        self.servers_changed().await?;
        Ok(server)
    }

    /// Changes a server; its session follows.
    ///
    /// # Errors
    /// `bad_argument` when it does not exist, or its name or address is taken; `storage`.
    pub async fn server_update(&self, mut server: Server) -> Result<Server, UserError> {
        server.name = checks::name(&server.name)?;
        checks::server(&server)?;
        if !self.store().server_update(&server).await.map_err(storage)? {
            return Err(gone("server", &server.name));
        }
        self.servers_changed().await?;
        Ok(server)
    }

    /// Deletes a server. Jobs that it ran keep its name.
    ///
    /// # Errors
    /// `bad_argument` when it does not exist; `storage`.
    pub async fn server_delete(&self, id: ServerId) -> Result<(), UserError> {
        if !self.store().server_delete(id).await.map_err(storage)? {
            return Err(gone("server", &id.to_string()));
        }
        self.servers_changed().await
    }

    async fn servers_changed(&self) -> Result<(), UserError> {
        // The catalogue first: it counts the servers that a plan needs.
        self.reload().await?;
        self.inner.background.servers_changed().await
    }

    // ---- LLM servers ----

    /// Adds an LLM server. It is used once a role is assigned to it.
    ///
    /// # Errors
    /// `bad_argument` when the name is taken; `storage`.
    pub async fn llm_server_add(
        &self,
        name: &str,
        base_url: BaseUrl,
        dialect: LlmDialect,
        api_key: Option<SecretSource>,
    ) -> Result<LlmServer, UserError> {
        let name = checks::name(name)?;
        self.store().llm_server_insert(&name, &base_url, dialect, api_key.as_ref()).await.map_err(storage)
    }

    /// Changes an LLM server.
    ///
    /// # Errors
    /// `bad_argument` when it does not exist or its name is taken; `storage`.
    pub async fn llm_server_update(&self, mut server: LlmServer) -> Result<LlmServer, UserError> {
        server.name = checks::name(&server.name)?;
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
    /// `bad_argument` when it does not exist; `storage`.
    pub async fn llm_server_delete(&self, id: LlmServerId) -> Result<(), UserError> {
        if !self.store().llm_server_delete(id).await.map_err(storage)? {
            return Err(gone("LLM server", &id.to_string()));
        }
        self.ctx().llm.forget();
        self.reload().await
    }

    /// Assigns a role to a server and model; `None` switches the role off.
    ///
    /// # Errors
    /// `bad_argument` when the server does not exist; `storage`.
    pub async fn llm_assign(&self, role: LlmRole, to: Option<LlmAssignment>) -> Result<(), UserError> {
        self.store().llm_assign(role, to.as_ref()).await.map_err(storage)?;
        self.ctx().llm.forget();
        self.reload().await
    }

    /// Names of the models that an LLM server lists.
    ///
    /// # Errors
    /// `bad_argument` when the server does not exist; `llm_unavailable` saying why it does not answer.
    pub async fn llm_models(&self, id: LlmServerId) -> Result<Vec<String>, UserError> {
        let rows = self.store().llm_server_list().await.map_err(storage)?;
        let row = rows.into_iter().find(|row| row.id == id).ok_or_else(|| gone("LLM server", &id.to_string()))?;
        let unavailable = |why: String| UserError::new(ErrorCode::LlmUnavailable, format!("`{}`: {why}.", row.name));
        let client = self.ctx().llm.client(&row).await.map_err(|failure| unavailable(failure.to_string()))?;
        let models = client.models().await.map_err(|error| unavailable(error.to_string()))?;
        Ok(models.into_iter().map(|model| model.name).collect())
    }

    /// Instructions for descriptions, as changed or as shipped.
    ///
    /// # Errors
    /// `storage`.
    pub async fn describe_templates(&self) -> Result<DescribeTemplates, UserError> {
        self.setting(describe::TEMPLATES_SETTING).await
    }

    /// Changes the instructions for descriptions.
    ///
    /// # Errors
    /// `storage`.
    pub async fn set_describe_templates(&self, templates: &DescribeTemplates) -> Result<(), UserError> {
        self.set_setting(describe::TEMPLATES_SETTING, templates).await
    }

    /// Instructions for enhancement, as changed or as shipped.
    ///
    /// # Errors
    /// `storage`.
    pub async fn enhance_templates(&self) -> Result<EnhanceTemplates, UserError> {
        self.setting(enhance::TEMPLATES_SETTING).await
    }

    /// Changes the instructions for enhancement.
    ///
    /// # Errors
    /// `storage`.
    pub async fn set_enhance_templates(&self, templates: &EnhanceTemplates) -> Result<(), UserError> {
        self.set_setting(enhance::TEMPLATES_SETTING, templates).await
    }

    async fn setting<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, UserError> {
        Ok(self.store().setting_get(key).await.map_err(storage)?.unwrap_or_default())
    }

    async fn set_setting<T: Serialize + Sync>(&self, key: &str, value: &T) -> Result<(), UserError> {
        self.store().setting_set(key, value).await.map_err(storage)
    }

    // ---- workflows ----

    /// Imports a workflow (JSON, wrappers, or a PNG with one inside) as the next version of `name`. One in
    /// ComfyUI's saved format is converted with the node list of a connected server.
    ///
    /// # Errors
    /// `workflow_invalid` saying what to do, naming the nodes that cannot be converted; `storage`.
    pub async fn workflow_import(
        &self,
        name: &str,
        bytes: &[u8],
        description: &str,
    ) -> Result<ImportedWorkflow, UserError> {
        self.store_workflow(name, import::find(bytes)?, description).await
    }

    /// Same, from JSON already parsed.
    ///
    /// # Errors
    /// As [`Engine::workflow_import`].
    pub async fn workflow_import_value(
        &self,
        name: &str,
        graph: &Value,
        description: &str,
    ) -> Result<ImportedWorkflow, UserError> {
        self.store_workflow(name, import::find_in_value(graph)?, description).await
    }

    async fn store_workflow(&self, name: &str, found: Found, description: &str) -> Result<ImportedWorkflow, UserError> {
        let name = checks::name(name)?;
        let (graph, converted) = match found {
            Found::Api(found) => (found.graph, None),
            Found::Ui(ui) => {
                let (graph, conversion) = import::saved::convert(ui, self.inner.background.clients()).await?;
                (graph, Some(conversion))
            }
        };
        let mut imported = import::store(self.store(), &name, &graph, &import::detect(&graph), description).await?;
        imported.converted = converted;
        self.reload().await?;
        Ok(imported)
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

    async fn runnable(&self, render_type: &RenderType) -> Result<Runnable, UserError> {
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
    /// `bad_argument` when it does not exist; `storage`.
    pub async fn render_type_delete(&self, id: RenderTypeId) -> Result<(), UserError> {
        if !self.store().render_type_delete(id).await.map_err(storage)? {
            return Err(gone("render type", &id.to_string()));
        }
        self.reload().await
    }

    /// Adds or changes a style.
    ///
    /// # Errors
    /// `bad_argument` when the name is taken; `storage`.
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
    /// `bad_argument` when it does not exist; `storage`.
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

    async fn reload(&self) -> Result<(), UserError> {
        self.ctx().catalogue.reload(self.store()).await
    }
}

pub(super) fn gone(what: &str, which: &str) -> UserError {
    UserError::new(ErrorCode::BadArgument, format!("There is no {what} `{which}` (any more)."))
}
