//! How jobs change state.
//!
//! Each transition is one UPDATE that repeats the states, and where an attempt speaks the attempt, it
//! expects; the number of rows it changed says who won. What belongs to it (attempt row, artifacts)
//! is written in the same transaction. Losing a race is an answer here, never an error. The rules are
//! those of `JobState::apply`, but no transition leads to `collecting`: that step is told live, and
//! `job_succeed` takes `assigned` and `running` as well, so that a job needs fewer writes. What concerns
//! whole and parts alone is in `parts`.

mod moves;
mod statements;

use chrono::{DateTime, Utc};
use hub_core::{
    artifact::{Artifact, ArtifactRole, MediaKind},
    error::UserError,
    ids::{JobId, ServerId},
    job::{Attempt, JobStateKind},
    recipe::Recipe,
};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, EntityTrait, ExprTrait, QueryResult, QueryTrait,
    prelude::Uuid,
    sea_query::{Expr, Query, UpdateStatement},
};

pub(crate) use self::statements::{change, extend, lost, planned, started_or, won};
use self::statements::{closed, fence};
use crate::{
    artifacts::{NewArtifact, insert_all},
    attempts::REQUEUED,
    decode::{Row, json, ms, plain},
    entity::{attempt, job},
    error::Result,
    jobs::keep_styles,
    parts,
    pool::Store,
};

pub(crate) const OPEN: [JobStateKind; 5] = [
    JobStateKind::Planning,
    JobStateKind::Queued,
    JobStateKind::Assigned,
    JobStateKind::Running,
    JobStateKind::Collecting,
];
const OWNED: [JobStateKind; 3] = [JobStateKind::Assigned, JobStateKind::Running, JobStateKind::Collecting];

/// What is known of a run that succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ran {
    /// When it began, for jobs whose start was not stored; now, where nobody knows.
    pub began: Option<DateTime<Utc>>,
    /// Whether the server loaded models for it, where that is known.
    pub loaded: Option<bool>,
}

/// What a success wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Succeeded {
    /// The artifacts as stored.
    pub artifacts: Vec<Artifact>,
    /// When the run began, as far as it was told.
    pub started_at: Option<DateTime<Utc>>,
    /// When the job ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A job that was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled {
    /// Which.
    pub job: JobId,
    /// The attempt that owned it, if one did.
    pub owner: Option<Attempt>,
}

impl Store {
    /// `planning` → `queued`, with the recipe; `warnings` are added to those the job has. Answers
    /// whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_planned(&self, id: JobId, recipe: &Recipe, warnings: &[String]) -> Result<bool> {
        let tx = self.begin().await?;
        let Some(row) = tx.query_one(&planned(id, recipe, self.now_ms())?).await? else { return lost(tx, false).await };
        if let Some(styles) = keep_styles(id, row.try_get("", "created_at")?, &recipe.styles) {
            tx.execute(&styles).await?;
        }
        if !warnings.is_empty() {
            extend(&tx, id, job::Column::Warnings, "warnings", warnings).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// `queued` → `assigned`, and the attempt's row. The number must be higher than that of any
    /// attempt before. Answers whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_assign(&self, id: JobId, attempt: &Attempt) -> Result<bool> {
        let number = i64::from(attempt.number);
        let mut update = change(id, &[JobStateKind::Queued], JobStateKind::Assigned);
        update
            .value(job::Column::Attempts, number)
            .value(job::Column::Attempt, number)
            .value(job::Column::ServerId, attempt.server.as_uuid())
            .value(job::Column::PromptId, attempt.prompt_id.as_uuid())
            .value(job::Column::StartedAt, None::<i64>)
            .and_where(Expr::col(job::Column::Attempts).lt(number));
        update.returning_col(job::Column::Id);
        let row = attempt::ActiveModel {
            job_id: Set(id.as_uuid()),
            number: Set(number),
            server_id: Set(attempt.server.as_uuid()),
            prompt_id: Set(attempt.prompt_id.as_uuid()),
            created_at: Set(self.now_ms()),
            ended_at: Set(None),
            outcome: Set(None),
            error: Set(None),
            loaded: Set(None),
        };
        let attempt = attempt::Entity::insert(row).into_query();
        Ok(self.together(update, &[attempt.into()]).await?.is_some())
    }

