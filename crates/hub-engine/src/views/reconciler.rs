//! Reconcilers and what they did, for people.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::ReconcilerStatus;

/// A task that keeps the world in agreement with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcilerView {
    /// Its name.
    pub name: &'static str,
    /// What it does, in words.
    pub does: &'static str,
    /// Pause between two runs.
    pub every: Duration,
    /// Its newest run; `None` before the first one has ended.
    pub last: Option<ReconcilerRun>,
}

/// One run of a reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcilerRun {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// What it did.
    pub status: ReconcilerStatus,
}
