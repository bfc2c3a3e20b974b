//! The dispatcher: one task that owns the queue and hands jobs to attempts.
//!
//! Jobs arrive after they are committed; whatever may free a place (an attempt's end, a server's change)
//! nudges it. It never waits for the store or a server: assigning writes nothing, the attempt does.
//! The channel needs no bound of its own: submitting bounds the jobs that wait, and each is counted
//! before it is sent.

mod hopeless;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, Utc};
use hub_core::{
    caller::Caller,
    ids::{JobId, ServerId},
    job::Job,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use crate::{
    JobProgress, attempt,
    background::Inner,
    events::Board,
    schedule::{self, Place, Queue, Waiting},
};

/// Pause between two updates of the queue positions that watchers see.
const POSITIONS_EVERY: Duration = Duration::from_millis(200);
/// Jobs, from the front of the queue, whose positions are announced to everybody; their own watchers see
/// all positions.
const POSITIONS_ANNOUNCED: u32 = 50;
/// Breakers close with time alone, so a queue that is not empty is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the dispatcher is told.
enum Order {
    Enqueue(Box<Waiting>),
    Forget(JobId),
    Expired { before: DateTime<Utc>, answer: oneshot::Sender<Vec<JobId>> },
}

/// The dispatcher's end of its channel.
pub(crate) struct Orders(mpsc::UnboundedReceiver<Order>);

/// Handle on the dispatcher; cheap to clone.
#[derive(Clone)]
pub(crate) struct DispatchHandle {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    nudge: Notify,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    waiting: usize,
    waiting_of: HashMap<Caller, usize>,
    in_flight: HashMap<ServerId, u32>,
}

/// One job's place on one server; given back when dropped.
pub(crate) struct Slot {
    server: ServerId,
    handle: DispatchHandle,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.handle.counts();
        if let Some(count) = counts.in_flight.get_mut(&self.server) {
            *count = count.saturating_sub(1);
        }
        drop(counts);
        self.handle.nudge();
    }
}

/// The channel to the dispatcher that [`run`] serves.
pub(crate) fn channel() -> (DispatchHandle, Orders) {
    let (orders, receiver) = mpsc::unbounded_channel();
    (DispatchHandle { orders, shared: Arc::default() }, Orders(receiver))
}

impl DispatchHandle {
    /// Takes a job that waits for a server.
    pub(crate) fn enqueue(&self, waiting: impl Into<Waiting>) {
        let waiting = waiting.into();
        let mut counts = self.counts();
        counts.waiting += 1;
        *counts.waiting_of.entry(waiting.job.caller.clone()).or_default() += 1;
        drop(counts);
        self.send(Order::Enqueue(Box::new(waiting)));
    }

    /// Takes a job out of the queue, if it is there.
    pub(crate) fn forget(&self, job: JobId) {
        self.send(Order::Forget(job));
    }

    /// Jobs in the queue that were queued before `before`. They stay there.
    pub(crate) async fn queued_before(&self, before: DateTime<Utc>) -> Vec<JobId> {
        let (answer, answered) = oneshot::channel();
        self.send(Order::Expired { before, answer });
        answered.await.unwrap_or_default()
    }

    /// Has the dispatcher look at the servers again.
    pub(crate) fn nudge(&self) {
        self.shared.nudge.notify_one();
    }

    /// Jobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.counts().waiting
    }

    /// Jobs of one caller that wait.
    pub(crate) fn len_of(&self, caller: &Caller) -> usize {
        self.counts().waiting_of.get(caller).copied().unwrap_or_default()
    }

    /// Prompts of ours on a server.
    pub(crate) fn in_flight(&self, server: ServerId) -> u32 {
        self.counts().in_flight.get(&server).copied().unwrap_or_default()
    }

    /// Takes a place on a server, whatever its limit: for what runs there already.
    pub(crate) fn occupy(&self, server: ServerId) -> Slot {
        *self.counts().in_flight.entry(server).or_default() += 1;
        Slot { server, handle: self.clone() }
    }

    fn left(&self, caller: &Caller) {
        let mut counts = self.counts();
        counts.waiting = counts.waiting.saturating_sub(1);
        if let Some(count) = counts.waiting_of.get_mut(caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.waiting_of.remove(caller);
            }
        }
    }

    fn send(&self, order: Order) {
        // The dispatcher ends with the hub; what is sent after that is found again at the next start.
        let _ = self.orders.send(order);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.shared.counts.lock().expect("nothing panics while it holds the counts")
    }
}

