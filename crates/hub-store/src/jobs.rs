//! Jobs: taking them in and reading single ones. Lists are in `list`, counts in `counts`, what jobs work on in
//! `pictures`; how jobs change is in `transitions`.

mod counts;
mod list;
mod pictures;

use chrono::{DateTime, Utc};
use hub_core::{
    caller::Caller,
    ids::JobId,
    job::{Job, JobState, JobStateKind, JobTimes},
    placement::Placement,
    recipe::Recipe,
    request::JobRequest,
    trace::TraceParent,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{InsertStatement, OnConflict},
};

pub(crate) use counts::LastCount;
pub use list::{JobFilter, JobPage, SearchBounds};
pub(crate) use list::{PAGE_MAX_ROWS, keep, keep_styles};
pub(crate) use pictures::in_work;

use crate::{
    decode::{Row, cut, json, ms, plain},
    entity::job,
    error::{Result, StoreError},
    pool::Store,
};

/// A job that is to be stored. With a recipe it starts `queued`, without one `planning`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Who asks.
    pub caller: Caller,
    /// What is asked.
    pub request: JobRequest,
    /// SHA-256 of the canonical arguments, 64 lower-case hexadecimal digits.
    pub request_digest: String,
    /// The plan, where it needed no LLM.
    pub recipe: Option<Recipe>,
    /// What the caller should know.
    pub warnings: Vec<String>,
    /// Higher goes first within one caller; default 0.
    pub priority: i32,
    /// The servers it is pinned to.
    pub placement: Placement,
    /// The caller's key for replays.
    pub idempotency_key: Option<String>,
    /// The job that it retries, runs again or varies.
    pub parent: Option<JobId>,
    /// Where the caller's trace goes on.
    pub trace: Option<TraceParent>,
}

/// What an insert found.
#[derive(Debug, Clone, PartialEq)]
pub enum Inserted {
    /// The job is stored.
    New(Job),
    /// The caller's key already had a job, with the same request: this one.
    Existing(Job),
}

/// One request of one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedCall {
    /// Who asked.
    pub caller: Caller,
    /// What, as SHA-256 of the canonical arguments.
    pub request_digest: String,
    /// When last.
    pub asked_at: DateTime<Utc>,
}

impl Store {
    /// Stores a job, once per caller and idempotency key, however many insert at once.
    ///
    /// # Errors
    /// [`StoreError::IdempotencyMismatch`] when the key's job has another request digest; [`StoreError::Gone`] when a
    /// picture that the job works on was deleted.
    pub async fn job_insert(&self, new: &NewJob) -> Result<Inserted> {
        let job = accepted(new, self.clock().now());
        if self.write_new(&job, &new.request_digest, &keep(&job)).await? {
            return Ok(Inserted::New(job));
        }
        let Some(key) = &new.idempotency_key else {
            return Err(StoreError::Conflict(sea_orm::DbErr::RecordNotInserted));
        };
        self.job_of_key(self.writer(), &new.caller, key, &new.request_digest)
            .await?
            .map(Inserted::Existing)
            .ok_or(StoreError::Conflict(sea_orm::DbErr::RecordNotInserted))
    }

    /// The job that the caller's key has already.
    ///
    /// # Errors
    /// [`StoreError::IdempotencyMismatch`] when that job has another request digest.
    pub async fn job_find_key(&self, caller: &Caller, key: &str, request_digest: &str) -> Result<Option<Job>> {
        self.job_of_key(self.reader(), caller, key, request_digest).await
    }

    pub(crate) async fn job_of_key(
        &self,
        db: &DatabaseConnection,
        caller: &Caller,
        key: &str,
        request_digest: &str,
    ) -> Result<Option<Job>> {
        let row = job::Entity::find()
            .filter(job::Column::Caller.eq(caller.as_str()))
            .filter(job::Column::IdempotencyKey.eq(key))
            .one(db)
            .await?;
        match row {
            Some(row) if row.request_digest != request_digest => {
                Err(StoreError::IdempotencyMismatch { job: JobId::from_uuid(row.id) })
            }
            row => row.map(Job::try_from).transpose(),
        }
    }

