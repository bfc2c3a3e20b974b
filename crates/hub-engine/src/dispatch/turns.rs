//! The dispatcher's task: obeys orders, decides, and tells those who wait where they stand.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hub_core::{
    ids::{JobId, ServerId},
    job::Job,
};
use hub_schedule::{
    Assignment, Flight, Forecast, Kind, Learned, Place, Queue, Reason, Seconds, decide, forecast, reasons,
};
use tokio::time::Instant;

use super::{Condition, DispatchHandle, Order, Orders, QueueDepths, hopeless, take_back::AskedBack, told::Told, why};
use crate::{JobProgress, attempt, background::Inner, events::Board, schedule::Waiting};

/// Pause between two updates of the queue positions that watchers see.
const POSITIONS_EVERY: Duration = Duration::from_millis(200);
/// The same while more than [`LONG_QUEUE`] jobs wait.
const POSITIONS_EVERY_LONG: Duration = Duration::from_secs(1);
const LONG_QUEUE: usize = 1000;
/// Jobs, from the front of the queue, whose positions are announced to everybody; their own watchers see
/// all positions.
const POSITIONS_ANNOUNCED: u32 = 50;
/// Breakers close with time alone, so a queue that is not empty is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Jobs, from the front of the queue, of which one is looked for that would go to a server whose GPU is in use.
const WISHERS_MAX: usize = 64;
/// Decisions in a row before orders are looked at again.
const DECISIONS_MAX: usize = 8;

/// Serves the channel until the hub lets go.
pub(crate) async fn run(inner: Arc<Inner>, mut orders: Orders, learned: Learned) {
    let mut dispatcher = Dispatcher {
        queue: Queue::default(),
        jobs: HashMap::new(),
        learned,
        wake_at: None,
        forecast: HashMap::new(),
        asked_back: AskedBack::default(),
        told: Told::default(),
        inner: inner.clone(),
    };
    let mut positions_due: Option<Instant> = None;
    let far = Duration::from_hours(1);
    loop {
        let look = dispatcher.look_in(far);
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
            let pause = if dispatcher.queue.len() > LONG_QUEUE { POSITIONS_EVERY_LONG } else { POSITIONS_EVERY };
            positions_due = Some(Instant::now() + pause);
        }
    }
}

pub(super) struct Dispatcher {
    pub(super) inner: Arc<Inner>,
    pub(super) queue: Queue,
    jobs: HashMap<JobId, Waiting>,
    pub(super) learned: Learned,
    /// When to decide again although nothing happens.
    wake_at: Option<Seconds>,
    /// Position and start, as of the newest update.
    forecast: HashMap<JobId, (u32, Option<Seconds>)>,
    pub(super) asked_back: AskedBack,
    told: Told,
}

impl Dispatcher {
    fn obey(&mut self, order: Order) {
        match order {
            Order::Enqueue(waiting) => self.enqueue(*waiting),
            Order::Forget(job) => {
                self.told.take(job);
                drop(self.leave(job));
            }
            Order::Weigh(weights) => self.queue.set_weights(weights.iter()),
            Order::Expired { before, answer } => {
                let queued_at = |job: &Job| job.times.queued_at.unwrap_or(job.times.created_at);
                let mut old: Vec<JobId> = self
                    .jobs
                    .values()
                    .map(|waiting| &waiting.job)
                    .filter(|job| queued_at(job) < before)
                    .map(|job| job.id)
                    .collect();
                old.sort_unstable();
                // The asker may have gone; then nobody expires anything.
                let _ = answer.send(old);
            }
            Order::Why { job, answer } => {
                // As above.
                let _ = answer.send(self.why(job));
            }
            Order::Priorities { caller, except, answer } => {
                let others = self.jobs.values().map(|waiting| &waiting.job);
                // The parts of a whole move with it: they are no others.
                let is_other = |job: &&Job| job.id != except && job.result_job() != except;
                let others = others.filter(|job| job.caller == caller).filter(is_other).map(|job| job.priority);
                let span = others.fold(None, |span: Option<(i32, i32)>, priority| {
                    let (least, most) = span.unwrap_or((priority, priority));
                    Some((least.min(priority), most.max(priority)))
                });
                // As above.
                let _ = answer.send(span);
            }
            Order::Prioritise { job, priority, answer } => {
                if let Some(waiting) = self.jobs.get_mut(&job) {
                    waiting.job.priority = priority;
                    self.queue.set_priority(job, priority);
                    self.publish_positions();
                } else {
                    let board = &self.inner.board;
                    self.told.keep(job, priority, |job| board.knows(job));
                }
                // As above.
                let _ = answer.send(());
            }
            Order::Depths { answer } => {
                let mut depths = QueueDepths::new();
                for job in self.jobs.values().map(|waiting| &waiting.job) {
                    let render_type = job.recipe.as_ref().map_or("", |recipe| recipe.render_type.as_str());
                    *depths.entry((job.caller.clone(), render_type.to_owned())).or_default() += 1;
                }
                // As above.
                let _ = answer.send(depths);
            }
            Order::Learned { answer } => {
                self.land();
                // Facts that nobody takes are learned again.
                let _ = answer.send(self.learned.take_changes());
            }
        }
    }

