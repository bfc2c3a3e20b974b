//! Tasks that make the world agree with the store, each at its own pace.
//!
//! A task takes no input, may run at any time and as often as one likes, and tells what it did.

mod expire;
pub(crate) mod restart;
mod retention;

use std::time::Duration;

use hub_core::error::UserError;
use tokio::time::MissedTickBehavior;

use crate::background::Background;

/// Pace of looking for jobs that nobody follows.
const ADOPT_EVERY: Duration = Duration::from_mins(1);
/// Pace of looking for jobs that waited too long.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// Pace of deleting what is older than it may be.
const RETAIN_EVERY: Duration = Duration::from_hours(1);

/// What one run of a task did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// There was nothing to do.
    Idle,
    /// So many things were put right.
    Done(usize),
    /// It could not be done; the next run tries again.
    Failed(UserError),
}

/// Runs all tasks until the hub stops.
pub(crate) async fn run(background: Background) {
    let tick = |every| {
        let mut interval = tokio::time::interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    };
    let (mut adopt, mut expire, mut retain) = (tick(ADOPT_EVERY), tick(EXPIRE_EVERY), tick(RETAIN_EVERY));
    let stop = background.inner().ctx.stop.clone();
    loop {
        let (task, status) = tokio::select! {
            () = stop.cancelled() => return,
            _ = adopt.tick() => ("restart", restart::activate(&background).await),
            _ = expire.tick() => ("expire", expire::activate(background.inner()).await),
            _ = retain.tick() => ("retention", retention::activate(background.inner()).await),
        };
        match status {
            Status::Idle => tracing::trace!(task, "nothing to reconcile"),
            Status::Done(count) => tracing::info!(task, count, "reconciled"),
            Status::Failed(error) => tracing::warn!(task, error = %error, "reconciling failed"),
        }
    }
}
