//! Retention: which jobs may be forgotten, what that frees, and forgetting them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use hub_core::{
    artifact::{Artifact, ArtifactRole},
    ids::{ArtifactId, JobId},
};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::Uuid,
    sea_query::Expr,
};

use crate::{
    decode::{Row, ms},
    entity::{artifact, job},
    error::Result,
    jobs::in_work,
    pool::Store,
    showcases::shown_jobs,
};

/// Most jobs forgotten in one go, whatever is asked for: writers wait meanwhile.
const BATCH_MAX_JOBS: u32 = 500;
/// Size of all files of a group, as a number that both databases answer alike.
const BYTES: &str = "CAST(SUM(size_bytes) AS bigint)";

/// A job that may be forgotten, and what that frees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expendable {
    /// The job; its parts go with it.
    pub job: JobId,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Its files.
    pub files: u64,
    /// Their size in bytes; of bytes that several files share each counts.
    pub bytes: u64,
}

/// How many files are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredFiles {
    /// Results of jobs, favourites included.
    pub results: FileCount,
    /// Those that are favourites.
    pub favourites: FileCount,
    /// Pictures that callers gave.
    pub inputs: FileCount,
}

/// Files and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileCount {
    /// How many.
    pub files: u64,
    /// In bytes; of bytes that several files share each counts.
    pub bytes: u64,
}

impl FileCount {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

impl Store {
    /// How many files are stored, by what they are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stored_files(&self) -> Result<StoredFiles> {
        let rows: Vec<(String, bool, i64, i64)> = artifact::Entity::find()
            .select_only()
            .column(artifact::Column::Role)
            .column(artifact::Column::Favourite)
            .column_as(artifact::Column::Id.count(), "files")
            .column_as(Expr::cust(BYTES), "bytes")
            .group_by(artifact::Column::Role)
            .group_by(artifact::Column::Favourite)
            .into_tuple()
            .all(self.reader())
            .await?;
        let at = Row::new("artifacts", "of all");
        let mut found = StoredFiles::default();
        for (role, favourite, files, bytes) in rows {
            let count = FileCount { files: at.number("id", files)?, bytes: at.number("size_bytes", bytes)? };
            match at.name("role", &role)? {
                ArtifactRole::Input | ArtifactRole::Mask => found.inputs.add(count),
                ArtifactRole::Output => {
                    found.results.add(count);
                    if favourite {
                        found.favourites.add(count);
                    }
                }
            }
        }
        Ok(found)
    }

