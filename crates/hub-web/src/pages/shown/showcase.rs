//! The picture of a style or render type, on its page, in lists and in the playground.

use hub_engine::ShowcaseView;
use serde::Serialize;

use crate::{language, links};

/// See the module.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ShownShowcase {
    thumb: Option<String>,
    /// Page of the job that made it.
    job_path: Option<String>,
    /// What it shows has changed since.
    stale: bool,
    /// Page of the job that makes a new one.
    pending_path: Option<String>,
    failed_path: Option<String>,
    failure: Option<String>,
}

impl ShownShowcase {
    pub(crate) fn of(view: &ShowcaseView) -> Self {
        let path = |job| format!("/jobs/{job}");
        Self {
            thumb: view.picture.as_ref().map(links::thumb_path),
            job_path: view.picture.as_ref().and_then(|picture| picture.job).map(path),
            stale: view.stale,
            pending_path: view.pending.map(path),
            failed_path: view.failed.as_ref().map(|(job, _)| path(*job)),
            failure: view.failed.as_ref().map(|(_, why)| language::here(why)),
        }
    }

    /// Address of the small picture.
    pub(crate) fn thumb(&self) -> Option<String> {
        self.thumb.clone()
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        let text = || Some(super::sample::HOSTILE.to_owned());
        Self {
            thumb: Some("/thumbs/img_1".to_owned()),
            job_path: Some("/jobs/job_1".to_owned()),
            stale: true,
            pending_path: Some("/jobs/job_2".to_owned()),
            failed_path: Some("/jobs/job_3".to_owned()),
            failure: text(),
        }
    }
}
