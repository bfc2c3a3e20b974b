//! Who may come in: the checks every request passes before an edge sees it.
//!
//! Host and Origin are checked against DNS rebinding, then credentials, as soon as there are any. The guard puts
//! the [`Caller`] into the request, and the session where a cookie brought one; the edges trust it and never look at
//! credentials.

mod crowd;
mod needs;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use hub_access::{Access, Bearer, KeyRefusal, LoggedIn, TokenRefusal};
use hub_core::{access::Scope, caller::Caller, error::UserError};
use hub_web::LostForms;
use url::Url;

pub(crate) use self::crowd::Crowd;
use self::needs::Need;
use crate::held::until_sent;

/// When to try again where the authorization server's keys cannot be had, in seconds.
const TOKEN_KEYS_RETRY_S: u32 = 60;

/// When to try again where a caller has too many requests open, in seconds.
const CROWD_RETRY_S: u32 = 1;

/// What the guard knows.
#[derive(Clone)]
pub(crate) struct Guard {
    /// Host names that are let in, besides localhost and IP addresses; lower case, without port.
    pub(crate) hosts: Vec<String>,
    /// Who may come in.
    pub(crate) access: Access,
    /// How many requests each caller has open.
    pub(crate) crowd: Crowd,
    /// What refusals tell clients of the authorization server: nothing, where there is none. Clients that are told of one
    /// begin to ask it for tokens.
    pub(crate) challenge: Option<Challenge>,
    /// Gives forms back whose login has ended.
    pub(crate) lost: Arc<LostForms>,
}

/// What a client needs to get a token.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    /// Where the resource's metadata are (RFC 9728).
    pub(crate) metadata: Url,
    /// Scopes to ask for.
    pub(crate) scopes: String,
    /// What scopes are prefixed with.
    pub(crate) prefix: String,
}

/// Who was let in.
struct Entered {
    caller: Caller,
    /// By a cookie, which a browser sends whoever asks it to.
    session: Option<LoggedIn>,
}

/// The guard as a middleware.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Err(refusal) = check_host(&guard.hosts, request.headers()) {
        return refusal.into_response();
    }
    let (parts, body) = request.into_parts();
    match guard.identify(&parts).await {
        Ok(Entered { caller, session }) => {
            let Some(place) = guard.crowd.enter(&caller) else {
                let most = guard.crowd.most();
                return Refusal::wait(format!("{most} of your requests are open; end one first"), CROWD_RETRY_S)
                    .into_response();
            };
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(caller);
            if let Some(session) = session {
                request.extensions_mut().insert(session);
            }
            until_sent(next.run(request).await, place)
        }
        Err(refusal) => {
            let refused = refusal.of(guard.challenge.as_ref()).into_response();
            let no_login = refused.status() == StatusCode::UNAUTHORIZED && key_of(&parts.headers).is_none();
            if no_login && needs::is_page(parts.uri.path()) && LostForms::is_one(&parts) {
                return guard.give_back(Request::from_parts(parts, body), refused).await;
            }
            refused
        }
    }
}

/// A refusal: status, sentence, and the challenge for 401 and 403.
#[derive(Debug)]
enum Refusal {
    Told {
        status: StatusCode,
        code: &'static str,
        detail: String,
        challenge: Option<String>,
        retry_after_s: Option<u32>,
    },
    /// A browser is shown the way in.
    WayIn(String),
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Told { status, code, detail: detail.into(), challenge: None, retry_after_s: None }
    }

    fn challenged(status: StatusCode, code: &'static str, detail: impl Into<String>, challenge: &str) -> Self {
        let challenge = Some(format!("Bearer realm=\"genimage\"{challenge}"));
        Self::Told { status, code, detail: detail.into(), challenge, retry_after_s: None }
    }

    /// With the way to a token, where there is one.
    fn of(mut self, known: Option<&Challenge>) -> Self {
        if let (Self::Told { status, challenge: Some(challenge), .. }, Some(known)) = (&mut self, known) {
            use std::fmt::Write as _;
            if *status == StatusCode::FORBIDDEN {
                *challenge = challenge.replace("scope=\"", &format!("scope=\"{}", known.prefix));
            } else if !challenge.contains("scope=") {
                // Writing to a text cannot fail.
                let _ = write!(challenge, ", scope=\"{}\"", known.scopes);
            }
            let _ = write!(challenge, ", resource_metadata=\"{}\"", known.metadata);
        }
        self
    }

    fn wait(detail: String, seconds: u32) -> Self {
        let (status, retry_after_s) = (StatusCode::TOO_MANY_REQUESTS, Some(seconds));
        Self::Told { status, code: "too_many_requests", detail, challenge: None, retry_after_s }
    }
}

