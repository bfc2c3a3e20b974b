//! The dispatcher: one task that owns the queue and hands jobs to attempts.
//!
//! Jobs arrive after they are committed; whatever may free a place (an attempt's end, a server's change)
//! nudges it. It never waits for the store or a server: assigning writes nothing, the attempt does, and what
//! was learned is kept by a task of its own. The channel needs no bound of its own: submitting bounds the
//! jobs that wait, and each is counted before it is sent.
//!
//! Here: the handle that everybody else has. The task is in `turns`.

mod hopeless;
mod memory;
mod take_back;
mod told;
mod turns;
mod why;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::{DateTime, Utc};
use hub_core::{
    caller::{Caller, CallerWeights},
    ids::{JobId, ServerId},
};
use hub_schedule::{Flight, FlightId, Kind, Landing, Learned, Ledger, Place, Seconds};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use crate::{WhyWaiting, schedule::Waiting};

pub(crate) use memory::{keep, recall, save};
pub(crate) use turns::run;
pub(crate) use why::Condition;

/// What the dispatcher is told.
enum Order {
    Enqueue(Box<Waiting>),
    Forget(JobId),
    Weigh(CallerWeights),
    Expired { before: DateTime<Utc>, answer: oneshot::Sender<Vec<JobId>> },
    Why { job: JobId, answer: oneshot::Sender<Option<WhyWaiting>> },
    Priorities { caller: Caller, except: JobId, answer: oneshot::Sender<Option<(i32, i32)>> },
    Prioritise { job: JobId, priority: i32, answer: oneshot::Sender<()> },
    Learned { answer: oneshot::Sender<Vec<hub_schedule::Fact>> },
    Depths { answer: oneshot::Sender<QueueDepths> },
}

/// Jobs that wait for a server, by caller and render type.
pub type QueueDepths = BTreeMap<(Caller, String), usize>;

/// The dispatcher's end of its channel.
pub(crate) struct Orders(mpsc::UnboundedReceiver<Order>);

/// Handle on the dispatcher; cheap to clone.
#[derive(Clone)]
pub(crate) struct DispatchHandle {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

struct Shared {
    nudge: Notify,
    /// When the scheduler's time began.
    started: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Jobs that wait for a server or for their plan.
    waiting: usize,
    waiting_of: HashMap<Caller, usize>,
    ledger: Ledger,
    /// Flights that have not begun, as far as they may be taken back: the job, and what it needs.
    unbegun: HashMap<FlightId, (JobId, Kind)>,
    /// Flights that are over, for the dispatcher to learn from.
    landings: Vec<Landing>,
    /// Time until a tenth of the queue will have begun, when that can be told.
    relief: Option<Seconds>,
    /// Runs since the hub's start that went well, and those of them for which models were loaded.
    runs: HashMap<ServerId, (u64, u64)>,
}

/// One job's place on one server; given back when dropped.
pub(crate) struct Slot {
    flight: FlightId,
    done: bool,
    handle: DispatchHandle,
}

impl Slot {
    /// The flight that it stands for.
    pub(crate) fn flight(&self) -> FlightId {
        self.flight
    }

    /// The server ran the prompt to its end. Answers whether it loaded models for it, where that is known.
    pub(crate) fn done(mut self) -> Option<bool> {
        self.done = true;
        let mut counts = self.handle.counts();
        let loads = counts.ledger.loads(self.flight);
        if let Some(server) = counts.ledger.server(self.flight) {
            let (runs, loaded) = counts.runs.entry(server).or_default();
            (*runs, *loaded) = (*runs + 1, *loaded + u64::from(loads == Some(true)));
        }
        loads
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let now = self.handle.now();
        let mut counts = self.handle.counts();
        counts.unbegun.remove(&self.flight);
        if let Some(landing) = counts.ledger.over(self.flight, now, self.done) {
            counts.landings.push(landing);
        }
        drop(counts);
        self.handle.nudge();
    }
}

/// A job that is being planned, counted among those that wait until dropped.
pub(crate) struct Planning {
    caller: Caller,
    /// Jobs that it will be in the queue.
    count: usize,
    handle: DispatchHandle,
}

impl Drop for Planning {
    fn drop(&mut self) {
        self.handle.left(&self.caller, self.count);
    }
}

/// The channel to the dispatcher that [`run`] serves.
pub(crate) fn channel() -> (DispatchHandle, Orders) {
    let (orders, receiver) = mpsc::unbounded_channel();
    let shared = Shared { nudge: Notify::new(), started: Instant::now(), counts: Mutex::default() };
    (DispatchHandle { orders, shared: Arc::new(shared) }, Orders(receiver))
}

impl DispatchHandle {
    /// Takes a job that waits for a server.
    pub(crate) fn enqueue(&self, waiting: impl Into<Waiting>) {
        let waiting = waiting.into();
        self.came(&waiting.job.caller, 1);
        self.send(Order::Enqueue(Box::new(waiting)));
    }

    /// Counts a job that is being planned, as so many.
    pub(crate) fn planning(&self, caller: &Caller, count: usize) -> Planning {
        self.came(caller, count);
        Planning { caller: caller.clone(), count, handle: self.clone() }
    }

