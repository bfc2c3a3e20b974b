//! The engine's door: what the edges may call. Here: its life, and jobs; files and administration are in
//! the modules below.

mod admin;
mod backup;
mod beginning;
pub(crate) mod checks;
mod configuration;
mod edits;
mod files;
mod jobs;
mod llm_models;
mod roles;
mod servers;
mod showcases;
mod trials;
mod upkeep;
pub(crate) mod weights;
mod workflows;

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use hub_core::{
    caller::Caller,
    catalogue::Catalogue,
    clock::SharedClock,
    error::{ErrorCode, UserError},
    ids::JobId,
    job::Job,
    request::ToolCall,
};
use hub_store::Store;
use object_store::ObjectStore;
use tokio::sync::{Mutex, broadcast, watch};

use crate::{
    EngineConfig, FeedId, FeedReader, JobView, JobWatch, PlanView, QueueSizes, ReconcilerView, Submitted, WhyWaiting,
    background::Background, context::Context, dispatch::QueueDepths, dry_run, refusal::storage, settings::Settings,
    submit,
};

pub use jobs::{CancelledJobs, JobMove};
pub use llm_models::LlmModelView;
pub use showcases::ShowcasesAsked;

/// Handle on the engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: Arc<Context>,
    background: Background,
    /// Held by who looks which pictures of styles and render types are on their way and asks for others.
    showcasing: Mutex<()>,
}

impl Engine {
    /// Starts the background work: sessions with all enabled servers, the dispatcher, reconcilers;
    /// re-attaches to what was running before.
    ///
    /// # Errors
    /// `storage` when the store cannot be read.
    pub async fn start(
        mut config: EngineConfig,
        store: Store,
        objects: Arc<dyn ObjectStore>,
        clock: SharedClock,
    ) -> Result<Self, UserError> {
        let given = std::mem::take(&mut config.given);
        let settings = Settings::load(config, given, &store).await?;
        let ctx = Arc::new(Context::new(settings, store, objects, clock));
        ctx.catalogue.reload(&ctx.store).await?;
        ctx.recent_calls.recall(&ctx.store, ctx.clock.now(), ctx.config.repeat_window).await?;
        let background = Background::start(ctx.clone()).await?;
        weights::apply(&ctx, &background).await?;
        Ok(Self { inner: Arc::new(Inner { ctx, background, showcasing: Mutex::default() }) })
    }

