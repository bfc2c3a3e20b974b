//! What holds whatever the queue and the pool are.

use proptest::prelude::*;

use super::*;

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
