//! What the playground shows beside its form: how styles look, and pictures to work on.

use hub_core::artifact::MediaKind;
use hub_engine::ShowcaseIndex;
use hub_store::JobFilter;

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
}

impl Around {
    pub(super) async fn load(app: &App) -> Result<Self, WebError> {
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
        let given = app.engine.store().inputs_newest(GIVEN_MAX).await?;
        let given = given.iter().map(|picture| ShownImage::of(picture, None)).collect();
        Ok(Self { showcases: app.engine.showcases().await?, recent, given })
    }
}
