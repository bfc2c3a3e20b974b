//! One job: what it is at, what came out, how it was made.

mod call;
mod kin;
mod recipe;
mod story;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::{Html, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{
    ids::JobId,
    job::{JobState, JobStateKind},
    request::JobRequest,
};
use hub_engine::JobView;
use serde::Serialize;

use self::{
    call::ShownCall,
    recipe::Fact,
    story::{Milestone, ShownAttempt, ShownPart},
};
use super::{
    Frame, connect,
    form::Done,
    html,
    shown::{Moment, ShownImage, ShownProgress, ShownState, ShownWaiting, shorten, tool_title},
};
use crate::{
    api,
    error::WebError,
    language::{self, Said, apart},
    links, live, problem,
    render::Page,
    router::App,
    said,
};

/// Longest part of a prompt in the page's title, in characters.
const TITLE_CHARS: usize = 60;

/// Servers of which is said why a job waits.
const SERVERS_NAMED: usize = 50;

/// The whole page.
#[derive(Debug, Serialize)]
pub(crate) struct JobPage {
    frame: Frame,
    job: ShownDetail,
    call: ShownCall,
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
    retry_path: String,
    move_path: String,
    /// Whether it can be moved within the queue.
    queued: bool,
    reuse_path: String,
    tool: Said,
    title: String,
    caller: String,
    state: ShownState,
    progress: Option<ShownProgress>,
    images: Vec<ShownImage>,
    text: Option<String>,
    /// Where a description can be drawn.
    draw_path: Option<String>,
    /// Tools that can go on with its pictures.
    follow_ups: Vec<FollowUp>,
    warnings: Vec<String>,
    error: Option<ShownError>,
    server: Option<String>,
    created: Moment,
    story: Story,
    prompt: Option<String>,
    negative_prompt: Option<String>,
    /// The prompt as it was rendered, when it differs from what was asked.
    final_prompt: Option<String>,
    final_negative: Option<String>,
    facts: Vec<Fact>,
    input: Option<String>,
}

/// What is read beside the job's own row.
#[derive(Debug, Serialize)]
struct Story {
    waiting: Option<ShownWaiting>,
    timeline: Vec<Milestone>,
    attempts: Vec<ShownAttempt>,
    parts: Vec<ShownPart>,
    /// Page of the job that it repeats or varies.
    parent_path: Option<String>,
    /// It beside the job that it varies, and beside the one that its caller had made before.
    compare_parent_path: Option<String>,
    compare_before_path: Option<String>,
    /// Page of the job of which it makes one picture.
    whole_path: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownError {
    title: String,
    message: String,
    hint: Option<String>,
    code: &'static str,
}

/// A tool that works on a picture.
#[derive(Debug, Serialize)]
struct FollowUp {
    tool: &'static str,
    title: Said,
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    done: Done,
    headers: HeaderMap,
) -> Result<Html<String>, WebError> {
    let id = api::parse_id(&id)?;
    let job = load(&app, id).await?;
    let key = app.access.is_closed().then_some(connect::PLACEHOLDER);
    let call = ShownCall::of(&app.engine.view(id).await?.job, &links::base_url(&app, &headers), key);
    let mut frame = Frame::new("jobs", job.title.clone());
    frame.flash = done.flash();
    html(&app, &JobPage { frame, job, call })
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

async fn load(app: &App, id: JobId) -> Result<ShownDetail, WebError> {
    let view = app.engine.view(id).await?;
    let history = app.engine.history(&view.job).await?;
    let now = app.engine.store().clock().now();
    let queued = view.job.state.kind() == JobStateKind::Queued;
    let waiting = if queued { app.engine.why_waiting(id).await } else { None };
    let parts = if view.job.is_whole() { app.engine.store().job_parts(id).await? } else { Vec::new() };
    let page = |id: JobId| format!("/jobs/{id}");
    let story = Story {
        waiting: waiting.map(|why| ShownWaiting::of(&why, SERVERS_NAMED)),
        timeline: story::milestones(history.timeline, now),
        attempts: history.attempts.into_iter().map(|attempt| ShownAttempt::of(attempt, now)).collect(),
        parts: parts.iter().enumerate().map(ShownPart::of).collect(),
        parent_path: view.job.parent.map(page),
        compare_parent_path: kin::parent_beside(app, &view).await?,
        compare_before_path: kin::before_beside(app, &view).await?,
        whole_path: view.job.part.map(|part| page(part.of)),
    };
    let tools = super::playground::tools_for_pictures(&app.engine.catalogue());
    let follow_ups = tools.into_iter().map(|(tool, title)| FollowUp { tool, title }).collect();
    Ok(ShownDetail { follow_ups, ..detail(&view, story, now) })
}

fn detail(view: &JobView, story: Story, now: DateTime<Utc>) -> ShownDetail {
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
        let error = apart::error(error);
        Some(ShownError {
            title: language::here(problem::title_of(error.code)),
            message: error.message,
            hint: error.hint,
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
        retry_path: format!("/jobs/{}/retry", job.id),
        move_path: format!("/jobs/{}/move", job.id),
        queued: job.state.kind() == JobStateKind::Queued,
        reuse_path: format!("/playground?from={}", job.id),
        tool,
        title: prompt.as_deref().map_or_else(|| said!("{tool} job", tool), |prompt| shorten(prompt, TITLE_CHARS)),
        caller: job.caller.as_str().to_owned(),
        state: ShownState::of_view(view),
        progress: ShownProgress::of_view(view),
        images: view.artifacts.iter().map(|artifact| ShownImage::of(artifact, prompt.as_deref())).collect(),
        text: job.generated_prompt().map(|prompt| prompt.explain()).or_else(|| job.text.clone()),
        draw_path: job
            .text
            .as_ref()
            .filter(|_| matches!(job.request, JobRequest::Describe(_)))
            .map(|_| format!("/playground?draw={}", job.id)),
        follow_ups: Vec::new(),
        warnings: apart::sentences(&job.warnings),
        error,
        server: view.server.clone(),
        created: Moment::of(job.times.created_at, now),
        story,
        final_prompt: recipe.and_then(|recipe| recipe.prompt.clone()).filter(|text| Some(text) != prompt.as_ref()),
        final_negative: final_negative.filter(|text| Some(text) != negative_prompt.as_ref()),
        prompt,
        negative_prompt,
        facts: recipe::facts(job),
        input: recipe::input(job),
    }
}

#[cfg(test)]
fn sample_detail(state: JobState) -> ShownDetail {
    use super::shown::sample;
    let (timeline, attempts) = story::sample();
    let view = sample::view(state);
    let story = Story {
        waiting: Some(ShownWaiting::of(&sample::waiting(), 1)),
        timeline,
        attempts,
        parts: vec![ShownPart::of((0, &view.job))],
        parent_path: Some("/jobs/job_1".to_owned()),
        compare_parent_path: Some("/compare?job=job_1&job=job_2".to_owned()),
        compare_before_path: Some("/compare?job=job_1&job=job_2".to_owned()),
        whole_path: Some("/jobs/job_2".to_owned()),
    };
    let follow_ups = vec![FollowUp { tool: "edit_image", title: said!("Edit") }];
    let draw_path = Some("/playground?draw=job_1".to_owned());
    ShownDetail { draw_path, follow_ups, ..detail(&view, story, sample::now()) }
}

impl Page for JobPage {
    const TEMPLATE: &'static str = "pages/job.html";

    #[cfg(test)]
    fn sample() -> Self {
        let job = sample_detail(JobState::Queued);
        let mut frame = Frame::new("jobs", job.title.clone());
        frame.flash = super::Flash::of(Some("cancelled"));
        let job_again = super::shown::sample::view(JobState::Queued).job;
        let call = ShownCall::of(&job_again, "http://hub.test", Some(connect::PLACEHOLDER));
        Self { frame, job, call }
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
