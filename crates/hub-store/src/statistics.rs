//! What became of the jobs of a span of days: counts, times and GPU time, by day and by what they have in common.
//!
//! Two reads go through narrow columns of the span's jobs, found by an index on the time they came in, and are
//! added up as they arrive: percentiles then are exact and the same on both databases.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use futures_util::TryStreamExt as _;
use hub_core::{
    artifact::{ArtifactRole, MediaKind},
    ids::ServerId,
    job::JobStateKind,
};
use sea_orm::{
    ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationDef, prelude::Uuid, sea_query::Expr,
};

use crate::{
    attempts::REQUEUED,
    decode::{Row, ms, name},
    entity::{artifact, attempt, job, job_style},
    error::Result,
    pool::Store,
};

/// Most days that one answer spans.
const DAYS_MAX: u32 = 366;
const SUCCEEDED: &str = "succeeded";

/// How many, by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// With a result.
    pub succeeded: u64,
    /// Failed or expired.
    pub failed: u64,
    /// By whoever asked, or an admin.
    pub cancelled: u64,
    /// Not over yet.
    pub active: u64,
}

impl Tally {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled + self.active
    }

    /// Part that succeeded of what succeeded or failed, 0 to 1: a cancel tells nothing of the hub. `None` where
    /// neither happened.
    pub fn success_rate(&self) -> Option<f64> {
        let ended = self.succeeded + self.failed;
        #[expect(clippy::cast_precision_loss, reason = "a ratio that is shown in percent")]
        (ended > 0).then(|| self.succeeded as f64 / ended as f64)
    }

    fn add(&mut self, kind: JobStateKind, count: u64) {
        *match kind {
            JobStateKind::Succeeded => &mut self.succeeded,
            JobStateKind::Failed | JobStateKind::Expired => &mut self.failed,
            JobStateKind::Cancelled => &mut self.cancelled,
            _ => &mut self.active,
        } += count;
    }
}

/// Percentiles by nearest rank, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// Half took no longer.
    pub p50_ms: u64,
    /// Of twenty, nineteen took no longer.
    pub p95_ms: u64,
}

/// One day in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayStatistics {
    /// The day.
    pub day: NaiveDate,
    /// Jobs that came in on it; parts of jobs are not counted.
    pub jobs: Tally,
    /// Pictures that were finished on it.
    pub pictures: u64,
    /// GPU time of its jobs.
    pub gpu_ms: u64,
}

/// What has something in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupStatistics {
    /// Jobs; of a server the attempts on it, where one that it gave back counts as failed.
    pub jobs: Tally,
    /// Start to end of those that succeeded; not told by style.
    pub run: Option<Percentiles>,
    /// GPU time; not told by style.
    pub gpu_ms: u64,
}

/// A span of days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Every day of it, first one first.
    pub days: Vec<DayStatistics>,
    /// All jobs.
    pub jobs: Tally,
    /// From the queue to the end, of those that succeeded.
    pub whole: Option<Percentiles>,
    /// From the start on a server to the end, of those that succeeded.
    pub run: Option<Percentiles>,
    /// By server, deleted ones too.
    pub servers: BTreeMap<ServerId, GroupStatistics>,
    /// By render type.
    pub render_types: BTreeMap<String, GroupStatistics>,
    /// By style; a job with several counts for each.
    pub styles: BTreeMap<String, GroupStatistics>,
    /// By caller.
    pub callers: BTreeMap<String, GroupStatistics>,
}

