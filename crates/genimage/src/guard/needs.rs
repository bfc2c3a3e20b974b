//! What each route asks of who comes. What is not named here is for admins.

use axum::http::Method;
use hub_core::access::Scope;

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it tells strangers nothing, or is the way in.
    Nothing,
    /// Any key, or an admin.
    Anybody,
    /// A key that is good for this, or an admin.
    Scope(Scope),
}

/// Ways in, what their pages are made of, and what supervisors ask for.
const OPEN: [&str; 6] = ["/healthz", "/livez", "/readyz", "/login", "/setup", "/favicon.ico"];
/// Below these lies what open pages are made of, and what clients are told of the way to a token.
const OPEN_BELOW: [&str; 2] = ["/assets/", "/.well-known/oauth-protected-resource"];
/// Work and its results. Whose job or picture it is, is looked at where it is found.
const WORK: [&str; 6] =
    ["/mcp", "/legacy/mcp", "/api/v1/jobs", "/api/v1/images", "/api/v1/catalogue", "/api/v1/openapi.json"];
/// Below these lies more of it.
const WORK_BELOW: [&str; 7] =
    ["/mcp/", "/api/v1/jobs/", "/api/v1/images/", "/ws/stream/", "/outputs/", "/thumbs/", "/v1/"];
/// What tells how the hub is, and nothing of what callers ask for or what the hub keeps secret. `/metrics` and the
/// statistics name callers and how long their jobs waited.
const STATE: [&str; 8] = [
    "/api/v1/servers",
    "/api/v1/workflows",
    "/api/v1/render-types",
    "/api/v1/styles",
    "/api/v1/llm-servers",
    "/api/v1/stats",
    "/api/v1/statistics",
    "/metrics",
];

/// What a request asks for.
pub(super) fn of(method: &Method, path: &str) -> Need {
    if OPEN.contains(&path) || OPEN_BELOW.iter().any(|prefix| path.starts_with(prefix)) {
        return Need::Nothing;
    }
    if WORK.contains(&path) || WORK_BELOW.iter().any(|prefix| path.starts_with(prefix)) {
        return Need::Anybody;
    }
    let is_or_below =
        |known: &&str| path.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if method.is_safe() && STATE.iter().any(is_or_below) {
        return Need::Scope(Scope::Read);
    }
    Need::Scope(Scope::Admin)
}

/// Whether a login by cookie counts there. Edges that look for no form token must not be reached with a cookie: a
/// page at another port of the same machine could have a browser send it.
pub(super) fn takes_cookies(path: &str) -> bool {
    const WITHOUT: [&str; 4] = ["/mcp", "/legacy/", "/ws/", "/v1/"];
    !WITHOUT.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether a path is of the pages: a browser without login is shown the way in.
pub(super) fn is_page(path: &str) -> bool {
    const MACHINE: [&str; 6] = ["/mcp", "/legacy/", "/ws/", "/api/", "/v1/", "/metrics"];
    !MACHINE.iter().any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_for_admins() {
        for path in ["/", "/servers", "/jobs", "/access", "/api/v1/keys", "/api/v1/settings", "/api/v1/events", "/new"]
        {
            assert_eq!(of(&Method::GET, path), Need::Scope(Scope::Admin), "{path}");
        }
        assert_eq!(of(&Method::GET, "/api/v1/servers/srv_1"), Need::Scope(Scope::Read));
        assert_eq!(of(&Method::POST, "/api/v1/servers/srv_1/test"), Need::Scope(Scope::Admin));
        assert_eq!(of(&Method::GET, "/api/v1/serversx"), Need::Scope(Scope::Admin));
        assert_eq!(of(&Method::POST, "/api/v1/jobs/cancel"), Need::Anybody);
        assert_eq!(of(&Method::GET, "/healthz"), Need::Nothing);
        assert_eq!(of(&Method::GET, "/loginx"), Need::Scope(Scope::Admin));
    }
}
