//! Ends jobs that waited for a server longer than they may.

use std::sync::Arc;

use chrono::TimeDelta;
use hub_core::job::JobStateKind;

use super::Status;
use crate::{CrashPoint, background::Inner, crash, persist};

/// Expires what waited too long.
pub(super) async fn activate(inner: &Arc<Inner>) -> Status {
    let ctx = &inner.ctx;
    let limit = TimeDelta::from_std(ctx.settings.now().queue_wait_limit).unwrap_or(TimeDelta::MAX);
    let Some(before) = ctx.clock.before(limit) else { return Status::Idle };
    let mut expired = 0;
    for job in inner.dispatch.queued_before(before).await {
        match crash::around(CrashPoint::Expire, persist::user(ctx, || ctx.store.job_expire(job))).await {
            Ok(true) => {
                expired += 1;
                inner.board.end(job, JobStateKind::Expired);
                inner.dispatch.forget(job);
            }
            // It got its server in the meantime.
            Ok(false) => {}
            Err(error) => return Status::Failed(error),
        }
    }
    if expired == 0 { Status::Idle } else { Status::Done(expired) }
}
