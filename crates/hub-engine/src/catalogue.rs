//! The catalogue in memory: one immutable snapshot, replaced as a whole when a row changed.
//!
//! Planning and tool schemas read only the snapshot; SQL is read by [`CatalogueHolder::reload`] alone,
//! once per change. Invariant: versions only grow, and whoever sees version N sees at least what was
//! stored when N was announced.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use comfyui::workflow::{
    Graph, SlotKind, Slots, Target,
    files::{ModelFile, Needs, model_files},
};
use hub_core::{
    catalogue::{Catalogue, Mode, RenderType, Workflow},
    error::{ErrorCode, UserError},
    ids::{RenderTypeId, WorkflowId},
    request::ImageRequest,
    server::{LlmRole, LlmServer},
};
use hub_schedule::ModelSet;
use hub_store::Store;
use serde::Deserialize as _;
use tokio::sync::{Mutex, watch};

use crate::{
    PromptGeneratorSettings, plan, prompt_generator,
    refusal::storage,
    schedule::{model_set, unknown_models},
};

/// What recipes and statistics call the render type of a test run.
pub(crate) const TRIAL: &str = "workflow test";

/// Everything planning reads.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// What callers can choose from.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The workflow version that each render type runs; absent when it was deleted or never imported.
    workflows: HashMap<RenderTypeId, Arc<Runnable>>,
    /// Enabled LLM servers that share a GPU.
    llm_on_gpus: Vec<LlmServer>,
}

/// A workflow version with its slots and needs, read once.
#[derive(Debug)]
pub(crate) struct Runnable {
    pub(crate) workflow: Workflow,
    pub(crate) slots: Slots,
    /// What a server must have to run it. Empty for a graph that does not read: no server is at fault then.
    pub(crate) needs: Needs,
    /// The model files that the graph names.
    pub(crate) models: ModelSet,
    /// Those files, with their folders.
    pub(crate) files: Vec<ModelFile>,
    /// Where its seed goes: node classes with their inputs.
    pub(crate) seeds: Vec<(String, String)>,
}

impl Runnable {
    /// Reads the slots as stored. Stored ones that do not read (of an older shape) are detected anew.
    pub(crate) fn new(workflow: Workflow) -> Self {
        let graph = Graph::parse(&workflow.graph).ok();
        let slots = Slots::deserialize(&workflow.slots)
            .unwrap_or_else(|_| graph.as_ref().map(comfyui::workflow::slots::detect).unwrap_or_default());
        let files = graph.as_ref().map(model_files);
        let models = files
            .as_ref()
            .map_or(unknown_models(workflow.id), |files| model_set(files.iter().map(|file| file.name.as_str())));
        let files = files.into_iter().flatten().collect();
        let class_of = |target: &Target| Some(graph.as_ref()?.node(&target.node_id)?.class_type.clone());
        let targets = slots.all(SlotKind::Seed).flat_map(|slot| &slot.targets);
        let seeds = targets.filter_map(|target| Some((class_of(target)?, target.input.clone()))).collect();
        Self { slots, models, files, seeds, needs: graph.as_ref().map(Needs::of).unwrap_or_default(), workflow }
    }
}

impl Snapshot {
    /// A snapshot of given parts; for tests and reloads.
    pub(crate) fn new(catalogue: Catalogue, workflows: HashMap<RenderTypeId, Arc<Runnable>>) -> Self {
        Self { catalogue: Arc::new(catalogue), workflows, llm_on_gpus: Vec::new() }
    }

    /// The enabled LLM servers on a GPU, by name.
    pub(crate) fn llm_servers_on(&self, gpu: &str) -> Vec<LlmServer> {
        self.llm_on_gpus.iter().filter(|server| server.gpu.as_deref() == Some(gpu)).cloned().collect()
    }

    /// What a workflow version needs loaded.
    pub(crate) fn models(&self, workflow: WorkflowId) -> ModelSet {
        let mut runnables = self.workflows.values();
        let found = runnables.find(|runnable| runnable.workflow.id == workflow);
        found.map_or_else(|| unknown_models(workflow), |runnable| runnable.models)
    }

    /// The workflow version that a render type runs.
    pub(crate) fn runnable(&self, render_type: &RenderType) -> Option<&Runnable> {
        self.workflows.get(&render_type.id).map(|runnable| &**runnable)
    }

    /// This snapshot with a render type in front that runs a workflow version as it is, for a test run. It is of no
    /// row, and nobody else sees it.
    pub(crate) fn with_trial(&self, workflow: Workflow, mode: Mode) -> Self {
        let trial = RenderType { visible: false, ..RenderType::new(TRIAL, workflow.name.as_str(), mode) };
        let mut workflows = self.workflows.clone();
        workflows.insert(trial.id, Arc::new(Runnable::new(workflow)));
        let mut catalogue = Catalogue::clone(&self.catalogue);
        // In front: a row that has the name by chance does not take its place.
        catalogue.render_types.insert(0, trial);
        Self { catalogue: Arc::new(catalogue), workflows, llm_on_gpus: self.llm_on_gpus.clone() }
    }

    /// Every workflow version that some render type runs, each once.
    pub(crate) fn runnables(&self) -> Vec<Arc<Runnable>> {
        let mut seen = HashSet::new();
        self.workflows.values().filter(|runnable| seen.insert(runnable.workflow.id)).cloned().collect()
    }

