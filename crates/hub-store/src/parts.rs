//! Jobs in parts: a whole and its parts are written together, and the whole ends after them.
//!
//! Parts are rows of `jobs` like any other, so that they are run, moved, counted and found again like any
//! other. They have no idempotency key and no digest: who repeats a call finds the whole.

use hub_core::{
    ids::JobId,
    job::{Job, JobState, JobStateKind, Part},
    parts::Outcome,
    recipe::Recipe,
    request::JobRequest,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QueryTrait,
    sea_query::{Expr, Func, Query, UpdateStatement},
};

use crate::{
    decode::json,
    entity::job,
    error::{Result, StoreError},
    jobs::{Inserted, NewJob, accepted, keep, keep_styles, row_of},
    pool::Store,
    together::Change,
    transitions::{OPEN, change, extend, lost, planned, won},
};

/// One part of a job that is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPart {
    /// Its id.
    pub id: JobId,
    /// The whole's recipe with a seed of its own.
    pub recipe: Recipe,
}

impl Store {
    /// Stores a job that has its recipe, and its parts with it, all queued; once per caller and idempotency
    /// key. Answers the parts beside the job; none for an existing one.
    ///
    /// # Errors
    /// [`StoreError::IdempotencyMismatch`] when the key's job has another request digest; [`StoreError::Gone`] when a
    /// picture that the job works on was deleted.
    pub async fn job_insert_in_parts(&self, new: &NewJob, parts: &[NewPart]) -> Result<(Inserted, Vec<Job>)> {
        let job = accepted(new, self.clock().now());
        let parts = parts_of(&job, parts);
        let mut then = keep(&job);
        then.push(insert_all(&parts)?);
        if self.write_new(&job, &new.request_digest, &then).await? {
            return Ok((Inserted::New(job), parts));
        }
        let key = new.idempotency_key.as_deref().unwrap_or_default();
        let existing = self.job_of_key(self.writer(), &new.caller, key, &new.request_digest).await?;
        let existing = existing.ok_or(StoreError::Conflict(sea_orm::DbErr::RecordNotInserted))?;
        Ok((Inserted::Existing(existing), Vec::new()))
    }

    /// `planning` → `queued` as [`Store::job_planned`], and the parts with it. Answers the parts, or `None`
    /// when it lost.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn job_planned_in_parts(
        &self,
        whole: &Job,
        recipe: &Recipe,
        warnings: &[String],
        parts: &[NewPart],
    ) -> Result<Option<Vec<Job>>> {
        let tx = self.begin().await?;
        let update = planned(whole.id, recipe, self.now_ms())?;
        let Some(row) = tx.query_one(&update).await? else { return lost(tx, None).await };
        if let Some(styles) = keep_styles(whole.id, row.try_get("", "created_at")?, &recipe.styles) {
            tx.execute(&styles).await?;
        }
        extend(&tx, whole.id, job::Column::Warnings, "warnings", warnings).await?;
        let now = crate::decode::cut(self.clock().now());
        let mut whole = whole.clone();
        whole.times.queued_at = Some(now);
        // It may have been moved while it was planned.
        whole.priority = row.try_get("", "priority")?;
        let parts = parts_of(&whole, parts);
        tx.execute(&insert_all(&parts)?).await?;
        tx.commit().await?;
        Ok(Some(parts))
    }

    /// The parts of a job, in order.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn job_parts(&self, whole: JobId) -> Result<Vec<Job>> {
        job::Entity::find()
            .filter(job::Column::PartOf.eq(whole.as_uuid()))
            .order_by_asc(job::Column::Part)
            .all(self.reader())
            .await?
            .into_iter()
            .map(Job::try_from)
            .collect()
    }

    /// `queued` → `running`, since the first part has begun. Answers whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_began(&self, whole: JobId) -> Result<bool> {
        let mut update = change(whole, &[JobStateKind::Queued], JobStateKind::Running);
        update.value(job::Column::StartedAt, self.now_ms());
        won(self.writer(), &update).await
    }

    /// `queued` or `running` without an attempt → the end that follows from the parts', once all of those
    /// have ended. `queued` stands for the start before it, so that quick jobs need fewer writes. Answers
    /// whether it won.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn job_complete(&self, whole: JobId, outcome: &Outcome) -> Result<bool> {
        let to = match outcome {
            Outcome::Succeeded { .. } => JobStateKind::Succeeded,
            Outcome::Failed(_) => JobStateKind::Failed,
            Outcome::Expired => JobStateKind::Expired,
            Outcome::Cancelled => JobStateKind::Cancelled,
        };
        let mut update = change(whole, &[JobStateKind::Queued, JobStateKind::Running], to);
        update
            .value(job::Column::FinishedAt, self.now_ms())
            .value(job::Column::StartedAt, began(whole))
            .value(job::Column::HasImages, Expr::exists(parts_with_images(whole)))
            .and_where(Expr::col(job::Column::Attempt).is_null())
            .and_where(Expr::exists(open_parts(whole)).not());
        if let Outcome::Failed(error) = outcome {
            update.value(job::Column::Error, json("error", error)?);
        }
        let Outcome::Succeeded { warning: Some(warning) } = outcome else {
            return won(self.writer(), &update).await;
        };
        let tx = self.begin().await?;
        if !won(&tx, &update).await? {
            return lost(tx, false).await;
        }
        extend(&tx, whole, job::Column::Warnings, "warnings", std::slice::from_ref(warning)).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// The UPDATE that takes all parts of a job that have not ended to an end.
