//! One job in full: how it is, every attempt, and the points of its life.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use hub_core::{ids::JobId, job::JobStateKind};
use hub_engine::{AttemptView, TimelinePoint};
use serde::Serialize;
use utoipa::ToSchema;

use super::{super::answers::NotFound, JobRecord, parse_id};
use crate::{asker::Asker, error::WebError, links, router::App};

/// One job in full.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobInFull)]
pub(crate) struct StoryRecord {
    #[serde(flatten)]
    job: JobRecord,
    /// The caller's key for replays.
    idempotency_key: Option<String>,
    /// Every attempt, the first one first.
    attempt_list: Vec<AttemptView>,
    /// The points of its life in their order, as far as they are stored.
    timeline: Vec<TimelinePoint>,
}

/// Tells one job in full.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(("id" = JobId, Path)),
    responses((status = 200, body = StoryRecord), NotFound))]
pub(crate) async fn show(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<StoryRecord>, WebError> {
    let id = parse_id(&id)?;
    let view = app.engine.view_for(&caller, id).await?;
    let history = app.engine.history(&view.job).await?;
    let idempotency_key = view.job.idempotency_key.clone();
    let mut record = JobRecord::of(view, &links::base_url(&app, &headers));
    if record.state == JobStateKind::Queued {
        record.waiting = app.engine.why_waiting(id).await;
    }
    Ok(Json(StoryRecord { job: record, idempotency_key, attempt_list: history.attempts, timeline: history.timeline }))
}
