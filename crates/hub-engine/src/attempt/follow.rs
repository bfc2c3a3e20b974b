//! Follows one posted prompt to its end.
//!
//! Events make it quick, the history makes it true: the follower hears events, and asks `/history` when
//! they say that it ended, when they stop coming, when the socket changed, and now and then. A prompt that
//! is in neither history nor queue twice in a row is gone. It changes nothing on the server and writes
//! nothing but the start of long jobs; what the end means is judged elsewhere.

mod verdict;

use std::{sync::Arc, time::Duration};

use comfyui::{
    Client, Error, Event, Graph,
    events::{Follow, Outcome, Phase},
};
use hub_core::{
    ids::JobId,
    job::JobStateKind,
    server::{Server, ServerState},
};
use tokio::{sync::watch, time::Instant};

pub(super) use verdict::{Verdict, failure};

use super::{Attempt, registry::Entry};
use crate::{
    LivePreview,
    background::Inner,
    persist,
    pool::{Inbox, Link, Session},
};

/// Pause after the first sign of success before the history is asked, when the final event stays away.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two looks at the history of a prompt that has ended.
const SETTLE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a prompt that ended may stay out of the history.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two looks that do not find the prompt.
const ABSENT_PAUSE: Duration = Duration::from_millis(1500);
/// Looks that must not find the prompt before it counts as gone.
const ABSENT_LOOKS: u32 = 2;
/// Pace of polling a prompt whose events do not reach us.
const DEAF_PAUSE: Duration = Duration::from_secs(1);
/// Longest time for one look at the server.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long a server that does not answer (but does not refuse either) keeps its prompts.
const SILENT_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may have waiting prompts but run none before its worker counts as dead.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// A job that runs longer than this is stored as running.
const STORE_START_AFTER: Duration = Duration::from_secs(1);

/// The follower of one prompt.
pub(super) struct Follower<'g> {
    inner: Arc<Inner>,
    session: Arc<Session>,
    server: Arc<Server>,
    link: watch::Receiver<Link>,
    job: JobId,
    attempt: u32,
    prompt_id: String,
    fold: Follow,
    graph: Option<&'g Graph>,
    /// The socket that hears this prompt; none when nothing does.
    hearing: Option<Arc<str>>,
    /// Node at work, by id and as shown.
    node: Option<(String, Arc<str>)>,
    begun: Option<Instant>,
    start_stored: bool,
    last_sign: Instant,
    heard_since_look: bool,
    next_look: Instant,
    absent: u32,
    settling_since: Option<Instant>,
    settle_pause: Duration,
    silent_since: Option<Instant>,
    idle_since: Option<Instant>,
}

impl<'g> Follower<'g> {
    pub(super) fn new(attempt: &Attempt, fold: Follow, graph: Option<&'g Graph>, hearing: Option<Arc<str>>) -> Self {
        let now = Instant::now();
        let mut link = attempt.session.link();
        link.mark_changed();
        Self {
            inner: attempt.inner.clone(),
            server: attempt.session.server(),
            session: attempt.session.clone(),
            link,
            job: attempt.waiting.job.id,
            attempt: attempt.at.number,
            prompt_id: attempt.prompt_id.clone(),
            fold,
            graph,
            hearing,
            node: None,
            begun: None,
            start_stored: false,
            last_sign: now,
            heard_since_look: false,
            next_look: now + attempt.inner.ctx.config.poll_interval,
            absent: 0,
            settling_since: None,
            settle_pause: SETTLE_PAUSE,
            silent_since: None,
            idle_since: None,
        }
    }

    /// The server runs it under another id.
    pub(super) fn rename(&mut self, prompt_id: &str, graph: &Graph) {
        prompt_id.clone_into(&mut self.prompt_id);
        self.fold = Follow::graph(prompt_id, graph);
        // Its first events may have gone astray.
        self.doubt();
    }

    /// It is not known whether the server has the prompt: ask at once.
    pub(super) fn doubt(&mut self) {
        self.next_look = Instant::now();
    }

    /// Follows to the end.
    pub(super) async fn follow(&mut self, entry: &Entry, client: &Client, inbox: &mut Inbox) -> Verdict {
        let inner = self.inner.clone();
        let session = self.session.clone();
        // What was heard while the reply was awaited may be the end already.
        if self.ended()
            && let Some(verdict) = self.end_by_events(client).await
        {
            return verdict;
        }
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = entry.cancelled() => return Verdict::Cancelled,
                () = inner.ctx.kill.cancelled() => return Verdict::LetGo,
                () = session.retired().cancelled() => return Verdict::Retired,
                event = inbox.next() => {
                    if self.hear(&event) && let Some(verdict) = self.end_by_events(client).await {
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
                () = tokio::time::sleep_until(deadline) => {
                    let look = tokio::select! {
                        biased;
                        () = entry.cancelled() => return Verdict::Cancelled,
                        () = inner.ctx.kill.cancelled() => return Verdict::LetGo,
                        look = self.due(client) => look,
                    };
                    if let Some(verdict) = look {
                        return verdict;
                    }
                }
            }
        }
    }

