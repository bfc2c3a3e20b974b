//! One try to run one job on one server, from the claim to the result.
//!
//! Owns the order of steps: claim in the store (with the prompt's id) before anything is posted; inputs
//! up; post; follow; let go of the server's place as soon as the server is done; fetch; store; publish.
//! Never decides by an event alone that something succeeded: the server's history says so.
//!
//! An attempt always ends in [`settle`], which alone writes its outcome.

mod follow;
mod judge;
mod memory;
mod post;
pub(crate) mod prepare;
mod registry;
mod settle;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use comfyui::{Client, Error, events::Follow, workflow::files::model_files};
use hub_core::{
    error::{ErrorCode, UserError},
    ids::PromptId,
    job::{self, JobStateKind},
};
use hub_schedule::ModelSet;
use tokio::time::Instant;
use uuid::Uuid;

use self::{
    follow::{Follower, Patience, Verdict},
    post::Posted,
    prepare::PrepareFailure,
    registry::Entry,
    settle::End,
};
use crate::{
    CrashPoint, JobProgress,
    background::Inner,
    collect, crash,
    dispatch::Slot,
    lease::Claim,
    persist,
    pool::{Inbox, Session},
    schedule::{Waiting, work_class},
};

pub(crate) use registry::Registry;

/// Longest time for reading a workflow and its input picture and sending the picture up.
const PREPARE_LIMIT: Duration = Duration::from_mins(5);
/// Longest wait for a GPU that LLM servers share: it is given to a job only when they are done or soon will be.
const GPU_LIMIT: Duration = Duration::from_mins(2);

/// One attempt at work.
struct Attempt {
    inner: Arc<Inner>,
    session: Arc<Session>,
    waiting: Waiting,
    at: job::Attempt,
    /// The id that the server runs it under: ours, except on very old servers.
    prompt_id: String,
    server_name: Arc<str>,
    taken_up: Instant,
    /// When the server began the run that succeeded, as far as that is known.
    began: Option<DateTime<Utc>>,
    /// Whether the server loaded models for that run, as far as that is known.
    loaded: Option<bool>,
    /// The place on the server; given back once the server is done.
    slot: Option<Slot>,
    /// The claim on the server's GPU, when it shares one; given back with the place.
    claim: Option<Claim>,
    entry: Entry,
}

/// Starts an attempt of a queued job.
pub(crate) fn launch(inner: &Arc<Inner>, session: Arc<Session>, waiting: Waiting, slot: Slot) {
    let at = job::Attempt { number: waiting.job.attempts + 1, server: session.id(), prompt_id: PromptId::random() };
    let mut attempt = Attempt::new(inner, session, waiting, at, slot);
    // From now on, so that the GPU stays with ComfyUI between two jobs.
    attempt.claim = inner.ctx.leases.announce(&attempt.session.server(), attempt.models());
    inner.ctx.tasks.spawn(async move {
        let end = attempt.run().await;
        settle::settle(attempt, end).await;
    });
}

/// Takes up an attempt that an earlier process began.
pub(crate) fn attach(inner: &Arc<Inner>, waiting: Waiting, at: job::Attempt) {
    let mut progress = JobProgress::of(&waiting.job);
    let Some(session) = inner.pool.session(at.server) else {
        inner.board.open(progress);
        inner.ctx.tasks.spawn(settle::requeue_orphan(inner.clone(), waiting, at));
        return;
    };
    progress.server = Some(Arc::from(session.server().name.as_str()));
    inner.board.open(progress);
    let slot = inner.take_up(at.server, session.epoch(), &waiting);
    let mut attempt = Attempt::new(inner, session, waiting, at, slot);
    attempt.claim = inner.ctx.leases.adopt(&attempt.session.server(), attempt.models());
    inner.ctx.tasks.spawn(async move {
        let end = attempt.resume().await;
        settle::settle(attempt, end).await;
    });
}

