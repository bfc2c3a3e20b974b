//! The pages for people, one file each. Server-rendered; a change is a form POST that answers with a
//! redirect; script only adds live updates.

mod access;
pub(crate) mod back;
mod compare;
mod configuration;
mod connect;
mod dashboard;
mod door;
mod flash;
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
mod table;
mod toast;
mod undo;
mod workflows;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use serde::Serialize;

use self::flash::Flash;
pub(crate) use self::{access::MadeKeys, back::own_path, toast::ToastLive};
use crate::{
    asker::is_api,
    error::WebError,
    language::{self, apart},
    problem,
    render::Page,
    router::{App, Routes},
    said,
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
        ("/compare", get(compare::show).post(compare::choose)),
        ("/gallery", get(gallery::show)),
        ("/gallery/favourites", post(gallery::favour)),
        ("/gallery/delete", post(gallery::delete)),
        ("/gallery/zip", post(gallery::download)),
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
        ("/servers/export.json", get(servers::export)),
        ("/servers/live", get(servers::live)),
        ("/servers/new", get(servers::create)),
        ("/servers/test", post(servers::test_typed)),
        ("/servers/test-all", post(servers::test_all)),
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
        ("/workflows/{id}/recheck", post(workflows::recheck)),
        ("/workflows/{id}/restore", post(workflows::restore)),
        ("/workflows/{id}/slots", post(workflows::choose_slots)),
        ("/workflows/{id}/test-run", post(workflows::try_one)),
        ("/workflows/{id}/test-run/live", get(workflows::follow)),
        ("/render-types", get(render_types::show)),
        ("/render-types/new", get(render_types::create).post(render_types::add)),
        ("/render-types/{id}", get(render_types::show_one).post(render_types::save)),
        ("/render-types/{id}/delete", post(render_types::remove)),
        ("/render-types/{id}/flags", post(render_types::set_flags)),
        ("/render-types/{id}/picture", post(render_types::make_picture)),
        ("/styles", get(styles::show)),
        ("/render-types.csv", get(render_types::download)),
        ("/render-types/import", post(render_types::upload)),
        ("/styles.csv", get(styles::download)),
        ("/styles/import", post(styles::upload)),
        ("/styles/pictures", post(styles::make_pictures)),
        ("/styles/scene", post(styles::set_scene)),
        ("/styles/new", get(styles::create).post(styles::add)),
        ("/styles/new/preview", post(styles::preview_new)),
        ("/styles/{id}", get(styles::show_one).post(styles::save)),
        ("/styles/{id}/delete", post(styles::remove)),
        ("/styles/{id}/flags", post(styles::set_flags)),
        ("/styles/{id}/picture", post(styles::make_picture)),
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
        ("/connect", get(connect::show).post(connect::fill)),
        ("/connect/test", post(connect::test)),
        ("/undo", post(undo::apply)),
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
                language::here(problem::title_of(error.code)),
                error.message.clone(),
                error.hint.clone(),
                error.valid_values.clone(),
            ),
            WebError::Request { detail, hint, .. } => {
                let heading = match status {
                    StatusCode::NOT_FOUND => said!("Nothing here"),
                    StatusCode::FORBIDDEN => said!("Refused"),
                    StatusCode::PAYLOAD_TOO_LARGE => said!("Too large"),
                    _ => said!("This request cannot be served"),
                };
                (heading.to_string(), detail.clone(), hint.clone(), Vec::new())
            }
        };
        Self {
            frame: Frame::new("", heading.clone()),
            status: status.as_u16(),
            heading,
            detail: apart::sentence(&detail).into_owned(),
            hint: hint.map(|hint| apart::sentence(&hint).into_owned()),
            valid_values,
        }
    }
}

impl Page for ErrorPage {
    const TEMPLATE: &'static str = "pages/error.html";

    #[cfg(test)]
    fn sample() -> Self {
        let hostile = shown::sample::HOSTILE;
        let error =
            hub_core::error::UserError::argument("seed", hostile).with_valid(["<b>", hostile]).with_hint(hostile);
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
        sample::<compare::ComparePage>(),
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
        sample::<crate::lost::LostPage>(),
        sample::<llm_servers::LlmServersPage>(),
        sample::<llm_servers::LlmServerPage>(),
        sample::<maintenance::MaintenancePage>(),
        sample::<playground::PlaygroundPage>(),
        sample::<servers::ServersPage>(),
        sample::<servers::ServersLive>(),
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
        sample::<ToastLive>(),
        sample::<workflows::WorkflowsPage>(),
        sample::<workflows::WorkflowPage>(),
        sample::<workflows::TrialLive>(),
    ]
}

/// The playground as another tool's form shows it.
#[cfg(test)]
pub(crate) fn playground_sample(tool: &'static str) -> impl Serialize + use<> {
    playground::sample_of(tool)
}
