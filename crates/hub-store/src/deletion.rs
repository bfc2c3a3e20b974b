//! Deleting single stored files, and what their jobs' rows then say.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use hub_core::{
    artifact::{Artifact, MediaKind},
    ids::ArtifactId,
    job::JobStateKind,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::Uuid,
    sea_query::{Expr, Query, SelectStatement},
};

use crate::{
    artifacts::CHUNK,
    decode::{ms, name},
    entity::{artifact, job},
    error::Result,
    jobs::in_work,
    pool::Store,
    retention::without_other_rows,
};

/// What came of a wish to delete files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileDeletion {
    /// Their rows are gone.
    pub deleted: Vec<Artifact>,
    /// Of those, one for each object that no row refers to any more: the bytes can go.
    pub unnamed: Vec<Artifact>,
    /// Favourites, which stay unless they are meant as well; of given pictures also those that were used meanwhile.
    pub favourites: Vec<ArtifactId>,
    /// Results of jobs that have not ended, and what such jobs work on; they stay.
    pub in_use: Vec<ArtifactId>,
}

impl Store {
    /// Deletes files; their jobs stay, and no longer count as having pictures or favourites when none is left.
    /// Ids of nothing are passed over. Favourites go only `with_favourites`. What a job makes or works on that has not
    /// ended stays.
    ///
    /// # Errors
    /// When the database fails or a row does not decode; then what earlier thousands did stays done.
    pub async fn artifacts_delete(&self, ids: &[ArtifactId], with_favourites: bool) -> Result<FileDeletion> {
        self.delete_files(ids, |row| !row.favourite || with_favourites).await
    }

    /// Deletes given pictures that are still older than `before`, and neither favourites nor in use; the others stay.
    ///
    /// # Errors
    /// As [`Store::artifacts_delete`].
    pub async fn inputs_delete(&self, ids: &[ArtifactId], before: DateTime<Utc>) -> Result<FileDeletion> {
        let before = ms(before);
        self.delete_files(ids, |row| !row.favourite && row.job_id.is_none() && row.created_at < before).await
    }

    async fn delete_files(&self, ids: &[ArtifactId], may: impl Fn(&artifact::Model) -> bool) -> Result<FileDeletion> {
        let mut outcome = FileDeletion::default();
        for chunk in ids.chunks(CHUNK) {
            let tx = self.begin().await?;
            delete_chunk(&tx, chunk, &may, &mut outcome).await?;
            tx.commit().await?;
            self.forget_counts().await;
        }
        Ok(outcome)
    }
}

async fn delete_chunk(
    tx: &DatabaseTransaction,
    ids: &[ArtifactId],
    may: impl Fn(&artifact::Model) -> bool,
    outcome: &mut FileDeletion,
) -> Result<()> {
    let mut rows = artifact::Entity::find()
        .filter(artifact::Column::Id.is_in(ids.iter().map(|id| id.as_uuid())))
        .order_by_asc(artifact::Column::Id)
        .lock_exclusive()
        .all(tx)
        .await?;
    let unfinished = unfinished_among(tx, &rows).await?;
    let in_work = in_work(tx).await?;
    rows.retain(|row| {
        let id = ArtifactId::from_uuid(row.id);
        if in_work.contains(&id) || row.job_id.is_some_and(|job| unfinished.contains(&job)) {
            outcome.in_use.push(id);
            return false;
        }
        if !may(row) {
            outcome.favourites.push(id);
            return false;
        }
        true
    });
    artifact::Entity::delete_many().filter(artifact::Column::Id.is_in(rows.iter().map(|row| row.id))).exec(tx).await?;
    let jobs: HashSet<Uuid> = rows.iter().filter_map(|row| row.job_id).collect();
    recount(tx, jobs).await?;
    let deleted: Vec<Artifact> = rows.iter().cloned().map(Artifact::try_from).collect::<Result<_>>()?;
    outcome.deleted.extend(deleted);
    for row in without_other_rows(tx, rows).await? {
        outcome.unnamed.push(Artifact::try_from(row)?);
    }
    Ok(())
}

/// Of the jobs of these files those that have not ended; all are locked, so that none ends meanwhile.
async fn unfinished_among(tx: &DatabaseTransaction, rows: &[artifact::Model]) -> Result<HashSet<Uuid>> {
    let jobs: HashSet<Uuid> = rows.iter().filter_map(|row| row.job_id).collect();
    let ended = JobStateKind::ALL.into_iter().filter(|kind| kind.is_terminal()).map(JobStateKind::as_str);
    let found = job::Entity::find()
        .filter(job::Column::Id.is_in(jobs))
        .filter(job::Column::State.is_not_in(ended))
        .lock_exclusive()
        .all(tx)
        .await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// Has the rows of these jobs say whether they have pictures and favourites.
async fn recount(tx: &DatabaseTransaction, jobs: HashSet<Uuid>) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let pictures =
        files_of_job().and_where(Expr::col(artifact::Column::Kind).eq(name("kind", &MediaKind::Image)?)).take();
    let favourites = files_of_job().and_where(Expr::col(artifact::Column::Favourite).eq(true)).take();
    let update = Query::update()
        .table(job::Entity)
        .value(job::Column::HasImages, Expr::exists(pictures))
        .value(job::Column::Favourite, Expr::exists(favourites))
        .and_where(Expr::col(job::Column::Id).is_in(jobs))
        .take();
    tx.execute(&update).await?;
    Ok(())
}

/// One row for each file of the job whose row is updated.
fn files_of_job() -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(artifact::Entity)
        .and_where(Expr::col((artifact::Entity, artifact::Column::JobId)).equals((job::Entity, job::Column::Id)))
        .take()
}