impl Attempt {
    fn new(inner: &Arc<Inner>, session: Arc<Session>, mut waiting: Waiting, at: job::Attempt, slot: Slot) -> Self {
        waiting.job.attempts = at.number;
        Self {
            entry: inner.attempts.enter(waiting.job.id),
            server_name: Arc::from(session.server().name.as_str()),
            prompt_id: at.prompt_id.to_string(),
            inner: inner.clone(),
            session,
            waiting,
            at,
            taken_up: Instant::now(),
            began: None,
            loaded: None,
            slot: Some(slot),
            claim: None,
        }
    }

    /// The models that it needs loaded.
    fn models(&self) -> ModelSet {
        self.inner.ctx.catalogue.snapshot().models(work_class(&self.waiting.job).workflow)
    }

    async fn run(&mut self) -> End {
        if let Some(end) = self.claim().await {
            return end;
        }
        let name = self.server_name.clone();
        self.inner.board.update(self.waiting.job.id, |progress| {
            progress.state = JobStateKind::Assigned;
            progress.server = Some(name);
            progress.queue_position = None;
            progress.why_waiting = None;
            true
        });
        let Some(client) = self.session.client() else {
            return End::not_here(UserError::new(
                ErrorCode::ServerLost,
                format!("{} is not connected.", self.server_name),
            ));
        };
        let prepared = tokio::select! {
            () = self.entry.cancelled() => return End::Cancelled { posted: false },
            () = self.inner.ctx.kill.cancelled() => return End::LetGo,
            prepared = tokio::time::timeout(PREPARE_LIMIT, prepare::prepare(&self.inner, &self.waiting.job, &client)) => prepared,
        };
        let prepared = match prepared {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(failure)) => return self.judge_preparation(failure),
            Err(_) => {
                return self.judge_preparation(PrepareFailure::Upload(Error::Timeout { after: PREPARE_LIMIT }));
            }
        };
        if let Some(end) = self.await_gpu().await {
            return end;
        }
        // The socket's id is taken now: what it hears of this prompt, it hears from the first event on.
        let hearing = self.session.link().borrow().client_id.clone();
        let client_id = hearing.clone().unwrap_or_else(|| Arc::from(Uuid::new_v4().simple().to_string()));
        let mut inbox = self.session.inbox(self.prompt_id.clone());
        let fold = Follow::graph(self.prompt_id.clone(), &prepared.graph);
        let mut follower = Follower::new(self, fold, Some(&prepared.graph), hearing);
        match post::post(self, &client, &prepared, &client_id, &mut inbox, &mut follower).await {
            Posted::Accepted(prompt_id) if prompt_id == self.prompt_id => {}
            Posted::Accepted(prompt_id) => {
                tracing::warn!(job = %self.waiting.job.id, server = %self.server_name, "the server chose its own prompt id; it is too old to be followed across a restart");
                inbox = self.session.inbox(prompt_id.clone());
                follower.rename(&prompt_id, &prepared.graph);
                self.prompt_id = prompt_id;
            }
            Posted::Unproven => follower.unproven(),
            Posted::Not(end) => return end,
        }
        self.follow(&client, &mut inbox, follower, &prepared).await
    }

    /// Goes on with what an earlier process posted, or was about to.
    async fn resume(&mut self) -> End {
        let mut link = self.session.link();
        let patience = tokio::time::sleep(Patience::unreachable(&self.session.server()));
        tokio::pin!(patience);
        let client = loop {
            // The first probe builds the client; where its credentials cannot be read, there is none.
            if let Some(client) = self.session.client() {
                break client;
            }
            tokio::select! {
                () = self.entry.cancelled() => return End::Cancelled { posted: true },
                () = self.inner.ctx.kill.cancelled() => return End::LetGo,
                () = self.session.retired().cancelled() => return self.judge(Verdict::Retired, None),
                () = &mut patience => return self.judge(Verdict::Silent, None),
                changed = link.changed() => if changed.is_err() { return End::LetGo },
            }
        };
        let prepared = match prepare::again(&self.inner, &self.waiting.job).await {
            Ok(prepared) => prepared,
            Err(failure) => return self.judge_preparation(failure),
        };
        let mut inbox: Inbox = self.session.inbox(self.prompt_id.clone());
        let fold = Follow::graph(self.prompt_id.clone(), &prepared.graph);
        let mut follower = Follower::new(self, fold, Some(&prepared.graph), None);
        follower.take_up(self);
        self.follow(&client, &mut inbox, follower, &prepared).await
    }

    async fn follow(
        &mut self,
        client: &Client,
        inbox: &mut Inbox,
        mut follower: Follower<'_>,
        prepared: &prepare::Prepared,
    ) -> End {
        let verdict = follower.follow(&self.entry, client, inbox).await;
        self.began = follower.began();
        drop(follower);
        let Verdict::Done(entry) = verdict else { return self.judge(verdict, Some(&prepared.graph)) };
        // Who does not hear sees the start late; the server knows how long it took, whatever its clock says.
        let ran = entry.run_time().filter(|ran| *ran <= self.taken_up.elapsed());
        let by_server = ran.and_then(|ran| follow::ago(&self.inner.ctx, ran));
        self.began = self.began.into_iter().chain(by_server).min();
        if let Some(failure) = follow::failure(&entry) {
            return self.judge(failure, Some(&prepared.graph));
        }
        // The server is done; what follows is between us and its disk.
        self.loaded = self.slot.take().and_then(Slot::done);
        self.claim = None;
        let files = model_files(&prepared.graph).into_iter().map(|file| file.name).collect();
        self.session.ran(self.waiting.job.recipe.as_ref().map(|recipe| recipe.workflow_id), files);
        // The credentials may have been rotated while it ran.
        let client = &self.session.client().unwrap_or_else(|| client.clone());
        self.inner.board.update(self.waiting.job.id, |progress| {
            progress.state = JobStateKind::Collecting;
            progress.fraction = 1.0;
            progress.steps = None;
            true
        });
        let collected = tokio::select! {
            () = self.entry.cancelled() => return End::Cancelled { posted: false },
            () = self.inner.ctx.kill.cancelled() => return End::LetGo,
            collected =
                collect::collect(&self.inner.ctx, client, &entry, prepared.output_nodes(), &self.waiting.job) => collected,
        };
        match collected {
            Ok(artifacts) => {
                // Only now: a server that runs prompts but hands out no pictures is of no use.
                self.session.job_succeeded();
                End::Succeeded(artifacts)
            }
            Err(failure) => self.judge_collection(failure),
        }
    }

    /// Waits until the server's GPU is free of others' models, where it shares one. Whoever does not make room in
    /// time does not hold the job up: ComfyUI may get by with what is free. `Some` when it must not go on.
    async fn await_gpu(&self) -> Option<End> {
        let claim = self.claim.as_ref()?;
        tokio::select! {
            () = self.entry.cancelled() => Some(End::Cancelled { posted: false }),
            () = self.inner.ctx.kill.cancelled() => Some(End::LetGo),
            waited = tokio::time::timeout(GPU_LIMIT, claim.granted()) => {
                if waited.is_err() {
                    tracing::warn!(job = %self.waiting.job.id, server = %self.server_name, "the GPU that the server shares did not become free in time; the job is sent nevertheless");
                }
                None
            }
        }
    }

    /// Writes the attempt; `Some` when it must not go on.
    async fn claim(&self) -> Option<End> {
        let (ctx, job) = (&self.inner.ctx, self.waiting.job.id);
        let assigned = persist::settle(ctx, job, || ctx.store.job_assign(job, &self.at));
        match crash::around(CrashPoint::Assign, assigned).await {
            Some(true) => None,
            None => Some(End::LetGo),
            Some(false) => {
                // Lost, unless it was this very attempt whose first answer got lost.
                let stored = persist::settle(ctx, job, || ctx.store.job_get(job)).await??;
                if stored.state.attempt() == Some(self.at) { None } else { Some(End::Superseded) }
            }
        }
    }
}
