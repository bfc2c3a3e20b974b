//! What operators do to jobs: the whole story of one, once more, sooner or later, and away with many.

use hub_core::{
    caller::Caller,
    error::{ErrorCode, UserError},
    ids::JobId,
    job::{Job, JobState, JobStateKind},
    limits,
    placement::{Placement, Wish},
    request::{CallOptions, JobRequest, ToolCall},
};
use hub_store::{AttemptRow, JobFilter};

use super::Engine;
use crate::{AttemptView, JobHistory, JobView, Precedence, Submitted, refusal::storage};

/// Jobs per reading while many are cancelled.
const CANCEL_PAGE: u32 = 200;

/// What a cancel of several jobs came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CancelledJobs {
    /// These were cancelled.
    pub cancelled: Vec<JobId>,
    /// These had ended before.
    pub ended: Vec<JobId>,
    /// Of these nothing is known.
    pub unknown: Vec<JobId>,
    /// More match than are cancelled in one go: ask again.
    pub more: bool,
}

/// A move within the queue, so that it can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobMove {
    /// Which job was moved.
    pub job: JobId,
    /// Itself and its parts, as far as they were moved, each with its priority before.
    pub before: Vec<(JobId, i32)>,
    /// Their priority since then.
    pub after: i32,
}

impl JobMove {
    /// Whether anything has another priority than before.
    pub fn changed(&self) -> bool {
        self.before.iter().any(|(_, before)| *before != self.after)
    }
}

impl Engine {
    /// The attempts of a job and the points of its life, as far as they are stored.
    ///
    /// # Errors
    /// `storage`.
    pub async fn history(&self, job: &Job) -> Result<JobHistory, UserError> {
        let rows: Vec<(Option<u32>, AttemptRow)> = if job.is_whole() {
            let rows = self.store().part_attempts(job.id).await.map_err(storage)?;
            rows.into_iter().map(|(part, row)| (Some(part + 1), row)).collect()
        } else {
            let rows = self.store().job_attempts(job.id).await.map_err(storage)?;
            rows.into_iter().map(|row| (None, row)).collect()
        };
        let names = if rows.is_empty() {
            std::collections::BTreeMap::new()
        } else {
            self.store().server_names().await.map_err(storage)?
        };
        let attempts: Vec<AttemptView> = rows
            .into_iter()
            .map(|(part, AttemptRow { attempt, created_at, ended_at, outcome, error, loaded })| AttemptView {
                number: attempt.number,
                part,
                server_id: attempt.server,
                server: names.get(&attempt.server).cloned(),
                prompt_id: attempt.prompt_id.to_string(),
                assigned_at: created_at,
                ended_at,
                outcome,
                error,
                loaded_models: loaded,
            })
            .collect();
        Ok(JobHistory::of(job, attempts))
    }

    /// Does a job that has ended once more, as a job of `caller` whose parent it is. A failed one keeps the
    /// seed that was drawn for it.
    ///
    /// # Errors
    /// `unknown_job`; `conflict` for a job that has not ended; what [`Engine::submit`] refuses.
    pub async fn retry(
        &self,
        caller: &Caller,
        id: JobId,
        idempotency_key: Option<String>,
    ) -> Result<Submitted, UserError> {
        self.check_job(caller, id).await?;
        let job = self.job(id).await?;
        let state = job.state.kind();
        if !state.is_terminal() {
            let message = format!("The job {id} is {state}; only a job that has ended can be tried again.");
            return Err(UserError::new(ErrorCode::Conflict, message).with_hint("Cancel it first, or wait for its end."));
        }
        let (server, group) = match &job.placement {
            Placement::Anywhere => (None, None),
            Placement::Server(server) => (Some(server.to_string()), None),
            Placement::Group(name) => (None, Some(name.clone())),
        };
        let wish = Wish { priority: job.priority, server, group };
        let options = CallOptions { idempotency_key, wish, parent: Some(id), ..CallOptions::default() };
        let as_asked = ToolCall { request: job.request.clone(), options };
        let Some(with_seed) = with_drawn_seed(&job, &as_asked) else { return self.submit(caller, as_asked).await };
        match self.submit(caller, with_seed).await {
            // The workflow takes none: then whatever it drew cannot be given.
            Err(error) if error.argument.as_deref() == Some("seed") => self.submit(caller, as_asked).await,
            outcome => outcome,
        }
    }

    /// Moves a waiting job among those of its caller. Effective at once.
    ///
    /// # Errors
    /// `unknown_job`; `bad_argument` for a priority out of bounds; `conflict` for a job that does not wait
    /// (any more); `storage`.
    pub async fn prioritise(&self, id: JobId, precedence: Precedence) -> Result<JobView, UserError> {
        self.job_move(id, precedence).await?;
        self.view(id).await
    }

    /// The same, answering what takes it back.
    ///
    /// # Errors
    /// As [`Engine::prioritise`].
    pub async fn job_move(&self, id: JobId, precedence: Precedence) -> Result<JobMove, UserError> {
        let engine = self.clone();
        self.to_its_end(async move {
            let _alone = engine.inner.background.inner().moves.lock().await;
            engine.move_now(id, precedence).await
        })
        .await
    }

