//! The attempts at work: how to reach one, and whether any is left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use hub_core::ids::JobId;
use tokio::sync::{Notify, futures::Notified, watch};
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
    /// Per job: the serial number of its newest attempt, and how it is told.
    by_job: HashMap<JobId, (u64, Told)>,
    serial: u64,
}

/// What an attempt can be told.
#[derive(Clone, Default)]
struct Told {
    cancelled: CancellationToken,
    asked_back: Arc<Notify>,
}

impl Registry {
    /// Enters an attempt; it leaves when the entry is dropped.
    pub(super) fn enter(&self, job: JobId) -> Entry {
        let told = Told::default();
        let mut attempts = self.lock();
        attempts.serial += 1;
        let serial = attempts.serial;
        attempts.by_job.insert(job, (serial, told.clone()));
        drop(attempts);
        self.shared.at_work.send_modify(|count| *count += 1);
        Entry { job, serial, told, registry: self.clone() }
    }

    /// Tells a job's attempt that the job was cancelled; false when it has none.
    pub(crate) fn cancel(&self, job: JobId) -> bool {
        let attempts = self.lock();
        let found = attempts.by_job.get(&job);
        if let Some((_, told)) = found {
            told.cancelled.cancel();
        }
        found.is_some()
    }

    /// Asks a job's attempt to give the job back if its server has not begun it.
    pub(crate) fn ask_back(&self, job: JobId) {
        if let Some((_, told)) = self.lock().by_job.get(&job) {
            told.asked_back.notify_one();
        }
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
    told: Told,
    registry: Registry,
}

impl Entry {
    /// Completes when the job was cancelled.
    pub(super) fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.told.cancelled.cancelled()
    }

    /// Completes when the job is asked back, once for each time or, before it is listened to, once.
    pub(super) fn asked_back(&self) -> Notified<'_> {
        self.told.asked_back.notified()
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
