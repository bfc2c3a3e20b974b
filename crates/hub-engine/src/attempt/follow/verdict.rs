//! How following a prompt can end. Facts only; what they mean for the job is judged elsewhere.

use comfyui::{ExecutionError, HistoryEntry, HistoryStatus};

/// How following ended.
pub(in crate::attempt) enum Verdict {
    /// It is in the history.
    Done(Box<HistoryEntry>),
    /// A node failed.
    Failed(Box<ExecutionError>),
    /// The history says that it failed, but not how.
    FailedSilently,
    /// Somebody interrupted it on the server.
    Interrupted,
    /// The server is gone, and the prompt with it.
    Lost,
    /// The server does not answer; the prompt may still run there.
    Silent,
    /// The server had it and knows nothing of it any more.
    Vanished,
    /// An earlier process meant to post it, and the server knows nothing of it.
    NeverThere,
    /// It runs, but shows no sign of life.
    Stalled,
    /// It runs longer than it may.
    OverLimit,
    /// The server did not begin it in time. `idle`: although it had nothing else to do, so its worker is dead.
    NotBegun { idle: bool },
    /// The server had not begun it, and it was taken off its queue for another one.
    TakenBack,
    /// The job was cancelled.
    Cancelled,
    /// The server left the pool.
    Retired,
    /// The hub lets go.
    LetGo,
}

/// The failure that a history entry tells, if it tells one.
pub(in crate::attempt) fn failure(entry: &HistoryEntry) -> Option<Verdict> {
    match entry.status {
        HistoryStatus::Success => None,
        HistoryStatus::Interrupted => Some(Verdict::Interrupted),
        HistoryStatus::Error => {
            Some(entry.error().map_or(Verdict::FailedSilently, |error| Verdict::Failed(Box::new(error.clone()))))
        }
    }
}
