//! The pictures that jobs work on: there when a job is stored, and kept until it has ended.
//!
//! Who stores a job looks for its pictures, and who deletes pictures looks for the jobs that work on them, each in the
//! transaction that writes and with the pictures' rows locked before. So the later of the two sees what the earlier one
//! did, on PostgreSQL too, where both may be under way at once; SQLite has one writer anyway. Both lock pictures first,
//! by id, and jobs after them, so that they never wait for each other in a circle.

use std::collections::{BTreeSet, HashSet};

use hub_core::{
    ids::{ArtifactId, JobId},
    job::{Job, JobStateKind},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::Uuid, sea_query::LockType,
};

use super::insert;
use crate::{
    decode::Row,
    entity::{artifact, job},
    error::{Result, StoreError},
    inputs::WITHOUT_PICTURE,
    pool::Store,
    together::Change,
    transitions::{OPEN, lost},
};

impl Store {
    /// Writes the row of a job, and `then` with it. Answers whether it did: not where the caller's key has a job.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when a picture that the job works on was deleted; nothing has changed when it fails.
    pub(crate) async fn write_new(&self, job: &Job, request_digest: &str, then: &[Change]) -> Result<bool> {
        let insert = insert(job, request_digest)?;
        let pictures: BTreeSet<Uuid> = job.request.works_on().map(ArtifactId::as_uuid).collect();
        if pictures.is_empty() {
            return Ok(self.together(insert, then).await?.is_some());
        }
        let tx = self.begin().await?;
        // The weakest lock that a deletion waits for: jobs on the same picture do not wait for each other.
        let there: Vec<Uuid> = artifact::Entity::find()
            .select_only()
            .column(artifact::Column::Id)
            .filter(artifact::Column::Id.is_in(pictures.iter().copied()))
            .order_by_asc(artifact::Column::Id)
            .lock(LockType::KeyShare)
            .into_tuple()
            .all(&tx)
            .await?;
        // Before anything is refused: a repeated call finds its job whatever was deleted since.
        if tx.query_one(&insert).await?.is_none() {
            return lost(tx, false).await;
        }
        if there.len() < pictures.len() {
            return lost(tx, Err(StoreError::Gone { what: "the picture to work on" })).await?;
        }
        for change in then {
            tx.execute(change).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// The pictures that jobs work on that have not ended. Lock the rows of those that are to be deleted before: who has
/// stored a job meanwhile is seen then, and who is about to has to wait.
pub(crate) async fn in_work(tx: &DatabaseTransaction) -> Result<HashSet<ArtifactId>> {
    let rows: Vec<(Uuid, String)> = job::Entity::find()
        .select_only()
        .columns([job::Column::Id, job::Column::Request])
        .filter(job::Column::State.is_in(OPEN.map(JobStateKind::as_str)))
        .filter(job::Column::Tool.is_not_in(WITHOUT_PICTURE))
        .into_tuple()
        .all(tx)
        .await?;
    let mut found = HashSet::new();
    for (id, request) in rows {
        found.extend(job::read_request(&Row::new("jobs", JobId::from_uuid(id)), &request)?.works_on());
    }
    Ok(found)
}
