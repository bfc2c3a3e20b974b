//! Who may come in: the checks every request passes before an edge sees it.
//!
//! Host and Origin are checked against DNS rebinding, then credentials, when any are configured. The
//! guard puts the [`Caller`] into the request; the edges trust it and never look at credentials.

use std::net::IpAddr;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hub_core::caller::Caller;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use url::Url;

/// What the guard knows.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// Host names that are let in, besides localhost and IP addresses; lower case, without port.
    pub(crate) hosts: Vec<String>,
    /// Key of machines.
    pub(crate) api_key: Option<SecretString>,
    /// Password of people.
    pub(crate) admin_password: Option<SecretString>,
}

/// Paths that tell strangers nothing and must answer probes.
const OPEN_PATHS: [&str; 1] = ["/healthz"];
/// Edges for machines: a wrong key is answered with a challenge that names no login page.
const MACHINE_PREFIXES: [&str; 6] = ["/mcp", "/legacy/", "/ws/", "/api/", "/v1/", "/metrics"];

/// The guard as a middleware.
pub(crate) async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if let Err(refusal) = guard.check_host(request.headers()) {
        return refusal.into_response();
    }
    match guard.identify(request.uri().path(), request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// A refusal: status, sentence, and the challenge for 401.
struct Refusal(StatusCode, &'static str, Option<&'static str>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, detail, challenge) = self;
        let body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("refused"),
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static(challenge));
        }
        response
    }
}

impl Guard {
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(host) = headers.get(header::HOST) {
            let known = host.to_str().ok().is_some_and(|host| self.knows(without_port(host)));
            if !known {
                return Err(Refusal(
                    StatusCode::MISDIRECTED_REQUEST,
                    "this host name is not the hub's; add it to server.allowed_hosts, or set server.public_url",
                    None,
                ));
            }
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let known = origin
                .to_str()
                .ok()
                .and_then(|origin| Url::parse(origin).ok())
                .is_some_and(|origin| origin.host_str().is_some_and(|host| self.knows(host)));
            if !known {
                return Err(Refusal(
                    StatusCode::FORBIDDEN,
                    "requests from this origin are refused; add its host to server.allowed_hosts",
                    None,
                ));
            }
        }
        Ok(())
    }

    /// A rebinding attack needs a name that its attacker controls: plain addresses and `localhost`
    /// cannot be one.
    fn knows(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        host == "localhost" || host.parse::<IpAddr>().is_ok() || self.hosts.contains(&host)
    }

    fn identify(&self, path: &str, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let machine = MACHINE_PREFIXES.iter().any(|prefix| path.starts_with(prefix));
        let local = || if machine { Caller::local() } else { Caller::admin() };
        if self.api_key.is_none() && self.admin_password.is_none() || OPEN_PATHS.contains(&path) {
            return Ok(local());
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()));
        if let Some(token) = bearer {
            return if matches(self.api_key.as_ref(), token) {
                Ok(Caller::named("api-key"))
            } else {
                Err(Refusal(
                    StatusCode::UNAUTHORIZED,
                    "the API key is wrong",
                    Some(r#"Bearer realm="genimage", error="invalid_token""#),
                ))
            };
        }
        if let Some((user, password)) = authorization.and_then(basic)
            && user == "admin"
            && matches(self.admin_password.as_ref(), &password)
        {
            return Ok(Caller::admin());
        }
        Err(if machine {
            Refusal(
                StatusCode::UNAUTHORIZED,
                "give the API key as `Authorization: Bearer …` or `X-API-Key`",
                Some(r#"Bearer realm="genimage""#),
            )
        } else {
            Refusal(StatusCode::UNAUTHORIZED, "log in as admin", Some(r#"Basic realm="GenImage Hub", charset="UTF-8""#))
        })
    }
}

/// Compares digests, so that the time taken tells nothing about the secret.
fn matches(secret: Option<&SecretString>, given: &str) -> bool {
    secret.is_some_and(|secret| Sha256::digest(secret.expose_secret()) == Sha256::digest(given))
}

fn basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            // `::1` without brackets is an address, not a name with a port.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(key: Option<&str>) -> Guard {
        Guard { hosts: vec!["hub.example.org".to_owned()], api_key: key.map(SecretString::from), admin_password: None }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = header::HeaderName::try_from(*name).expect("a name");
                (name, value.parse().expect("a value"))
            })
            .collect()
    }

    #[test]
    fn only_addresses_localhost_and_configured_names_are_hosts() {
        for host in ["localhost:8001", "127.0.0.1", "[::1]:8001", "192.0.2.4:80", "HUB.example.org"] {
            assert!(guard(None).check_host(&headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in ["evil.test", "evil.test:8001", "localhost.evil.test", "127.0.0.1.evil.test"] {
            assert!(guard(None).check_host(&headers(&[("host", host)])).is_err(), "{host}");
        }
        assert!(guard(None).check_host(&headers(&[("origin", "http://evil.test")])).is_err());
        assert!(guard(None).check_host(&headers(&[("origin", "null")])).is_err());
        assert!(guard(None).check_host(&headers(&[("origin", "http://localhost:3000")])).is_ok());
    }

    #[test]
    fn with_a_key_nobody_enters_without_it() {
        let guard = guard(Some("secret"));
        for path in ["/mcp", "/api/v1/jobs", "/", "/outputs/img_1.png", "/legacy/mcp", "/readyz"] {
            assert!(guard.identify(path, &HeaderMap::new()).is_err(), "{path}");
            assert!(guard.identify(path, &headers(&[("authorization", "Bearer wrong")])).is_err(), "{path}");
            assert!(guard.identify(path, &headers(&[("authorization", "Bearer secret")])).is_ok(), "{path}");
        }
        assert!(guard.identify("/mcp", &headers(&[("x-api-key", "secret")])).is_ok());
        assert!(guard.identify("/healthz", &HeaderMap::new()).is_ok());
    }
}
