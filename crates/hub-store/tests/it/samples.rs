//! Nouns for tests.

use std::collections::BTreeMap;

use hub_core::{
    artifact::MediaKind,
    caller::Caller,
    catalogue::{Mode, RenderDefaults, RenderType, SizeLimits, Style},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId, PromptId, RenderTypeId, ServerId, StyleId, WorkflowId},
    job::{Attempt, Job},
    recipe::Recipe,
    request::{AspectRatio, ImageRef, ImageRequest, ImageSize, JobRequest},
};
use hub_store::{Inserted, NewArtifact, NewJob, Ran, Store};

pub(crate) fn recipe() -> Recipe {
    Recipe {
        mode: Mode::Generate,
        render_type: "draft".to_owned(),
        workflow: "sdxl".to_owned(),
        workflow_version: 3,
        workflow_id: WorkflowId::new(),
        prompt_asked: Some("a cat".to_owned()),
        prompt: Some("a cat, oil painting".to_owned()),
        negative_prompt: None,
        styles: vec!["oil".to_owned()],
        enhanced: false,
        not_enhanced_because: None,
        seed: u64::MAX,
        size: Some(ImageSize { width_px: 832, height_px: 1216 }),
        steps: Some(20),
        cfg: Some(7.1),
        denoise: None,
        input: None,
        mask: None,
        part: None,
    }
}

/// A job with a recipe: starts queued.
pub(crate) fn queued(prompt: &str) -> NewJob {
    NewJob { recipe: Some(recipe()), ..planning(prompt) }
}

/// A queued job that enlarges a stored picture.
pub(crate) fn enlarging(picture: ArtifactId) -> NewJob {
    let input = Some(ImageRef::Artifact(picture));
    let request = ImageRequest { mode: Mode::Upscale, input, ..ImageRequest::generate("larger") };
    NewJob { request: JobRequest::Image(request), ..queued("larger") }
}

/// A job without a recipe: starts planning.
pub(crate) fn planning(prompt: &str) -> NewJob {
    NewJob {
        id: JobId::new(),
        caller: Caller::local(),
        request: JobRequest::Image(ImageRequest::generate(prompt)),
        request_digest: format!("{:064x}", prompt.len()),
        recipe: None,
        warnings: Vec::new(),
        priority: 0,
        placement: hub_core::placement::Placement::Anywhere,
        idempotency_key: None,
        parent: None,
        trace: None,
    }
}

pub(crate) async fn insert(store: &Store, new: &NewJob) -> Job {
    match store.job_insert(new).await.unwrap() {
        Inserted::New(job) => job,
        Inserted::Existing(job) => panic!("{} was there already", job.id),
    }
}

pub(crate) fn attempt(number: u32) -> Attempt {
    Attempt { number, server: ServerId::new(), prompt_id: PromptId::random() }
}

/// A job that attempt 1 owns.
pub(crate) async fn assigned(store: &Store) -> (JobId, Attempt) {
    let job = insert(store, &queued("assigned")).await;
    let at = attempt(1);
    assert!(store.job_assign(job.id, &at).await.unwrap());
    (job.id, at)
}

/// A job that succeeded with these artifacts.
pub(crate) async fn succeeded(store: &Store, artifacts: &[NewArtifact]) -> JobId {
    let (id, _) = assigned(store).await;
    assert!(store.job_succeed(id, 1, id, Ran::default(), artifacts).await.unwrap().is_some());
    id
}

pub(crate) fn artifact(content: u8, position: u32) -> NewArtifact {
    NewArtifact {
        id: ArtifactId::new(),
        kind: MediaKind::Image,
        mime: "image/png".to_owned(),
        extension: "png".to_owned(),
        sha256: format!("{content:064x}"),
        size_bytes: 1_234_567,
        width_px: 832,
        height_px: 1216,
        seed: Some(u64::MAX),
        position,
        node: Some("9".to_owned()),
    }
}

pub(crate) fn failure() -> UserError {
    UserError::new(ErrorCode::NodeFailed, "KSampler failed.").with_hint("Try another seed.")
}

pub(crate) fn render_type(name: &str, is_default: bool) -> RenderType {
    RenderType {
        id: RenderTypeId::new(),
        name: name.to_owned(),
        title: name.to_uppercase(),
        description: "quick".to_owned(),
        workflow: "sdxl".to_owned(),
        workflow_version: Some(2),
        mode: Mode::Generate,
        visible: true,
        is_default,
        sizes: BTreeMap::from([(AspectRatio::R16x9, ImageSize { width_px: 1344, height_px: 768 })]),
        limits: SizeLimits::default(),
        defaults: RenderDefaults { aspect: Some(AspectRatio::R1x1), cfg: Some(4.5), ..RenderDefaults::default() },
        prompt_guide: "Short sentences.".to_owned(),
        prompt_examples: vec!["a fox".to_owned()],
    }
}

pub(crate) fn style(name: &str) -> Style {
    Style {
        id: StyleId::new(),
        name: name.to_owned(),
        category: "art".to_owned(),
        description: "brush strokes".to_owned(),
        prompt_template: "{prompt}, oil on canvas".to_owned(),
        negative_template: "photo".to_owned(),
        render_types: vec!["draft".to_owned()],
        preferred_render_type: Some("draft".to_owned()),
        is_default: false,
        enabled: true,
    }
}
