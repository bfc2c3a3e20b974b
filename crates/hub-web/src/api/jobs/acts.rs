//! What operators do to jobs: retry, move, cancel many.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use hub_core::{
    caller::Caller,
    error::{ErrorCode, UserError},
    ids::JobId,
};
use hub_engine::{CancelledJobs, Precedence};
use hub_store::JobFilter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{
        answers::{Conflict, Invalid, NotFound},
        body::JsonBody,
    },
    JobRecord, SubmittedRecord, accepted, idempotency_key,
    list::FilterBody,
    parse_id,
};
use crate::{
    asker::Asker,
    audit::{about_some, nothing_done},
    error::WebError,
    links,
    router::App,
};

/// Most jobs that one request cancels.
const CANCEL_MAX: usize = 1000;

/// Does a job that has ended once more: a new job with the same request, pins and priority, whose `parent` is the
/// old one. After a failure the seed that was drawn stays; after any other end one is drawn anew, unless the
/// request names one.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", tag = "jobs", operation_id = "retry_job",
    params(("id" = JobId, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = SubmittedRecord, headers(("Location" = String))), NotFound, Conflict, Invalid))]
pub(crate) async fn retry(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let key = idempotency_key(None, &headers)?;
    Ok(accepted(app.engine.retry(&caller, parse_id(&id)?, key).await?))
}

/// Where a waiting job shall be among those of its caller: one of the two.
#[derive(Deserialize, ToSchema)]
#[schema(as = JobPriority)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriorityBody {
    /// Higher goes first: -100 to 100.
    #[serde(default)]
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i64>,
    /// Before or behind all others that wait.
    #[serde(default, rename = "move")]
    to: Option<MoveTo>,
}

/// Where to move a job.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MoveTo {
    /// Before all others of its caller.
    First,
    /// Behind all others of its caller.
    Last,
}

/// Moves a waiting job among those of its caller; effective at once.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/priority", tag = "jobs", operation_id = "prioritise_job",
    params(("id" = JobId, Path)),
    request_body = PriorityBody,
    responses((status = 200, body = JobRecord), NotFound, Conflict, Invalid))]
pub(crate) async fn prioritise(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PriorityBody>,
) -> Result<Json<JobRecord>, WebError> {
    let precedence = match (body.priority, body.to) {
        (Some(priority), None) => Precedence::Priority(priority),
        (None, Some(MoveTo::First)) => Precedence::First,
        (None, Some(MoveTo::Last)) => Precedence::Last,
        (Some(_), Some(_)) => return Err(one_of("priority", "`priority` and `move` exclude each other.")),
        (None, None) => return Err(one_of("priority", "Neither `priority` nor `move` is given.")),
    };
    let id = parse_id(&id)?;
    app.engine.check_job(&caller, id).await?;
    let view = app.engine.prioritise(id, precedence).await?;
    Ok(Json(JobRecord::of(view, &links::base_url(&app, &headers))))
}

/// Which jobs to cancel: one of the two.
#[derive(Deserialize, ToSchema)]
#[schema(as = CancelJobs)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    /// These, at most 1000.
    #[serde(default)]
    #[schema(value_type = Option<Vec<JobId>>, max_items = 1000)]
    ids: Option<Vec<String>>,
    /// All unfinished ones that match; an empty object means every unfinished job.
    #[serde(default)]
    filter: Option<FilterBody>,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CancelledJobs)]
pub(crate) struct CancelledRecord {
    cancelled: Vec<JobId>,
    /// Had ended before.
    ended: Vec<JobId>,
    /// Ids of no job.
    unknown: Vec<JobId>,
    /// More match than the 1000 that are cancelled in one go: ask again.
    more: bool,
}

/// Cancels several jobs, one after the other. Those that were cancelled stay so if a later one cannot be.
#[utoipa::path(post, path = "/api/v1/jobs/cancel", tag = "jobs", operation_id = "cancel_jobs",
    request_body = CancelBody,
    responses((status = 200, body = CancelledRecord), Invalid))]
pub(crate) async fn cancel_many(
    State(app): State<App>,
    Asker(caller): Asker,
    JsonBody(body): JsonBody<CancelBody>,
) -> Result<Response, WebError> {
    let outcome = match (body.ids, body.filter) {
        (Some(ids), None) => {
            if ids.len() > CANCEL_MAX {
                let message = format!("`ids` has {} entries; it may have {CANCEL_MAX}.", ids.len());
                return Err(UserError::argument("ids", message).into());
            }
            let parsed = ids.iter().enumerate().map(|(at, text)| {
                text.parse()
                    .map_err(|_| UserError::argument(&format!("ids[{at}]"), "It is no id of a job, like job_018f…."))
            });
            let ids: Vec<JobId> = parsed.collect::<Result<_, _>>()?;
            cancel_seen(&app, &caller, &ids).await?
        }
        (None, Some(filter)) => {
            let filter = filter.parse(&app).await?;
            let own = app.engine.sees_only(&caller);
            let filter = JobFilter { caller: own.or(filter.caller.clone()), ..filter };
            if !filter.states.is_empty() && filter.states.iter().all(|state| state.is_terminal()) {
                return Err(UserError::argument("filter.state", "Jobs in these states have ended already.")
                    .with_valid(["planning", "queued", "assigned", "running", "collecting", "active"])
                    .into());
            }
            app.engine.cancel_matching(&filter, CANCEL_MAX).await?
        }
        (Some(_), Some(_)) => return Err(one_of("filter", "`ids` and `filter` exclude each other.")),
        (None, None) => return Err(one_of("ids", "Neither `ids` nor `filter` is given.")),
    };
    let CancelledJobs { cancelled, ended, unknown, more } = outcome;
    let count = cancelled.len();
    let response = Json(CancelledRecord { cancelled, ended, unknown, more }).into_response();
    // What callers do to their own is their business.
    let only_own = app.engine.sees_only(&caller).is_some();
    Ok(if only_own { nothing_done(response) } else { about_some(response, count, "job") })
}

fn one_of(argument: &str, message: &str) -> WebError {
    UserError::argument(argument, message).with_hint("Give one of the two.").into()
}

/// Cancels those that the caller sees; of others he is told what he is told of none.
async fn cancel_seen(app: &App, caller: &Caller, ids: &[JobId]) -> Result<CancelledJobs, UserError> {
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for id in ids {
        match app.engine.check_job(caller, *id).await {
            Ok(()) => seen.push(*id),
            Err(error) if error.code == ErrorCode::UnknownJob => unseen.push(*id),
            Err(error) => return Err(error),
        }
    }
    let mut outcome = app.engine.cancel_jobs(&seen).await?;
    outcome.unknown.extend(unseen);
    Ok(outcome)
}