/// Serves the channel until the hub lets go.
pub(crate) async fn run(inner: Arc<Inner>, mut orders: Orders) {
    let mut dispatcher =
        Dispatcher { queue: Queue::default(), turn: 0, last_turns: HashMap::new(), inner: inner.clone() };
    let mut positions_due: Option<Instant> = None;
    let far = Duration::from_hours(1);
    loop {
        let look = if dispatcher.queue.is_empty() { far } else { LOOK_EVERY };
        let due = positions_due.unwrap_or_else(|| Instant::now() + far);
        tokio::select! {
            biased;
            () = inner.ctx.kill.cancelled() => return,
            order = orders.0.recv() => {
                let Some(order) = order else { return };
                dispatcher.obey(order);
                // A burst is decided on as a whole.
                while let Ok(order) = orders.0.try_recv() {
                    dispatcher.obey(order);
                }
                dispatcher.place();
            }
            () = inner.dispatch.shared.nudge.notified() => dispatcher.place(),
            () = tokio::time::sleep_until(due) => {
                positions_due = None;
                dispatcher.publish_positions();
                continue;
            }
            () = tokio::time::sleep(look) => dispatcher.place(),
        }
        if !dispatcher.queue.is_empty() && positions_due.is_none() {
            positions_due = Some(Instant::now() + POSITIONS_EVERY);
        }
    }
}

struct Dispatcher {
    inner: Arc<Inner>,
    queue: Queue,
    turn: u64,
    last_turns: HashMap<ServerId, u64>,
}

impl Dispatcher {
    fn obey(&mut self, order: Order) {
        match order {
            Order::Enqueue(waiting) => {
                let caller = waiting.job.caller.clone();
                // A cancel that overtook the job took it off the board already.
                if !self.inner.board.knows(waiting.job.id) || self.queue.remove(waiting.job.id).is_some() {
                    self.inner.dispatch.left(&caller);
                }
                if self.inner.board.knows(waiting.job.id) {
                    self.queue.push(*waiting);
                }
            }
            Order::Forget(job) => {
                if let Some(waiting) = self.queue.remove(job) {
                    self.inner.dispatch.left(&waiting.job.caller);
                }
            }
            Order::Expired { before, answer } => {
                let queued_at = |job: &Job| job.times.queued_at.unwrap_or(job.times.created_at);
                let old = self.queue.in_order().filter(|waiting| queued_at(&waiting.job) < before);
                // The asker may have gone; then nobody expires anything.
                let _ = answer.send(old.map(|waiting| waiting.job.id).collect());
            }
        }
    }

    /// Assigns what can be assigned, and ends what no server may take.
    fn place(&mut self) {
        if self.queue.is_empty() || self.inner.ctx.stop.is_cancelled() {
            return;
        }
        let mut places = self.places();
        let hopeless: Vec<JobId> = self
            .queue
            .choosy()
            .filter(|waiting| schedule::is_hopeless(waiting, &places))
            .map(|waiting| waiting.job.id)
            .collect();
        for job in hopeless {
            if let Some(waiting) = self.leave(job) {
                self.inner.ctx.tasks.spawn(hopeless::end(self.inner.clone(), waiting.job));
            }
        }
        let decided = schedule::assign(&self.queue, &mut places, &mut self.turn);
        if !decided.is_empty() {
            self.last_turns = places.iter().map(|place| (place.server, place.last_turn)).collect();
        }
        for assignment in decided {
            let Some(waiting) = self.leave(assignment.job) else { continue };
            let Some(session) = self.inner.pool.session(assignment.server) else {
                self.inner.dispatch.enqueue(waiting);
                continue;
            };
            let slot = self.inner.dispatch.occupy(assignment.server);
            attempt::launch(&self.inner, session, waiting, slot);
        }
    }

    fn leave(&mut self, job: JobId) -> Option<Waiting> {
        let waiting = self.queue.serve(job)?;
        self.inner.dispatch.left(&waiting.job.caller);
        Some(waiting)
    }

    fn places(&self) -> Vec<Place> {
        let counts = self.inner.dispatch.counts();
        self.inner.pool.places(|server| {
            let in_flight = counts.in_flight.get(&server).copied().unwrap_or_default();
            (in_flight, self.last_turns.get(&server).copied().unwrap_or_default())
        })
    }

    fn publish_positions(&self) {
        let why: Option<Arc<str>> = self.inner.pool.why_no_server_takes_work().map(Arc::from);
        for (position, waiting) in (0_u32..).zip(self.queue.in_order()) {
            let announced = if position < POSITIONS_ANNOUNCED { Board::update } else { Board::update_quietly };
            announced(&self.inner.board, waiting.job.id, |progress: &mut JobProgress| {
                let changed = progress.queue_position != Some(position) || progress.why_waiting != why;
                if changed {
                    progress.queue_position = Some(position);
                    progress.why_waiting.clone_from(&why);
                }
                changed
            });
        }
    }
}
