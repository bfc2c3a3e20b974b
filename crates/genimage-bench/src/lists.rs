//! `genimage-bench lists`: how long the pages of the jobs' list take, filter by filter.
//!
//! Fills an empty database with jobs as the hub stores them, then reads the first page and one in the middle
//! under every filter, and the counts per state.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::TimeDelta;
use hub_core::{
    caller::Caller,
    clock::{MockClock, SharedClock},
    ids::ServerId,
    job::JobStateKind,
};
use hub_store::{JobFilter, PageCursor, Store};

use crate::filling::store_one;

/// Pages of this many jobs.
const PAGE: u32 = 50;
/// Readings of each page.
const READINGS: usize = 21;

/// What to measure on.
#[derive(Debug, clap::Args)]
pub(crate) struct ListsArgs {
    /// Jobs to store first
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    rows: u32,
    /// An empty database, e.g. postgres://user@host/name [default: SQLite in a temporary folder]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

pub(crate) async fn run(args: &ListsArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url =
        args.database_url.clone().unwrap_or_else(|| format!("sqlite://{}", folder.path().join("hub.db").display()));
    let clock = Arc::new(MockClock::at(chrono::DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
    let store = Store::open(&url, Arc::clone(&clock) as SharedClock).await?;
    let empty = store.job_list(&JobFilter::default(), None, 1).await?.jobs.is_empty();
    anyhow::ensure!(empty, "the database holds jobs; give an empty one");
    let servers = [ServerId::new(), ServerId::new(), ServerId::new()];
    let began = Instant::now();
    for n in 0..args.rows {
        clock.advance(TimeDelta::milliseconds(7));
        store_one(&store, n, &servers).await.with_context(|| format!("job {n}"))?;
    }
    let each = began.elapsed() / args.rows.max(1);
    println!("{} jobs stored, each taken in and ended within {each:.2?}", args.rows);
    println!("{:<28} {:>8} {:>8} {:>8} {:>8}  rows", "list", "p50 ms", "max ms", "mid p50", "mid max");
    for (name, filter) in filters(&servers, &clock) {
        let (first, rows) = measure(&store, &filter, None).await?;
        let middle = middle_of(&store, &filter, &clock, args.rows).await?;
        let (later, _) = measure(&store, &filter, middle).await?;
        println!("{name:<28} {:>8} {:>8} {:>8} {:>8}  {rows}", ms(first.0), ms(first.1), ms(later.0), ms(later.1));
    }
    let mut counts = Vec::with_capacity(READINGS);
    for _ in 0..READINGS {
        let began = Instant::now();
        store.job_counts().await?;
        counts.push(began.elapsed());
    }
    let (middle, most) = spread(&mut counts);
    println!("{:<28} {:>8} {:>8}", "counts per state", ms(middle), ms(most));
    store.close().await?;
    Ok(())
}

fn filters(servers: &[ServerId; 3], clock: &MockClock) -> Vec<(&'static str, JobFilter)> {
    use hub_core::clock::Clock as _;
    let all = JobFilter::default;
    let text = |text: &str| JobFilter { text: Some(text.to_owned()), ..all() };
    let ended = JobStateKind::ALL.into_iter().filter(|state| state.is_terminal()).collect();
    let failed = vec![JobStateKind::Failed];
    vec![
        ("all", all()),
        ("state failed", JobFilter { states: failed.clone(), ..all() }),
        ("state ended (4 states)", JobFilter { states: ended, ..all() }),
        ("tool", JobFilter { tool: Some("edit_image".to_owned()), ..all() }),
        ("caller", JobFilter { caller: Some(Caller::named("alice")), ..all() }),
        ("server", JobFilter { server: Some(servers[1]), ..all() }),
        ("render type", JobFilter { render_type: Some("flux".to_owned()), ..all() }),
        ("style", JobFilter { style: Some("oil".to_owned()), ..all() }),
        ("created before an hour ago", JobFilter { created_to: Some(clock.now() - TimeDelta::minutes(5)), ..all() }),
        ("favourite", JobFilter { favourite: Some(true), ..all() }),
        ("with pictures", JobFilter { has_images: Some(true), ..all() }),
        ("without pictures", JobFilter { has_images: Some(false), ..all() }),
        ("text, common", text("lighthouse")),
        ("text, one of 5000", text("QUOKKA")),
        ("text, nowhere", text("zeppelin")),
        ("caller + state failed", JobFilter { states: failed, caller: Some(Caller::named("bob")), ..all() }),
        ("style + text", JobFilter { style: Some("oil".to_owned()), ..text("heron") }),
    ]
}

/// Where a page in the middle begins: after the first job of the older half.
async fn middle_of(
    store: &Store,
    filter: &JobFilter,
    clock: &MockClock,
    rows: u32,
) -> anyhow::Result<Option<PageCursor>> {
    use hub_core::clock::Clock as _;
    let half = clock.now() - TimeDelta::milliseconds(i64::from(rows / 2) * 7);
    let older = JobFilter { created_to: Some(filter.created_to.map_or(half, |to| to.min(half))), ..filter.clone() };
    Ok(store.job_list(&older, None, 1).await?.next)
}

/// Median and longest time of a page, and its rows.
async fn measure(
    store: &Store,
    filter: &JobFilter,
    cursor: Option<PageCursor>,
) -> anyhow::Result<((Duration, Duration), usize)> {
    let mut times = Vec::with_capacity(READINGS);
    let mut rows = 0;
    for _ in 0..READINGS {
        let began = Instant::now();
        rows = store.job_list(filter, cursor, PAGE).await?.jobs.len();
        times.push(began.elapsed());
    }
    Ok((spread(&mut times), rows))
}

fn spread(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}
