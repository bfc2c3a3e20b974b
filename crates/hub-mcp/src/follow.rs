//! From an accepted call to what can be answered: follows a job until it ends, the caller's wait is
//! over, or the caller is gone.

use std::time::Duration;

use hub_core::{error::UserError, ids::JobId};
use hub_engine::{Engine, JobView};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::progress::ProgressTeller;

/// How following a job ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The job has ended, one way or another.
    Ended(Box<JobView>),
    /// The wait is over; the job goes on.
    Running(Box<JobView>),
    /// The caller is gone.
    Left,
}

/// Follows `job` for at most `wait`, telling progress on the way.
///
/// # Errors
/// The engine's, such as an unknown job.
pub(crate) async fn follow(
    engine: &Engine,
    job: JobId,
    wait: Duration,
    mut teller: Option<ProgressTeller>,
    left: &CancellationToken,
) -> Result<Followed, UserError> {
    let deadline = Instant::now() + wait;
    let mut watch = engine.watch(job).await?;
    let mut progress = watch.now();
    loop {
        if progress.state.is_terminal() {
            break;
        }
        if let Some(teller) = &mut teller {
            teller.tell(&progress).await;
        }
        progress = tokio::select! {
            () = left.cancelled() => return Ok(Followed::Left),
            () = tokio::time::sleep_until(deadline) => {
                let view = engine.view(job).await?;
                return Ok(sort(view));
            }
            next = watch.next() => match next {
                Some(next) => next,
                None => break,
            },
        };
    }
    Ok(sort(engine.view(job).await?))
}

/// The row decides: between the last message and the read, a job can end.
fn sort(view: JobView) -> Followed {
    if view.job.state.kind().is_terminal() {
        Followed::Ended(Box::new(view))
    } else {
        Followed::Running(Box::new(view))
    }
}