    /// The newest job of the caller with the same request, made at or after `since`, that has not
    /// failed, expired or been cancelled.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn job_find_repeat(
        &self,
        caller: &Caller,
        request_digest: &str,
        since: DateTime<Utc>,
    ) -> Result<Option<Job>> {
        let useless = [JobStateKind::Failed, JobStateKind::Cancelled, JobStateKind::Expired];
        job::Entity::find()
            .filter(job::Column::Caller.eq(caller.as_str()))
            .filter(job::Column::RequestDigest.eq(request_digest))
            .filter(job::Column::CreatedAt.gte(ms(since)))
            .filter(job::Column::State.is_not_in(useless.map(JobStateKind::as_str)))
            .order_by_desc(job::Column::CreatedAt)
            .order_by_desc(job::Column::Id)
            .one(self.reader())
            .await?
            .map(Job::try_from)
            .transpose()
    }

    /// What was asked at or after `since`, newest first: at most `limit` calls, one each per caller and
    /// request.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn jobs_asked_since(&self, since: DateTime<Utc>, limit: usize) -> Result<Vec<AskedCall>> {
        let rows: Vec<(String, String, Option<i64>)> = job::Entity::find()
            .select_only()
            .columns([job::Column::Caller, job::Column::RequestDigest])
            .column_as(job::Column::CreatedAt.max(), "asked_at")
            .filter(job::Column::CreatedAt.gte(ms(since)))
            .filter(job::Column::PartOf.is_null())
            .group_by(job::Column::Caller)
            .group_by(job::Column::RequestDigest)
            .order_by_desc(job::Column::CreatedAt.max())
            .limit(limit as u64)
            .into_tuple()
            .all(self.reader())
            .await?;
        let at = Row::new("jobs", "asked lately");
        rows.into_iter()
            .map(|(caller, request_digest, asked_at)| {
                let asked_at = at.time("created_at", asked_at.unwrap_or_default())?;
                Ok(AskedCall { caller: Caller::named(&caller), request_digest, asked_at })
            })
            .collect()
    }

    /// The job of that id.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn job_get(&self, id: JobId) -> Result<Option<Job>> {
        job::Entity::find_by_id(id.as_uuid()).one(self.reader()).await?.map(Job::try_from).transpose()
    }

    /// All jobs and parts that have not ended, oldest first: what a start takes up again.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn jobs_unfinished(&self) -> Result<Vec<Job>> {
        let open = JobStateKind::ALL.into_iter().filter(|state| !state.is_terminal()).map(JobStateKind::as_str);
        job::Entity::find()
            .filter(job::Column::State.is_in(open))
            .order_by_asc(job::Column::CreatedAt)
            .order_by_asc(job::Column::Id)
            .all(self.reader())
            .await?
            .into_iter()
            .map(Job::try_from)
            .collect()
    }
}

/// The job as it will be read again.
pub(crate) fn accepted(new: &NewJob, now: DateTime<Utc>) -> Job {
    let now = cut(now);
    Job {
        id: new.id,
        caller: new.caller.clone(),
        request: new.request.clone(),
        state: if new.recipe.is_some() { JobState::Queued } else { JobState::Planning },
        recipe: new.recipe.clone(),
        text: None,
        warnings: new.warnings.clone(),
        attempts: 0,
        excluded: Vec::new(),
        priority: new.priority,
        placement: new.placement.clone(),
        idempotency_key: new.idempotency_key.clone(),
        parent: new.parent,
        trace: new.trace,
        server: None,
        times: JobTimes {
            created_at: now,
            queued_at: new.recipe.is_some().then_some(now),
            started_at: None,
            finished_at: None,
        },
        part: None,
    }
}

/// The INSERT of a job, which returns its id; nothing where the caller's key has a job already.
fn insert(job: &Job, request_digest: &str) -> Result<InsertStatement> {
    let mut insert = job::Entity::insert(row_of(job, request_digest)?).into_query();
    insert.returning_col(job::Column::Id);
    if job.idempotency_key.is_some() {
        insert.on_conflict(OnConflict::new().do_nothing().to_owned());
    }
    Ok(insert)
}

/// The row of a job that nothing has happened to yet.
pub(crate) fn row_of(job: &Job, request_digest: &str) -> Result<job::ActiveModel> {
    let recipe = job.recipe.as_ref();
    Ok(job::ActiveModel {
        id: Set(job.id.as_uuid()),
        caller: Set(job.caller.as_str().to_owned()),
        tool: Set(job.request.tool().to_owned()),
        state: Set(job.state.kind().as_str().to_owned()),
        priority: Set(job.priority),
        request: Set(job::request(&job.request)?),
        request_digest: Set(request_digest.to_owned()),
        idempotency_key: Set(job.idempotency_key.clone()),
        prompt: Set(job.request.prompt().map(|prompt| plain(prompt).into_owned())),
        render_type: Set(recipe.map(|recipe| recipe.render_type.clone()).or_else(|| named_render_type(&job.request))),
        workflow_id: Set(recipe.map(|recipe| recipe.workflow_id.as_uuid())),
        recipe: Set(recipe.map(|recipe| json("recipe", recipe)).transpose()?),
        text: Set(None),
        warnings: Set(json("warnings", &job.warnings)?),
        excluded: Set("[]".to_owned()),
        error: Set(None),
        attempts: Set(0),
        attempt: Set(None),
        server_id: Set(None),
        prompt_id: Set(None),
        created_at: Set(ms(job.times.created_at)),
        queued_at: Set(job.times.queued_at.map(ms)),
        started_at: Set(None),
        finished_at: Set(None),
        pinned_server_id: Set(match &job.placement {
            Placement::Server(server) => Some(server.as_uuid()),
            Placement::Anywhere | Placement::Group(_) => None,
        }),
        pinned_group: Set(match &job.placement {
            Placement::Group(name) => Some(name.clone()),
            Placement::Anywhere | Placement::Server(_) => None,
        }),
        parent_id: Set(job.parent.map(JobId::as_uuid)),
        trace_parent: Set(job.trace.map(|trace| trace.to_string())),
        has_images: Set(false),
        favourite: Set(false),
        part_of: Set(job.part.map(|part| part.of.as_uuid())),
        part: Set(job.part.map(|part| part_number(part.index))),
    })
}

fn part_number(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn named_render_type(request: &JobRequest) -> Option<String> {
    match request {
        JobRequest::Image(request) => request.render_type.clone(),
        JobRequest::Describe(_) | JobRequest::Prompt(_) => None,
    }
}
