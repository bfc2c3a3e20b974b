//! The pages for people, one file each. Server-rendered; a change is a form POST that answers with a
//! redirect; script only adds live updates.

mod connect;
mod dashboard;
mod job;
mod jobs;
mod playground;
mod servers;
pub(crate) mod shown;

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
    vec![
        ("/", get(dashboard::show)),
        ("/live", get(dashboard::live)),
        ("/playground", get(playground::show)),
        ("/playground/{tool}", post(playground::submit)),
        ("/jobs", get(jobs::show)),
        ("/jobs/live", get(jobs::live)),
        ("/jobs/{id}", get(job::show)),
        ("/jobs/{id}/live", get(job::live)),
        ("/jobs/{id}/cancel", post(job::cancel)),
        ("/servers", get(servers::show).post(servers::add)),
        ("/servers/{id}/delete", post(servers::remove)),
        ("/servers/{id}/enabled", post(servers::set_enabled)),
        ("/connect", get(connect::show)),
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
            "server-deleted" => ("good", "Server removed. Its finished jobs keep their history."),
            "server-enabled" => ("good", "Server switched on."),
            "server-disabled" => ("good", "Server switched off. It gets no more work."),
            "cancelled" => ("info", "Job cancelled."),
            "already-ended" => ("info", "The job had ended before it could be cancelled."),
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
        sample::<connect::ConnectPage>(),
        sample::<dashboard::DashboardPage>(),
        sample::<dashboard::DashboardLive>(),
        sample::<job::JobPage>(),
        sample::<job::JobLive>(),
        sample::<job::JobProgressLive>(),
        sample::<jobs::JobsPage>(),
        sample::<jobs::JobsLive>(),
        sample::<playground::PlaygroundPage>(),
        sample::<servers::ServersPage>(),
    ]
}

/// The playground as another tool's form shows it.
#[cfg(test)]
pub(crate) fn playground_sample(tool: &'static str) -> impl Serialize + use<> {
    playground::sample_of(tool)
}
