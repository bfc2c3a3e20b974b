//! Makes files and their rows agree: deletes files that no row names (a crash between the two leaves
//! them, and so does a deleted picture whose file could not be deleted), and finds rows without a file.
//!
//! Rows are never deleted: a lost file is for a person to bring back. Nothing young is touched, since
//! files are written before the rows that name them.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    artifact::Artifact,
    error::{ErrorCode, UserError},
};

use super::Status;
use crate::{
    artifacts::{FOLDERS, Listed, Vault},
    background::Inner,
    context::Context,
    persist,
};

/// Lost files named in the log, of each run.
const NAMED_MAX: usize = 10;

/// Lost files told to who asks.
const TOLD_MAX: usize = 50;

/// What does not agree. Nothing young is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileCheck {
    /// Files that no row names; they are deleted in time.
    pub unnamed: usize,
    /// Size of those in bytes.
    pub unnamed_bytes: u64,
    /// Rows whose file is gone.
    pub lost: usize,
    /// The first of those, at most 50.
    pub lost_first: Vec<Artifact>,
}

/// What does not agree in one folder.
struct Compared {
    unnamed: Vec<Listed>,
    lost: Vec<Artifact>,
}

/// Files and rows written after this are young.
fn young_from(ctx: &Context) -> Option<DateTime<Utc>> {
    let grace = TimeDelta::from_std(ctx.config.orphan_grace).unwrap_or(TimeDelta::MAX);
    ctx.clock.before(grace)
}

async fn compare(ctx: &Context, digits: &str, before: DateTime<Utc>) -> Result<Compared, UserError> {
    // Listed first: a file that is written later has a row later.
    let listed = ctx.vault.listed(digits).await?;
    let rows = persist::user(ctx, || ctx.store.artifacts_under(digits)).await?;
    let named: HashSet<String> = rows.iter().flat_map(Vault::keys_of).collect();
    let there: HashSet<String> = listed.iter().map(|file| file.key.clone()).collect();
    let mut lost = Vec::new();
    for row in rows.into_iter().filter(|row| row.created_at < before && !there.contains(&row.object_key())) {
        if !ctx.vault.holds(&row).await? {
            lost.push(row);
        }
    }
    let unnamed = listed.into_iter().filter(|file| file.modified < before && !named.contains(&file.key)).collect();
    Ok(Compared { unnamed, lost })
}

/// Compares all files with all rows; changes nothing.
pub(crate) async fn check(ctx: &Context) -> Result<FileCheck, UserError> {
    let mut check = FileCheck::default();
    let Some(before) = young_from(ctx) else { return Ok(check) };
    for folder in 0..FOLDERS {
        let Compared { unnamed, lost } = compare(ctx, &format!("{folder:02x}"), before).await?;
        check.unnamed += unnamed.len();
        check.unnamed_bytes += unnamed.iter().map(|file| file.size_bytes).sum::<u64>();
        check.lost += lost.len();
        let room = TOLD_MAX - check.lost_first.len();
        check.lost_first.extend(lost.into_iter().take(room));
    }
    Ok(check)
}

/// Deletes files without rows and looks for rows without files, folder by folder.
pub(super) async fn activate(inner: &Arc<Inner>) -> Status {
    let ctx = &inner.ctx;
    let Some(before) = young_from(ctx) else { return Status::Idle };
    let (mut deleted, mut lost) = (0, 0);
    for folder in 0..FOLDERS {
        if ctx.stop.is_cancelled() {
            break;
        }
        let compared = match compare(ctx, &format!("{folder:02x}"), before).await {
            Ok(compared) => compared,
            Err(error) => return Status::Failed(error),
        };
        for file in compared.unnamed {
            match delete(inner, file.sha256(), &file.key, before).await {
                Ok(true) => deleted += 1,
                Ok(false) => {}
                Err(error) => return Status::Failed(error),
            }
        }
        for row in compared.lost {
            lost += 1;
            if lost <= NAMED_MAX {
                tracing::error!(artifact = %row.id, job = ?row.job, key = row.object_key(), "a picture's file is gone");
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
