//! Jobs: submit, tell, follow, cancel. Lists and what operators do to jobs are in the modules below.

pub(super) mod acts;
pub(super) mod list;
pub(super) mod story;

use std::{convert::Infallible, time::Duration};

use async_stream::stream;
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::{DateTime, Utc};
use futures_util::Stream;
use hub_core::{
    artifact::MediaKind,
    error::UserError,
    ids::JobId,
    job::{JobState, JobStateKind},
    placement::{Placement, Wish},
    recipe::Recipe,
    request::{GeneratedPrompt, ToolCall, parse_idempotency_key},
    trace::TraceParent,
};
use hub_engine::{JobProgress, JobView, PlanView, Submitted, WhyWaiting};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answers::{Conflict, Invalid, NotFound},
    body::JsonBody,
    images::ImageRecord,
};
use crate::{asker::Asker, error::WebError, links, live, router::App};

/// How often an idle stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobRecord {
    id: JobId,
    state: JobStateKind,
    tool: &'static str,
    caller: String,
    created_at: DateTime<Utc>,
    queued_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    attempts: u32,
    server: Option<String>,
    /// Pictures, the primary one first.
    images: Vec<ImageRecord>,
    /// Other files (videos, sound).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    files: Vec<ImageRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The result of `generate_prompt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<GeneratedPrompt>,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<UserError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<Recipe>,
    /// The job that it retries, runs again or varies.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<JobId>,
    /// Higher goes first among the caller's own jobs.
    priority: i32,
    /// The server or group that it is pinned to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned_to: Option<Placement>,
    /// The job of which it makes one picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<JobId>,
    /// Why it waits for a server, when a single job is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<WhyWaiting>,
}

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub(crate) struct ProgressRecord {
    state: JobStateKind,
    /// 0–1.
    fraction: f32,
    /// Jobs before it, while it waits.
    queue_position: Option<u32>,
    step: Option<u32>,
    steps: Option<u32>,
    node: Option<String>,
    server: Option<String>,
    /// The same in words.
    text: String,
}

impl ProgressRecord {
    /// The record of `progress`.
    pub(crate) fn of(progress: &JobProgress) -> Self {
        Self {
            state: progress.state,
            fraction: progress.fraction,
            queue_position: progress.queue_position,
            step: progress.steps.map(|(step, _)| step),
            steps: progress.steps.map(|(_, steps)| steps),
            node: progress.node.as_deref().map(str::to_owned),
            server: progress.server.as_deref().map(str::to_owned),
            text: progress.describe(),
        }
    }
}

impl JobRecord {
    /// The record of `view`; addresses of pictures begin with `base_url`.
    pub(crate) fn of(view: JobView, base_url: &str) -> Self {
        let JobView { job, artifacts, server, progress } = view;
        let state = job.state.kind();
        let (images, files) = artifacts
            .iter()
            .map(|artifact| (artifact.kind, ImageRecord::of(artifact, base_url)))
            .partition::<Vec<_>, _>(|(kind, _)| *kind == MediaKind::Image);
        let prompt = job.generated_prompt();
        let error = if let JobState::Failed(error) = job.state { Some(error) } else { None };
        Self {
            id: job.id,
            state,
            tool: job.request.tool(),
            caller: job.caller.as_str().to_owned(),
            created_at: job.times.created_at,
            queued_at: job.times.queued_at,
            started_at: job.times.started_at,
            finished_at: job.times.finished_at,
            attempts: job.attempts,
            server,
            images: images.into_iter().map(|(_, record)| record).collect(),
            files: files.into_iter().map(|(_, record)| record).collect(),
            text: prompt.as_ref().map(GeneratedPrompt::explain).or(job.text),
            prompt,
            warnings: job.warnings,
            error,
            progress: progress.filter(|_| !state.is_terminal()).as_ref().map(ProgressRecord::of),
            recipe: job.recipe,
            parent: job.parent,
            priority: job.priority,
            pinned_to: Some(job.placement).filter(|placement| *placement != Placement::Anywhere),
            part_of: job.part.map(|part| part.of),
            waiting: None,
        }
    }
}

/// A job that is to be done.
#[derive(Deserialize, ToSchema)]
#[schema(as = JobRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitBody {
    /// `generate_image`, `upscale_image`, `edit_image`, `describe_image` or `generate_prompt`.
    tool: String,
    /// As the tool's MCP schema says.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    arguments: Option<Map<String, Value>>,
    /// The same key finds the same job, during and after its run. Goes before the header of that name.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// Higher goes first among the caller's own jobs: -100 to 100, default 0.
    #[serde(default)]
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i64>,
    /// Pins the job to a server, by name or id.
    #[serde(default)]
    server: Option<String>,
    /// Pins the job to a group of servers, by name.
    #[serde(default)]
    group: Option<String>,
}

