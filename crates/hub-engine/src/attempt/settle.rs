//! The end of an attempt: writes the outcome, then tells the board, then the queue.
//!
//! The store decides. When it says that the attempt does not own the job any more, the job is read again
//! and the board follows it.

use std::sync::Arc;

use hub_core::{
    error::{ErrorCode, UserError},
    ids::ServerId,
    job::{self, JobState, JobStateKind},
};
use hub_store::{NewArtifact, Ran, Succeeded};

use super::Attempt;
use crate::{
    CrashPoint, JobView, artifacts::Unnamed, attempt::memory, background::Inner, crash, persist, schedule::Waiting,
};

/// How an attempt ended.
pub(super) enum End {
    /// With these files, stored already and not named yet.
    Succeeded(Vec<(NewArtifact, Unnamed)>),
    /// The job cannot be done.
    Failed(UserError),
    /// Not on this server, by no fault that counts: try again when some server can.
    NotHere(UserError),
    /// By the server's fault: try again, rather elsewhere.
    Again(UserError),
    /// This server must not get it again.
    Elsewhere(UserError),
    /// The server's memory did not suffice.
    OutOfMemory(UserError),
    /// Somebody cancelled the job; the store knows.
    Cancelled {
        /// Whether the prompt may be on the server.
        posted: bool,
    },
    /// Another attempt, or nobody, owns the job.
    Superseded,
    /// The hub lets go: the prompt keeps running and is found again.
    LetGo,
}

impl End {
    pub(super) fn not_here(why: UserError) -> Self {
        Self::NotHere(why)
    }
}

/// Writes and tells how the attempt ended.
pub(super) async fn settle(mut attempt: Attempt, end: End) {
    let inner = attempt.inner.clone();
    let (ctx, job, number) = (&inner.ctx, attempt.waiting.job.id, attempt.at.number);
    match end {
        End::Succeeded(files) => {
            // Held until the rows are written.
            let (artifacts, _unnamed): (Vec<NewArtifact>, Vec<Unnamed>) = files.into_iter().unzip();
            let owner = attempt.waiting.job.result_job();
            let ran = Ran { began: attempt.began, loaded: attempt.loaded };
            let succeeded = persist::settle(ctx, job, || ctx.store.job_succeed(job, number, owner, ran, &artifacts));
            match crash::around(CrashPoint::Succeed, succeeded).await {
                Some(Some(succeeded)) => {
                    tracing::info!(job = %job, server = %attempt.server_name, attempt = number, files = artifacts.len(), "job succeeded");
                    inner.ended.keep(result_of(&attempt, succeeded));
                    inner.board.end(job, JobStateKind::Succeeded);
                }
                Some(None) => catch_up(&inner, &attempt.waiting).await,
                None => {
                    let error = UserError::new(ErrorCode::Storage, "The result could not be stored.")
                        .with_hint("The hub's log says more.");
                    fail(&attempt, &error).await;
                }
            }
        }
        End::Failed(error) => fail(&attempt, &error).await,
        End::NotHere(why) => again(attempt, why, false, &[]).await,
        End::Again(why) => again(attempt, why, true, &[]).await,
        End::Elsewhere(why) => {
            let server = attempt.at.server;
            again(attempt, why, true, &[server]).await;
        }
        End::OutOfMemory(why) => {
            let too_small = memory::relieve(&attempt).await;
            again(attempt, why, true, &too_small).await;
        }
        End::Cancelled { posted } => {
            if posted {
                attempt.session.withdraw(&attempt.prompt_id).await;
            }
            attempt.slot = None;
        }
        End::Superseded => {
            attempt.slot = None;
            catch_up(&inner, &attempt.waiting).await;
        }
        End::LetGo => {}
    }
}

/// The job as it is stored now.
fn result_of(attempt: &Attempt, succeeded: Succeeded) -> JobView {
    let mut job = attempt.waiting.job.clone();
    job.state = JobState::Succeeded;
    job.server = Some(attempt.at.server);
    job.times.started_at = succeeded.started_at;
    job.times.finished_at = succeeded.finished_at;
    JobView { job, artifacts: succeeded.artifacts, server: Some(attempt.server_name.to_string()), progress: None }
}