pub(crate) fn change_all(whole: JobId, to: JobStateKind) -> UpdateStatement {
    Query::update()
        .table(job::Entity)
        .value(job::Column::State, to.as_str())
        .and_where(Expr::col(job::Column::PartOf).eq(whole.as_uuid()))
        .and_where(Expr::col(job::Column::State).is_in(OPEN.map(JobStateKind::as_str)))
        .take()
}

fn open_parts(whole: JobId) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(job::Entity)
        .and_where(Expr::col(job::Column::PartOf).eq(whole.as_uuid()))
        .and_where(Expr::col(job::Column::State).is_in(OPEN.map(JobStateKind::as_str)))
        .take()
}

fn parts_with_images(whole: JobId) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(job::Entity)
        .and_where(Expr::col(job::Column::PartOf).eq(whole.as_uuid()))
        .and_where(Expr::col(job::Column::HasImages).eq(true))
        .take()
}

/// The start that was told, or that of the first part.
fn began(whole: JobId) -> Expr {
    let first = Query::select()
        .expr(Func::min(Expr::col(job::Column::StartedAt)))
        .from(job::Entity)
        .and_where(Expr::col(job::Column::PartOf).eq(whole.as_uuid()))
        .take();
    Func::coalesce([Expr::col(job::Column::StartedAt), Expr::SubQuery(None, Box::new(first.into()))]).into()
}

/// The parts of a whole as they will be read again.
fn parts_of(whole: &Job, parts: &[NewPart]) -> Vec<Job> {
    (0..).zip(parts).map(|(index, part)| part_of(whole, index, part)).collect()
}

fn insert_all(parts: &[Job]) -> Result<Change> {
    let rows = parts.iter().map(|part| row_of(part, "")).collect::<Result<Vec<_>>>()?;
    Ok(job::Entity::insert_many(rows).into_query().into())
}

fn part_of(whole: &Job, index: u32, part: &NewPart) -> Job {
    let mut request = whole.request.clone();
    if let JobRequest::Image(image) = &mut request {
        image.n = 1;
    }
    Job {
        id: part.id,
        request,
        state: JobState::Queued,
        recipe: Some(part.recipe.clone()),
        warnings: Vec::new(),
        idempotency_key: None,
        parent: None,
        trace: None,
        part: Some(Part { of: whole.id, index }),
        ..whole.clone()
    }
}
