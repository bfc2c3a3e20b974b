//! The first page: is everything well, what runs, what came out.

use axum::{
    extract::State,
    response::{Html, Response},
};
use hub_core::{
    artifact::{ArtifactRole, MediaKind},
    job::JobStateKind,
};
use hub_store::JobFilter;
use serde::Serialize;

use super::{
    Frame, html,
    servers::ShownServer,
    shown::{ShownImage, ShownJob},
};
use crate::{error::WebError, language::Said, live, render::Page, router::App, said};

/// Pictures shown.
const PICTURES: usize = 12;
/// Files looked through to find them: inputs and videos lie among them.
const FILES_READ: u32 = 36;
/// Unfinished jobs shown.
const ACTIVE: u32 = 6;

/// The whole page.
#[derive(Debug, Serialize)]
pub(crate) struct DashboardPage {
    frame: Frame,
    #[serde(flatten)]
    now: Dashboard,
}

/// The part that is redrawn.
#[derive(Debug, Serialize)]
pub(crate) struct DashboardLive {
    #[serde(flatten)]
    now: Dashboard,
}

#[derive(Debug, Serialize)]
struct Dashboard {
    setup: Vec<SetupStep>,
    setup_done: bool,
    counts: Counts,
    servers: Vec<ShownServer>,
    active: Vec<ShownJob>,
    pictures: Vec<ShownImage>,
}

#[derive(Debug, Serialize)]
struct Counts {
    waiting: u64,
    running: u64,
    succeeded: u64,
    failed: u64,
}

/// One thing a new hub needs.
#[derive(Debug, Serialize)]
struct SetupStep {
    done: bool,
    /// Works without, but not as well.
    optional: bool,
    title: Said,
    text: Said,
    link: &'static str,
    action: Said,
}

pub(crate) async fn show(State(app): State<App>) -> Result<Html<String>, WebError> {
    let page = DashboardPage { frame: Frame::new("dashboard", said!("Dashboard")), now: load(&app).await? };
    html(&app, &page)
}

pub(crate) async fn live(State(app): State<App>) -> Result<Response, WebError> {
    let own = app.clone();
    live::on_changes(&app, move || {
        let app = own.clone();
        async move { app.renderer.render(&DashboardLive { now: load(&app).await? }) }
    })
}

async fn load(app: &App) -> Result<Dashboard, WebError> {
    let store = app.engine.store();
    let now = store.clock().now();
    let counts = store.job_counts().await?;
    let count = |kinds: &[JobStateKind]| kinds.iter().filter_map(|kind| counts.get(kind)).sum();
    let states = JobStateKind::ALL.into_iter().filter(|kind| !kind.is_terminal()).collect();
    let filter = JobFilter { states, ..JobFilter::default() };
    let active = store.job_list(&filter, None, ACTIVE).await?;
    let active = app.engine.views(active.jobs).await?;
    let files = store.artifact_list(FILES_READ, None).await?.artifacts;
    let pictures = files
        .iter()
        .filter(|artifact| artifact.role == ArtifactRole::Output && artifact.kind == MediaKind::Image)
        .take(PICTURES)
        .map(|artifact| ShownImage::of(artifact, None))
        .collect();
    let setup = setup(app);
    Ok(Dashboard {
        setup_done: setup.iter().all(|step| step.done || step.optional),
        setup,
        counts: Counts {
            waiting: count(&[JobStateKind::Planning, JobStateKind::Queued]),
            running: count(&[JobStateKind::Assigned, JobStateKind::Running, JobStateKind::Collecting]),
            succeeded: count(&[JobStateKind::Succeeded]),
            failed: count(&[JobStateKind::Failed]),
        },
        servers: app.engine.servers().into_iter().map(|view| ShownServer::of(view, now)).collect(),
        active: active.iter().map(|view| ShownJob::of(view, now)).collect(),
        pictures,
    })
}

fn setup(app: &App) -> Vec<SetupStep> {
    let catalogue = app.engine.catalogue();
    vec![
        SetupStep {
            done: !app.engine.servers().is_empty(),
            optional: false,
            title: said!("Add a ComfyUI server"),
            text: said!(
                "The hub renders nothing itself: it needs at least one ComfyUI server. It looks for one on this machine."
            ),
            link: "/start#server",
            action: said!("Begin"),
        },
        SetupStep {
            done: !catalogue.render_types.is_empty(),
            optional: false,
            title: said!("Have a render type"),
            text: said!(
                "A render type gives a workflow a name that callers can choose. Import a workflow, then name it."
            ),
            link: "/workflows",
            action: said!("Import a workflow"),
        },
        SetupStep {
            done: catalogue.can_enhance,
            optional: true,
            title: said!("Connect an LLM"),
            text: said!(
                "Ollama or an OpenAI-compatible server rewrites prompts and describes pictures. Pictures work without."
            ),
            link: "/start#llm",
            action: said!("Connect one"),
        },
    ]
}

#[cfg(test)]
fn sample_dashboard() -> Dashboard {
    use super::shown::sample;
    use hub_core::job::JobState;
    Dashboard {
        setup: vec![SetupStep {
            done: false,
            optional: true,
            title: said!("Add a ComfyUI server"),
            text: said!(
                "Ollama or an OpenAI-compatible server rewrites prompts and describes pictures. Pictures work without."
            ),
            link: "/servers",
            action: said!("Begin"),
        }],
        setup_done: false,
        counts: Counts { waiting: 1, running: 2, succeeded: 3, failed: 4 },
        servers: vec![ShownServer::sample()],
        active: vec![ShownJob::of(&sample::view(JobState::Queued), sample::now())],
        pictures: vec![ShownImage::of(&sample::artifact(), Some(sample::HOSTILE))],
    }
}

impl Page for DashboardPage {
    const TEMPLATE: &'static str = "pages/dashboard.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { frame: Frame::new("dashboard", said!("Dashboard")), now: sample_dashboard() }
    }
}

impl Page for DashboardLive {
    const TEMPLATE: &'static str = "pages/dashboard_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { now: sample_dashboard() }
    }
}