async fn fail(attempt: &Attempt, error: &UserError) {
    let (ctx, job, number) = (&attempt.inner.ctx, attempt.waiting.job.id, attempt.at.number);
    let failed = persist::settle(ctx, job, || ctx.store.job_fail(job, Some(number), error));
    match crash::around(CrashPoint::Fail, failed).await {
        Some(true) => {
            tracing::info!(job = %job, server = %attempt.server_name, attempt = number, code = %error.code, error = %error.message, "job failed");
            attempt.inner.board.end(job, JobStateKind::Failed);
        }
        Some(false) => catch_up(&attempt.inner, &attempt.waiting).await,
        // Nothing can be written: off the board, so that it is adopted again later.
        None => attempt.inner.board.drop_silently(job),
    }
}

/// Puts the job back into the queue, or fails it when it failed too often.
async fn again(mut attempt: Attempt, why: UserError, counts: bool, exclude: &[ServerId]) {
    let inner = attempt.inner.clone();
    let (ctx, job, number) = (&inner.ctx, attempt.waiting.job.id, attempt.at.number);
    attempt.waiting.failures += u32::from(counts);
    let failures = attempt.waiting.failures;
    if counts && failures >= ctx.settings.now().attempts_max {
        let message = match failures {
            1 => why.message.clone(),
            _ => format!("The job failed {failures} times by the fault of servers. {}", why.message),
        };
        return fail(&attempt, &UserError { message, ..why }).await;
    }
    let server = attempt.at.server;
    let (store, told) = (&ctx.store, &why);
    let requeued = persist::settle(ctx, job, || async move {
        if counts {
            store.job_requeue(job, number, told, exclude).await
        } else {
            store.job_return(job, number, told).await
        }
    });
    let point = if counts { CrashPoint::Requeue } else { CrashPoint::Return };
    match crash::around(point, requeued).await {
        Some(true) => {}
        Some(false) => return catch_up(&inner, &attempt.waiting).await,
        None => return inner.board.drop_silently(job),
    }
    tracing::info!(job = %job, server = %attempt.server_name, attempt = number, why = %why.message, "job goes back to the queue");
    for server in exclude {
        if !attempt.waiting.job.excluded.contains(server) {
            attempt.waiting.job.excluded.push(*server);
        }
    }
    attempt.waiting.avoid = Some(server);
    show_requeued(&inner, &mut attempt.waiting);
    // The place first, so that the queue finds it free.
    attempt.slot = None;
    inner.dispatch.enqueue(attempt.waiting.clone());
}

fn show_requeued(inner: &Inner, waiting: &mut Waiting) {
    waiting.job.state = JobState::Queued;
    inner.board.update(waiting.job.id, |progress| {
        progress.state = JobStateKind::Queued;
        progress.server = None;
        progress.fraction = 0.0;
        progress.steps = None;
        progress.node = None;
        progress.preview = None;
        true
    });
}

/// The store says that this attempt does not own the job: believe it.
async fn catch_up(inner: &Inner, waiting: &Waiting) {
    let (ctx, job) = (&inner.ctx, waiting.job.id);
    match persist::settle(ctx, job, || ctx.store.job_get(job)).await {
        Some(Some(stored)) if stored.state.kind().is_terminal() => drop(inner.board.end(job, stored.state.kind())),
        // Owned by nobody here: whoever looks for orphans takes it up.
        Some(_) => inner.board.drop_silently(job),
        None => {}
    }
}

/// Requeues a job whose server is not in the pool any more.
pub(super) async fn requeue_orphan(inner: Arc<Inner>, mut waiting: Waiting, at: job::Attempt) {
    let ctx = &inner.ctx;
    let why = UserError::new(ErrorCode::ServerLost, "The server that had the job is not in the pool any more.");
    let id = waiting.job.id;
    let requeued = persist::settle(ctx, id, || ctx.store.job_return(id, at.number, &why));
    if crash::around(CrashPoint::Homeless, requeued).await == Some(true) {
        show_requeued(&inner, &mut waiting);
        inner.dispatch.enqueue(waiting);
    } else {
        catch_up(&inner, &waiting).await;
    }
}