impl Store {
    /// The last so many days in UTC, today included: at least 1, at most 366.
    ///
    /// GPU time is that of attempts which are over, from the start of the run to its end; of an attempt whose start
    /// was not kept, because another one followed it, from when its server got it.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn statistics(&self, days: u32) -> Result<Statistics> {
        let today = self.clock().now().date_naive();
        let first = today - Days::new(u64::from(days.clamp(1, DAYS_MAX) - 1));
        let since = ms(first.and_time(NaiveTime::MIN).and_utc());
        let mut found = Gathered::default();
        for day in first.iter_days().take_while(|day| *day <= today) {
            found.days.insert(day, (Tally::default(), 0, 0));
        }
        self.gather_jobs(since, &mut found).await?;
        self.gather_attempts(since, &mut found).await?;
        self.gather_pictures(since, &mut found).await?;
        let styles = self.by_style(since).await?;
        Ok(Statistics { styles, ..found.finished() })
    }

    async fn gather_jobs(&self, since: i64, found: &mut Gathered) -> Result<()> {
        type Read = (i64, String, String, Option<String>, Option<i64>, Option<i64>, Option<i64>);
        let mut rows = job::Entity::find()
            .select_only()
            .columns([job::Column::CreatedAt, job::Column::State, job::Column::Caller, job::Column::RenderType])
            .columns([job::Column::QueuedAt, job::Column::StartedAt, job::Column::FinishedAt])
            .filter(job::Column::CreatedAt.gte(since))
            .filter(job::Column::PartOf.is_null())
            .into_tuple::<Read>()
            .stream(self.reader())
            .await?;
        let at = Row::new("jobs", "of these days");
        while let Some((created, state, caller, render_type, queued, started, finished)) = rows.try_next().await? {
            let kind: JobStateKind = at.name("state", &state)?;
            if let Some(day) = found.days.get_mut(&at.time("created_at", created)?.date_naive()) {
                day.0.add(kind, 1);
            }
            found.jobs.add(kind, 1);
            let ended = finished.filter(|_| kind == JobStateKind::Succeeded);
            let run = span(started, ended);
            found.whole.extend(span(queued, ended));
            found.run.extend(run);
            let named = render_type.map(|name| found.render_types.entry(name).or_default());
            for group in named.into_iter().chain([found.callers.entry(caller).or_default()]) {
                group.jobs.add(kind, 1);
                group.run.extend(run);
            }
        }
        Ok(())
    }

    async fn gather_attempts(&self, since: i64, found: &mut Gathered) -> Result<()> {
        type Read = (i64, Option<i64>, String, Option<String>, Uuid, i64, Option<i64>, Option<String>);
        let of_job: RelationDef =
            job::Entity::belongs_to(attempt::Entity).from(job::Column::Id).to(attempt::Column::JobId).into();
        let mut rows = job::Entity::find()
            .select_only()
            .columns([job::Column::CreatedAt, job::Column::StartedAt, job::Column::Caller, job::Column::RenderType])
            .columns([attempt::Column::ServerId, attempt::Column::CreatedAt, attempt::Column::EndedAt])
            .column(attempt::Column::Outcome)
            .join(JoinType::InnerJoin, of_job)
            .filter(job::Column::CreatedAt.gte(since))
            .into_tuple::<Read>()
            .stream(self.reader())
            .await?;
        let at = Row::new("jobs", "of these days");
        while let Some((created, started, caller, render_type, server, assigned, ended, outcome)) =
            rows.try_next().await?
        {
            let begun = started.filter(|start| (Some(*start) <= ended) && *start >= assigned).unwrap_or(assigned);
            let run = span(Some(begun), ended);
            let gpu_ms = run.unwrap_or(0);
            if let Some(day) = found.days.get_mut(&at.time("created_at", created)?.date_naive()) {
                day.2 += gpu_ms;
            }
            found.callers.entry(caller).or_default().gpu_ms += gpu_ms;
            if let Some(name) = render_type {
                found.render_types.entry(name).or_default().gpu_ms += gpu_ms;
            }
            let on = found.servers.entry(ServerId::from_uuid(server)).or_default();
            on.gpu_ms += gpu_ms;
            on.run.extend(run.filter(|_| outcome.as_deref() == Some(SUCCEEDED)));
            match outcome.as_deref() {
                None => on.jobs.active += 1,
                Some(SUCCEEDED) => on.jobs.succeeded += 1,
                Some(REQUEUED | "failed") => on.jobs.failed += 1,
                // Cancelled, or given back by nobody's fault.
                Some(_) => on.jobs.cancelled += 1,
            }
        }
        Ok(())
    }

    async fn gather_pictures(&self, since: i64, found: &mut Gathered) -> Result<()> {
        let day = || Expr::cust("created_at / 86400000");
        let rows: Vec<(i64, i64)> = artifact::Entity::find()
            .select_only()
            .column_as(day(), "day")
            .column_as(artifact::Column::Id.count(), "pictures")
            .filter(artifact::Column::CreatedAt.gte(since))
            .filter(artifact::Column::Role.eq(name("role", &ArtifactRole::Output)?))
            .filter(artifact::Column::Kind.eq(name("kind", &MediaKind::Image)?))
            .group_by(day())
            .into_tuple()
            .all(self.reader())
            .await?;
        let at = Row::new("artifacts", "of these days");
        for (day, pictures) in rows {
            let day: DateTime<Utc> = at.time("created_at", day.saturating_mul(86_400_000))?;
            if let Some(day) = found.days.get_mut(&day.date_naive()) {
                day.1 = at.number("id", pictures)?;
            }
        }
        Ok(())
    }

    async fn by_style(&self, since: i64) -> Result<BTreeMap<String, GroupStatistics>> {
        let of_job: RelationDef =
            job::Entity::belongs_to(job_style::Entity).from(job::Column::Id).to(job_style::Column::JobId).into();
        let rows: Vec<(String, String, i64)> = job::Entity::find()
            .select_only()
            .column(job_style::Column::Style)
            .column(job::Column::State)
            .column_as(job::Column::Id.count(), "jobs")
            .join(JoinType::InnerJoin, of_job)
            .filter(job::Column::CreatedAt.gte(since))
            .filter(job::Column::PartOf.is_null())
            .group_by(job_style::Column::Style)
            .group_by(job::Column::State)
            .into_tuple()
            .all(self.reader())
            .await?;
        let at = Row::new("job_styles", "of these days");
        let mut styles = BTreeMap::<String, GroupStatistics>::new();
        for (style, state, count) in rows {
            styles.entry(style).or_default().jobs.add(at.name("state", &state)?, at.number("job_id", count)?);
        }
        Ok(styles)
    }
}

