//! Runs a job again, as it was or changed: its recipe fills in what a call does not give.
//!
//! The words of the earlier job are kept as they were rendered, enhancement and styles included, unless the call
//! gives a prompt or styles of its own: then they are made anew from the earlier job's request. The seed is new
//! unless it is given.

use hub_core::{
    error::{ErrorCode, UserError},
    ids::JobId,
    job::Job,
    recipe::Recipe,
    request::{AS_THERE, ImageRequest, JobRequest, SizeChoice, StyleChoice},
};

use crate::{
    context::Context,
    plan::{Kept, Wording},
    refusal::storage,
};

/// A request that is whole again.
#[derive(Debug, Clone)]
pub(crate) struct Variation {
    pub(crate) request: ImageRequest,
    /// The earlier job's words, where the call leaves them alone.
    pub(crate) wording: Option<Wording>,
}

/// The request with what it does not give taken from the job `base`.
///
/// # Errors
/// `unknown_job`, `wrong_mode`, `bad_argument`, each for the argument `from_job`; `storage`.
pub(crate) async fn fill_in(ctx: &Context, given: ImageRequest, base: JobId) -> Result<Variation, UserError> {
    let unknown = || at_fault(UserError::new(ErrorCode::UnknownJob, format!("There is no job {base}.")));
    let job = ctx.store.job_get(base).await.map_err(storage)?.ok_or_else(unknown)?;
    filled(given, &job)
}

fn filled(given: ImageRequest, job: &Job) -> Result<Variation, UserError> {
    let JobRequest::Image(asked) = &job.request else {
        let message = format!("The job {} is of `{}` and made no picture.", job.id, job.request.tool());
        return Err(at_fault(UserError::new(ErrorCode::BadArgument, message)));
    };
    if asked.mode != given.mode {
        let tool = asked.mode.tool();
        let message = format!("The job {} is of `{tool}`, not of `{}`.", job.id, given.mode.tool());
        let error = UserError::new(ErrorCode::WrongMode, message);
        return Err(at_fault(
            error.with_hint(format!(
                "Call `{tool}` with it, or pass the job's id as `image` where a picture is wanted."
            )),
        ));
    }
    let recipe = job.recipe.as_ref().ok_or_else(|| {
        let message = format!("The job {} has no recipe to start from: it is {}.", job.id, job.state.kind());
        at_fault(UserError::new(ErrorCode::BadArgument, message))
    })?;
    let otherwise = given.enhance.is_some_and(|enhance| enhance != recipe.enhanced);
    let words_given = given.prompt.is_some() || given.styles != StyleChoice::Defaults || otherwise;
    let wording = (!words_given).then(|| Wording::Kept(kept(recipe, given.negative_prompt.as_deref())));
    Ok(Variation { request: merged(given, asked, recipe, words_given), wording })
}

fn kept(recipe: &Recipe, negative: Option<&str>) -> Kept {
    Kept {
        prompt: recipe.prompt.clone(),
        negative: negative.map(str::to_owned).or_else(|| recipe.negative_prompt.clone()),
        styles: recipe.styles.clone(),
        enhanced: recipe.enhanced,
        because: recipe.not_enhanced_because.clone(),
    }
}

fn merged(given: ImageRequest, asked: &ImageRequest, recipe: &Recipe, words_given: bool) -> ImageRequest {
    let same_render_type = given.render_type.as_ref().is_none_or(|name| *name == recipe.render_type);
    let size = match (given.size, recipe.size) {
        (SizeChoice::Default, Some(size)) if same_render_type => SizeChoice::Exact(size),
        (SizeChoice::Default, _) => asked.size,
        (given, _) => given,
    };
    let styles = match given.styles {
        StyleChoice::Defaults => StyleChoice::Named(recipe.styles.clone()),
        named @ StyleChoice::Named(_) => named,
    };
    // A new prompt is treated as the old one was; an old one that gets new styles is not reworded twice over.
    let as_before = words_given.then_some(asked.enhance.unwrap_or(recipe.enhanced));
    // A render type of its own says what runs; without one a trial stays one.
    let trial = if given.render_type.is_some() { None } else { asked.trial };
    ImageRequest {
        trial,
        prompt: given.prompt.or_else(|| recipe.prompt_asked.clone()),
        negative_prompt: given.negative_prompt.or_else(|| asked.negative_prompt.clone()),
        styles,
        render_type: given.render_type.or_else(|| Some(recipe.render_type.clone())),
        size,
        enhance: given.enhance.or(as_before),
        denoise: given.denoise.or(if same_render_type { recipe.denoise } else { asked.denoise }),
        input: given.input.or_else(|| asked.input.clone()),
        area: given.area.or_else(|| asked.area.clone()),
        n: if given.n == AS_THERE { asked.n.max(1) } else { given.n },
        ..given
    }
}

/// The error as one of the argument `from_job`.
pub(crate) fn at_fault(mut error: UserError) -> UserError {
    error.argument = Some("from_job".to_owned());
    error
}
