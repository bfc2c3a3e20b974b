//! What a decision changes: work, room and loaded models of every place.

use std::collections::HashMap;

use crate::{Learned, ModelSet, Place, Seconds, queue::Queue};

/// Index of a model set within one decision.
pub(crate) type SetId = u32;
pub(crate) const NOTHING: SetId = u32::MAX;

/// What a decision changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) work: Vec<Seconds>,
    pub(crate) room: Vec<u32>,
    pub(crate) rooms: u32,
    /// Places that had room at first.
    pub(crate) open: Vec<usize>,
    /// Takes no work at all.
    pub(super) shut: Vec<bool>,
    pub(super) slots: Vec<Option<usize>>,
    /// Raised with every change of the place.
    pub(super) stamp: Vec<u32>,
    /// 1 / weight.
    pub(super) distance: Vec<f64>,
    pub(super) farthest: f64,
    pub(super) nearest: f64,
    /// No place that takes work has less, now or later in this decision.
    pub(super) least_work: Seconds,
    /// No server is quicker against its peers.
    pub(super) least_slowness: f64,
    pub(super) resident: Vec<SetId>,
    pub(super) turn: Vec<u64>,
    /// Places that lack something for some workflow, and those that some workflow must not go to: mostly few.
    pub(super) lacking: Vec<usize>,
    pub(super) barring: Vec<usize>,
    sets: Vec<SetState>,
    set_of: HashMap<ModelSet, SetId>,
}

#[derive(Debug, Default)]
struct SetState {
    /// Jobs that wait for it.
    demand: usize,
    /// Places that have it.
    places: Vec<usize>,
    /// How much it is wanted per place that has it, and whether that is the only one.
    regret: u32,
}

impl State {
    /// What is there, before anything is decided, and when staging begins somewhere.
    pub(super) fn new(queue: &Queue, places: &[Place], learned: &Learned, now: Seconds) -> (Self, Option<Seconds>) {
        let slots: Vec<Option<usize>> = places.iter().map(|place| learned.slot(place.server)).collect();
        let mut state = Self {
            work: Vec::with_capacity(places.len()),
            room: Vec::with_capacity(places.len()),
            rooms: 0,
            open: Vec::new(),
            shut: places.iter().map(|place| !place.takes_work || place.max_in_flight == 0).collect(),
            stamp: vec![0; places.len()],
            slots,
            distance: places.iter().map(|place| 1.0 / place.weight.max(f64::MIN_POSITIVE)).collect(),
            farthest: 0.0,
            nearest: f64::INFINITY,
            least_work: Seconds::INFINITY,
            least_slowness: learned.least_slowness(),
            resident: Vec::with_capacity(places.len()),
            turn: places.iter().map(|place| place.last_turn).collect(),
            lacking: at_which(places, |place| !place.lacks.is_empty()),
            barring: at_which(places, |place| !place.barred.is_empty()),
            sets: Vec::new(),
            set_of: HashMap::new(),
        };
        state.farthest = state.distance.iter().copied().fold(0.0, f64::max);
        state.nearest = state.distance.iter().copied().fold(f64::INFINITY, f64::min);
        let mut wake_at: Option<Seconds> = None;
        for (at, place) in places.iter().enumerate() {
            let work = place.remaining(now, learned.foreign_run(state.slots[at]));
            let (room, staging) = place.room(now, work);
            state.work.push(work);
            if !state.shut[at] {
                state.least_work = state.least_work.min(work);
            }
            state.room.push(room);
            state.rooms += room;
            if room > 0 {
                state.open.push(at);
            }
            let set = place.resident.map_or(NOTHING, |models| state.set(models, queue));
            if let Some(set) = state.sets.get_mut(set as usize) {
                set.places.push(at);
                set.weigh();
            }
            state.resident.push(set);
            if let Some(at) = staging {
                wake_at = Some(wake_at.map_or(at, |wake| wake.min(at)));
            }
        }
        (state, wake_at)
    }

    /// Whether models are loaded nowhere.
    pub(super) fn is_seatless(&self, set: SetId) -> bool {
        self.sets.get(set as usize).is_some_and(|set| set.places.is_empty())
    }

    /// Whether anybody waits for these models.
    pub(super) fn is_wanted(&self, set: SetId) -> bool {
        self.sets.get(set as usize).is_some_and(|set| set.demand > 0)
    }

    /// The index of a model set.
    pub(super) fn set(&mut self, models: ModelSet, queue: &Queue) -> SetId {
        if models.is_none() {
            return NOTHING;
        }
        *self.set_of.entry(models).or_insert_with(|| {
            let demand = queue.demand().get(&models).copied().unwrap_or_default();
            self.sets.push(SetState { demand, places: Vec::new(), regret: 0 });
            SetId::try_from(self.sets.len() - 1).expect("fewer sets than 2^32")
        })
    }

    /// Notes that models will be loaded at a place.
    pub(super) fn move_in(&mut self, set: SetId, at: usize) {
        if set == NOTHING || self.resident[at] == set {
            return;
        }
        if let Some(left) = self.sets.get_mut(self.resident[at] as usize) {
            left.places.retain(|place| *place != at);
            left.weigh();
        }
        self.sets[set as usize].places.push(at);
        self.sets[set as usize].weigh();
        self.resident[at] = set;
    }

    /// Places where these models are or will be loaded, in no order.
    pub(super) fn places_with(&self, set: SetId) -> &[usize] {
        self.sets.get(set as usize).map(|set| set.places.as_slice()).unwrap_or_default()
    }

    /// How much is lost when other models are loaded at a place.
    pub(super) fn regret(&self, at: usize) -> u32 {
        self.sets.get(self.resident[at] as usize).map_or(0, |set| set.regret)
    }
}

fn at_which(places: &[Place], holds: impl Fn(&Place) -> bool) -> Vec<usize> {
    places.iter().enumerate().filter(|(_, place)| holds(place)).map(|(at, _)| at).collect()
}

impl SetState {
    fn weigh(&mut self) {
        let per_copy = self.demand / self.places.len().max(1);
        let only_one = u32::from(self.places.len() == 1);
        self.regret = u32::try_from(per_copy).unwrap_or(u32::MAX / 4).saturating_mul(2).saturating_add(1 + only_one);
    }
}