/// What is being added up.
#[derive(Debug, Default)]
struct Gathered {
    /// Jobs, pictures, GPU time.
    days: BTreeMap<NaiveDate, (Tally, u64, u64)>,
    jobs: Tally,
    whole: Vec<u64>,
    run: Vec<u64>,
    servers: BTreeMap<ServerId, Group>,
    render_types: BTreeMap<String, Group>,
    callers: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    jobs: Tally,
    run: Vec<u64>,
    gpu_ms: u64,
}

impl Gathered {
    fn finished(self) -> Statistics {
        Statistics {
            days: self
                .days
                .into_iter()
                .map(|(day, (jobs, pictures, gpu_ms))| DayStatistics { day, jobs, pictures, gpu_ms })
                .collect(),
            jobs: self.jobs,
            whole: percentiles(self.whole),
            run: percentiles(self.run),
            servers: finished(self.servers),
            render_types: finished(self.render_types),
            callers: finished(self.callers),
            styles: BTreeMap::new(),
        }
    }
}

fn finished<K: Ord>(groups: BTreeMap<K, Group>) -> BTreeMap<K, GroupStatistics> {
    let done = |group: Group| GroupStatistics { jobs: group.jobs, run: percentiles(group.run), gpu_ms: group.gpu_ms };
    groups.into_iter().map(|(key, group)| (key, done(group))).collect()
}

/// From one moment to another; a clock that was set back makes it nothing.
fn span(from: Option<i64>, to: Option<i64>) -> Option<u64> {
    Some(u64::try_from(to?.saturating_sub(from?)).unwrap_or(0))
}

fn percentiles(mut times: Vec<u64>) -> Option<Percentiles> {
    times.sort_unstable();
    let rank = |percent: usize| times.get((times.len() * percent).div_ceil(100).checked_sub(1)?).copied();
    Some(Percentiles { p50_ms: rank(50)?, p95_ms: rank(95)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let of = |times: Vec<u64>| percentiles(times).map(|found| (found.p50_ms, found.p95_ms));
        assert_eq!(of(Vec::new()), None);
        assert_eq!(of(vec![7]), Some((7, 7)));
        assert_eq!(of((1..=100).rev().collect()), Some((50, 95)));
        assert_eq!(of(vec![30, 10, 20]), Some((20, 30)));
    }
}
