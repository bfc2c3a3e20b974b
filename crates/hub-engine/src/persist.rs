//! Writing to the store from background work: with patience where a result is at stake.
//!
//! A transition of the store is fenced by state and attempt, so repeating one is harmless: a repetition
//! of what was already done answers that the race is lost.

use std::time::Duration;

use hub_core::{error::UserError, ids::JobId};
use hub_store::{StoreError, StoreErrorKind};

use crate::{context::Context, refusal};

/// First pause before a write is repeated; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause before a write is repeated.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Repetitions while a caller waits for the answer.
const REPEATS_WITH_CALLER: u32 = 4;

/// A write that somebody waits for: repeated a few times, then refused.
///
/// # Errors
/// What to tell the caller.
pub(crate) async fn user<T, Fut>(ctx: &Context, write: impl Fn() -> Fut) -> Result<T, UserError>
where
    Fut: Future<Output = Result<T, StoreError>>,
{
    let mut pause = PAUSE_MIN;
    for _ in 0..REPEATS_WITH_CALLER {
        match write().await {
            Ok(value) => return Ok(value),
            Err(error) if error.kind() == StoreErrorKind::Transient && !ctx.kill.is_cancelled() => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => return Err(refusal::storage(error)),
        }
    }
    write().await.map_err(refusal::storage)
}

/// Whether a write can succeed later without anybody changing it.
fn heals(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Transient | StoreErrorKind::Full | StoreErrorKind::ReadOnly)
}

/// A write on which a job's fate depends: repeated until it succeeds. `None` when the hub lets go, or the
/// failure is one that time does not heal; the job is then found again at the next start.
pub(crate) async fn settle<T, Fut>(ctx: &Context, job: JobId, write: impl Fn() -> Fut) -> Option<T>
where
    Fut: Future<Output = Result<T, StoreError>>,
{
    let mut pause = PAUSE_MIN;
    loop {
        match write().await {
            Ok(value) => return Some(value),
            Err(error) if heals(error.kind()) => {
                tracing::warn!(job = %job, error = %error, pause_ms = pause.as_millis(), "a write to the store is repeated");
            }
            Err(error) => {
                tracing::error!(job = %job, error = %error, "the store refuses a write");
                return None;
            }
        }
        tokio::select! {
            () = ctx.kill.cancelled() => return None,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
