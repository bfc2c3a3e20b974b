//! Who goes where: a pure function of the queue and the servers, without clock or I/O.
//!
//! Owns the order of jobs ([`Queue`]) and the choice of a server ([`assign`]). Jobs are looked at in
//! fair order; each goes to the server where it would find the least work before it, and takes a place
//! there at once, so that jobs of one decision spread as if they had come one by one. A job that fits
//! nowhere now is passed over, not dropped, and holds nobody up.

mod queue;

use std::{collections::HashSet, sync::Arc};

use hub_core::ids::{JobId, ServerId, WorkflowId};

pub(crate) use queue::{Queue, Waiting};

/// One enabled server as the scheduler sees it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) server: ServerId,
    /// Share of work against its peers; > 0.
    pub(crate) weight: f64,
    /// Prompts of ours it may have at once.
    pub(crate) max_in_flight: u32,
    /// Prompts of ours it has.
    pub(crate) in_flight: u32,
    /// Prompts of others in its queue.
    pub(crate) foreign: u32,
    /// Whether it takes new work now.
    pub(crate) takes_work: bool,
    /// Decision in which it last got a job; of equal servers the one that waited longest is next.
    pub(crate) last_turn: u64,
    /// Workflows that it refused for want of a model file or a node.
    pub(crate) lacks: Arc<HashSet<WorkflowId>>,
}

impl Place {
    fn has_room(&self) -> bool {
        self.takes_work && self.in_flight < self.max_in_flight
    }

    /// Work that a further job would find here and be, per share.
    fn load_with_one_more(&self) -> f64 {
        f64::from(self.in_flight + self.foreign + 1) / self.weight.max(f64::MIN_POSITIVE)
    }
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) job: JobId,
    pub(crate) server: ServerId,
}

/// Assigns as many waiting jobs as there is room for. `turn` must be larger than at the call before.
pub(crate) fn assign(queue: &Queue, places: &mut [Place], turn: &mut u64) -> Vec<Assignment> {
    let mut room: usize =
        places.iter().filter(|place| place.has_room()).map(|p| (p.max_in_flight - p.in_flight) as usize).sum();
    let mut decided = Vec::new();
    for waiting in queue.in_order() {
        if room == 0 {
            break;
        }
        let Some(at) = choose(waiting, places) else { continue };
        *turn += 1;
        let place = &mut places[at];
        place.in_flight += 1;
        place.last_turn = *turn;
        room -= 1;
        decided.push(Assignment { job: waiting.job.id, server: place.server });
    }
    decided
}

/// Whether no enabled server may ever take the job again: each was excluded by an attempt. False while
/// no server is enabled at all, since one may come.
pub(crate) fn is_hopeless(waiting: &Waiting, places: &[Place]) -> bool {
    !places.is_empty() && places.iter().all(|place| waiting.job.excluded.contains(&place.server))
}

