//! One server: its form, filled, tested as typed, and saved. Secrets go in and never come out.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Response},
};
use hub_core::{
    error::UserError,
    server::{Reach, Server, ServerAuth},
};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Frame,
        form::{Fault, Sent, refused, shown},
        html, see_other,
    },
    shown::ShownTest,
    typed::{Typed, on},
};
use crate::{
    api::{self, AuthRecord},
    audit::about,
    error::WebError,
    language::Said,
    lookup,
    render::Page,
    router::App,
    said,
};

/// Fields that a fault can stand beside.
const FIELDS: [&str; 13] = [
    "name",
    "base_url",
    "auth",
    "header",
    "headers",
    "origin",
    "ca",
    "weight",
    "group",
    "gpu",
    "max_in_flight",
    "run_limit_s",
    "stall_limit_s",
];
/// Arguments that are typed into fields of other names.
const TYPED_INTO: [(&str, &str); 3] = [("auth.kind", "auth"), ("auth.header", "header"), ("auth.headers", "headers")];

/// Kinds of proof: name and title.
const AUTH_KINDS: [(&str, Said); 5] = [
    ("none", said!("None")),
    ("basic", said!("User and password")),
    ("bearer", said!("Bearer token")),
    ("api_key", said!("Key in a header")),
    ("headers", said!("Several headers")),
];

