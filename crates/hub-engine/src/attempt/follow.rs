//! Follows one posted prompt to its end.
//!
//! Events make it quick, the history makes it true: the follower hears events, and asks `/history` when
//! they say that it ended, when they stop coming, when the socket changed, and now and then. A prompt that
//! is in neither history nor queue twice in a row is gone. It changes nothing on the server and writes
//! nothing but the start of long jobs; what the end means is judged elsewhere. How long it waits for
//! what is in [`patience`], how it looks in [`look`].

mod give_back;
mod look;
mod patience;
mod show;
mod verdict;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use comfyui::{
    Client, Event, Graph,
    events::{Follow, Outcome, Phase},
};
use hub_core::{
    ids::JobId,
    job::JobState,
    server::{Server, ServerState},
};
use hub_schedule::FlightId;
use tokio::{sync::watch, time::Instant};

pub(super) use patience::Patience;
pub(super) use verdict::{Verdict, failure};

use self::{give_back::Whereabouts, patience::Limit};
use super::{Attempt, registry::Entry};
use crate::{
    CrashPoint, LivePreview,
    background::Inner,
    context::Context,
    crash,
    dispatch::Slot,
    persist,
    pool::{Inbox, Link, Session},
};

/// Pause after the first sign of success before the history is asked, when the final event stays away.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// A job that runs longer than this is stored as running.
const STORE_START_AFTER: Duration = Duration::from_secs(1);

/// The follower of one prompt.
pub(super) struct Follower<'g> {
    inner: Arc<Inner>,
    session: Arc<Session>,
    server: Arc<Server>,
    link: watch::Receiver<Link>,
    job: JobId,
    /// Its place on the server, until its beginning was told there.
    unbegun: Option<FlightId>,
    attempt: u32,
    prompt_id: String,
    fold: Follow,
    graph: Option<&'g Graph>,
    /// The socket that hears this prompt; none when nothing does.
    hearing: Option<Arc<str>>,
    /// Node at work, by id and as shown.
    node: Option<(String, Arc<str>)>,
    patience: Patience,
    /// How long it had run by the time it was taken up from an earlier process.
    ran_before: Duration,
    start_stored: bool,
    /// The server was heard or seen to have it, or is known to have had it.
    was_there: bool,
    place: Whereabouts,
    heard_since_look: bool,
    next_look: Instant,
    absent: u32,
    settling_since: Option<Instant>,
    settle_pause: Duration,
}

/// The moment so long ago.
pub(super) fn ago(ctx: &Context, past: Duration) -> Option<DateTime<Utc>> {
    ctx.clock.now().checked_sub_signed(TimeDelta::from_std(past).ok()?)
}

/// What is done at the server.
enum Errand {
    Due,
    GiveBack,
}

impl<'g> Follower<'g> {
    pub(super) fn new(attempt: &Attempt, fold: Follow, graph: Option<&'g Graph>, hearing: Option<Arc<str>>) -> Self {
        let now = Instant::now();
        let mut link = attempt.session.link();
        link.mark_changed();
        let server = attempt.session.server();
        Self {
            inner: attempt.inner.clone(),
            patience: Patience::new(&server, now),
            server,
            session: attempt.session.clone(),
            link,
            job: attempt.waiting.job.id,
            unbegun: attempt.slot.as_ref().map(Slot::flight),
            attempt: attempt.at.number,
            prompt_id: attempt.prompt_id.clone(),
            fold,
            graph,
            hearing,
            node: None,
            ran_before: Duration::ZERO,
            start_stored: false,
            was_there: true,
            place: Whereabouts::There,
            heard_since_look: false,
            next_look: now + attempt.inner.ctx.settings.now().poll_interval,
            absent: 0,
            settling_since: None,
            settle_pause: SETTLE_PAUSE,
        }
    }

    /// The server runs it under another id.
    pub(super) fn rename(&mut self, prompt_id: &str, graph: &Graph) {
        prompt_id.clone_into(&mut self.prompt_id);
        self.fold = Follow::graph(prompt_id, graph);
        // Its first events may have gone astray.
        self.doubt();
    }

    /// Ask the server at once.
    pub(super) fn doubt(&mut self) {
        self.next_look = Instant::now();
    }

    /// It is not known whether the server has the prompt.
    pub(super) fn unproven(&mut self) {
        self.place = Whereabouts::Unproven;
        self.doubt();
    }

    /// An earlier process began with it, and may have died before it posted anything.
    pub(super) fn take_up(&mut self, attempt: &Attempt) {
        let job = &attempt.waiting.job;
        self.was_there = matches!(job.state, JobState::Running(_) | JobState::Collecting(_));
        self.start_stored = self.was_there;
        let ran = job.times.started_at.map(|started| self.inner.ctx.clock.age(started));
        // A clock that was set back meanwhile gives the prompt its whole time again.
        self.ran_before = ran.and_then(|ran| ran.to_std().ok()).unwrap_or_default();
        self.unproven();
    }

    /// When the server began it, by our clock; `None` when that was never heard nor seen.
    pub(super) fn began(&self) -> Option<DateTime<Utc>> {
        ago(&self.inner.ctx, self.patience.begun()?.elapsed())
    }

