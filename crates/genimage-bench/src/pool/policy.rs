//! Who decides: the hub's scheduler, and three simpler ones to hold it against.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hub_core::ids::ServerId;
use hub_schedule::{Flight, FlightId, Learned, Ledger, Place, Queue, Ticket, decide};

use super::scene::{Job, Scene};
#[cfg(test)]
use hub_schedule::Observation;

/// A policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// The hub's.
    Hub,
    /// Each job, when it comes, to the server with the fewest.
    LeastBusy,
    /// Each job, when it comes, to the next server.
    RoundRobin,
    /// The older system's: each job to the server whose queue is shortest when it is asked; nothing is
    /// reserved, so what comes together sees the same queues; the first of equal ones wins.
    ShortestSeen,
}

impl Name {
    pub(crate) const ALL: [Self; 4] = [Self::Hub, Self::LeastBusy, Self::RoundRobin, Self::ShortestSeen];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::LeastBusy => "least busy",
            Self::RoundRobin => "round robin",
            Self::ShortestSeen => "older system",
        }
    }
}

/// What a policy hears and says. Jobs and servers are told by their index in the scene.
pub(crate) trait Policy {
    /// These jobs came.
    fn arrive(&mut self, jobs: &[usize], now: f64);
    /// A server began a job.
    fn began(&mut self, job: usize, now: f64);
    /// A server is done with a job.
    fn done(&mut self, job: usize, now: f64);
    /// Who goes where now, as (job, server), and when to ask again although nothing happens.
    fn decide(&mut self, now: f64) -> (Vec<(usize, usize)>, Option<f64>);
    /// What the decisions took.
    fn thinking(&self) -> &[Duration] {
        &[]
    }
}

/// The policy for a scene.
pub(crate) fn of(name: Name, scene: &Scene) -> Box<dyn Policy + '_> {
    match name {
        Name::Hub => Box::new(Hub::new(scene)),
        Name::LeastBusy | Name::RoundRobin | Name::ShortestSeen => Box::new(Pushing::new(name, scene)),
    }
}

/// The hub's scheduler, used as the hub uses it.
pub(crate) struct Hub<'s> {
    scene: &'s Scene,
    queue: Queue,
    pub(crate) learned: Learned,
    ledger: Ledger,
    flights: HashMap<usize, FlightId>,
    by_id: HashMap<hub_core::ids::JobId, usize>,
    at: HashMap<ServerId, usize>,
    thinking: Vec<Duration>,
}

impl<'s> Hub<'s> {
    pub(crate) fn new(scene: &'s Scene) -> Self {
        Self {
            scene,
            queue: Queue::default(),
            learned: Learned::default(),
            ledger: Ledger::default(),
            flights: HashMap::new(),
            by_id: scene.jobs.iter().enumerate().map(|(at, job)| (job.id, at)).collect(),
            at: scene.servers.iter().enumerate().map(|(at, server)| (server.id, at)).collect(),
            thinking: Vec::new(),
        }
    }

    /// Tells the scheduler beforehand what everything takes.
    #[cfg(test)]
    pub(crate) fn teach(&mut self) {
        for server in &self.scene.servers {
            for job in &self.scene.jobs {
                let (class, models) = (job.kind.class, job.kind.models);
                let run =
                    Observation { class, models, server: server.id, cold: false, seconds: job.run / server.speed };
                let load = self.scene.load / server.speed;
                self.learned.observe(run);
                if !models.is_none() {
                    self.learned.observe(Observation { cold: true, seconds: run.seconds + load, ..run });
                }
            }
        }
    }

    fn places(&self) -> Vec<Place> {
        let place = |id: ServerId| Place {
            max_in_flight: self.scene.max_in_flight,
            prompts: self.ledger.prompts(id, &self.learned),
            resident: self.ledger.resident(id, 0),
            last_turn: self.ledger.last_turn(id),
            ..Place::idle(id)
        };
        self.scene.servers.iter().map(|server| place(server.id)).collect()
    }
}

impl Policy for Hub<'_> {
    fn arrive(&mut self, jobs: &[usize], now: f64) {
        for &at in jobs {
            let Job { id, caller, kind, .. } = &self.scene.jobs[at];
            let ticket = Ticket { job: *id, caller: caller.clone(), priority: 0, kind: kind.clone() };
            self.queue.push(ticket, now);
        }
    }

    fn began(&mut self, job: usize, now: f64) {
        self.ledger.began(self.flights[&job], now, true);
    }

    fn done(&mut self, job: usize, now: f64) {
        let Some(landing) = self.ledger.over(self.flights[&job], now, true) else { return };
        self.queue.settle(&landing.caller, landing.charged, landing.cost);
        if let Some(seen) = landing.seen {
            self.learned.observe(seen);
        }
    }

    fn decide(&mut self, now: f64) -> (Vec<(usize, usize)>, Option<f64>) {
        let places = self.places();
        let begun = Instant::now();
        let decision = decide(&mut self.queue, &places, &self.learned, now);
        self.thinking.push(begun.elapsed());
        let mut assigned = Vec::with_capacity(decision.assigned.len());
        for assignment in &decision.assigned {
            let at = self.by_id[&assignment.job];
            let Job { caller, kind, .. } = &self.scene.jobs[at];
            let flight = Flight::of(assignment, caller.clone(), kind.class, kind.models);
            let id = self.ledger.enter(assignment.server, 0, flight, Some(assignment.turn));
            self.flights.insert(at, id);
            assigned.push((at, self.at[&assignment.server]));
        }
        (assigned, decision.wake_at)
    }

    fn thinking(&self) -> &[Duration] {
        &self.thinking
    }
}

/// Policies that hand every job to a server as it comes.
struct Pushing {
    name: Name,
    on: Vec<usize>,
    of_job: Vec<usize>,
    next: usize,
    came: Vec<usize>,
}

impl Pushing {
    fn new(name: Name, scene: &Scene) -> Self {
        Self { name, on: vec![0; scene.servers.len()], of_job: vec![0; scene.jobs.len()], next: 0, came: Vec::new() }
    }
}

impl Policy for Pushing {
    fn arrive(&mut self, jobs: &[usize], _now: f64) {
        self.came.extend_from_slice(jobs);
    }

    fn began(&mut self, _job: usize, _now: f64) {}

    fn done(&mut self, job: usize, _now: f64) {
        self.on[self.of_job[job]] -= 1;
    }

    fn decide(&mut self, _now: f64) -> (Vec<(usize, usize)>, Option<f64>) {
        let seen = self.on.clone();
        let mut assigned = Vec::new();
        for job in std::mem::take(&mut self.came) {
            let counts = if self.name == Name::ShortestSeen { &seen } else { &self.on };
            let shortest = counts.iter().enumerate().min_by_key(|(_, count)| **count).map_or(0, |(at, _)| at);
            let server = if self.name == Name::RoundRobin { self.next % self.on.len() } else { shortest };
            self.next += 1;
            self.on[server] += 1;
            self.of_job[job] = server;
            assigned.push((job, server));
        }
        (assigned, None)
    }
}
