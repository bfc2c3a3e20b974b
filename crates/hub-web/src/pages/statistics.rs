//! What became of the jobs of the last days, as charts and as tables.
//!
//! The charts are drawn here, as shapes without text in them, so that they can be stretched to any width; what they
//! say is in their description and in the table below each.

use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::Datelike as _;
use hub_core::error::UserError;
use hub_store::{DayStatistics, GroupStatistics, Percentiles, Statistics};
use serde::{Deserialize, Serialize};

use super::{Frame, html};
use crate::{error::WebError, language::Said, render::Page, router::App, said};

/// The months, short.
const MONTHS: [Said; 12] = [
    said!("Jan"),
    said!("Feb"),
    said!("Mar"),
    said!("Apr"),
    said!("May"),
    said!("Jun"),
    said!("Jul"),
    said!("Aug"),
    said!("Sep"),
    said!("Oct"),
    said!("Nov"),
    said!("Dec"),
];
/// The spans to choose from, in days.
const SPANS: [(u32, Said); 4] =
    [(1, said!("Today")), (7, said!("7 days")), (30, said!("30 days")), (90, said!("90 days"))];
/// The span when none is named.
const SPAN_DEFAULT: u32 = 7;
/// Rows of a table that are shown at once; the others are opened.
const ROWS_SHOWN: usize = 20;
/// Rows of a table in all; those beyond are told as a number.
const ROWS_MAX: usize = 200;
/// Size of a chart in its own units; it is stretched to its place.
const CHART_WIDTH: u64 = 9_000;
const CHART_HEIGHT: u64 = 1_000;

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct StatisticsPage {
    frame: Frame,
    spans: Vec<Span>,
    empty: bool,
    jobs: u64,
    pictures: u64,
    success: String,
    gpu: String,
    loads: u64,
    whole: Times,
    run: Times,
    days: Vec<Day>,
    charts: Vec<Chart>,
    tables: Vec<Table>,
}

#[derive(Debug, Serialize)]
struct Span {
    path: String,
    title: Said,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct Times {
    p50: String,
    p95: String,
}

#[derive(Debug, Serialize)]
struct Day {
    name: String,
    jobs: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    active: u64,
    success: String,
    run: Times,
    pictures: u64,
    gpu: String,
    loads: u64,
}

/// Bars by day.
#[derive(Debug, Serialize)]
struct Chart {
    id: &'static str,
    title: Said,
    description: String,
    /// What stacks up in a bar: name and class.
    legend: Vec<(Said, &'static str)>,
    /// The highest bar.
    most: String,
    bars: Vec<Bar>,
}

#[derive(Debug, Serialize)]
struct Bar {
    title: String,
    x: u64,
    width: u64,
    parts: Vec<BarPart>,
}

#[derive(Debug, Serialize)]
struct BarPart {
    class: &'static str,
    y: u64,
    height: u64,
}

/// What has something in common.
#[derive(Debug, Serialize)]
struct Table {
    title: Said,
    note: Option<Said>,
    rows: Vec<Group>,
    /// Rows that are opened.
    rest: Vec<Group>,
    /// Rows that are not shown at all.
    more: usize,
}

#[derive(Debug, Serialize)]
struct Group {
    name: String,
    jobs: u64,
    success: String,
    failed: u64,
    run: Times,
    gpu: String,
    loads: u64,
    /// Of a hundred, for the bar behind the number: against the first row.
    share: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SpanQuery {
    #[serde(default)]
    days: Option<String>,
}

pub(crate) async fn show(State(app): State<App>, Query(query): Query<SpanQuery>) -> Result<Html<String>, WebError> {
    let days = span(query.days.as_deref())?;
    let store = app.engine.store();
    let found = store.statistics(days).await?;
    let names = store.server_names().await?;
    let servers = found.servers.iter().map(|(id, group)| {
        let name = names.get(id).cloned().unwrap_or_else(|| id.to_string());
        (name, group)
    });
    html(&app, &StatisticsPage::of(days, &found, servers.collect()))
}

fn span(given: Option<&str>) -> Result<u32, UserError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(SPAN_DEFAULT) };
    let known = SPANS.iter().find(|(days, _)| days.to_string() == text);
    known.map(|(days, _)| *days).ok_or_else(|| {
        UserError::argument("days", said!("`days` is none of the spans that are told."))
            .with_valid(SPANS.map(|(days, _)| days.to_string()))
    })
}

impl StatisticsPage {
    fn of(days: u32, found: &Statistics, servers: Vec<(String, &GroupStatistics)>) -> Self {
        let named = |groups: &'_ std::collections::BTreeMap<String, GroupStatistics>| {
            groups.iter().map(|(name, group)| (name.clone(), group.clone())).collect::<Vec<_>>()
        };
        let servers = servers.into_iter().map(|(name, group)| (name, group.clone())).collect();
        let pictures = found.days.iter().map(|day| day.pictures).sum();
        let attempts = Some(said!("Attempts: a job that was given back and ran elsewhere counts on both."));
        let several = Some(said!("A job with several styles counts for each, with all its time."));
        let tables = [
            Table::of(said!("Servers"), attempts, servers),
            Table::of(said!("Render types"), None, named(&found.render_types)),
            Table::of(said!("Styles"), several, named(&found.styles)),
            Table::of(said!("Callers"), None, named(&found.callers)),
        ];
        Self {
            frame: Frame::new("statistics", said!("Statistics")),
            spans: SPANS
                .map(|(each, title)| Span { path: format!("/statistics?days={each}"), title, chosen: each == days })
                .into(),
            empty: found.jobs.total() == 0 && pictures == 0,
            jobs: found.jobs.total(),
            pictures,
            success: percent(found.jobs.success_rate()),
            gpu: length(found.days.iter().map(|day| day.gpu_ms).sum()),
            loads: found.days.iter().map(|day| day.model_loads).sum(),
            whole: Times::of(found.whole),
            run: Times::of(found.run),
            days: found.days.iter().rev().map(Day::of).collect(),
            charts: charts(&found.days),
            tables: tables.into_iter().filter(|table| !table.rows.is_empty()).collect(),
        }
    }
}

