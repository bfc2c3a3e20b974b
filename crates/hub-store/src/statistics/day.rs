//! One day, as read from the database: narrow columns of its jobs, found by an index on the time they came in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use futures_util::TryStreamExt as _;
use hub_core::{
    artifact::{ArtifactRole, MediaKind},
    ids::ServerId,
    job::JobStateKind,
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QuerySelect, RelationDef, Select,
    prelude::Uuid,
};

use super::{Tally, times::Times};
use crate::{
    attempts::{self, REQUEUED},
    decode::{Row, ms, name},
    entity::{artifact, attempt, job, job_style},
    error::Result,
    pool::Store,
};

const SUCCEEDED: &str = "succeeded";

/// What came in on a day and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Day {
    pub(super) jobs: Tally,
    /// Pictures that were finished on it.
    pub(super) pictures: u64,
    pub(super) gpu_ms: u64,
    pub(super) loads: u64,
    /// From the queue to the end, of what succeeded.
    pub(super) whole: Times,
    /// From the start on a server to the end, of what succeeded.
    pub(super) run: Times,
    pub(super) servers: BTreeMap<ServerId, Group>,
    pub(super) render_types: BTreeMap<String, Group>,
    pub(super) callers: BTreeMap<String, Group>,
    pub(super) styles: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) jobs: Tally,
    pub(super) run: Times,
    pub(super) gpu_ms: u64,
    pub(super) loads: u64,
}

/// Each job of a day with each of its styles, in the order of the jobs.
struct Styles(Vec<(Uuid, Arc<str>)>);

impl Day {
    /// Whether all its jobs have ended, and all attempts at them.
    pub(super) fn is_over(&self) -> bool {
        self.jobs.active == 0 && self.servers.values().all(|server| server.jobs.active == 0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.jobs.add(other.jobs);
        self.pictures += other.pictures;
        self.gpu_ms += other.gpu_ms;
        self.loads += other.loads;
        self.whole.add_all(&other.whole);
        self.run.add_all(&other.run);
        add_groups(&mut self.servers, &other.servers);
        add_groups(&mut self.render_types, &other.render_types);
        add_groups(&mut self.callers, &other.callers);
        add_groups(&mut self.styles, &other.styles);
    }
}

impl Group {
    /// A job, and how long it ran where it succeeded.
    fn add_job(&mut self, kind: JobStateKind, run: Option<u64>) {
        self.jobs.count(kind);
        self.run.extend(run);
    }

    /// What an attempt took.
    fn add_attempt(&mut self, gpu_ms: u64, loads: u64) {
        self.gpu_ms += gpu_ms;
        self.loads += loads;
    }
}

impl Styles {
    /// Those of a job; a part has none of its own.
    fn of(&self, job: Uuid) -> impl Iterator<Item = &str> {
        let first = self.0.partition_point(|(other, _)| *other < job);
        self.0[first..].iter().take_while(move |(other, _)| *other == job).map(|(_, style)| &**style)
    }
}

fn add_groups<K: Ord + Clone>(all: &mut BTreeMap<K, Group>, others: &BTreeMap<K, Group>) {
    for (key, other) in others {
        let group = entry(all, key);
        group.jobs.add(other.jobs);
        group.run.add_all(&other.run);
        group.gpu_ms += other.gpu_ms;
        group.loads += other.loads;
    }
}

/// The entry of a key, which is copied only when it is new.
fn entry<'map, K: Ord + Clone, V: Default>(map: &'map mut BTreeMap<K, V>, key: &K) -> &'map mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key).expect("it is there now")
}

