//! The list of jobs: newest first, filtered, a page at a time, with what can be done to each.

mod acts;
pub(super) mod filter;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{Html, IntoResponse as _, Response},
};
use hub_core::{
    error::{ErrorCode, UserError},
    job::JobStateKind,
};
use hub_store::PageCursor;
use serde::Serialize;

pub(crate) use self::acts::{cancel, cancel_many, retry, shift};
use self::filter::{Choices, GROUPS, ListQuery, fault_of, states};
use super::{
    Flash, Frame,
    form::{Fault, refused},
    html,
    shown::{Moment, ShownJob, ShownWaiting},
};
use crate::{api, error::WebError, language::Said, live, render::Page, router::App, said};

/// Jobs per page.
const PAGE_JOBS: u32 = 30;
/// Servers named per waiting job; its own page names all.
const SERVERS_NAMED: usize = 3;

/// The whole page.
#[derive(Debug, Serialize)]
pub(crate) struct JobsPage {
    frame: Frame,
    groups: Vec<Group>,
    typed: ListQuery,
    narrowed: bool,
    fault: Option<Fault>,
    #[serde(flatten)]
    choices: Choices,
    /// Address of the live stream of this very list.
    live_path: String,
    /// Address of the first page, when this is another.
    first_path: Option<String>,
    #[serde(flatten)]
    now: Listing,
}

/// The part that is redrawn.
#[derive(Debug, Serialize)]
pub(crate) struct JobsLive {
    #[serde(flatten)]
    now: Listing,
}

#[expect(clippy::struct_excessive_bools, reason = "each is something that the page says or offers, or leaves out")]
#[derive(Debug, Default, Serialize)]
struct Listing {
    jobs: Vec<ListedJob>,
    filtered: bool,
    next_path: Option<String>,
    /// How far back was looked, when the search's time was over before the page was full.
    searched_to: Option<Moment>,
    /// Not the first page: what fits may stand before it.
    older: bool,
    /// Whether any job of the page can be cancelled.
    some_open: bool,
    /// Whether two of them at least have pictures, which can be compared.
    some_made: bool,
    /// This very page, to come back to.
    here: String,
    /// The filters, for what is done to all that they find.
    matching: String,
    cancel_max: usize,
}

/// A job with what can be done to it.
#[derive(Debug, Serialize)]
struct ListedJob {
    #[serde(flatten)]
    job: ShownJob,
    waiting: Option<ShownWaiting>,
}

