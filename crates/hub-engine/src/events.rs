//! The progress board: the newest progress of every job that has not ended, and who wants to know.
//!
//! Owns one watch per unfinished job and the broadcast of changed jobs. Never asks the store and never
//! blocks: a slow watcher misses steps, not the end. A job's end is published exactly once, since
//! publishing it takes the job off the board.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hub_core::{ids::JobId, job::JobStateKind};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    JobProgress, JobWatch, QueueSizes,
    feed::{Feed, FeedEvent},
};

/// Changes that a slow subscriber of [`Board::changes`] may be behind before it is told that it lags.
const CHANGES_KEPT: usize = 1024;
/// Pause between two announcements of one job's progress. States are announced at once.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(250);
/// Pause between two looks at the sizes of the queue.
const SIZES_EVERY: Duration = Duration::from_secs(1);

/// The board; cheap to clone.
#[derive(Clone)]
pub(crate) struct Board {
    shared: Arc<Shared>,
}

struct Shared {
    entries: Mutex<HashMap<JobId, watch::Sender<JobProgress>>>,
    changes: broadcast::Sender<JobId>,
    feed: Feed,
    /// Jobs whose progress moved since the last announcement.
    moved: Mutex<HashSet<JobId>>,
    woken: Notify,
}

impl Board {
    /// An empty board, whose changes go to `feed` too.
    pub(crate) fn new(feed: Feed) -> Self {
        let shared = Shared {
            entries: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            feed,
            moved: Mutex::default(),
            woken: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Puts a job on the board, or publishes the new state of one that is there.
    pub(crate) fn open(&self, progress: JobProgress) {
        let (job, part_of) = (progress.job, progress.part_of);
        let mut entries = self.entries();
        self.tell(&progress);
        match entries.get(&job) {
            Some(known) => known.send_modify(|old| {
                let sequence = old.sequence + 1;
                *old = JobProgress { sequence, ..progress };
            }),
            None => drop(entries.insert(job, watch::Sender::new(progress))),
        }
        drop(entries);
        if part_of.is_none() {
            self.announce(job);
        }
    }

    /// Changes a job's progress; `change` answers whether anything did change. Jobs that have ended are
    /// left alone. A change of state is announced at once, everything else a few times a second.
    pub(crate) fn update(&self, job: JobId, change: impl FnOnce(&mut JobProgress) -> bool) {
        self.change(job, true, change);
    }

    /// Like [`Board::update`], but tells the job's own watchers only, unless the state changes.
    pub(crate) fn update_quietly(&self, job: JobId, change: impl FnOnce(&mut JobProgress) -> bool) {
        self.change(job, false, change);
    }

    fn change(&self, job: JobId, announced: bool, change: impl FnOnce(&mut JobProgress) -> bool) {
        let entries = self.entries();
        let Some(entry) = entries.get(&job) else { return };
        let (mut state_changed, mut is_part) = (false, false);
        let changed = entry.send_if_modified(|progress| {
            let before = progress.state;
            is_part = progress.part_of.is_some();
            let changed = change(progress);
            progress.sequence += u64::from(changed);
            state_changed = progress.state != before;
            if state_changed {
                self.tell(progress);
            }
            changed
        });
        drop(entries);
        if is_part {
            return;
        }
        if state_changed {
            self.announce(job);
        } else if changed && announced && self.is_followed() && self.moved().insert(job) {
            self.shared.woken.notify_one();
        }
    }

    /// Publishes a job's end and takes it off the board; false when it had ended before.
    pub(crate) fn end(&self, job: JobId, state: JobStateKind) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.remove(&job) else { return false };
        entry.send_modify(|progress| {
            progress.sequence += 1;
            progress.state = state;
            progress.queue_position = None;
            progress.fraction = 1.0;
            progress.steps = None;
            progress.node = None;
            progress.preview = None;
            progress.why_waiting = None;
            progress.parts = progress.parts.map(|(_, of)| (of, of));
            self.tell(progress);
        });
        drop(entries);
        if entry.borrow().part_of.is_none() {
            self.announce(job);
        }
        true
    }

    /// Takes a job off the board without an end, because its fate is not known here; watchers are told to
    /// ask the store.
    pub(crate) fn drop_silently(&self, job: JobId) {
        self.entries().remove(&job);
    }

    /// Follows a job that is on the board.
    pub(crate) fn watch(&self, job: JobId) -> Option<JobWatch> {
        self.entries().get(&job).map(|entry| {
            let mut receiver = entry.subscribe();
            receiver.mark_changed();
            JobWatch(receiver)
        })
    }

    /// A watch that answers `progress` once and then ends.
    pub(crate) fn told(progress: JobProgress) -> JobWatch {
        let mut receiver = watch::Sender::new(progress).subscribe();
        receiver.mark_changed();
        JobWatch(receiver)
    }

    /// The newest progress of a job on the board.
    pub(crate) fn progress(&self, job: JobId) -> Option<JobProgress> {
        self.entries().get(&job).map(|entry| entry.borrow().clone())
    }

    /// Whether the job is on the board.
    pub(crate) fn knows(&self, job: JobId) -> bool {
        self.entries().contains_key(&job)
    }

    /// Ids of jobs that changed, parts left out, since their whole changes with them: states at once, progress at most four times a second each.
    pub(crate) fn changes(&self) -> broadcast::Receiver<JobId> {
        self.shared.changes.subscribe()
    }

    /// Announces progress at its pace until `stop`.
    pub(crate) fn flusher(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let board = self.clone();
        async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = board.shared.woken.notified() => {}
                }
                let moved = std::mem::take(&mut *board.moved());
                for job in moved {
                    board.announce(job);
                    if let Some(progress) = board.progress(job).filter(|_| board.shared.feed.is_followed()) {
                        board.shared.feed.tell_in_passing(FeedEvent::Job(unpictured(&progress)));
                    }
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(ANNOUNCE_EVERY) => {}
                }
            }
        }
    }

    /// Tells the sizes of the queue whenever they have changed, at its pace, until `stop`.
    pub(crate) fn pulse(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let board = self.clone();
        async move {
            let mut told = None;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(SIZES_EVERY) => {}
                }
                if board.shared.feed.is_followed() {
                    let sizes = board.sizes();
                    if told != Some(sizes) {
                        board.shared.feed.tell_in_passing(FeedEvent::Queue(sizes));
                        told = Some(sizes);
                    }
                }
            }
        }
    }

    /// Jobs on the board, by state.
    pub(crate) fn sizes(&self) -> QueueSizes {
        let mut sizes = QueueSizes::default();
        self.entries().values().for_each(|entry| sizes.count(entry.borrow().state));
        sizes
    }

    fn is_followed(&self) -> bool {
        self.shared.changes.receiver_count() > 0 || self.shared.feed.is_followed()
    }

    /// Tells a change of state, parts left out, in the order in which the board saw them: call it while the board is held.
    fn tell(&self, progress: &JobProgress) {
        if progress.part_of.is_some() {
            return;
        }
        self.shared.feed.tell(FeedEvent::Job(unpictured(progress)));
    }

    fn announce(&self, job: JobId) {
        // Nobody listening is the usual case, not a failure.
        let _ = self.shared.changes.send(job);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<JobProgress>>> {
        self.shared.entries.lock().expect("nothing panics while it holds the board")
    }

    fn moved(&self) -> MutexGuard<'_, HashSet<JobId>> {
        self.shared.moved.lock().expect("nothing panics while it holds the board")
    }
}

