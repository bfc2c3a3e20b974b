//! Workflows: importing one, looking at one, choosing its slots, going back to an older version.

use comfyui::workflow::{Found, Graph};
use hub_core::{
    catalogue::Workflow,
    error::{ErrorCode, UserError},
    ids::WorkflowId,
};
use hub_store::WorkflowDeletion;
use serde_json::Value;

use super::{Engine, admin::gone, checks};
use crate::{ImportedWorkflow, NodeView, catalogue::Runnable, import, refusal::storage, views};

impl Engine {
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

    /// The workflow that a file holds, as text that can be imported in its place; `None` where it holds none.
    pub fn workflow_text(&self, bytes: &[u8]) -> Option<String> {
        import::text_of(bytes)
    }

    /// Same as [`Engine::workflow_import`], from JSON already parsed.
    ///
    /// # Errors
    /// As there.
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

    /// A stored workflow with its slots and problems in words.
    pub fn workflow_view(&self, workflow: Workflow) -> ImportedWorkflow {
        let Runnable { workflow, slots, .. } = Runnable::new(workflow);
        import::imported(workflow, &slots)
    }

    /// The nodes of a stored workflow, for people who look at it.
    pub fn workflow_nodes(&self, workflow: &Workflow) -> Vec<NodeView> {
        views::graph::nodes_of(workflow)
    }

    /// Every kind of slot a workflow can have.
    pub fn slot_kinds(&self) -> Vec<String> {
        import::slot_kinds()
    }

    /// The places that each kind of slot could have in a workflow: the kind, and `node.input` of each. Nothing of
    /// a graph that does not read.
    pub fn slot_places(&self, workflow: &Workflow) -> Vec<(String, Vec<String>)> {
        Graph::parse(&workflow.graph).map(|graph| import::places(&graph)).unwrap_or_default()
    }

    /// Whether a slot of this kind can be at `node.input`, or at a node for an output.
    ///
    /// # Errors
    /// `bad_argument` saying why not; `workflow_invalid` of a graph that does not read.
    pub fn slot_check(&self, workflow: &Workflow, kind: &str, place: &str) -> Result<(), UserError> {
        let runnable = Runnable::new(workflow.clone());
        let pair = (kind.to_owned(), place.to_owned());
        import::chosen(&read_graph(workflow)?, &runnable.slots, &[pair]).map(drop)
    }

    /// Stores a workflow's newest version anew with the slots that a person chose: pairs of kind and
    /// `node.input`, or the node alone for an output. `base` is the version that the person looked at.
    ///
    /// # Errors
    /// `not_found`; `changed` when there is a newer version than `base`; `bad_argument` naming the slot
    /// that cannot be there; `storage`.
    pub async fn workflow_choose_slots(
        &self,
        base: WorkflowId,
        pairs: &[(String, String)],
    ) -> Result<ImportedWorkflow, UserError> {
        let found = self.store().workflow_get(base).await.map_err(storage)?;
        let workflow = found.ok_or_else(|| gone("workflow", &base.to_string()))?;
        let newest = self.store().workflow_latest(&workflow.name).await.map_err(storage)?;
        if newest.is_some_and(|newest| newest.id != base) {
            let message = format!("The workflow `{}` has a newer version than the one you looked at.", workflow.name);
            return Err(UserError::new(ErrorCode::Changed, message).with_hint("Open the newest version and try again."));
        }
        let graph = read_graph(&workflow)?;
        let runnable = Runnable::new(workflow);
        let slots = import::chosen(&graph, &runnable.slots, pairs)?;
        let (name, description) = (&runnable.workflow.name, &runnable.workflow.description);
        let stored = import::store(self.store(), name, &graph, &slots, description).await?;
        self.reload().await?;
        Ok(stored)
    }

    /// Makes an older version the newest again: as a new version with the same graph and slots.
    ///
    /// # Errors
    /// `not_found`; `storage`.
    pub async fn workflow_restore(&self, name: &str, version: u32) -> Result<ImportedWorkflow, UserError> {
        let older = self.store().workflow_version(name, version).await.map_err(storage)?;
        let older = older.ok_or_else(|| gone("workflow", &format!("{name}` version `{version}")))?;
        let inserted = self.store().workflow_insert(name, &older.graph, &older.slots, &older.description).await;
        let workflow = inserted.map_err(storage)?;
        self.reload().await?;
        Ok(self.workflow_view(workflow))
    }

    /// Deletes a workflow with all its versions.
    ///
    /// # Errors
    /// `not_found`; `conflict` naming the render types that run it, or how many unfinished jobs do;
    /// `storage`.
    pub async fn workflow_delete(&self, name: &str) -> Result<(), UserError> {
        match self.store().workflow_delete(name).await.map_err(storage)? {
            WorkflowDeletion::Done => self.reload().await,
            WorkflowDeletion::Unknown => Err(gone("workflow", name)),
            WorkflowDeletion::UsedByRenderTypes(users) => {
                let message = format!("The workflow `{name}` is run by the render types {}.", users.join(", "));
                Err(UserError::new(ErrorCode::Conflict, message).with_hint("Delete or change those first."))
            }
            WorkflowDeletion::UsedByJobs(jobs) => {
                let message = format!("The workflow `{name}` is run by {jobs} unfinished jobs.");
                Err(UserError::new(ErrorCode::Conflict, message).with_hint("Wait for them to end, or cancel them."))
            }
        }
    }
}

fn read_graph(workflow: &Workflow) -> Result<Graph, UserError> {
    Graph::parse(&workflow.graph).map_err(|error| {
        UserError::new(ErrorCode::WorkflowInvalid, format!("The stored graph does not read: {error}."))
    })
}
