//! When a job would end where: the state of all places within one decision.
//!
//! [`View`] starts from what is there and takes in what the decision puts on top, really or by way of
//! thought. Work at a place only grows within a decision, so a heap of places per kind stays good as a set of
//! lower bounds: its top is worked out anew until it holds.

mod fit;
mod state;

use std::{cmp::Reverse, collections::BinaryHeap};

use self::{
    fit::{Fit, Key},
    state::State,
};
use crate::{
    Learned, Place, STAGE_AHEAD_S, Seconds,
    queue::{KindId, Ordered, Queue},
};

#[cfg(test)]
pub(crate) use fit::WEIGHED;
pub(crate) use fit::{allows, is_ruled_out};
pub(crate) use state::{NOTHING, SetId};

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
        let (state, wake_at) = State::new(queue, places, learned, now);
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
        let mut full: BinaryHeap<Reverse<(Ordered, usize)>> = fit
            .may_end_before(state, end)
            .into_iter()
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
        self.state.is_seatless(set)
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
        self.state.is_wanted(self.state.resident[at])
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
