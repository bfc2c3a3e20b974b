use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use hub_core::{
    caller::Caller,
    ids::{JobId, WorkflowId},
    placement::Placement,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{Flight, Ledger, ModelSet, Observation, Ticket, WorkClass, decide};

const RUN_S: Seconds = 5.0;

fn server(number: usize) -> ServerId {
    ServerId::from_uuid(Uuid::from_u128(1000 + number as u128))
}

/// Kind `number`; 0 has no models.
fn kind(number: u8) -> Kind {
    let class = WorkClass::new(WorkflowId::from_uuid(Uuid::from_u128(number.into())), None, None, 1);
    Kind::new(class, ModelSet::from_digest([number; 16]))
}

/// Every kind runs for [`RUN_S`] everywhere and loads for `load`.
fn taught(servers: usize, load: Seconds) -> Learned {
    let mut learned = Learned::default();
    for (number, at) in (0..4).flat_map(|number| (0..servers).map(move |at| (number, at))) {
        let Kind { class, models, .. } = kind(number);
        let warm = Observation { class, models, server: server(at), cold: false, seconds: RUN_S };
        learned.observe(warm);
        learned.observe(Observation { cold: true, seconds: RUN_S + load, ..warm });
    }
    learned
}

/// A pool with prompts on it.
struct Pool {
    learned: Learned,
    ledger: Ledger,
    places: Vec<Place>,
    /// Flight, server, kind.
    flights: Vec<(FlightId, usize, Kind)>,
}

impl Pool {
    fn new(servers: usize, load: Seconds) -> Self {
        let places = (0..servers).map(|at| Place::idle(server(at))).collect();
        Self { learned: taught(servers, load), ledger: Ledger::default(), places, flights: Vec::new() }
    }

    fn enter(&mut self, at: usize, kind: Kind, began: Option<Seconds>) -> FlightId {
        let flight = Flight {
            caller: Caller::local(),
            class: Some(kind.class),
            models: kind.models,
            expected: RUN_S,
            charged: RUN_S,
            cold: false,
            guessed: false,
        };
        let id = self.ledger.enter(server(at), 0, flight, None);
        if let Some(began) = began {
            self.ledger.began(id, began, true);
        }
        self.flights.push((id, at, kind));
        id
    }

    fn look(&self) -> Vec<Place> {
        let known = |place: &Place| Place {
            prompts: self.ledger.prompts(place.server, &self.learned),
            resident: self.ledger.resident(place.server, 0),
            ..place.clone()
        };
        self.places.iter().map(known).collect()
    }

    fn take_back(&self, queue: &Queue, now: Seconds) -> Vec<TakeBack> {
        let staged: Vec<Staged<'_>> = (0..self.places.len())
            .flat_map(|place| self.ledger.waiting(server(place)).map(move |(flight, prompt)| (place, flight, prompt)))
            .filter_map(|(place, flight, prompt)| {
                let (_, _, kind) = self.flights.iter().find(|(id, ..)| *id == flight)?;
                Some(Staged { flight, place, prompt, kind })
            })
            .collect();
        take_back(&staged, queue, &self.look(), &self.learned, now)
    }
}

fn ticket(number: u128, kind: Kind) -> Ticket {
    Ticket { job: JobId::from_uuid(Uuid::from_u128(number)), caller: Caller::local(), priority: 0, kind }
}

#[test]
fn a_job_behind_a_late_run_is_taken_back_for_an_idle_server_and_not_before_it_is_late() {
    let mut pool = Pool::new(2, 0.0);
    pool.enter(0, kind(1), Some(0.0));
    let staged = pool.enter(0, kind(1), None);
    let nobody = Queue::default();
    for on_time in [3.0, 4.9, 5.0, 6.5] {
        assert_eq!(pool.take_back(&nobody, on_time), [], "at {on_time}");
    }
    assert_eq!(pool.take_back(&nobody, 7.5), [TakeBack { flight: staged, to: server(1) }]);
    assert_eq!(pool.take_back(&nobody, 500.0), [TakeBack { flight: staged, to: server(1) }]);
}

#[test]
fn a_load_elsewhere_must_be_worth_it() {
    let mut pool = Pool::new(2, 30.0);
    pool.enter(0, kind(1), Some(0.0));
    pool.enter(0, kind(1), None);
    // The run that is late had its models to load too.
    assert_eq!(pool.take_back(&Queue::default(), 60.0), []);
    assert_eq!(pool.take_back(&Queue::default(), 80.0).len(), 1);
    // Of the weights it is as of the times.
    pool.places[1].weight = 0.1;
    assert_eq!(pool.take_back(&Queue::default(), 80.0), []);
}

#[test]
fn only_servers_that_may_have_the_job_and_are_idle_count() {
    let mut pool = Pool::new(2, 0.0);
    pool.enter(0, kind(1), Some(0.0));
    pool.enter(0, kind(1), None);
    let queue = Queue::default();
    let none = |pool: &Pool, why: &str| assert_eq!(pool.take_back(&queue, 60.0), [], "{why}");
    let workflows = || Arc::new(HashSet::from([kind(1).class.workflow]));
    let idle = pool.places[1].clone();
    pool.places[1].foreign = 1;
    none(&pool, "somebody else's prompt is there");
    pool.places[1] = Place { takes_work: false, ..idle.clone() };
    none(&pool, "it takes no work");
    pool.places[1] = Place { lacks: workflows(), ..idle.clone() };
    none(&pool, "it lacks the models");
    pool.places[1] = Place { barred: workflows(), ..idle.clone() };
    none(&pool, "it is not used for it");
    pool.places[1] = idle;
    for (why, kind) in [
        ("excluded", Kind { excluded: vec![server(1)], ..kind(1) }),
        ("lost there before", Kind { avoid: Some(server(1)), ..kind(1) }),
        ("pinned", Kind { placement: Placement::Server(server(0)), ..kind(1) }),
    ] {
        pool.flights[1].2 = kind;
        none(&pool, why);
    }
    pool.flights[1].2 = kind(1);
    assert_eq!(pool.take_back(&queue, 60.0).len(), 1);
}

#[test]
fn those_that_wait_go_first() {
    let mut pool = Pool::new(2, 0.0);
    pool.enter(0, kind(1), Some(0.0));
    pool.enter(0, kind(1), None);
    let mut queue = Queue::default();
    queue.push(ticket(1, Kind { placement: Placement::Server(server(0)), ..kind(1) }), 0.0);
    assert_eq!(pool.take_back(&queue, 60.0).len(), 1, "it waits for the other server");
    queue.push(ticket(2, kind(1)), 0.0);
    assert_eq!(pool.take_back(&queue, 60.0), []);
}

#[test]
fn behind_somebody_elses_run_it_is_the_same() {
    let mut pool = Pool::new(2, 0.0);
    pool.places[0].foreign = 1;
    let staged = pool.enter(0, kind(1), None);
    assert_eq!(pool.take_back(&Queue::default(), 1.0), [TakeBack { flight: staged, to: server(1) }]);
}

/// Per server: whether it takes work, foreign prompts, when its first prompt began, kinds of its prompts.
type Server = (bool, u32, Option<f64>, Vec<(u8, Option<usize>)>);

fn servers() -> impl Strategy<Value = Vec<Server>> {
    let prompts = prop::collection::vec((0_u8..4, prop::option::weighted(0.2, 0_usize..4)), 0..4);
    let began = prop::option::weighted(0.8, 0.0_f64..60.0);
    let foreign = prop::sample::select(vec![0_u32, 0, 0, 2]);
    prop::collection::vec((prop::bool::weighted(0.8), foreign, began, prompts), 2..6)
}

proptest! {
    /// What is taken back had not begun, goes to an idle server of its own that may have it, and does not come
    /// back to where it was.
    #[test]
    fn what_is_taken_back_runs_elsewhere(servers in servers(), load in prop::sample::select(vec![0.0, 2.0, 20.0])) {
        const NOW: Seconds = 60.0;
        let mut pool = Pool::new(servers.len(), load);
        for (at, (takes_work, foreign, began, prompts)) in servers.iter().enumerate() {
            (pool.places[at].takes_work, pool.places[at].foreign) = (*takes_work, *foreign);
            for (turn, (number, excluded)) in prompts.iter().enumerate() {
                let kind = Kind { excluded: excluded.iter().map(|at| server(*at)).collect(), ..kind(*number) };
                pool.enter(at, kind, began.filter(|_| turn == 0));
            }
        }
        let places = pool.look();
        let taken = pool.take_back(&Queue::default(), NOW);
        prop_assert_eq!(taken.iter().map(|taken| taken.to).collect::<BTreeSet<_>>().len(), taken.len());
        let mut queue = Queue::default();
        let mut sources = Vec::new();
        for (number, TakeBack { flight, to }) in taken.iter().enumerate() {
            let (_, from, kind) = pool.flights.iter().find(|(id, ..)| id == flight).unwrap().clone();
            let prompts = &places[from].prompts;
            let at = pool.ledger.waiting(server(from)).find(|(id, _)| id == flight).unwrap().1;
            prop_assert!(prompts[at].began.is_none());
            prop_assert!(prompts.len() > 1 || places[from].foreign > 0, "nothing is before it");
            let target = places.iter().find(|place| place.server == *to).unwrap();
            prop_assert!(target.takes_work && target.prompts.is_empty() && target.foreign == 0);
            prop_assert!(!kind.excluded.contains(to));
            prop_assert!(!sources.contains(&from));
            sources.push(from);
            queue.push(ticket(number as u128, Kind { avoid: Some(server(from)), ..kind }), NOW);
        }
        for TakeBack { flight, .. } in &taken {
            pool.ledger.over(*flight, NOW, false);
        }
        for assignment in decide(&mut queue, &pool.look(), &pool.learned, NOW + 10.0).assigned {
            let number = usize::try_from(assignment.job.as_uuid().as_u128()).unwrap();
            prop_assert_ne!(assignment.server, server(sources[number]));
        }
    }

    /// As long as runs end when they are expected to, staging is left alone.
    #[test]
    fn what_was_staged_in_time_stays(ahead in 0.0_f64..STAGE_AHEAD_S, number in 0_u8..4, others in 1_usize..4) {
        let mut pool = Pool::new(1 + others, 1.0);
        pool.enter(0, kind(number), Some(0.0));
        pool.enter(0, kind(number), None);
        let ends = pool.look()[0].prompts[0].expected;
        prop_assert_eq!(pool.take_back(&Queue::default(), ends - ahead), []);
    }
}
