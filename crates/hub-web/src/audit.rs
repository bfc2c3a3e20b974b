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
const WORK: [&str; 6] = ["/api/v1/jobs", "/api/v1/images", "/playground/", "/jobs/", "/gallery/", "/connect"];
/// Written down by themselves, with what came of them.
const TOLD_ELSEWHERE: [&str; 3] = ["/login", "/logout", "/setup"];

/// What was changed, where the path does not say it. Among an answer's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Subject(pub(crate) String);

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
    if response.status().is_success() || response.status().is_redirection() {
        let subject = response.extensions().get::<Subject>().map(|subject| subject.0.as_str());
        app.access.audit(&actor, &act, subject, from).await;
    }
    response
}

fn is_of_note(method: &Method, path: &str) -> bool {
    let told = TOLD_ELSEWHERE.contains(&path) || path.contains("/preview");
    !method.is_safe() && !told && !WORK.iter().any(|prefix| path.starts_with(prefix))
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
        for path in ["/api/v1/jobs", "/playground/edit_image", "/login", "/styles/new/preview"] {
            assert!(!is_of_note(&Method::POST, path), "{path}");
        }
    }
}
