//! Jobs that another system ran.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use hub_core::{caller::Caller, error::UserError, ids::ServerId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    QueryTrait, sea_query::OnConflict,
};

use crate::{
    decode::{json, ms},
    entity::job,
    error::Result,
    jobs::{NewJob, accepted, keep, row_of},
    pool::Store,
    together::Change,
};

/// A job that has ended elsewhere. Its idempotency key tells it from all others.
#[derive(Debug, Clone, PartialEq)]
pub struct PastJob {
    /// What it was.
    pub new: NewJob,
    /// Why it failed; `None` = it succeeded.
    pub error: Option<UserError>,
    /// Where it ran, where that is known.
    pub server: Option<ServerId>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

impl Store {
    /// The idempotency keys that a caller has used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_keys_of(&self, caller: &Caller) -> Result<BTreeSet<String>> {
        let keys: Vec<Option<String>> = job::Entity::find()
            .select_only()
            .column(job::Column::IdempotencyKey)
            .filter(job::Column::Caller.eq(caller.as_str()))
            .filter(job::Column::IdempotencyKey.is_not_null())
            .into_tuple()
            .all(self.reader())
            .await?;
        Ok(keys.into_iter().flatten().collect())
    }
}

/// Inserts a past job unless its key is there.
pub(crate) async fn insert(tx: &DatabaseTransaction, past: &PastJob) -> Result<()> {
    let job = accepted(&past.new, past.created_at);
    let mut row = row_of(&job, &past.new.request_digest)?;
    row.state = Set(if past.error.is_some() { "failed" } else { "succeeded" }.to_owned());
    row.error = Set(past.error.as_ref().map(|error| json("error", error)).transpose()?);
    row.server_id = Set(past.server.map(ServerId::as_uuid));
    row.started_at = Set(Some(ms(past.created_at)));
    row.finished_at = Set(Some(ms(past.finished_at)));
    let mut insert = job::Entity::insert(row).into_query();
    insert.on_conflict(OnConflict::new().do_nothing().to_owned());
    if tx.execute(&insert).await?.rows_affected() == 0 {
        return Ok(());
    }
    for change in keep(&job) {
        match change {
            Change::Insert(statement) => tx.execute(&statement).await?,
            Change::Update(statement) => tx.execute(&statement).await?,
        };
    }
    Ok(())
}
