//! Retention: forgetting old jobs.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use hub_core::artifact::Artifact;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, prelude::Uuid,
};

use crate::{
    decode::ms,
    entity::{artifact, job},
    error::Result,
    pool::Store,
};

/// Most jobs forgotten in one go, whatever is asked for: writers wait meanwhile.
const BATCH_MAX_JOBS: u32 = 500;

impl Store {
    /// Deletes up to `limit` (at most 500) jobs that ended before `before`, oldest first, with their
    /// parts, attempts and artifacts. Jobs with a favourite among their results stay whole. Answers the
    /// deleted artifacts whose objects no other row refers to, one for each object: their bytes can
    /// go. Empty when nothing was deleted or all objects are shared.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn jobs_delete_older(&self, before: DateTime<Utc>, limit: u32) -> Result<Vec<Artifact>> {
        let favoured = artifact::Entity::find()
            .select_only()
            .column(artifact::Column::JobId)
            .filter(artifact::Column::Favourite.eq(true))
            .filter(artifact::Column::JobId.is_not_null())
            .into_query();
        let old: Vec<Uuid> = job::Entity::find()
            .select_only()
            .column(job::Column::Id)
            .filter(job::Column::FinishedAt.lt(ms(before)))
            .filter(job::Column::PartOf.is_null())
            .filter(job::Column::Id.not_in_subquery(favoured))
            .order_by_asc(job::Column::FinishedAt)
            .limit(u64::from(Ord::min(limit, BATCH_MAX_JOBS)))
            .into_tuple()
            .all(self.reader())
            .await?;
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let tx = self.begin().await?;
        let deleted = delete(&tx, old).await?;
        let orphans = without_other_rows(&tx, deleted).await?;
        tx.commit().await?;
        self.kept_days().forget();
        orphans.into_iter().map(Artifact::try_from).collect()
    }
}

/// Deletes these jobs, less those that got a favourite since they were chosen; parts, attempts and
/// artifacts go with them. Answers the artifacts.
async fn delete(tx: &DatabaseTransaction, mut jobs: Vec<Uuid>) -> Result<Vec<artifact::Model>> {
    let mut artifacts = artifact::Entity::find()
        .filter(artifact::Column::JobId.is_in(jobs.iter().copied()))
        .lock_exclusive()
        .all(tx)
        .await?;
    let favoured: HashSet<Uuid> =
        artifacts.iter().filter(|artifact| artifact.favourite).filter_map(|artifact| artifact.job_id).collect();
    jobs.retain(|job| !favoured.contains(job));
    artifacts.retain(|artifact| artifact.job_id.is_none_or(|job| !favoured.contains(&job)));
    job::Entity::delete_many().filter(job::Column::Id.is_in(jobs)).exec(tx).await?;
    Ok(artifacts)
}

/// Of deleted rows those whose object no row refers to any more, one for each object.
async fn without_other_rows(tx: &DatabaseTransaction, deleted: Vec<artifact::Model>) -> Result<Vec<artifact::Model>> {
    let mut seen: HashSet<(String, String)> = HashSet::new();
    for chunk in deleted.chunks(crate::artifacts::CHUNK) {
        let hashes = chunk.iter().map(|artifact| artifact.sha256.as_str());
        let rows: Vec<(String, String)> = artifact::Entity::find()
            .select_only()
            .columns([artifact::Column::Sha256, artifact::Column::Extension])
            .filter(artifact::Column::Sha256.is_in(hashes))
            .into_tuple()
            .all(tx)
            .await?;
        seen.extend(rows);
    }
    Ok(deleted
        .into_iter()
        .filter(|artifact| seen.insert((artifact.sha256.clone(), artifact.extension.clone())))
        .collect())
}
