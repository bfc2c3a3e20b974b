//! What became of the jobs of the last days, in numbers.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use chrono::NaiveDate;
use hub_core::error::UserError;
use hub_store::{GroupStatistics, Percentiles, Statistics, Tally};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answers::Invalid, body::Params};
use crate::{error::WebError, router::App};

/// Days when none are named.
const DAYS_DEFAULT: u32 = 7;
/// Most days of one answer.
const DAYS_MAX: u32 = 366;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatisticsQuery {
    /// Days in UTC, today included.
    #[param(minimum = 1, maximum = 366, default = 7)]
    days: Option<u32>,
}

/// Jobs by how they ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tally)]
struct TallyRecord {
    succeeded: u64,
    /// Failed or expired.
    failed: u64,
    cancelled: u64,
    /// Not over yet.
    active: u64,
    /// Part that succeeded of what succeeded or failed, 0 to 1; null where neither happened.
    success_rate: Option<f64>,
}

impl From<Tally> for TallyRecord {
    fn from(tally: Tally) -> Self {
        let Tally { succeeded, failed, cancelled, active } = tally;
        Self { succeeded, failed, cancelled, active, success_rate: tally.success_rate() }
    }
}

/// Percentiles in milliseconds, right to one in a hundred.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Percentiles)]
struct PercentilesRecord {
    p50_ms: u64,
    p95_ms: u64,
}

impl From<Percentiles> for PercentilesRecord {
    fn from(Percentiles { p50_ms, p95_ms }: Percentiles) -> Self {
        Self { p50_ms, p95_ms }
    }
}

/// One day in UTC.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DayStatistics)]
struct DayRecord {
    #[schema(value_type = String, format = Date)]
    day: NaiveDate,
    /// Jobs that came in on it.
    jobs: TallyRecord,
    /// From the start on a server to the end, of its jobs that succeeded; null where there are none.
    run: Option<PercentilesRecord>,
    /// Pictures that were finished on it.
    pictures: u64,
    /// Of its jobs.
    gpu_seconds: f64,
    /// Runs that went well for which a server had to load models.
    model_loads: u64,
}

/// What has something in common.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupStatistics)]
struct GroupRecord {
    /// Jobs; of a server the attempts on it, where one that it gave back counts as failed.
    jobs: TallyRecord,
    /// From the start on a server to the end, of those that succeeded; null where there are none.
    run: Option<PercentilesRecord>,
    gpu_seconds: f64,
    /// Runs that went well for which a server had to load models.
    model_loads: u64,
}

impl From<GroupStatistics> for GroupRecord {
    fn from(group: GroupStatistics) -> Self {
        Self {
            jobs: group.jobs.into(),
            run: group.run.map(Into::into),
            gpu_seconds: seconds(group.gpu_ms),
            model_loads: group.model_loads,
        }
    }
}

/// What became of the jobs of some days.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Statistics)]
pub(crate) struct StatisticsRecord {
    /// All jobs of these days.
    jobs: TallyRecord,
    /// From the queue to the end, of those that succeeded.
    whole: Option<PercentilesRecord>,
    /// From the start on a server to the end, of those that succeeded.
    run: Option<PercentilesRecord>,
    /// Each day, the first one first.
    days: Vec<DayRecord>,
    /// By name; a deleted one by its id, where its name is not known any more.
    servers: BTreeMap<String, GroupRecord>,
    render_types: BTreeMap<String, GroupRecord>,
    /// A job with several styles counts for each, with all its time.
    styles: BTreeMap<String, GroupRecord>,
    callers: BTreeMap<String, GroupRecord>,
}

impl StatisticsRecord {
    fn of(found: Statistics, server_name: impl Fn(hub_core::ids::ServerId) -> String) -> Self {
        let named = |groups: BTreeMap<String, GroupStatistics>| {
            groups.into_iter().map(|(name, group)| (name, group.into())).collect()
        };
        let days = found.days.into_iter().map(|day| DayRecord {
            day: day.day,
            jobs: day.jobs.into(),
            run: day.run.map(Into::into),
            pictures: day.pictures,
            gpu_seconds: seconds(day.gpu_ms),
            model_loads: day.model_loads,
        });
        Self {
            jobs: found.jobs.into(),
            whole: found.whole.map(Into::into),
            run: found.run.map(Into::into),
            days: days.collect(),
            servers: found.servers.into_iter().map(|(id, group)| (server_name(id), group.into())).collect(),
            render_types: named(found.render_types),
            styles: named(found.styles),
            callers: named(found.callers),
        }
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// Tells what became of the jobs of the last days: by day, server, render type, style and caller. Where there are
/// many jobs, the answer may be some seconds old.
#[utoipa::path(get, path = "/api/v1/statistics", tag = "hub", operation_id = "get_statistics",
    params(StatisticsQuery),
    responses((status = 200, body = StatisticsRecord), Invalid))]
pub(crate) async fn show(
    State(app): State<App>,
    Params(query): Params<StatisticsQuery>,
) -> Result<Json<StatisticsRecord>, WebError> {
    let days = query.days.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        let error = UserError::argument("days", format!("`days` is {days}; it must be 1 to {DAYS_MAX}."));
        return Err(error.into());
    }
    let store = app.engine.store();
    let found = store.statistics(days).await?;
    let names = store.server_names().await?;
    Ok(Json(StatisticsRecord::of(found, |id| names.get(&id).cloned().unwrap_or_else(|| id.to_string()))))
}
