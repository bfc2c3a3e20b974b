//! One kind of jobs against all places: which of them may have it, and where it ends first.

use std::{cmp::Reverse, collections::BinaryHeap};

use hub_core::placement::Placement;

use super::state::{NOTHING, SetId, State};
use crate::{
    Kind, Learned, Place, Seconds,
    learn::{Loads, Runs},
    queue::Queue,
};

/// Added to the end at a server that lost the job before.
const AVOID_S: Seconds = 10.0;
/// Ends that differ by less than this share of a run count as equal; then the other criteria decide.
const EQUAL_SHARE: f64 = 0.02;
/// Times that all places are looked at for one kind before they are put into order.
const SCANS_MAX: u32 = 3;
/// Models that no more than this share of the places have are looked for where they are first.
const FEW_SHARE: usize = 8;

#[cfg(test)]
thread_local! {
    /// Places that were weighed against others: what a decision's time goes with.
    pub(crate) static WEIGHED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How good a place is for a kind; the lowest is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    end: u64,
    cold: bool,
    /// What loading would push out: how much that is wanted, per place that has it.
    regret: u32,
    turn: u64,
    pub(super) at: u32,
}

/// A kind against all places.
#[derive(Debug)]
pub(super) struct Fit<'a> {
    pub(super) set: SetId,
    pub(super) runs: Runs<'a>,
    pub(super) loads: Loads<'a>,
    /// Which places the kind may go to; none: to all that take work.
    may: Option<Vec<bool>>,
    pub(super) avoid: Option<usize>,
    /// 1 / the difference of ends that counts.
    per_quantum: f64,
    /// The best place found by looking at all, good while that place does not change; the best with room beside it.
    found: [Option<(Key, u32)>; 2],
    /// Times that all places were looked at.
    scans: u32,
    /// No place without the models ends sooner, ever in this decision; worked out when first needed.
    cold_floor: Option<Seconds>,
    /// Instead of looking at all again and again: lower bounds for all places, and for those with room.
    heaps: Option<[BinaryHeap<Reverse<Key>>; 2]>,
}

