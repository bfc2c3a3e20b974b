//! The pages for people, one file each. Server-rendered; a change is a form POST that answers with a
//! redirect; script only adds live updates.

mod access;
mod configuration;
mod connect;
mod dashboard;
mod door;
pub(crate) mod form;
mod gallery;
mod job;
mod jobs;
mod llm_servers;
mod maintenance;
mod playground;
mod render_types;
mod servers;
mod settings;
pub(crate) mod shown;
mod start;
mod statistics;
mod styles;
mod workflows;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use serde::Serialize;

use crate::{
    asker::is_api,
    error::WebError,
    problem,
    render::Page,
    router::{App, Routes},
};

/// Routes of the pages.
pub(crate) fn routes() -> Routes {
    [routes_of_work(), routes_of_pool(), routes_of_catalogue(), routes_of_hub()].into_iter().flatten().collect()
}

/// What is made, and how it gets on.
fn routes_of_work() -> Routes {
    vec![
        ("/", get(dashboard::show)),
        ("/live", get(dashboard::live)),
        ("/start", get(start::show)),
        ("/start/live", get(start::follow)),
        ("/start/llm", post(start::add_llm)),
        ("/start/picture", post(start::make)),
        ("/start/servers", post(start::add_server)),
        ("/start/types", post(start::add_type)),
        ("/playground", get(playground::show)),
        ("/playground/{tool}", post(playground::submit)),
        ("/playground/{tool}/plan", post(playground::plan)),
        ("/jobs", get(jobs::show)),
        ("/jobs/live", get(jobs::live)),
        ("/jobs/cancel", post(jobs::cancel_many)),
        ("/jobs/{id}", get(job::show)),
        ("/jobs/{id}/live", get(job::live)),
        ("/jobs/{id}/cancel", post(jobs::cancel)),
        ("/jobs/{id}/move", post(jobs::shift)),
        ("/jobs/{id}/retry", post(jobs::retry)),
        ("/gallery", get(gallery::show)),
        ("/gallery/favourites", post(gallery::favour)),
        ("/gallery/delete", post(gallery::delete)),
    ]
}

/// Servers.
fn routes_of_pool() -> Routes {
    vec![
        ("/llm-servers", get(llm_servers::show)),
        ("/llm-servers/new", get(llm_servers::create).post(llm_servers::add)),
        ("/llm-servers/roles/{role}", post(llm_servers::assign)),
        ("/llm-servers/{id}", get(llm_servers::show_one).post(llm_servers::save)),
        ("/llm-servers/{id}/delete", post(llm_servers::remove)),
        ("/llm-servers/{id}/test", post(llm_servers::test)),
        ("/servers", get(servers::show).post(servers::add)),
        ("/servers/new", get(servers::create)),
        ("/servers/test", post(servers::test_typed)),
        ("/servers/{id}", get(servers::show_one)),
        ("/servers/{id}/delete", post(servers::remove)),
        ("/servers/{id}/drain", post(servers::drain)),
        ("/servers/{id}/refresh", post(servers::refresh)),
        ("/servers/{id}/settings", get(servers::show_settings).post(servers::save)),
        ("/servers/{id}/test", post(servers::test)),
        ("/servers/{id}/workflows", post(servers::say)),
        ("/servers/{id}/enabled", post(servers::set_enabled)),
    ]
}

/// What can be asked for.
fn routes_of_catalogue() -> Routes {
    vec![
        ("/workflows", get(workflows::show).post(workflows::import)),
        ("/workflows/{id}", get(workflows::show_one)),
        ("/workflows/{id}/delete", post(workflows::remove)),
        ("/workflows/{id}/graph.json", get(workflows::download)),
        ("/workflows/{id}/restore", post(workflows::restore)),
        ("/workflows/{id}/slots", post(workflows::choose_slots)),
        ("/render-types", get(render_types::show)),
        ("/render-types/new", get(render_types::create).post(render_types::add)),
        ("/render-types/{id}", get(render_types::show_one).post(render_types::save)),
        ("/render-types/{id}/delete", post(render_types::remove)),
        ("/styles", get(styles::show)),
        ("/styles.csv", get(styles::download)),
        ("/styles/import", post(styles::upload)),
        ("/styles/new", get(styles::create).post(styles::add)),
        ("/styles/new/preview", post(styles::preview_new)),
        ("/styles/{id}", get(styles::show_one).post(styles::save)),
        ("/styles/{id}/delete", post(styles::remove)),
        ("/styles/{id}/preview", post(styles::preview)),
    ]
}

