//! What the tests of several modules begin with.

use hub_core::{
    caller::Caller,
    catalogue::Mode,
    ids::{JobId, WorkflowId},
    placement::Placement,
    recipe::Recipe,
    request::{ImageRequest, JobRequest},
};
use hub_store::NewJob;

/// How a fox is made.
pub(crate) fn recipe() -> Recipe {
    Recipe {
        mode: Mode::Generate,
        render_type: "sdxl".to_owned(),
        workflow: "w".to_owned(),
        workflow_version: 1,
        workflow_id: WorkflowId::new(),
        prompt_asked: None,
        prompt: Some("a fox".to_owned()),
        negative_prompt: None,
        styles: Vec::new(),
        enhanced: false,
        not_enhanced_because: None,
        seed: 7,
        size: None,
        steps: None,
        cfg: None,
        denoise: None,
        input: None,
        mask: None,
        part: None,
    }
}

/// A job that asks for a fox: it waits for a server with a recipe, and for its plan without one.
pub(crate) fn job(recipe: Option<Recipe>) -> NewJob {
    NewJob {
        id: JobId::new(),
        caller: Caller::local(),
        request: JobRequest::Image(ImageRequest::generate("a fox")),
        request_digest: "0".repeat(64),
        recipe,
        warnings: Vec::new(),
        priority: 0,
        placement: Placement::Anywhere,
        idempotency_key: None,
        parent: None,
        trace: None,
    }
}
