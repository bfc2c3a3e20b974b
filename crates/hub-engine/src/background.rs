//! The door of the background work: what the engine's request side may ask of it.
//!
//! Owns the wiring of board, dispatcher, pool, attempts and reconcilers, and their common end. Never
//! plans, never answers an edge by itself. Everything behind it follows one rule: the store is asked
//! first and told the truth, then memory follows; a job's end is published once, after it is stored.

use std::{sync::Arc, time::Duration};

use hub_core::{
    caller::{Caller, CallerWeights},
    error::UserError,
    ids::{JobId, ServerId, WorkflowId},
    job::{Job, JobState, JobStateKind},
    placement::Placement,
};
use hub_schedule::Flight;
use hub_store::Cancelled;
use tokio::sync::{Mutex, broadcast};

use crate::{
    CrashPoint, JobProgress, JobView, JobWatch, PlannedServer, ReconcilerView, ServerView, WhyWaiting,
    attempt::{self, Registry, prepare::GraphCache},
    catalogue::Snapshot,
    context::Context,
    crash,
    dispatch::{self, DispatchHandle, Planning, Slot},
    ended::Ended,
    events::Board,
    parts, persist, planner,
    pool::{Alerts, Pool},
    reconcile::{self, Reconcilers},
    schedule::Waiting,
};

/// Longest wait for tasks that have been told to let go, at shutdown.
const LET_GO_LIMIT: Duration = Duration::from_secs(3);
/// What a prompt that an earlier process posted is expected to take yet, in seconds.
const TAKEN_UP_S: f64 = 5.0;

/// Handle on the background work; cheap to clone.
#[derive(Clone)]
pub(crate) struct Background {
    inner: Arc<Inner>,
}

/// What the parts of the background work share.
pub(crate) struct Inner {
    pub(crate) ctx: Arc<Context>,
    pub(crate) board: Board,
    pub(crate) dispatch: DispatchHandle,
    pub(crate) pool: Pool,
    pub(crate) attempts: Registry,
    pub(crate) graphs: GraphCache,
    pub(crate) ended: Ended,
    pub(crate) reconcilers: Reconcilers,
    /// Held by who moves a job, from the write until the dispatcher knows: else two moves of it could reach the
    /// store in one order and the queue in the other.
    pub(crate) moves: Mutex<()>,
}

impl Background {
    /// Opens the sessions, starts the dispatcher and the reconcilers, and takes up every job that an
    /// earlier process left unfinished.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn start(ctx: Arc<Context>) -> Result<Self, UserError> {
        let (dispatch, orders) = dispatch::channel();
        let alerts = Arc::new(Alerts::new(ctx.clock.clone(), ctx.settings.follow(), ctx.feed.clone()));
        let pool = Pool::new(dispatch.clone(), alerts);
        let inner = Arc::new(Inner {
            board: Board::new(ctx.feed.clone()),
            dispatch,
            pool,
            attempts: Registry::default(),
            graphs: GraphCache::default(),
            ended: Ended::default(),
            reconcilers: Reconcilers::default(),
            moves: Mutex::default(),
            ctx,
        });
        let background = Self { inner: inner.clone() };
        let ctx = &inner.ctx;
        ctx.leases.begin(&inner);
        inner.pool.begin(ctx);
        let learned = dispatch::recall(ctx).await;
        inner.pool.reload(ctx).await?;
        // Adopted before the dispatcher runs, so that what is on a server counts there from the first decision.
        let planning = reconcile::restart::adopt_all(&inner).await?;
        ctx.tasks.spawn(inner.board.flusher(ctx.kill.clone()));
        ctx.tasks.spawn(inner.board.pulse(ctx.kill.clone()));
        ctx.tasks.spawn(dispatch::run(inner.clone(), orders, learned));
        ctx.tasks.spawn(dispatch::keep(inner.clone()));
        ctx.tasks.spawn(follow_catalogue(inner.clone()));
        for job in planning {
            background.resume_planning(job);
        }
        ctx.tasks.spawn(reconcile::run(background.clone()));
        Ok(background)
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Has the planner go on with a job whose planning was cut short.
    pub(crate) fn resume_planning(&self, job: Job) {
        self.planning(&job);
        self.inner.ctx.tasks.spawn(planner::resume(self.inner.ctx.clone(), self.clone(), job));
    }