/// The hub itself, and who comes in.
fn routes_of_hub() -> Routes {
    vec![
        ("/settings", get(settings::show).post(settings::save)),
        ("/settings/instructions", get(settings::show_instructions)),
        ("/settings/instructions/{kind}", post(settings::act_on_instructions)),
        ("/statistics", get(statistics::show)),
        ("/maintenance", get(maintenance::show)),
        ("/maintenance/check", post(maintenance::check)),
        ("/maintenance/preview", post(maintenance::preview)),
        ("/maintenance/retention", post(maintenance::save)),
        ("/maintenance/tasks/{name}", post(maintenance::run)),
        ("/configuration", get(configuration::show)),
        ("/configuration/export", post(configuration::export)),
        ("/configuration/import", post(configuration::import)),
        ("/connect", get(connect::show)),
        ("/login", get(door::show_login).post(door::login)),
        ("/logout", post(door::logout)),
        ("/setup", get(door::show_setup).post(door::set_up)),
        ("/access", get(access::show)),
        ("/access/keys", post(access::add)),
        ("/access/keys/{id}", get(access::show_key).post(access::save)),
        ("/access/keys/{id}/revoke", post(access::revoke)),
        ("/access/log", get(access::log)),
        ("/access/password", post(access::set_password)),
    ]
}

/// What the frame around every page shows.
#[derive(Debug, Serialize)]
pub(crate) struct Frame {
    /// Which entry of the navigation is current.
    section: &'static str,
    /// Title of the page.
    title: String,
    /// What was just done.
    flash: Option<Flash>,
}

impl Frame {
    fn new(section: &'static str, title: impl Into<String>) -> Self {
        Self { section, title: title.into(), flash: None }
    }
}

/// A message about what was just done. Only known codes are shown: the address bar is no place from
/// which strangers put words on a page.
#[derive(Debug, Serialize)]
pub(crate) struct Flash {
    tone: &'static str,
    text: &'static str,
}

impl Flash {
    fn of(code: Option<&str>) -> Option<Self> {
        let (tone, text) = match code? {
            "server-added" => ("good", "Server added. It appears as ready once it has answered."),
            "server-saved" => ("good", "Server saved. Its session follows at once."),
            "server-draining" => ("good", "The server finishes what it has and gets no more work."),
            "server-resumed" => ("good", "The server gets work again."),
            "server-refresh" => ("info", "Its nodes and models are being read again; reload in a moment."),
            "server-said" => ("good", "Said. It is in force at once."),
            "server-deleted" => ("good", "Server removed. Its finished jobs keep their history."),
            "server-enabled" => ("good", "Server switched on."),
            "server-disabled" => ("good", "Server switched off. It gets no more work."),
            "workflow-imported" => ("good", "Workflow imported. Look whether its slots are right."),
            "workflow-slots" => ("good", "Slots saved as a new version."),
            "workflow-restored" => ("good", "That version is the newest again."),
            "workflow-deleted" => ("good", "Workflow deleted."),
            "render-type-added" => ("good", "Render type added. Agents can name it now."),
            "render-type-saved" => ("good", "Render type saved."),
            "render-type-deleted" => ("good", "Render type deleted."),
            "style-added" => ("good", "Style added. Agents can name it now."),
            "style-saved" => ("good", "Style saved."),
            "style-deleted" => ("good", "Style deleted."),
            "styles-imported" => ("good", "Styles imported."),
            "llm-server-added" => ("good", "LLM server added. Give it a role, so that it is used."),
            "llm-server-saved" => ("good", "LLM server saved."),
            "llm-server-deleted" => ("good", "LLM server removed. The roles it had are played by nobody."),
            "llm-connected" => ("good", "Ollama connected, with the roles that nobody played."),
            "llm-role-given" => ("good", "Role given. It is in force at once."),
            "llm-role-taken" => ("good", "The role is played by nobody now."),
            "settings-saved" => ("good", "Settings saved."),
            "setting-reset" => ("good", "The setting is back at what it was without the change."),
            "instructions-saved" => ("good", "Instructions saved. They are in force at once."),
            "instructions-reset" => ("good", "Instructions are back at what was shipped."),
            "favoured" => ("good", "Kept as favourites: retention leaves them and their jobs alone."),
            "unfavoured" => ("good", "No longer favourites."),
            "none-chosen" => ("info", "No picture was chosen."),
            "pictures-deleted" => ("good", "Deleted. Their jobs stay and can be tried again."),
            "pictures-deleted-some" => {
                ("info", "Deleted, except favourites and pictures that unfinished jobs work on.")
            }
            "pictures-stay" => {
                ("info", "Nothing was deleted: they are favourites, in use by unfinished jobs, or gone already.")
            }
            "retention-saved" => {
                ("good", "Saved. What is beyond the bounds goes within the hour, or at once by its task.")
            }
            "task-done" => ("good", "The task ran and put things right."),
            "task-idle" => ("good", "The task ran and found nothing to do."),
            "task-failed" => ("info", "The task ran, but not well: its row says why."),
            "config-imported" => ("good", "Imported. It is in force at once."),
            "key-saved" => ("good", "Key changed. It counts from the next request on."),
            "key-revoked" => ("good", "Key revoked. Whoever uses it is refused from now on."),
            "cancelled" => ("info", "Job cancelled."),
            "already-ended" => ("info", "The job had ended before it could be cancelled."),
            "retried" => ("info", "Tried again: this is the new job."),
            "moved" => ("good", "Moved within the queue."),
            "jobs-cancelled" => ("info", "Cancelled. A cancelled job can be tried again."),
            "jobs-cancelled-more" => ("info", "1000 jobs were cancelled and more fit the filter: ask again for those."),
            "jobs-none-cancelled" => ("info", "There was nothing to cancel: no job was chosen, or all had ended."),
            "repeated" => ("info", "An identical request was just made: this is its job."),
            _ => return None,
        };
        Some(Self { tone, text })
    }
}

