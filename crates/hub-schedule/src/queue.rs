//! The jobs that wait, and what each caller has consumed.
//!
//! Owns the fair order: callers by GPU-seconds consumed per weight, then priority, then arrival. A job that
//! comes back from a lost attempt has its old place. Jobs that need the same share a kind, so that a decision
//! works out places for kinds, not for jobs.

mod ordered;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use hub_core::{
    caller::Caller,
    ids::{JobId, ServerId},
    placement::Placement,
};

pub(crate) use self::ordered::Ordered;
use crate::{Kind, Learned, ModelSet, Place, Seconds, eta::is_ruled_out, fair::FairOrder};

/// GPU-seconds per weight that a caller whose jobs could not run may be behind all others: what it may catch
/// up with at once when they can.
const CREDIT_MAX_S: f64 = 60.0;
/// Callers without jobs that are remembered before they are looked through.
const IDLE_CALLERS: usize = 256;

/// A job that comes to wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Which; ids are ordered by the time of their making.
    pub job: JobId,
    /// Whose.
    pub caller: Caller,
    /// Higher goes first within a caller.
    pub priority: i32,
    /// What it needs.
    pub kind: Kind,
}

/// Order within a caller.
pub(crate) type Rank = (Reverse<i32>, JobId);
pub(crate) type LaneId = u32;
pub(crate) type KindId = u32;

/// One caller's jobs.
#[derive(Debug)]
pub(crate) struct Lane {
    caller: Caller,
    pub(crate) weight: f64,
    /// GPU-seconds per weight consumed, on the common scale.
    spent: f64,
    /// Jobs in order, with their kinds.
    pub(crate) jobs: BTreeMap<Rank, KindId>,
    in_flight: usize,
}

/// A job that was passed over although a place had room for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassedOver {
    pub(crate) since: Seconds,
}

#[derive(Debug)]
struct Entry {
    lane: LaneId,
    kind: KindId,
    rank: Rank,
    arrived: Seconds,
}

#[derive(Debug)]
struct KindSlot {
    kind: Arc<Kind>,
    jobs: usize,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    entries: HashMap<JobId, Entry>,
    lanes: Vec<Lane>,
    lane_of: HashMap<Caller, LaneId>,
    free_lanes: Vec<LaneId>,
    weights: HashMap<Caller, f64>,
    /// Lanes with jobs, the one that consumed least first.
    pub(crate) busy: BTreeSet<(Ordered, LaneId)>,
    /// Lanes with jobs here or in flight, likewise.
    active: BTreeSet<(Ordered, LaneId)>,
    /// Least consumption of an active lane when the newest job was served.
    virtual_time: f64,
    kinds: Vec<Option<KindSlot>>,
    kind_of: HashMap<Arc<Kind>, KindId>,
    free_kinds: Vec<KindId>,
    /// Jobs by what they need loaded.
    demand: HashMap<ModelSet, usize>,
    passed_over: BTreeMap<JobId, PassedOver>,
    last_arrival: Seconds,
    pub(crate) turns: u64,
}

impl Queue {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a job waits.
    pub fn contains(&self, job: JobId) -> bool {
        self.entries.contains_key(&job)
    }

    /// Sets a caller's share against others; > 0, default 1.
    pub fn set_weight(&mut self, caller: &Caller, weight: f64) {
        let weight = if weight.is_finite() && weight > 0.0 { weight } else { 1.0 };
        self.weights.insert(caller.clone(), weight);
        if let Some(lane) = self.lane_of.get(caller) {
            self.lanes[*lane as usize].weight = weight;
        }
    }

