//! Background planning: jobs that need an LLM before they have a recipe, or that are nothing but an
//! LLM's answer.
//!
//! A job is in state `planning` in the store all the while, so a restart finds it and begins anew.
//! Enhancement never fails a job: without an answer the plain prompt is used and the result says so.

use std::sync::Arc;

use hub_core::{
    catalogue::RenderType,
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
    job::{Job, JobState},
    request::{ImageRef, ImageRequest, JobRequest, PromptRequest},
    server::LlmRole,
};
use ollama::Message;
use tokio::time::Instant;

use crate::{
    CrashPoint, JobWatch,
    background::Background,
    catalogue::Snapshot,
    context::Context,
    crash, describe,
    llm::LlmFailure,
    parts, persist,
    plan::{
        self, Plan, Wording,
        enhance::{self, EnhanceTemplates},
    },
    prompt_generator,
};

/// Plans a job that is stored as `planning` and known to the board, and hands it on. Ends early, leaving
/// the job as it is, when the hub stops or the job is cancelled.
pub(crate) fn resume(ctx: Arc<Context>, background: Background, job: Job) -> impl Future<Output = ()> + Send {
    let watch = background.watch(&job);
    // Counted before anything of it runs, so that a burst cannot slip past the bounds of the queue.
    let counted = background.count_planning(&job);
    async move {
        let _counted = counted;
        tokio::select! {
            biased;
            () = ctx.stop.cancelled() => {}
            () = ended(watch) => {}
            () = work(&ctx, &background, &job) => {}
        }
    }
}

async fn ended(mut watch: JobWatch) {
    if watch.now().state.is_terminal() {
        return;
    }
    while let Some(progress) = watch.next().await {
        if progress.state.is_terminal() {
            return;
        }
    }
}

async fn work(ctx: &Context, background: &Background, job: &Job) {
    let outcome = match &job.request {
        JobRequest::Image(request) => plan_image(ctx, background, job, request).await,
        JobRequest::Describe(request) => match describe::describe(ctx, job.id, request).await {
            Ok(text) => answer(ctx, background, job, &text).await,
            Err(error) => Err(error),
        },
        JobRequest::Prompt(request) => generate_prompt(ctx, background, job, request).await,
    };
    if let Err(error) = outcome {
        tracing::info!(job = %job.id, error = %error, "a job cannot be planned");
        let failed = persist::settle(ctx, job.id, || ctx.store.job_fail(job.id, None, &error));
        if crash::around(CrashPoint::PlanFailed, failed).await == Some(true) {
            publish_end(ctx, background, job, JobState::Failed(error)).await;
        }
    }
}

async fn plan_image(
    ctx: &Context,
    background: &Background,
    job: &Job,
    request: &ImageRequest,
) -> Result<(), UserError> {
    let (mut plan, snapshot) = planned(ctx, job.id, request).await?;
    // What was noted when the job was accepted, such as the first frame of an animation.
    plan.warnings.splice(0..0, job.warnings.iter().cloned());
    // Submit asked too, but planning takes its time, and a restarted hub plans anew.
    background.refuse_hopeless(&snapshot, plan.recipe.workflow_id, &job.placement).await?;
    let largest_seed = background.largest_seed(&snapshot, plan.recipe.workflow_id, &job.placement);
    if request.seed.is_none() {
        plan.recipe.seed = plan::seed::within(plan.recipe.seed, largest_seed);
    }
    let parts = if job.is_whole() {
        let parts = parts::split(&plan.recipe, job.request.pictures(), largest_seed);
        let planned =
            persist::settle(ctx, job.id, || ctx.store.job_planned_in_parts(job, &plan.recipe, &plan.warnings, &parts));
        crash::around(CrashPoint::Planned, planned).await.flatten()
    } else {
        let planned = persist::settle(ctx, job.id, || ctx.store.job_planned(job.id, &plan.recipe, &plan.warnings));
        (crash::around(CrashPoint::Planned, planned).await == Some(true)).then(Vec::new)
    };
    let Some(parts) = parts else { return Ok(()) };
    // Read again: times and states are the store's to say.
    match persist::settle(ctx, job.id, || ctx.store.job_get(job.id)).await.flatten() {
        Some(stored) if !matches!(stored.state, JobState::Queued) => {}
        Some(stored) if stored.is_whole() => background.enqueue_parts(stored, parts),
        Some(stored) => background.enqueue(stored),
        None => {}
    }
    Ok(())
}

