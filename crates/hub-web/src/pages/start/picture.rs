//! The first picture while it is made.

use hub_core::{artifact::MediaKind, ids::JobId, job::JobState};
use hub_engine::JobView;
use serde::Serialize;

use super::super::shown::{ShownImage, ShownProgress, ShownState};
use crate::{error::WebError, language::apart, render::Page, router::App};

/// How far it is, and what came out.
#[derive(Debug, Serialize)]
pub(crate) struct FirstPicture {
    job_path: String,
    live_path: String,
    /// This page, for those without script.
    here: String,
    state: ShownState,
    progress: Option<ShownProgress>,
    image: Option<ShownImage>,
    /// Why there is none, and what to do.
    error: Option<String>,
    server: Option<String>,
}

impl FirstPicture {
    pub(super) async fn load(app: &App, id: JobId) -> Result<Self, WebError> {
        Ok(Self::of(&app.engine.view(id).await?))
    }

    fn of(view: &JobView) -> Self {
        let job = &view.job;
        let error = if let JobState::Failed(error) = &job.state { Some(apart::error(error).explain()) } else { None };
        Self {
            job_path: format!("/jobs/{}", job.id),
            live_path: format!("/start/live?job={}", job.id),
            here: format!("/start?job={}#picture", job.id),
            state: ShownState::of_view(view),
            progress: ShownProgress::of_view(view),
            image: view
                .artifacts
                .iter()
                .find(|file| file.kind == MediaKind::Image)
                .map(|artifact| ShownImage::of(artifact, job.request.prompt())),
            error,
            server: view.server.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn sample() -> Self {
        use super::super::shown::sample;
        Self::of(&sample::view(sample::failed()))
    }
}

/// The region that is redrawn.
#[derive(Debug, Serialize)]
pub(crate) struct FirstPictureLive {
    pub(super) picture: FirstPicture,
}

impl Page for FirstPictureLive {
    const TEMPLATE: &'static str = "pages/first_picture_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { picture: FirstPicture::sample() }
    }
}