    /// Takes an event in and shows what it changes; true when it says that the prompt ended.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        let now = Instant::now();
        self.last_sign = now;
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
            self.begun.get_or_insert(now);
            self.show();
        }
        false
    }

    fn ended(&self) -> bool {
        matches!(self.fold.phase(), Phase::Settling(_) | Phase::Finished(_))
    }

    /// What the events' end means; `None` while the history must be waited for.
    async fn end_by_events(&mut self, client: &Client) -> Option<Verdict> {
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
                self.next_look = now + self.settle_pause;
                if finished { self.look(client).await } else { None }
            }
        }
    }

    fn deadline(&self) -> Instant {
        let mut deadline = self.next_look;
        let mut or_at = |at: Option<Instant>| deadline = at.map_or(deadline, |at| deadline.min(at));
        or_at(self.silent_since.map(|since| since + SILENT_LIMIT));
        if let Some(begun) = self.begun {
            or_at((!self.start_stored).then_some(begun + STORE_START_AFTER));
            or_at(Some(begun + Duration::from_secs(self.server.run_limit_s.into())));
            or_at(self.hears().then_some(self.last_sign + self.stall_limit()));
        }
        deadline
    }

    /// Some time has come: find out which, and act on it.
    async fn due(&mut self, client: &Client) -> Option<Verdict> {
        let now = Instant::now();
        if self.silent_since.is_some_and(|since| now >= since + SILENT_LIMIT) {
            return Some(Verdict::Silent);
        }
        if let Some(begun) = self.begun {
            if !self.start_stored && now >= begun + STORE_START_AFTER {
                self.start_stored = true;
                let (ctx, job, attempt) = (&self.inner.ctx, self.job, self.attempt);
                persist::settle(ctx, || ctx.store.job_started(job, attempt)).await;
            }
            if now >= begun + Duration::from_secs(self.server.run_limit_s.into()) {
                return Some(Verdict::OverLimit);
            }
            if self.hears() && self.settling_since.is_none() && now >= self.last_sign + self.stall_limit() {
                return Some(Verdict::Stalled);
            }
        }
        if now >= self.next_look { self.look(client).await } else { None }
    }

    /// Asks the server where the prompt is.
    async fn look(&mut self, client: &Client) -> Option<Verdict> {
        // The credentials may have been rotated since it was posted.
        let newest = self.session.client();
        let found = tokio::time::timeout(LOOK_LIMIT, self.find(newest.as_ref().unwrap_or(client))).await;
        let now = Instant::now();
        match found {
            Ok(Ok(Some(verdict))) => return Some(verdict),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::debug!(job = %self.job, server = %self.server.name, error = %error.chain(), "a look at the server failed");
                // Whether it is down, the session finds out.
                self.session.probe_soon();
                self.next_look = now + DEAF_PAUSE;
            }
            Err(_) => self.next_look = now + DEAF_PAUSE,
        }
        None
    }

    async fn find(&mut self, client: &Client) -> Result<Option<Verdict>, Error> {
        if let Some(entry) = client.history(&self.prompt_id).await? {
            return Ok(Some(Verdict::Done(Box::new(entry))));
        }
        let now = Instant::now();
        if let Some(since) = self.settling_since
            && now < since + SETTLE_LIMIT
        {
            self.next_look = now + self.settle_pause;
            self.settle_pause = (self.settle_pause * 2).min(SETTLE_PAUSE_MAX);
            return Ok(None);
        }
        let quiet = self.inner.ctx.config.poll_interval;
        self.next_look = now + if self.hears() { quiet } else { quiet.min(DEAF_PAUSE) };
        if std::mem::take(&mut self.heard_since_look) {
            return Ok(None);
        }
        let queue = client.queue().await?;
        if queue.is_running(&self.prompt_id) {
            self.absent = 0;
            self.idle_since = None;
            if self.begun.is_none() {
                self.begun = Some(Instant::now());
                self.last_sign = Instant::now();
                self.show();
            }
        } else if queue.position(&self.prompt_id).is_some() {
            self.absent = 0;
            return Ok(self.waits_there(queue.running.is_empty()));
        } else {
            self.absent += 1;
            if self.absent >= ABSENT_LOOKS {
                return Ok(Some(Verdict::Vanished));
            }
            self.next_look = Instant::now() + ABSENT_PAUSE;
        }
        Ok(None)
    }

    /// The prompt waits on the server: that is fine as long as the server runs something.
    fn waits_there(&mut self, server_idle: bool) -> Option<Verdict> {
        let now = Instant::now();
        if !server_idle {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert(now);
        let limit = self.stall_limit().min(IDLE_LIMIT);
        self.next_look = self.next_look.min(now + limit / 2);
        (now >= since + limit).then_some(Verdict::NotBegun { idle: true })
    }

    fn link_changed(&mut self) -> Option<Verdict> {
        let link = self.link.borrow_and_update().clone();
        let now = Instant::now();
        if link.refuses {
            return Some(Verdict::Lost);
        }
        if link.state == ServerState::Zombie && self.begun.is_none() {
            return Some(Verdict::NotBegun { idle: false });
        }
        if link.answers {
            if self.silent_since.take().is_some() {
                self.doubt();
            }
        } else if link.state != ServerState::Connecting {
            self.silent_since.get_or_insert(now);
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

    fn stall_limit(&self) -> Duration {
        Duration::from_secs(self.server.stall_limit_s.into())
    }

    /// Puts the progress on the board.
    fn show(&mut self) {
        let progress = self.fold.progress();
        match &progress.node {
            Some(id) if self.node.as_ref().is_none_or(|(known, _)| known != id) => {
                let shown = self
                    .graph
                    .and_then(|graph| graph.node(id))
                    .map_or(id.as_str(), |node| node.title().unwrap_or(&node.class_type));
                self.node = Some((id.clone(), Arc::from(shown)));
            }
            Some(_) => {}
            None => self.node = None,
        }
        let node = self.node.as_ref().map(|(_, shown)| shown.clone());
        #[expect(clippy::cast_possible_truncation, reason = "a fraction from 0 to 1 for display")]
        let fraction = progress.fraction as f32;
        let steps = progress.steps;
        self.inner.board.update(self.job, |shown| {
            shown.state = JobStateKind::Running;
            shown.fraction = shown.fraction.max(fraction);
            shown.steps = steps;
            shown.node = node;
            true
        });
    }
}
