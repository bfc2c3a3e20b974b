//! How many jobs there are of each state, for pages that show it all the time.

use std::collections::BTreeMap;

use hub_core::job::JobStateKind;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Select};

use crate::{decode::Row, entity::job, error::Result, pool::Store, recent::Recent};

/// The last count.
pub(crate) type LastCount = Recent<BTreeMap<JobStateKind, u64>>;

impl Store {
    /// How many jobs are in each state, parts not counted; states without jobs are left out. Where there are
    /// many jobs, the answer may be some time old: a hundred times as long as counting took, at most 10 s.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn job_counts(&self) -> Result<BTreeMap<JobStateKind, u64>> {
        self.last_count().get_or(|_| true, self.count_jobs(), |jobs| jobs.values().sum()).await
    }

    async fn count_jobs(&self) -> Result<BTreeMap<JobStateKind, u64>> {
        let rows: Vec<(String, i64)> = by_state().into_tuple().all(self.reader()).await?;
        rows.into_iter()
            .map(|(state, count)| {
                let at = Row::new("jobs", "of this state");
                Ok((at.name("state", &state)?, at.number("state", count)?))
            })
            .collect()
    }
}

fn by_state() -> Select<job::Entity> {
    job::Entity::find()
        .select_only()
        .column(job::Column::State)
        .column_as(job::Column::Id.count(), "jobs")
        .filter(job::Column::PartOf.is_null())
        .group_by(job::Column::State)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hub_core::clock::SystemClock;
    use sea_orm::{ConnectionTrait as _, QueryTrait as _, Statement, StatementBuilder};

    use super::*;

    #[tokio::test]
    async fn jobs_are_counted_from_an_index_alone() {
        let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database");
        let backend = store.reader().get_database_backend();
        let Statement { sql, values, .. } = StatementBuilder::build(by_state().as_query(), &backend);
        let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {sql}"), values, db_backend: backend };
        let steps = store.reader().query_all_raw(explain).await.expect("a plan");
        let steps: Vec<String> = steps.iter().map(|row| row.try_get("", "detail").expect("a step")).collect();
        assert_eq!(steps, ["SCAN jobs USING COVERING INDEX jobs_state"]);
    }
}
