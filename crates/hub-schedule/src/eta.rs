//! When a job would end where: the state of all places within one decision.
//!
//! [`View`] starts from what is there and takes in what the decision puts on top, really or by way of
//! thought. Work at a place only grows within a decision, so a heap of places per kind stays good as a set of
//! lower bounds: its top is worked out anew until it holds.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use hub_core::placement::Placement;

use crate::{
    Kind, Learned, ModelSet, Place, STAGE_AHEAD_S, Seconds,
    learn::{Loads, Runs},
    queue::{KindId, Ordered, Queue},
};

/// Added to the end at a server that lost the job before.
const AVOID_S: Seconds = 10.0;
/// Ends that differ by less than this share of a run count as equal; then the other criteria decide.
const EQUAL_SHARE: f64 = 0.02;
/// Times that all places are looked at for one kind before they are put into order.
const SCANS_MAX: u32 = 3;

/// Index of a model set within one decision.
pub(crate) type SetId = u32;
pub(crate) const NOTHING: SetId = u32::MAX;

/// What a decision changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) work: Vec<Seconds>,
    pub(crate) room: Vec<u32>,
    pub(crate) rooms: u32,
    /// Takes no work at all.
    shut: Vec<bool>,
    slots: Vec<Option<usize>>,
    /// Raised with every change of the place.
    stamp: Vec<u32>,
    /// 1 / weight.
    distance: Vec<f64>,
    farthest: f64,
    resident: Vec<SetId>,
    turn: Vec<u64>,
    sets: Vec<SetState>,
    set_of: HashMap<ModelSet, SetId>,
}

#[derive(Debug, Default)]
struct SetState {
    /// Jobs that wait for it.
    demand: usize,
    /// Places that have it.
    copies: u32,
    /// How much it is wanted per place that has it, and whether that is the only one.
    regret: u32,
}

/// How good a place is for a kind; the lowest is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    end: u64,
    cold: bool,
    /// What loading would push out: how much that is wanted, per place that has it.
    regret: u32,
    turn: u64,
    pub(crate) at: u32,
}

/// A kind against all places.
#[derive(Debug)]
pub(crate) struct Fit<'a> {
    set: SetId,
    runs: Runs<'a>,
    loads: Loads<'a>,
    /// Which places the kind may go to; none: to all that take work.
    may: Option<Vec<bool>>,
    avoid: Option<usize>,
    /// 1 / the difference of ends that counts.
    per_quantum: f64,
    /// The best place found by looking at all, good while that place does not change; the best with room beside it.
    found: [Option<(Key, u32)>; 2],
    /// Times that all places were looked at.
    scans: u32,
    /// Instead of looking at all again and again: lower bounds for all places, and for those with room.
    heaps: Option<[BinaryHeap<Reverse<Key>>; 2]>,
}

/// All places, and all kinds that were looked at.
pub(crate) struct View<'a> {
    pub(crate) places: &'a [Place],
    learned: &'a Learned,
    now: Seconds,
    pub(crate) state: State,
    fits: Vec<Option<Fit<'a>>>,
    /// When staging begins somewhere.
    pub(crate) wake_at: Option<Seconds>,
}

impl<'a> View<'a> {
    pub(crate) fn new(queue: &Queue, places: &'a [Place], learned: &'a Learned, now: Seconds) -> Self {
        let slots: Vec<Option<usize>> = places.iter().map(|place| learned.slot(place.server)).collect();
        let mut state = State {
            work: Vec::with_capacity(places.len()),
            room: Vec::with_capacity(places.len()),
            rooms: 0,
            shut: places.iter().map(|place| !place.takes_work || place.max_in_flight == 0).collect(),
            stamp: vec![0; places.len()],
            slots,
            distance: places.iter().map(|place| 1.0 / place.weight.max(f64::MIN_POSITIVE)).collect(),
            farthest: 0.0,
            resident: Vec::with_capacity(places.len()),
            turn: places.iter().map(|place| place.last_turn).collect(),
            sets: Vec::new(),
            set_of: HashMap::new(),
        };
        state.farthest = state.distance.iter().copied().fold(0.0, f64::max);
        let mut wake_at: Option<Seconds> = None;
        for (at, place) in places.iter().enumerate() {
            let work = place.remaining(now, learned.foreign_run(state.slots[at]));
            let (room, staging) = place.room(now, work);
            state.work.push(work);
            state.room.push(room);
            state.rooms += room;
            let set = place.resident.map_or(NOTHING, |models| state.set(models, queue));
            if let Some(set) = state.sets.get_mut(set as usize) {
                set.copies += 1;
                set.weigh();
            }
            state.resident.push(set);
            if let Some(at) = staging {
                wake_at = Some(wake_at.map_or(at, |wake| wake.min(at)));
            }
        }
        let fits = std::iter::repeat_with(|| None).take(queue.kinds_max()).collect();
        Self { places, learned, now, state, fits, wake_at }
    }

