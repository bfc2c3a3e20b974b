use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use hub_core::{caller::Caller, ids::WorkflowId, placement::Placement};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
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

/// A random pool and random jobs, played step by step in virtual time.
#[derive(Debug, Clone)]
struct Play {
    servers: Vec<(u32, f64, bool)>,
    jobs: Vec<PlayJob>,
    load: f64,
}

fn plays() -> impl Strategy<Value = Play> {
    let servers = prop::collection::vec((1_u32..4, prop::sample::select(vec![0.5, 1.0, 2.0]), any::<bool>()), 1..5);
    let at = || prop::option::weighted(0.15, 0_usize..4);
    let jobs = prop::collection::vec((0_u8..4, 0_u8..4, at(), at(), 0.0_f64..20.0), 1..60);
    (servers, jobs, prop::sample::select(vec![0.0, 1.0, 8.0])).prop_map(|(servers, mut jobs, load)| {
        jobs.sort_by(|a, b| a.4.total_cmp(&b.4));
        Play { servers, jobs, load }
    })
}

/// Caller, kind, excluded server, pinned server, arrival.
type PlayJob = (u8, u8, Option<usize>, Option<usize>, f64);

struct Flown {
    assigned: Vec<(usize, usize, f64)>,
    /// By job: when a place first had room for it and it was not taken.
    first_room: HashMap<usize, f64>,
}

fn kind_of(play: &Play, number: usize) -> Kind {
    let (_, of, excluded, pinned, _) = play.jobs[number];
    let placement = pinned.map_or(Placement::Anywhere, |at| Placement::Server(server(at)));
    Kind { excluded: excluded.map(server).into_iter().collect(), placement, ..kind(of) }
}

