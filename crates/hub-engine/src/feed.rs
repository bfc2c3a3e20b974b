//! What happens in the hub, in one order, for whoever follows all of it.
//!
//! Owns a bounded ring of the newest changes (states of jobs and servers, alerts), numbered without gaps, so
//! that a follower that was away goes on where it was; and what passes by unkept (progress, queue sizes). Telling
//! never waits: a follower that reads too slowly is told that it missed something, and begins anew.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::{DateTime, Utc};
use hub_core::{ids::ServerId, job::JobStateKind, server::ServerState};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{Alert, JobProgress};

/// Changes kept for those who come back.
const KEPT: usize = 4096;
/// News that a follower may be behind before it has to begin anew.
const BEHIND_MAX: usize = 2048;

/// A place in the feed: which process told it, and where. As text `PROCESS.NUMBER`, for `Last-Event-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedId {
    process: i64,
    number: u64,
}

impl FeedId {
    /// An id of something that this hub never told.
    pub fn foreign() -> Self {
        Self { process: -1, number: u64::MAX }
    }
}

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.process, self.number)
    }
}

/// A text that is no [`FeedId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no id of an event")]
pub struct InvalidFeedId;

impl FromStr for FeedId {
    type Err = InvalidFeedId;

    fn from_str(text: &str) -> Result<Self, InvalidFeedId> {
        let (process, number) = text.split_once('.').ok_or(InvalidFeedId)?;
        Ok(Self {
            process: i64::from_str_radix(process, 16).map_err(|_| InvalidFeedId)?,
            number: number.parse().map_err(|_| InvalidFeedId)?,
        })
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedEvent {
    /// A job came, changed its state, ended, or got on.
    Job(JobProgress),
    /// A server changed its state.
    Server(ServerChange),
    /// Something that a person may want to know.
    Alert(Alert),
    /// How many jobs there are in each state.
    Queue(QueueSizes),
}

/// A server's new state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ServerChange {
    /// When.
    pub at: DateTime<Utc>,
    /// Which.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// What its session is at.
    pub state: ServerState,
    /// Why, in words, when it is not ready.
    pub reason: Option<String>,
}

/// Jobs that have not ended, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueSizes {
    /// Their prompts are being prepared.
    pub planning: usize,
    /// They wait for a server.
    pub queued: usize,
    /// A server was chosen.
    pub assigned: usize,
    /// They run.
    pub running: usize,
    /// Their files are being fetched.
    pub collecting: usize,
}

impl QueueSizes {
    /// Counts one more job in that state.
    pub(crate) fn count(&mut self, state: JobStateKind) {
        match state {
            JobStateKind::Planning => self.planning += 1,
            JobStateKind::Queued => self.queued += 1,
            JobStateKind::Assigned => self.assigned += 1,
            JobStateKind::Running => self.running += 1,
            JobStateKind::Collecting => self.collecting += 1,
            JobStateKind::Succeeded | JobStateKind::Failed | JobStateKind::Cancelled | JobStateKind::Expired => {}
        }
    }
}

/// Why a follower must take the whole state anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anew {
    /// It has just come.
    Start,
    /// The hub was restarted since, or the id is none of its own.
    Restarted,
    /// More happened since than is kept.
    TooLongAgo,
    /// It read too slowly.
    TooSlow,
}

/// What a follower is told next.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedNews {
    /// Nothing that was told before counts any more: ask for the whole state, then go on. The state asked for
    /// after this is at least as new as the id.
    Anew(Anew, FeedId),
    /// Something happened; changes have an id, what passes by has none.
    Event(Option<FeedId>, Arc<FeedEvent>),
}

type Told = (Option<u64>, Arc<FeedEvent>);

/// The feed; cheap to clone.
#[derive(Clone)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
}

struct Shared {
    process: i64,
    ring: Mutex<Ring>,
    told: broadcast::Sender<Told>,
    /// Followers that need nothing of what passes by.
    content: AtomicUsize,
    stop: CancellationToken,
}

#[derive(Default)]
struct Ring {
    /// Number of the newest change; 0 before the first.
    newest: u64,
    kept: VecDeque<(u64, Arc<FeedEvent>)>,
}

