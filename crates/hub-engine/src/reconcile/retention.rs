//! Forgets finished jobs that are older, or more, than may be, with their files: oldest end first, never one that
//! has a favourite. Pictures that callers gave go by age, once no job that is kept works on them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{artifact::Artifact, error::UserError, ids::ArtifactId};
use hub_store::{Expendable, FileCount};

use super::Status;
use crate::{EngineConfig, background::Inner, context::Context, persist};

/// Jobs looked at, and deleted, in one step: keeps the store free for others in between.
const STEP: u32 = 200;
/// Most jobs that a plan counts.
const PLANNED_MAX: u64 = 200_000;
const BYTES_PER_GB: u64 = 1_000_000_000;
/// Most given pictures that go in one turn.
const INPUTS_MAX: usize = 10_000;

/// What may be kept; `None` = any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Days since the end of a job, and since a caller gave a picture that no job needs.
    pub days: Option<u32>,
    /// Results in all, favourites included.
    pub pictures: Option<u32>,
    /// Size of all results, favourites included, in units of 10⁹ bytes.
    pub gb: Option<u32>,
}

impl RetentionPolicy {
    /// The one that is set.
    pub fn of(config: &EngineConfig) -> Self {
        Self { days: config.retention_days, pictures: config.retention_pictures, gb: config.retention_gb }
    }

    /// Whether everything is kept for ever.
    pub fn keeps_all(&self) -> bool {
        *self == Self::default()
    }
}

/// What a policy would delete now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// Jobs, each with its parts.
    pub jobs: u64,
    /// Their files.
    pub files: u64,
    /// Size of those in bytes; of bytes that several files share each counts.
    pub bytes: u64,
    /// End of the first and of the last job that would go.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// There are more than are counted.
    pub more: bool,
    /// Pictures that callers gave and that no job needs, beside the files of these jobs.
    pub inputs: FileCount,
}

/// Walks over the jobs that a policy does not keep.
struct Walk<'a> {
    ctx: &'a Context,
    policy: RetentionPolicy,
    /// Jobs that ended before this are too old.
    before: Option<DateTime<Utc>>,
    /// What is left of the results when those that were passed are gone.
    left: FileCount,
    last: Option<Expendable>,
    ended: bool,
}

impl<'a> Walk<'a> {
    async fn begin(ctx: &'a Context, policy: RetentionPolicy) -> Result<Self, UserError> {
        let left = persist::user(ctx, || ctx.store.stored_files()).await?.results;
        let age = policy.days.map(|days| TimeDelta::days(days.into()));
        let before = age.and_then(|age| ctx.clock.before(age));
        Ok(Self { ctx, policy, before, left, last: None, ended: policy.keeps_all() })
    }

    /// The next jobs that go, at most [`STEP`]; `None` when none is left.
    async fn next(&mut self) -> Result<Option<Vec<Expendable>>, UserError> {
        while !self.ended {
            let (ctx, last) = (self.ctx, self.last);
            let page = persist::user(ctx, || ctx.store.jobs_expendable(last.as_ref(), STEP)).await?;
            self.last = page.last().copied();
            self.ended = self.last.is_none();
            let mut chosen = Vec::with_capacity(page.len());
            for row in page {
                let old = self.before.is_some_and(|before| row.finished_at < before);
                let over = self.is_over();
                if !old && !over {
                    // Those that follow are younger still.
                    self.ended = true;
                    break;
                }
                // What has no files frees nothing.
                if old || row.files > 0 {
                    self.left.files = self.left.files.saturating_sub(row.files);
                    self.left.bytes = self.left.bytes.saturating_sub(row.bytes);
                    chosen.push(row);
                }
            }
            if !chosen.is_empty() {
                return Ok(Some(chosen));
            }
        }
        Ok(None)
    }

    fn is_over(&self) -> bool {
        let more = |most: Option<u64>, has: u64| most.is_some_and(|most| has > most);
        more(self.policy.pictures.map(u64::from), self.left.files)
            || more(self.policy.gb.map(|gb| u64::from(gb) * BYTES_PER_GB), self.left.bytes)
    }
}

