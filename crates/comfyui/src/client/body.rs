//! Sending a request, judging the status line, reading a body within limits.
//!
//! All idle limits are applied here, per wait, so that a slow but living download never dies of a total limit.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{RequestBuilder, Response, StatusCode, header};

use crate::error::{Error, scrub};

/// How much of an error body is read, in bytes.
const MAX_ERROR_BYTES: u64 = 256 * 1024;
/// Patience for an error body; its content is a courtesy.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);
/// Shown part of an error body, in characters.
const SHOWN_CHARS: usize = 200;
/// What every login form has, in lower case.
const PASSWORD_FIELDS: [&str; 3] = ["type=\"password\"", "type='password'", "type=password"];

/// Sends and waits for the status line.
pub(super) async fn head(request: RequestBuilder, idle: Duration) -> Result<Response, Error> {
    match tokio::time::timeout(idle, request.send()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(transport(error)),
        Err(_) => Err(Error::Timeout { after: idle }),
    }
}

/// Sorts reqwest's errors; the URL is taken out since it may be private.
pub(super) fn transport(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_builder() {
        Error::config(error.to_string())
    } else if error.is_connect() {
        if is_about_certificate(&error) { Error::Certificate(Box::new(error)) } else { Error::Connect(Box::new(error)) }
    } else {
        Error::Transport(Box::new(error))
    }
}

/// Whether a failed handshake failed for want of trust.
pub(super) fn is_about_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    // The TLS library's error travels inside errors of `std::io`, whose `source()` skips what they wrap.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(inner) => is_about_certificate(inner),
        None => error.source().is_some_and(is_about_certificate),
    }
}

/// Lets 2xx pass and names everything else. `what` completes "… is not on this server".
pub(super) async fn check(response: Response, what: &str) -> Result<Response, Error> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refusal(response, what).await)
}

/// The error an unsuccessful response means.
pub(super) async fn refusal(response: Response, what: &str) -> Error {
    let status = response.status();
    if let Some(error) = judge_status(&response) {
        return error;
    }
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Error::Gone(what.to_owned());
    }
    let html = is_html(&response);
    let message = match read(response, MAX_ERROR_BYTES, ERROR_BODY_WAIT).await {
        Ok(bytes) if !html => {
            let text = scrub(&String::from_utf8_lossy(&bytes));
            text.chars().take(SHOWN_CHARS).collect()
        }
        _ => status.canonical_reason().unwrap_or("no reason given").to_owned(),
    };
    Error::Status { status: status.as_u16(), message }
}

/// Statuses whose meaning needs no body.
pub(super) fn judge_status(response: &Response) -> Option<Error> {
    let status = response.status();
    match status {
        StatusCode::UNAUTHORIZED => Some(Error::Unauthorized { detail: "401, authentication required".to_owned() }),
        StatusCode::FORBIDDEN => Some(Error::Unauthorized { detail: "403, access or origin not allowed".to_owned() }),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Some(Error::Unauthorized { detail: "407, the proxy wants credentials".to_owned() })
        }
        StatusCode::PAYLOAD_TOO_LARGE => Some(Error::TooLarge { limit_bytes: 0 }),
        _ if status.is_redirection() => Some(redirected(response)),
        _ => None,
    }
}

/// A redirect is a login page, or a sign that the address is not quite right.
fn redirected(response: &Response) -> Error {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = location.split(['?', '#']).next().unwrap_or_default();
    if ["login", "signin", "sign_in", "auth", "sso"].iter().any(|word| path.to_ascii_lowercase().contains(word)) {
        return Error::Unauthorized { detail: "redirected to a login page".to_owned() };
    }
    Error::NotComfyUi(format!("it redirects to '{path}'; if that is the server, use that address"))
}

/// Recognises the web page that a proxy or another program puts where JSON should be. One that asks for a
/// password is a login page, served without the courtesy of a 401.
pub(super) async fn refuse_html(response: Response) -> Result<Response, Error> {
    if !is_html(&response) {
        return Ok(response);
    }
    let page = read(response, MAX_ERROR_BYTES, ERROR_BODY_WAIT).await.unwrap_or_default();
    let page = String::from_utf8_lossy(&page).to_ascii_lowercase();
    if PASSWORD_FIELDS.iter().any(|field| page.contains(field)) {
        return Err(Error::Unauthorized { detail: "it answers with a login page".to_owned() });
    }
    Err(Error::NotComfyUi("it answers with a web page".to_owned()))
}

fn is_html(response: &Response) -> bool {
    let content_type =
        response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// Reads a body of at most `limit_bytes`, waiting at most `idle` for each piece.
pub(super) async fn read(mut response: Response, limit_bytes: u64, idle: Duration) -> Result<Bytes, Error> {
    if response.content_length().is_some_and(|length| length > limit_bytes) {
        return Err(Error::TooLarge { limit_bytes });
    }
    // Room for what is announced and no more: what is kept of a body would hold the rest of its buffer too.
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut all = BytesMut::with_capacity(announced.unwrap_or_default().min(ANNOUNCED_MAX));
    while let Some(chunk) = next_chunk(&mut response, idle).await? {
        if (all.len() + chunk.len()) as u64 > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// Most bytes that are set aside because a server announces them.
const ANNOUNCED_MAX: usize = 16 * 1024 * 1024;

pub(super) async fn next_chunk(response: &mut Response, idle: Duration) -> Result<Option<Bytes>, Error> {
    match tokio::time::timeout(idle, response.chunk()).await {
        Ok(chunk) => chunk.map_err(transport),
        Err(_) => Err(Error::Timeout { after: idle }),
    }
}
