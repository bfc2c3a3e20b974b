//! The list of jobs: newest first, by state, a page at a time.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{Html, Response},
};
use hub_core::job::JobStateKind;
use hub_store::JobFilter;
use serde::{Deserialize, Serialize};

use super::{Frame, html, shown::ShownJob};
use crate::{api, error::WebError, live, render::Page, router::App};

/// Jobs per page.
const PAGE_JOBS: u32 = 30;

/// Filters by name, title and states.
const FILTERS: [(&str, &str, &[JobStateKind]); 5] = [
    ("", "All", &[]),
    (
        "active",
        "Active",
        &[
            JobStateKind::Planning,
            JobStateKind::Queued,
            JobStateKind::Assigned,
            JobStateKind::Running,
            JobStateKind::Collecting,
        ],
    ),
    ("succeeded", "Done", &[JobStateKind::Succeeded]),
    ("failed", "Failed", &[JobStateKind::Failed]),
    ("cancelled", "Cancelled", &[JobStateKind::Cancelled, JobStateKind::Expired]),
];

/// The whole page.
#[derive(Debug, Serialize)]
pub(crate) struct JobsPage {
    frame: Frame,
    filters: Vec<Filter>,
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

#[derive(Debug, Serialize)]
struct Listing {
    jobs: Vec<ShownJob>,
    filtered: bool,
    next_path: Option<String>,
}

#[derive(Debug, Serialize)]
struct Filter {
    path: String,
    title: &'static str,
    current: bool,
    count: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    state: String,
    #[serde(default)]
    cursor: String,
}

impl ListQuery {
    /// An unknown filter shows all: a bookmark of an older version must not end in an error.
    fn filter(&self) -> (&'static str, &'static [JobStateKind]) {
        FILTERS
            .iter()
            .find(|(name, ..)| *name == self.state)
            .map_or(("", &[][..]), |(name, _, states)| (*name, *states))
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let (current, _) = query.filter();
    let counts = app.engine.store().job_counts().await?;
    let filters = FILTERS
        .iter()
        .map(|(name, title, states)| Filter {
            path: path("/jobs", name, ""),
            title,
            current: *name == current,
            count: if states.is_empty() {
                counts.values().sum()
            } else {
                states.iter().filter_map(|state| counts.get(state)).sum()
            },
        })
        .collect();
    let page = JobsPage {
        frame: Frame::new("jobs", "Jobs"),
        filters,
        live_path: path("/jobs/live", current, &query.cursor),
        first_path: (!query.cursor.is_empty()).then(|| path("/jobs", current, "")),
        now: load(&app, &query).await?,
    };
    html(&app, &page)
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

async fn load(app: &App, query: &ListQuery) -> Result<Listing, WebError> {
    let (name, states) = query.filter();
    let filter = JobFilter { states: states.to_vec(), ..JobFilter::default() };
    let cursor = if query.cursor.is_empty() { None } else { Some(api::parse_cursor(&query.cursor)?) };
    let page = app.engine.store().job_list(&filter, cursor, PAGE_JOBS).await?;
    let now = app.engine.store().clock().now();
    let views = app.engine.views(page.jobs).await?;
    Ok(Listing {
        jobs: views.iter().map(|view| ShownJob::of(view, now)).collect(),
        filtered: !name.is_empty() || !query.cursor.is_empty(),
        next_path: page.next.map(|cursor| path("/jobs", name, &cursor.to_string())),
    })
}

fn path(base: &str, state: &str, cursor: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("state", state), ("cursor", cursor)] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

#[cfg(test)]
fn sample_jobs() -> Listing {
    use super::shown::sample;
    use hub_core::job::JobState;
    let states = [JobState::Queued, JobState::Succeeded, sample::failed()];
    Listing {
        jobs: states.into_iter().map(|state| ShownJob::of(&sample::view(state), sample::now())).collect(),
        filtered: false,
        next_path: Some(path("/jobs", "failed", "1.0")),
    }
}

impl Page for JobsPage {
    const TEMPLATE: &'static str = "pages/jobs.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self {
            frame: Frame::new("jobs", "Jobs"),
            filters: vec![Filter { path: "/jobs".to_owned(), title: "All", current: true, count: 3 }],
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