impl Feed {
    /// The feed of the process that started at `started`. Followers leave at `stop`.
    pub(crate) fn new(started: DateTime<Utc>, stop: CancellationToken) -> Self {
        let shared = Shared {
            process: started.timestamp_millis(),
            ring: Mutex::default(),
            told: broadcast::Sender::new(BEHIND_MAX),
            content: AtomicUsize::new(0),
            stop,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Tells a change and keeps it.
    pub(crate) fn tell(&self, event: FeedEvent) {
        let event = Arc::new(event);
        let mut ring = self.ring();
        ring.newest += 1;
        let number = ring.newest;
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back((number, event.clone()));
        // While the ring is held, so that changes are told in the order of their numbers. Nobody may listen.
        let _ = self.shared.told.send((Some(number), event));
    }

    /// Tells those who listen now, and keeps nothing.
    pub(crate) fn tell_in_passing(&self, event: FeedEvent) {
        // As above.
        let _ = self.shared.told.send((None, Arc::new(event)));
    }

    /// Whether anybody listens to what passes by.
    pub(crate) fn is_followed(&self) -> bool {
        self.shared.told.receiver_count() > self.shared.content.load(Ordering::Relaxed)
    }

    /// Follows the changes from now on. What passes by is not told for this follower's sake alone.
    pub(crate) fn follow_changes(&self) -> FeedReader {
        let mut reader = self.follow(None);
        self.shared.content.fetch_add(1, Ordering::Relaxed);
        reader.content = true;
        reader
    }

    /// Follows from now on, or from after `last`, which the follower had seen.
    pub(crate) fn follow(&self, last: Option<FeedId>) -> FeedReader {
        let ring = self.ring();
        let live = self.shared.told.subscribe();
        let mut ahead = VecDeque::new();
        match last.map(|last| self.missed(&ring, last)) {
            Some(Ok(missed)) => ahead = missed,
            Some(Err(anew)) => ahead.push_back(FeedNews::Anew(anew, self.at(ring.newest))),
            None => ahead.push_back(FeedNews::Anew(Anew::Start, self.at(ring.newest))),
        }
        drop(ring);
        FeedReader { feed: self.clone(), ahead, live, content: false }
    }

    fn missed(&self, ring: &Ring, last: FeedId) -> Result<VecDeque<FeedNews>, Anew> {
        if last.process != self.shared.process || last.number > ring.newest {
            return Err(Anew::Restarted);
        }
        if ring.kept.front().is_some_and(|(oldest, _)| *oldest > last.number + 1) {
            return Err(Anew::TooLongAgo);
        }
        let later = ring.kept.iter().filter(|(number, _)| *number > last.number);
        Ok(later.map(|(number, event)| FeedNews::Event(Some(self.at(*number)), event.clone())).collect())
    }

    fn at(&self, number: u64) -> FeedId {
        FeedId { process: self.shared.process, number }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.shared.ring.lock().expect("nothing panics while it holds the feed")
    }
}

/// Follows the feed.
pub struct FeedReader {
    feed: Feed,
    ahead: VecDeque<FeedNews>,
    live: broadcast::Receiver<Told>,
    /// Counted among those who need nothing of what passes by.
    content: bool,
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        if self.content {
            self.feed.shared.content.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for FeedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedReader").field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}

impl FeedReader {
    /// What is next; `None` when the hub stops. Cancel safe.
    pub async fn next(&mut self) -> Option<FeedNews> {
        if let Some(news) = self.ahead.pop_front() {
            return Some(news);
        }
        let told = tokio::select! {
            biased;
            () = self.feed.shared.stop.cancelled() => return None,
            told = self.live.recv() => told,
        };
        match told {
            Ok((number, event)) => Some(FeedNews::Event(number.map(|number| self.feed.at(number)), event)),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                // What is kept would do, but whoever is that slow is served best by the state as it is.
                let ring = self.feed.ring();
                self.live = self.feed.shared.told.subscribe();
                Some(FeedNews::Anew(Anew::TooSlow, self.feed.at(ring.newest)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
