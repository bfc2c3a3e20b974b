use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use hub_core::{caller::Caller, ids::WorkflowId, placement::Placement};
use uuid::Uuid;

use super::*;
use crate::eta::WEIGHED;
use crate::{Flight, FlightId, Kind, Ledger, ModelSet, Observation, Prompt, Ticket, WorkClass};

fn uuid(space: u64, number: usize) -> Uuid {
    Uuid::from_u128((u128::from(space) << 64) | number as u128)
}

fn server(number: usize) -> ServerId {
    ServerId::from_uuid(uuid(1, number))
}

fn job(number: usize) -> JobId {
    JobId::from_uuid(uuid(2, number))
}

/// Kind `number`; 0 has no models.
fn kind(number: u8) -> Kind {
    let class = WorkClass::new(WorkflowId::from_uuid(uuid(3, number.into())), None, None, 1);
    let mut digest = [0; 16];
    digest[0] = number;
    Kind::new(class, ModelSet::from_digest(digest))
}

fn ticket(number: usize, caller: &str, kind: Kind) -> Ticket {
    Ticket { job: job(number), caller: Caller::named(caller), priority: 0, kind }
}

fn queue_of(tickets: impl IntoIterator<Item = Ticket>) -> Queue {
    let mut queue = Queue::default();
    for ticket in tickets {
        queue.push(ticket, 0.0);
    }
    queue
}

fn prompt(expected: f64) -> Prompt {
    Prompt { expected, began: None, guessed: true }
}

/// Everything takes what it is said to, everywhere.
fn taught(kinds: &[Kind], servers: usize, run: f64, load: f64) -> Learned {
    let mut learned = Learned::default();
    for kind in kinds {
        for at in 0..servers {
            let (class, models, server) = (kind.class, kind.models, server(at));
            learned.observe(Observation { class, models, server, cold: false, seconds: run });
            if !models.is_none() {
                learned.observe(Observation { class, models, server, cold: true, seconds: run + load });
            }
        }
    }
    learned
}

fn servers_of(decision: &Decision) -> Vec<ServerId> {
    decision.assigned.iter().map(|assignment| assignment.server).collect()
}

fn only(queue: &mut Queue, places: &[Place]) -> Option<ServerId> {
    let decision = decide(queue, places, &Learned::default(), 0.0);
    decision.assigned.first().map(|assignment| assignment.server)
}