/// Runs of 1 s, loads as said; each server runs one after the other.
fn fly(play: &Play) -> Flown {
    let (mut queue, mut ledger, mut learned) = (Queue::default(), Ledger::default(), Learned::default());
    let mut flown = Flown { assigned: Vec::new(), first_room: HashMap::new() };
    let mut on: Vec<Vec<(usize, FlightId)>> = vec![Vec::new(); play.servers.len()];
    let (mut ends, mut loaded): (Vec<Option<f64>>, Vec<u8>) =
        (vec![None; play.servers.len()], vec![0; play.servers.len()]);
    let (mut next, mut now) = (0, 0.0_f64);
    for _ in 0..2000 {
        for at in 0..on.len() {
            if ends[at].is_some_and(|end| end <= now) {
                let (_, id) = on[at].remove(0);
                ends[at] = None;
                let landing = ledger.over(id, now, true).unwrap();
                queue.settle(&landing.caller, landing.charged, landing.cost);
                landing.seen.into_iter().for_each(|seen| learned.observe(seen));
            }
        }
        while play.jobs.get(next).is_some_and(|job| job.4 <= now) {
            queue.push(ticket(next, &play.jobs[next].0.to_string(), kind_of(play, next)), now);
            next += 1;
        }
        let places: Vec<Place> = (0..play.servers.len())
            .map(|at| Place {
                max_in_flight: play.servers[at].0,
                takes_work: play.servers[at].2,
                prompts: ledger.prompts(server(at), &learned),
                resident: ledger.resident(server(at), 0),
                last_turn: ledger.last_turn(server(at)),
                ..Place::idle(server(at))
            })
            .collect();
        let decision = decide(&mut queue, &places, &learned, now);
        for assignment in &decision.assigned {
            let number = usize::try_from(assignment.job.as_uuid().as_u128() & 0xffff_ffff).unwrap();
            let at = (0..on.len()).find(|at| server(*at) == assignment.server).unwrap();
            let kind = kind_of(play, number);
            let caller = Caller::named(&play.jobs[number].0.to_string());
            let flight = Flight::of(assignment, caller, kind.class, kind.models);
            on[at].push((number, ledger.enter(assignment.server, 0, flight, Some(assignment.turn))));
            flown.assigned.push((number, at, now));
        }
        for (job, held) in queue.passed_over() {
            let number = usize::try_from(job.as_uuid().as_u128() & 0xffff_ffff).unwrap();
            flown.first_room.entry(number).or_insert(held.since);
        }
        for at in 0..on.len() {
            if let (None, Some((number, id))) = (ends[at], on[at].first()) {
                let of = play.jobs[*number].1;
                let load = if of != 0 && loaded[at] != of { play.load } else { 0.0 };
                if of != 0 {
                    loaded[at] = of;
                }
                ledger.began(*id, now, true);
                ends[at] = Some(now + (1.0 + load) / play.servers[at].1);
            }
        }
        let events = ends.iter().flatten().copied().chain(play.jobs.get(next).map(|job| job.4));
        let events = events.chain(decision.wake_at.map(|at| at.max(now + 1e-3)));
        let Some(event) = events.reduce(f64::min) else { break };
        now = event;
    }
    flown
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_runs_once_where_it_may_and_no_server_is_overfilled(play in plays()) {
        let flown = fly(&play);
        let mut seen = HashSet::new();
        for (number, at, _) in &flown.assigned {
            let (_, _, excluded, pinned, _) = play.jobs[*number];
            prop_assert!(seen.insert(*number), "job {} twice", number);
            prop_assert!(play.servers[*at].2, "a server that takes no work got job {}", number);
            prop_assert!(excluded != Some(*at));
            prop_assert!(pinned.is_none_or(|pinned| pinned == *at));
        }
        for (number, (_, _, excluded, pinned, _)) in play.jobs.iter().enumerate() {
            let may = |at: usize| play.servers[at].2 && *excluded != Some(at) && pinned.is_none_or(|pinned| pinned == at);
            let possible = (0..play.servers.len()).any(may);
            prop_assert_eq!(seen.contains(&number), possible, "job {}", number);
        }
    }

    #[test]
    fn nobody_is_held_for_longer_than_the_limit(play in plays()) {
        let flown = fly(&play);
        let slowest = 1.0 / play.servers.iter().map(|server| server.1).fold(f64::INFINITY, f64::min);
        // Loads and runs as they were expected at worst: at first by default, then as seen.
        let limit = hold_limit((play.load * slowest).max(5.0), slowest.max(5.0));
        // Others may be due before it, and a place must come free.
        let due_before = flown.first_room.len() as f64 * (play.load + 1.0) * slowest;
        for (number, _, at) in &flown.assigned {
            if let Some(since) = flown.first_room.get(number) {
                prop_assert!(at - since <= limit + due_before, "job {} was held from {} to {}", number, since, at);
            }
        }
    }

    #[test]
    fn the_same_play_goes_the_same_way(play in plays()) {
        prop_assert_eq!(fly(&play).assigned, fly(&play).assigned);
    }

    #[test]
    fn no_place_gets_more_than_it_may_have_and_room_is_used(
        jobs in 0_usize..40,
        rooms in prop::collection::vec((0_u32..4, 0_usize..4, any::<bool>()), 0..6),
    ) {
        let places: Vec<Place> = rooms
            .iter()
            .enumerate()
            .map(|(at, &(max, had, takes_work))| Place {
                max_in_flight: max,
                prompts: vec![prompt(5.0); had.min(max as usize)],
                takes_work,
                ..Place::idle(server(at))
            })
            .collect();
        let room: usize =
            places.iter().filter(|p| p.takes_work).map(|p| p.max_in_flight as usize - p.prompts.len()).sum();
        let mut queue = queue_of((0..jobs).map(|at| ticket(at, if at % 3 == 0 { "a" } else { "b" }, kind(0))));
        let decided = decide(&mut queue, &places, &Learned::default(), 0.0).assigned;
        let mut got: BTreeMap<ServerId, usize> = BTreeMap::new();
        for assignment in &decided {
            *got.entry(assignment.server).or_default() += 1;
        }
        for place in &places {
            let got = got.get(&place.server).copied().unwrap_or_default();
            prop_assert!(got + place.prompts.len() <= place.max_in_flight as usize);
        }
        prop_assert!(decided.len() <= jobs.min(room));
        let idle = places.iter().any(|place| place.takes_work && place.max_in_flight > 0 && place.prompts.is_empty());
        prop_assert!(!decided.is_empty() || !idle || jobs == 0, "somebody is served while a place is idle");
        prop_assert_eq!(queue.len(), jobs - decided.len());
    }

    #[test]
    fn two_busy_callers_get_equal_time_whatever_their_jobs_take(long in 2_u8..9) {
        let (short, long_run) = (kind(0), f64::from(long));
        let mut lengthy = kind(0);
        lengthy.class.scale = 6;
        let mut learned = taught(std::slice::from_ref(&short), 1, 1.0, 0.0);
        let Kind { class, models, .. } = lengthy.clone();
        learned.observe(Observation { class, models, server: server(0), cold: false, seconds: long_run });
        let jobs = (0..400).map(|at| {
            if at % 2 == 0 { ticket(at, "short", short.clone()) } else { ticket(at, "long", lengthy.clone()) }
        });
        let mut queue = queue_of(jobs);
        let place = [Place { max_in_flight: 1, ..Place::idle(server(0)) }];
        let (mut time, mut now): (BTreeMap<bool, f64>, f64) = (BTreeMap::new(), 0.0);
        for _ in 0..60 {
            let assigned = decide(&mut queue, &place, &learned, now).assigned[0];
            *time.entry(assigned.job.as_uuid().as_u128().is_multiple_of(2)).or_default() += assigned.run;
            now += assigned.run;
        }
        prop_assert!((time[&true] - time[&false]).abs() <= long_run + 1.0, "{:?}", time);
    }
}