    /// Puts a stored job that is being planned on the board.
    pub(crate) fn planning(&self, job: &Job) {
        self.inner.board.open(JobProgress::of(job));
    }

    /// Tells what is being done for a job that is being planned, and how much of it is done, 0–1.
    pub(crate) fn tell_planning(&self, job: JobId, words: &str, fraction: f32) {
        self.inner.board.update(job, |progress| {
            progress.node = Some(words.into());
            progress.fraction = progress.fraction.max(fraction);
            true
        });
    }

    /// Takes a stored job that waits for a server. Call it after the commit, once.
    pub(crate) fn enqueue(&self, job: Job) {
        self.inner.enqueue(job);
    }

    /// Takes a stored job with its parts, which wait for servers. Call it after the commit, once.
    pub(crate) fn enqueue_parts(&self, whole: Job, parts: Vec<Job>) {
        parts::begin(&self.inner, whole, parts);
    }

    /// Publishes the end of a job that ended outside of an attempt: a text answer, a plan that failed.
    pub(crate) fn finished(&self, job: &Job) {
        self.inner.board.end(job.id, job.state.kind());
    }

    /// Follows a job as read from the store. A job that the board does not know is answered as given,
    /// once: when it was read unfinished, it ended in between, and the store has its end.
    pub(crate) fn watch(&self, job: &Job) -> JobWatch {
        self.inner.board.watch(job.id).unwrap_or_else(|| Board::told(JobProgress::of(job)))
    }

    /// The newest progress of a job that has not ended.
    pub(crate) fn progress(&self, job: JobId) -> Option<JobProgress> {
        self.inner.board.progress(job)
    }

    /// The result of a job that succeeded a moment ago.
    pub(crate) fn ended(&self, job: JobId) -> Option<JobView> {
        self.inner.ended.get(job)
    }

    /// Follows a job that has not ended, without asking the store.
    pub(crate) fn watch_unfinished(&self, job: JobId) -> Option<JobWatch> {
        self.inner.board.watch(job)
    }

    /// Ids of jobs that changed.
    pub(crate) fn changes(&self) -> broadcast::Receiver<JobId> {
        self.inner.board.changes()
    }

    /// Cancels a job with its parts: in the store first, then on the server that has it. A job that has ended stays
    /// as it is. Answers whether this ended it.
    ///
    /// # Errors
    /// When the store cannot be written; the job then goes on.
    pub(crate) async fn cancel(&self, job: JobId) -> Result<bool, UserError> {
        let inner = &self.inner;
        let cancelled = persist::user(&inner.ctx, || inner.ctx.store.job_cancel(job));
        let cancelled = crash::around(CrashPoint::Cancel, cancelled).await?;
        let ended = !cancelled.is_empty();
        for Cancelled { job, owner } in cancelled {
            inner.board.end(job, JobStateKind::Cancelled);
            inner.dispatch.forget(job);
            if !inner.attempts.cancel(job)
                && let Some(attempt) = owner
                && let Some(session) = inner.pool.session(attempt.server)
            {
                // Nobody follows it (its attempt just let go), but it may still be on the server.
                let prompt = attempt.prompt_id.to_string();
                inner.ctx.tasks.spawn(async move { session.withdraw(&prompt).await });
            }
        }
        Ok(ended)
    }

    /// Clients of the enabled servers by name; those that take work first.
    pub(crate) fn clients(&self) -> Vec<(String, comfyui::Client)> {
        self.inner.pool.clients()
    }