    fn enqueue(&mut self, mut waiting: Waiting) {
        let (job, caller) = (waiting.job.id, waiting.job.caller.clone());
        // Whoever brings it may have read it before it was moved.
        waiting.job.priority = self.told.take(job).unwrap_or(waiting.job.priority);
        // A cancel that overtook the job took it off the board already.
        let known = self.inner.board.knows(job);
        if !known || self.jobs.contains_key(&job) {
            self.inner.dispatch.left(&caller, 1);
        }
        if known {
            let snapshot = self.inner.ctx.catalogue.snapshot();
            let ticket = waiting.ticket(|workflow| snapshot.models(workflow));
            self.queue.push(ticket, self.inner.dispatch.now());
            self.jobs.insert(job, waiting);
        }
    }

    /// Takes a job out of the queue.
    fn leave(&mut self, job: JobId) -> Option<Waiting> {
        self.queue.remove(job);
        let waiting = self.jobs.remove(&job)?;
        self.forecast.remove(&job);
        self.inner.dispatch.left(&waiting.job.caller, 1);
        Some(waiting)
    }

    /// Learns from what is over.
    fn land(&mut self) {
        let landings = std::mem::take(&mut self.inner.dispatch.counts().landings);
        for landing in landings {
            self.queue.settle(&landing.caller, landing.charged, landing.cost);
            if let Some(seen) = landing.seen {
                self.learned.observe(seen);
            }
        }
    }

    /// Assigns what can be assigned, ends what no server may take, and takes back what is better run elsewhere.
    fn place(&mut self) {
        self.land();
        self.assign();
        self.take_back();
    }

    fn assign(&mut self) {
        self.wake_at = None;
        if self.queue.is_empty() || self.inner.ctx.stop.is_cancelled() {
            return;
        }
        let mut places = self.places();
        self.wish(&places);
        for job in self.queue.hopeless(&places, |placement| self.inner.pool.may_come(placement)) {
            let why = self.queue.kind(job).map(|kind| {
                let conditions = self.inner.pool.conditions();
                let now = self.inner.dispatch.now();
                why::sentence(&why::servers(kind, &places, &conditions, &self.learned, now), &kind.placement)
            });
            if let Some(waiting) = self.leave(job) {
                self.inner.ctx.tasks.spawn(hopeless::end(self.inner.clone(), waiting.job, why.unwrap_or_default()));
            }
        }
        for _ in 0..DECISIONS_MAX {
            let now = self.inner.dispatch.now();
            let decision = decide(&mut self.queue, &places, &self.learned, now);
            self.wake_at = decision.wake_at;
            for assignment in &decision.assigned {
                self.launch(assignment);
            }
            if decision.assigned.is_empty() || decision.wake_at.is_none_or(|at| at > now) {
                return;
            }
            places = self.places();
        }
    }

    fn launch(&mut self, assignment: &Assignment) {
        let Some(waiting) = self.leave(assignment.job) else { return };
        let caller = waiting.job.caller.clone();
        let Some(session) = self.inner.pool.session(assignment.server) else {
            self.queue.settle(&caller, assignment.charge(), 0.0);
            self.inner.dispatch.enqueue(waiting);
            return;
        };
        let snapshot = self.inner.ctx.catalogue.snapshot();
        let kind = waiting.kind(|workflow| snapshot.models(workflow));
        let flight = Flight::of(assignment, caller, kind.class, kind.models);
        let (epoch, job) = (session.epoch(), (waiting.job.id, kind));
        let slot = self.inner.dispatch.slot(assignment.server, epoch, flight, job, Some(assignment.turn));
        attempt::launch(&self.inner, session, waiting, slot);
    }

