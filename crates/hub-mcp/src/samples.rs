//! Nouns for tests: fixed, so that snapshots hold.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    artifact::{Artifact, ArtifactRole, MediaKind},
    caller::Caller,
    catalogue::{Catalogue, Mode, RenderType, Style},
    ids::{ArtifactId, JobId, RenderTypeId, StyleId, WorkflowId},
    job::{Job, JobState, JobTimes},
    recipe::Recipe,
    request::{AspectRatio, ImageRequest, ImageSize, JobRequest},
};
use hub_engine::JobView;
use uuid::Uuid;

use crate::delivery::Delivery;
use hub_core::request::Inline;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

/// A generation of one picture in the given state.
pub(crate) fn job(state: JobState) -> Job {
    let done = state.kind().is_terminal();
    Job {
        id: JobId::from_uuid(Uuid::from_u128(1)),
        caller: Caller::local(),
        request: JobRequest::Image(ImageRequest::generate("a fox")),
        state,
        recipe: Some(recipe()),
        text: None,
        warnings: vec!["Style `x` prefers another render type; yours was kept.".to_owned()],
        attempts: 1,
        excluded: Vec::new(),
        priority: 0,
        placement: hub_core::placement::Placement::Anywhere,
        idempotency_key: None,
        parent: None,
        trace: None,
        server: None,
        times: JobTimes {
            created_at: start(),
            queued_at: Some(start()),
            started_at: Some(start() + TimeDelta::milliseconds(1500)),
            finished_at: done.then(|| start() + TimeDelta::milliseconds(9700)),
        },
        part: None,
    }
}

fn recipe() -> Recipe {
    Recipe {
        mode: Mode::Generate,
        render_type: "sdxl".to_owned(),
        workflow: "sdxl-basic".to_owned(),
        workflow_version: 3,
        workflow_id: WorkflowId::from_uuid(Uuid::from_u128(2)),
        prompt_asked: Some("a fox".to_owned()),
        prompt: Some("a red fox in snow, cinematic light".to_owned()),
        negative_prompt: Some("blurry".to_owned()),
        styles: vec!["cinematic".to_owned()],
        enhanced: false,
        not_enhanced_because: Some("no LLM is set up.".to_owned()),
        seed: 42,
        size: Some(ImageSize { width_px: 1344, height_px: 768 }),
        steps: Some(20),
        cfg: None,
        denoise: None,
        input: None,
        mask: None,
        part: None,
    }
}

/// One stored picture.
pub(crate) fn artifact(number: u128) -> Artifact {
    Artifact {
        id: ArtifactId::from_uuid(Uuid::from_u128(0x100 + number)),
        job: Some(JobId::from_uuid(Uuid::from_u128(1))),
        role: ArtifactRole::Output,
        kind: MediaKind::Image,
        mime: "image/png".to_owned(),
        extension: "png".to_owned(),
        sha256: "ab".repeat(32),
        size_bytes: 1_234_567,
        width_px: 1344,
        height_px: 768,
        seed: Some(42),
        position: 0,
        node: Some("9".to_owned()),
        favourite: false,
        created_at: start(),
    }
}

/// A job with so many pictures.
pub(crate) fn view(state: JobState, pictures: u128) -> JobView {
    JobView {
        job: job(state),
        artifacts: (0..pictures).map(artifact).collect(),
        server: Some("gpu-1".to_owned()),
        progress: None,
    }
}

/// A connection that says nothing special.
pub(crate) fn delivery() -> Delivery {
    Delivery {
        caller: Caller::local(),
        inline: Inline::Preview,
        links: true,
        structured: false,
        base: Some("http://hub.example:8001".to_owned()),
        trace: None,
    }
}

fn render_type(number: u128, name: &str, mode: Mode, is_default: bool) -> RenderType {
    let sizes: BTreeMap<AspectRatio, ImageSize> =
        AspectRatio::ALL.into_iter().map(|ratio| (ratio, ImageSize { width_px: 1024, height_px: 1024 })).collect();
    RenderType {
        id: RenderTypeId::from_uuid(Uuid::from_u128(number)),
        description: "Good for many things, quick enough.".to_owned(),
        is_default,
        sizes: if mode == Mode::Upscale { BTreeMap::new() } else { sizes },
        prompt_guide: "Short sentences.".to_owned(),
        prompt_examples: vec!["a fox in snow".to_owned()],
        ..RenderType::new(name, name, mode)
    }
}

/// Ten render types and twenty-four styles, as a well-filled hub has them.
pub(crate) fn catalogue() -> Catalogue {
    let generate = ["sdxl", "sdxl-lightning", "sd15", "flux-dev", "flux-schnell", "qwen-image"];
    let mut render_types: Vec<RenderType> =
        (1..).zip(generate).map(|(number, name)| render_type(number, name, Mode::Generate, name == "sdxl")).collect();
    render_types.push(render_type(20, "upscale-4x", Mode::Upscale, true));
    render_types.push(render_type(21, "upscale-detail", Mode::Upscale, false));
    render_types.push(render_type(22, "qwen-edit", Mode::Edit, true));
    render_types.push(render_type(23, "flux-kontext", Mode::Edit, false));
    render_types.push(render_type(24, "inpaint", Mode::Detail, true));
    render_types.push(render_type(25, "face-detailer", Mode::Detail, false));
    let names = [
        "anime",
        "architecture",
        "art-deco",
        "charcoal",
        "cinematic",
        "comic-book",
        "concept-art",
        "cyberpunk",
        "documentary",
        "fantasy",
        "film-noir",
        "isometric",
        "line-art",
        "low-poly",
        "macro",
        "minimalist",
        "oil-painting",
        "photographic",
        "pixel-art",
        "portrait",
        "product-shot",
        "steampunk",
        "vintage",
        "watercolor",
    ];
    let styles = (1..)
        .zip(names)
        .map(|(number, name)| Style {
            id: StyleId::from_uuid(Uuid::from_u128(number)),
            description: format!("Looks like {name}."),
            prompt_template: format!("{{prompt}}, {name}"),
            is_default: name == "photographic",
            ..Style::new(name, "looks")
        })
        .collect();
    let prompt_styles = names.map(str::to_owned).to_vec();
    Catalogue {
        version: 7,
        render_types,
        styles,
        can_enhance: true,
        can_describe: true,
        can_generate_prompts: true,
        prompt_styles,
        finds_parts: true,
        enabled_servers: 2,
    }
}