    /// `assigned` → `running`, which it has been since `began`: a start is stored some time after it, so that quick
    /// jobs need no write for it. Answers whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_started(&self, id: JobId, attempt: u32, began: DateTime<Utc>) -> Result<bool> {
        let mut update = change(id, &[JobStateKind::Assigned], JobStateKind::Running);
        update.value(job::Column::StartedAt, ms(began));
        fence(&mut update, attempt);
        won(self.writer(), &update).await
    }

    /// `assigned`, `running` or `collecting` → `succeeded`, with the artifacts, which belong to `owner`: the job
    /// itself, or the whole that it is a part of. Answers what was stored, or `None` when it lost.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn job_succeed(
        &self,
        id: JobId,
        attempt: u32,
        owner: JobId,
        ran: Ran,
        artifacts: &[NewArtifact],
    ) -> Result<Option<Succeeded>> {
        let now = self.now_ms();
        let mut update = change(id, &OWNED, JobStateKind::Succeeded);
        update
            .value(job::Column::FinishedAt, now)
            .value(job::Column::StartedAt, started_or(ran.began.map_or(now, ms)))
            .value(job::Column::HasImages, artifacts.iter().any(|new| new.kind == MediaKind::Image))
            .returning(Query::returning().columns([job::Column::StartedAt, job::Column::FinishedAt]));
        fence(&mut update, attempt);
        let stored_at = self.clock().now();
        let artifacts: Vec<Artifact> =
            artifacts.iter().map(|new| new.stored(ArtifactRole::Output, Some(owner), stored_at)).collect();
        let mut then = insert_all(&artifacts)?;
        let mut closed = closed(id, attempt.into(), "succeeded", None, now);
        closed.value(attempt::Column::Loaded, ran.loaded);
        then.push(closed.into());
        let Some(row) = self.together(update, &then).await? else { return Ok(None) };
        let at = Row::new("jobs", id);
        let started_at = at.time_opt("started_at", row.try_get("", "started_at")?)?;
        let finished_at = at.time_opt("finished_at", row.try_get("", "finished_at")?)?;
        Ok(Some(Succeeded { artifacts, started_at, finished_at }))
    }

    /// `planning` → `succeeded`, for work whose result is a text; `warnings` are added. Answers
    /// whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_succeed_with_text(&self, id: JobId, text: &str, warnings: &[String]) -> Result<bool> {
        let mut update = change(id, &[JobStateKind::Planning], JobStateKind::Succeeded);
        update.value(job::Column::Text, plain(text).as_ref()).value(job::Column::FinishedAt, self.now_ms());
        self.change_and_extend(id, update, job::Column::Warnings, warnings).await
    }

    /// `assigned`, `running` or `collecting` → `queued`, by the server's fault: the attempt ends with `why`
    /// and counts as failed, and the servers `exclude` will not get the job again. Answers whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_requeue(&self, id: JobId, attempt: u32, why: &UserError, exclude: &[ServerId]) -> Result<bool> {
        self.give_back(id, attempt, why, REQUEUED, exclude).await
    }

    /// As [`Store::job_requeue`], but by nobody's fault: the attempt does not count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_return(&self, id: JobId, attempt: u32, why: &UserError) -> Result<bool> {
        self.give_back(id, attempt, why, "returned", &[]).await
    }

    async fn give_back(
        &self,
        id: JobId,
        attempt: u32,
        why: &UserError,
        outcome: &str,
        exclude: &[ServerId],
    ) -> Result<bool> {
        let mut update = change(id, &OWNED, JobStateKind::Queued);
        update
            .value(job::Column::Attempt, None::<i64>)
            .value(job::Column::PromptId, None::<Uuid>)
            .value(job::Column::StartedAt, None::<i64>);
        fence(&mut update, attempt);
        let why = json("error", why)?;
        let tx = self.begin().await?;
        if !won(&tx, &update).await? {
            return lost(tx, false).await;
        }
        if !exclude.is_empty() {
            extend(&tx, id, job::Column::Excluded, "excluded", exclude).await?;
        }
        tx.execute(&closed(id, attempt.into(), outcome, Some(why), self.now_ms())).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Any state but the ends → `failed`; with an attempt, only while that attempt owns the job.
    /// Answers whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_fail(&self, id: JobId, attempt: Option<u32>, error: &UserError) -> Result<bool> {
        let error = json("error", error)?;
        let mut update = change(id, &OPEN, JobStateKind::Failed);
        update.value(job::Column::Error, error.as_str()).value(job::Column::FinishedAt, self.now_ms());
        if let Some(attempt) = attempt {
            fence(&mut update, attempt);
        }
        Ok(self.end(id, update, "failed", Some(error)).await?.is_some())
    }

    /// Any state but the ends → `cancelled`, for the job and all its parts. Answers what was cancelled, the
    /// job first; nothing when it had ended already or does not exist.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_cancel(&self, id: JobId) -> Result<Vec<Cancelled>> {
        let now = self.now_ms();
        let mut update = change(id, &OPEN, JobStateKind::Cancelled);
        update.value(job::Column::FinishedAt, now).returning(ended_columns());
        let tx = self.begin().await?;
        let Some(row) = tx.query_one(&update).await? else { return lost(tx, Vec::new()).await };
        let mut cancelled = vec![Cancelled { job: id, owner: owner(id, &row)? }];
        if cancelled[0].owner.is_none() {
            // Only now: parts that were written before the whole's row was free are seen by this statement.
            let mut update = parts::change_all(id, JobStateKind::Cancelled);
            update.value(job::Column::FinishedAt, now).returning(ended_columns());
            for row in tx.query_all(&update).await? {
                let id = JobId::from_uuid(row.try_get("", "id")?);
                cancelled.push(Cancelled { job: id, owner: owner(id, &row)? });
            }
        }
        for Cancelled { job, owner } in &cancelled {
            if let Some(owner) = owner {
                tx.execute(&closed(*job, owner.number.into(), "cancelled", None, now)).await?;
            }
        }
        tx.commit().await?;
        Ok(cancelled)
    }

    /// `planning` or `queued` → `expired`. Answers whether it won.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_expire(&self, id: JobId) -> Result<bool> {
        let from = [JobStateKind::Planning, JobStateKind::Queued];
        let mut update = change(id, &from, JobStateKind::Expired);
        update.value(job::Column::FinishedAt, self.now_ms());
        won(self.writer(), &update).await
    }

    /// A transition with warnings to add: one statement when there are none.
    async fn change_and_extend(
        &self,
        id: JobId,
        update: UpdateStatement,
        column: job::Column,
        items: &[String],
    ) -> Result<bool> {
        if items.is_empty() {
            return won(self.writer(), &update).await;
        }
        let tx = self.begin().await?;
        if !won(&tx, &update).await? {
            return lost(tx, false).await;
        }
        extend(&tx, id, column, "warnings", items).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A transition to an end that closes the attempt that owned the job, if one did.
    async fn end(
        &self,
        id: JobId,
        mut update: UpdateStatement,
        outcome: &str,
        error: Option<String>,
    ) -> Result<Option<Option<Attempt>>> {
        update.returning(ended_columns());
        let tx = self.begin().await?;
        let Some(row) = tx.query_one(&update).await? else { return lost(tx, None).await };
        let owner = owner(id, &row)?;
        if let Some(owner) = owner {
            tx.execute(&closed(id, owner.number.into(), outcome, error, self.now_ms())).await?;
        }
        tx.commit().await?;
        Ok(Some(owner))
    }
}

/// What an end is told by: the job, and the attempt that owned it.
fn ended_columns() -> sea_orm::sea_query::ReturningClause {
    let columns = [job::Column::Id, job::Column::Attempt, job::Column::ServerId, job::Column::PromptId];
    Query::returning().columns(columns)
}

fn owner(id: JobId, row: &QueryResult) -> Result<Option<Attempt>> {
    let at = Row::new("jobs", id);
    job::attempt(&at, row.try_get("", "attempt")?, row.try_get("", "server_id")?, row.try_get("", "prompt_id")?)
}