#[test]
fn simultaneous_jobs_spread_evenly_and_ties_rotate() {
    let mut places: Vec<Place> = (0..3).map(|at| Place::idle(server(at))).collect();
    let mut queue = queue_of((0..3).map(|at| ticket(at, "a", kind(0))));
    let decided = decide(&mut queue, &places, &Learned::default(), 0.0);
    assert_eq!(servers_of(&decided).into_iter().collect::<HashSet<_>>().len(), 3);
    // One job at a time on an idle pool goes round, instead of always to the first server.
    let mut seen = HashSet::new();
    for number in 3..6 {
        queue.push(ticket(number, "a", kind(0)), 0.0);
        let one = decide(&mut queue, &places, &Learned::default(), 0.0).assigned[0];
        places.iter_mut().filter(|place| place.server == one.server).for_each(|place| place.last_turn = one.turn);
        seen.insert(one.server);
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_weightier_server_and_one_without_foreign_work_go_first() {
    let mut places: Vec<Place> = (0..3).map(|at| Place { max_in_flight: 9, ..Place::idle(server(at)) }).collect();
    places[1].weight = 2.0;
    places[2].foreign = 5;
    let mut queue = queue_of((0..3).map(|at| ticket(at, "a", kind(0))));
    let decided = servers_of(&decide(&mut queue, &places, &Learned::default(), 0.0));
    assert_eq!(decided.iter().filter(|at| **at == server(1)).count(), 2);
    assert_eq!(decided.iter().filter(|at| **at == server(0)).count(), 1);
}

#[test]
fn excluded_lacking_and_unpinned_servers_get_nothing() {
    let full = vec![prompt(5.0), prompt(5.0)];
    let mut places = [Place::idle(server(0)), Place::idle(server(1))];
    let excluded = Kind { excluded: vec![server(0)], ..kind(0) };
    assert_eq!(only(&mut queue_of([ticket(0, "a", excluded.clone())]), &places), Some(server(1)));

    // The only one left is full: the job waits rather than going where it failed.
    places[1].prompts.clone_from(&full);
    let mut queue = queue_of([ticket(0, "a", excluded.clone())]);
    assert_eq!(only(&mut queue, &places), None);
    let comes = |_: &Placement| true;
    assert!(queue.hopeless(&places, comes).is_empty());
    let mut queue = queue_of([ticket(0, "a", Kind { excluded: vec![server(0), server(1)], ..excluded })]);
    assert_eq!(queue.hopeless(&places, comes), [job(0)]);
    assert!(queue.hopeless(&[], comes).is_empty());
    assert_eq!(only(&mut queue, &places), None);

    places[1].prompts.clear();
    let lacks = Arc::new(HashSet::from([kind(0).class.workflow]));
    places[0].lacks = lacks.clone();
    assert_eq!(only(&mut queue_of([ticket(0, "a", kind(0))]), &places), Some(server(1)));
    // Lacking everywhere: one is asked again, since files get installed.
    places[1].lacks = lacks;
    assert!(only(&mut queue_of([ticket(0, "a", kind(0))]), &places).is_some());

    places[1].group = Some("big".into());
    let pinned = |placement| queue_of([ticket(0, "a", Kind { placement, ..kind(0) })]);
    assert_eq!(only(&mut pinned(Placement::Group("big".to_owned())), &places), Some(server(1)));
    assert_eq!(only(&mut pinned(Placement::Group("small".to_owned())), &places), None);
    assert_eq!(only(&mut pinned(Placement::Server(server(0))), &places), Some(server(0)));
    places[0].takes_work = false;
    assert_eq!(only(&mut pinned(Placement::Server(server(0))), &places), None);
}

#[test]
fn a_barred_server_is_never_asked_whatever_else_there_is() {
    let mut places = [Place::idle(server(0)), Place::idle(server(1))];
    places[0].barred = Arc::new(HashSet::from([kind(0).class.workflow]));
    let comes = |_: &Placement| true;
    let jobs = || queue_of([ticket(0, "a", kind(0))]);
    assert_eq!(only(&mut jobs(), &places), Some(server(1)));
    assert!(jobs().hopeless(&places, comes).is_empty());
    assert_eq!(only(&mut queue_of([ticket(0, "a", kind(1))]), &places[..1]), Some(server(0)), "others are welcome");

    let excluded = || queue_of([ticket(0, "a", Kind { excluded: vec![server(1)], ..kind(0) })]);
    assert_eq!(only(&mut excluded(), &places), None);
    assert_eq!(excluded().hopeless(&places, comes), [job(0)]);
    let reasons = crate::reasons(&kind(0), &places, &Learned::default(), 0.0);
    assert_eq!(reasons[0], (server(0), crate::Reason::Barred));
}

#[test]
fn a_pin_to_what_is_gone_or_never_runs_it_is_hopeless() {
    let mut places = [Place { group: Some("big".into()), ..Place::idle(server(0)) }, Place::idle(server(1))];
    places[0].barred = Arc::new(HashSet::from([kind(0).class.workflow]));
    let hopeless = |placement: Placement, may_come: bool| {
        let queue = queue_of([ticket(0, "a", Kind { placement, ..kind(0) })]);
        !queue.hopeless(&places, |_: &Placement| may_come).is_empty()
    };
    assert!(hopeless(Placement::Server(server(0)), true), "the other server is none of its business");
    assert!(hopeless(Placement::Group("big".to_owned()), true));
    assert!(!hopeless(Placement::Server(server(1)), true));
    assert!(!hopeless(Placement::Server(server(9)), true), "it is switched off and may come back");
    assert!(hopeless(Placement::Server(server(9)), false), "it is gone");
    assert!(hopeless(Placement::Group("small".to_owned()), false));
    assert!(!hopeless(Placement::Anywhere, true));
}

#[test]
fn a_server_that_lost_the_job_before_is_the_last_choice() {
    let avoiding = || queue_of([ticket(0, "a", Kind { avoid: Some(server(0)), ..kind(0) })]);
    let mut places = [Place::idle(server(0)), Place { prompts: vec![prompt(5.0)], ..Place::idle(server(1)) }];
    assert_eq!(only(&mut avoiding(), &places), Some(server(1)));
    places[1].prompts = vec![prompt(300.0), prompt(300.0)];
    assert_eq!(only(&mut avoiding(), &places), Some(server(0)), "the other would take much longer");
    places[1] = Place { weight: 0.01, ..Place::idle(server(1)) };
    assert_eq!(only(&mut avoiding(), &places), Some(server(1)), "whatever the weights");
}

#[test]
fn the_load_decides_between_warm_and_busy_and_cold_and_idle() {
    for (load, busy, expected) in [(10.0, 5.0, 0), (2.0, 5.0, 1), (10.0, 30.0, 1)] {
        let learned = taught(&[kind(1)], 2, 1.0, load);
        let warm = Place {
            resident: Some(kind(1).models),
            prompts: vec![Prompt { guessed: true, ..prompt(busy) }],
            ..Place::idle(server(0))
        };
        let places = [warm, Place::idle(server(1))];
        let mut queue = queue_of([ticket(0, "a", kind(1))]);
        // Some time after it came: it is not held for others that may come with it.
        let decided = decide(&mut queue, &places, &learned, 9.0);
        assert_eq!(servers_of(&decided), [server(expected)], "load {load}, busy {busy}");
    }
}

#[test]
fn a_job_waits_for_a_full_place_where_it_ends_sooner_and_then_takes_what_there_is() {
    let learned = taught(&[kind(1)], 2, 1.0, 20.0);
    let full = Place {
        resident: Some(kind(1).models),
        prompts: vec![Prompt { guessed: false, ..prompt(2.0) }; 2],
        ..Place::idle(server(0))
    };
    let places = [full, Place::idle(server(1))];
    let mut queue = queue_of([ticket(0, "a", kind(1))]);
    assert_eq!(servers_of(&decide(&mut queue, &places, &learned, 9.0)), []);
    let limit = hold_limit(20.0, 1.0);
    assert_eq!(servers_of(&decide(&mut queue, &places, &learned, 8.9 + limit)), []);
    assert_eq!(servers_of(&decide(&mut queue, &places, &learned, 9.1 + limit)), [server(1)]);
}

#[test]
fn priority_counts_within_a_caller_only() {
    let mut urgent = ticket(1, "a", kind(0));
    urgent.priority = 5;
    let jobs = [ticket(0, "a", kind(0)), urgent, ticket(2, "b", kind(0)), ticket(3, "a", kind(0))];
    let queue = queue_of(jobs);
    let order: Vec<JobId> = queue.in_order(&Learned::default()).collect();
    assert_eq!(order, [job(1), job(2), job(0), job(3)]);
}

#[test]
fn an_idle_caller_hoards_no_credit_and_a_mistaken_estimate_is_put_right() {
    let place = [Place { max_in_flight: 1, ..Place::idle(server(0)) }];
    let learned = taught(&[kind(0)], 1, 10.0, 0.0);
    let mut queue = queue_of((0..20).map(|at| ticket(at, "busy", kind(0))));
    let serve = |queue: &mut Queue, cost: f64| {
        let assigned = decide(queue, &place, &learned, 0.0).assigned[0];
        let caller = if assigned.job < job(20) { "busy" } else { "late" };
        queue.settle(&Caller::named(caller), assigned.charge(), cost);
        caller
    };
    for _ in 0..10 {
        assert_eq!(serve(&mut queue, 10.0), "busy");
    }
    for at in 20..30 {
        queue.push(ticket(at, "late", kind(0)), 0.0);
    }
    let first_six: Vec<&str> = (0..6).map(|_| serve(&mut queue, 10.0)).collect();
    assert_eq!(first_six.iter().filter(|caller| **caller == "busy").count(), 3, "{first_six:?}");
    // A caller whose jobs cost a tenth of what was expected has ten turns for one.
    let costs = |caller: &str| if caller == "late" { 1.0 } else { 10.0 };
    let mut turns = Vec::new();
    for _ in 0..6 {
        let assigned = decide(&mut queue, &place, &learned, 0.0).assigned[0];
        let caller = if assigned.job < job(20) { "busy" } else { "late" };
        queue.settle(&Caller::named(caller), assigned.charge(), costs(caller));
        turns.push(caller);
    }
    assert!(turns.iter().filter(|caller| **caller == "late").count() >= 5, "{turns:?}");
}

#[test]
fn weights_share_the_time_in_proportion() {
    let mut queue = Queue::default();
    queue.set_weight(&Caller::named("triple"), 3.0);
    for at in 0..80 {
        queue.push(ticket(at, if at % 2 == 0 { "triple" } else { "single" }, kind(0)), 0.0);
    }
    let place = [Place { max_in_flight: 1, ..Place::idle(server(0)) }];
    let learned = taught(&[kind(0)], 1, 1.0, 0.0);
    let mut triple = 0;
    for _ in 0..40 {
        let assigned = decide(&mut queue, &place, &learned, 0.0).assigned[0];
        triple += usize::from(assigned.job.as_uuid().as_u128().is_multiple_of(2));
    }
    assert!((29..=31).contains(&triple), "{triple} of 40");
}

mod properties;

/// A long queue of many models against a large pool of which every server is idle: what it costs goes with the
/// jobs that get a place, not with the pool times the models.
#[test]
fn many_free_places_are_not_all_weighed_for_every_model() {
    const SERVERS: usize = 1000;
    let kinds: Vec<Kind> = (1..=50).map(kind).collect();
    let learned = taught(&kinds, SERVERS, 3.0, 10.0);
    let places: Vec<Place> = (0..SERVERS)
        .map(|at| Place { resident: Some(kinds[at % kinds.len()].models), ..Place::idle(server(at)) })
        .collect();
    let callers: Vec<String> = (0..100).map(|caller| format!("caller {caller}")).collect();
    let jobs = (0..10_000).map(|at| ticket(at, &callers[at % callers.len()], kinds[at * 7 % kinds.len()].clone()));
    let mut queue = queue_of(jobs);
    WEIGHED.set(0);
    let decided = decide(&mut queue, &places, &learned, 100.0);
    assert_eq!(decided.assigned.len(), ASSIGNED_MAX);
    assert!(decided.assigned.iter().all(|assignment| !assignment.cold));
    // Looking at all places once for each model would be 50 000.
    assert!(WEIGHED.get() < 10_000, "{} places were weighed", WEIGHED.get());
}
