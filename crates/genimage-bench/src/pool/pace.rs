//! How long one decision takes when the pool is busy and the queue is long.

use std::time::{Duration, Instant};

use hub_core::{caller::Caller, ids::JobId};
use hub_schedule::{Kind, Learned, Observation, Place, Prompt, Queue, Ticket, decide};

use super::scene::{self, Dice, Job};

/// Decisions that are timed.
const ROUNDS: usize = 500;
/// Models and callers in the queue.
const MODELS: usize = 50;
const CALLERS: usize = 100;

/// The figures.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) servers: usize,
    pub(crate) jobs: usize,
    /// Places that come free at once.
    pub(crate) free: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// One job into the queue.
    pub(crate) push: Duration,
}

/// All places are full but some, which come free at once: who gets them? Whoever gets one, another comes.
pub(crate) fn measure(servers: usize, jobs: usize, free: usize) -> Pace {
    let pool = scene::servers(&vec![1.0; servers]);
    let kinds: Vec<Kind> = (1..=MODELS).map(scene::kind).collect();
    let mut learned = Learned::default();
    for Kind { class, models, .. } in &kinds {
        for server in &pool {
            let run = Observation { class: *class, models: *models, server: server.id, cold: false, seconds: 3.0 };
            learned.observe(run);
            learned.observe(Observation { cold: true, seconds: 13.0, ..run });
        }
    }
    let mut dice = Dice::new(1);
    let list =
        (0..jobs).map(|at| (Caller::named(&format!("{}", at % CALLERS)), kinds[dice.below(MODELS)].clone(), 3.0, 0.0));
    let list = scene::jobs(list.collect::<Vec<_>>());
    let mut queue = Queue::default();
    let begun = Instant::now();
    for Job { id, caller, kind, .. } in &list {
        queue.push(Ticket { job: *id, caller: caller.clone(), priority: 0, kind: kind.clone() }, 0.0);
    }
    let push = begun.elapsed() / u32::try_from(jobs).unwrap_or(u32::MAX);
    let mut next = list.len() / 2;
    let running = Prompt { expected: 3.0, began: Some(98.5), guessed: false };
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS.min(jobs / 2) {
        let first = round * 37;
        let place = |(at, server): (usize, &scene::Server)| {
            let staged = Prompt { began: None, ..running };
            let free = (at * 7 + servers * 37 - first % servers) % servers < free;
            Place {
                prompts: if free { vec![running] } else { vec![running, staged] },
                resident: Some(kinds[at % MODELS].models),
                ..Place::idle(server.id)
            }
        };
        let places: Vec<Place> = pool.iter().enumerate().map(place).collect();
        let begun = Instant::now();
        let decision = decide(&mut queue, &places, &learned, 100.0);
        times.push(begun.elapsed());
        assert!(!decision.assigned.is_empty(), "what is free is taken");
        for _ in &decision.assigned {
            let Job { caller, kind, .. } = &list[next % list.len()];
            queue.push(Ticket { job: JobId::new(), caller: caller.clone(), priority: 0, kind: kind.clone() }, 0.0);
            next += 1;
        }
    }
    times.sort_unstable();
    Pace { servers, jobs, free, p50: times[times.len() / 2], p99: times[times.len() * 99 / 100], push }
}