impl Times {
    fn of(found: Option<Percentiles>) -> Self {
        let told = |ms: Option<u64>| ms.map_or_else(|| "–".to_owned(), length);
        Self { p50: told(found.map(|found| found.p50_ms)), p95: told(found.map(|found| found.p95_ms)) }
    }
}

impl Day {
    fn of(day: &DayStatistics) -> Self {
        Self {
            name: name_of(day),
            jobs: day.jobs.total(),
            succeeded: day.jobs.succeeded,
            failed: day.jobs.failed,
            cancelled: day.jobs.cancelled,
            active: day.jobs.active,
            success: percent(day.jobs.success_rate()),
            run: Times::of(day.run),
            pictures: day.pictures,
            gpu: length(day.gpu_ms),
            loads: day.model_loads,
        }
    }
}

impl Table {
    fn of(title: Said, note: Option<Said>, mut groups: Vec<(String, GroupStatistics)>) -> Self {
        groups.sort_by(|(a, one), (b, other)| other.jobs.total().cmp(&one.jobs.total()).then_with(|| a.cmp(b)));
        let most = groups.first().map_or(1, |(_, group)| group.jobs.total().max(1));
        let more = groups.len().saturating_sub(ROWS_MAX);
        let mut rows = groups.into_iter().take(ROWS_MAX).map(|(name, group)| Group {
            name,
            jobs: group.jobs.total(),
            success: percent(group.jobs.success_rate()),
            failed: group.jobs.failed,
            run: Times::of(group.run),
            gpu: length(group.gpu_ms),
            loads: group.model_loads,
            share: group.jobs.total() * 100 / most,
        });
        Self { title, note, rows: rows.by_ref().take(ROWS_SHOWN).collect(), rest: rows.collect(), more }
    }
}

