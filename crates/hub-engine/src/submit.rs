//! Takes a request in: bounds, repeats, the input picture, the plan, and one INSERT.
//!
//! When [`submit`] answers, the job is committed. Whatever can be refused is refused before that.

mod given;
mod repeats;

use std::{str::FromStr, sync::Arc};

use hub_core::{
    artifact::{Artifact, ArtifactRole},
    caller::Caller,
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId, WorkflowId},
    job::{Job, JobState},
    limits,
    placement::{Placement, Wish},
    request::{ImageRef, ImageRequest, ImageSize, JobRequest, ToolCall},
};
use hub_store::{Inserted, NewJob};
use url::{Host, Url};

pub(crate) use repeats::{RecentCalls, hex};

use self::{
    given::store_input,
    repeats::{digest, find_repeat},
};
use crate::{
    CrashPoint, ServerView, Submitted,
    artifacts::from_data_uri,
    background::Background,
    callers,
    catalogue::Snapshot,
    context::Context,
    crash, dry_run, parts, persist,
    plan::{self, Wording},
    prompt_generator,
    refusal::{input_image, storage},
};

/// Guess at one job's run time while none is known, for the advice when to try again, in seconds.
const RUN_GUESS_S: f64 = 10.0;
/// Longest advice when to try again, in seconds.
const RETRY_ADVICE_MAX_S: f64 = 600.0;

/// Plans and stores a job.
///
/// # Errors
/// What the caller can mend, by argument; `queue_full`; `not_configured`; `no_server`; `storage`.
pub(crate) async fn submit(
    ctx: &Arc<Context>,
    background: &Background,
    caller: &Caller,
    call: ToolCall,
) -> Result<Submitted, UserError> {
    if ctx.stop.is_cancelled() {
        return Err(UserError::new(ErrorCode::ShuttingDown, "The hub is shutting down.").with_retry_after_s(10));
    }
    let ToolCall { request, options } = call;
    if options.plan_only {
        return Err(dry_run::refuse_submit());
    }
    let origin = options.parent.or(options.from_job);
    let digest = digest(&request, &options.wish, origin).await?;
    // Before anything is refused or stored: a repeated call finds its job whatever changed since.
    let earlier = match &options.idempotency_key {
        Some(key) => ctx.store.job_find_key(caller, key, &digest).await.map_err(storage)?,
        None => find_repeat(ctx, caller, &request, &digest).await?,
    };
    if let Some(job) = earlier {
        return Ok(Submitted { job, replayed: true });
    }
    // Held until the job is stored and counts.
    let _turn = callers::admit(ctx, caller, &request).await?;
    let (request, wording) = match request {
        JobRequest::Image(image) => {
            let filled = dry_run::whole(ctx, caller, image, &options).await?;
            (JobRequest::Image(filled.request), filled.wording)
        }
        other => (other, None),
    };
    let placement = placement(background, &options.wish)?;
    check_bounds(ctx, background, caller, request.pictures())?;
    let snapshot = match &request {
        JobRequest::Image(image) => ctx.catalogue.snapshot_for(&ctx.store, image).await?,
        _ => ctx.catalogue.snapshot(),
    };
    // Planned before the picture is fetched: a fault in the arguments is told at once.
    let (mut new, workflow) =
        new_job(ctx, &snapshot, caller, request, wording, digest.clone(), options.idempotency_key)?;
    if let Some(workflow) = workflow {
        background.refuse_hopeless(&snapshot, workflow, &placement).await?;
    }
    let largest_seed = workflow.map_or(u64::MAX, |workflow| background.largest_seed(&snapshot, workflow, &placement));
    if let (JobRequest::Image(ImageRequest { seed: None, .. }), Some(recipe)) = (&new.request, &mut new.recipe) {
        recipe.seed = plan::seed::within(recipe.seed, largest_seed);
    }
    (new.priority, new.placement, new.parent) = (options.wish.priority, placement, origin);
    new.trace = options.trace;
    let given = store_input(ctx, &mut new).await?;
    let (inserted, parts) = crash::around(CrashPoint::Insert, insert(ctx, &new, largest_seed)).await?;
    let job = match inserted {
        Inserted::Existing(job) => return Ok(Submitted { job, replayed: true }),
        Inserted::New(job) => job,
    };
    ctx.recent_calls.note(caller, &digest, ctx.clock.now());
    if matches!(job.state, JobState::Planning) {
        background.resume_planning(job.clone());
    } else if job.is_whole() {
        background.enqueue_parts(job.clone(), parts);
    } else {
        background.enqueue(job.clone());
    }
    // Last: whoever asked may be gone by now, and with him this.
    given.mark(ctx).await;
    Ok(Submitted { job, replayed: false })
}

