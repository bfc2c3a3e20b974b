//! The lease against a GPU of which everything is known: what is loaded, how large it is, who uses it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LIMITS: LeaseLimits = LeaseLimits { llm_wait: 15.0, comfy_wait: 30.0, linger: 0.25 };

fn load(size: u64) -> Load {
    Load(size)
}

/// A call or a run: it is announced, asks a while later, and runs for its time.
#[derive(Debug, Clone)]
struct Work {
    side: Side,
    announced: Seconds,
    asks: Seconds,
    /// Size in memory; also what tells loads apart.
    size: u64,
    runs: Seconds,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Announce(usize),
    Ask(usize),
    Done(usize),
    Looked { side: Side, size: u64 },
    Evicted(Side),
    Wake,
}

/// The world around a lease, in virtual time.
struct World {
    lease: Lease,
    works: Vec<Work>,
    room: u64,
    evict_takes: Seconds,
    events: Vec<(Seconds, Event)>,
    ids: BTreeMap<ClaimId, usize>,
    claims: Vec<Option<ClaimId>>,
    asked: Vec<Option<Seconds>>,
    began: Vec<Option<Seconds>>,
    ended: Vec<Option<Seconds>>,
    /// What each side has in memory, and who uses it.
    loaded: [Option<u64>; 2],
    users: [usize; 2],
    log: Vec<String>,
}

impl World {
    fn run(works: &[Work], room: u64, loaded: [Option<u64>; 2]) -> Self {
        let mut world = Self {
            lease: Lease::new(LIMITS),
            works: works.to_vec(),
            room,
            evict_takes: 1.5,
            events: Vec::new(),
            ids: BTreeMap::new(),
            claims: vec![None; works.len()],
            asked: vec![None; works.len()],
            began: vec![None; works.len()],
            ended: vec![None; works.len()],
            loaded,
            users: [0; 2],
            log: Vec::new(),
        };
        for (at, work) in works.iter().enumerate() {
            world.events.push((work.announced, Event::Announce(at)));
        }
        let mut steps = 0;
        while !world.events.is_empty() {
            steps += 1;
            assert!(steps < 100_000, "it never ends");
            let first = (0..world.events.len()).min_by(|a, b| world.events[*a].0.total_cmp(&world.events[*b].0));
            let (now, event) = world.events.remove(first.expect("not empty"));
            world.happen(now, event);
            world.turn(now);
        }
        world
    }

    fn happen(&mut self, now: Seconds, event: Event) {
        match event {
            Event::Announce(at) => {
                let id = self.lease.announce(self.works[at].side);
                self.ids.insert(id, at);
                self.claims[at] = Some(id);
                self.events.push((self.works[at].asks.max(now), Event::Ask(at)));
            }
            Event::Ask(at) => {
                self.asked[at] = Some(now);
                self.lease.ask(self.claims[at].expect("announced"), load(self.works[at].size), now);
            }
            Event::Done(at) => {
                self.users[self.works[at].side.at()] -= 1;
                self.ended[at] = Some(now);
                self.lease.done(self.claims[at].expect("announced"), now);
            }
            Event::Looked { side, size } => {
                let fit = match self.loaded[side.other().at()] {
                    None => Fit::Empty,
                    Some(theirs) if theirs + size <= self.room => Fit::Fits,
                    Some(_) => Fit::Tight,
                };
                self.lease.looked(fit);
            }
            Event::Evicted(side) => {
                self.loaded[side.at()] = None;
                self.lease.evicted(now);
            }
            Event::Wake => {}
        }
    }

    fn turn(&mut self, now: Seconds) {
        let turn = self.lease.advance(now);
        for order in turn.orders {
            self.log.push(format!("{now:.3} {order:?}"));
            match order {
                LeaseOrder::Grant(id) => self.begin(self.ids[&id], now),
                LeaseOrder::Look { side, load, .. } => {
                    self.events.push((now + 0.01, Event::Looked { side, size: load.0 }));
                }
                LeaseOrder::Evict(side) => {
                    assert_eq!(self.users[side.at()], 0, "at {now} what is used is evicted");
                    self.events.push((now + self.evict_takes, Event::Evicted(side)));
                }
            }
        }
        if let Some(at) = turn.wake_at {
            assert!(at > now, "it wakes in the past");
            self.events.push((at, Event::Wake));
        }
    }