    /// The place where a job of this kind would end first; `open`: among those with room.
    pub(crate) fn best(&mut self, queue: &Queue, id: KindId, open: bool) -> Option<usize> {
        let (fit, state) = self.both(queue, id);
        fit.best(state, open)
    }

    /// Load and run of a job of this kind there.
    pub(crate) fn cost_at(&mut self, queue: &Queue, id: KindId, at: usize) -> (Seconds, Seconds) {
        let (fit, state) = self.both(queue, id);
        (fit.load_at(state, at), fit.run(state, at))
    }

    /// Load and run of a job of this kind there when its models are not loaded.
    pub(crate) fn full_cost(&mut self, queue: &Queue, id: KindId, at: usize) -> (Seconds, Seconds) {
        let (fit, state) = self.both(queue, id);
        (fit.loads.at(state.slots[at]), fit.run(state, at))
    }

    /// Whether the times of a kind there rest on nothing but defaults.
    pub(crate) fn is_guess(&mut self, queue: &Queue, id: KindId, at: usize) -> bool {
        let (fit, state) = self.both(queue, id);
        fit.runs.at(state.slots[at]).1
    }

    /// Puts a job there; a real one takes room. Answers load and run.
    pub(crate) fn put(&mut self, queue: &Queue, id: KindId, at: usize, turn: Option<u64>) -> (Seconds, Seconds) {
        let (fit, state) = self.both(queue, id);
        let (load, run) = (fit.load_at(state, at), fit.run(state, at));
        let (set, guessed) = (fit.set, fit.runs.at(state.slots[at]).1);
        state.work[at] += load + run;
        state.stamp[at] += 1;
        state.move_in(set, at);
        let Some(turn) = turn else { return (load, run) };
        state.turn[at] = turn;
        let work = state.work[at];
        let taken = if guessed || work <= STAGE_AHEAD_S { 1 } else { state.room[at] };
        if taken > 1 {
            let staging = self.now + work - STAGE_AHEAD_S;
            self.wake_at = Some(self.wake_at.map_or(staging, |wake| wake.min(staging)));
        }
        let state = &mut self.state;
        state.room[at] -= taken;
        state.rooms -= taken;
        (load, run)
    }

    /// Time from now until a job of this kind would end there.
    pub(crate) fn end_at(&mut self, queue: &Queue, id: KindId, at: usize) -> Seconds {
        let (fit, state) = self.both(queue, id);
        fit.end(state, at)
    }

    /// Has up to `count` jobs of a kind wait for full places, each where it ends first, while they end there
    /// before `end`. Answers how many those places take; what they will do is noted as their work.
    pub(crate) fn wait(&mut self, queue: &Queue, id: KindId, end: Option<Seconds>, count: usize) -> usize {
        let (fit, state) = self.both(queue, id);
        let mut full: BinaryHeap<Reverse<(Ordered, usize)>> = (0..state.work.len())
            .filter(|at| state.room[*at] == 0 && fit.may_go(state, *at))
            .map(|at| Reverse((Ordered(fit.end(state, at)), at)))
            .filter(|Reverse((ends, _))| end.is_none_or(|end| ends.0 < end))
            .collect();
        let mut taken = 0;
        while taken < count
            && let Some(Reverse((_, at))) = full.pop()
        {
            taken += 1;
            state.work[at] += fit.load_at(state, at) + fit.run(state, at);
            state.stamp[at] += 1;
            state.move_in(fit.set, at);
            let ends = fit.end(state, at);
            if end.is_none_or(|end| ends < end) {
                full.push(Reverse((Ordered(ends), at)));
            }
        }
        taken
    }

    /// The models that a kind needs, as known here.
    pub(crate) fn set_of(&mut self, queue: &Queue, id: KindId) -> SetId {
        match &self.fits[id as usize] {
            Some(fit) => fit.set,
            None => self.state.set(queue.kind_at(id).models, queue),
        }
    }