impl From<KeyRefusal> for Refusal {
    fn from(refusal: KeyRefusal) -> Self {
        let invalid = |detail: String| {
            Self::challenged(StatusCode::UNAUTHORIZED, "unauthorized", detail, ", error=\"invalid_token\"")
        };
        match refusal {
            KeyRefusal::Unknown => invalid("the API key is wrong".to_owned()),
            KeyRefusal::Revoked => invalid("the API key is revoked".to_owned()),
            KeyRefusal::Expired(end) => invalid(format!("the API key expired at {}", end.format("%Y-%m-%dT%H:%M:%SZ"))),
            KeyRefusal::TooOften { wait_s, per_minute } => {
                Self::wait(format!("this key may make {per_minute} requests per minute"), wait_s)
            }
        }
    }
}

impl From<TokenRefusal> for Refusal {
    fn from(refusal: TokenRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            TokenRefusal::Invalid(_) => {
                Self::challenged(StatusCode::UNAUTHORIZED, "unauthorized", detail, ", error=\"invalid_token\"")
            }
            TokenRefusal::TooOften { wait_s, .. } => Self::wait(detail, wait_s),
            TokenRefusal::NoKeys => Self::Told {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "unavailable",
                detail,
                challenge: None,
                retry_after_s: Some(TOKEN_KEYS_RETRY_S),
            },
        }
    }
}

