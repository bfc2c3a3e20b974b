//! What callers with keys may do, and what is whose.
//!
//! Callers that nothing is said of (the person at the pages, an open loopback edge, the key of the
//! configuration) may do everything and see everything. Who a caller is was found out by the guard.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use hub_core::{
    access::{KeyRights, Scope, TOKEN_CALLERS, day_begin},
    artifact::Artifact,
    caller::{Caller, CallerWeights},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
    request::JobRequest,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{Engine, JobView, context::Context, engine::weights, refusal::storage};

/// Callers with access tokens that are remembered.
const GRANTED_MAX: usize = 10_000;

/// The callers with keys.
#[derive(Default)]
pub(crate) struct Callers {
    rights: RwLock<Arc<HashMap<Caller, KeyRights>>>,
    /// What the newest access token of each caller with one allows.
    granted: RwLock<HashMap<Caller, KeyRights>>,
    /// One turn per caller with a quota: of two calls at once, both must not see the same room.
    turns: std::sync::Mutex<HashMap<Caller, Arc<Mutex<()>>>>,
}

impl Callers {
    fn all(&self) -> Arc<HashMap<Caller, KeyRights>> {
        self.rights.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, rights: HashMap<Caller, KeyRights>) {
        *self.rights.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rights);
    }

    /// What a caller may do; `None` = everything. A caller with a token of which nothing is known may do nothing.
    fn of(&self, caller: &Caller) -> Option<KeyRights> {
        if let Some(rights) = self.all().get(caller) {
            return Some(rights.clone());
        }
        if !caller.as_str().starts_with(TOKEN_CALLERS) {
            return None;
        }
        let granted = self.granted.read().unwrap_or_else(PoisonError::into_inner);
        Some(
            granted
                .get(caller)
                .cloned()
                .unwrap_or_else(|| KeyRights { scopes: BTreeSet::new(), ..KeyRights::default() }),
        )
    }

    fn grant(&self, caller: &Caller, rights: &KeyRights) {
        if self.granted.read().unwrap_or_else(PoisonError::into_inner).get(caller) == Some(rights) {
            return;
        }
        let mut granted = self.granted.write().unwrap_or_else(PoisonError::into_inner);
        if granted.len() >= GRANTED_MAX {
            // Whoever comes again brings a token again.
            granted.clear();
        }
        granted.insert(caller.clone(), rights.clone());
    }

    /// Shares of the pool that keys give.
    pub(crate) fn weights(&self) -> CallerWeights {
        let named = |(caller, rights): (&Caller, &KeyRights)| (caller.as_str().to_owned(), rights.weight);
        let weights: BTreeMap<String, f64> = self.all().iter().map(named).collect();
        // Checked when they were stored.
        CallerWeights::try_from(weights).unwrap_or_default()
    }

    async fn turn(&self, caller: &Caller) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(caller.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }

    /// Whether the caller sees only what is its own.
    fn is_bounded(&self, caller: &Caller) -> bool {
        self.of(caller).is_some_and(|rights| !rights.has(Scope::Admin))
    }
}

/// Refuses what the caller's key does not allow. What is answered is to be held until the job is stored.
///
/// # Errors
/// `forbidden` with what is allowed; `quota_exceeded` saying when it ends; `storage`.
pub(crate) async fn admit(
    ctx: &Context,
    caller: &Caller,
    request: &JobRequest,
) -> Result<Option<OwnedMutexGuard<()>>, UserError> {
    let Some(rights) = ctx.callers.of(caller) else { return Ok(None) };
    rights.check_tool(request.tool())?;
    if !rights.has_quota() {
        return Ok(None);
    }
    let turn = ctx.callers.turn(caller).await;
    let now = ctx.clock.now();
    let spent = ctx.store.usage_of(caller, day_begin(now)).await.map_err(storage)?;
    let pictures = if matches!(request, JobRequest::Image(_)) { request.pictures() } else { 0 };
    rights.check_quota(spent, pictures, now)?;
    Ok(Some(turn))
}

/// Refuses a tool that the caller's key does not allow.
///
/// # Errors
/// `forbidden` with those that are allowed.
pub(crate) fn check_tool(ctx: &Context, caller: &Caller, tool: &str) -> Result<(), UserError> {
    ctx.callers.of(caller).map_or(Ok(()), |rights| rights.check_tool(tool))
}