    /// Whether models are loaded nowhere, so that the first job that needs them needs a seat.
    pub(crate) fn is_seatless(&self, set: SetId) -> bool {
        self.state.sets.get(set as usize).is_some_and(|set| set.copies == 0)
    }

    /// What is resident there.
    pub(crate) fn resident(&self, at: usize) -> SetId {
        self.state.resident[at]
    }

    /// Whether a kind's models are resident there (or it has none).
    pub(crate) fn is_warm(&mut self, queue: &Queue, id: KindId, at: usize) -> bool {
        let (fit, state) = self.both(queue, id);
        fit.is_warm(state, at)
    }

    /// Whether loading anything else there would push out models that are waited for.
    pub(crate) fn resident_is_wanted(&self, at: usize) -> bool {
        self.state.sets.get(self.state.resident[at] as usize).is_some_and(|set| set.demand > 0)
    }

    /// The best places for a kind, the best one first; one that lost the job before only where it is the best.
    pub(crate) fn ranked(&mut self, queue: &Queue, id: KindId, count: usize) -> Vec<usize> {
        let (fit, state) = self.both(queue, id);
        let mut keys: Vec<Key> = (0..state.work.len()).filter_map(|at| fit.key(state, at)).collect();
        if keys.len() > count {
            keys.select_nth_unstable(count);
            keys.truncate(count);
        }
        keys.sort_unstable();
        let mut places: Vec<usize> = keys.into_iter().map(|key| key.at as usize).collect();
        if let Some(avoid) = fit.avoid
            && places.first() != Some(&avoid)
        {
            places.retain(|at| *at != avoid);
        }
        places
    }

    fn both(&mut self, queue: &Queue, id: KindId) -> (&mut Fit<'a>, &mut State) {
        let Self { places, learned, state, fits, .. } = self;
        let fit = &mut fits[id as usize];
        (fit.get_or_insert_with(|| Fit::new(queue, queue.kind_at(id), places, learned, state)), state)
    }
}

impl State {
    fn set(&mut self, models: ModelSet, queue: &Queue) -> SetId {
        if models.is_none() {
            return NOTHING;
        }
        *self.set_of.entry(models).or_insert_with(|| {
            let demand = queue.demand().get(&models).copied().unwrap_or_default();
            self.sets.push(SetState { demand, copies: 0, regret: 0 });
            SetId::try_from(self.sets.len() - 1).expect("fewer sets than 2^32")
        })
    }

    fn move_in(&mut self, set: SetId, at: usize) {
        if set == NOTHING || self.resident[at] == set {
            return;
        }
        if let Some(left) = self.sets.get_mut(self.resident[at] as usize) {
            left.copies -= 1;
            left.weigh();
        }
        self.sets[set as usize].copies += 1;
        self.sets[set as usize].weigh();
        self.resident[at] = set;
    }

    fn regret(&self, at: usize) -> u32 {
        self.sets.get(self.resident[at] as usize).map_or(0, |set| set.regret)
    }
}

impl SetState {
    fn weigh(&mut self) {
        let per_copy = self.demand / self.copies.max(1) as usize;
        let only_one = u32::from(self.copies == 1);
        self.regret = u32::try_from(per_copy).unwrap_or(u32::MAX / 4).saturating_mul(2).saturating_add(1 + only_one);
    }
}

impl<'a> Fit<'a> {
    fn new(queue: &Queue, kind: &Kind, places: &[Place], learned: &'a Learned, state: &mut State) -> Self {
        let workflow = kind.class.workflow;
        let lacking = places.iter().any(|place| place.lacks.contains(&workflow)) && heeds_lacks(kind, places);
        let barring = places.iter().any(|place| place.barred.contains(&workflow));
        let choosy = lacking || barring || !kind.excluded.is_empty() || kind.placement != Placement::Anywhere;
        let may = |place: &Place| allows(kind, place) && !(lacking && place.lacks.contains(&workflow));
        let avoid = kind.avoid.and_then(|server| places.iter().position(|place| place.server == server));
        Self {
            set: state.set(kind.models, queue),
            runs: learned.runs_of(kind.class),
            loads: learned.loads_of(kind.models),
            may: choosy.then(|| places.iter().map(may).collect()),
            avoid,
            per_quantum: 1.0 / (learned.usual_run(kind.class) * EQUAL_SHARE).max(1e-4),
            found: [None; 2],
            scans: 0,
            heaps: None,
        }
    }

