//! After a server ran out of memory: what can be done so that the job fits the next time.
//!
//! The server is told to drop its models. The job may try it once more, unless a bigger card takes work;
//! it never goes to a card that is known to be smaller.

use std::time::Duration;

use hub_core::{error::ErrorCode, ids::ServerId};

use super::Attempt;
use crate::{CrashPoint, crash, persist};

/// Longest wait for a server to take the order to free its memory.
const FREE_LIMIT: Duration = Duration::from_secs(5);

/// Has the server free its memory and answers which servers must not get the job again.
pub(super) async fn relieve(attempt: &Attempt) -> Vec<ServerId> {
    attempt.inner.ctx.leases.did_not_fit(&attempt.session.server(), attempt.models());
    free(attempt).await;
    let (inner, here) = (&attempt.inner, attempt.at.server);
    let own = attempt.session.memory_bytes();
    let others = inner.pool.memories();
    let excluded = &attempt.waiting.job.excluded;
    let bigger = others
        .iter()
        .any(|other| other.takes_work && other.bytes > own && own.is_some() && !excluded.contains(&other.server));
    let mut too_small: Vec<ServerId> = others
        .iter()
        .filter(|other| other.bytes.zip(own).is_some_and(|(theirs, own)| theirs < own))
        .map(|other| other.server)
        .collect();
    if bigger || failed_here_before(attempt).await {
        too_small.push(here);
    }
    too_small
}

async fn free(attempt: &Attempt) {
    let Some(client) = attempt.session.client() else { return };
    let freed = crash::around(CrashPoint::Free, tokio::time::timeout(FREE_LIMIT, client.free(true, true))).await;
    let why = match freed {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.chain(),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::debug!(job = %attempt.waiting.job.id, server = %attempt.server_name, why, "the server could not be told to free its memory");
}

/// Whether the job ran out of this server's memory in an earlier attempt.
async fn failed_here_before(attempt: &Attempt) -> bool {
    let ctx = &attempt.inner.ctx;
    let job = attempt.waiting.job.id;
    let rows = persist::settle(ctx, job, || ctx.store.job_attempts(job)).await.unwrap_or_default();
    rows.iter().any(|row| {
        row.attempt.server == attempt.at.server
            && row.attempt.number < attempt.at.number
            && row.error.as_ref().is_some_and(|error| error.code == ErrorCode::OutOfMemory)
    })
}
