//! Which jobs belong to the requests that a session has open: what `notifications/cancelled` names
//! is a request, what has to be cancelled is a job.
//!
//! The request's own token is no substitute: it also falls when a session ends or the hub closes, and
//! then the job goes on. The token falls a moment before the notification arrives, so a call whose token
//! fell lingers until it knows which it was.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hub_core::ids::JobId;
use rmcp::model::RequestId;
use tokio::sync::Notify;

/// Longest time between a token's fall and the notification that caused it.
const NOTICE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Its job is not known yet.
    Submitting,
    /// Cancelled before its job was known.
    Cancelled,
    /// Waits for this job.
    Waiting(JobId),
}

#[derive(Debug)]
struct Entry {
    call: Call,
    /// Told when a cancellation came.
    notice: Arc<Notify>,
}

type Calls = Arc<Mutex<HashMap<RequestId, Entry>>>;

/// The open calls of one session.
#[derive(Debug, Default)]
pub(super) struct CallsInFlight(Calls);

/// One open call; forgotten when dropped.
pub(super) struct OpenCall {
    calls: Calls,
    id: RequestId,
    notice: Arc<Notify>,
}

fn lock(calls: &Calls) -> MutexGuard<'_, HashMap<RequestId, Entry>> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallsInFlight {
    pub(super) fn begin(&self, id: RequestId) -> OpenCall {
        let notice = Arc::new(Notify::new());
        lock(&self.0).insert(id.clone(), Entry { call: Call::Submitting, notice: notice.clone() });
        OpenCall { calls: self.0.clone(), id, notice }
    }

    /// Marks the call as cancelled; answers its job if it is known.
    pub(super) fn cancel(&self, id: &RequestId) -> Option<JobId> {
        let mut calls = lock(&self.0);
        let entry = calls.get_mut(id)?;
        entry.notice.notify_one();
        match entry.call {
            Call::Waiting(job) => Some(job),
            Call::Submitting | Call::Cancelled => {
                entry.call = Call::Cancelled;
                None
            }
        }
    }
}

impl OpenCall {
    /// The call's job is known now; `false` when the call was cancelled before.
    pub(super) fn runs(&self, job: JobId) -> bool {
        match lock(&self.calls).get_mut(&self.id) {
            Some(entry) if entry.call == Call::Cancelled => false,
            Some(entry) => {
                entry.call = Call::Waiting(job);
                true
            }
            None => true,
        }
    }

    /// Stays until a cancellation of this call came, or none can be on its way any more.
    pub(super) async fn linger(self) {
        if tokio::time::timeout(NOTICE_MAX, self.notice.notified()).await.is_err() {
            tracing::debug!(request = %self.id, "the call ended with its session");
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        lock(&self.calls).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_finds_the_job_of_its_request_only() {
        let calls = CallsInFlight::default();
        let (first, second) = (RequestId::Number(1), RequestId::Number(2));
        let open = calls.begin(first.clone());
        let other = calls.begin(second.clone());
        let job = JobId::new();
        assert!(open.runs(job));
        assert!(other.runs(JobId::new()));
        assert_eq!(calls.cancel(&first), Some(job));
        drop(open);
        assert_eq!(calls.cancel(&first), None);
        assert!(calls.cancel(&second).is_some());
    }

    #[test]
    fn a_cancellation_that_overtakes_the_submit_is_remembered() {
        let calls = CallsInFlight::default();
        let id = RequestId::Number(1);
        let open = calls.begin(id.clone());
        assert_eq!(calls.cancel(&id), None);
        assert!(!open.runs(JobId::new()));
    }
}