#[derive(Debug, Serialize)]
struct Group {
    path: String,
    title: Said,
    current: bool,
    /// How many there are; not known once the list is filtered further.
    count: Option<u64>,
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, WebError> {
    let Query(query) = query?;
    let (done, undo) = (query.done.clone(), query.undo);
    match load(&app, &query).await {
        Ok(listing) => {
            let mut page = page(&app, query, listing, None).await?;
            page.frame.flash = Flash::with_undo(done.as_deref(), undo);
            let page: Html<String> = html(&app, &page)?;
            Ok(page.into_response())
        }
        // What is wrong with a filter stands beside it; a cursor is no field.
        Err(WebError::User(error)) if error.code == ErrorCode::BadArgument && told_beside_a_field(&error) => {
            let page = page(&app, query, Listing { filtered: true, ..Listing::default() }, Some(&error)).await?;
            refused(&app, &error, &page)
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn live(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, WebError> {
    let Query(query) = query?;
    let own = app.clone();
    live::on_changes(&app, move || {
        let (app, query) = (own.clone(), query.clone());
        async move { app.renderer.render(&JobsLive { now: load(&app, &query).await? }) }
    })
}

fn told_beside_a_field(error: &UserError) -> bool {
    error.argument.as_deref().is_some_and(|argument| argument != "cursor")
}

async fn page(app: &App, query: ListQuery, now: Listing, error: Option<&UserError>) -> Result<JobsPage, WebError> {
    let (current, _) = query.group();
    let narrowed = query.is_narrowed();
    let counts = app.engine.store().job_counts().await?;
    let count = |states: &[JobStateKind]| -> u64 {
        if states.is_empty() {
            counts.values().sum()
        } else {
            states.iter().filter_map(|state| counts.get(state)).sum()
        }
    };
    let groups = GROUPS
        .iter()
        .map(|(name, title, _)| Group {
            path: query.path("/jobs", name, ""),
            title: *title,
            current: *name == current,
            count: (!narrowed).then(|| count(&states(name))),
        })
        .collect();
    Ok(JobsPage {
        frame: Frame::new("jobs", said!("Jobs")),
        groups,
        narrowed,
        fault: error.map(fault_of),
        choices: Choices::of(app, &query),
        live_path: query.path("/jobs/live", current, &query.cursor),
        first_path: (!query.cursor.is_empty()).then(|| query.path("/jobs", current, "")),
        typed: query,
        now,
    })
}

async fn load(app: &App, query: &ListQuery) -> Result<Listing, WebError> {
    let (group, _) = query.group();
    let filter = query.filter(app).await?;
    let cursor: Option<PageCursor> =
        if query.cursor.is_empty() { None } else { Some(api::parse_cursor(&query.cursor)?) };
    let page = app.engine.store().job_search(&filter, cursor, PAGE_JOBS, app.config.search).await?;
    let now = app.engine.store().clock().now();
    let views = app.engine.views(page.jobs).await?;
    let mut jobs = Vec::with_capacity(views.len());
    for view in &views {
        let queued = view.job.state.kind() == JobStateKind::Queued;
        let why = if queued { app.engine.why_waiting(view.job.id).await } else { None };
        jobs.push(ListedJob {
            job: ShownJob::of(view, now),
            waiting: why.map(|why| ShownWaiting::of(&why, SERVERS_NAMED)),
        });
    }
    Ok(Listing {
        some_open: views.iter().any(|view| !view.job.state.kind().is_terminal()),
        some_made: views.iter().filter(|view| !view.artifacts.is_empty()).count() > 1,
        jobs,
        filtered: !group.is_empty() || query.is_narrowed() || !query.cursor.is_empty(),
        next_path: page.next.map(|cursor| query.path("/jobs", group, &cursor.to_string())),
        searched_to: page.searched_to.map(|time| Moment::of(time, now)),
        older: !query.cursor.is_empty(),
        here: query.path("/jobs", group, &query.cursor),
        matching: query.query(group),
        cancel_max: acts::CANCEL_MAX,
    })
}

#[cfg(test)]
fn sample_jobs() -> Listing {
    use super::shown::sample;
    use hub_core::job::JobState;
    let listed =
        |state: JobState, waiting| ListedJob { job: ShownJob::of(&sample::view(state), sample::now()), waiting };
    let why = ShownWaiting::of(&sample::waiting(), 1);
    Listing {
        jobs: vec![
            listed(JobState::Queued, Some(why)),
            listed(JobState::Succeeded, None),
            listed(sample::failed(), None),
        ],
        next_path: Some("/jobs?state=failed&cursor=1.0".to_owned()),
        searched_to: Some(Moment::of(sample::now(), sample::now())),
        some_open: true,
        some_made: true,
        here: format!("/jobs?q={}", sample::HOSTILE),
        matching: sample::HOSTILE.to_owned(),
        ..Listing::default()
    }
}

impl Page for JobsPage {
    const TEMPLATE: &'static str = "pages/jobs.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::shown::sample::HOSTILE.to_owned();
        Self {
            frame: Frame::new("jobs", said!("Jobs")),
            groups: vec![Group { path: "/jobs".to_owned(), title: said!("All"), current: true, count: Some(3) }],
            typed: ListQuery { q: text(), caller: text(), from: text(), to: text(), ..ListQuery::default() },
            narrowed: true,
            fault: Some(Fault { field: "caller".to_owned(), text: text(), changed: false }),
            choices: Choices::sample(),
            live_path: "/jobs/live".to_owned(),
            first_path: Some("/jobs".to_owned()),
            now: sample_jobs(),
        }
    }
}

impl Page for JobsLive {
    const TEMPLATE: &'static str = "pages/jobs_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { now: sample_jobs() }
    }
}
