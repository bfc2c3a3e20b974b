//! Values whose text must be escaped wherever a template prints it.

use hub_core::{
    artifact::ArtifactRole,
    caller::Caller,
    catalogue::Mode,
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId, WorkflowId},
    job::{Job, JobTimes},
    recipe::Recipe,
    request::{ImageRequest, ImageSize, JobRequest},
};
use hub_engine::LivePreview;
use uuid::Uuid;

use super::*;

/// Markup, template syntax, an emoji and right-to-left text.
pub(crate) const HOSTILE: &str = "<script>alert('x')</script> & \"q\" {{ 7*7 }} {% raw %} 🦊 שלום \u{202e}evil";

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("in range")
}

pub(crate) fn artifact() -> Artifact {
    Artifact {
        id: ArtifactId::from_uuid(Uuid::from_u128(7)),
        job: Some(JobId::from_uuid(Uuid::from_u128(1))),
        role: ArtifactRole::Output,
        kind: MediaKind::Image,
        mime: "image/png".to_owned(),
        extension: "png".to_owned(),
        sha256: "ab".repeat(32),
        size_bytes: 123_456,
        width_px: 1024,
        height_px: 768,
        seed: Some(u64::MAX),
        position: 0,
        node: None,
        favourite: false,
        created_at: now(),
    }
}

pub(crate) fn view(state: JobState) -> JobView {
    let ended = state.kind().is_terminal();
    let mut request = ImageRequest::generate(HOSTILE);
    request.negative_prompt = Some(HOSTILE.to_owned());
    let job = Job {
        id: JobId::from_uuid(Uuid::from_u128(1)),
        caller: Caller::named("<i>caller</i>\u{202e}"),
        request: JobRequest::Image(request),
        state,
        recipe: Some(recipe()),
        text: Some(HOSTILE.to_owned()),
        warnings: vec![HOSTILE.to_owned()],
        attempts: 1,
        excluded: vec![],
        priority: 0,
        placement: hub_core::placement::Placement::Anywhere,
        idempotency_key: None,
        parent: None,
        trace: None,
        server: None,
        times: JobTimes {
            created_at: now() - TimeDelta::seconds(75),
            queued_at: Some(now() - TimeDelta::seconds(74)),
            started_at: Some(now() - TimeDelta::seconds(70)),
            finished_at: ended.then(|| now() - TimeDelta::seconds(60)),
        },
        part: None,
    };
    let mut progress = JobProgress::of(&job);
    progress.fraction = 0.6;
    progress.steps = Some((12, 20));
    progress.node = Some("<KSampler>".into());
    progress.preview = Some(LivePreview { mime: "image/jpeg", bytes: bytes::Bytes::from_static(b"jpeg") });
    JobView { artifacts: vec![artifact()], server: Some("<gpu>\u{202e}".to_owned()), progress: Some(progress), job }
}

pub(crate) fn waiting() -> hub_engine::WhyWaiting {
    let server = |number| hub_engine::ServerWhy {
        server: hub_core::ids::ServerId::from_uuid(Uuid::from_u128(number)),
        name: "<gpu>\u{202e}".to_owned(),
        state: hub_core::server::ServerState::Down,
        reason: hub_engine::WaitReason::NotReady,
        detail: HOSTILE.to_owned(),
        ends_in_s: Some(12.0),
    };
    hub_engine::WhyWaiting { position: Some(2), estimated_start_s: Some(7.5), servers: vec![server(1), server(2)] }
}

pub(crate) fn failed() -> JobState {
    JobState::Failed(UserError::new(ErrorCode::NodeFailed, HOSTILE).with_hint(HOSTILE))
}

fn recipe() -> Recipe {
    Recipe {
        mode: Mode::Generate,
        render_type: "<b>sdxl</b>\u{202e}".to_owned(),
        workflow: "txt2img".to_owned(),
        workflow_version: 3,
        workflow_id: WorkflowId::from_uuid(Uuid::from_u128(9)),
        prompt_asked: Some(HOSTILE.to_owned()),
        prompt: Some(HOSTILE.to_owned()),
        negative_prompt: Some(HOSTILE.to_owned()),
        styles: vec!["<i>anime</i>\u{202e}".to_owned()],
        enhanced: true,
        not_enhanced_because: Some("none".to_owned()),
        seed: u64::MAX,
        size: Some(ImageSize { width_px: 1024, height_px: 768 }),
        steps: Some(20),
        cfg: Some(6.5),
        denoise: Some(0.4),
        input: Some(ArtifactId::from_uuid(Uuid::from_u128(7))),
        mask: None,
        part: None,
    }
}