    /// Takes a job out of the queue, if it is there.
    pub(crate) fn forget(&self, job: JobId) {
        self.send(Order::Forget(job));
    }

    /// Sets the shares of all callers, for what waits and for what comes.
    pub(crate) fn weigh(&self, weights: CallerWeights) {
        self.send(Order::Weigh(weights));
    }

    /// Jobs in the queue that were queued before `before`. They stay there.
    pub(crate) async fn queued_before(&self, before: DateTime<Utc>) -> Vec<JobId> {
        let (answer, answered) = oneshot::channel();
        self.send(Order::Expired { before, answer });
        answered.await.unwrap_or_default()
    }

    /// Least and highest priority among a caller's jobs in the queue, `except` this one and its parts; `None` when
    /// there are no others.
    pub(crate) async fn priorities(&self, caller: &Caller, except: JobId) -> Option<(i32, i32)> {
        let (answer, answered) = oneshot::channel();
        self.send(Order::Priorities { caller: caller.clone(), except, answer });
        answered.await.ok().flatten()
    }

    /// Gives a job another priority, done when this returns; one that is not in the queue has it when it comes.
    pub(crate) async fn prioritise(&self, job: JobId, priority: i32) {
        let (answer, answered) = oneshot::channel();
        self.send(Order::Prioritise { job, priority, answer });
        // Without a dispatcher the hub stops; the next start reads the priority from the store.
        let _ = answered.await;
    }

    /// Why a job waits; `None` when it is not in the queue.
    pub(crate) async fn why(&self, job: JobId) -> Option<WhyWaiting> {
        let (answer, answered) = oneshot::channel();
        self.send(Order::Why { job, answer });
        answered.await.ok().flatten()
    }

    /// Jobs that wait for a server, by caller and render type.
    pub(crate) async fn depths(&self) -> QueueDepths {
        let (answer, answered) = oneshot::channel();
        self.send(Order::Depths { answer });
        answered.await.unwrap_or_default()
    }

    /// Runs on a server since the hub's start that went well, and those of them for which it loaded models.
    pub(crate) fn runs(&self, server: ServerId) -> (u64, u64) {
        self.counts().runs.get(&server).copied().unwrap_or_default()
    }

    /// Has the dispatcher look at the servers again.
    pub(crate) fn nudge(&self) {
        self.shared.nudge.notify_one();
    }

    /// Jobs that wait for a server or for their plan.
    pub(crate) fn len(&self) -> usize {
        self.counts().waiting
    }

    /// Such jobs of one caller.
    pub(crate) fn len_of(&self, caller: &Caller) -> usize {
        self.counts().waiting_of.get(caller).copied().unwrap_or_default()
    }

    /// Time until a tenth of the queue will have begun, when that can be told.
    pub(crate) fn relief(&self) -> Option<Seconds> {
        self.counts().relief
    }

    /// A server dropped all models it had.
    pub(crate) fn emptied(&self, server: ServerId) {
        self.counts().ledger.emptied(server);
    }

    /// Prompts of ours on a server.
    pub(crate) fn in_flight(&self, server: ServerId) -> u32 {
        self.counts().ledger.in_flight(server)
    }

    /// The server began a prompt; `heard`: just now, and not some time before.
    pub(crate) fn began(&self, flight: FlightId, heard: bool) {
        let now = self.now();
        let mut counts = self.counts();
        counts.unbegun.remove(&flight);
        counts.ledger.began(flight, now, heard);
    }

    /// Takes a place on a server, whatever its limit: for what runs there already.
    pub(crate) fn occupy(&self, server: ServerId, epoch: u64, flight: Flight, job: (JobId, Kind)) -> Slot {
        self.slot(server, epoch, flight, job, None)
    }

    fn slot(&self, server: ServerId, epoch: u64, flight: Flight, job: (JobId, Kind), turn: Option<u64>) -> Slot {
        let mut counts = self.counts();
        let flight = counts.ledger.enter(server, epoch, flight, turn);
        counts.unbegun.insert(flight, job);
        drop(counts);
        Slot { flight, done: false, handle: self.clone() }
    }

    /// A server with what is in flight there; the rest is the pool's to say.
    fn known(counts: &Counts, learned: &Learned, server: ServerId, epoch: u64) -> Place {
        Place {
            prompts: counts.ledger.prompts(server, learned),
            resident: counts.ledger.resident(server, epoch),
            last_turn: counts.ledger.last_turn(server),
            ..Place::idle(server)
        }
    }

    /// Now, on the scheduler's scale.
    fn now(&self) -> Seconds {
        self.shared.started.elapsed().as_secs_f64()
    }

    fn came(&self, caller: &Caller, count: usize) {
        let mut counts = self.counts();
        counts.waiting += count;
        *counts.waiting_of.entry(caller.clone()).or_default() += count;
    }

    fn left(&self, caller: &Caller, count: usize) {
        let mut counts = self.counts();
        counts.waiting = counts.waiting.saturating_sub(count);
        if let Some(waiting) = counts.waiting_of.get_mut(caller) {
            *waiting = waiting.saturating_sub(count);
            if *waiting == 0 {
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

#[cfg(test)]
mod tests;