    fn run(&self, state: &State, at: usize) -> Seconds {
        self.runs.at(state.slots[at]).0
    }

    fn is_warm(&self, state: &State, at: usize) -> bool {
        self.set == NOTHING || state.resident[at] == self.set
    }

    fn load_at(&self, state: &State, at: usize) -> Seconds {
        if self.is_warm(state, at) { 0.0 } else { self.loads.at(state.slots[at]) }
    }

    fn may_go(&self, state: &State, at: usize) -> bool {
        !state.shut[at] && self.may.as_ref().is_none_or(|may| may[at])
    }

    fn end(&self, state: &State, at: usize) -> Seconds {
        let end = state.work[at] + self.load_at(state, at) + self.run(state, at);
        // Whatever its weight, a server that lost the job before comes after its peers.
        if self.avoid == Some(at) { end * state.farthest + AVOID_S } else { end * state.distance[at] }
    }

    fn key(&self, state: &State, at: usize) -> Option<Key> {
        if !self.may_go(state, at) {
            return None;
        }
        let cold = !self.is_warm(state, at);
        let end = self.steps(self.end(state, at));
        let regret = if cold { state.regret(at) } else { 0 };
        Some(Key { end, cold, regret, turn: state.turn[at], at: u32::try_from(at).unwrap_or(u32::MAX) })
    }

    fn steps(&self, end: Seconds) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
        let steps = (end * self.per_quantum + 0.5) as u64;
        steps
    }

    fn best(&mut self, state: &State, open: bool) -> Option<usize> {
        if self.heaps.is_some() {
            return self.best_of_heap(state, open);
        }
        if let Some((key, stamp)) = self.found[usize::from(open)]
            && state.stamp[key.at as usize] == stamp
        {
            return Some(key.at as usize);
        }
        if self.scans >= SCANS_MAX {
            let keys = (0..state.work.len()).filter_map(|at| self.key(state, at)).map(Reverse);
            let all: Vec<Reverse<Key>> = keys.collect();
            let with_room = all.iter().filter(|Reverse(key)| state.room[key.at as usize] > 0).copied().collect();
            self.heaps = Some([all.into(), with_room]);
            return self.best_of_heap(state, open);
        }
        self.scans += 1;
        let mut best: [Option<Key>; 2] = [None; 2];
        for at in 0..state.work.len() {
            // Most places are far from the best: that shows before all of their key is worked out.
            let rival = best[usize::from(state.room[at] > 0)];
            if rival.is_some_and(|rival| self.steps(state.work[at] * state.distance[at]) > rival.end) {
                continue;
            }
            let Some(key) = self.key(state, at) else { continue };
            for (best, counts) in best.iter_mut().zip([true, state.room[at] > 0]) {
                if counts && best.is_none_or(|best| key < best) {
                    *best = Some(key);
                }
            }
        }
        self.found = best.map(|key| key.map(|key| (key, state.stamp[key.at as usize])));
        best[usize::from(open)].map(|key| key.at as usize)
    }

    fn best_of_heap(&mut self, state: &State, open: bool) -> Option<usize> {
        loop {
            let heaps = self.heaps.as_mut()?;
            let Reverse(top) = heaps[usize::from(open)].pop()?;
            let at = top.at as usize;
            if open && state.room[at] == 0 {
                continue;
            }
            let Some(key) = self.key(state, at) else { continue };
            if let Some(heaps) = self.heaps.as_mut() {
                heaps[usize::from(open)].push(Reverse(key));
            }
            if key <= top {
                return Some(at);
            }
        }
    }
}

/// Whether a place is none of those that the job must not get.
pub(crate) fn allows(kind: &Kind, place: &Place) -> bool {
    kind.placement.allows(place.server, place.group.as_deref()) && !is_ruled_out(kind, place)
}

/// Whether a place must not get such jobs, wherever they are pinned: an attempt there failed, or somebody said so.
pub(crate) fn is_ruled_out(kind: &Kind, place: &Place) -> bool {
    kind.excluded.binary_search(&place.server).is_ok() || place.barred.contains(&kind.class.workflow)
}

/// What a server is known to lack steers jobs away from it, but is asked again when it would leave no server
/// at all: files get installed.
pub(crate) fn heeds_lacks(kind: &Kind, places: &[Place]) -> bool {
    places.iter().any(|place| allows(kind, place) && !place.lacks.contains(&kind.class.workflow))
}