/// Writes the job, and its parts with it where it has any yet.
async fn insert(ctx: &Context, new: &NewJob, largest_seed: u64) -> Result<(Inserted, Vec<Job>), UserError> {
    let inserted = match (&new.recipe, new.request.pictures()) {
        (Some(recipe), pictures @ 2..) => {
            let parts = parts::split(recipe, pictures, largest_seed);
            persist::user(ctx, || ctx.store.job_insert_in_parts(new, &parts)).await
        }
        _ => persist::user(ctx, || ctx.store.job_insert(new)).await.map(|inserted| (inserted, Vec::new())),
    };
    inserted.map_err(|error| match error.code {
        // Pictures are all that a new row refers to.
        ErrorCode::NotFound => UserError::new(ErrorCode::UnknownImage, "The picture to work on was just deleted."),
        _ => error,
    })
}

/// The job, and the workflow that it will run as far as can be told now.
fn new_job(
    ctx: &Context,
    snapshot: &Snapshot,
    caller: &Caller,
    mut request: JobRequest,
    wording: Option<Wording>,
    request_digest: String,
    idempotency_key: Option<String>,
) -> Result<(NewJob, Option<WorkflowId>), UserError> {
    if let JobRequest::Prompt(prompt) = &mut request {
        // Now, so that a restart draws the same again.
        prompt.seed.get_or_insert_with(|| plan::seed::draw(&mut rand::rng()));
    }
    let mut workflow = None;
    let (recipe, warnings) = match &request {
        JobRequest::Describe(_) if snapshot.catalogue.can_describe => (None, Vec::new()),
        JobRequest::Describe(_) => {
            return Err(UserError::new(ErrorCode::NotConfigured, "No LLM is set up to describe pictures.")
                .with_hint("Whoever runs the hub must assign an LLM server with a model that sees pictures."));
        }
        JobRequest::Prompt(prompt) => {
            prompt_generator::check(&snapshot.catalogue, prompt)?;
            (None, Vec::new())
        }
        JobRequest::Image(image) => {
            let (wording, reworded) = plan::wording(&snapshot.catalogue, image, wording);
            let seed = plan::seed::draw(&mut rand::rng());
            // Planned in any case, so that a fault is told now rather than by a failed job.
            let mut plan = plan::plan(snapshot, image, None, seed, &wording)?;
            callers::check_render_type(ctx, caller, &plan.recipe.render_type)?;
            workflow = Some(plan.recipe.workflow_id);
            if reworded {
                (None, Vec::new())
            } else {
                if image.enhance == Some(true) && !plan.recipe.enhanced {
                    let because = plan.recipe.not_enhanced_because.clone().unwrap_or_default();
                    plan.warnings.push(format!("The prompt was used as given: {because}."));
                }
                (Some(plan.recipe), plan.warnings)
            }
        }
    };
    let new = NewJob {
        id: JobId::new(),
        caller: caller.clone(),
        request,
        request_digest,
        recipe,
        warnings,
        priority: 0,
        placement: Placement::Anywhere,
        idempotency_key,
        parent: None,
        trace: None,
    };
    Ok((new, workflow))
}