    /// A workflow version, when some render type runs it.
    pub(crate) fn runnable_of(&self, workflow: WorkflowId) -> Option<&Arc<Runnable>> {
        self.workflows.values().find(|runnable| runnable.workflow.id == workflow)
    }
}

/// Holds the newest snapshot; cheap to clone.
#[derive(Clone)]
pub(crate) struct CatalogueHolder(Arc<Holder>);

struct Holder {
    current: watch::Sender<Arc<Snapshot>>,
    version: watch::Sender<u64>,
    /// Reloads take turns, so that an older reading never replaces a newer one.
    turn: Mutex<()>,
}

impl Default for CatalogueHolder {
    fn default() -> Self {
        let empty = Arc::new(Snapshot::default());
        Self(Arc::new(Holder {
            current: watch::Sender::new(empty),
            version: watch::Sender::new(0),
            turn: Mutex::new(()),
        }))
    }
}

impl CatalogueHolder {
    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.current.borrow().clone()
    }

    /// The newest snapshot, for planning this request: with the workflow version that it tries, if it is a test run.
    ///
    /// # Errors
    /// `not_configured` when that version is not stored any more; `storage`.
    pub(crate) async fn snapshot_for(&self, store: &Store, request: &ImageRequest) -> Result<Arc<Snapshot>, UserError> {
        let snapshot = self.snapshot();
        let Some(id) = request.trial else { return Ok(snapshot) };
        let workflow = store.workflow_get(id).await.map_err(storage)?.ok_or_else(|| {
            UserError::new(ErrorCode::NotConfigured, "The workflow that is to be tried is not stored any more.")
        })?;
        Ok(Arc::new(snapshot.with_trial(workflow, request.mode)))
    }

    /// The newest catalogue.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.0.current.borrow().catalogue.clone()
    }

    /// Tells the version whenever it changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// Reads everything anew and announces the next version.
    pub(crate) async fn reload(&self, store: &Store) -> Result<(), UserError> {
        let _turn = self.0.turn.lock().await;
        let (catalogue, workflows) = self.read(store).await?;
        let version = catalogue.version;
        let mut llm_on_gpus = store.llm_server_list().await.map_err(storage)?;
        llm_on_gpus.retain(|server| server.enabled && server.gpu.is_some());
        let mut snapshot = Snapshot { llm_on_gpus, ..Snapshot::new(catalogue, workflows) };
        let finds_parts = plan::area::finds_parts(&snapshot);
        Arc::make_mut(&mut snapshot.catalogue).finds_parts = finds_parts;
        self.0.current.send_replace(Arc::new(snapshot));
        self.0.version.send_replace(version);
        Ok(())
    }

    async fn read(&self, store: &Store) -> Result<(Catalogue, HashMap<RenderTypeId, Arc<Runnable>>), UserError> {
        let mut render_types = store.render_type_list().await.map_err(storage)?;
        render_types.sort_by(|a, b| a.name.cmp(&b.name));
        let mut styles = store.style_list().await.map_err(storage)?;
        styles.sort_by(|a, b| (&a.category, &a.name).cmp(&(&b.category, &b.name)));
        let servers = store.server_list().await.map_err(storage)?;
        let workflows = workflows_of(store, &render_types).await?;
        let version = *self.0.version.borrow() + 1;
        let generator: PromptGeneratorSettings =
            store.setting_get(prompt_generator::SETTING).await.map_err(storage)?.unwrap_or_default();
        let mut catalogue = Catalogue {
            version,
            render_types,
            styles,
            can_enhance: is_served(store, LlmRole::Enhance).await?,
            can_describe: is_served(store, LlmRole::Describe).await?,
            can_generate_prompts: is_served(store, LlmRole::PromptGenerator).await?,
            prompt_styles: Vec::new(),
            finds_parts: false,
            enabled_servers: servers.iter().filter(|server| server.enabled).count(),
        };
        catalogue.prompt_styles = generator.styles_of(&catalogue);
        Ok((catalogue, workflows))
    }
}

async fn workflows_of(
    store: &Store,
    render_types: &[RenderType],
) -> Result<HashMap<RenderTypeId, Arc<Runnable>>, UserError> {
    let latest: HashMap<String, Arc<Runnable>> = store
        .workflow_list()
        .await
        .map_err(storage)?
        .into_iter()
        .map(|workflow| (workflow.name.clone(), Arc::new(Runnable::new(workflow))))
        .collect();
    let mut found = HashMap::with_capacity(render_types.len());
    for render_type in render_types {
        let newest = latest.get(&render_type.workflow).cloned();
        let workflow = match (render_type.workflow_version, newest) {
            (Some(pinned), Some(newest)) if newest.workflow.version == pinned => Some(newest),
            (Some(pinned), _) => {
                let stored = store.workflow_version(&render_type.workflow, pinned).await.map_err(storage)?;
                stored.map(|workflow| Arc::new(Runnable::new(workflow)))
            }
            (None, newest) => newest,
        };
        if let Some(workflow) = workflow {
            found.insert(render_type.id, workflow);
        }
    }
    Ok(found)
}

async fn is_served(store: &Store, role: LlmRole) -> Result<bool, UserError> {
    let Some(assignment) = store.llm_assignment(role).await.map_err(storage)? else { return Ok(false) };
    let servers = store.llm_server_list().await.map_err(storage)?;
    Ok(servers.iter().any(|server| server.id == assignment.server && server.enabled))
}