    /// All servers, enabled or not, with their live state.
    pub(crate) fn servers(&self) -> Vec<ServerView> {
        let inner = &self.inner;
        let mut views = inner.pool.views(&inner.ctx, |server: ServerId| inner.dispatch.in_flight(server));
        for view in &mut views {
            (view.live.runs, view.live.model_loads) = inner.dispatch.runs(view.id());
            view.live.lease = view.server.gpu.as_deref().and_then(|gpu| inner.ctx.leases.view(gpu));
        }
        views
    }

    /// Tells that a server was added, changed or deleted in the store.
    ///
    /// # Errors
    /// When the store cannot be read; the sessions then stay as they are.
    pub(crate) async fn servers_changed(&self) -> Result<(), UserError> {
        self.inner.pool.reload(&self.inner.ctx).await?;
        self.inner.dispatch.nudge();
        Ok(())
    }

    /// Refuses a workflow that no enabled server of those meant can run, as far as is known for certain.
    ///
    /// # Errors
    /// `no_compatible_server` naming what each server lacks.
    pub(crate) async fn refuse_hopeless(
        &self,
        snapshot: &Snapshot,
        workflow: WorkflowId,
        placement: &Placement,
    ) -> Result<(), UserError> {
        match snapshot.runnable_of(workflow) {
            Some(runnable) => self.inner.pool.refuse_hopeless(&self.inner.ctx, runnable, placement).await,
            None => Ok(()),
        }
    }

    /// Whether each enabled server could run a workflow.
    pub(crate) fn fits(&self, snapshot: &Snapshot, workflow: WorkflowId) -> Vec<PlannedServer> {
        let runnable = snapshot.runnable_of(workflow);
        runnable.map(|runnable| self.inner.pool.fits(&self.inner.ctx, runnable)).unwrap_or_default()
    }

    /// The largest seed that a workflow takes wherever a job of it may go.
    pub(crate) fn largest_seed(&self, snapshot: &Snapshot, workflow: WorkflowId, placement: &Placement) -> u64 {
        let runnable = snapshot.runnable_of(workflow);
        runnable.map_or(u64::MAX, |runnable| self.inner.pool.largest_seed(runnable, placement))
    }

    /// Why a job waits for a server; `None` when it does not.
    pub(crate) async fn why_waiting(&self, job: JobId) -> Option<WhyWaiting> {
        let in_parts = self.progress(job).is_some_and(|progress| progress.parts.is_some());
        if !in_parts {
            return self.inner.dispatch.why(job).await;
        }
        // The first of its parts that waits speaks for all.
        for part in self.inner.ctx.store.job_parts(job).await.unwrap_or_default() {
            if let Some(why) = self.inner.dispatch.why(part.id).await {
                return Some(why);
            }
        }
        None
    }

    /// Least and highest priority among a caller's jobs in the queue, `except` this one and its parts.
    pub(crate) async fn priorities(&self, caller: &Caller, except: JobId) -> Option<(i32, i32)> {
        self.inner.dispatch.priorities(caller, except).await
    }

    /// Gives jobs that wait another priority, which is stored already; done when this returns. Call it with `moves`
    /// held since before the write.
    pub(crate) async fn prioritise(&self, moved: &[(JobId, i32)]) {
        for &(job, priority) in moved {
            self.inner.dispatch.prioritise(job, priority).await;
        }
    }

    /// Sets the shares of all callers.
    pub(crate) fn weigh(&self, weights: CallerWeights) {
        self.inner.dispatch.weigh(weights);
    }

    /// Counts a job, as many times as it has parts, among those that wait while it is planned.
    pub(crate) fn count_planning(&self, job: &Job) -> Planning {
        self.inner.dispatch.planning(&job.caller, job.request.pictures() as usize)
    }

    /// Time until a tenth of the queue will have begun, in seconds, when that can be told.
    pub(crate) fn relief(&self) -> Option<f64> {
        self.inner.dispatch.relief()
    }

    /// Jobs that wait for a server or for their plan.
    pub(crate) fn queue_len(&self) -> usize {
        self.inner.dispatch.len()
    }