/// The servers that a wish means.
pub(crate) fn placement(background: &Background, wish: &Wish) -> Result<Placement, UserError> {
    let unknown = |what: &str, given: &str, mut valid: Vec<String>| {
        valid.sort();
        valid.dedup();
        let shown: String = given.chars().take(limits::NAME_MAX_CHARS).collect();
        let error = UserError::argument(what, format!("There is no {what} `{shown}`."));
        Err(if valid.is_empty() { error } else { error.with_valid(valid) })
    };
    if let Some(given) = &wish.server {
        let servers = background.servers();
        let named = |view: &&ServerView| view.server.name == *given || view.server.id.to_string() == *given;
        return match servers.iter().find(named) {
            Some(view) => Ok(Placement::Server(view.server.id)),
            None => unknown("server", given, servers.into_iter().map(|view| view.server.name).collect()),
        };
    }
    let Some(given) = &wish.group else { return Ok(Placement::Anywhere) };
    let groups: Vec<String> = background.servers().into_iter().filter_map(|view| view.server.group).collect();
    if groups.contains(given) { Ok(Placement::Group(given.clone())) } else { unknown("group", given, groups) }
}

/// Refuses what would have more wait than may; each picture counts.
fn check_bounds(ctx: &Context, background: &Background, caller: &Caller, pictures: u32) -> Result<(), UserError> {
    let room_for = |waiting: usize, limit: usize| waiting.saturating_add(pictures as usize) <= limit;
    let settings = ctx.settings.now();
    let (waiting, own) = (background.queue_len(), background.queue_len_of(caller));
    let (length, limit, whose) = if !room_for(waiting, settings.queue_max) {
        (waiting, settings.queue_max, "The queue is")
    } else if !room_for(own, settings.queue_max_per_caller) {
        (own, settings.queue_max_per_caller, "Your share of the queue is")
    } else {
        return Ok(());
    };
    let advice = retry_advice(background.relief(), length, ctx.catalogue.catalogue().enabled_servers);
    let more = if pictures > 1 && length < limit { format!(" {pictures} more are too many.") } else { String::new() };
    Err(UserError::new(ErrorCode::QueueFull, format!("{whose} full: {length} jobs wait, {limit} may.{more}"))
        .with_hint("Wait for jobs to end, or cancel some.")
        .with_retry_after_s(advice))
}

/// When to try again, in seconds: once a tenth of what waits has begun, as far as run times are known.
fn retry_advice(relief: Option<f64>, waiting: usize, servers: usize) -> u32 {
    let guess = (waiting / 10) as f64 * RUN_GUESS_S / servers.max(1) as f64;
    let advice = relief.unwrap_or_else(|| guess.max(RUN_GUESS_S)).ceil().clamp(1.0, RETRY_ADVICE_MAX_S);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let advice = advice as u32;
    advice
}

// ---- the input picture ----

/// A stored picture's size.
pub(crate) fn size_of(picture: &Artifact) -> ImageSize {
    ImageSize { width_px: picture.width_px, height_px: picture.height_px }
}

/// The stored picture that a reference means, fetched where it must be, and what the caller should know about it.
pub(crate) async fn stored_picture(
    ctx: &Context,
    caller: &Caller,
    reference: &ImageRef,
) -> Result<(Artifact, Vec<String>), UserError> {
    let known = |artifact| (artifact, Vec::new());
    let given = match reference {
        ImageRef::Artifact(id) => return usable(ctx, caller, *id).await.map(known),
        ImageRef::Job(id) => {
            callers::check_job(ctx, caller, *id).await?;
            return primary_result(ctx, *id).await.map(known);
        }
        ImageRef::Data(uri) => ctx.vault.take_in(from_data_uri(uri)?).await?,
        ImageRef::Url(url) => match own_picture(url, ctx.config.public_url.as_ref()) {
            Some(id) => return usable(ctx, caller, id).await.map(known),
            None => ctx.vault.take_in(ctx.fetcher.fetch(url).await?).await?,
        },
    };
    callers::note_given(ctx, caller, &given.0).await?;
    Ok(given)
}

