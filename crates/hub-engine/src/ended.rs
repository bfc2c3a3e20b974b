//! Results of jobs that ended a moment ago.
//!
//! Whoever waited for a job reads it as soon as it ends; what was just written is answered from here, so
//! that the usual call costs no read of the store. Only successes are kept: nothing leaves that state.
//! Bounded in number and in time, so that what is changed about a result later (a favourite, a deletion)
//! is seen soon; whatever is not here is read from the store.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hub_core::ids::{ArtifactId, JobId};
use tokio::time::Instant;

use crate::JobView;

/// Most results kept.
const KEPT_MAX: usize = 256;
/// Longest that one is kept.
const KEPT_FOR: Duration = Duration::from_secs(3);

/// The results.
#[derive(Default)]
pub(crate) struct Ended(Mutex<VecDeque<(Instant, JobView)>>);

impl Ended {
    /// Keeps a result for those who wait for it. Call it before the end is published.
    pub(crate) fn keep(&self, view: JobView) {
        let now = Instant::now();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut kept, now);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((now, view));
    }

    /// Forgets a result that is not as it was.
    pub(crate) fn forget(&self, job: JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, view)| view.job.id != job);
    }

    /// Forgets the result with this picture, which is not as it was.
    pub(crate) fn forget_with(&self, picture: ArtifactId) {
        let has = |view: &JobView| view.artifacts.iter().any(|kept| kept.id == picture);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, view)| !has(view));
    }

    /// The result, when the job ended a moment ago.
    pub(crate) fn get(&self, job: JobId) -> Option<JobView> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut kept, Instant::now());
        kept.iter().rev().find(|(_, view)| view.job.id == job).map(|(_, view)| view.clone())
    }
}

fn forget_old(kept: &mut VecDeque<(Instant, JobView)>, now: Instant) {
    while kept.front().is_some_and(|(at, _)| now.duration_since(*at) >= KEPT_FOR) {
        kept.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use hub_core::{
        caller::Caller,
        job::{Job, JobState, JobTimes},
        request::{ImageRequest, JobRequest},
    };

    use super::*;

    fn view() -> JobView {
        let now = DateTime::UNIX_EPOCH;
        let job = Job {
            id: JobId::new(),
            caller: Caller::local(),
            request: JobRequest::Image(ImageRequest::generate("x")),
            state: JobState::Succeeded,
            recipe: None,
            text: None,
            warnings: Vec::new(),
            attempts: 1,
            excluded: Vec::new(),
            priority: 0,
            placement: hub_core::placement::Placement::Anywhere,
            idempotency_key: None,
            parent: None,
            trace: None,
            server: None,
            times: JobTimes { created_at: now, queued_at: Some(now), started_at: Some(now), finished_at: Some(now) },
            part: None,
        };
        JobView { job, artifacts: Vec::new(), server: None, progress: None }
    }

    #[tokio::test(start_paused = true)]
    async fn results_are_kept_for_a_moment_and_within_their_number() {
        let ended = Ended::default();
        let first = view();
        ended.keep(first.clone());
        assert_eq!(ended.get(first.job.id), Some(first.clone()));
        assert_eq!(ended.get(JobId::new()), None);
        tokio::time::advance(KEPT_FOR).await;
        assert_eq!(ended.get(first.job.id), None);

        let many: Vec<JobView> = (0..=KEPT_MAX).map(|_| view()).collect();
        for view in &many {
            ended.keep(view.clone());
        }
        assert_eq!(ended.get(many[0].job.id), None, "the oldest made room");
        assert!(ended.get(many[1].job.id).is_some());
    }
}
