//! What a request would do, without doing it: no job, no LLM, no picture fetched, no GPU.

use hub_core::{
    caller::Caller,
    error::{ErrorCode, UserError},
    request::{Area, CallOptions, ImageRef, ImageRequest, JobRequest, ToolCall},
};

use crate::{
    PlanView,
    background::Background,
    callers,
    context::Context,
    plan::{self, Plan},
    submit,
    variation::{self, Variation},
};

/// The plan of a request for pictures.
///
/// # Errors
/// As a submit of the same request, as far as that can be told without fetching anything.
pub(crate) async fn plan(
    ctx: &Context,
    background: &Background,
    caller: &Caller,
    call: ToolCall,
) -> Result<PlanView, UserError> {
    let ToolCall { request, options } = call;
    let JobRequest::Image(request) = request else {
        return Err(UserError::argument("plan_only", "`plan_only` is for requests that make pictures."));
    };
    callers::check_tool(ctx, caller, request.mode.tool())?;
    let placement = submit::placement(background, &options.wish)?;
    let Variation { request, wording } = whole(ctx, caller, request, &options).await?;
    let snapshot = ctx.catalogue.snapshot_for(&ctx.store, &request).await?;
    let (wording, would_enhance) = plan::wording(&snapshot.catalogue, &request, wording);
    let seed = plan::seed::draw(&mut rand::rng());
    let Plan { mut recipe, mut warnings } = plan::plan(&snapshot, &request, None, seed, &wording)?;
    callers::check_render_type(ctx, caller, &recipe.render_type)?;
    if request.seed.is_none() {
        recipe.seed = plan::seed::within(seed, background.largest_seed(&snapshot, recipe.workflow_id, &placement));
    }
    if would_enhance {
        recipe.not_enhanced_because = None;
    }
    match &request.input {
        Some(reference @ (ImageRef::Artifact(_) | ImageRef::Job(_))) => {
            recipe.input = Some(submit::stored_picture(ctx, caller, reference).await?.0.id);
        }
        Some(ImageRef::Url(_) | ImageRef::Data(_)) => {
            warnings.push("The input picture was not looked at: a plan fetches nothing.".to_owned());
        }
        None => {}
    }
    if let (Some(Area::Region(region)), Some(id)) = (&request.area, recipe.input) {
        let picture = ctx.vault.artifact(id).await?;
        region.within(submit::size_of(&picture))?;
    }
    let servers = background.fits(&snapshot, recipe.workflow_id);
    if !servers.is_empty() && servers.iter().all(|server| server.why_not.is_some()) {
        warnings.push("No server can run this now.".to_owned());
    }
    Ok(PlanView { recipe, would_enhance, warnings, servers })
}

/// The request with what a job that it starts from fills in.
pub(crate) async fn whole(
    ctx: &Context,
    caller: &Caller,
    request: ImageRequest,
    options: &CallOptions,
) -> Result<Variation, UserError> {
    match options.from_job {
        Some(base) => {
            callers::check_job(ctx, caller, base).await.map_err(variation::at_fault)?;
            variation::fill_in(ctx, request, base).await
        }
        None => Ok(Variation { request, wording: None }),
    }
}

/// What a submit that only wanted a plan is told.
pub(crate) fn refuse_submit() -> UserError {
    UserError::new(ErrorCode::BadArgument, "`plan_only` is not answered here: leave it out to make the picture.")
}
