//! Priorities of jobs that were moved while they were not in the queue.
//!
//! The store says that a job waits before it is here: while it is on its way from its plan or from a server that lost
//! it, and after it was given to an attempt that has not claimed it yet. Whoever brings it then may have read it before
//! it was moved. Reading the store again on the way in would cost every job a read for what hardly ever happens; what
//! was told is here already. Moves are told in the order in which they were stored, so the newest one told is never
//! older than what a job comes with, except where a newer one is told next.

use std::collections::HashMap;

use hub_core::ids::JobId;

/// Entries from which on those of jobs that have ended are let go: most of such jobs never come back here, and wholes
/// never come at all. Beyond it there are as many as moved jobs that have not ended.
const KEPT: usize = 256;

/// What was told of jobs that are not in the queue.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<JobId, i32>);

impl Told {
    /// Keeps a job's priority until the job comes; `is_open` says which jobs have not ended.
    pub(super) fn keep(&mut self, job: JobId, priority: i32, is_open: impl Fn(JobId) -> bool) {
        self.0.insert(job, priority);
        if self.0.len() > KEPT {
            // The newest one may be of a job that nobody here knows yet.
            self.0.retain(|kept, _| *kept == job || is_open(*kept));
        }
    }

    /// The newest priority of a job that comes, if it was moved while it was not here.
    pub(super) fn take(&mut self, job: JobId) -> Option<i32> {
        self.0.remove(&job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_priority_counts_and_only_once() {
        let (mut told, job) = (Told::default(), JobId::new());
        told.keep(job, 5, |_| true);
        told.keep(job, 7, |_| true);
        assert_eq!(told.take(job), Some(7));
        assert_eq!(told.take(job), None);
    }

    #[test]
    fn jobs_that_have_ended_are_let_go_when_there_are_many() {
        let (mut told, open) = (Told::default(), JobId::new());
        told.keep(open, 1, |_| true);
        for _ in 0..3 * KEPT {
            told.keep(JobId::new(), 2, |job| job == open);
            assert!(told.0.len() <= KEPT);
        }
        assert_eq!(told.take(open), Some(1));
    }
}
