//! Tasks that make the world agree with the store, each at its own pace.
//!
//! A task takes no input, may run at any time and as often as one likes, never beside itself, and tells
//! what it did. What each did last can be read at any time; how it is kept is in [`Reconcilers`].

mod expire;
pub(crate) mod orphans;
pub(crate) mod restart;
pub(crate) mod retention;

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use hub_core::error::UserError;
use tokio::time::{Instant, MissedTickBehavior};

pub use self::orphans::FileCheck;
pub use self::retention::{RetentionPlan, RetentionPolicy};
use crate::{ReconcilerRun, ReconcilerView, background::Background};

/// What one run of a task did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// There was nothing to do.
    Idle,
    /// So many things were put right.
    Done(usize),
    /// It could not be done, or not wholly; the next run tries again.
    Failed(UserError),
}

/// The tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Restart,
    Expire,
    Retention,
    Orphans,
}

impl Task {
    const ALL: [Self; 4] = [Self::Restart, Self::Expire, Self::Retention, Self::Orphans];

    fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Expire => "expire",
            Self::Retention => "retention",
            Self::Orphans => "orphans",
        }
    }

    fn does(self) -> &'static str {
        match self {
            Self::Restart => "Takes up unfinished jobs that nobody follows.",
            Self::Expire => "Ends jobs that waited for a server longer than they may.",
            Self::Retention => {
                "Deletes finished jobs that are older, or more, than may be, with their files, and given pictures that no job needs."
            }
            Self::Orphans => "Deletes files that no picture's record names, and finds pictures whose file is gone.",
        }
    }

    fn every(self) -> Duration {
        match self {
            Self::Restart => Duration::from_mins(1),
            Self::Expire => Duration::from_secs(1),
            Self::Retention => Duration::from_hours(1),
            Self::Orphans => Duration::from_hours(6),
        }
    }

    /// Pause before the first run: a start has better things to do than to read all folders.
    fn first_after(self) -> Duration {
        match self {
            Self::Orphans => Duration::from_mins(10),
            _ => Duration::ZERO,
        }
    }

    async fn activate(self, background: &Background) -> Status {
        match self {
            Self::Restart => restart::activate(background).await,
            Self::Expire => expire::activate(background.inner()).await,
            Self::Retention => retention::activate(background.inner()).await,
            Self::Orphans => orphans::activate(background.inner()).await,
        }
    }
}

/// What the tasks did last.
#[derive(Debug, Default)]
pub(crate) struct Reconcilers {
    last: Mutex<[Option<ReconcilerRun>; Task::ALL.len()]>,
    /// A task never runs beside itself.
    turns: [tokio::sync::Mutex<()>; Task::ALL.len()],
}

impl Reconcilers {
    /// All tasks with their newest runs.
    pub(crate) fn views(&self) -> Vec<ReconcilerView> {
        let last = self.last();
        Task::ALL.into_iter().zip(last.iter()).map(|(task, last)| view(task, last.as_ref())).collect()
    }

    fn last(&self) -> MutexGuard<'_, [Option<ReconcilerRun>; Task::ALL.len()]> {
        self.last.lock().expect("nothing panics while it holds the runs")
    }
}

fn view(task: Task, last: Option<&ReconcilerRun>) -> ReconcilerView {
    ReconcilerView { name: task.name(), does: task.does(), every: task.every(), last: last.cloned() }
}

/// Runs all tasks until the hub stops.
pub(crate) async fn run(background: Background) {
    tokio::join!(
        repeat(Task::Restart, &background),
        repeat(Task::Expire, &background),
        repeat(Task::Retention, &background),
        repeat(Task::Orphans, &background),
    );
}

async fn repeat(task: Task, background: &Background) {
    let mut interval = tokio::time::interval_at(Instant::now() + task.first_after(), task.every());
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = &background.inner().ctx.stop;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => drop(run_once(task, background).await),
        }
    }
}

/// Runs the task of that name now and answers what it did; `None` when there is no such task.
pub(crate) async fn run_now(name: &str, background: &Background) -> Option<ReconcilerView> {
    let task = Task::ALL.into_iter().find(|task| task.name() == name)?;
    let last = run_once(task, background).await;
    Some(view(task, Some(&last)))
}

async fn run_once(task: Task, background: &Background) -> ReconcilerRun {
    let inner = background.inner();
    let at = Task::ALL.iter().position(|other| *other == task).unwrap_or_default();
    let _turn = inner.reconcilers.turns[at].lock().await;
    let (started_at, begun) = (inner.ctx.clock.now(), Instant::now());
    let status = task.activate(background).await;
    match &status {
        Status::Idle => tracing::trace!(task = task.name(), "nothing to reconcile"),
        Status::Done(count) => tracing::info!(task = task.name(), count, "reconciled"),
        Status::Failed(error) => tracing::warn!(task = task.name(), error = %error, "reconciling failed"),
    }
    let run = ReconcilerRun { started_at, took: begun.elapsed(), status };
    inner.reconcilers.last()[at] = Some(run.clone());
    run
}
