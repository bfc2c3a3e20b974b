//! Attempts: their history. They are opened and closed by the job's transitions.

use chrono::{DateTime, Utc};
use hub_core::{error::UserError, ids::JobId, job::Attempt};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::{entity::attempt, error::Result, pool::Store};

/// One attempt as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// Number, server and prompt id.
    pub attempt: Attempt,
    /// When the job was assigned.
    pub created_at: DateTime<Utc>,
    /// When it was over; `None` while it owns the job.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended: `succeeded`, `requeued`, `failed` or `cancelled`.
    pub outcome: Option<String>,
    /// Why, where it was not success or a cancel.
    pub error: Option<UserError>,
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
}