    /// Such jobs of one caller.
    pub(crate) fn queue_len_of(&self, caller: &Caller) -> usize {
        self.inner.dispatch.len_of(caller)
    }

    /// The reconcilers and what each did last.
    pub(crate) fn reconcilers(&self) -> Vec<ReconcilerView> {
        self.inner.reconcilers.views()
    }

    /// Runs a reconciler now; `None` when there is none of that name.
    pub(crate) async fn reconcile(&self, name: &str) -> Option<ReconcilerView> {
        reconcile::run_now(name, self).await
    }

    /// Stops assigning, gives attempts `grace` to end, then lets go of the rest: their prompts keep
    /// running and are found again at the next start.
    pub(crate) async fn shutdown(&self, grace: Duration) {
        let ctx = &self.inner.ctx;
        ctx.stop.cancel();
        if tokio::time::timeout(grace, self.inner.attempts.idle()).await.is_err() {
            tracing::info!("attempts still run; they are taken up again at the next start");
        }
        // While the dispatcher still answers: what the last runs taught is worth a moment.
        if tokio::time::timeout(LET_GO_LIMIT, dispatch::save(&self.inner)).await.is_err() {
            tracing::warn!("what was learned of run times was not kept in time");
        }
        ctx.kill.cancel();
        ctx.tasks.close();
        if tokio::time::timeout(LET_GO_LIMIT, ctx.tasks.wait()).await.is_err() {
            tracing::warn!("background tasks did not end in time and are dropped");
        }
    }
}

/// Has the pool look anew at what servers lack whenever the workflows change.
async fn follow_catalogue(inner: Arc<Inner>) {
    let mut versions = inner.ctx.catalogue.changes();
    loop {
        tokio::select! {
            () = inner.ctx.kill.cancelled() => return,
            changed = versions.changed() => if changed.is_err() { return },
        }
        inner.pool.catalogue_changed(&inner.ctx);
    }
}

impl Inner {
    /// See [`Background::enqueue`].
    pub(crate) fn enqueue(&self, job: impl Into<Waiting>) {
        let waiting = job.into();
        let mut progress = JobProgress::of(&waiting.job);
        progress.queue_position = Some(u32::try_from(self.dispatch.len()).unwrap_or(u32::MAX));
        self.board.open(progress);
        self.dispatch.enqueue(waiting);
    }

    /// Takes a place on a server for a prompt that an earlier process posted there.
    pub(crate) fn take_up(&self, server: ServerId, epoch: u64, waiting: &Waiting) -> Slot {
        let snapshot = self.ctx.catalogue.snapshot();
        let kind = waiting.kind(|workflow| snapshot.models(workflow));
        let flight = Flight {
            caller: waiting.job.caller.clone(),
            class: None,
            models: kind.models,
            expected: TAKEN_UP_S,
            charged: 0.0,
            cold: true,
            guessed: true,
        };
        self.dispatch.occupy(server, epoch, flight, (waiting.job.id, kind))
    }

    /// Takes up a job of the store that nobody here knows, of which `failures` attempts failed by a server's
    /// fault. Answers the jobs whose planning must go on.
    pub(crate) fn adopt(self: &Arc<Self>, failures: u32, job: Job) -> Option<Job> {
        let state = job.state.clone();
        let avoid = job.server.filter(|_| matches!(state, JobState::Queued));
        let waiting = |job| Waiting { failures, avoid, ..Waiting::from(job) };
        match state {
            JobState::Planning => return Some(job),
            JobState::InParts => parts::adopt(self, job),
            JobState::Queued if job.is_whole() => parts::adopt(self, job),
            JobState::Queued => self.enqueue(waiting(job)),
            JobState::Assigned(at) | JobState::Running(at) | JobState::Collecting(at) => {
                attempt::attach(self, waiting(job), at);
            }
            JobState::Succeeded | JobState::Failed(_) | JobState::Cancelled | JobState::Expired => {}
        }
        None
    }
}