    /// Follows to the end.
    pub(super) async fn follow(&mut self, entry: &Entry, client: &Client, inbox: &mut Inbox) -> Verdict {
        let inner = self.inner.clone();
        let session = self.session.clone();
        // What was heard while the reply was awaited may be the end already.
        if self.ended()
            && let Some(verdict) = self.end_by_events()
        {
            return verdict;
        }
        loop {
            let deadline = self.deadline();
            let due = async {
                // Timers tick in milliseconds: what is due already must not wait for one.
                if Instant::now() < deadline {
                    tokio::time::sleep_until(deadline).await;
                }
            };
            tokio::select! {
                biased;
                () = entry.cancelled() => return Verdict::Cancelled,
                () = inner.ctx.kill.cancelled() => return Verdict::LetGo,
                () = session.retired().cancelled() => return Verdict::Retired,
                () = entry.asked_back(), if self.may_give_back() => {
                    if let Some(verdict) = self.unless_over(entry, client, Errand::GiveBack).await {
                        return verdict;
                    }
                }
                event = inbox.next() => {
                    if self.hear(&event) && let Some(verdict) = self.end_by_events() {
                        return verdict;
                    }
                    if inbox.take_lagged() {
                        self.doubt();
                    }
                }
                changed = self.link.changed() => {
                    if changed.is_err() {
                        return Verdict::Retired;
                    }
                    if let Some(verdict) = self.link_changed() {
                        return verdict;
                    }
                }
                () = due => {
                    if let Some(verdict) = self.unless_over(entry, client, Errand::Due).await {
                        return verdict;
                    }
                }
            }
        }
    }

    /// Does something at the server, until it becomes pointless.
    async fn unless_over(&mut self, entry: &Entry, client: &Client, errand: Errand) -> Option<Verdict> {
        let (mut link, kill) = (self.link.clone(), self.inner.ctx.kill.clone());
        let work = async {
            match errand {
                Errand::Due => self.due(client).await,
                Errand::GiveBack => self.give_back(client).await,
            }
        };
        tokio::select! {
            biased;
            () = entry.cancelled() => Some(Verdict::Cancelled),
            () = kill.cancelled() => Some(Verdict::LetGo),
            Ok(_) = link.wait_for(|link| link.refuses) => Some(Verdict::Lost),
            verdict = work => verdict,
        }
    }

    /// Takes an event in and shows what it changes; true when it says that the prompt ended.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        let now = Instant::now();
        self.patience.heard(now);
        (self.was_there, self.place) = (true, Whereabouts::There);
        self.heard_since_look = true;
        self.absent = 0;
        if let Event::Preview { format, bytes, .. } = event {
            let preview = LivePreview { mime: format.mime(), bytes: bytes.clone() };
            self.inner.board.update(self.job, |progress| {
                progress.preview = Some(preview);
                true
            });
            return false;
        }
        if !self.fold.apply(event) {
            return false;
        }
        if self.ended() {
            return true;
        }
        if matches!(self.fold.phase(), Phase::Running) {
            self.patience.runs(now);
            self.show();
        }
        false
    }

    fn ended(&self) -> bool {
        matches!(self.fold.phase(), Phase::Settling(_) | Phase::Finished(_))
    }

    /// What the events' end means; `None` while the history must be waited for.
    fn end_by_events(&mut self) -> Option<Verdict> {
        let (finished, outcome) = match self.fold.phase() {
            Phase::Settling(outcome) => (false, outcome),
            Phase::Finished(outcome) => (true, outcome),
            Phase::Pending | Phase::Running => return None,
        };
        match outcome {
            Outcome::Error(error) => Some(Verdict::Failed(error.clone())),
            Outcome::Interrupted => Some(Verdict::Interrupted),
            Outcome::Success | Outcome::Unknown => {
                let now = Instant::now();
                self.settling_since.get_or_insert(now);
                self.next_look = if finished { now } else { now + self.settle_pause };
                None
            }
        }
    }

    fn deadline(&self) -> Instant {
        let (limit, _) = self.patience.next(self.hears(), self.settling_since.is_some());
        let store_start = self.patience.begun().filter(|_| !self.start_stored).map(|begun| begun + STORE_START_AFTER);
        self.next_look.min(limit).min(store_start.unwrap_or(limit))
    }

    /// Some time has come: find out which, and act on it.
    async fn due(&mut self, client: &Client) -> Option<Verdict> {
        let now = Instant::now();
        let (at, limit) = self.patience.next(self.hears(), self.settling_since.is_some());
        if now >= at {
            return Some(match limit {
                Limit::Silent | Limit::Blind => Verdict::Silent,
                Limit::Wait => Verdict::NotBegun { idle: false },
                Limit::Run => Verdict::OverLimit,
                Limit::Stall => Verdict::Stalled,
            });
        }
        if !self.start_stored && self.patience.begun().is_some_and(|begun| now >= begun + STORE_START_AFTER) {
            self.start_stored = true;
            let (ctx, job, attempt) = (&self.inner.ctx, self.job, self.attempt);
            let began = self.began().unwrap_or_else(|| ctx.clock.now());
            let started = persist::settle(ctx, job, || ctx.store.job_started(job, attempt, began));
            crash::around(CrashPoint::Started, started).await;
        }
        if now >= self.next_look { self.look(client).await } else { None }
    }

    fn link_changed(&mut self) -> Option<Verdict> {
        let link = self.link.borrow_and_update().clone();
        let now = Instant::now();
        if link.refuses {
            return Some(Verdict::Lost);
        }
        if link.state == ServerState::Zombie && self.patience.begun().is_none() {
            return Some(Verdict::NotBegun { idle: false });
        }
        if (link.answers || link.state != ServerState::Connecting) && self.patience.server_answers(link.answers, now) {
            self.doubt();
        }
        if self.hearing.is_some() && link.client_id != self.hearing {
            // What the old socket did not hear, no other will: poll from now on.
            self.hearing = None;
            self.heard_since_look = false;
            self.doubt();
        }
        None
    }

    fn hears(&self) -> bool {
        self.hearing.is_some()
    }
}
