//! What became of the jobs of a span of days: counts, times and GPU time, by day and by what they have in common.
//!
//! Each day is read by itself ([`day`]) and added up. A day that is over, with all its jobs, does not change any more,
//! except by deletion: it is kept in memory ([`kept`]), so that only the newest days are read again.

mod day;
mod kept;
mod times;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{Days, NaiveDate, TimeDelta};
use hub_core::{ids::ServerId, job::JobStateKind};

use self::day::{Day, Group};
use crate::{error::Result, pool::Store, recent::Recent};

pub(crate) use self::kept::KeptDays;

/// Most days that one answer spans.
const DAYS_MAX: u32 = 366;
/// A past day is counted once and for all when it has been over for so long: what came in on it is written by then.
const SETTLED_AFTER: TimeDelta = TimeDelta::hours(1);

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

    fn count(&mut self, kind: JobStateKind) {
        *match kind {
            JobStateKind::Succeeded => &mut self.succeeded,
            JobStateKind::Failed | JobStateKind::Expired => &mut self.failed,
            JobStateKind::Cancelled => &mut self.cancelled,
            _ => &mut self.active,
        } += 1;
    }

    fn add(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.active += other.active;
    }
}

/// Percentiles by nearest rank, in milliseconds: times that were measured, right to one in a hundred.
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
    /// From the start on a server to the end, of its jobs that succeeded.
    pub run: Option<Percentiles>,
    /// Pictures that were finished on it.
    pub pictures: u64,
    /// GPU time of its jobs.
    pub gpu_ms: u64,
    /// Runs that succeeded for which a server had to load models; not counted where nobody knew.
    pub model_loads: u64,
}

/// What has something in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupStatistics {
    /// Jobs; of a server the attempts on it, where one that it gave back counts as failed.
    pub jobs: Tally,
    /// Start to end of those that succeeded.
    pub run: Option<Percentiles>,
    /// GPU time.
    pub gpu_ms: u64,
    /// Runs that succeeded for which a server had to load models.
    pub model_loads: u64,
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
    /// By style; a job with several counts for each, with all its time.
    pub styles: BTreeMap<String, GroupStatistics>,
    /// By caller.
    pub callers: BTreeMap<String, GroupStatistics>,
}

/// The last answer, for so many days.
pub(crate) type LastStatistics = Recent<(u32, Statistics)>;

impl Store {
    /// The last so many days in UTC, today included: at least 1, at most 366. Where there are many jobs, the
    /// answer may be some time old: a hundred times as long as counting took, at most 10 s.
    ///
    /// GPU time is that of attempts which are over, from the start of the run to its end; of an attempt whose start
    /// was not kept, because another one followed it, from when its server got it.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn statistics(&self, days: u32) -> Result<Statistics> {
        let days = days.clamp(1, DAYS_MAX);
        let read = async { Ok((days, self.read_statistics(days).await?)) };
        let (_, found) =
            self.last_statistics().get_or(|(of, _)| *of == days, read, |(_, found)| found.jobs.total()).await?;
        Ok(found)
    }

    async fn read_statistics(&self, days: u32) -> Result<Statistics> {
        let today = self.clock().now().date_naive();
        let first = today - Days::new(u64::from(days - 1));
        let mut sum = Sum::default();
        for date in first.iter_days().take_while(|date| *date <= today) {
            sum.add(date, &*self.day(date).await?);
        }
        Ok(sum.finished())
    }

    /// One day, from memory where it cannot have changed.
    async fn day(&self, date: NaiveDate) -> Result<Arc<Day>> {
        if let Some(day) = self.kept_days().get(date) {
            return Ok(day);
        }
        let deletions = self.kept_days().deletions();
        let day = Arc::new(self.read_day(date).await?);
        if day.is_over() && self.clock().age(day::begin(date + Days::new(1))) >= SETTLED_AFTER {
            self.kept_days().keep(date, &day, deletions);
        }
        Ok(day)
    }
}

/// Days being added up.
#[derive(Default)]
struct Sum {
    days: Vec<DayStatistics>,
    all: Day,
}

impl Sum {
    fn add(&mut self, date: NaiveDate, day: &Day) {
        self.days.push(DayStatistics {
            day: date,
            jobs: day.jobs,
            run: day.run.percentiles(),
            pictures: day.pictures,
            gpu_ms: day.gpu_ms,
            model_loads: day.loads,
        });
        self.all.add(day);
    }

    fn finished(self) -> Statistics {
        let all = self.all;
        Statistics {
            days: self.days,
            jobs: all.jobs,
            whole: all.whole.percentiles(),
            run: all.run.percentiles(),
            servers: finished(all.servers),
            render_types: finished(all.render_types),
            styles: finished(all.styles),
            callers: finished(all.callers),
        }
    }
}

fn finished<K: Ord>(groups: BTreeMap<K, Group>) -> BTreeMap<K, GroupStatistics> {
    let done = |group: Group| GroupStatistics {
        jobs: group.jobs,
        run: group.run.percentiles(),
        gpu_ms: group.gpu_ms,
        model_loads: group.loads,
    };
    groups.into_iter().map(|(key, group)| (key, done(group))).collect()
}
