//! Whose pictures are, and what a caller has spent.

use chrono::{DateTime, Utc};
use hub_core::{
    access::Usage,
    artifact::Artifact,
    caller::Caller,
    ids::{ArtifactId, JobId},
    job::Job,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, JoinType, QueryFilter, QuerySelect, QueryTrait,
    sea_query::OnConflict,
};

use crate::{
    attempts,
    decode::ms,
    entity::{artifact, artifact_owner, attempt, job},
    error::Result,
    pool::Store,
};

impl Store {
    /// Notes that a caller gave a picture.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn artifact_given_by(&self, id: ArtifactId, caller: &Caller) -> Result<()> {
        let row =
            artifact_owner::ActiveModel { artifact_id: Set(id.as_uuid()), caller: Set(caller.as_str().to_owned()) };
        let key = [artifact_owner::Column::ArtifactId, artifact_owner::Column::Caller];
        let keep = OnConflict::columns(key).do_nothing().to_owned();
        artifact_owner::Entity::insert(row).on_conflict(keep).exec_without_returning(self.writer()).await?;
        Ok(())
    }

    /// Whether a job of the caller made the file, or the caller gave it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn artifact_is_of(&self, file: &Artifact, caller: &Caller) -> Result<bool> {
        if let Some(job) = file.job {
            return self.job_is_of(job, caller).await;
        }
        let key = (file.id.as_uuid(), caller.as_str().to_owned());
        Ok(artifact_owner::Entity::find_by_id(key).one(self.reader()).await?.is_some())
    }

    /// Whether the job is the caller's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_is_of(&self, id: JobId, caller: &Caller) -> Result<bool> {
        let owner: Option<String> = job::Entity::find_by_id(id.as_uuid())
            .select_only()
            .column(job::Column::Caller)
            .into_tuple()
            .one(self.reader())
            .await?;
        Ok(owner.as_deref() == Some(caller.as_str()))
    }

    /// What a caller spent with the jobs that it asked for since `since`. An unfinished job counts with the
    /// pictures that it is to make.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn usage_of(&self, caller: &Caller, since: DateTime<Utc>) -> Result<Usage> {
        let of_caller = || job::Column::Caller.eq(caller.as_str()).and(job::Column::CreatedAt.gte(ms(since)));
        let jobs = |finished: bool| {
            let end = job::Column::FinishedAt;
            let wanted = if finished { end.is_not_null() } else { end.is_null() };
            job::Entity::find().filter(of_caller()).filter(job::Column::PartOf.is_null()).filter(wanted)
        };
        let finished = jobs(true).select_only().column(job::Column::Id).into_query();
        let made: Option<i64> = artifact::Entity::find()
            .select_only()
            .column_as(artifact::Column::Id.count(), "made")
            .filter(artifact::Column::JobId.in_subquery(finished))
            .filter(artifact::Column::Kind.eq("image"))
            .into_tuple()
            .one(self.reader())
            .await?;
        let mut images = u64::try_from(made.unwrap_or(0)).unwrap_or(0);
        for row in jobs(false).all(self.reader()).await? {
            images += pictures_of(&Job::try_from(row)?);
        }
        Ok(Usage { images, gpu_ms: self.gpu_ms_of(caller, since).await? })
    }

    async fn gpu_ms_of(&self, caller: &Caller, since: DateTime<Utc>) -> Result<u64> {
        let rows: Vec<(Option<i64>, i64, Option<i64>)> = job::Entity::find()
            .select_only()
            .column(job::Column::StartedAt)
            .columns([attempt::Column::CreatedAt, attempt::Column::EndedAt])
            .join(JoinType::InnerJoin, attempts::of_job())
            .filter(job::Column::Caller.eq(caller.as_str()))
            .filter(job::Column::CreatedAt.gte(ms(since)))
            .into_tuple()
            .all(self.reader())
            .await?;
        let now = self.now_ms();
        let spent = rows.into_iter().map(|(started, assigned, ended)| match ended {
            Some(ended) => attempts::gpu_ms(started, assigned, ended),
            // Until it is known to run it may wait on its server.
            None => started.map_or(0, |started| attempts::gpu_ms(Some(started), assigned, now)),
        });
        Ok(spent.sum())
    }
}

/// Pictures that an unfinished job counts with: descriptions and prompts make none.
fn pictures_of(job: &Job) -> u64 {
    match &job.request {
        hub_core::request::JobRequest::Image(_) => u64::from(job.request.pictures()),
        _ => 0,
    }
}
