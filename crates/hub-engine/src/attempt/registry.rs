//! The attempts at work: how to reach one, and whether any is left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use hub_core::ids::JobId;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Attempts by job; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    attempts: Mutex<Attempts>,
    at_work: watch::Sender<usize>,
}

#[derive(Default)]
struct Attempts {
    /// Per job: the serial number of its newest attempt, and its token.
    by_job: HashMap<JobId, (u64, CancellationToken)>,
    serial: u64,
}

impl Registry {
    /// Enters an attempt; it leaves when the entry is dropped.
    pub(super) fn enter(&self, job: JobId) -> Entry {
        let token = CancellationToken::new();
        let mut attempts = self.lock();
        attempts.serial += 1;
        let serial = attempts.serial;
        attempts.by_job.insert(job, (serial, token.clone()));
        drop(attempts);
        self.shared.at_work.send_modify(|count| *count += 1);
        Entry { job, serial, token, registry: self.clone() }
    }

    /// Tells a job's attempt that the job was cancelled; false when it has none.
    pub(crate) fn cancel(&self, job: JobId) -> bool {
        let attempts = self.lock();
        let found = attempts.by_job.get(&job);
        if let Some((_, token)) = found {
            token.cancel();
        }
        found.is_some()
    }

    /// Waits until no attempt is at work.
    pub(crate) async fn idle(&self) {
        // The sender lives as long as this registry, so waiting cannot fail.
        let _ = self.shared.at_work.subscribe().wait_for(|count| *count == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.shared.attempts.lock().expect("nothing panics while it holds the registry")
    }
}

/// One attempt's place in the registry.
pub(super) struct Entry {
    job: JobId,
    serial: u64,
    token: CancellationToken,
    registry: Registry,
}

impl Entry {
    /// Completes when the job was cancelled.
    pub(super) fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut attempts = self.registry.lock();
        // A job that was requeued may have its next attempt already.
        if attempts.by_job.get(&self.job).is_some_and(|(serial, _)| *serial == self.serial) {
            attempts.by_job.remove(&self.job);
        }
        drop(attempts);
        self.registry.shared.at_work.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_older_entry_does_not_take_the_newer_one_along() {
        let (registry, job) = (Registry::default(), JobId::new());
        let first = registry.enter(job);
        let second = registry.enter(job);
        drop(first);
        assert!(registry.cancel(job));
        second.cancelled().await;
        drop(second);
        assert!(!registry.cancel(job));
        registry.idle().await;
    }
}