/// What `policy` would delete now.
pub(crate) async fn plan(ctx: &Context, policy: RetentionPolicy) -> Result<RetentionPlan, UserError> {
    let mut walk = Walk::begin(ctx, policy).await?;
    let mut plan = RetentionPlan::default();
    while let Some(rows) = walk.next().await? {
        for row in rows {
            plan.jobs += 1;
            plan.files += row.files;
            plan.bytes += row.bytes;
            plan.span = Some((plan.span.map_or(row.finished_at, |(first, _)| first), row.finished_at));
        }
        if plan.jobs >= PLANNED_MAX {
            plan.more = true;
            break;
        }
    }
    // As of now: those of the jobs that would go follow them later.
    for input in unneeded_inputs(ctx, policy).await? {
        plan.inputs.files += 1;
        plan.inputs.bytes += input.size_bytes;
    }
    Ok(plan)
}

/// Pictures that callers gave, and last used, longer ago than the policy keeps, and that no job needs any more.
async fn unneeded_inputs(ctx: &Context, policy: RetentionPolicy) -> Result<Vec<Artifact>, UserError> {
    let Some(before) = oldest_input(ctx, policy) else { return Ok(Vec::new()) };
    let (mut unneeded, mut after, mut needed) = (Vec::new(), None, None);
    loop {
        let page = persist::user(ctx, || ctx.store.inputs_before(before, after, STEP)).await?;
        after = page.last().map(|input| (input.created_at, input.id));
        if after.is_none() || unneeded.len() >= INPUTS_MAX {
            return Ok(unneeded);
        }
        // Only now: mostly there is nothing that old.
        if needed.is_none() {
            needed = Some(persist::user(ctx, || ctx.store.artifacts_worked_on()).await?);
        }
        unneeded
            .extend(page.into_iter().filter(|input| !needed.as_ref().is_some_and(|known| known.contains(&input.id))));
    }
}

/// Deletes those. One that a job takes up meanwhile has become young by that, and stays.
async fn delete_inputs(ctx: &Context, policy: RetentionPolicy) -> Result<usize, UserError> {
    let (Some(before), false) = (oldest_input(ctx, policy), ctx.stop.is_cancelled()) else { return Ok(0) };
    let unneeded: Vec<ArtifactId> = unneeded_inputs(ctx, policy).await?.iter().map(|input| input.id).collect();
    let mut deleted = 0;
    for some in unneeded.chunks(STEP as usize) {
        let outcome = persist::user(ctx, || ctx.store.inputs_delete(some, before)).await?;
        deleted += outcome.deleted.len();
        discard(ctx, &outcome.unnamed).await;
        ctx.pictures_gone.send_modify(|count| *count += 1);
    }
    Ok(deleted)
}

/// Given pictures that were last used before this may go.
fn oldest_input(ctx: &Context, policy: RetentionPolicy) -> Option<DateTime<Utc>> {
    ctx.clock.before(TimeDelta::days(policy.days?.into()))
}

/// Deletes what the policy in force does not keep.
pub(super) async fn activate(inner: &Arc<Inner>) -> Status {
    let policy = RetentionPolicy::of(&inner.ctx.settings.now());
    if policy.keeps_all() {
        return Status::Idle;
    }
    match delete(inner, policy).await {
        Ok(0) => Status::Idle,
        Ok(jobs) => Status::Done(jobs),
        Err(error) => Status::Failed(error),
    }
}

async fn delete(inner: &Inner, policy: RetentionPolicy) -> Result<usize, UserError> {
    let ctx = &inner.ctx;
    let mut walk = Walk::begin(ctx, policy).await?;
    let mut deleted = 0;
    while !ctx.stop.is_cancelled() {
        let Some(rows) = walk.next().await? else { break };
        let jobs: Vec<_> = rows.iter().map(|row| row.job).collect();
        let unnamed = persist::user(ctx, || ctx.store.jobs_delete(&jobs)).await?;
        deleted += jobs.len();
        for job in &jobs {
            inner.ended.forget(*job);
        }
        discard(ctx, &unnamed).await;
        ctx.pictures_gone.send_modify(|count| *count += 1);
    }
    Ok(deleted + delete_inputs(ctx, policy).await?)
}

/// Deletes the files of rows that are gone. One that stays behind is only space, and found by the task for files.
pub(crate) async fn discard(ctx: &Context, unnamed: &[Artifact]) {
    for artifact in unnamed {
        if let Err(error) = ctx.vault.discard(artifact).await {
            tracing::warn!(artifact = %artifact.id, error = %error, "a deleted picture's file stays behind");
        }
    }
}