fn charts(days: &[DayStatistics]) -> Vec<Chart> {
    const STATES: [(Said, &str); 4] = [
        (said!("Succeeded"), "tone-good"),
        (said!("Failed"), "tone-bad"),
        (said!("Cancelled"), "tone-off"),
        (said!("Not over"), "tone-info"),
    ];
    let jobs = |day: &DayStatistics| vec![day.jobs.succeeded, day.jobs.failed, day.jobs.cancelled, day.jobs.active];
    let count = |count: u64| count.to_string();
    vec![
        Chart::of("jobs", said!("Jobs per day"), &STATES, days, jobs, count),
        Chart::of(
            "pictures",
            said!("Pictures per day"),
            &[(said!("Pictures"), "tone-busy")],
            days,
            |day| vec![day.pictures],
            count,
        ),
        Chart::of(
            "gpu",
            said!("GPU time per day"),
            &[(said!("GPU time"), "tone-info")],
            days,
            |day| vec![day.gpu_ms],
            length,
        ),
        Chart::of(
            "loads",
            said!("Model loads per day"),
            &[(said!("Loads"), "tone-wait")],
            days,
            |day| vec![day.model_loads],
            count,
        ),
    ]
}

impl Chart {
    fn of(
        id: &'static str,
        title: Said,
        legend: &[(Said, &'static str)],
        days: &[DayStatistics],
        values: impl Fn(&DayStatistics) -> Vec<u64>,
        told: impl Fn(u64) -> String,
    ) -> Self {
        let total = |day: &DayStatistics| values(day).iter().sum::<u64>();
        let highest = days.iter().max_by_key(|day| total(day));
        let most = highest.map_or(0, &total);
        let slot = CHART_WIDTH / u64::try_from(days.len().max(1)).unwrap_or(1);
        let width = (slot * 3 / 4).min(CHART_WIDTH / 8);
        let bars = (0u64..).zip(days).map(|(place, day)| {
            let values = values(day);
            let mut top = CHART_HEIGHT;
            let parts = values.iter().zip(legend).filter(|(value, _)| **value > 0).map(|(value, (_, class))| {
                let height = (value * CHART_HEIGHT / most.max(1)).max(1).min(top);
                top -= height;
                BarPart { class, y: top, height }
            });
            let parts = parts.collect();
            let each = values.iter().zip(legend).filter(|(value, _)| **value > 0);
            let each: Vec<String> = each.map(|(value, (name, _))| format!("{name} {}", told(*value))).collect();
            let title = format!(
                "{}: {}",
                name_of(day),
                if each.is_empty() { said!("none").to_string() } else { each.join(", ") }
            );
            Bar { title, x: place * slot + (slot - width) / 2, width, parts }
        });
        let bars = bars.collect();
        let sum = days.iter().map(&total).sum();
        let description = match highest.filter(|_| most > 0) {
            Some(day) => {
                said!("{sum} in all; most, {most}, on {day}.", sum = told(sum), most = told(most), day = name_of(day))
            }
            None => said!("None in these days.").to_string(),
        };
        let legend = if legend.len() > 1 { legend.to_vec() } else { Vec::new() };
        Self { id, title, description, legend, most: told(most), bars }
    }
}

fn name_of(day: &DayStatistics) -> String {
    let month =
        usize::try_from(day.day.month0()).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or(MONTHS[0]);
    said!("{day} {month} {year}", day = day.day.day(), month, year = day.day.year())
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

/// A run, or a sum of them: tenths of a second below a minute.
fn length(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => said!("{s} s", s = format_args!("{seconds}.{}", ms % 1_000 / 100)),
        60..3_600 => said!("{min} min {s} s", min = seconds / 60, s = format_args!("{:02}", seconds % 60)),
        _ => said!("{h} h {min} min", h = seconds / 3_600, min = format_args!("{:02}", seconds / 60 % 60)),
    }
}

impl Page for StatisticsPage {
    const TEMPLATE: &'static str = "pages/statistics.html";

    #[cfg(test)]
    fn sample() -> Self {
        let found = tests::days_and_groups();
        let servers = found.servers.values().map(|group| (super::shown::sample::HOSTILE.to_owned(), group));
        Self::of(7, &found, servers.collect())
    }
}

#[cfg(test)]
mod tests;
