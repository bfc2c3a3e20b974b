//! What the playground shows beside its form: how styles look, and pictures to work on.

use hub_core::artifact::{ArtifactRole, MediaKind};
use hub_engine::ShowcaseIndex;
use hub_store::JobFilter;

use super::form::Typed;
use crate::{error::WebError, pages::shown::ShownImage, router::App};

/// Newest results that can be picked to work on, or compared.
const RECENT_MAX: u32 = 12;
/// Newest given pictures that can be picked again.
const GIVEN_MAX: u32 = 6;

/// What a form shows that no request brings.
#[derive(Default)]
pub(super) struct Around {
    /// How styles look.
    pub(super) showcases: ShowcaseIndex,
    /// The newest results.
    pub(super) recent: Vec<ShownImage>,
    /// The newest pictures that somebody gave.
    pub(super) given: Vec<ShownImage>,
    /// The newest masks.
    pub(super) masks: Vec<ShownImage>,
    /// The one that is named already.
    pub(super) picked: Option<ShownImage>,
}

impl Around {
    pub(super) async fn load(app: &App, typed: &Typed) -> Result<Self, WebError> {
        let made = JobFilter { has_images: Some(true), ..JobFilter::default() };
        let jobs = app.engine.store().job_list(&made, None, RECENT_MAX).await?.jobs;
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let mut pictures = app.engine.store().artifacts_of_many(&ids).await?;
        let mut recent = Vec::new();
        for job in &jobs {
            let of_job = pictures.remove(&job.id).unwrap_or_default();
            let first = of_job.into_iter().find(|file| file.kind == MediaKind::Image);
            recent.extend(first.map(|picture| ShownImage::of(&picture, job.request.prompt())));
        }
        let given = given_as(app, ArtifactRole::Input).await?;
        let masks = given_as(app, ArtifactRole::Mask).await?;
        let picked = match typed.image.trim().parse() {
            Ok(id) => app.engine.store().artifact_get(id).await?.map(|picture| ShownImage::of(&picture, None)),
            Err(_) => None,
        };
        Ok(Self { showcases: app.engine.showcases().await?, recent, given, masks, picked })
    }
}

async fn given_as(app: &App, role: ArtifactRole) -> Result<Vec<ShownImage>, WebError> {
    let given = app.engine.store().inputs_newest(role, GIVEN_MAX).await?;
    Ok(given.iter().map(|picture| ShownImage::of(picture, None)).collect())
}
