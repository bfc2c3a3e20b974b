//! The virtual pool: arrivals, servers that run one prompt after the other, and a policy in between.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use hub_schedule::ModelSet;

use super::{
    policy::{self, Name, Policy},
    scene::Scene,
};

/// What became of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Ran {
    pub(crate) server: usize,
    pub(crate) assigned: f64,
    pub(crate) began: f64,
    pub(crate) ended: f64,
    /// Its models were not resident.
    pub(crate) loaded: bool,
}

/// A scene that was played to its end.
#[derive(Debug)]
pub(crate) struct Played {
    /// By job.
    pub(crate) ran: Vec<Ran>,
    pub(crate) thinking: Vec<Duration>,
}

#[derive(Debug, Default)]
struct Machine {
    waiting: VecDeque<usize>,
    running: Option<usize>,
    resident: Option<ModelSet>,
}

/// A point in time that can stand in a heap.
#[derive(Debug, Clone, Copy, PartialEq)]
struct At(f64);

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Plays a scene under a policy.
pub(crate) fn play(scene: &Scene, name: Name) -> Played {
    play_with(scene, policy::of(name, scene).as_mut())
}

/// Plays a scene.
pub(crate) fn play_with(scene: &Scene, policy: &mut dyn Policy) -> Played {
    let mut pool = Pool {
        scene,
        machines: scene.servers.iter().map(|_| Machine::default()).collect(),
        ends: BinaryHeap::new(),
        ran: vec![Ran::default(); scene.jobs.len()],
    };
    let (mut next, mut wake, mut now) = (0, None::<f64>, 0.0_f64);
    let mut left = scene.jobs.len();
    while left > 0 {
        let arrival = scene.jobs.get(next).map(|job| job.arrives);
        let end = pool.ends.peek().map(|Reverse((At(at), _))| *at);
        let event = [arrival, end, wake].into_iter().flatten().reduce(f64::min);
        now = event.expect("a job that is left comes, ends or is decided on").max(now);
        while let Some(Reverse((At(at), server))) = pool.ends.peek().copied()
            && at <= now
        {
            pool.ends.pop();
            left -= 1;
            pool.end(server, now, policy);
        }
        let first = next;
        while scene.jobs.get(next).is_some_and(|job| job.arrives <= now) {
            next += 1;
        }
        if next > first {
            policy.arrive(&(first..next).collect::<Vec<_>>(), now);
        }
        loop {
            let (assigned, wake_at) = policy.decide(now);
            let nothing = assigned.is_empty();
            for (job, server) in assigned {
                pool.ran[job].assigned = now;
                pool.ran[job].server = server;
                pool.machines[server].waiting.push_back(job);
                pool.start(server, now, policy);
            }
            // A wake-up that changed nothing must not stop the clock.
            wake = wake_at.map(|at| if nothing { at.max(now + 1e-6) } else { at });
            if wake.is_none_or(|at| at > now) {
                break;
            }
        }
    }
    Played { ran: pool.ran, thinking: policy.thinking().to_vec() }
}

struct Pool<'s> {
    scene: &'s Scene,
    machines: Vec<Machine>,
    ends: BinaryHeap<Reverse<(At, usize)>>,
    ran: Vec<Ran>,
}

impl Pool<'_> {
    fn start(&mut self, server: usize, now: f64, policy: &mut dyn Policy) {
        let machine = &mut self.machines[server];
        if machine.running.is_some() {
            return;
        }
        let Some(job) = machine.waiting.pop_front() else { return };
        let models = self.scene.jobs[job].kind.models;
        let loaded = !models.is_none() && machine.resident != Some(models);
        if loaded {
            machine.resident = Some(models);
        }
        machine.running = Some(job);
        let time = self.scene.jobs[job].run + if loaded { self.scene.load } else { 0.0 };
        let ended = now + time / self.scene.servers[server].speed;
        self.ran[job] = Ran { began: now, ended, loaded, ..self.ran[job] };
        self.ends.push(Reverse((At(ended), server)));
        policy.began(job, now);
    }

    fn end(&mut self, server: usize, now: f64, policy: &mut dyn Policy) {
        if let Some(job) = self.machines[server].running.take() {
            policy.done(job, now);
            self.start(server, now, policy);
        }
    }
}
