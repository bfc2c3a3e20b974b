//! Which `Host` and `Origin` values are served.
//!
//! A page on any site can make a browser post to a loopback address; only these two headers tell.
//! Requests without `Origin` pass, since only browsers send it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use url::Url;

/// The lists of what is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// `name` (any port) or `name:port`; empty = any host.
    pub hosts: Vec<String>,
    /// `scheme://host` (the scheme's own port), `scheme://host:port`, `scheme://host:*` or `null`;
    /// empty = no origin at all.
    pub origins: Vec<String>,
}

impl Guard {
    /// Serves loopback names and origins on any port.
    pub fn loopback() -> Self {
        let names = ["localhost", "127.0.0.1", "[::1]"];
        Self {
            hosts: names.map(str::to_owned).to_vec(),
            origins: names.map(|name| format!("http://{name}:*")).to_vec(),
        }
    }

    /// Why a request with these headers is refused; `None` when it is not.
    fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
        if !self.hosts.is_empty() && !self.serves_host(uri, headers) {
            return Some("This Host is not served here.");
        }
        let origin = headers.get(header::ORIGIN)?;
        let served = origin.to_str().is_ok_and(|origin| self.origins.iter().any(|pattern| matches(pattern, origin)));
        (!served).then_some("This Origin may not call the hub.")
    }

    fn serves_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let given = match headers.get(header::HOST) {
            Some(value) => value.to_str().ok().and_then(|text| Authority::try_from(text).ok()),
            None => uri.authority().cloned(),
        };
        let Some(given) = given else { return false };
        self.hosts.iter().filter_map(|allowed| Authority::try_from(allowed.as_str()).ok()).any(|allowed| {
            allowed.host().eq_ignore_ascii_case(given.host())
                && (allowed.port_u16().is_none() || allowed.port_u16() == given.port_u16())
        })
    }
}

fn matches(pattern: &str, origin: &str) -> bool {
    let (pattern, any_port) = match pattern.strip_suffix(":*") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    if pattern == "null" {
        return origin == "null";
    }
    let (Ok(pattern), Ok(origin)) = (Url::parse(pattern), Url::parse(origin)) else { return false };
    pattern.scheme() == origin.scheme()
        && pattern.host().is_some()
        && pattern.host() == origin.host()
        && (any_port || pattern.port_or_known_default() == origin.port_or_known_default())
}

/// Refuses what the lists do not hold, with 403.
pub(super) async fn guard(State(lists): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match lists.refusal(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(why) => {
            tracing::warn!(host = ?request.headers().get(header::HOST), origin = ?request.headers().get(header::ORIGIN), "refused");
            (StatusCode::FORBIDDEN, why).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(guard: &Guard, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header value"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header value"));
        }
        guard.refusal(&Uri::from_static("/mcp"), &headers).is_some()
    }

    #[test]
    fn loopback_serves_local_pages_and_nobody_elses() {
        let guard = Guard::loopback();
        assert!(!refused(&guard, "localhost:8001", None));
        assert!(!refused(&guard, "127.0.0.1:8001", Some("http://localhost:6274")));
        assert!(!refused(&guard, "[::1]:8001", Some("http://[::1]:9")));
        assert!(refused(&guard, "evil.example.com", None));
        assert!(refused(&guard, "localhost", Some("http://evil.example.com")));
        assert!(refused(&guard, "localhost", Some("https://localhost.evil.example.com")));
        assert!(refused(&guard, "localhost", Some("null")));
        assert!(refused(&guard, "localhost", Some("")));
    }

    #[test]
    fn an_origin_without_port_means_the_schemes_own() {
        let guard = Guard { hosts: Vec::new(), origins: vec!["https://hub.example.com".to_owned()] };
        assert!(!refused(&guard, "any.example", Some("https://hub.example.com")));
        assert!(!refused(&guard, "any.example", Some("https://hub.example.com:443")));
        assert!(refused(&guard, "any.example", Some("https://hub.example.com:8443")));
        assert!(refused(&guard, "any.example", Some("http://hub.example.com")));
    }
}
