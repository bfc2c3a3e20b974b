//! The front door: authentication and the origin check.
//!
//! Owns who is let in. It keeps no sessions: the cookie of a login is derived from the password.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Params, Query, Sim, crash, empty, html, json_answer, prefix, text_answer};
use crate::comfyui::config::SimAuth;

/// The answer to a request that may not pass.
pub(super) fn refuse(sim: &Sim, request: &Request<Body>) -> Option<Response> {
    let auth = sim.auth().clone();
    let cors = matches!(&auth, Some(SimAuth::ComfyLogin { cors: Some(_), .. }));
    if !cors && cross_origin(sim, request.headers()) {
        return Some(empty(403));
    }
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let authorization = text("authorization");
    let denied = || json_answer(401, &json!({"error": "Unauthorized"}));
    match auth.as_ref()? {
        SimAuth::Bearer { token } => (authorization != Some(&format!("Bearer {token}"))).then(denied),
        SimAuth::Header { name, value } => (text(name) != Some(value)).then(denied),
        SimAuth::Basic { username, password } => {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
            (authorization != Some(&wanted)).then(|| {
                let mut answer = text_answer(401, "401 Authorization Required");
                answer
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"ComfyUI\""));
                answer
            })
        }
        SimAuth::ComfyLogin { token, password, guest, cors } => {
            let heeds_tokens = cors.as_deref().is_none_or(|cors| cors == "*" || text("origin") == Some(cors));
            let token = heeds_tokens.then_some(token.as_str());
            let refused = login_refusal(request, authorization, token, password)?;
            if *guest { as_guest(sim, request) } else { Some(refused) }
        }
    }
}

/// `/login` of ComfyUI-Login; without that extension there is no such page.
pub(super) async fn login(State(sim): State<Arc<Sim>>, method: Method, body: String) -> Response {
    let auth = sim.auth().clone();
    let Some(SimAuth::ComfyLogin { password, .. }) = &auth else { return empty(404) };
    if method != Method::POST {
        return html();
    }
    // Both form encodings carry the password literally as long as it is plain ASCII.
    let right = body.split(['&', '\n', '\r']).any(|part| part.trim_start_matches("password=") == password);
    let mut answer = text_answer(302, "302: Found");
    let target = if right { "/" } else { "/login?wrong_password=1" };
    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static(target));
    if let (true, Ok(cookie)) = (right, HeaderValue::from_str(&format!("{}; HttpOnly; Path=/", cookie(password)))) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

fn login_refusal(
    request: &Request<Body>,
    authorization: Option<&str>,
    token: Option<&str>,
    password: &str,
) -> Option<Response> {
    let given = match authorization {
        Some(value) => match value.split(' ').collect::<Vec<_>>().as_slice() {
            [scheme, given] => (*scheme == "Bearer").then(|| (*given).to_owned()),
            _ => return Some(crash()),
        },
        None => Params::try_from_uri(request.uri()).ok().and_then(|Query(mut params)| params.remove("token")),
    };
    let headers = request.headers();
    let has_cookie =
        headers.get(header::COOKIE).and_then(|c| c.to_str().ok()).is_some_and(|c| c.contains(&cookie(password)));
    if has_cookie || token.is_some_and(|token| given.as_deref() == Some(token)) {
        return None;
    }
    let wants_html = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    if wants_html {
        let mut answer = text_answer(302, "302: Found");
        answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/login"));
        return Some(answer);
    }
    Some(json_answer(401, &json!({"error": "Authentication required."})))
}

/// A guest may look, queue and upload; anything else is answered as if it had been done.
fn as_guest(sim: &Sim, request: &Request<Body>) -> Option<Response> {
    let path = request.uri().path();
    let bare = path.strip_prefix(prefix(&sim.config).as_str()).unwrap_or(path);
    let allowed = request.method() != Method::POST || ["/prompt", "/upload/image"].contains(&bare);
    (!allowed).then(|| json_answer(200, &json!({})))
}

fn cookie(password: &str) -> String {
    let digest = Sha256::digest(password.as_bytes());
    format!("AIOHTTP_SESSION=\"{}\"", STANDARD.encode(digest))
}

/// The check of the real server: only for loopback hosts, host and (where both have one) port must match.
fn cross_origin(sim: &Sim, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if sim.version.after(0, 18, 1) && text("sec-fetch-site") == Some("cross-site") {
        return true;
    }
    let (Some(host), Some(origin)) = (text("host"), text("origin")) else { return false };
    let Some((_, origin)) = origin.split_once("://") else { return false };
    let ((host, host_port), (origin, origin_port)) = (split_port(host), split_port(origin));
    let loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    let same_port = host_port.is_none() || origin_port.is_none() || host_port == origin_port;
    loopback && !(host == origin && same_port)
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, Some(port)),
        _ => (authority, None),
    }
}
