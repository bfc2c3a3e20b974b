//! Makes files and their rows agree: deletes files that no row names (a crash between the two leaves
//! them, and so does a deleted picture whose file could not be deleted), and finds rows without a file.
//!
//! Rows are never deleted: a lost file is for a person to bring back. Nothing young is touched, since
//! files are written before the rows that name them.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::error::{ErrorCode, UserError};

use super::Status;
use crate::{
    artifacts::{FOLDERS, Vault},
    background::Inner,
    persist,
};

/// Lost files named in the log, of each run.
const NAMED_MAX: usize = 10;

/// Deletes files without rows and looks for rows without files, folder by folder.
pub(super) async fn activate(inner: &Arc<Inner>) -> Status {
    let ctx = &inner.ctx;
    let grace = TimeDelta::from_std(ctx.config.orphan_grace).unwrap_or(TimeDelta::MAX);
    let Some(before) = ctx.clock.now().checked_sub_signed(grace) else { return Status::Idle };
    let (mut deleted, mut lost) = (0, 0);
    for folder in 0..FOLDERS {
        if ctx.stop.is_cancelled() {
            break;
        }
        let digits = format!("{folder:02x}");
        // Listed first: a file that is written later has a row later.
        let listed = match ctx.vault.listed(&digits).await {
            Ok(listed) => listed,
            Err(error) => return Status::Failed(error.into()),
        };
        let rows = match persist::user(ctx, || ctx.store.artifacts_under(&digits)).await {
            Ok(rows) => rows,
            Err(error) => return Status::Failed(error),
        };
        let named: HashSet<String> = rows.iter().flat_map(Vault::keys_of).collect();
        for file in listed.iter().filter(|file| file.modified < before && !named.contains(&file.key)) {
            match delete(inner, file.sha256(), &file.key, before).await {
                Ok(true) => deleted += 1,
                Ok(false) => {}
                Err(error) => return Status::Failed(error),
            }
        }
        let there: HashSet<&str> = listed.iter().map(|file| file.key.as_str()).collect();
        for row in rows.iter().filter(|row| row.created_at < before && !there.contains(row.object_key().as_str())) {
            match ctx.vault.holds(row).await {
                Ok(true) => {}
                Ok(false) => {
                    lost += 1;
                    if lost <= NAMED_MAX {
                        tracing::error!(artifact = %row.id, job = ?row.job, key = row.object_key(), "a picture's file is gone");
                    }
                }
                Err(error) => return Status::Failed(error.into()),
            }
        }
    }
    match (deleted, lost) {
        (_, lost @ 1..) => Status::Failed(
            UserError::new(
                ErrorCode::Storage,
                format!("{lost} stored {} lost the file.", if lost == 1 { "picture has" } else { "pictures have" }),
            )
            .with_hint("Bring them back from a backup of the object store; the hub's log names the first ones."),
        ),
        (0, _) => Status::Idle,
        (deleted, _) => Status::Done(deleted),
    }
}

/// Deletes one file, unless it has been written again or got a row meanwhile.
async fn delete(inner: &Inner, sha256: &str, key: &str, before: DateTime<Utc>) -> Result<bool, UserError> {
    let ctx = &inner.ctx;
    let named = async || {
        let rows = persist::user(ctx, || ctx.store.artifacts_under(sha256)).await?;
        Ok::<_, UserError>(rows.iter().flat_map(Vault::keys_of).any(|named| named == key))
    };
    let deleted = ctx.vault.delete_unless(key, before, named).await?;
    if deleted {
        tracing::info!(key, "a file that nothing names was deleted");
    }
    Ok(deleted)
}