impl From<UserError> for Refusal {
    fn from(error: UserError) -> Self {
        Self::Told {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: error.code.as_str(),
            retry_after_s: error.retry_after_s,
            detail: error.message,
            challenge: None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self::Told { status, code, detail, challenge, retry_after_s } = self else {
            let Self::WayIn(to) = self else { return StatusCode::UNAUTHORIZED.into_response() };
            return Redirect::to(&to).into_response();
        };
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("refused"),
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        if let Some(seconds) = retry_after_s {
            body["retry_after_s"] = seconds.into();
        }
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = challenge.and_then(|challenge| HeaderValue::try_from(challenge).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Refuses host names and origins that are not the hub's.
fn check_host(hosts: &[String], headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(host) = headers.get(header::HOST) {
        let known = host.to_str().ok().is_some_and(|host| knows(hosts, without_port(host)));
        if !known {
            return Err(Refusal::new(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                "this host name is not the hub's; add it to server.allowed_hosts, or set server.public_url",
            ));
        }
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let known = origin
            .to_str()
            .ok()
            .and_then(|origin| Url::parse(origin).ok())
            .is_some_and(|origin| origin.host_str().is_some_and(|host| knows(hosts, host)));
        if !known {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "requests from this origin are refused; add its host to server.allowed_hosts",
            ));
        }
    }
    Ok(())
}

/// A rebinding attack needs a name that its attacker controls: plain addresses and `localhost`
/// cannot be one.
fn knows(hosts: &[String], host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    host == "localhost" || host.parse::<IpAddr>().is_ok() || hosts.contains(&host)
}

impl Guard {
    /// What was typed goes back to who typed it, when the login ended meanwhile; nothing of it is acted on.
    async fn give_back(&self, request: Request, refused: Response) -> Response {
        // There is nothing more to end.
        if request.uri().path() == "/logout" {
            return Redirect::to("/login").into_response();
        }
        let Some(place) = self.crowd.enter(&Caller::stranger()) else { return refused };
        let mut page = self.lost.page(request).await;
        if let Some(challenge) = refused.headers().get(header::WWW_AUTHENTICATE) {
            page.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.clone());
        }
        until_sent(page, place)
    }

    async fn identify(&self, request: &Parts) -> Result<Entered, Refusal> {
        let (path, headers) = (request.uri.path(), &request.headers);
        let need = needs::of(&request.method, path);
        let open = || {
            let caller = if needs::is_page(path) { Caller::admin() } else { Caller::local() };
            Entered { caller, session: None }
        };
        if !self.access.is_closed() {
            return Ok(open());
        }
        if let Some(key) = key_of(headers) {
            let bearer = match self.access.token_bearer(key).await? {
                Some(bearer) => bearer,
                None => self.access.bearer(key)?,
            };
            return admit(bearer, need);
        }
        if needs::takes_cookies(path)
            && let Some(token) = hub_web::session_of(headers)
            && let Some(session) = self.access.session(token).await?
        {
            return Ok(Entered { caller: Caller::admin(), session: Some(session) });
        }
        match need {
            Need::Nothing => Ok(Entered { caller: Caller::stranger(), session: None }),
            _ if needs::is_page(path) && wants_page(&request.method, headers) => {
                Err(Refusal::WayIn(self.way_in(request)))
            }
            _ => Err(Refusal::challenged(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "give an API key as `Authorization: Bearer …` or `X-API-Key`, or log in at /login",
                "",
            )),
        }
    }

    fn way_in(&self, request: &Parts) -> String {
        if !self.access.has_account() {
            return "/setup".to_owned();
        }
        let wanted = request.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
        let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
        if wanted == "/" { "/login".to_owned() } else { format!("/login?next={next}") }
    }
}

fn admit(bearer: Bearer, need: Need) -> Result<Entered, Refusal> {
    if let Need::Scope(scope) = need
        && !bearer.has(scope)
    {
        return Err(insufficient(scope));
    }
    Ok(Entered { caller: bearer.caller, session: None })
}

fn insufficient(scope: Scope) -> Refusal {
    Refusal::challenged(
        StatusCode::FORBIDDEN,
        "forbidden",
        format!("this API key does not have the scope `{scope}`"),
        &format!(", error=\"insufficient_scope\", scope=\"{scope}\""),
    )
}

/// The key that a request brings.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    authorization
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()))
}

/// Browsers that open a page name HTML.
fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    method.is_safe() && accept.is_some_and(|accept| accept.contains("text/html"))
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
        let own = ["hub.example.org".to_owned()];
        let check = |pairs: &[(&str, &str)]| check_host(&own, &headers(pairs));
        for host in ["localhost:8001", "127.0.0.1", "[::1]:8001", "192.0.2.4:80", "HUB.example.org"] {
            assert!(check(&[("host", host)]).is_ok(), "{host}");
        }
        for host in ["evil.test", "evil.test:8001", "localhost.evil.test", "127.0.0.1.evil.test"] {
            assert!(check(&[("host", host)]).is_err(), "{host}");
        }
        assert!(check(&[("origin", "http://evil.test")]).is_err());
        assert!(check(&[("origin", "null")]).is_err());
        assert!(check(&[("origin", "http://localhost:3000")]).is_ok());
    }

    #[test]
    fn a_key_comes_in_either_header() {
        assert_eq!(key_of(&headers(&[("authorization", "Bearer  abc ")])), Some("abc"));
        assert_eq!(key_of(&headers(&[("authorization", "bearer abc")])), Some("abc"));
        assert_eq!(key_of(&headers(&[("x-api-key", "abc")])), Some("abc"));
        assert_eq!(key_of(&headers(&[("authorization", "Basic YTpi")])), None);
    }
}
