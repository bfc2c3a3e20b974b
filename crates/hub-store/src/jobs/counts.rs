//! How many jobs there are of each state, for pages that show it all the time.

use std::{collections::BTreeMap, time::Duration};

use hub_core::job::JobStateKind;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Select};
use tokio::{sync::Mutex, time::Instant};

use crate::{decode::Row, entity::job, error::Result, pool::Store};

/// A count is told again for so many times as long as it took: at most one part in so many of a core's time goes
/// into counting, however often it is asked for. A count that took half a millisecond is as good as never kept.
const KEPT_TIMES: u32 = 20;
/// However long it took.
const KEPT_MAX: Duration = Duration::from_secs(10);
/// Quicker counts are never kept: nobody should see an old number without need.
const QUICK: Duration = Duration::from_millis(5);

/// The last count that was not quick.
#[derive(Debug, Default)]
pub(crate) struct LastCount(Mutex<Option<Count>>);

#[derive(Debug)]
struct Count {
    jobs: BTreeMap<JobStateKind, u64>,
    good_until: Instant,
}

impl Store {
    /// How many jobs are in each state, parts not counted; states without jobs are left out. Where there are so
    /// many jobs that counting takes long, the answer may be some time old: twenty times as long as it took, at
    /// most 10 s.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn job_counts(&self) -> Result<BTreeMap<JobStateKind, u64>> {
        // Held while it counts: whoever asks meanwhile gets the same answer.
        let mut last = self.last_count().0.lock().await;
        let begun = Instant::now();
        if let Some(count) = last.as_ref().filter(|count| begun < count.good_until) {
            return Ok(count.jobs.clone());
        }
        let jobs = self.count_jobs().await?;
        let took = begun.elapsed();
        *last = (took >= QUICK)
            .then(|| Count { jobs: jobs.clone(), good_until: Instant::now() + (took * KEPT_TIMES).min(KEPT_MAX) });
        Ok(jobs)
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

    #[tokio::test]
    async fn a_slow_count_is_told_again_and_then_forgotten() {
        let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database");
        let good_until = Instant::now() + Duration::from_mins(1);
        let jobs = BTreeMap::from([(JobStateKind::Failed, 7)]);
        *store.last_count().0.lock().await = Some(Count { jobs: jobs.clone(), good_until });
        assert_eq!(store.job_counts().await.expect("counted"), jobs);
        *store.last_count().0.lock().await = Some(Count { jobs, good_until: Instant::now() });
        assert!(store.job_counts().await.expect("counted").is_empty());
    }
}
