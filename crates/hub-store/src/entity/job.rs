//! Jobs.

use std::borrow::Cow;

use hub_core::{
    caller::Caller,
    ids::{JobId, PromptId, ServerId},
    job::{Attempt, Job, JobState, JobStateKind, JobTimes, Part},
    placement::Placement,
    request::{DescribeRequest, ImageRequest, JobRequest, PromptRequest},
    trace::TraceParent,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{Row, json},
    error::{Result, StoreError},
};

/// One row of `jobs`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) caller: String,
    pub(crate) tool: String,
    pub(crate) state: String,
    pub(crate) priority: i32,
    pub(crate) request: String,
    pub(crate) request_digest: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) render_type: Option<String>,
    pub(crate) workflow_id: Option<Uuid>,
    pub(crate) recipe: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) warnings: String,
    pub(crate) excluded: String,
    pub(crate) error: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) attempt: Option<i64>,
    pub(crate) server_id: Option<Uuid>,
    pub(crate) prompt_id: Option<Uuid>,
    pub(crate) created_at: i64,
    pub(crate) queued_at: Option<i64>,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) pinned_server_id: Option<Uuid>,
    pub(crate) pinned_group: Option<String>,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) trace_parent: Option<String>,
    pub(crate) has_images: bool,
    pub(crate) favourite: bool,
    pub(crate) part_of: Option<Uuid>,
    pub(crate) part: Option<i32>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Job {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("jobs", JobId::from_uuid(row.id));
        Ok(Self {
            id: JobId::from_uuid(row.id),
            state: state(&at, &row)?,
            request: read_request(&at, &row.request)?,
            recipe: at.json_opt("recipe", row.recipe.as_deref())?,
            warnings: at.json("warnings", &row.warnings)?,
            attempts: at.number("attempts", row.attempts)?,
            excluded: at.json("excluded", &row.excluded)?,
            priority: row.priority,
            placement: placement(row.pinned_server_id, row.pinned_group.clone()),
            part: part(&at, row.part_of, row.part)?,
            server: row.server_id.map(ServerId::from_uuid),
            times: JobTimes {
                created_at: at.time("created_at", row.created_at)?,
                queued_at: at.time_opt("queued_at", row.queued_at)?,
                started_at: at.time_opt("started_at", row.started_at)?,
                finished_at: at.time_opt("finished_at", row.finished_at)?,
            },
            caller: Caller::named(&row.caller),
            text: row.text,
            idempotency_key: row.idempotency_key,
            parent: row.parent_id.map(JobId::from_uuid),
            trace: row.trace_parent.as_deref().and_then(TraceParent::parse),
        })
    }
}

/// A request as stored: tagged from outside, since a description has a field `kind` of its own, which
/// the tag inside of `JobRequest`'s own form collides with.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly every request is of the large kind, and lives for one query")]
enum StoredRequest<'a> {
    Image(Cow<'a, ImageRequest>),
    Describe(Cow<'a, DescribeRequest>),
    Prompt(Cow<'a, PromptRequest>),
}

impl From<StoredRequest<'_>> for JobRequest {
    fn from(stored: StoredRequest<'_>) -> Self {
        match stored {
            StoredRequest::Image(request) => Self::Image(request.into_owned()),
            StoredRequest::Describe(request) => Self::Describe(request.into_owned()),
            StoredRequest::Prompt(request) => Self::Prompt(request.into_owned()),
        }
    }
}

/// A request of JSON text.
pub(crate) fn read_request(at: &Row, text: &str) -> Result<JobRequest> {
    Ok(at.json::<StoredRequest<'_>>("request", text)?.into())
}

/// A request as JSON text.
pub(crate) fn request(request: &JobRequest) -> Result<String> {
    let stored = match request {
        JobRequest::Image(request) => StoredRequest::Image(Cow::Borrowed(request)),
        JobRequest::Describe(request) => StoredRequest::Describe(Cow::Borrowed(request)),
        JobRequest::Prompt(request) => StoredRequest::Prompt(Cow::Borrowed(request)),
    };
    json("request", &stored)
}

fn placement(server: Option<Uuid>, group: Option<String>) -> Placement {
    match (server, group) {
        (Some(server), _) => Placement::Server(ServerId::from_uuid(server)),
        (None, Some(group)) => Placement::Group(group),
        (None, None) => Placement::Anywhere,
    }
}

fn part(at: &Row, of: Option<Uuid>, index: Option<i32>) -> Result<Option<Part>> {
    let Some(of) = of else { return Ok(None) };
    let index = index.ok_or_else(|| at.wrong("part", "missing beside a whole"))?;
    Ok(Some(Part { of: JobId::from_uuid(of), index: at.number("part", index.into())? }))
}

fn state(at: &Row, row: &Model) -> Result<JobState> {
    let kind: JobStateKind = at.name("state", &row.state)?;
    Ok(match kind {
        JobStateKind::Planning => JobState::Planning,
        JobStateKind::Queued => JobState::Queued,
        JobStateKind::Assigned => JobState::Assigned(owner(at, row)?),
        // Parts have the attempts, the whole has none.
        JobStateKind::Running if row.attempt.is_none() => JobState::InParts,
        JobStateKind::Running => JobState::Running(owner(at, row)?),
        JobStateKind::Collecting => JobState::Collecting(owner(at, row)?),
        JobStateKind::Succeeded => JobState::Succeeded,
        JobStateKind::Failed => {
            let error = row.error.as_deref().ok_or_else(|| at.wrong("error", "missing although the job failed"))?;
            JobState::Failed(at.json("error", error)?)
        }
        JobStateKind::Cancelled => JobState::Cancelled,
        JobStateKind::Expired => JobState::Expired,
    })
}

/// The attempt that owns a job whose state says that one does.
fn owner(at: &Row, row: &Model) -> Result<Attempt> {
    attempt(at, row.attempt, row.server_id, row.prompt_id)?
        .ok_or_else(|| at.wrong("attempt", "missing although the state has one"))
}

/// The attempt in these columns; none when no attempt owns the job.
pub(crate) fn attempt(
    at: &Row,
    number: Option<i64>,
    server: Option<Uuid>,
    prompt: Option<Uuid>,
) -> Result<Option<Attempt>> {
    let Some(number) = number else { return Ok(None) };
    Ok(Some(Attempt {
        number: at.number("attempt", number)?,
        server: ServerId::from_uuid(server.ok_or_else(|| at.wrong("server_id", "missing beside an attempt"))?),
        prompt_id: PromptId::from_uuid(prompt.ok_or_else(|| at.wrong("prompt_id", "missing beside an attempt"))?),
    }))
}
