//! One job: what it is at, what came out, how it was made.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{Html, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{
    ids::JobId,
    job::{Job, JobState, JobStateKind},
    request::{DescribeRequest, JobRequest},
};
use hub_engine::JobView;
use hub_store::AttemptRow;
use serde::{Deserialize, Serialize};

use super::{
    Flash, Frame, html, see_other,
    shown::{Moment, ShownImage, ShownProgress, ShownState, duration, shorten, tool_title},
};
use crate::{api, error::WebError, live, render::Page, router::App};

/// Longest part of a prompt in the page's title, in characters.
const TITLE_CHARS: usize = 60;

/// Longest value that stands in a column of the recipe, in characters.
const COLUMN_CHARS: usize = 14;

/// The whole page.
#[derive(Debug, Serialize)]
pub(crate) struct JobPage {
    frame: Frame,
    job: ShownDetail,
}

/// The region that is redrawn when the state changes.
#[derive(Debug, Serialize)]
pub(crate) struct JobLive {
    job: ShownDetail,
}

/// The region that is redrawn with every step.
#[derive(Debug, Serialize)]
pub(crate) struct JobProgressLive {
    progress: ShownProgress,
}

#[derive(Debug, Serialize)]
struct ShownDetail {
    id: String,
    path: String,
    live_path: String,
    cancel_path: String,
    reuse_path: String,
    tool: &'static str,
    title: String,
    caller: String,
    state: ShownState,
    progress: Option<ShownProgress>,
    images: Vec<ShownImage>,
    text: Option<String>,
    warnings: Vec<String>,
    error: Option<ShownError>,
    server: Option<String>,
    created: Moment,
    timeline: Vec<Milestone>,
    attempts: Vec<ShownAttempt>,
    prompt: Option<String>,
    negative_prompt: Option<String>,
    /// The prompt as it was rendered, when it differs from what was asked.
    final_prompt: Option<String>,
    final_negative: Option<String>,
    facts: Vec<Fact>,
    input: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownError {
    title: &'static str,
    message: String,
    hint: Option<String>,
    code: &'static str,
}

/// A step of the job's life.
#[derive(Debug, Serialize)]
struct Milestone {
    title: &'static str,
    at: Moment,
    /// Since the step before.
    after: Option<String>,
    tone: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownAttempt {
    number: u32,
    server: String,
    at: Moment,
    took: Option<String>,
    outcome: Option<String>,
    error: Option<String>,
}

/// One line of the recipe.
#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    /// Too long for a column.
    wide: bool,
}

#[derive(Deserialize)]
pub(crate) struct JobQuery {
    #[serde(default)]
    done: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<JobQuery>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let job = load(&app, api::parse_id(&id)?).await?;
    let mut frame = Frame::new("jobs", job.title.clone());
    frame.flash = Flash::of(query.done.as_deref());
    html(&app, &JobPage { frame, job })
}

pub(crate) async fn live(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let id = api::parse_id(&id)?;
    app.engine.view(id).await?;
    let own = app.clone();
    live::on_job(&app, id, move |progress| {
        let app = own.clone();
        async move {
            match progress {
                Some(progress) => app.renderer.render(&JobProgressLive { progress: ShownProgress::of(&progress) }),
                None => app.renderer.render(&JobLive { job: load(&app, id).await? }),
            }
        }
    })
    .await
}

pub(crate) async fn cancel(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let id = api::parse_id(&id)?;
    let view = app.engine.cancel(id).await?;
    let done = if view.job.state.kind() == JobStateKind::Cancelled { "cancelled" } else { "already-ended" };
    Ok(see_other(&format!("/jobs/{id}?done={done}")))
}

async fn load(app: &App, id: JobId) -> Result<ShownDetail, WebError> {
    let view = app.engine.view(id).await?;
    let rows = app.engine.store().job_attempts(id).await?;
    let names = app.engine.store().server_names().await?;
    let now = app.engine.store().clock().now();
    let attempts = rows
        .iter()
        .map(|row| {
            let server = names.get(&row.attempt.server).cloned().unwrap_or_else(|| row.attempt.server.to_string());
            attempt(row, server, now)
        })
        .collect();
    Ok(detail(&view, attempts, now))
}

fn attempt(row: &AttemptRow, server: String, now: DateTime<Utc>) -> ShownAttempt {
    ShownAttempt {
        number: row.attempt.number,
        server,
        at: Moment::of(row.created_at, now),
        took: row.ended_at.map(|end| duration(end - row.created_at)),
        outcome: row.outcome.clone(),
        error: row.error.as_ref().map(|error| error.message.clone()),
    }
}

fn detail(view: &JobView, attempts: Vec<ShownAttempt>, now: DateTime<Utc>) -> ShownDetail {
    let job = &view.job;
    let tool = tool_title(job.request.tool());
    let prompt = job.request.prompt().map(str::to_owned);
    let recipe = job.recipe.as_ref();
    let negative_prompt = match &job.request {
        JobRequest::Image(request) => request.negative_prompt.clone(),
        JobRequest::Describe(_) | JobRequest::Prompt(_) => None,
    };
    let final_negative = recipe.and_then(|recipe| recipe.negative_prompt.clone());
    let error = if let JobState::Failed(error) = &job.state {
        Some(ShownError {
            title: crate::problem::title_of(error.code),
            message: error.message.clone(),
            hint: error.hint.clone(),
            code: error.code.as_str(),
        })
    } else {
        None
    };
    ShownDetail {
        id: job.id.to_string(),
        path: format!("/jobs/{}", job.id),
        live_path: format!("/jobs/{}/live", job.id),
        cancel_path: format!("/jobs/{}/cancel", job.id),
        reuse_path: format!("/playground?from={}", job.id),
        tool,
        title: prompt.as_deref().map_or_else(|| format!("{tool} job"), |prompt| shorten(prompt, TITLE_CHARS)),
        caller: job.caller.as_str().to_owned(),
        state: ShownState::of(job.state.kind()),
        progress: view.progress.as_ref().filter(|_| !job.state.kind().is_terminal()).map(ShownProgress::of),
        images: view.artifacts.iter().map(|artifact| ShownImage::of(artifact, prompt.as_deref())).collect(),
        text: job.generated_prompt().map(|prompt| prompt.explain()).or_else(|| job.text.clone()),
        warnings: job.warnings.clone(),
        error,
        server: view.server.clone(),
        created: Moment::of(job.times.created_at, now),
        timeline: timeline(job, now),
        attempts,
        final_prompt: recipe.and_then(|recipe| recipe.prompt.clone()).filter(|text| Some(text) != prompt.as_ref()),
        final_negative: final_negative.filter(|text| Some(text) != negative_prompt.as_ref()),
        prompt,
        negative_prompt,
        facts: facts(job),
        input: input(job),
    }
}

/// Path of the picture the job works on, when it is stored here.
fn input(job: &Job) -> Option<String> {
    let asked = match &job.request {
        JobRequest::Image(request) => request.input.as_ref(),
        JobRequest::Describe(DescribeRequest { image, .. }) => Some(image),
        JobRequest::Prompt(_) => None,
    };
    let stored = match asked {
        Some(hub_core::request::ImageRef::Artifact(id)) => Some(*id),
        _ => None,
    };
    job.recipe.as_ref().and_then(|recipe| recipe.input).or(stored).map(|id| id.to_string())
}

fn timeline(job: &Job, now: DateTime<Utc>) -> Vec<Milestone> {
    let times = &job.times;
    let end = match job.state.kind() {
        JobStateKind::Succeeded => ("Done", "good"),
        JobStateKind::Failed => ("Failed", "bad"),
        JobStateKind::Expired => ("Expired", "off"),
        _ => ("Cancelled", "off"),
    };
    let steps = [
        ("Accepted", "off", Some(times.created_at)),
        ("Queued", "wait", times.queued_at),
        ("Started on a server", "busy", times.started_at),
        (end.0, end.1, times.finished_at),
    ];
    let mut before: Option<DateTime<Utc>> = None;
    let mut milestones = Vec::new();
    for (title, tone, at) in steps {
        let Some(at) = at else { continue };
        let after = before.map(|before| duration(at - before));
        milestones.push(Milestone { title, at: Moment::of(at, now), after, tone });
        before = Some(at);
    }
    milestones
}

fn facts(job: &Job) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name, value: Option<String>| {
        if let Some(value) = value {
            let wide = value.chars().count() > COLUMN_CHARS;
            facts.push(Fact { name, value, wide });
        }
    };
    if let Some(recipe) = &job.recipe {
        add("Render type", Some(recipe.render_type.clone()));
        add("Workflow", Some(format!("{} · version {}", recipe.workflow, recipe.workflow_version)));
        add("Seed", Some(recipe.seed.to_string()));
        add("Size", recipe.size.map(|size| format!("{} × {} px", size.width_px, size.height_px)));
        add("Styles", (!recipe.styles.is_empty()).then(|| recipe.styles.join(", ")));
        add("Steps", recipe.steps.map(|steps| steps.to_string()));
        add("Guidance", recipe.cfg.map(|cfg| cfg.to_string()));
        add("Denoise", recipe.denoise.map(|denoise| denoise.to_string()));
        let reason = recipe.not_enhanced_because.as_ref().map(|reason| format!("no: {reason}"));
        let enhanced = if recipe.enhanced { "yes".to_owned() } else { reason.unwrap_or_else(|| "no".to_owned()) };
        add("Prompt enhanced", Some(enhanced));
    }
    if let JobRequest::Describe(request) = &job.request {
        let kind = match request.kind {
            hub_core::request::DescriptionKind::Natural => "prose",
            hub_core::request::DescriptionKind::Optimized => "keywords",
        };
        add("Form", Some(kind.to_owned()));
        add("Language", Some(request.language.clone()));
    }
    if let Some(prompt) = job.generated_prompt() {
        add("Subject", Some(prompt.subject));
        add("Elements", (!prompt.elements.is_empty()).then(|| prompt.elements.join("; ")));
        add("Style", prompt.style);
        add("Seed", Some(prompt.seed.to_string()));
    }
    facts
}

#[cfg(test)]
fn sample_detail(state: JobState) -> ShownDetail {
    use super::shown::sample;
    let attempt = ShownAttempt {
        number: 1,
        server: "<gpu>".to_owned(),
        at: Moment::of(sample::now(), sample::now()),
        took: Some("3 s".to_owned()),
        outcome: Some("succeeded".to_owned()),
        error: Some(sample::HOSTILE.to_owned()),
    };
    detail(&sample::view(state), vec![attempt], sample::now())
}

impl Page for JobPage {
    const TEMPLATE: &'static str = "pages/job.html";

    #[cfg(test)]
    fn sample() -> Self {
        let job = sample_detail(JobState::Queued);
        let mut frame = Frame::new("jobs", job.title.clone());
        frame.flash = Flash::of(Some("cancelled"));
        Self { frame, job }
    }
}

impl Page for JobLive {
    const TEMPLATE: &'static str = "pages/job_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { job: sample_detail(super::shown::sample::failed()) }
    }
}

impl Page for JobProgressLive {
    const TEMPLATE: &'static str = "pages/job_progress_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        let view = super::shown::sample::view(JobState::Queued);
        Self { progress: ShownProgress::of(view.progress.as_ref().expect("set")) }
    }
}