/// After a change: to the page that shows it.
fn see_other(to: &str) -> Response {
    Redirect::to(to).into_response()
}

fn html<P: Page>(app: &App, page: &P) -> Result<Html<String>, WebError> {
    app.renderer.render(page).map(Html)
}

/// The page for what went wrong.
#[derive(Debug, Serialize)]
struct ErrorPage {
    frame: Frame,
    status: u16,
    heading: String,
    detail: String,
    hint: Option<String>,
    valid_values: Vec<String>,
}

impl ErrorPage {
    fn of(error: &WebError) -> Self {
        let status = error.status();
        let (heading, detail, hint, valid_values) = match error {
            WebError::User(error) => (
                problem::title_of(error.code).to_owned(),
                error.message.clone(),
                error.hint.clone(),
                error.valid_values.clone(),
            ),
            WebError::Request { detail, hint, .. } => {
                let heading = match status {
                    StatusCode::NOT_FOUND => "Nothing here",
                    StatusCode::FORBIDDEN => "Refused",
                    StatusCode::PAYLOAD_TOO_LARGE => "Too large",
                    _ => "This request cannot be served",
                };
                (heading.to_owned(), detail.clone(), hint.clone(), Vec::new())
            }
        };
        Self { frame: Frame::new("", heading.clone()), status: status.as_u16(), heading, detail, hint, valid_values }
    }
}

impl Page for ErrorPage {
    const TEMPLATE: &'static str = "pages/error.html";

    #[cfg(test)]
    fn sample() -> Self {
        let error = hub_core::error::UserError::argument("seed", "`seed` is -1 <b>.")
            .with_valid(["0", "1"])
            .with_hint("Try {{ 1 }}.");
        Self::of(&WebError::User(error))
    }
}

/// Turns problem documents into pages where a person asked.
pub(crate) async fn show_errors(State(app): State<App>, request: Request, next: Next) -> Response {
    let for_program = is_api(request.uri().path()) || !wants_html(&request);
    let response = next.run(request).await;
    if for_program {
        return response;
    }
    let Some(error) = response.extensions().get::<WebError>() else { return response };
    match app.renderer.render(&ErrorPage::of(error)) {
        Ok(page) => {
            let mut shown = (error.status(), Html(page)).into_response();
            if let Some(retry) = response.headers().get(header::RETRY_AFTER) {
                shown.headers_mut().insert(header::RETRY_AFTER, retry.clone());
            }
            shown.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            shown
        }
        Err(_) => response,
    }
}

/// Browsers name HTML; programs that fetch `/outputs/…` or mistype an address do not.
fn wants_html(request: &Request) -> bool {
    request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Every page with its sample, for the tests that render them all.
#[cfg(test)]
pub(crate) fn samples() -> Vec<(&'static str, minijinja::Value)> {
    fn sample<P: Page>() -> (&'static str, minijinja::Value) {
        (P::TEMPLATE, minijinja::Value::from(minijinja::value::Serde(&P::sample())))
    }
    vec![
        sample::<ErrorPage>(),
        sample::<access::AccessPage>(),
        sample::<access::AuditLogPage>(),
        sample::<access::KeyPage>(),
        sample::<configuration::ConfigurationPage>(),
        sample::<connect::ConnectPage>(),
        sample::<door::DoorPage>(),
        sample::<dashboard::DashboardPage>(),
        sample::<dashboard::DashboardLive>(),
        sample::<gallery::GalleryPage>(),
        sample::<gallery::DeletePage>(),
        sample::<job::JobPage>(),
        sample::<job::JobLive>(),
        sample::<job::JobProgressLive>(),
        sample::<jobs::JobsPage>(),
        sample::<jobs::JobsLive>(),
        sample::<llm_servers::LlmServersPage>(),
        sample::<llm_servers::LlmServerPage>(),
        sample::<maintenance::MaintenancePage>(),
        sample::<playground::PlaygroundPage>(),
        sample::<servers::ServersPage>(),
        sample::<servers::ServerDetailPage>(),
        sample::<servers::ServerPage>(),
        sample::<servers::ServerTestLive>(),
        sample::<render_types::RenderTypesPage>(),
        sample::<render_types::RenderTypePage>(),
        sample::<settings::SettingsPage>(),
        sample::<settings::InstructionsPage>(),
        sample::<settings::InstructionsPreview>(),
        sample::<start::StartPage>(),
        sample::<start::FirstPictureLive>(),
        sample::<statistics::StatisticsPage>(),
        sample::<styles::StylesPage>(),
        sample::<styles::StylePage>(),
        sample::<styles::StylePreviewLive>(),
        sample::<workflows::WorkflowsPage>(),
        sample::<workflows::WorkflowPage>(),
    ]
}

/// The playground as another tool's form shows it.
#[cfg(test)]
pub(crate) fn playground_sample(tool: &'static str) -> impl Serialize + use<> {
    playground::sample_of(tool)
}