    /// As [`Store::stored_files`], for people: where there are many, the answer may be some time old, a hundred times as
    /// long as counting took, at most 10 s, unless something was deleted meanwhile.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stored_files_recently(&self) -> Result<StoredFiles> {
        let about = |found: &StoredFiles| found.results.files + found.inputs.files;
        self.last_files().get_or(|_| true, self.stored_files(), about).await
    }

    /// A page of the jobs that have ended, have no favourite and are shown nowhere, oldest end first, after the given one; at most
    /// 500. Parts count with their whole.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn jobs_expendable(&self, after: Option<&Expendable>, limit: u32) -> Result<Vec<Expendable>> {
        let mut query = job::Entity::find()
            .select_only()
            .columns([job::Column::Id, job::Column::FinishedAt])
            .filter(job::Column::FinishedAt.is_not_null())
            .filter(job::Column::PartOf.is_null())
            .filter(job::Column::Favourite.eq(false))
            .filter(job::Column::Id.not_in_subquery(shown_jobs()));
        if let Some(after) = after {
            let at = ms(after.finished_at);
            let same =
                Condition::all().add(job::Column::FinishedAt.eq(at)).add(job::Column::Id.gt(after.job.as_uuid()));
            // The bound that an index can use is said apart.
            query = query
                .filter(job::Column::FinishedAt.gte(at))
                .filter(Condition::any().add(job::Column::FinishedAt.gt(at)).add(same));
        }
        let jobs: Vec<(Uuid, i64)> = query
            .order_by_asc(job::Column::FinishedAt)
            .order_by_asc(job::Column::Id)
            .limit(u64::from(Ord::min(limit, BATCH_MAX_JOBS)))
            .into_tuple()
            .all(self.reader())
            .await?;
        let files: Vec<(Uuid, i64, i64)> = artifact::Entity::find()
            .select_only()
            .column(artifact::Column::JobId)
            .column_as(artifact::Column::Id.count(), "files")
            .column_as(Expr::cust(BYTES), "bytes")
            .filter(artifact::Column::JobId.is_in(jobs.iter().map(|(id, _)| *id)))
            .group_by(artifact::Column::JobId)
            .into_tuple()
            .all(self.reader())
            .await?;
        let files: HashMap<Uuid, (i64, i64)> =
            files.into_iter().map(|(job, files, bytes)| (job, (files, bytes))).collect();
        let row = |(id, finished): (Uuid, i64)| {
            let job = JobId::from_uuid(id);
            let at = Row::new("jobs", job);
            let (files, bytes) = files.get(&id).copied().unwrap_or_default();
            Ok(Expendable {
                job,
                finished_at: at.time("finished_at", finished)?,
                files: at.number("id", files)?,
                bytes: at.number("id", bytes)?,
            })
        };
        jobs.into_iter().map(row).collect()
    }

    /// Deletes these jobs (at most 500) with their parts, attempts and files, less those that have a favourite or are
    /// shown somewhere by now, or that made what a job works on that has not ended. Answers the deleted artifacts whose
    /// objects no other row refers to, one for each object: their bytes can go. Empty when nothing was deleted or all
    /// objects are shared.
    ///
    /// # Errors
    /// When the database fails or a row does not decode; then nothing has changed.
    pub async fn jobs_delete(&self, jobs: &[JobId]) -> Result<Vec<Artifact>> {
        let jobs = jobs.iter().take(BATCH_MAX_JOBS as usize).map(|job| job.as_uuid()).collect();
        let tx = self.begin().await?;
        let deleted = delete(&tx, jobs).await?;
        let orphans = without_other_rows(&tx, deleted).await?;
        tx.commit().await?;
        self.forget_counts().await;
        orphans.into_iter().map(Artifact::try_from).collect()
    }
}

/// Deletes these jobs, less those that got a favourite, are shown or are worked on since they were chosen; parts,
/// attempts and artifacts go with them. Answers the artifacts.
async fn delete(tx: &DatabaseTransaction, mut jobs: Vec<Uuid>) -> Result<Vec<artifact::Model>> {
    let mut artifacts = artifact::Entity::find()
        .filter(artifact::Column::JobId.is_in(jobs.iter().copied()))
        .order_by_asc(artifact::Column::Id)
        .lock_exclusive()
        .all(tx)
        .await?;
    let in_work = in_work(tx).await?;
    let is_kept = |row: &artifact::Model| row.favourite || in_work.contains(&ArtifactId::from_uuid(row.id));
    let kept: HashSet<Uuid> = artifacts.iter().filter(|row| is_kept(row)).filter_map(|row| row.job_id).collect();
    // Since they were chosen one may have been asked to show something, too.
    let shown: Vec<Uuid> = job::Entity::find()
        .select_only()
        .column(job::Column::Id)
        .filter(job::Column::Id.is_in(jobs.iter().copied()))
        .filter(job::Column::Id.in_subquery(shown_jobs()))
        .into_tuple()
        .all(tx)
        .await?;
    let stays = |job: &Uuid| kept.contains(job) || shown.contains(job);
    jobs.retain(|job| !stays(job));
    artifacts.retain(|artifact| artifact.job_id.is_none_or(|job| !stays(&job)));
    job::Entity::delete_many().filter(job::Column::Id.is_in(jobs)).exec(tx).await?;
    Ok(artifacts)
}

/// Of deleted rows those whose object no row refers to any more, one for each object.
pub(crate) async fn without_other_rows(
    tx: &DatabaseTransaction,
    deleted: Vec<artifact::Model>,
) -> Result<Vec<artifact::Model>> {
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
