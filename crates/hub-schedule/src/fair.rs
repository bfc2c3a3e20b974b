//! Walks the queue in fair order without changing it.
//!
//! Each job that is walked past counts as served for what follows, so that the callers alternate as they
//! would if the walk were real. Kinds can be closed on the way: their further jobs are not visited.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, btree_map, btree_set},
    iter::Peekable,
};

use hub_core::ids::JobId;

use crate::{
    Kind, Seconds,
    queue::{KindId, LaneId, Ordered, Queue, Rank},
};

/// One job's turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) job: JobId,
    pub(crate) kind: KindId,
    pub(crate) lane: LaneId,
    pub(crate) priority: i32,
    /// Consumption of its caller before it, on the common scale.
    pub(crate) spent: f64,
}

/// The walk.
pub(crate) struct FairOrder<'q> {
    queue: &'q Queue,
    /// Lanes not visited yet.
    fresh: Peekable<btree_set::Iter<'q, (Ordered, LaneId)>>,
    /// Lanes visited, by what they would have consumed by now.
    visited: BinaryHeap<Reverse<(Ordered, LaneId)>>,
    /// Where each lane that was visited is.
    lanes: Vec<Option<btree_map::Iter<'q, Rank, KindId>>>,
    /// By kind. A long queue is mostly of kinds that are closed: a look must cost next to nothing.
    closed: Vec<bool>,
    any_closed: bool,
    /// What a job of each kind costs its caller, once asked for.
    costs: Vec<Option<Seconds>>,
}

impl<'q> FairOrder<'q> {
    pub(crate) fn new(queue: &'q Queue) -> Self {
        Self {
            queue,
            fresh: queue.busy.iter().peekable(),
            visited: BinaryHeap::new(),
            lanes: vec![None; queue.lanes_max()],
            closed: vec![false; queue.kinds_max()],
            any_closed: false,
            costs: vec![None; queue.kinds_max()],
        }
    }

    /// Visits no more jobs of this kind.
    pub(crate) fn close(&mut self, kind: KindId) {
        self.closed[kind as usize] = true;
        self.any_closed = true;
    }

    pub(crate) fn is_closed(&self, kind: KindId) -> bool {
        self.closed[kind as usize]
    }

    /// The next job; `cost` says what one of its kind costs its caller, and is asked once for each.
    pub(crate) fn next(&mut self, cost: impl Fn(&Kind) -> Seconds) -> Option<Turn> {
        loop {
            let (spent, lane) = self.next_lane()?;
            let queue = self.queue;
            let jobs = self.lanes[lane as usize].get_or_insert_with(|| queue.lane(lane).jobs.iter());
            let closed = &self.closed;
            let next = if self.any_closed { jobs.find(|job| !closed[*job.1 as usize]) } else { jobs.next() };
            // A lane with nothing left to visit is not put back.
            let Some((&(Reverse(priority), job), &kind)) = next else { continue };
            let cost = *self.costs[kind as usize].get_or_insert_with(|| cost(queue.kind_at(kind)));
            let after = spent + cost / queue.lane(lane).weight;
            self.visited.push(Reverse((Ordered(after), lane)));
            return Some(Turn { job, kind, lane, priority, spent });
        }
    }

    fn next_lane(&mut self) -> Option<(f64, LaneId)> {
        let fresh = self.fresh.peek().map(|next| **next);
        let visited = self.visited.peek().map(|Reverse(next)| *next);
        let next = match (fresh, visited) {
            (Some(fresh), Some(visited)) if visited < fresh => self.visited.pop().map(|Reverse(next)| next),
            (None, Some(_)) => self.visited.pop().map(|Reverse(next)| next),
            (Some(_), _) => self.fresh.next().copied(),
            (None, None) => None,
        };
        next.map(|(spent, lane)| (spent.0, lane))
    }
}