    /// Sets the shares of these callers, and those of all others to 1.
    pub fn set_weights<'c>(&mut self, weights: impl IntoIterator<Item = (&'c Caller, f64)>) {
        let old: Vec<Caller> = self.weights.drain().map(|(caller, _)| caller).collect();
        for caller in old {
            self.set_weight(&caller, 1.0);
        }
        self.weights.clear();
        for (caller, weight) in weights {
            self.set_weight(caller, weight);
        }
    }

    /// Adds a job; one that is there already is replaced.
    pub fn push(&mut self, ticket: Ticket, now: Seconds) {
        self.remove(ticket.job);
        let Ticket { job, caller, priority, kind } = ticket;
        let rank = (Reverse(priority), job);
        *self.demand.entry(kind.models).or_default() += 1;
        let kind = self.kind_in(kind);
        let id = self.lane_in(caller);
        let lane = &mut self.lanes[id as usize];
        if lane.jobs.is_empty() {
            // An idle caller hoards no credit.
            let others = self.active.iter().find(|(_, other)| *other != id).map(|(spent, _)| spent.0);
            let was = lane.spent;
            lane.spent = lane.spent.max(others.unwrap_or(self.virtual_time));
            self.active.remove(&(Ordered(was), id));
            self.active.insert((Ordered(lane.spent), id));
            self.busy.insert((Ordered(lane.spent), id));
        }
        lane.jobs.insert(rank, kind);
        self.entries.insert(job, Entry { lane: id, kind, rank, arrived: now });
        self.last_arrival = now;
    }

    /// Moves a job among those of its caller; its age stays. Answers whether it waits.
    pub fn set_priority(&mut self, job: JobId, priority: i32) -> bool {
        let Some(entry) = self.entries.get_mut(&job) else { return false };
        let was = std::mem::replace(&mut entry.rank, (Reverse(priority), job));
        let lane = &mut self.lanes[entry.lane as usize];
        lane.jobs.remove(&was);
        lane.jobs.insert(entry.rank, entry.kind);
        true
    }

    /// Takes a job out for any other reason than being served. Answers whether it waited.
    pub fn remove(&mut self, job: JobId) -> bool {
        let Some(entry) = self.entries.remove(&job) else { return false };
        self.passed_over.remove(&job);
        let lane = &mut self.lanes[entry.lane as usize];
        lane.jobs.remove(&entry.rank);
        if lane.jobs.is_empty() {
            self.busy.remove(&(Ordered(lane.spent), entry.lane));
            if lane.in_flight == 0 {
                self.active.remove(&(Ordered(lane.spent), entry.lane));
            }
        }
        self.leave_kind(entry.kind);
        true
    }

    /// Takes a job out because a place got it, and charges its caller what it will probably cost.
    pub(crate) fn serve(&mut self, job: JobId, cost: Seconds) {
        let Some(entry) = self.entries.get(&job) else { return };
        let id = entry.lane;
        if let Some((least, _)) = self.active.first() {
            self.virtual_time = self.virtual_time.max(least.0);
        }
        self.lanes[id as usize].in_flight += 1;
        self.remove(job);
        let lane = &self.lanes[id as usize];
        // Others may have gone far ahead while its jobs could not run.
        let others = self.active.iter().find(|(_, other)| *other != id).map_or(lane.spent, |(spent, _)| spent.0);
        let spent = lane.spent.max(others - CREDIT_MAX_S) + cost / lane.weight;
        self.move_lane(id, spent);
    }

    /// Says what a served job really cost; 0 when it never ran.
    pub fn settle(&mut self, caller: &Caller, charged: Seconds, cost: Seconds) {
        let Some(&id) = self.lane_of.get(caller) else { return };
        let lane = &self.lanes[id as usize];
        self.move_lane(id, lane.spent + (cost - charged) / lane.weight);
        let lane = &mut self.lanes[id as usize];
        lane.in_flight = lane.in_flight.saturating_sub(1);
        if lane.in_flight == 0 && lane.jobs.is_empty() {
            self.active.remove(&(Ordered(lane.spent), id));
            if self.active.is_empty() {
                // Nobody is left to be compared with: the next ones begin together.
                self.virtual_time = self.virtual_time.max(lane.spent);
            }
        }
        if self.lane_of.len() > self.active.len() + IDLE_CALLERS {
            self.forget_idle();
        }
    }

    /// Jobs of kinds that no place may ever run: each that they are pinned to is excluded or barred, or is gone.
    /// Places that are away may come back; `may_come` says whether any is left that a pin means.
    pub fn hopeless(&self, places: &[Place], may_come: impl Fn(&Placement) -> bool) -> Vec<JobId> {
        let by_id: HashMap<ServerId, &Place> = places.iter().map(|place| (place.server, place)).collect();
        let hopeless = |kind: &Kind| {
            if let Placement::Server(server) = kind.placement {
                // Most pins name one server: nobody looks through all of them for it.
                return match by_id.get(&server) {
                    Some(place) => is_ruled_out(kind, place),
                    None => !may_come(&kind.placement),
                };
            }
            let mut allowed = places.iter().filter(|p| kind.placement.allows(p.server, p.group.as_deref())).peekable();
            if allowed.peek().is_none() {
                return !may_come(&kind.placement);
            }
            allowed.all(|place| is_ruled_out(kind, place))
        };
        let is_hopeless = |slot: &Option<KindSlot>| slot.as_ref().is_some_and(|slot| hopeless(&slot.kind));
        let lost: Vec<bool> = self.kinds.iter().map(is_hopeless).collect();
        if !lost.contains(&true) {
            return Vec::new();
        }
        let jobs = self.lanes.iter().flat_map(|lane| &lane.jobs);
        jobs.filter(|(_, kind)| lost[**kind as usize]).map(|((_, job), _)| *job).collect()
    }

    /// All jobs, the next one first, as if each cost what its class usually takes.
    pub fn in_order<'q>(&'q self, learned: &'q Learned) -> impl Iterator<Item = JobId> + 'q {
        let mut order = FairOrder::new(self);
        std::iter::from_fn(move || order.next(|kind| learned.usual_run(kind.class))).map(|turn| turn.job)
    }

    /// The kind of a job that waits.
    pub fn kind(&self, job: JobId) -> Option<&Kind> {
        self.entries.get(&job).map(|entry| self.kind_at(entry.kind))
    }

    pub(crate) fn kind_at(&self, id: KindId) -> &Kind {
        &self.kinds[id as usize].as_ref().expect("a kind is kept while jobs are of it").kind
    }

    pub(crate) fn kind_id(&self, job: JobId) -> Option<KindId> {
        self.entries.get(&job).map(|entry| entry.kind)
    }

    /// Jobs of a kind that wait.
    pub(crate) fn jobs_of(&self, id: KindId) -> usize {
        self.kinds[id as usize].as_ref().map_or(0, |slot| slot.jobs)
    }

    /// Kinds of which jobs wait.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter().flatten().map(|slot| &*slot.kind)
    }

    pub(crate) fn kinds_max(&self) -> usize {
        self.kinds.len()
    }

    pub(crate) fn lanes_max(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[id as usize]
    }

    pub(crate) fn demand(&self) -> &HashMap<ModelSet, usize> {
        &self.demand
    }

    /// How long a job has waited, and how long no other came.
    pub(crate) fn ages(&self, job: JobId, now: Seconds) -> (Seconds, Seconds) {
        let arrived = self.entries.get(&job).map_or(now, |entry| entry.arrived);
        (now - arrived, now - self.last_arrival)
    }

    pub(crate) fn pass_over(&mut self, job: JobId, now: Seconds) {
        if self.entries.contains_key(&job) {
            self.passed_over.entry(job).or_insert(PassedOver { since: now });
        }
    }

    /// Jobs that were passed over, the one that waits longest for it first.
    pub(crate) fn passed_over(&self) -> Vec<(JobId, PassedOver)> {
        let mut jobs: Vec<_> = self.passed_over.iter().map(|(job, held)| (*job, *held)).collect();
        jobs.sort_by(|a, b| a.1.since.total_cmp(&b.1.since).then(a.0.cmp(&b.0)));
        jobs
    }

    fn move_lane(&mut self, id: LaneId, spent: f64) {
        let was = std::mem::replace(&mut self.lanes[id as usize].spent, spent);
        for lanes in [&mut self.busy, &mut self.active] {
            if lanes.remove(&(Ordered(was), id)) {
                lanes.insert((Ordered(spent), id));
            }
        }
    }

    fn lane_in(&mut self, caller: Caller) -> LaneId {
        if let Some(&id) = self.lane_of.get(&caller) {
            return id;
        }
        let weight = self.weights.get(&caller).copied().unwrap_or(1.0);
        let lane = Lane { caller, weight, spent: 0.0, jobs: BTreeMap::new(), in_flight: 0 };
        let name = lane.caller.clone();
        let id = if let Some(id) = self.free_lanes.pop() {
            self.lanes[id as usize] = lane;
            id
        } else {
            self.lanes.push(lane);
            LaneId::try_from(self.lanes.len() - 1).expect("fewer callers than 2^32")
        };
        self.lane_of.insert(name, id);
        id
    }

    /// Forgets callers that would begin anew with what they have.
    fn forget_idle(&mut self) {
        let Self { lanes, lane_of, free_lanes, virtual_time, .. } = self;
        lane_of.retain(|_, id| {
            let lane = &lanes[*id as usize];
            let keep = !lane.jobs.is_empty() || lane.in_flight > 0 || lane.spent > *virtual_time;
            if !keep {
                free_lanes.push(*id);
            }
            keep
        });
        free_lanes.sort_unstable_by(|a, b| b.cmp(a));
    }

    fn kind_in(&mut self, kind: Kind) -> KindId {
        if let Some(&id) = self.kind_of.get(&kind) {
            if let Some(slot) = &mut self.kinds[id as usize] {
                slot.jobs += 1;
            }
            return id;
        }
        let kind = Arc::new(kind);
        let slot = Some(KindSlot { kind: kind.clone(), jobs: 1 });
        let id = if let Some(id) = self.free_kinds.pop() {
            self.kinds[id as usize] = slot;
            id
        } else {
            self.kinds.push(slot);
            KindId::try_from(self.kinds.len() - 1).expect("fewer kinds than 2^32")
        };
        self.kind_of.insert(kind, id);
        id
    }

    fn leave_kind(&mut self, id: KindId) {
        let Some(slot) = &mut self.kinds[id as usize] else { return };
        let models = slot.kind.models;
        if let Some(count) = self.demand.get_mut(&models) {
            *count -= 1;
            if *count == 0 {
                self.demand.remove(&models);
            }
        }
        slot.jobs -= 1;
        if slot.jobs == 0 {
            self.kind_of.remove(&slot.kind);
            self.kinds[id as usize] = None;
            self.free_kinds.push(id);
        }
    }
}

#[cfg(test)]
mod tests;
