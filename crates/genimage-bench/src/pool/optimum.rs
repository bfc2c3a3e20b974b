//! The best that can be done with few jobs, by trying everything.

use super::scene::Scene;

/// The shortest makespan of a scene whose jobs all come at once: every job on every server. The order on a
/// server does not matter beyond one load for each model set.
pub(super) fn makespan(scene: &Scene) -> f64 {
    let mut chosen = vec![0; scene.jobs.len()];
    let mut best = f64::INFINITY;
    try_from(scene, 0, &mut chosen, &mut best);
    best
}

fn try_from(scene: &Scene, depth: usize, chosen: &mut Vec<usize>, best: &mut f64) {
    if depth == scene.jobs.len() {
        let ends = (0..scene.servers.len()).map(|server| end(scene, chosen, server));
        *best = best.min(ends.fold(0.0, f64::max));
        return;
    }
    for server in 0..scene.servers.len() {
        chosen[depth] = server;
        try_from(scene, depth + 1, chosen, best);
    }
}

fn end(scene: &Scene, chosen: &[usize], server: usize) -> f64 {
    let mut sets = Vec::new();
    let mut work = 0.0;
    for (job, _) in scene.jobs.iter().zip(chosen).filter(|(_, at)| **at == server) {
        work += job.run;
        if !job.kind.models.is_none() && !sets.contains(&job.kind.models) {
            sets.push(job.kind.models);
            work += scene.load;
        }
    }
    work / scene.servers[server].speed
}
