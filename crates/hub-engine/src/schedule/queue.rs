//! The jobs that wait, in fair order.
//!
//! Callers take turns; within a caller higher priority goes first, then arrival. A job that comes back
//! from a lost attempt has its old place. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet, VecDeque, btree_map},
};

use hub_core::{
    caller::Caller,
    ids::{JobId, ServerId},
    job::Job,
};

/// A job that waits for a server, with what its earlier attempts taught.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) job: Job,
    /// Attempts that failed for a server's fault since the hub started.
    pub(crate) failures: u32,
    /// The server that lost it last; taken again only when no other has room.
    pub(crate) avoid: Option<ServerId>,
}

impl From<Job> for Waiting {
    fn from(job: Job) -> Self {
        Self { job, failures: 0, avoid: None }
    }
}

/// Order within a caller; ids are ordered by the time of their making.
type Rank = (Reverse<i32>, JobId);

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lanes: HashMap<Caller, BTreeMap<Rank, Waiting>>,
    /// Callers with jobs; the first is served next.
    turns: VecDeque<Caller>,
    ranks: HashMap<JobId, (Caller, Rank)>,
    /// Jobs that some server must not get again.
    choosy: HashSet<JobId>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    /// Adds a job; one that is there already is replaced.
    pub(crate) fn push(&mut self, waiting: Waiting) {
        let rank = (Reverse(waiting.job.priority), waiting.job.id);
        let caller = waiting.job.caller.clone();
        self.remove(waiting.job.id);
        self.ranks.insert(waiting.job.id, (caller.clone(), rank));
        if !waiting.job.excluded.is_empty() {
            self.choosy.insert(waiting.job.id);
        }
        let lane = self.lanes.entry(caller.clone()).or_default();
        if lane.is_empty() {
            self.turns.push_back(caller);
        }
        lane.insert(rank, waiting);
    }

    /// Takes a job out because it is served: its caller goes to the end of the round.
    pub(crate) fn serve(&mut self, job: JobId) -> Option<Waiting> {
        let waiting = self.remove(job)?;
        if let Some(at) = self.turns.iter().position(|caller| *caller == waiting.job.caller)
            && let Some(caller) = self.turns.remove(at)
        {
            self.turns.push_back(caller);
        }
        Some(waiting)
    }

    /// Takes a job out for any other reason.
    pub(crate) fn remove(&mut self, job: JobId) -> Option<Waiting> {
        let (caller, rank) = self.ranks.remove(&job)?;
        self.choosy.remove(&job);
        let lane = self.lanes.get_mut(&caller)?;
        let waiting = lane.remove(&rank);
        if lane.is_empty() {
            self.lanes.remove(&caller);
            self.turns.retain(|turn| *turn != caller);
        }
        waiting
    }

    /// Jobs that some server must not get again, in no order.
    pub(crate) fn choosy(&self) -> impl Iterator<Item = &Waiting> {
        self.choosy.iter().filter_map(|job| {
            let (caller, rank) = self.ranks.get(job)?;
            self.lanes.get(caller)?.get(rank)
        })
    }

    /// All jobs, the next one first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Waiting> {
        let lanes = self.turns.iter().filter_map(|caller| self.lanes.get(caller)).map(BTreeMap::values).collect();
        InOrder { lanes }
    }
}

struct InOrder<'q> {
    lanes: VecDeque<btree_map::Values<'q, Rank, Waiting>>,
}

impl<'q> Iterator for InOrder<'q> {
    type Item = &'q Waiting;

    fn next(&mut self) -> Option<&'q Waiting> {
        while let Some(mut lane) = self.lanes.pop_front() {
            if let Some(waiting) = lane.next() {
                self.lanes.push_back(lane);
                return Some(waiting);
            }
        }
        None
    }
}

#[cfg(test)]
pub(super) mod testing {
    use chrono::DateTime;
    use hub_core::{
        catalogue::Mode,
        ids::WorkflowId,
        job::{JobState, JobTimes},
        recipe::Recipe,
        request::{ImageRequest, JobRequest},
    };

    use super::*;

    pub(crate) fn waiting(caller: &str, priority: i32) -> Waiting {
        let recipe = Recipe {
            mode: Mode::Generate,
            render_type: "x".to_owned(),
            workflow: "x".to_owned(),
            workflow_version: 1,
            workflow_id: WorkflowId::new(),
            prompt_asked: None,
            prompt: None,
            negative_prompt: None,
            styles: Vec::new(),
            enhanced: false,
            not_enhanced_because: None,
            seed: 0,
            size: None,
            steps: None,
            cfg: None,
            denoise: None,
            input: None,
        };
        let now = DateTime::UNIX_EPOCH;
        Waiting::from(Job {
            id: JobId::new(),
            caller: Caller::named(caller),
            request: JobRequest::Image(ImageRequest::generate("x")),
            state: JobState::Queued,
            recipe: Some(recipe),
            text: None,
            warnings: Vec::new(),
            attempts: 0,
            excluded: Vec::new(),
            priority,
            idempotency_key: None,
            server: None,
            times: JobTimes { created_at: now, queued_at: Some(now), started_at: None, finished_at: None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::waiting, *};

    fn order(queue: &Queue) -> Vec<JobId> {
        queue.in_order().map(|waiting| waiting.job.id).collect()
    }

    #[test]
    fn callers_take_turns_and_priority_counts_within_one_only() {
        let jobs = [waiting("a", 0), waiting("a", 5), waiting("b", 0), waiting("a", 0)];
        let ids = jobs.clone().map(|waiting| waiting.job.id);
        let mut queue = Queue::default();
        for job in jobs {
            queue.push(job);
        }
        assert_eq!(order(&queue), [ids[1], ids[2], ids[0], ids[3]]);
        // `a` was served, so `b` is next.
        queue.serve(ids[1]);
        assert_eq!(order(&queue), [ids[2], ids[0], ids[3]]);
    }

    #[test]
    fn a_job_that_comes_back_has_its_old_place() {
        let jobs = [waiting("a", 0), waiting("a", 0), waiting("a", 0)];
        let ids = jobs.clone().map(|waiting| waiting.job.id);
        let mut queue = Queue::default();
        for job in jobs {
            queue.push(job);
        }
        let first = queue.serve(ids[0]).unwrap();
        assert_eq!(order(&queue), ids[1..]);
        queue.push(first);
        assert_eq!(order(&queue), ids);
        assert!(queue.remove(ids[1]).is_some());
        assert!(queue.remove(ids[1]).is_none());
        assert_eq!(order(&queue), [ids[0], ids[2]]);
    }
}