    /// Takes a move back: the job is where it was among those that were not moved since. Effective at once.
    ///
    /// # Errors
    /// `unknown_job`; `conflict` for a job that does not wait (any more), or that was moved again; `storage`.
    pub async fn job_move_back(&self, moved: &JobMove) -> Result<(), UserError> {
        let (engine, moved) = (self.clone(), moved.clone());
        self.to_its_end(async move {
            let _alone = engine.inner.background.inner().moves.lock().await;
            engine.move_back_now(&moved).await
        })
        .await
    }

    async fn move_now(&self, id: JobId, precedence: Precedence) -> Result<JobMove, UserError> {
        let job = self.job(id).await?;
        let priority = match precedence {
            Precedence::Priority(priority) => Wish::parse(Some(priority), None, None)?.priority,
            Precedence::First | Precedence::Last => {
                let others = self.inner.background.priorities(&job.caller, id).await;
                let wanted = match (precedence, others) {
                    (Precedence::First, Some((_, most))) => most.saturating_add(1),
                    (_, Some((least, _))) => least.saturating_sub(1),
                    (_, None) => job.priority,
                };
                wanted.clamp(limits::PRIORITY_MIN, limits::PRIORITY_MAX)
            }
        };
        let before = self.store().job_set_priority(id, priority).await.map_err(storage)?;
        if before.is_empty() {
            // It may have left the queue since it was read.
            return Err(not_waiting(id, self.job(id).await?.state.kind()));
        }
        let now: Vec<(JobId, i32)> = before.iter().map(|(moved, _)| (*moved, priority)).collect();
        self.inner.background.prioritise(&now).await;
        Ok(JobMove { job: id, before, after: priority })
    }

    async fn move_back_now(&self, JobMove { job, before, after }: &JobMove) -> Result<(), UserError> {
        let job = *job;
        let back = self.store().job_unset_priority(job, *after, before).await.map_err(storage)?;
        if back.is_empty() {
            let state = self.job(job).await?.state.kind();
            if !matches!(state, JobStateKind::Planning | JobStateKind::Queued) {
                return Err(not_waiting(job, state));
            }
            let message = format!("The job {job} was moved again since then; it stays where it is.");
            return Err(UserError::new(ErrorCode::Conflict, message));
        }
        self.inner.background.prioritise(&back).await;
        Ok(())
    }

    /// Cancels these jobs, one after the other.
    ///
    /// # Errors
    /// `storage`; then some may be cancelled and some not.
    pub async fn cancel_jobs(&self, ids: &[JobId]) -> Result<CancelledJobs, UserError> {
        let mut outcome = CancelledJobs::default();
        for &id in ids {
            match self.store().job_get(id).await.map_err(storage)? {
                None => outcome.unknown.push(id),
                Some(job) => self.cancel_into(&job, &mut outcome).await?,
            }
        }
        Ok(outcome)
    }

    /// Cancels the unfinished jobs that a filter finds, newest first, at most `most` in one go. Without states
    /// the filter means all unfinished ones.
    ///
    /// # Errors
    /// `storage`; then some may be cancelled and some not.
    pub async fn cancel_matching(&self, filter: &JobFilter, most: usize) -> Result<CancelledJobs, UserError> {
        let open = |state: &JobStateKind| !state.is_terminal();
        let states = if filter.states.is_empty() { JobStateKind::ALL.to_vec() } else { filter.states.clone() };
        let filter = JobFilter { states: states.into_iter().filter(open).collect(), ..filter.clone() };
        let mut outcome = CancelledJobs::default();
        if filter.states.is_empty() {
            return Ok(outcome);
        }
        let mut cursor = None;
        loop {
            let page = self.store().job_list(&filter, cursor, CANCEL_PAGE).await.map_err(storage)?;
            for job in &page.jobs {
                if outcome.cancelled.len() + outcome.ended.len() >= most {
                    outcome.more = true;
                    return Ok(outcome);
                }
                self.cancel_into(job, &mut outcome).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(outcome);
            }
        }
    }

    async fn cancel_into(&self, job: &Job, outcome: &mut CancelledJobs) -> Result<(), UserError> {
        let done = !job.state.kind().is_terminal() && self.inner.background.cancel(job.id).await?;
        let list = if done { &mut outcome.cancelled } else { &mut outcome.ended };
        list.push(job.id);
        Ok(())
    }
}

fn not_waiting(id: JobId, state: JobStateKind) -> UserError {
    let message = format!("The job {id} is {state}; only a job that waits can be moved.");
    UserError::new(ErrorCode::Conflict, message)
}

/// The call with the seed that was drawn for a job that failed, where none was given.
fn with_drawn_seed(job: &Job, call: &ToolCall) -> Option<ToolCall> {
    let JobState::Failed(_) = job.state else { return None };
    let JobRequest::Image(request) = &call.request else { return None };
    let recipe = job.recipe.as_ref().filter(|_| request.seed.is_none())?;
    let mut call = call.clone();
    if let JobRequest::Image(request) = &mut call.request {
        request.seed = Some(recipe.seed);
    }
    Some(call)
}