    /// Stops taking work, gives attempts `grace` to end or let go (their prompts keep running and
    /// are found again at the next start), then ends all background work.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.background.shutdown(grace).await;
    }

    /// Limits and policies as of the start.
    pub fn config(&self) -> &EngineConfig {
        &self.ctx().config
    }

    /// For reads: edges go straight to the store.
    pub fn store(&self) -> &Store {
        &self.ctx().store
    }

    /// What callers can choose from, as of now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.ctx().catalogue.catalogue()
    }

    /// Tells the catalogue's version whenever it changes.
    pub fn catalogue_changes(&self) -> watch::Receiver<u64> {
        self.ctx().catalogue.changes()
    }

    /// Counts up whenever pictures were deleted.
    pub fn pictures_gone(&self) -> watch::Receiver<u64> {
        self.ctx().pictures_gone.subscribe()
    }

    /// Plans and stores a job. The job is committed when this returns.
    ///
    /// # Errors
    /// The caller's faults by argument, with valid values; `queue_full` with the time to wait;
    /// `not_configured`; `no_server`; `storage`.
    pub async fn submit(&self, caller: &Caller, call: ToolCall) -> Result<Submitted, UserError> {
        // On the heap: it holds a whole request and recipe, and every edge's future would hold it again.
        Box::pin(submit::submit(&self.inner.ctx, &self.inner.background, caller, call)).await
    }

    /// What a call would do: plans it and makes nothing.
    ///
    /// # Errors
    /// As [`Engine::submit`], as far as that can be told without fetching anything.
    pub async fn plan(&self, caller: &Caller, call: ToolCall) -> Result<PlanView, UserError> {
        Box::pin(dry_run::plan(&self.inner.ctx, &self.inner.background, caller, call)).await
    }

    /// Follows a job; one that has ended (or is unknown to the background) answers its end at once.
    ///
    /// # Errors
    /// `unknown_job`; `storage`.
    pub async fn watch(&self, job: JobId) -> Result<JobWatch, UserError> {
        if let Some(watch) = self.inner.background.watch_unfinished(job) {
            return Ok(watch);
        }
        if let Some(view) = self.inner.background.ended(job) {
            return Ok(self.inner.background.watch(&view.job));
        }
        let mut row = self.job(job).await?;
        if !row.state.kind().is_terminal() && self.inner.background.progress(job).is_none() {
            // It ended after it was read: now the store has its end.
            row = self.job(job).await?;
        }
        Ok(self.inner.background.watch(&row))
    }

    /// Waits until the job ends or `limit` passes, and answers it as stored then.
    ///
    /// # Errors
    /// `unknown_job`; `storage`.
    pub async fn wait(&self, job: JobId, limit: Duration) -> Result<JobView, UserError> {
        let mut watch = self.watch(job).await?;
        let end = async {
            if watch.now().state.is_terminal() {
                return;
            }
            while let Some(progress) = watch.next().await {
                if progress.state.is_terminal() {
                    return;
                }
            }
        };
        // A wait that runs out is no error: the job goes on, and the view says so.
        let _ended = tokio::time::timeout(limit, end).await;
        self.view(job).await
    }

    /// A job with what belongs to it.
    ///
    /// # Errors
    /// `unknown_job`; `storage`.
    pub async fn view(&self, job: JobId) -> Result<JobView, UserError> {
        if let Some(view) = self.inner.background.ended(job) {
            return Ok(view);
        }
        let row = self.job(job).await?;
        let mut views = self.views(vec![row]).await?;
        views.pop().ok_or_else(|| unknown_job(job))
    }

    /// Does what is not to be left half done, whether or not whoever asked waits for it.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, UserError>> + Send + 'static,
    ) -> Result<T, UserError> {
        match self.ctx().tasks.spawn(work).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(UserError::new(ErrorCode::Internal, "The hub is stopping.")),
            },
        }
    }

    /// Views for a page of jobs, in the given order.
    ///
    /// # Errors
    /// `storage`.
    pub async fn views(&self, jobs: Vec<Job>) -> Result<Vec<JobView>, UserError> {
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let mut artifacts = self.store().artifacts_of_many(&ids).await.map_err(storage)?;
        let names = if jobs.iter().any(|job| job.server.is_some()) {
            self.store().server_names().await.map_err(storage)?
        } else {
            std::collections::BTreeMap::new()
        };
        Ok(jobs
            .into_iter()
            .map(|job| JobView {
                // What it made is stored together with its end; it may have ended since its row was read. Only a whole
                // has something before, that of its parts.
                artifacts: artifacts
                    .remove(&job.id)
                    .filter(|_| job.is_whole() || job.state.kind().is_terminal())
                    .unwrap_or_default(),
                server: job.server.and_then(|server| names.get(&server).cloned()),
                progress: Some(&job.state)
                    .filter(|state| !state.kind().is_terminal())
                    .and_then(|_| self.inner.background.progress(job.id)),
                job,
            })
            .collect())
    }

    /// Why a job waits for a server, server by server; `None` when it does not wait for one.
    pub async fn why_waiting(&self, job: JobId) -> Option<WhyWaiting> {
        self.inner.background.why_waiting(job).await
    }

    /// Ids of jobs whose state or progress changed (states always; progress at most 4/s per job).
    pub fn changes(&self) -> broadcast::Receiver<JobId> {
        self.inner.background.changes()
    }

    /// Follows everything that happens: from now on, or from after `last`.
    pub fn follow(&self, last: Option<FeedId>) -> FeedReader {
        self.ctx().feed.follow(last)
    }

    /// Follows the changes of states, and alerts, from now on. Progress and queue sizes come too while somebody
    /// else follows them.
    pub fn follow_changes(&self) -> FeedReader {
        self.ctx().feed.follow_changes()
    }

    /// Jobs that wait for a server, by caller and render type.
    pub async fn queue_depths(&self) -> QueueDepths {
        self.inner.background.inner().dispatch.depths().await
    }

    /// Jobs that have not ended, by state.
    pub fn queue_sizes(&self) -> QueueSizes {
        self.inner.background.inner().board.sizes()
    }

    /// Cancels; a job that has ended already is answered as it is.
    ///
    /// # Errors
    /// `unknown_job`; `storage`, and then the job goes on.
    pub async fn cancel(&self, job: JobId) -> Result<JobView, UserError> {
        if !self.job(job).await?.state.kind().is_terminal() {
            self.inner.background.cancel(job).await?;
        }
        self.view(job).await
    }

    /// The tasks that keep the world in agreement with the store, and what each did last.
    pub fn reconcilers(&self) -> Vec<ReconcilerView> {
        self.inner.background.reconcilers()
    }

    /// Runs one of [`Engine::reconcilers`] now and answers what it did.
    ///
    /// # Errors
    /// `bad_argument` with the valid names. What the run itself failed of is in the answer.
    pub async fn reconcile(&self, name: &str) -> Result<ReconcilerView, UserError> {
        let names = || self.reconcilers().into_iter().map(|view| view.name);
        self.inner
            .background
            .reconcile(name)
            .await
            .ok_or_else(|| UserError::argument("name", format!("There is no reconciler `{name}`.")).with_valid(names()))
    }

    pub(crate) fn ctx(&self) -> &Context {
        &self.inner.ctx
    }

    pub(crate) fn background(&self) -> &Background {
        &self.inner.background
    }

    async fn job(&self, id: JobId) -> Result<Job, UserError> {
        self.store().job_get(id).await.map_err(storage)?.ok_or_else(|| unknown_job(id))
    }
}

fn unknown_job(id: JobId) -> UserError {
    UserError::new(ErrorCode::UnknownJob, format!("There is no job {id}."))
}
