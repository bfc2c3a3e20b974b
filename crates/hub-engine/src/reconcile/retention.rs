//! Forgets finished jobs that are older, or more, than may be, with their files: oldest end first, never one that
//! has a favourite, or that made what a job works on that has not ended. Pictures that callers gave go by age, once no
//! job that is kept works on them.

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
    /// Most jobs looked at in one step.
    step: u32,
    ended: bool,
}

impl<'a> Walk<'a> {
    async fn begin(ctx: &'a Context, policy: RetentionPolicy) -> Result<Self, UserError> {
        let left = results(ctx).await?;
        let age = policy.days.map(|days| TimeDelta::days(days.into()));
        let before = age.and_then(|age| ctx.clock.before(age));
        Ok(Self { ctx, policy, before, left, last: None, step: STEP, ended: policy.keeps_all() })
    }

    /// Counts anew what is left, once those that were passed are gone: people delete pictures meanwhile, and each that
    /// went unnoticed would have another one go for good. Where only age has jobs go nothing is counted.
    async fn count_again(&mut self) -> Result<(), UserError> {
        if self.is_over() {
            self.left = results(self.ctx).await?;
        }
        Ok(())
    }

    /// The next jobs that go, of at most a step; `None` when none is left.
    async fn next(&mut self) -> Result<Option<Vec<Expendable>>, UserError> {
        while !self.ended {
            let (ctx, last, step) = (self.ctx, self.last, self.step);
            let page = persist::user(ctx, || ctx.store.jobs_expendable(last.as_ref(), step)).await?;
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

/// All results that are stored.
async fn results(ctx: &Context) -> Result<FileCount, UserError> {
    Ok(persist::user(ctx, || ctx.store.stored_files()).await?.results)
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
        let Some(jobs) = delete_step(inner, &mut walk).await? else { break };
        deleted += jobs;
    }
    Ok(deleted + delete_inputs(ctx, policy).await?)
}

/// Deletes the next jobs that go, and answers how many; `None` when none is left.
async fn delete_step(inner: &Inner, walk: &mut Walk<'_>) -> Result<Option<usize>, UserError> {
    let ctx = &inner.ctx;
    walk.count_again().await?;
    let Some(rows) = walk.next().await? else { return Ok(None) };
    let jobs: Vec<_> = rows.iter().map(|row| row.job).collect();
    let unnamed = persist::user(ctx, || ctx.store.jobs_delete(&jobs)).await?;
    for job in &jobs {
        inner.ended.forget(*job);
    }
    discard(ctx, &unnamed).await;
    ctx.pictures_gone.send_modify(|count| *count += 1);
    Ok(Some(jobs.len()))
}

/// Deletes the files of rows that are gone. One that stays behind is only space, and found by the task for files.
pub(crate) async fn discard(ctx: &Context, unnamed: &[Artifact]) {
    for artifact in unnamed {
        if let Err(error) = ctx.vault.discard(artifact).await {
            tracing::warn!(artifact = %artifact.id, error = %error, "a deleted picture's file stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use hub_core::{
        artifact::MediaKind,
        clock::MockClock,
        ids::{PromptId, ServerId},
        job::Attempt,
    };
    use hub_store::{NewArtifact, Ran, Store};
    use object_store::memory::InMemory;

    use super::*;
    use crate::{Engine, samples};

    /// The picture of a job that ended now.
    async fn made(store: &Store, number: u8) -> ArtifactId {
        let (job, id) = (samples::job(Some(samples::recipe())), ArtifactId::new());
        store.job_insert(&job).await.expect("stored");
        let attempt = Attempt { number: 1, server: ServerId::new(), prompt_id: PromptId::random() };
        assert!(store.job_assign(job.id, &attempt).await.expect("assigned"));
        let picture = NewArtifact {
            id,
            kind: MediaKind::Image,
            mime: "image/png".to_owned(),
            extension: "png".to_owned(),
            sha256: format!("{number:064x}"),
            size_bytes: 9,
            width_px: 64,
            height_px: 64,
            seed: None,
            position: 0,
            node: None,
        };
        let ended = store.job_succeed(job.id, 1, job.id, Ran::default(), &[picture]).await.expect("ended");
        assert!(ended.is_some());
        id
    }

    #[tokio::test]
    async fn what_people_delete_during_a_run_spares_as_many_older_pictures() {
        let clock = Arc::new(MockClock::at("2026-01-02T03:04:05Z".parse().expect("a time")));
        let store = Store::open("sqlite::memory:", clock.clone()).await.expect("a store");
        let mut pictures = Vec::new();
        for number in 0..6 {
            pictures.push(made(&store, number).await);
            clock.advance(TimeDelta::seconds(1));
        }
        let objects = Arc::new(InMemory::new());
        let engine = Engine::start(EngineConfig::default(), store.clone(), objects, clock).await.expect("an engine");
        let inner = engine.background().inner();
        let three = RetentionPolicy { pictures: Some(3), ..RetentionPolicy::default() };
        let mut walk = Walk { step: 1, ..Walk::begin(&inner.ctx, three).await.expect("counted") };
        assert_eq!(delete_step(inner, &mut walk).await.expect("deleted"), Some(1));
        engine.artifacts_delete(&pictures[4..], false).await.expect("deleted");
        assert_eq!(delete_step(inner, &mut walk).await.expect("looked"), None, "three are left");
        let mut stay = Vec::new();
        for picture in pictures {
            stay.push(store.artifact_get(picture).await.expect("read").is_some());
        }
        assert_eq!(stay, [false, true, true, true, false, false]);
    }
}
