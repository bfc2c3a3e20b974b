//! From an empty hub to its first picture: what is near, whether a new server works, a render type for a model
//! that the server has.

use std::{collections::HashSet, time::Duration};

use comfyui::workflow::{Graph, SlotKind};
use hub_core::{
    catalogue::RenderType,
    error::{ErrorCode, UserError},
    ids::{RenderTypeId, ServerId},
    limits,
    server::{LlmAssignment, LlmRole, ServerState},
};
use serde_json::Value;
use tokio::time::Instant;

use super::{Engine, admin::gone};
use crate::{
    InventoryState, ModelSource, Nearby, ServerView, import, model_sources, nearby,
    refusal::{conflict, storage},
};

/// How often is looked whether a server's first answers are there.
const SETTLING_PAUSE: Duration = Duration::from_millis(40);

impl Engine {
    /// Looks for ComfyUI and Ollama where they usually listen (see `EngineConfig::usual_places`), all at once; answers
    /// after `patience` at the latest with what was found until then, by default after 1.5 s, when the time of all
    /// places is over. Nothing is stored.
    pub async fn look_nearby(&self, patience: Option<Duration>) -> Nearby {
        let places = &self.config().usual_places;
        // A little more than a place has: it is over then.
        let patience = patience.unwrap_or(nearby::LIMIT * 2);
        self.ctx().lookout.look(places, patience, &self.ctx().tasks).await
    }

    /// Where the model files of the shipped workflows come from.
    ///
    /// # Errors
    /// `internal` when the shipped list does not read.
    pub fn model_sources(&self) -> Result<Vec<ModelSource>, UserError> {
        model_sources::known()
    }

    /// A server once it has told what it is and what it has, or failed, or `limit` has passed. `None`: there is none.
    pub async fn server_settled(&self, id: ServerId, limit: Duration) -> Option<ServerView> {
        let end = Instant::now() + limit;
        loop {
            let view = self.servers().into_iter().find(|view| view.id() == id)?;
            let told = view.live.inventory.state != InventoryState::Unknown || view.live.inventory.problem.is_some();
            let settled = match view.state {
                ServerState::Connecting => false,
                state if state.takes_work() => told,
                _ => true,
            };
            if settled || Instant::now() >= end {
                return Some(view);
            }
            tokio::time::sleep(SETTLING_PAUSE).await;
        }
    }

    /// Gives an LLM server the roles that nobody plays: those that need text and, when `sees`, that of describing.
    /// Answers the roles given.
    ///
    /// # Errors
    /// `not_found` when the server does not exist; `storage`.
    pub async fn llm_take_free_roles(
        &self,
        server: hub_core::ids::LlmServerId,
        sees: bool,
    ) -> Result<Vec<LlmRole>, UserError> {
        let to = LlmAssignment { server, model: None };
        let mut given = Vec::new();
        for role in LlmRole::ALL {
            let wanted = sees || role != LlmRole::Describe;
            if wanted && self.llm_assign_free(role, &to).await? {
                given.push(role);
            }
        }
        Ok(given)
    }

    /// Makes a render type like another one, with another model file in the place of its checkpoint: for servers
    /// that have a like model under another name. It becomes the default of its mode.
    ///
    /// # Errors
    /// `not_found`; `bad_argument` for a name that is none or a workflow without a checkpoint; `conflict` when there
    /// is a render type or workflow of that name; `storage`.
    pub async fn render_type_for_model(&self, like: RenderTypeId, file: &str) -> Result<RenderType, UserError> {
        let catalogue = self.catalogue();
        let like = catalogue.render_types.iter().find(|row| row.id == like);
        let like = like.ok_or_else(|| UserError::argument("like", "The render type is not there (any more)."))?;
        let file = file.trim();
        if file.is_empty() || file.chars().count() > limits::NAME_MAX_CHARS || file.chars().any(char::is_control) {
            return Err(UserError::argument("file", "Choose one of the server's model files."));
        }
        let runnable = self.runnable(like).await?;
        let name = stem(file);
        let workflows = self.store().workflow_list().await.map_err(storage)?;
        if catalogue.render_types.iter().any(|row| row.name == name) || workflows.iter().any(|row| row.name == name) {
            return Err(conflict("file", format!("There is a render type or workflow `{name}` already.")));
        }
        let slot = runnable.slots.get(SlotKind::Checkpoint).ok_or_else(|| {
            UserError::argument("like", format!("The workflow of `{}` has no checkpoint to replace.", like.name))
        })?;
        let mut graph = runnable.workflow.graph.clone();
        for target in &slot.targets {
            let input = graph.get_mut(&target.node_id).and_then(|node| node["inputs"].get_mut(&target.input));
            let input = input.ok_or_else(|| gone("node", &target.node_id))?;
            *input = Value::String(file.to_owned());
        }
        let graph = Graph::parse(&graph).map_err(|error| {
            UserError::new(ErrorCode::WorkflowInvalid, format!("The graph with that model does not read: {error}."))
        })?;
        let description = format!("`{}` with the model {file}.", like.workflow);
        import::store(self.store(), &name, &graph, &runnable.slots, &description).await?;
        let made = RenderType {
            id: RenderTypeId::new(),
            name: name.clone(),
            title: name.clone(),
            workflow: name,
            workflow_version: None,
            is_default: true,
            visible: true,
            ..like.clone()
        };
        self.render_type_save(made).await
    }

    /// The model files with which [`Engine::render_type_for_model`] can work: what servers that take work list as
    /// checkpoints, each once, in order.
    pub fn checkpoints(&self) -> Vec<String> {
        let servers = self.servers().into_iter().filter(|view| view.state.takes_work());
        let files: HashSet<String> =
            servers.filter_map(|view| self.server_files(view.id()).remove("ckpt_name")).flatten().collect();
        let mut files: Vec<String> = files.into_iter().collect();
        files.sort();
        files
    }
}

/// `dream_8` of `sd15/dream_8.safetensors`.
fn stem(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_render_type_is_named_after_the_file_alone() {
        assert_eq!(stem("sd15/dream_8.safetensors"), "dream_8");
        assert_eq!(stem("a\\b\\model.v2.ckpt"), "model.v2");
        assert_eq!(stem("plain"), "plain");
    }
}