fn choose(waiting: &Waiting, places: &[Place]) -> Option<usize> {
    let workflow = waiting.job.recipe.as_ref().map(|recipe| recipe.workflow_id);
    let lacks = |place: &Place| workflow.is_some_and(|workflow| place.lacks.contains(&workflow));
    let may = |place: &&Place| !waiting.job.excluded.contains(&place.server);
    // What is known to be lacking steers jobs away from a server, but is asked again when it would leave
    // no server at all: files get installed.
    let heed_lacks = places.iter().filter(may).any(|place| !lacks(place));
    places
        .iter()
        .enumerate()
        .filter(|(_, place)| place.has_room() && may(place) && !(heed_lacks && lacks(place)))
        .min_by(|(_, a), (_, b)| {
            let avoided = |place: &Place| waiting.avoid == Some(place.server);
            avoided(a)
                .cmp(&avoided(b))
                .then(a.load_with_one_more().total_cmp(&b.load_with_one_more()))
                .then(a.last_turn.cmp(&b.last_turn))
        })
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hub_core::caller::Caller;
    use proptest::prelude::*;

    use super::{queue::testing::waiting, *};

    fn place(server: ServerId) -> Place {
        Place {
            server,
            weight: 1.0,
            max_in_flight: 2,
            in_flight: 0,
            foreign: 0,
            takes_work: true,
            last_turn: 0,
            lacks: Arc::default(),
        }
    }

    fn queue_of(jobs: impl IntoIterator<Item = Waiting>) -> Queue {
        let mut queue = Queue::default();
        for job in jobs {
            queue.push(job);
        }
        queue
    }

    fn tally(decided: &[Assignment]) -> BTreeMap<ServerId, usize> {
        let mut tally = BTreeMap::new();
        for assignment in decided {
            *tally.entry(assignment.server).or_default() += 1;
        }
        tally
    }

    #[test]
    fn simultaneous_jobs_spread_evenly_and_ties_rotate() {
        let mut places = [place(ServerId::new()), place(ServerId::new()), place(ServerId::new())];
        let queue = queue_of((0..3).map(|_| waiting("a", 0)));
        let mut turn = 0;
        let decided = assign(&queue, &mut places, &mut turn);
        assert!(tally(&decided).values().all(|&jobs| jobs == 1), "{decided:?}");
        // One job at a time on an idle pool goes round, instead of always to the first server.
        let mut seen = HashSet::new();
        for _ in 0..3 {
            for place in &mut places {
                place.in_flight = 0;
            }
            let one = assign(&queue_of([waiting("a", 0)]), &mut places, &mut turn);
            seen.insert(one[0].server);
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn a_faster_server_and_one_without_foreign_work_go_first() {
        let (slow, fast, busy) = (ServerId::new(), ServerId::new(), ServerId::new());
        let mut places =
            [place(slow), Place { weight: 2.0, max_in_flight: 9, ..place(fast) }, Place { foreign: 5, ..place(busy) }];
        let decided = assign(&queue_of((0..3).map(|_| waiting("a", 0))), &mut places, &mut 0);
        assert_eq!(tally(&decided), BTreeMap::from([(slow, 1), (fast, 2)]));
    }

    #[test]
    fn excluded_and_lacking_servers_get_nothing_while_another_may() {
        let (first, second) = (ServerId::new(), ServerId::new());
        let mut job = waiting("a", 0);
        job.job.excluded = vec![first];
        let queue = queue_of([job.clone()]);
        let mut places = [place(first), place(second)];
        assert_eq!(assign(&queue, &mut places, &mut 0)[0].server, second);

        // The only one left is full: the job waits rather than going where it failed.
        places[1].in_flight = 2;
        assert!(assign(&queue, &mut places, &mut 0).is_empty());
        assert!(!is_hopeless(&job, &places));
        job.job.excluded.push(second);
        assert!(is_hopeless(&job, &places));
        assert!(!is_hopeless(&job, &[]));

        let mut job = waiting("a", 0);
        let workflow = WorkflowId::new();
        job.job.recipe.as_mut().unwrap().workflow_id = workflow;
        let lacking = Arc::new(HashSet::from([workflow]));
        let mut places = [Place { lacks: lacking.clone(), ..place(first) }, place(second)];
        assert_eq!(assign(&queue_of([job.clone()]), &mut places, &mut 0)[0].server, second);
        // Lacking everywhere: one is asked again, since files get installed.
        let mut places = [Place { lacks: lacking, ..place(first) }];
        assert_eq!(assign(&queue_of([job]), &mut places, &mut 0).len(), 1);
    }

    #[test]
    fn a_server_that_lost_the_job_before_is_the_last_choice() {
        let (lost, other) = (ServerId::new(), ServerId::new());
        let mut job = waiting("a", 0);
        job.avoid = Some(lost);
        let mut places = [place(lost), Place { in_flight: 1, ..place(other) }];
        assert_eq!(assign(&queue_of([job.clone()]), &mut places, &mut 0)[0].server, other);
        let mut places = [place(lost)];
        assert_eq!(assign(&queue_of([job]), &mut places, &mut 0)[0].server, lost);
    }

    proptest! {
        #[test]
        fn no_server_gets_more_than_it_may_have_and_room_is_used(
            jobs in 0_usize..40,
            rooms in prop::collection::vec((0_u32..4, 0_u32..4, any::<bool>(), 1_u8..5), 0..6),
        ) {
            let mut places: Vec<Place> = rooms
                .iter()
                .map(|&(max, had, takes_work, weight)| Place {
                    max_in_flight: max, in_flight: had.min(max), takes_work, weight: f64::from(weight), ..place(ServerId::new())
                })
                .collect();
            let room: u32 = places.iter().filter(|p| p.takes_work).map(|p| p.max_in_flight - p.in_flight).sum();
            let queue = queue_of((0..jobs).map(|at| waiting(if at % 3 == 0 { "a" } else { "b" }, 0)));
            let decided = assign(&queue, &mut places, &mut 0);
            prop_assert_eq!(decided.len(), jobs.min(room as usize));
            prop_assert!(places.iter().all(|p| p.in_flight <= p.max_in_flight));
            let distinct: HashSet<JobId> = decided.iter().map(|d| d.job).collect();
            prop_assert_eq!(distinct.len(), decided.len());
        }

        #[test]
        fn every_caller_gets_a_turn_however_many_jobs_another_has(greedy in 1_usize..60) {
            let mut queue = queue_of((0..greedy).map(|_| waiting("greedy", 9)));
            queue.push(waiting("modest", 0));
            let mut places = [Place { max_in_flight: 2, ..place(ServerId::new()) }];
            let decided = assign(&queue, &mut places, &mut 0);
            let callers: HashSet<&Caller> = queue.in_order().filter(|w| decided.iter().any(|d| d.job == w.job.id)).map(|w| &w.job.caller).collect();
            prop_assert_eq!(callers.len(), 2);
        }
    }
}