/// Refuses a render type that the caller's key does not allow.
///
/// # Errors
/// `forbidden` with those that are allowed.
pub(crate) fn check_render_type(ctx: &Context, caller: &Caller, name: &str) -> Result<(), UserError> {
    ctx.callers.of(caller).map_or(Ok(()), |rights| rights.check_render_type(name))
}

/// Refuses a stored picture that is another's, as if there were none.
///
/// # Errors
/// `unknown_image`; `storage`.
pub(crate) async fn check_picture(ctx: &Context, caller: &Caller, picture: &Artifact) -> Result<(), UserError> {
    if !ctx.callers.is_bounded(caller) || ctx.store.artifact_is_of(picture, caller).await.map_err(storage)? {
        return Ok(());
    }
    // What a style looks like is told to whoever may choose it.
    if let Some(job) = picture.job
        && ctx.store.is_showcase(job).await.map_err(storage)?
    {
        return Ok(());
    }
    Err(UserError::new(ErrorCode::UnknownImage, format!("There is no stored picture {}.", picture.id)))
}

/// Notes that a caller who sees only what is its own gave a picture.
///
/// # Errors
/// `storage`.
pub(crate) async fn note_given(ctx: &Context, caller: &Caller, picture: &Artifact) -> Result<(), UserError> {
    if ctx.callers.is_bounded(caller) {
        ctx.store.artifact_given_by(picture.id, caller).await.map_err(storage)?;
    }
    Ok(())
}

/// Refuses a job that is another's, as if there were none.
///
/// # Errors
/// `unknown_job`; `storage`.
pub(crate) async fn check_job(ctx: &Context, caller: &Caller, job: JobId) -> Result<(), UserError> {
    if !ctx.callers.is_bounded(caller) || ctx.store.job_is_of(job, caller).await.map_err(storage)? {
        return Ok(());
    }
    Err(UserError::new(ErrorCode::UnknownJob, format!("There is no job {job}.")))
}

impl Engine {
    /// Says what callers with keys may do, instead of what was said before. Counts at once.
    ///
    /// # Errors
    /// `storage`.
    pub async fn set_callers(&self, rights: HashMap<Caller, KeyRights>) -> Result<(), UserError> {
        self.ctx().callers.replace(rights);
        weights::apply(self.ctx(), self.background()).await
    }

    /// Says what the caller with an access token may do, by the token that came last. Counts at once.
    pub fn grant(&self, caller: &Caller, rights: &KeyRights) {
        self.ctx().callers.grant(caller, rights);
    }

    /// The one caller whose jobs and pictures this caller sees; `None` = everybody's.
    pub fn sees_only(&self, caller: &Caller) -> Option<Caller> {
        self.ctx().callers.is_bounded(caller).then(|| caller.clone())
    }

    /// What the caller's key allows; `None` = everything.
    pub fn rights_of(&self, caller: &Caller) -> Option<KeyRights> {
        self.ctx().callers.of(caller)
    }

    /// Refuses a job that the caller does not see.
    ///
    /// # Errors
    /// `unknown_job`; `storage`.
    pub async fn check_job(&self, caller: &Caller, job: JobId) -> Result<(), UserError> {
        check_job(self.ctx(), caller, job).await
    }

    /// A job that the caller sees, with what belongs to it.
    ///
    /// # Errors
    /// `unknown_job`; `storage`.
    pub async fn view_for(&self, caller: &Caller, job: JobId) -> Result<JobView, UserError> {
        let view = self.view(job).await?;
        if self.ctx().callers.is_bounded(caller) && view.job.caller != *caller {
            return Err(UserError::new(ErrorCode::UnknownJob, format!("There is no job {job}.")));
        }
        Ok(view)
    }

    /// The row of a stored file that the caller sees.
    ///
    /// # Errors
    /// `unknown_image`; `storage`.
    pub async fn artifact_for(&self, caller: &Caller, id: ArtifactId) -> Result<Artifact, UserError> {
        let artifact = self.artifact(id).await?;
        check_picture(self.ctx(), caller, &artifact).await?;
        Ok(artifact)
    }
}
