//! Deletes finished jobs that are older than they may be, with their files.

use std::sync::Arc;

use chrono::TimeDelta;

use super::Status;
use crate::{background::Inner, persist};

/// Artifacts deleted in one step: keeps the store free for others in between.
const STEP: u32 = 200;

/// Deletes what is too old.
pub(super) async fn activate(inner: &Arc<Inner>) -> Status {
    let ctx = &inner.ctx;
    let Some(days) = ctx.settings.now().retention_days else { return Status::Idle };
    let Some(before) = ctx.clock.now().checked_sub_signed(TimeDelta::days(days.into())) else { return Status::Idle };
    let mut deleted = 0;
    while !ctx.stop.is_cancelled() {
        let artifacts = match persist::user(ctx, || ctx.store.jobs_delete_older(before, STEP)).await {
            Ok(artifacts) => artifacts,
            Err(error) => return Status::Failed(error),
        };
        if artifacts.is_empty() {
            break;
        }
        deleted += artifacts.len();
        for artifact in artifacts {
            // A file that stays behind is only space; its row is gone.
            if let Err(error) = ctx.vault.discard(&artifact).await {
                tracing::warn!(artifact = %artifact.id, error = %error, "a deleted picture's file stays behind");
            }
        }
    }
    if deleted == 0 { Status::Idle } else { Status::Done(deleted) }
}