async fn usable(ctx: &Context, caller: &Caller, id: ArtifactId) -> Result<Artifact, UserError> {
    let artifact = ctx.vault.artifact(id).await?;
    callers::check_picture(ctx, caller, &artifact).await?;
    if !ctx.vault.keep_young(&artifact).await? {
        return Err(UserError::new(ErrorCode::UnknownImage, format!("There is no stored picture {id} any more.")));
    }
    if artifact.kind == hub_core::artifact::MediaKind::Image {
        return Ok(artifact);
    }
    let what = if artifact.role == ArtifactRole::Output { "result" } else { "file" };
    Err(input_image(format!("The {what} {id} is {}, not a picture.", artifact.mime)))
}

async fn primary_result(ctx: &Context, id: JobId) -> Result<Artifact, UserError> {
    let unknown = || UserError::new(ErrorCode::UnknownJob, format!("There is no job {id}."));
    let job = ctx.store.job_get(id).await.map_err(storage)?.ok_or_else(unknown)?;
    if !matches!(job.state, JobState::Succeeded) {
        let state = job.state.kind();
        let error = input_image(format!("The job {id} has no result to use: it is {state}."));
        return Err(if state.is_terminal() { error } else { error.with_hint("Wait until it has succeeded.") });
    }
    let artifacts = ctx.store.artifacts_of(id).await.map_err(storage)?;
    let picture = artifacts.into_iter().find(|artifact| artifact.kind == hub_core::artifact::MediaKind::Image);
    picture.ok_or_else(|| input_image(format!("The job {id} made no picture.")))
}

/// The picture that one of the hub's own `/outputs/` addresses names. It is taken from the store by its
/// id; nothing of the address ever becomes a path of the file system.
fn own_picture(url: &Url, public_url: Option<&Url>) -> Option<ArtifactId> {
    let loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(v4) => v4.is_loopback(),
        Host::Ipv6(v6) => v6.is_loopback(),
    };
    let below_public = public_url
        .filter(|public| public.origin() == url.origin())
        .and_then(|public| url.path().strip_prefix(public.path().trim_end_matches('/')));
    let path = match below_public {
        Some(path) => path,
        None if loopback => url.path(),
        None => return None,
    };
    let (id, extension) = path.strip_prefix("/outputs/")?.split_once('.')?;
    let plain = !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ArtifactId::from_str(id).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_name_stored_pictures_and_nothing_else_does() {
        let id = ArtifactId::new();
        let public: Url = "https://hub.example.com/genimg/".parse().expect("a URL");
        let own = |text: String| own_picture(&text.parse().expect("a URL"), Some(&public));
        assert_eq!(own(format!("https://hub.example.com/genimg/outputs/{id}.png?sig=1")), Some(id));
        assert_eq!(own(format!("http://127.0.0.1:8001/outputs/{id}.png")), Some(id));
        assert_eq!(own(format!("http://[::1]:8001/outputs/{id}.webp")), Some(id));
        assert_eq!(own(format!("http://localhost/outputs/{id}.png")), Some(id));
        for other in [
            format!("https://hub.example.com/outputs/{id}.png"),
            format!("https://elsewhere.example.com/outputs/{id}.png"),
            format!("http://127.0.0.1:8001/outputs/{id}"),
            format!("http://127.0.0.1:8001/outputs/{id}.png/x"),
            "http://127.0.0.1:8001/outputs/../hub.db".to_owned(),
            "http://127.0.0.1:8001/data/hub.db".to_owned(),
            "http://127.0.0.1:8001/outputs/%2e%2e%2fhub.db".to_owned(),
        ] {
            assert_eq!(own(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn the_advice_follows_what_is_known_within_its_bounds() {
        assert_eq!(retry_advice(Some(0.2), 1000, 4), 1);
        assert_eq!(retry_advice(Some(41.3), 1000, 4), 42);
        assert_eq!(retry_advice(Some(1e9), 1000, 4), 600);
        assert_eq!(retry_advice(None, 1, 0), 10);
        assert_eq!(retry_advice(None, 1000, 10), 100);
    }
}
