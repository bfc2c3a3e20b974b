//! Searches among jobs: pages that end after a while, whatever is looked for.
//!
//! What no index leads to, such as a text beside a tool, may be found nowhere, and telling so would mean to look at
//! every job there is. So a search goes back in steps of jobs, and a page ends when it is full or its time is over; it
//! then says how far it came, and the next one goes on from there.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, sea_query::Expr,
};
use uuid::Uuid;

use super::{JobFilter, JobPage, PAGE_MAX_ROWS, condition, ids_with_text, newest, page_of, sorted, within};
use crate::{
    cursor::{PageCursor, after},
    entity::{job, job_prompt},
    error::Result,
    pool::Store,
};

/// When a search's page ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchBounds {
    /// No step is begun later than this. By default 8 ms.
    pub patience: Duration,
    /// Jobs that the first step looks at, at least 1: few enough that a step begun just in time takes little more. Steps
    /// that are over soon are followed by longer ones. By default 4000.
    pub step_jobs: u32,
}

impl Default for SearchBounds {
    fn default() -> Self {
        Self { patience: Duration::from_millis(8), step_jobs: 4_000 }
    }
}

/// A step is over soon when this many of its kind find time.
const SOON: u32 = 8;

impl Store {
    /// One page of jobs, newest first, as [`Store::job_list`]; but when several filters or a text make it a search, it
    /// ends within `bounds` with what was found until then, and [`JobPage::searched_to`] tells how far it came.
    /// At least one step is taken, so that pages that are followed come to an end.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn job_search(
        &self,
        filter: &JobFilter,
        cursor: Option<PageCursor>,
        limit: u32,
        bounds: SearchBounds,
    ) -> Result<JobPage> {
        if filter.has_an_index() {
            return self.job_list(filter, cursor, limit).await;
        }
        let limit = limit.clamp(1, PAGE_MAX_ROWS);
        let begun = Instant::now();
        let mut jobs = Ord::max(u64::from(bounds.step_jobs), 1);
        let mut rows = Vec::new();
        let mut from = cursor;
        loop {
            let step_begun = Instant::now();
            let end = self.step_end(filter, from, jobs).await?;
            let step = JobFilter { created_from: end.map(|(time, _)| time).or(filter.created_from), ..filter.clone() };
            let missing = u64::from(limit) + 1 - rows.len() as u64;
            rows.extend(found(&step, from, missing).all(self.reader()).await?);
            let full = rows.len() > limit as usize;
            match end {
                Some((_, next)) if !full && begun.elapsed() < bounds.patience => {
                    from = Some(next);
                    jobs *= if step_begun.elapsed() < bounds.patience / SOON { 2 } else { 1 };
                }
                Some((time, next)) if !full => {
                    let page = page_of(rows, limit)?;
                    return Ok(JobPage { next: Some(next), searched_to: Some(time), ..page });
                }
                _ => return page_of(rows, limit),
            }
        }
    }

    /// Where the step ends that begins after `from`: the time of its oldest jobs, all of which belong to it, and the
    /// place where the next one begins. `None` when it is the last.
    async fn step_end(
        &self,
        filter: &JobFilter,
        from: Option<PageCursor>,
        jobs: u64,
    ) -> Result<Option<(DateTime<Utc>, PageCursor)>> {
        let end: Option<i64> = last_of(filter, from, jobs).into_tuple().one(self.reader()).await?;
        Ok(end.and_then(|created_at_ms| {
            let time = DateTime::from_timestamp_millis(created_at_ms)?;
            // No id lies before this one: the jobs of that millisecond are done with.
            Some((time, PageCursor { created_at_ms, id: Uuid::nil() }))
        }))
    }
}

/// The time of the last job of a step of `jobs`.
pub(super) fn last_of(filter: &JobFilter, from: Option<PageCursor>, jobs: u64) -> Select<job::Entity> {
    use job::Column::{CreatedAt, Id};
    job::Entity::find()
        .select_only()
        .column(CreatedAt)
        .filter(within(filter, CreatedAt).add_option(from.map(|from| after(from, CreatedAt, Id))))
        .order_by_desc(CreatedAt)
        .order_by_desc(Id)
        .offset(jobs - 1)
        .limit(1)
}

/// What a step finds. A text leads: its table is narrow, and few jobs' rows are looked at.
pub(super) fn found(filter: &JobFilter, cursor: Option<PageCursor>, rows: u64) -> Select<job::Entity> {
    let Some(text) = filter.text.as_deref() else { return newest(filter, cursor, rows) };
    let rest = JobFilter { text: None, ..filter.clone() };
    let mut job = job::Entity::find().select_only().column(job::Column::Id).filter(condition(&rest, None, None));
    if !filter.states.is_empty() {
        job = job.filter(job::Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
    }
    let job = job.filter(job::Column::Id.into_expr().equals(job_prompt::Column::JobId.as_column_ref())).into_query();
    let ids = ids_with_text(text, filter, Some(Expr::exists(job)), cursor, rows);
    sorted(job::Entity::find().filter(job::Column::Id.in_subquery(ids)), rows)
}
