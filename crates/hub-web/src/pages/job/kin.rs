//! Beside which jobs one is looked at: the one that it varies, and the one that its caller had made before.

use hub_core::{artifact::MediaKind, error::ErrorCode, ids::JobId};
use hub_engine::JobView;
use hub_store::JobFilter;

use crate::{error::WebError, router::App};

/// Address of the job beside the one that it varies, where both have pictures.
pub(super) async fn parent_beside(app: &App, view: &JobView) -> Result<Option<String>, WebError> {
    let Some(parent) = view.job.parent.filter(|_| has_picture(view)) else { return Ok(None) };
    match app.engine.view(parent).await {
        Ok(parent) => Ok(has_picture(&parent).then(|| beside(parent.job.id, view.job.id))),
        // It may be deleted by now.
        Err(error) if error.code == ErrorCode::UnknownJob => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Address of the job beside the one with pictures that its caller had made before, unless that is the one it varies.
pub(super) async fn before_beside(app: &App, view: &JobView) -> Result<Option<String>, WebError> {
    if !has_picture(view) {
        return Ok(None);
    }
    let job = &view.job;
    let before = JobFilter {
        caller: Some(job.caller.clone()),
        created_to: Some(job.times.created_at),
        has_images: Some(true),
        ..JobFilter::default()
    };
    let found = app.engine.store().job_search(&before, None, 1, app.config.search).await?;
    let before = found.jobs.first().map(|before| before.id).filter(|before| Some(*before) != job.parent);
    Ok(before.map(|before| beside(before, job.id)))
}

fn has_picture(view: &JobView) -> bool {
    view.artifacts.iter().any(|file| file.kind == MediaKind::Image)
}

fn beside(other: JobId, job: JobId) -> String {
    format!("/compare?job={other}&job={job}")
}
