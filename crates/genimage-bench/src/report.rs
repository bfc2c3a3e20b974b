//! The figures as a table.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::time::Duration;

use crate::{hub::StartFigures, load::Load};

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
