//! `genimage-bench soak`: many jobs at full rate through a hub of its own process, and what stays behind.
//!
//! What a hub keeps on purpose (connections of its database, caches, the board of jobs that ended lately) is filled by
//! jobs that are not counted. Memory is then held against itself, quarter by quarter; files, sockets, threads and tasks
//! against their counts before the load, once it is over and its callers are gone.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use futures_util::future::try_join_all;
use hub_sim::{ComfyConfig, ComfySim};

use crate::{
    hub::{HubProcess, Usage},
    load::{self, Target as _},
};

/// Most that the last quarter may take of what the first one did.
const GROWTH_MAX: f64 = 1.1;
/// Most files, sockets, threads or tasks that may be there beyond those before: a look that happens just then.
const LEFT_MAX: i64 = 2;
/// Longest wait for what the load used to be given back: idle threads end after 10 s, idle connections after 90 s.
const SETTLE_LIMIT: Duration = Duration::from_mins(2);
/// Time between two looks at the hub.
const LOOK: Duration = Duration::from_millis(250);
/// Side of a picture, in pixels: large enough that the jobs before the count fill the cache of previews.
const SIDE_PX: u32 = 256;

/// Puts a hub under load and looks for what it does not give back.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// Jobs
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    jobs: usize,
    /// Jobs before them, which are not counted
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    warm_up: usize,
    /// Callers at once
    #[arg(long, default_value_t = 32, value_name = "N")]
    callers: usize,
    /// Simulated servers, in this program's own process
    #[arg(long, default_value_t = 8, value_name = "N")]
    servers: usize,
}

/// The hub at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    jobs: usize,
    usage: Usage,
}

/// Plays the scene and prints what it came to.
///
/// # Errors
/// When a job fails, memory grows, or something is left behind.
pub(crate) async fn run(binary: &Path, args: &SoakArgs) -> anyhow::Result<()> {
    let mut sims = Vec::new();
    for _ in 0..args.servers {
        let config = ComfyConfig { run_ms: 0, load_ms: 0, preview: false, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await?);
    }
    let hub = HubProcess::start(binary).await?;
    let urls: Vec<String> = sims.iter().map(ComfySim::url).collect();
    hub.add_servers(&urls).await?;

    let (done, began) = (AtomicUsize::new(0), Instant::now());
    load(&hub, args.warm_up, args.callers, &done).await?;
    println!("{} jobs to warm up, {:.0} s", args.warm_up, began.elapsed().as_secs_f64());
    let before = settled(&hub, None).await?;

    let (done, began) = (AtomicUsize::new(0), Instant::now());
    let loaded = load(&hub, args.jobs, args.callers, &done);
    let samples = sampled(&hub, &done, loaded).await?;
    let took = began.elapsed();
    let after = settled(&hub, Some(before)).await?;
    println!(
        "{} jobs in {:.0} s, {:.0} a second",
        args.jobs,
        took.as_secs_f64(),
        args.jobs as f64 / took.as_secs_f64()
    );
    let growth = quarters(&samples, args.jobs)?;
    let left = left_behind(before, after);
    hub.stop()?;
    anyhow::ensure!(growth <= GROWTH_MAX, "memory grows: {growth:.3} times the first quarter, at most {GROWTH_MAX}");
    anyhow::ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    Ok(())
}

/// Has `callers` make `jobs` pictures together, by connections that end with it.
async fn load(hub: &HubProcess, jobs: usize, callers: usize, done: &AtomicUsize) -> anyhow::Result<()> {
    let target = hub.target(SIDE_PX)?;
    let (target, left) = (&target, &AtomicUsize::new(jobs));
    let each = (0..callers).map(|caller| async move {
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            target.make(caller, load::next_seed()).await?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    });
    try_join_all(each).await.map(drop)
}

/// Looks at the hub again and again while `work` goes on.
async fn sampled(
    hub: &HubProcess,
    done: &AtomicUsize,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut work = std::pin::pin!(work);
    loop {
        samples.push(Sample { jobs: done.load(Ordering::Relaxed), usage: hub.usage()? });
        if let Ok(ended) = tokio::time::timeout(LOOK, &mut work).await {
            return ended.map(|()| samples);
        }
    }
}

/// The hub once nothing is given back any more, or as little is left as there was before.
async fn settled(hub: &HubProcess, before: Option<Usage>) -> anyhow::Result<Usage> {
    let began = Instant::now();
    let (mut last, mut same) = (hub.usage()?, 0);
    // Longer than idle threads stay.
    let still = Duration::from_secs(15).as_millis() / LOOK.as_millis();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = hub.usage()?;
        same = if now.counts() == last.counts() { same + 1 } else { 0 };
        last = now;
        let enough = match before {
            Some(before) => left_behind(before, now).is_empty(),
            None => same >= still,
        };
        if enough || began.elapsed() > SETTLE_LIMIT {
            return Ok(now);
        }
    }
}

/// Prints the table; answers how many times the memory of the first quarter the last one takes.
fn quarters(samples: &[Sample], jobs: usize) -> anyhow::Result<f64> {
    println!("| jobs | memory MB, mean | highest | files | sockets | threads |");
    println!("|---|---|---|---|---|---|");
    let mut means = Vec::new();
    for quarter in 0..4 {
        let (from, to) = (jobs * quarter / 4, jobs * (quarter + 1) / 4);
        let of: Vec<Usage> =
            samples.iter().filter(|sample| (from..to).contains(&sample.jobs)).map(|sample| sample.usage).collect();
        anyhow::ensure!(!of.is_empty(), "too few jobs to look at the hub in each quarter");
        let mean = of.iter().map(|usage| usage.memory_mb).sum::<f64>() / of.len() as f64;
        let highest = |of_what: fn(&Usage) -> usize| of.iter().map(of_what).max().unwrap_or_default();
        let peak = of.iter().map(|usage| usage.memory_mb).fold(0.0, f64::max);
        println!(
            "| {from} to {to} | {mean:.1} | {peak:.1} | {} | {} | {} |",
            highest(|usage| usage.files),
            highest(|usage| usage.sockets),
            highest(|usage| usage.threads),
        );
        means.push(mean);
    }
    let growth = means.last().context("four quarters")? / means.first().context("four quarters")?;
    println!("memory of the last quarter: {growth:.3} times that of the first (aim: at most {GROWTH_MAX})");
    Ok(growth)
}

/// What is there beyond what was there before, in words.
fn left_behind(before: Usage, after: Usage) -> Vec<String> {
    let pairs = ["files", "sockets", "threads"].into_iter().zip(before.counts().into_iter().zip(after.counts()));
    pairs
        .filter(|(_, (before, after))| {
            let (before, after) = (i64::try_from(*before), i64::try_from(*after));
            matches!((before, after), (Ok(before), Ok(after)) if after - before > LEFT_MAX)
        })
        .map(|(what, (before, after))| format!("{after} {what} after, {before} before"))
        .collect()
}