/// What became of a request for a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubmittedJob)]
pub(crate) struct SubmittedRecord {
    id: JobId,
    state: JobStateKind,
    /// An earlier job that this request repeats, instead of a new one.
    replayed: bool,
    warnings: Vec<String>,
    /// Path of the job.
    url: String,
    /// Path of its events.
    events: String,
}

/// Takes in a job; it is stored when this answers. With the argument `plan_only` only the plan is told.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", operation_id = "submit_job",
    params(("Idempotency-Key" = Option<String>, Header), ("traceparent" = Option<String>, Header)),
    request_body = SubmitBody,
    responses((status = 200, description = "The plan, where only it was asked for", body = PlanView),
        (status = 202, body = SubmittedRecord, headers(("Location" = String))), Conflict, Invalid))]
pub(crate) async fn submit(
    State(app): State<App>,
    Asker(caller): Asker,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SubmitBody>,
) -> Result<Response, WebError> {
    let mut call = ToolCall::parse(&body.tool, &body.arguments.unwrap_or_default())?;
    if let Some(key) = idempotency_key(body.idempotency_key, &headers)? {
        call.options.idempotency_key = Some(key);
    }
    call.options.wish = Wish::parse(body.priority, body.server, body.group)?;
    call.options.trace = headers.get("traceparent").and_then(|value| TraceParent::parse(value.to_str().ok()?));
    if call.options.plan_only {
        return Ok(Json(app.engine.plan(&caller, call).await?).into_response());
    }
    let submitted = app.engine.submit(&caller, call).await?;
    Ok(accepted(submitted))
}

/// The key of the body, else that of the header.
pub(super) fn idempotency_key(given: Option<String>, headers: &HeaderMap) -> Result<Option<String>, UserError> {
    let header = || headers.get("idempotency-key").map(|value| value.to_str().unwrap_or("").to_owned());
    given.or_else(header).map(|key| parse_idempotency_key(&key)).transpose()
}

/// 202 with where the job can be followed.
pub(super) fn accepted(submitted: Submitted) -> Response {
    let id = submitted.job.id;
    let record = SubmittedRecord {
        id,
        state: submitted.job.state.kind(),
        replayed: submitted.replayed,
        warnings: submitted.job.warnings,
        url: format!("/api/v1/jobs/{id}"),
        events: format!("/api/v1/jobs/{id}/events"),
    };
    let location = HeaderValue::try_from(&record.url);
    let mut response = (StatusCode::ACCEPTED, Json(record)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Cancels a job; one that has ended is answered as it is.
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "cancel_job",
    params(("id" = JobId, Path)),
    responses((status = 200, body = JobRecord), NotFound))]
pub(crate) async fn cancel(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<JobRecord>, WebError> {
    let id = parse_id(&id)?;
    app.engine.check_job(&caller, id).await?;
    let view = app.engine.cancel(id).await?;
    Ok(Json(JobRecord::of(view, &links::base_url(&app, &headers))))
}

/// Follows a job by server-sent events: `progress` (Progress), the newest first, then one `end` (Job), then
/// the stream closes. A new connection begins with the newest progress, so there is nothing to resume.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs", operation_id = "follow_job",
    params(("id" = JobId, Path)),
    responses((status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
        NotFound))]
pub(crate) async fn events(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, WebError> {
    let id = parse_id(&id)?;
    // Asked first, so that an unknown job is a 404 and not an empty stream.
    app.engine.view_for(&caller, id).await?;
    let mut watch = app.engine.watch(id).await?;
    let base_url = links::base_url(&app, &headers);
    let permit = live::permit(&app)?;
    let events = stream! {
        let _permit = permit;
        let mut progress = Some(watch.now());
        while let Some(now) = progress.filter(|now| !now.state.is_terminal()) {
            yield Ok(data("progress", &ProgressRecord::of(&now)));
            progress = watch.next().await;
        }
        match app.engine.view(id).await {
            Ok(view) => yield Ok(data("end", &JobRecord::of(view, &base_url))),
            Err(error) => yield Ok(data("error", &error)),
        }
    };
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn data(name: &'static str, record: &impl Serialize) -> Event {
    let text = serde_json::to_string(record).expect("records have string keys and finite numbers");
    Event::default().event(name).data(text)
}

/// Parses a job id from a path.
pub(crate) fn parse_id(text: &str) -> Result<JobId, WebError> {
    text.parse().map_err(|_| WebError::missing("job", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others rely on these names.
    #[test]
    fn the_record_of_a_job_keeps_its_shape() {
        use crate::pages::shown::sample;
        let running = JobRecord::of(sample::view(JobState::Queued), "http://hub.test");
        let failed = JobRecord::of(sample::view(sample::failed()), "http://hub.test");
        insta::assert_json_snapshot!("job_unfinished", running);
        insta::assert_json_snapshot!("job_failed", failed);
    }
}