    pub(super) fn places(&self) -> Vec<Place> {
        let counts = self.inner.dispatch.counts();
        let mut places =
            self.inner.pool.places(|server, epoch| DispatchHandle::known(&counts, &self.learned, server, epoch));
        drop(counts);
        for (place, _) in self.leased(&mut places) {
            place.takes_work = false;
        }
        places
    }

    /// Places whose GPU an LLM server has now, with the GPU.
    fn leased<'p>(&self, places: &'p mut [Place]) -> Vec<(&'p mut Place, String)> {
        let closed = self.inner.ctx.leases.closed();
        if closed.is_empty() {
            return Vec::new();
        }
        let gpu_of = |place: &Place| self.inner.pool.session(place.server)?.server().gpu.clone();
        let on_gpu = places.iter_mut().filter_map(|place| gpu_of(place).map(|gpu| (place, gpu)));
        on_gpu.filter(|(_, gpu)| closed.contains_key(gpu)).collect()
    }

    /// Tells the leases of GPUs that are in use which job would come next.
    fn wish(&self, places: &[Place]) {
        if self.inner.ctx.leases.closed().is_empty() {
            return;
        }
        let mut places = places.to_vec();
        let now = self.inner.dispatch.now();
        for (place, gpu) in self.leased(&mut places) {
            let place = std::slice::from_ref(&*place);
            let comes = |kind: &&Kind| {
                reasons(kind, place, &self.learned, now).iter().any(|(_, reason)| *reason == Reason::NotReady)
            };
            let first = self.queue.in_order(&self.learned).take(WISHERS_MAX).filter_map(|job| self.queue.kind(job));
            if let Some(kind) = first.into_iter().find(comes) {
                self.inner.ctx.leases.wish(&gpu, kind.models);
            }
        }
    }

    /// What the enabled servers are at, and who is in the way on their GPUs.
    fn conditions(&self) -> HashMap<ServerId, Condition> {
        let mut conditions = self.inner.pool.conditions();
        let closed = self.inner.ctx.leases.closed();
        for condition in conditions.values_mut() {
            condition.awaits = condition.gpu.as_ref().and_then(|gpu| closed.get(gpu)).cloned();
        }
        conditions
    }

    /// Time until the next look at the queue.
    fn look_in(&self, far: Duration) -> Duration {
        if self.queue.is_empty() {
            // What waits on a server may be late without anything else to happen.
            return if self.inner.dispatch.counts().unbegun.is_empty() { far } else { LOOK_EVERY };
        }
        let now = self.inner.dispatch.now();
        let wake = self.wake_at.map(|at| Duration::from_secs_f64((at - now).clamp(0.001, LOOK_EVERY.as_secs_f64())));
        wake.unwrap_or(LOOK_EVERY)
    }

    fn why(&self, job: JobId) -> Option<crate::WhyWaiting> {
        let kind = self.queue.kind(job)?;
        let now = self.inner.dispatch.now();
        let (position, starts_in) = self.forecast.get(&job).copied().unzip();
        let conditions = self.conditions();
        let servers = why::servers(kind, &self.places(), &conditions, &self.learned, now);
        Some(crate::WhyWaiting { position, estimated_start_s: starts_in.flatten(), servers })
    }

    fn publish_positions(&mut self) {
        let now = self.inner.dispatch.now();
        let places = self.places();
        let conditions = self.conditions();
        let forecasts = forecast(&self.queue, &places, &self.learned, now);
        let relief = forecasts.get(forecasts.len() / 10).and_then(|forecast| forecast.starts_in);
        self.inner.dispatch.counts().relief = relief;
        self.forecast.clear();
        let mut whys: HashMap<&Kind, Option<Arc<str>>> = HashMap::new();
        for (position, Forecast { job, starts_in }) in (0_u32..).zip(forecasts) {
            self.forecast.insert(job, (position, starts_in));
            let Some(kind) = self.queue.kind(job) else { continue };
            // Where some server takes such jobs, the position says all there is.
            let why = whys.entry(kind).or_insert_with(|| {
                let nowhere = starts_in.is_none();
                nowhere.then(|| {
                    let servers = why::servers(kind, &places, &conditions, &self.learned, now);
                    Arc::from(why::sentence(&servers, &kind.placement))
                })
            });
            let announced = if position < POSITIONS_ANNOUNCED { Board::update } else { Board::update_quietly };
            announced(&self.inner.board, job, |progress: &mut JobProgress| {
                let changed = progress.queue_position != Some(position) || progress.why_waiting != *why;
                if changed {
                    progress.queue_position = Some(position);
                    progress.why_waiting.clone_from(why);
                }
                changed
            });
        }
    }
}