/// Progress without its picture, which would keep whole pictures in memory.
fn unpictured(progress: &JobProgress) -> JobProgress {
    JobProgress { preview: None, ..progress.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        Board::new(Feed::new(chrono::DateTime::UNIX_EPOCH, CancellationToken::new()))
    }

    fn progress(job: JobId) -> JobProgress {
        JobProgress {
            job,
            sequence: 0,
            state: JobStateKind::Queued,
            queue_position: Some(0),
            server: None,
            fraction: 0.0,
            steps: None,
            node: None,
            preview: None,
            why_waiting: None,
            parts: None,
            part_of: None,
        }
    }

    fn set_fraction(board: &Board, job: JobId, fraction: f32) {
        board.update(job, |progress| {
            progress.fraction = fraction;
            true
        });
    }

    #[tokio::test]
    async fn a_slow_watcher_misses_steps_but_never_the_end() {
        let (board, job) = (board(), JobId::new());
        board.open(progress(job));
        let mut watch = board.watch(job).unwrap();
        for step in 1_u8..=100 {
            set_fraction(&board, job, f32::from(step) / 100.0);
        }
        assert!(board.end(job, JobStateKind::Succeeded));
        let end = watch.next().await.unwrap();
        assert_eq!((end.state, end.sequence), (JobStateKind::Succeeded, 101));
        assert!(watch.next().await.is_none());
    }

    #[tokio::test]
    async fn an_end_is_published_once() {
        let (board, job) = (board(), JobId::new());
        let mut changes = board.changes();
        board.open(progress(job));
        assert!(board.end(job, JobStateKind::Cancelled));
        assert!(!board.end(job, JobStateKind::Succeeded));
        set_fraction(&board, job, 0.5);
        assert_eq!(changes.try_recv(), Ok(job));
        assert_eq!(changes.try_recv(), Ok(job));
        assert!(changes.try_recv().is_err());
        assert!(!board.knows(job));
    }

    #[tokio::test]
    async fn parts_are_told_to_their_own_watchers_only() {
        let (board, job) = (board(), JobId::new());
        let mut changes = board.changes();
        board.open(JobProgress { part_of: Some(JobId::new()), ..progress(job) });
        let mut watch = board.watch(job).unwrap();
        set_fraction(&board, job, 0.5);
        assert!(board.end(job, JobStateKind::Succeeded));
        assert!(changes.try_recv().is_err());
        assert_eq!(watch.next().await.map(|told| told.state), Some(JobStateKind::Succeeded));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_announced_at_most_four_times_a_second() {
        let (board, job) = (board(), JobId::new());
        board.open(progress(job));
        let stop = CancellationToken::new();
        let flusher = tokio::spawn(board.flusher(stop.clone()));
        let mut changes = board.changes();
        for step in 0_u16..1000 {
            set_fraction(&board, job, f32::from(step) / 1000.0);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        flusher.await.unwrap();
        let mut announced = 0;
        while changes.try_recv().is_ok() {
            announced += 1;
        }
        assert!((2..=5).contains(&announced), "{announced}");
    }

    #[tokio::test]
    async fn a_job_that_is_not_on_the_board_is_told_once() {
        let mut watch = Board::told(progress(JobId::new()));
        assert!(watch.next().await.is_some());
        assert!(watch.next().await.is_none());
    }
}
