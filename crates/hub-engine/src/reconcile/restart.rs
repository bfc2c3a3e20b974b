//! Takes up jobs that the store knows as unfinished and that nobody here follows: all of them after a
//! start, and later whatever fell through a failure.

use std::sync::Arc;

use chrono::TimeDelta;
use hub_core::{error::UserError, ids::JobId, job::Job};

use super::Status;
use crate::{
    background::{Background, Inner},
    persist,
};

/// A job younger than this may be on its way from the store to the board.
const MIN_AGE: TimeDelta = TimeDelta::seconds(30);

/// Takes up every unfinished job; the planning of those answered must go on. For the start.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn adopt_all(inner: &Arc<Inner>) -> Result<Vec<Job>, UserError> {
    let jobs = persist::user(&inner.ctx, || inner.ctx.store.jobs_unfinished()).await?;
    if !jobs.is_empty() {
        tracing::info!(jobs = jobs.len(), "unfinished jobs are taken up");
    }
    let tried: Vec<JobId> = jobs.iter().filter(|job| job.attempts > 0).map(|job| job.id).collect();
    let failures = persist::user(&inner.ctx, || inner.ctx.store.attempts_failed(&tried)).await?;
    let failed = |job: &Job| failures.get(&job.id).copied().unwrap_or_default();
    Ok(jobs.into_iter().filter_map(|job| inner.adopt(failed(&job), job)).collect())
}

/// A job from the future is one from before the clock was set back.
fn is_young(age: TimeDelta) -> bool {
    (TimeDelta::zero()..MIN_AGE).contains(&age)
}

/// Takes up unfinished jobs that nobody follows.
pub(super) async fn activate(background: &Background) -> Status {
    let inner = background.inner();
    let jobs = match persist::user(&inner.ctx, || inner.ctx.store.jobs_unfinished()).await {
        Ok(jobs) => jobs,
        Err(error) => return Status::Failed(error),
    };
    let mut adopted = 0;
    for job in jobs {
        if is_young(inner.ctx.clock.age(job.times.created_at)) || inner.board.knows(job.id) {
            continue;
        }
        // The list is a moment old: what ended since must not come back.
        let id = job.id;
        match persist::user(&inner.ctx, || inner.ctx.store.job_get(id)).await {
            Ok(Some(job)) if !job.state.kind().is_terminal() && !inner.board.knows(id) => {
                let failures = match persist::user(&inner.ctx, || {
                    inner.ctx.store.attempts_failed(std::slice::from_ref(&id))
                })
                .await
                {
                    Ok(failures) => failures.get(&id).copied().unwrap_or_default(),
                    Err(error) => return Status::Failed(error),
                };
                // Asking took a moment, in which somebody else may have taken it up.
                if inner.board.knows(id) {
                    continue;
                }
                adopted += 1;
                if let Some(job) = inner.adopt(failures, job) {
                    background.resume_planning(job);
                }
            }
            Ok(_) => {}
            Err(error) => return Status::Failed(error),
        }
    }
    if adopted == 0 { Status::Idle } else { Status::Done(adopted) }
}