    fn begin(&mut self, at: usize, now: Seconds) {
        let Work { side, size, runs, .. } = self.works[at];
        if let Some(theirs) = self.loaded[side.other().at()] {
            assert!(theirs + size <= self.room, "at {now} both sides are loaded: {theirs} + {size} > {}", self.room);
        }
        self.loaded[side.at()] = Some(size);
        self.users[side.at()] += 1;
        self.began[at] = Some(now);
        self.events.push((now + runs, Event::Done(at)));
    }

    fn end(&self) -> Seconds {
        self.ended.iter().map(|ended| ended.expect("all ended")).fold(0.0, f64::max)
    }
}

fn work(side: Side, announced: Seconds, asks: Seconds, bytes: u64, runs: Seconds) -> Work {
    Work { side, announced, asks, size: bytes, runs }
}

#[test]
fn a_batch_of_jobs_with_enhancement_switches_once() {
    // Calls one after the other, each followed by its run, which asks as soon as its call is done.
    let mut works = Vec::new();
    for job in 0..10 {
        let at = f64::from(job);
        works.push(work(Side::Llm, 0.0, at, 6, 1.0));
        works.push(work(Side::Comfy, at + 1.0, at + 1.0, 20, 2.0));
    }
    let world = World::run(&works, 24, [None, None]);
    assert_eq!(world.lease.switches(), 1, "{:#?}", world.log);
    let last_call = world.ended[18].expect("ended");
    assert!(world.began.iter().skip(1).step_by(2).all(|began| began.expect("began") >= last_call));
}

#[test]
fn nothing_is_evicted_where_both_fit() {
    let works: Vec<Work> = (0..20)
        .map(|at| work(if at % 2 == 0 { Side::Llm } else { Side::Comfy }, f64::from(at), f64::from(at), 10, 3.0))
        .collect();
    let world = World::run(&works, 24, [Some(10), Some(10)]);
    assert_eq!(world.lease.switches(), 0, "{:#?}", world.log);
    assert!(world.end() < 23.0, "nobody waits: {}", world.end());
}

#[test]
fn a_side_that_has_waited_its_limit_gets_its_turn() {
    // ComfyUI never runs dry for two minutes; one call comes after ten seconds.
    let mut works: Vec<Work> = (0..60).map(|at| work(Side::Comfy, 0.0, f64::from(at) * 2.0, 20, 2.1)).collect();
    works.push(work(Side::Llm, 10.0, 10.0, 6, 1.0));
    let world = World::run(&works, 24, [None, None]);
    let waited = world.began[60].expect("began") - 10.0;
    assert!((15.0..15.0 + 2.1 + 1.5 + 0.5).contains(&waited), "{waited}");
    assert_eq!(world.lease.switches(), 2, "{:#?}", world.log);
}

#[test]
fn what_somebody_loaded_before_the_hub_began_is_evicted_when_it_is_in_the_way() {
    let world = World::run(&[work(Side::Comfy, 0.0, 0.0, 20, 1.0)], 24, [Some(6), None]);
    assert_eq!(world.lease.switches(), 1);
    let world = World::run(&[work(Side::Comfy, 0.0, 0.0, 12, 1.0)], 24, [Some(6), None]);
    assert_eq!(world.lease.switches(), 0);
}

#[test]
fn a_wish_is_looked_into_and_opens_the_lease_without_evicting_by_itself() {
    let mut lease = Lease::new(LIMITS);
    let call = lease.announce(Side::Llm);
    lease.ask(call, load(6), 0.0);
    assert!(matches!(lease.advance(0.0).orders[..], [LeaseOrder::Look { side: Side::Llm, .. }]));
    lease.looked(Fit::Empty);
    assert_eq!(lease.advance(0.0).orders, [LeaseOrder::Grant(call)]);
    assert!(!lease.open(Side::Comfy, 0.0));
    lease.wish(Side::Comfy, load(20), 0.0);
    let orders = lease.advance(0.0).orders;
    assert_eq!(
        orders,
        [LeaseOrder::Look { side: Side::Comfy, load: load(20), beside: Some(load(6)), other_runs: true }]
    );
    lease.looked(Fit::Tight);
    assert_eq!(lease.advance(0.0).orders, []);
    assert!(!lease.open(Side::Comfy, 0.0));
    lease.done(call, 1.0);
    let turn = lease.advance(1.0);
    assert_eq!((turn.orders, turn.wake_at), (Vec::new(), Some(1.25)));
    lease.wish(Side::Comfy, load(20), 1.25);
    assert_eq!(lease.advance(1.25).orders, []);
    assert!(lease.open(Side::Comfy, 1.25));
    let run = lease.announce(Side::Comfy);
    lease.ask(run, load(20), 1.3);
    assert_eq!(lease.advance(1.3).orders, [LeaseOrder::Evict(Side::Llm)]);
    assert!(lease.open(Side::Comfy, 1.3), "more may come meanwhile");
    lease.evicted(2.0);
    assert_eq!(lease.advance(2.0).orders, [LeaseOrder::Grant(run)]);
}

