//! Writes down what admins changed, whichever page or route they used.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, Method},
    middleware::Next,
    response::Response,
};
use hub_core::caller::Caller;

use crate::router::App;

/// Changes that are nobody's business but the caller's: work, and what only shows something.
const WORK: [&str; 5] = ["/api/v1/jobs", "/api/v1/images", "/playground/", "/jobs/", "/gallery/"];
/// Only shows something, although it is sent as a form.
const SHOWS: [&str; 4] = ["/compare", "/connect", "/connect/test", "/maintenance/preview"];
/// Written down by themselves, with what came of them.
const TOLD_ELSEWHERE: [&str; 3] = ["/login", "/logout", "/setup"];

/// What was changed, where the path does not say it. Among an answer's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Subject(pub(crate) String);

/// Nothing was changed, although it looks so. Among an answer's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NothingDone;

/// The address at the other end.
pub(crate) fn address_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Writes a change down once it was made.
pub(crate) async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    if !is_of_note(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let act = format!("{} {}", request.method(), request.uri().path());
    let actor = request.extensions().get::<Caller>().cloned().unwrap_or_else(Caller::admin);
    let from = address_of(request.extensions());
    let response = next.run(request).await;
    let done = response.extensions().get::<NothingDone>().is_none();
    if done && (response.status().is_success() || response.status().is_redirection()) {
        let subject = response.extensions().get::<Subject>().map(|subject| subject.0.as_str());
        app.access.audit(&actor, &act, subject, from).await;
    }
    response
}

fn is_of_note(method: &Method, path: &str) -> bool {
    let told = TOLD_ELSEWHERE.contains(&path) || SHOWS.contains(&path) || is_preview(path);
    !method.is_safe() && !told && !WORK.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether the route only draws what is typed, or has a picture made: `/styles/new/preview`,
/// `/api/v1/render-types/{id}/preview`. Whatever is named `preview` itself is meant by none of them.
fn is_preview(path: &str) -> bool {
    let parts: Vec<&str> = path.strip_prefix("/api/v1").unwrap_or(path).split('/').collect();
    matches!(parts.as_slice(), ["", "styles" | "render-types", _, "preview"])
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
        for path in ["/api/v1/jobs", "/playground/edit_image", "/login", "/styles/new/preview", "/compare"] {
            assert!(!is_of_note(&Method::POST, path), "{path}");
        }
        for path in
            ["/api/v1/preview-scene", "/api/v1/styles/preview", "/api/v1/servers/previewer", "/styles/preview/delete"]
        {
            assert!(is_of_note(&Method::PUT, path), "{path}");
        }
    }
}
