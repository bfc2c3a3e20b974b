//! What was learned of run and load times. What the rows mean is their owner's business.

use chrono::{DateTime, Utc};
use hub_core::ids::ServerId;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::OnConflict};

use crate::{decode::ms, entity::learned_time, error::Result, pool::Store};

/// Rows that are written in one statement.
const CHUNK: usize = 500;

/// One thing learned about a server.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedTime {
    /// Kind of thing, e.g. `run`.
    pub what: String,
    /// What it is about, within its kind.
    pub subject: String,
    /// The server.
    pub server: ServerId,
    /// The value.
    pub value: f64,
    /// Observations it rests on.
    pub samples: u32,
}

impl Store {
    /// Everything learned since; what is older is forgotten.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn learned_times(&self, since: DateTime<Utc>) -> Result<Vec<LearnedTime>> {
        let old = learned_time::Column::UpdatedAt.lt(ms(since));
        learned_time::Entity::delete_many().filter(old).exec(self.writer()).await?;
        learned_time::Entity::find()
            .order_by_asc(learned_time::Column::What)
            .order_by_asc(learned_time::Column::Subject)
            .order_by_asc(learned_time::Column::ServerId)
            .all(self.reader())
            .await?
            .into_iter()
            .map(LearnedTime::try_from)
            .collect()
    }

    /// Keeps what was learned, in the place of what was known.
    ///
    /// # Errors
    /// When the database fails; then part of it may be kept.
    pub async fn learned_times_keep(&self, learned: &[LearnedTime]) -> Result<()> {
        let now = self.now_ms();
        for chunk in learned.chunks(CHUNK) {
            let rows = chunk.iter().map(|new| learned_time::ActiveModel {
                what: Set(new.what.clone()),
                subject: Set(new.subject.clone()),
                server_id: Set(new.server.as_uuid()),
                value: Set(new.value),
                samples: Set(new.samples.into()),
                updated_at: Set(now),
            });
            let key = [learned_time::Column::What, learned_time::Column::Subject, learned_time::Column::ServerId];
            let replace = OnConflict::columns(key)
                .update_columns([
                    learned_time::Column::Value,
                    learned_time::Column::Samples,
                    learned_time::Column::UpdatedAt,
                ])
                .to_owned();
            learned_time::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(self.writer()).await?;
        }
        Ok(())
    }
}