#[test]
fn a_claim_that_goes_away_while_it_is_looked_into_leaves_nothing_behind() {
    let mut lease = Lease::new(LIMITS);
    let call = lease.announce(Side::Llm);
    lease.ask(call, load(6), 0.0);
    lease.advance(0.0);
    lease.done(call, 0.0);
    assert_eq!(lease.advance(0.0).orders, [], "one look at a time");
    lease.looked(Fit::Tight);
    assert_eq!(lease.advance(0.1).orders, []);
    assert_eq!((lease.runs(Side::Llm), lease.waits(Side::Llm)), (0, 0));
}

#[test]
fn an_adopted_run_keeps_the_llm_waiting_until_it_ends() {
    let mut lease = Lease::new(LIMITS);
    let run = lease.adopt(Side::Comfy, load(20));
    let call = lease.announce(Side::Llm);
    lease.ask(call, load(6), 0.0);
    assert!(matches!(lease.advance(0.0).orders[..], [LeaseOrder::Look { other_runs: true, .. }]));
    // Its models may not be seen yet, so an empty memory proves nothing.
    lease.looked(Fit::Empty);
    assert_eq!(lease.advance(0.0).orders, []);
    lease.done(run, 5.0);
    assert_eq!(lease.advance(5.25).orders, [LeaseOrder::Evict(Side::Comfy)]);
}

prop_compose! {
    fn some_work()(llm in any::<bool>(), announced in 0.0..60.0_f64, later in 0.0..5.0_f64, big in 0_u64..4, runs in 0.1..8.0_f64) -> Work {
        let side = if llm { Side::Llm } else { Side::Comfy };
        let bytes = if llm { 4 + big * 3 } else { 8 + big * 4 };
        work(side, announced, announced + later, bytes, runs)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// The world asserts by itself that both sides are never loaded where they do not fit, and that nothing in
    /// use is evicted.
    #[test]
    fn everybody_gets_a_turn_in_time_and_switches_are_few(
        works in prop::collection::vec(some_work(), 1..40),
        llm_before in prop::option::of(4_u64..12),
        comfy_before in prop::option::of(8_u64..20),
    ) {
        let world = World::run(&works, 24, [llm_before, comfy_before.filter(|size| llm_before.unwrap_or(0) + size <= 24)]);
        let longest = works.iter().map(|work| work.runs).fold(0.0, f64::max);
        // Two turns of the other side at worst, each with what runs there at its end, and the evictions.
        let bound = 2.0 * (LIMITS.comfy_wait.max(LIMITS.llm_wait) + longest + 2.0 * world.evict_takes + 1.0);
        for (at, work) in works.iter().enumerate() {
            let waited = world.began[at].expect("it ran") - world.asked[at].expect("asked");
            prop_assert!(waited <= bound, "{work:?} waited {waited}\n{:#?}", world.log);
        }
        // A switch needs an idle moment, or somebody who waited a limit: alternations in the order of claims, and time.
        let mut order: Vec<&Work> = works.iter().collect();
        order.sort_by(|a, b| a.asks.total_cmp(&b.asks));
        let alternations = order.windows(2).filter(|pair| pair[0].side != pair[1].side).count() + 2;
        prop_assert!(world.lease.switches() <= alternations as u64 + 2, "{} {alternations}\n{:#?}", world.lease.switches(), world.log);
    }

    #[test]
    fn a_crowd_on_both_sides_switches_no_more_often_than_its_limits_say(
        calls in 5_usize..40, runs in 5_usize..40, call_s in 0.2..3.0_f64, run_s in 0.5..6.0_f64,
    ) {
        // Everything is there from the beginning: each side always has work until it has none.
        let mut works = vec![work(Side::Llm, 0.0, 0.0, 6, call_s); calls];
        works.extend(vec![work(Side::Comfy, 0.0, 0.0, 20, run_s); runs]);
        let world = World::run(&works, 24, [None, None]);
        prop_assert_eq!(world.lease.switches(), 1, "{:#?}", world.log);
    }

    #[test]
    fn equal_claims_give_equal_decisions(works in prop::collection::vec(some_work(), 1..30)) {
        prop_assert_eq!(World::run(&works, 24, [None, None]).log, World::run(&works, 24, [None, None]).log);
    }
}
