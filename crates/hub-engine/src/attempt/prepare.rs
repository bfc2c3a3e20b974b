//! Turns a recipe into a graph to post: parses the workflow once per version, binds the values, sends the
//! input picture ahead.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use comfyui::{
    Bindings, Client, Error, Graph, Slots,
    workflow::{SlotKind, Target, bind},
};
use hub_core::{
    error::{ErrorCode, UserError},
    ids::{ArtifactId, WorkflowId},
    job::Job,
    recipe::Recipe,
    request::Part,
};

use crate::{CrashPoint, background::Inner, context::Context, crash, persist};

/// Workflow versions kept parsed; beyond it the memory starts over.
const PARSED_MAX: usize = 64;

/// A workflow version as parsed.
pub(crate) struct Parsed {
    graph: Graph,
    slots: Slots,
}

/// Parsed workflow versions. They are immutable, so nothing here grows old.
#[derive(Default)]
pub(crate) struct GraphCache(Mutex<HashMap<WorkflowId, Arc<Parsed>>>);

impl GraphCache {
    async fn get(&self, ctx: &Context, id: WorkflowId) -> Result<Arc<Parsed>, UserError> {
        if let Some(parsed) = self.lock().get(&id) {
            return Ok(parsed.clone());
        }
        let invalid = |why: String| UserError::new(ErrorCode::WorkflowInvalid, why);
        let workflow = persist::user(ctx, || ctx.store.workflow_get(id))
            .await?
            .ok_or_else(|| invalid("The workflow of this job is not stored any more.".to_owned()))?;
        let unreadable = |error: &dyn std::fmt::Display| {
            invalid(format!("The workflow `{}` (version {}) cannot be read: {error}", workflow.name, workflow.version))
        };
        let graph = Graph::parse(&workflow.graph).map_err(|error| unreadable(&error))?;
        let slots =
            serde::Deserialize::deserialize(&workflow.slots).map_err(|error: serde_json::Error| unreadable(&error))?;
        let parsed = Arc::new(Parsed { graph, slots });
        let mut cache = self.lock();
        if cache.len() >= PARSED_MAX {
            cache.clear();
        }
        cache.insert(id, parsed.clone());
        Ok(parsed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WorkflowId, Arc<Parsed>>> {
        self.0.lock().expect("nothing panics while it holds the cache")
    }
}

/// A graph ready to be posted.
pub(crate) struct Prepared {
    pub(super) graph: Graph,
    parsed: Arc<Parsed>,
}

impl Prepared {
    /// Nodes whose pictures are the primary ones, best first.
    pub(super) fn output_nodes(&self) -> Vec<&str> {
        self.parsed.slots.output_nodes().collect()
    }

    /// What is put into this input of a node, if anything is.
    pub(super) fn slot_at(&self, node: &str, input: &str) -> Option<SlotKind> {
        let here = |target: &Target| target.node_id == node && target.input == input;
        self.parsed.slots.slots.iter().find(|slot| slot.targets.iter().any(here)).map(|slot| slot.kind)
    }
}

/// Why there is nothing to post.
pub(super) enum PrepareFailure {
    /// The job cannot be done anywhere.
    Job(UserError),
    /// The server did not take the input picture.
    Upload(Error),
}

impl From<UserError> for PrepareFailure {
    fn from(error: UserError) -> Self {
        Self::Job(error)
    }
}

/// Binds the job's recipe, and sends its input picture to the server.
pub(super) async fn prepare(inner: &Inner, job: &Job, client: &Client) -> Result<Prepared, PrepareFailure> {
    let recipe = recipe(job)?;
    let parsed = inner.graphs.get(&inner.ctx, recipe.workflow_id).await?;
    let mut sent = [None, None];
    for (place, picture) in sent.iter_mut().zip([recipe.input, recipe.mask]) {
        if let Some(picture) = picture {
            *place = Some(send(inner, job, client, picture).await?);
        }
    }
    let [input, mask] = sent;
    Ok(bound(parsed, job, recipe, input, mask)?)
}

/// Sends a stored picture to the server; answers how graphs name it there.
async fn send(inner: &Inner, job: &Job, client: &Client, picture: ArtifactId) -> Result<String, PrepareFailure> {
    let (artifact, bytes) = inner.ctx.vault.input(picture).await?;
    // Plain ASCII by content: servers treat other names oddly, and the same picture is sent over itself.
    let name = format!("{}.{}", artifact.sha256, artifact.extension);
    let folder = format!("hub/{}", job.id.as_uuid().simple());
    let upload = client.upload_image(bytes, &name, &folder, true);
    let uploaded = crash::around(CrashPoint::Upload, upload).await.map_err(PrepareFailure::Upload)?;
    Ok(uploaded.reference())
}

/// Binds the recipe of a job that was posted before, to know its nodes. Sends nothing.
pub(super) async fn again(inner: &Inner, job: &Job) -> Result<Prepared, PrepareFailure> {
    let recipe = recipe(job)?;
    let parsed = inner.graphs.get(&inner.ctx, recipe.workflow_id).await?;
    Ok(Prepared { graph: parsed.graph.clone(), parsed })
}

fn recipe(job: &Job) -> Result<&Recipe, UserError> {
    job.recipe.as_ref().ok_or_else(|| {
        tracing::error!(job = %job.id, "a job without recipe was queued");
        UserError::new(ErrorCode::Internal, "The job has no plan.")
    })
}

/// The model file that finds a part, unless the workflow's own is for it already.
fn detector(slots: &Slots, part: Part) -> Option<String> {
    let own = slots.get(SlotKind::Detector)?.current.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let file = match part {
        Part::Face => "bbox/face_yolov8m.pt",
        Part::Hand => "bbox/hand_yolov8s.pt",
    };
    (!own.contains(part.as_str())).then(|| file.to_owned())
}

fn bound(
    parsed: Arc<Parsed>,
    job: &Job,
    recipe: &Recipe,
    input: Option<String>,
    mask: Option<String>,
) -> Result<Prepared, UserError> {
    let values = Bindings {
        prompt: recipe.prompt.clone(),
        negative: recipe.negative_prompt.clone(),
        seed: Some(recipe.seed),
        width: recipe.size.map(|size| size.width_px),
        height: recipe.size.map(|size| size.height_px),
        steps: recipe.steps,
        cfg: recipe.cfg,
        denoise: recipe.denoise,
        input_image: input,
        mask,
        detector: recipe.part.and_then(|part| detector(&parsed.slots, part)),
        filename_prefix: Some(format!("hub/{}/img", job.id.as_uuid().simple())),
        ..Bindings::default()
    };
    let graph = bind(&parsed.graph, &parsed.slots, &values).map_err(|error| {
        let message = format!("The workflow `{}` cannot take the request: {error}.", recipe.workflow);
        UserError::new(ErrorCode::WorkflowInvalid, message)
    })?;
    Ok(Prepared { graph, parsed })
}
