//! Writes down what admins changed, whichever page or route they used: who, what, and of which thing, by its name.
//!
//! The name is looked up by the path before the request is served, or by where the answer leads to. Handlers say it
//! where neither tells it.

mod subject;
mod words;

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, Method, header},
    middleware::Next,
    response::Response,
};
use hub_core::caller::Caller;
use hub_engine::ImportReport;

pub(crate) use self::words::words;
use crate::router::App;

/// Changes that are nobody's business but the caller's.
const WORK: [&str; 6] = ["/api/v1/jobs", "/api/v1/images", "/playground/", "/jobs/", "/gallery/", "/start/picture"];
/// Work of others too, and much of it at once.
const IN_BULK: [&str; 3] = ["/api/v1/jobs/cancel", "/jobs/cancel", "/gallery/delete"];
/// Only shows something, although it is sent as a form.
const SHOWS: [&str; 6] = [
    "/compare",
    "/connect",
    "/connect/test",
    "/maintenance/check",
    "/maintenance/preview",
    "/settings/instructions/preview",
];
/// Written down by themselves, with what came of them.
const TOLD_ELSEWHERE: [&str; 3] = ["/login", "/logout", "/setup"];

/// What was changed, where neither the path nor the answer says it. Among an answer's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Subject(pub(crate) String);

/// Nothing was changed, although it looks so, or only what is the caller's own. Among an answer's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NothingDone;

/// The answer to a change of that subject.
pub(crate) fn about(mut response: Response, subject: impl Into<String>) -> Response {
    response.extensions_mut().insert(Subject(subject.into()));
    response
}

/// The answer to a change of these, of nothing where there are none.
pub(crate) fn about_all<'names>(response: Response, names: impl IntoIterator<Item = &'names String>) -> Response {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.is_empty() { nothing_done(response) } else { about(response, names.join(", ")) }
}

/// The answer to a change of so many, of nothing where there are none.
pub(crate) fn about_some(response: Response, count: usize, noun: &str) -> Response {
    if count == 0 { nothing_done(response) } else { about(response, so_many(count, noun)) }
}

/// The answer to an import.
pub(crate) fn about_import(response: Response, report: &ImportReport) -> Response {
    let changes = report.changes.iter().filter(|_| !report.dry_run);
    about_all(response, changes.map(|change| &change.name))
}

/// The answer after which everything is as it was.
pub(crate) fn nothing_done(mut response: Response) -> Response {
    response.extensions_mut().insert(NothingDone);
    response
}

/// `1 picture`, `2 pictures`.
pub(crate) fn so_many(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The address at the other end.
pub(crate) fn address_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Writes a change down once it was made.
pub(crate) async fn note(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if !is_of_note(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let act = format!("{} {}", request.method(), request.uri().path());
    let actor = request.extensions().get::<Caller>().cloned().unwrap_or_else(Caller::admin);
    let from = address_of(request.extensions());
    let named = subject::named_by(&app, &mut request).await;
    let response = next.run(request).await;
    let done = response.extensions().get::<NothingDone>().is_none();
    if done && (response.status().is_success() || response.status().is_redirection()) {
        let said = response.extensions().get::<Subject>().map(|subject| subject.0.clone());
        let leads_to =
            response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).map(str::to_owned);
        let subject = match (said.filter(|said| !said.is_empty()).or(named), leads_to) {
            (None, Some(place)) => subject::made_at(&app, &place).await,
            (known, _) => known,
        };
        app.access.audit(&actor, &act, subject.as_deref(), from).await;
    }
    response
}

fn is_of_note(method: &Method, path: &str) -> bool {
    let told = TOLD_ELSEWHERE.contains(&path) || SHOWS.contains(&path) || is_preview(path);
    let work = !IN_BULK.contains(&path) && WORK.iter().any(|prefix| path.starts_with(prefix));
    !method.is_safe() && !told && !work
}

/// Whether the route only draws what is typed: `/styles/new/preview`, `/styles/{id}/preview`. What the API names so has
/// a picture made, and whatever is named `preview` itself is not meant.
fn is_preview(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["", "styles", _, "preview"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_hub_are_of_note_and_work_is_not() {
        for path in ["/servers", "/api/v1/servers/srv_1", "/api/v1/keys", "/api/v1/settings", "/access/keys"] {
            assert!(is_of_note(&Method::POST, path), "{path}");
            assert!(!is_of_note(&Method::GET, path), "{path}");
        }
        for path in ["/api/v1/jobs", "/playground/edit_image", "/login", "/compare"] {
            assert!(!is_of_note(&Method::POST, path), "{path}");
        }
        for path in ["/styles/new/preview", "/styles/sty_1/preview"] {
            assert!(!is_of_note(&Method::POST, path), "{path}");
        }
        for path in ["/api/v1/styles/sty_1/preview", "/api/v1/render-types/rt_1/preview", "/styles/sty_1/picture"] {
            assert!(is_of_note(&Method::POST, path), "{path}");
        }
        for path in ["/jobs/job_1/cancel", "/gallery/favourites", "/start/picture", "/settings/instructions/preview"] {
            assert!(!is_of_note(&Method::POST, path), "{path}");
        }
        for path in ["/jobs/cancel", "/api/v1/jobs/cancel", "/gallery/delete"] {
            assert!(is_of_note(&Method::POST, path), "{path}");
        }
        for path in
            ["/api/v1/preview-scene", "/api/v1/styles/preview", "/api/v1/servers/previewer", "/styles/preview/delete"]
        {
            assert!(is_of_note(&Method::PUT, path), "{path}");
        }
    }
}
