//! What a played scene comes to, as ratios to what cannot be beaten.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use super::{scene::Scene, sim::Played};

/// The figures of one scene under one policy.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) makespan: f64,
    /// No order and no placement ends sooner.
    pub(crate) bound: f64,
    pub(crate) swaps: usize,
    pub(crate) swaps_min: usize,
    /// Jain's index of the callers' mean slowdown: 1 is even.
    pub(crate) fairness: f64,
    pub(crate) worst_wait: f64,
    pub(crate) decision_p50: Duration,
    pub(crate) decision_p99: Duration,
}

impl Figures {
    /// Makespan against its bound.
    pub(crate) fn stretch(&self) -> f64 {
        self.makespan / self.bound
    }
}

/// Measures a played scene.
pub(crate) fn measure(scene: &Scene, played: &Played) -> Figures {
    let makespan = played.ran.iter().map(|ran| ran.ended).fold(0.0, f64::max);
    let swaps = played.ran.iter().filter(|ran| ran.loaded).count();
    let models: BTreeSet<_> = scene.jobs.iter().map(|job| job.kind.models).filter(|set| !set.is_none()).collect();
    let used: BTreeSet<usize> = played.ran.iter().map(|ran| ran.server).collect();
    let swaps_min = if models.is_empty() { 0 } else { models.len().max(used.len()) };
    let worst_wait = scene.jobs.iter().zip(&played.ran).map(|(job, ran)| ran.began - job.arrives).fold(0.0, f64::max);
    let mut thinking = played.thinking.clone();
    thinking.sort_unstable();
    Figures {
        makespan,
        bound: bound(scene, models.len()),
        swaps,
        swaps_min,
        fairness: jain(&slowdowns(scene, played)),
        worst_wait,
        decision_p50: thinking.get(thinking.len() / 2).copied().unwrap_or_default(),
        decision_p99: thinking.get(thinking.len() * 99 / 100).copied().unwrap_or_default(),
    }
}

/// The work that must be done after each arrival, shared by all servers without a gap, with one load per model
/// set; and no job is done before its own run on the quickest server.
fn bound(scene: &Scene, models: usize) -> f64 {
    let capacity: f64 = scene.servers.iter().map(|server| server.speed).sum();
    let quickest = scene.servers.iter().map(|server| server.speed).fold(0.0, f64::max);
    let loads = models as f64 * scene.load;
    let mut bound = 0.0_f64;
    let mut work: f64 = scene.jobs.iter().map(|job| job.run).sum();
    let mut first = true;
    let mut before = f64::NEG_INFINITY;
    for job in &scene.jobs {
        if job.arrives > before {
            // Loads may have been done before the later ones came.
            bound = bound.max(job.arrives + (work + if first { loads } else { 0.0 }) / capacity);
            first = false;
            before = job.arrives;
        }
        bound = bound.max(job.arrives + job.run / quickest);
        work -= job.run;
    }
    bound
}

/// Mean of (time from arrival to end) by caller, per run.
fn slowdowns(scene: &Scene, played: &Played) -> Vec<f64> {
    let mut by_caller: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (job, ran) in scene.jobs.iter().zip(&played.ran) {
        let sum = by_caller.entry(job.caller.as_str()).or_default();
        sum.0 += (ran.ended - job.arrives) / job.run;
        sum.1 += 1.0;
    }
    by_caller.into_values().map(|(sum, count)| sum / count).collect()
}

fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    if squares > 0.0 { sum * sum / (values.len() as f64 * squares) } else { 1.0 }
}
