//! The figures as a table.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::time::Duration;

use crate::{failover::FailoverFigures, hub::StartFigures, load::Load, queue::QueueFigures, swaps::SwapsFigures};

/// Figures of one scene.
pub(crate) struct Row {
    /// Run time on the server, in milliseconds.
    pub(crate) run_ms: u64,
    /// Callers at once.
    pub(crate) callers: usize,
    /// Without the hub.
    pub(crate) direct: Load,
    /// Through the hub.
    pub(crate) hub: Load,
    /// Processor time of the hub.
    pub(crate) cpu: Duration,
    /// Its largest resident memory, in MB.
    pub(crate) peak_mb: f64,
}

impl Row {
    fn cpu_per_job_ms(&self) -> f64 {
        self.cpu.as_secs_f64() * 1000.0 / self.hub.jobs().max(1) as f64
    }
}

/// Says that a scene is done.
pub(crate) fn line(row: &Row) {
    println!(
        "measured: {} ms runs, {} callers, {} + {} jobs",
        row.run_ms,
        row.callers,
        row.direct.jobs(),
        row.hub.jobs()
    );
}

/// All scenes.
pub(crate) fn table(rows: &[Row]) {
    println!();
    println!(
        "| run ms | callers | direct p50 ms | hub p50 ms | added p50 | added p99 | jobs/s direct | jobs/s hub | ratio | CPU ms/job | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let added = |share: f64| row.hub.percentile_ms(share) - row.direct.percentile_ms(share);
        println!(
            "| {} | {} | {:.1} | {:.1} | {:+.1} | {:+.1} | {:.1} | {:.1} | {:.2} | {:.2} | {:.0} |",
            row.run_ms,
            row.callers,
            row.direct.percentile_ms(0.5),
            row.hub.percentile_ms(0.5),
            added(0.5),
            added(0.99),
            row.direct.rate(),
            row.hub.rate(),
            row.hub.rate() / row.direct.rate(),
            row.cpu_per_job_ms(),
            row.peak_mb,
        );
    }
}

/// Start and idle.
pub(crate) fn start(figures: &StartFigures) {
    let best = figures.ready_ms.iter().copied().fold(f64::INFINITY, f64::min);
    let worst = figures.ready_ms.iter().copied().fold(0.0, f64::max);
    println!();
    println!("ready on an existing database: {best:.0} to {worst:.0} ms; idle: {:.1} MB resident", figures.idle_mb);
}

/// The burst.
pub(crate) fn burst(load: &Load) {
    println!("64 calls at once on one server: {} succeeded, slowest {:.0} ms", load.jobs(), load.percentile_ms(1.0));
}

/// Lost servers.
pub(crate) fn failover(figures: &FailoverFigures) {
    let FailoverFigures { killed, hung, limit_s } = figures;
    println!("a killed server's job runs elsewhere after {} s (aim: 3 s)", range(killed));
    println!(
        "a hung server's job runs elsewhere after {} s, with a limit of {limit_s} s (aim: limit + 2 s)",
        range(hung)
    );
}

/// The long queue.
pub(crate) fn queue(figures: &QueueFigures) {
    let mut sorted = figures.inserts_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the list")]
        let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    };
    let [before, after, peak] = figures.memory_mb;
    println!("{} jobs queued by POST /api/v1/jobs, one after the other", figures.jobs);
    println!("insert: p50 {:.2} ms (aim: 3 ms), p99 {:.2} ms, slowest {:.0} ms", at(0.5), at(0.99), at(1.0));
    println!(
        "memory of the hub: {before:.0} MB before, {after:.0} MB after, {peak:.0} MB at its highest (aim: 250 MB)"
    );
}

/// The scene of models.
pub(crate) fn swaps(figures: &SwapsFigures) {
    let SwapsFigures { makespan_s, loads, bound_s } = figures;
    println!("18 jobs of 3 models on 3 servers: {} s (bound {bound_s:.1} s, aim: 2.5 s)", range(makespan_s));
    println!("loads of models by round (aim: 3): {loads:?}");
}

/// `least to most`, with the median.
fn range(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(least), Some(median), Some(most)) => format!("{least:.2} to {most:.2} (median {median:.2})"),
        _ => "-".to_owned(),
    }
}