/// The page of one server's settings, stored or not yet.
#[derive(Debug, Serialize)]
pub(crate) struct ServerPage {
    frame: Frame,
    /// Where the form goes.
    action: String,
    test_action: String,
    back_path: String,
    delete_path: Option<String>,
    typed: Typed,
    /// What is stored of a secret, in words.
    secret: Option<String>,
    /// Several headers are stored.
    headers_stored: bool,
    /// Secrets were typed that are not shown again.
    secrets_gone: bool,
    fault: Option<Fault>,
    test: Option<ShownTest>,
    auth_kinds: [(&'static str, Said); 5],
    groups: Vec<String>,
}

/// The answer to a test alone.
#[derive(Debug, Serialize)]
pub(crate) struct ServerTestLive {
    test: Option<ShownTest>,
    fault: Option<Fault>,
}

/// How a form for a new server may begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BeginServer {
    name: String,
    base_url: String,
}

pub(crate) async fn create(
    State(app): State<App>,
    query: Result<Query<BeginServer>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    html(&app, &page(&app, None, Typed::fresh(query.name, query.base_url), None))
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Html<String>, WebError> {
    let server = lookup::server(&app, &id)?.server;
    let typed = Typed::of(&server, app.versions.of(&server));
    html(&app, &page(&app, Some(&server), typed, None))
}

pub(crate) async fn add(State(app): State<App>, Sent(typed): Sent<Typed>) -> Result<Response, WebError> {
    let with_box = Typed { enabled: on(true), ..typed };
    let added = match with_box.server(None) {
        Ok(new) => app.engine.server_add(new).await,
        Err(error) => Err(error),
    };
    match added {
        Ok(server) => Ok(about(see_other("/servers?done=server-added"), server.name)),
        Err(error) => refused(&app, &error, &page(&app, None, with_box, Some(&error))),
    }
}

pub(crate) async fn save(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(mut typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let known = lookup::server(&app, &id)?.server;
    let saved = app.engine.server_edit(known.id, |stored| {
        api::same_version(&typed.version, &app.versions.of(stored))?;
        Ok(typed.server(Some(stored))?.into_server(stored.id, stored.created_at))
    });
    match saved.await {
        Ok(server) => Ok(see_other(&format!("/servers/{}?done=server-saved", server.id))),
        Err(error) => {
            let now = lookup::server(&app, &id)?.server;
            // What is typed stays; sending it again then overwrites knowingly.
            typed.version = app.versions.of(&now);
            refused(&app, &error, &page(&app, Some(&now), typed, Some(&error)))
        }
    }
}

/// Tests what is typed, without storing it.
pub(crate) async fn test_typed(
    State(app): State<App>,
    headers: HeaderMap,
    Sent(typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let stored = if typed.stored.is_empty() { None } else { Some(lookup::server(&app, &typed.stored)?.server) };
    // The name says nothing about the way to the server: it may still be empty.
    let name = typed.name.clone();
    let nameless = Typed { name: "x".to_owned(), ..typed };
    let outcome = match nameless.server(stored.as_ref()) {
        Ok(new) => {
            let reach = Reach { base_url: new.base_url, auth: new.auth, origin: new.origin, ca: new.ca };
            Ok(ShownTest::of(&app.engine.server_test_reach(&reach).await))
        }
        Err(error) => Err(error),
    };
    if headers.contains_key("hx-request") {
        let part = ServerTestLive { fault: outcome.as_ref().err().map(Fault::of), test: outcome.ok() };
        return Ok(Html(app.renderer.render(&part)?).into_response());
    }
    let typed = Typed { name, ..nameless };
    let stored = stored.as_ref();
    match outcome {
        Ok(test) => {
            let mut page = page(&app, stored, typed, None);
            page.test = Some(test);
            shown(&app, &page)
        }
        Err(error) => refused(&app, &error, &page(&app, stored, typed, Some(&error))),
    }
}

fn page(app: &App, stored: Option<&Server>, mut typed: Typed, error: Option<&UserError>) -> ServerPage {
    if !typed.headers.is_empty() {
        typed.header_names = typed.names_again(stored);
    }
    let mut groups: Vec<String> = app.engine.servers().into_iter().filter_map(|view| view.server.group).collect();
    groups.sort();
    groups.dedup();
    let path = stored.map(|server| format!("/servers/{}", server.id));
    ServerPage {
        frame: Frame::new(
            "servers",
            stored.map_or_else(|| said!("New server").to_string(), |server| server.name.clone()),
        ),
        action: path.as_ref().map_or_else(|| "/servers".to_owned(), |path| format!("{path}/settings")),
        test_action: "/servers/test".to_owned(),
        back_path: path.clone().unwrap_or_else(|| "/servers".to_owned()),
        delete_path: path.map(|path| format!("{path}/delete")),
        secret: stored.and_then(|server| secret_of(&server.auth)),
        headers_stored: stored.is_some_and(|server| matches!(server.auth, ServerAuth::Headers { .. })),
        secrets_gone: typed.holds_secrets(),
        fault: error.map(|error| Fault::of(error).typed_into(&TYPED_INTO).elsewhere(&FIELDS)),
        test: None,
        auth_kinds: AUTH_KINDS,
        groups,
        typed,
    }
}

/// What is stored of a secret, in words: never the secret.
fn secret_of(auth: &ServerAuth) -> Option<String> {
    let record = AuthRecord::of(auth);
    if record.kind == "none" {
        return None;
    }
    Some(match (record.secret_set, record.secret_from) {
        (false, _) => said!("none is stored").to_string(),
        (true, Some(place)) if place != "stored" => said!("taken from {place}", place),
        (true, _) => said!("one is stored").to_string(),
    })
}

impl Page for ServerPage {
    const TEMPLATE: &'static str = "pages/server_settings.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::super::shown::sample::HOSTILE;
        let server = super::sample_server();
        let typed = Typed { secret: "hunter2".to_owned(), ..Typed::of(&server, "0".to_owned()) };
        Self {
            frame: Frame::new("servers", HOSTILE),
            action: "/servers/srv_1/settings".to_owned(),
            test_action: "/servers/test".to_owned(),
            back_path: "/servers/srv_1".to_owned(),
            delete_path: Some("/servers/srv_1/delete".to_owned()),
            typed,
            secret: secret_of(&server.auth),
            headers_stored: true,
            secrets_gone: true,
            fault: Some(Fault { field: "base_url".to_owned(), text: HOSTILE.to_owned(), changed: false }),
            test: Some(ShownTest::sample()),
            auth_kinds: AUTH_KINDS,
            groups: vec![HOSTILE.to_owned()],
        }
    }
}

impl Page for ServerTestLive {
    const TEMPLATE: &'static str = "pages/server_test_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { test: Some(ShownTest::sample()), fault: None }
    }
}
