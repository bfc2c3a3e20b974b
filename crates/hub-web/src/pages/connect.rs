//! What connects a client to this hub: snippets with the address under which this browser reaches it and with a key, and
//! a test that does what such a client would do.
//!
//! A key that is typed here comes in a form's body, is put into the answer, and is gone with it: it is in no address, no
//! log and no row.

pub(super) mod snippets;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Response},
};
use hub_core::error::UserError;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use self::snippets::Snippet;
use super::{
    Frame,
    form::{Fault, FormFields, refused},
    html,
};
use crate::{
    connection::{self, Outcome, Tried},
    error::WebError,
    links,
    render::Page,
    router::App,
    said,
};

/// Stands where the key belongs until one is typed.
pub(super) const PLACEHOLDER: &str = "YOUR_KEY";
/// Longest key: an access token may have this many characters.
const KEY_MAX_CHARS: usize = 4096;

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectPage {
    frame: Frame,
    mcp_url: String,
    /// Whether the hub asks for a key.
    closed: bool,
    /// Whether one was typed.
    filled: bool,
    key_max: usize,
    fault: Option<Fault>,
    /// Whether the connection was just tested.
    tested: bool,
    answers: Vec<ShownAnswer>,
    snippets: Vec<Snippet>,
}

/// What one address answered.
#[derive(Debug, Serialize)]
struct ShownAnswer {
    endpoint: String,
    /// `tools`, `refused`, `strange` or `silent`.
    kind: &'static str,
    tools: Vec<String>,
    status: u16,
    reason: String,
}

impl ShownAnswer {
    fn of(tried: Tried) -> Self {
        let (kind, tools, status, reason) = match tried.outcome {
            Outcome::Tools(tools) => ("tools", tools, 200, String::new()),
            Outcome::Refused { status, reason } => ("refused", Vec::new(), status, reason),
            Outcome::Strange(reason) => ("strange", Vec::new(), 0, reason),
            Outcome::Silent(reason) => ("silent", Vec::new(), 0, reason),
        };
        Self { endpoint: tried.endpoint, kind, tools, status, reason }
    }
}

pub(crate) async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Html<String>, WebError> {
    html(&app, &page(&app, &headers, None))
}

/// The snippets with the key that was typed.
pub(crate) async fn fill(State(app): State<App>, headers: HeaderMap, request: Request) -> Result<Response, WebError> {
    match typed(&app, request).await? {
        Ok(key) => Ok(html(&app, &page(&app, &headers, key.as_ref()))?.into_response()),
        Err(error) => untaken(&app, &headers, &error),
    }
}

/// Does with that key what a client does, and says what it met.
pub(crate) async fn test(State(app): State<App>, headers: HeaderMap, request: Request) -> Result<Response, WebError> {
    let key = match typed(&app, request).await? {
        Ok(key) => key,
        Err(error) => return untaken(&app, &headers, &error),
    };
    let mut page = page(&app, &headers, key.as_ref());
    page.tested = true;
    page.answers = connection::try_own(&app, key.as_ref()).await.into_iter().map(ShownAnswer::of).collect();
    Ok(html(&app, &page)?.into_response())
}

fn untaken(app: &App, headers: &HeaderMap, error: &UserError) -> Result<Response, WebError> {
    let mut page = page(app, headers, None);
    page.fault = Some(Fault::of(error));
    refused(app, error, &page)
}

/// The key that was typed; `None` without one.
async fn typed(app: &App, request: Request) -> Result<Result<Option<SecretString>, UserError>, WebError> {
    let key = FormFields::read(request, app).await?.first("key");
    let key = key.trim();
    if key.is_empty() {
        return Ok(Ok(None));
    }
    if key.len() > KEY_MAX_CHARS || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let error =
            UserError::argument("key", said!("A key has letters, digits and signs, and no spaces.").to_string());
        return Ok(Err(error));
    }
    Ok(Ok(Some(SecretString::from(key))))
}

fn page(app: &App, headers: &HeaderMap, key: Option<&SecretString>) -> ConnectPage {
    // Whoever is let in without a key needs none in his snippets.
    let closed = app.access.is_closed();
    let key = key.map(ExposeSecret::expose_secret).filter(|_| closed);
    drawn(&links::base_url(app, headers), closed, key)
}

fn drawn(base_url: &str, closed: bool, key: Option<&str>) -> ConnectPage {
    ConnectPage {
        frame: Frame::new("connect", said!("Connect")),
        mcp_url: format!("{base_url}/mcp"),
        closed,
        filled: key.is_some(),
        key_max: KEY_MAX_CHARS,
        fault: None,
        tested: false,
        answers: Vec::new(),
        snippets: snippets::all(base_url, closed.then(|| key.unwrap_or(PLACEHOLDER))),
    }
}

impl Page for ConnectPage {
    const TEMPLATE: &'static str = "pages/connect.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample::HOSTILE;
        let answer = |outcome| ShownAnswer::of(Tried { endpoint: "http://hub.test:8001/mcp".to_owned(), outcome });
        let answers = vec![
            answer(Outcome::Silent(HOSTILE.to_owned())),
            answer(Outcome::Strange(HOSTILE.to_owned())),
            answer(Outcome::Refused { status: 401, reason: HOSTILE.to_owned() }),
            answer(Outcome::Tools(vec![HOSTILE.to_owned()])),
            answer(Outcome::Tools(Vec::new())),
        ];
        let fault = Some(Fault::of(&UserError::argument("key", HOSTILE)));
        Self { tested: true, answers, fault, ..drawn("http://hub.test:8001", true, Some("gih_<b>'\"\\")) }
    }
}