impl<'a> Fit<'a> {
    pub(super) fn new(queue: &Queue, kind: &Kind, places: &[Place], learned: &'a Learned, state: &mut State) -> Self {
        let workflow = kind.class.workflow;
        let lacking = state.lacking.iter().any(|at| places[*at].lacks.contains(&workflow)) && heeds_lacks(kind, places);
        let barring = state.barring.iter().any(|at| places[*at].barred.contains(&workflow));
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
            cold_floor: None,
            heaps: None,
        }
    }

    pub(super) fn run(&self, state: &State, at: usize) -> Seconds {
        self.runs.at(state.slots[at]).0
    }

    pub(super) fn is_warm(&self, state: &State, at: usize) -> bool {
        self.set == NOTHING || state.resident[at] == self.set
    }

    pub(super) fn load_at(&self, state: &State, at: usize) -> Seconds {
        if self.is_warm(state, at) { 0.0 } else { self.loads.at(state.slots[at]) }
    }

    pub(super) fn may_go(&self, state: &State, at: usize) -> bool {
        !state.shut[at] && self.may.as_ref().is_none_or(|may| may[at])
    }

    pub(super) fn end(&self, state: &State, at: usize) -> Seconds {
        let end = state.work[at] + self.load_at(state, at) + self.run(state, at);
        // Whatever its weight, a server that lost the job before comes after its peers.
        if self.avoid == Some(at) { end * state.farthest + AVOID_S } else { end * state.distance[at] }
    }

    pub(super) fn key(&self, state: &State, at: usize) -> Option<Key> {
        #[cfg(test)]
        WEIGHED.set(WEIGHED.get() + 1);
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

    pub(super) fn best(&mut self, state: &State, open: bool) -> Option<usize> {
        if self.heaps.is_some() {
            return self.best_of_heap(state, open);
        }
        if let Some((key, stamp)) = self.found[usize::from(open)]
            && state.stamp[key.at as usize] == stamp
        {
            return Some(key.at as usize);
        }
        let quick = self.best_where_loaded(state, open).or_else(|| self.best_of_few_open(state, open));
        if let Some(key) = quick {
            self.found[usize::from(open)] = Some((key, state.stamp[key.at as usize]));
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

    /// The best place of all, where that is one of a few that have the models: then nobody looks at the others.
    /// `None` when it may be another.
    fn best_where_loaded(&mut self, state: &State, open: bool) -> Option<Key> {
        let loaded = state.places_with(self.set);
        if loaded.len() * FEW_SHARE > state.work.len() {
            return None;
        }
        let with_room = loaded.iter().filter(|at| !open || state.room[**at] > 0);
        let best = with_room.filter_map(|at| self.key(state, *at)).min()?;
        // Where both end together, the one that need not load goes first.
        let floor = self.cold_floor(state);
        (best.end <= self.steps(floor)).then_some(best)
    }

    /// The best place with room, where only few have any.
    fn best_of_few_open(&self, state: &State, open: bool) -> Option<Key> {
        if !open || state.open.len() * FEW_SHARE > state.work.len() {
            return None;
        }
        let with_room = state.open.iter().filter(|at| state.room[**at] > 0);
        with_room.filter_map(|at| self.key(state, *at)).min()
    }

    fn cold_floor(&mut self, state: &State) -> Seconds {
        if let Some(floor) = self.cold_floor {
            return floor;
        }
        let least = state.least_work + self.loads.least() + self.runs.least(state.least_slowness);
        let floor = least * state.nearest;
        self.cold_floor = Some(floor);
        floor
    }

    /// Places where a job may end before `end`; others surely do not.
    pub(super) fn may_end_before(&mut self, state: &State, end: Option<Seconds>) -> Vec<usize> {
        let only_loaded = self.set != NOTHING && end.is_some_and(|end| end <= self.cold_floor(state));
        if only_loaded { state.places_with(self.set).to_vec() } else { (0..state.work.len()).collect() }
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
fn heeds_lacks(kind: &Kind, places: &[Place]) -> bool {
    places.iter().any(|place| allows(kind, place) && !place.lacks.contains(&kind.class.workflow))
}

#[cfg(test)]
mod tests {
    use hub_core::{
        caller::Caller,
        ids::{JobId, ServerId, WorkflowId},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::{ModelSet, Observation, Ticket, WorkClass};

    fn kind(number: u8) -> Kind {
        let class = WorkClass::new(WorkflowId::from_uuid(uuid::Uuid::from_u128(number.into())), None, None, 1);
        Kind::new(class, ModelSet::from_digest([number; 16]))
    }

    proptest! {
        /// What is found where the models are loaded is what looking at all places finds.
        #[test]
        fn the_short_way_finds_the_best_place_of_all(
            servers in prop::collection::vec((0_u8..6, 0.1_f64..4.0, 0.1_f64..9.0, 0.0_f64..20.0, 0_u32..3), 8..40),
            wanted in 1_u8..6,
            unknown in any::<bool>(),
            open in any::<bool>(),
        ) {
            let id = |at: usize| ServerId::from_uuid(uuid::Uuid::from_u128(1000 + at as u128));
            let mut learned = Learned::default();
            for (at, (_, run, load, ..)) in servers.iter().enumerate().filter(|(at, _)| !unknown || at % 3 > 0) {
                let Kind { class, models, .. } = kind(wanted);
                let seen = Observation { class, models, server: id(at), cold: false, seconds: *run };
                learned.observe(seen);
                learned.observe(Observation { cold: true, seconds: run + load, ..seen });
            }
            let places: Vec<Place> = servers
                .iter()
                .enumerate()
                .map(|(at, (resident, run, _, work, room))| Place {
                    resident: (*resident > 0).then(|| kind(*resident).models),
                    weight: *run,
                    prompts: vec![crate::Prompt { expected: *work, began: None, guessed: true }],
                    max_in_flight: 1 + room,
                    ..Place::idle(id(at))
                })
                .collect();
            let mut queue = Queue::default();
            let ticket = |number| Ticket {
                job: JobId::new(), caller: Caller::local(), priority: 0, kind: kind(number),
            };
            (1..6).for_each(|number| queue.push(ticket(number), 0.0));
            let (mut state, _) = State::new(&queue, &places, &learned, 0.0);
            let mut fit = Fit::new(&queue, &kind(wanted), &places, &learned, &mut state);
            let all = (0..places.len()).filter(|at| !open || state.room[*at] > 0);
            let best = all.filter_map(|at| fit.key(&state, at)).min();
            if let Some(found) = fit.best_where_loaded(&state, open) {
                prop_assert_eq!(Some(found), best);
            }
        }
    }
}