/// When a day begins.
pub(super) fn begin(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

/// Within a day.
fn on(date: NaiveDate, column: impl ColumnTrait) -> Condition {
    Condition::all().add(column.gte(ms(begin(date)))).add(column.lt(ms(begin(date + Days::new(1)))))
}

fn jobs_of(date: NaiveDate) -> Select<job::Entity> {
    job::Entity::find()
        .select_only()
        .columns([job::Column::Id, job::Column::State, job::Column::Caller, job::Column::RenderType])
        .columns([job::Column::QueuedAt, job::Column::StartedAt, job::Column::FinishedAt])
        .filter(on(date, job::Column::CreatedAt))
        .filter(job::Column::PartOf.is_null())
}

fn attempts_of(date: NaiveDate) -> Select<job::Entity> {
    job::Entity::find()
        .select_only()
        .columns([job::Column::Id, job::Column::PartOf])
        .columns([job::Column::StartedAt, job::Column::Caller, job::Column::RenderType])
        .columns([attempt::Column::ServerId, attempt::Column::CreatedAt, attempt::Column::EndedAt])
        .columns([attempt::Column::Outcome, attempt::Column::Loaded])
        .join(JoinType::InnerJoin, attempts::of_job())
        .filter(on(date, job::Column::CreatedAt))
}

fn styles_of(date: NaiveDate) -> Select<job::Entity> {
    let of_job: RelationDef =
        job::Entity::belongs_to(job_style::Entity).from(job::Column::Id).to(job_style::Column::JobId).into();
    job::Entity::find()
        .select_only()
        .column(job::Column::Id)
        .column(job_style::Column::Style)
        .join(JoinType::InnerJoin, of_job)
        .filter(on(date, job::Column::CreatedAt))
}

impl Store {
    pub(super) async fn read_day(&self, date: NaiveDate) -> Result<Day> {
        let mut day = Day::default();
        let styles = self.read_styles(date).await?;
        self.read_jobs(date, &styles, &mut day).await?;
        self.read_attempts(date, &styles, &mut day).await?;
        day.pictures = artifact::Entity::find()
            .filter(on(date, artifact::Column::CreatedAt))
            .filter(artifact::Column::Role.eq(name("role", &ArtifactRole::Output)?))
            .filter(artifact::Column::Kind.eq(name("kind", &MediaKind::Image)?))
            .count(self.reader())
            .await?;
        Ok(day)
    }

    /// The styles of the jobs that came in on a day. Those of many jobs share few names.
    async fn read_styles(&self, date: NaiveDate) -> Result<Styles> {
        let mut rows = styles_of(date).into_tuple::<(Uuid, String)>().stream(self.reader()).await?;
        let (mut styles, mut names) = (Vec::new(), BTreeSet::<Arc<str>>::new());
        while let Some((job, style)) = rows.try_next().await? {
            let name = names.get(style.as_str()).cloned().unwrap_or_else(|| Arc::from(style));
            names.insert(Arc::clone(&name));
            styles.push((job, name));
        }
        styles.sort_unstable();
        Ok(Styles(styles))
    }

    async fn read_jobs(&self, date: NaiveDate, styles: &Styles, day: &mut Day) -> Result<()> {
        type Read = (Uuid, String, String, Option<String>, Option<i64>, Option<i64>, Option<i64>);
        let mut rows = jobs_of(date).into_tuple::<Read>().stream(self.reader()).await?;
        let at = Row::new("jobs", date);
        while let Some((job, state, caller, render_type, queued, started, finished)) = rows.try_next().await? {
            let kind: JobStateKind = at.name("state", &state)?;
            day.jobs.count(kind);
            let ended = finished.filter(|_| kind == JobStateKind::Succeeded);
            let run = span(started, ended);
            day.whole.extend(span(queued, ended));
            day.run.extend(run);
            let named = render_type.map(|name| day.render_types.entry(name).or_default());
            for group in named.into_iter().chain([day.callers.entry(caller).or_default()]) {
                group.add_job(kind, run);
            }
            for style in styles.of(job) {
                day.styles.entry(style.to_owned()).or_default().add_job(kind, run);
            }
        }
        Ok(())
    }

    async fn read_attempts(&self, date: NaiveDate, styles: &Styles, day: &mut Day) -> Result<()> {
        type Read = (
            Uuid,
            Option<Uuid>,
            Option<i64>,
            String,
            Option<String>,
            Uuid,
            i64,
            Option<i64>,
            Option<String>,
            Option<bool>,
        );
        let mut rows = attempts_of(date).into_tuple::<Read>().stream(self.reader()).await?;
        while let Some((job, whole, started, caller, render_type, server, assigned, ended, outcome, loaded)) =
            rows.try_next().await?
        {
            let run = ended.map(|ended| attempts::gpu_ms(started, assigned, ended));
            let gpu_ms = run.unwrap_or(0);
            let loads = u64::from(loaded == Some(true));
            (day.gpu_ms, day.loads) = (day.gpu_ms + gpu_ms, day.loads + loads);
            let of_render_type = render_type.map(|name| day.render_types.entry(name).or_default());
            let on = day.servers.entry(ServerId::from_uuid(server)).or_default();
            for group in of_render_type.into_iter().chain([day.callers.entry(caller).or_default(), &mut *on]) {
                group.add_attempt(gpu_ms, loads);
            }
            for style in styles.of(whole.unwrap_or(job)) {
                day.styles.entry(style.to_owned()).or_default().add_attempt(gpu_ms, loads);
            }
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
}

/// From one moment to another; a clock that was set back makes it nothing.
fn span(from: Option<i64>, to: Option<i64>) -> Option<u64> {
    Some(u64::try_from(to?.saturating_sub(from?)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use hub_core::clock::SystemClock;
    use sea_orm::{ConnectionTrait as _, QueryTrait as _, Statement, StatementBuilder};

    use super::*;

    #[tokio::test]
    async fn a_day_is_found_by_an_index() {
        let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database");
        let date = NaiveDate::default();
        for select in [jobs_of(date), attempts_of(date), styles_of(date)] {
            let backend = store.reader().get_database_backend();
            let Statement { sql, values, .. } = StatementBuilder::build(select.as_query(), &backend);
            let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {sql}"), values, db_backend: backend };
            let steps = store.reader().query_all_raw(explain).await.expect("a plan");
            let steps: Vec<String> = steps.iter().map(|row| row.try_get("", "detail").expect("a step")).collect();
            assert!(steps.iter().all(|step| !step.starts_with("SCAN")), "{steps:?}");
            assert!(steps[0].contains("jobs_created (created_at>? AND created_at<?)"), "{steps:?}");
        }
    }
}