/// The plan, and the snapshot of the catalogue that it was made from.
async fn planned(ctx: &Context, job: JobId, request: &ImageRequest) -> Result<(Plan, Arc<Snapshot>), UserError> {
    let seed = plan::seed::draw(&mut rand::rng());
    let input = stored_input(request)?;
    // The catalogue may have changed since the request was accepted: then the newest one decides.
    let snapshot = ctx.catalogue.snapshot_for(&ctx.store, request).await?;
    let as_asked = |because: String| plan::plan(&snapshot, request, input, seed, &Wording::AsAsked { because });
    if let Err(because) = plan::enhancement(&snapshot.catalogue, request) {
        return Ok((as_asked(because)?, snapshot.clone()));
    }
    let first = as_asked(String::new())?;
    match reword(ctx, job, &snapshot, request, &first).await {
        Ok(wording) => {
            let snapshot = ctx.catalogue.snapshot_for(&ctx.store, request).await?;
            Ok((plan::plan(&snapshot, request, input, seed, &wording)?, snapshot))
        }
        Err(failure) => {
            tracing::warn!(job = %job, error = %failure, "a prompt is used as it was given");
            let mut plan = as_asked(failure.to_string())?;
            plan.warnings.push(format!("The prompt was used as given, since it could not be enhanced: {failure}."));
            Ok((plan, snapshot.clone()))
        }
    }
}

async fn reword(
    ctx: &Context,
    job: JobId,
    snapshot: &Snapshot,
    request: &ImageRequest,
    plan: &Plan,
) -> Result<Wording, LlmFailure> {
    let asked = request.prompt.as_deref().unwrap_or_default();
    let render_type = snapshot.catalogue.render_type(&plan.recipe.render_type);
    let templates: EnhanceTemplates = ctx.store.setting_get(enhance::TEMPLATES_SETTING).await?.unwrap_or_default();
    let instructions = |template: &str| match render_type {
        Some(render_type) => enhance::instructions(template, render_type),
        None => template.to_owned(),
    };
    let _turn = ctx.llm.turn().await;
    let deadline = Instant::now() + ctx.settings.now().enhance_budget;
    let messages = vec![Message::system(instructions(&templates.prompt)), Message::user(asked)];
    let answer = ctx.llm.ask(&ctx.store, LlmRole::Enhance, messages, ctx.settings.now().enhance_budget).await?;
    let prompt = enhance::restore(asked, &answer);
    let takes_negative = render_type.is_some_and(|render_type| takes_negative(snapshot, render_type));
    let negative = if takes_negative {
        let left = deadline.saturating_duration_since(Instant::now());
        let given = request.negative_prompt.as_deref();
        let (instructions, question) = enhance::negative_question(&templates.negative, &prompt, given);
        let messages = vec![Message::system(instructions), Message::user(question)];
        match ctx.llm.ask(&ctx.store, LlmRole::Enhance, messages, left).await {
            Ok(answer) => Some(enhance::restore(given.unwrap_or_default(), &answer)),
            // The prompt is what counts; the negative prompt stays as it was given.
            Err(failure) => {
                tracing::warn!(job = %job, error = %failure, "a negative prompt is used as it was given");
                None
            }
        }
    } else {
        None
    };
    Ok(Wording::Enhanced { prompt, negative })
}

fn takes_negative(snapshot: &Snapshot, render_type: &RenderType) -> bool {
    snapshot.runnable(render_type).is_some_and(|runnable| runnable.slots.has(comfyui::workflow::SlotKind::Negative))
}

fn stored_input(request: &ImageRequest) -> Result<Option<ArtifactId>, UserError> {
    match &request.input {
        None => Ok(None),
        Some(ImageRef::Artifact(id)) => Ok(Some(*id)),
        // Submit replaces every other form before the job is stored.
        Some(_) => Err(UserError::new(ErrorCode::Internal, "The input picture was not stored with the job.")),
    }
}

async fn generate_prompt(
    ctx: &Context,
    background: &Background,
    job: &Job,
    request: &PromptRequest,
) -> Result<(), UserError> {
    let tell = |words: &str, fraction: f32| background.tell_planning(job.id, words, fraction);
    let generated = prompt_generator::generate(ctx, job.id, request, tell).await?;
    let text = serde_json::to_string(&generated).map_err(|error| {
        tracing::error!(job = %job.id, %error, "a generated prompt cannot be written down");
        UserError::new(ErrorCode::Internal, "The hub could not write the prompt down.")
    })?;
    answer(ctx, background, job, &text).await
}

/// Ends a job whose result is a text.
async fn answer(ctx: &Context, background: &Background, job: &Job, text: &str) -> Result<(), UserError> {
    let answered = persist::settle(ctx, job.id, || ctx.store.job_succeed_with_text(job.id, text, &job.warnings));
    let won = crash::around(CrashPoint::TextAnswer, answered).await;
    if won == Some(true) {
        publish_end(ctx, background, job, JobState::Succeeded).await;
    }
    Ok(())
}

/// Tells the board. The end is stored already, so a store that cannot be read again changes nothing.
async fn publish_end(ctx: &Context, background: &Background, job: &Job, state: JobState) {
    match ctx.store.job_get(job.id).await {
        Ok(Some(stored)) => background.finished(&stored),
        Ok(None) | Err(_) => background.finished(&Job { state, ..job.clone() }),
    }
}
