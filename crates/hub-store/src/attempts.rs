//! Attempts: their history. They are opened and closed by the job's transitions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hub_core::{
    error::UserError,
    ids::{JobId, PromptId},
    job::Attempt,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, RelationDef, prelude::Uuid};

use crate::{
    artifacts::CHUNK,
    decode::Row,
    entity::{attempt, job},
    error::Result,
    pool::Store,
};

/// Outcome of an attempt that failed by its server's fault while the job went on.
pub(crate) const REQUEUED: &str = "requeued";

/// From a job to its attempts.
pub(crate) fn of_job() -> RelationDef {
    job::Entity::belongs_to(attempt::Entity).from(job::Column::Id).to(attempt::Column::JobId).into()
}

/// GPU time of an attempt, in ms: from the start of the run to its end, and where that start was not kept, because
/// another attempt followed it, from when its server got it. A clock that was set back makes it nothing.
pub(crate) fn gpu_ms(started: Option<i64>, assigned: i64, ended: i64) -> u64 {
    let begun = started.filter(|start| (assigned..=ended).contains(start)).unwrap_or(assigned);
    u64::try_from(ended.saturating_sub(begun)).unwrap_or(0)
}

/// One attempt as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// Number, server and prompt id.
    pub attempt: Attempt,
    /// When the job was assigned.
    pub created_at: DateTime<Utc>,
    /// When it was over; `None` while it owns the job.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended: `succeeded`; `requeued` (by its server's fault); `returned` (by nobody's fault);
    /// `failed`; `cancelled`.
    pub outcome: Option<String>,
    /// Why, where it was not success or a cancel.
    pub error: Option<UserError>,
    /// Whether the server loaded models for it, where that is known: told of successes only.
    pub loaded: Option<bool>,
}

impl Store {
    /// The attempts of a job, first one first.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn job_attempts(&self, id: JobId) -> Result<Vec<AttemptRow>> {
        attempt::Entity::find()
            .filter(attempt::Column::JobId.eq(id.as_uuid()))
            .order_by_asc(attempt::Column::Number)
            .all(self.reader())
            .await?
            .into_iter()
            .map(AttemptRow::try_from)
            .collect()
    }

    /// The attempts of all parts of a job, each with the part's place among them: by part, first one first.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn part_attempts(&self, whole: JobId) -> Result<Vec<(u32, AttemptRow)>> {
        let parts: Vec<(Uuid, i32)> = job::Entity::find()
            .select_only()
            .columns([job::Column::Id, job::Column::Part])
            .filter(job::Column::PartOf.eq(whole.as_uuid()))
            .into_tuple()
            .all(self.reader())
            .await?;
        let mut places = BTreeMap::new();
        for (id, place) in parts {
            places.insert(id, Row::new("jobs", JobId::from_uuid(id)).number("part", place.into())?);
        }
        let rows = attempt::Entity::find()
            .filter(attempt::Column::JobId.is_in(places.keys().copied()))
            .order_by_asc(attempt::Column::Number)
            .all(self.reader())
            .await?;
        let mut attempts = Vec::with_capacity(rows.len());
        for row in rows {
            // A part that was deleted meanwhile has no place any more, and no attempts to tell.
            if let Some(&place) = places.get(&row.job_id) {
                attempts.push((place, AttemptRow::try_from(row)?));
            }
        }
        attempts.sort_by_key(|(place, row)| (*place, row.attempt.number));
        Ok(attempts)
    }

    /// How many attempts of each of these jobs failed by a server's fault; jobs without any are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempts_failed(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, u32>> {
        let mut failed = BTreeMap::new();
        for chunk in jobs.chunks(CHUNK) {
            let rows: Vec<(Uuid, i64)> = attempt::Entity::find()
                .select_only()
                .column(attempt::Column::JobId)
                .column_as(attempt::Column::Number.count(), "failed")
                .filter(attempt::Column::JobId.is_in(chunk.iter().map(|job| job.as_uuid())))
                .filter(attempt::Column::Outcome.eq(REQUEUED))
                .group_by(attempt::Column::JobId)
                .into_tuple()
                .all(self.reader())
                .await?;
            for (job, count) in rows {
                let at = Row::new("attempts", JobId::from_uuid(job));
                failed.insert(JobId::from_uuid(job), at.number("number", count)?);
            }
        }
        Ok(failed)
    }

    /// Of these prompts those whose attempts are over: a server that still has one works for nobody.
    /// Reads all attempts, so ask rarely.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prompts_given_up(&self, prompts: &[PromptId]) -> Result<Vec<PromptId>> {
        let mut given_up = Vec::new();
        for chunk in prompts.chunks(CHUNK) {
            let rows: Vec<Uuid> = attempt::Entity::find()
                .select_only()
                .column(attempt::Column::PromptId)
                .filter(attempt::Column::PromptId.is_in(chunk.iter().map(|prompt| prompt.as_uuid())))
                .filter(attempt::Column::EndedAt.is_not_null())
                .into_tuple()
                .all(self.reader())
                .await?;
            given_up.extend(rows.into_iter().map(PromptId::from_uuid));
        }
        Ok(given_up)
    }
}
