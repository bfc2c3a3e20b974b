//! The pool's figures as a table.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use super::{measure::Figures, pace::Pace, policy::Name, scene::Scene};

/// The head of the table.
pub(crate) fn head() {
    println!(
        "| pool | servers | jobs | policy | makespan s | ÷ bound | swaps | ÷ least | fairness | worst wait s | decision p50 µs | p99 µs |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
}

/// One scene under one policy.
pub(crate) fn row(scene: &Scene, policy: Name, figures: &Figures) {
    let swaps = if figures.swaps_min == 0 { 1.0 } else { figures.swaps as f64 / figures.swaps_min as f64 };
    println!(
        "| {} | {} | {} | {} | {:.2} | {:.3} | {} | {:.2} | {:.3} | {:.1} | {} | {} |",
        scene.name,
        scene.servers.len(),
        scene.jobs.len(),
        policy.as_str(),
        figures.makespan,
        figures.stretch(),
        figures.swaps,
        swaps,
        figures.fairness,
        figures.worst_wait,
        figures.decision_p50.as_micros(),
        figures.decision_p99.as_micros(),
    );
}

/// What the columns mean.
pub(crate) fn foot() {
    println!();
    println!("÷ bound: against all work and one load per model set, shared without a gap. ÷ least: against one load");
    println!("per model set or server used. fairness: Jain's index of the callers' mean slowdowns. Times are virtual,");
    println!("but for the decisions'.");
}

/// What one decision takes when the pool is busy and the queue is long.
pub(crate) fn pace(pace: &Pace) {
    println!();
    println!(
        "{} come free at once of {} servers, {} jobs queued: decided in {} µs p50, {} µs p99; a job queued in {:.1} µs",
        pace.free,
        pace.servers,
        pace.jobs,
        pace.p50.as_micros(),
        pace.p99.as_micros(),
        pace.push.as_secs_f64() * 1e6,
    );
}
