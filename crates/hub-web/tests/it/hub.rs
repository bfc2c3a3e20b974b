//! A hub for one test: engine, store in memory, simulated servers, and the router of this crate.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hub_access::{Access, AccessConfig, LoggedIn};
use hub_core::{
    caller::Caller,
    clock::SystemClock,
    server::{NewServer, Server},
};
use hub_engine::{Engine, EngineConfig, UsualPlaces};
use hub_sim::{ComfyConfig, ComfySim};
use hub_store::{SearchBounds, Store};
use hub_web::{Translations, WebConfig, WebState};
use object_store::memory::InMemory;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tower::ServiceExt as _;
use url::form_urlencoded;

/// Longest wait for anything in a test.
const PATIENCE: Duration = Duration::from_mins(1);
const WORKFLOW_TOML: &str = include_str!("../../../../workflows/txt2img-sd15.toml");
const WORKFLOW_JSON: &str = include_str!("../../../../workflows/txt2img-sd15.json");
const STYLES: &str = r#"
[[styles]]
name = "anime"
category = "drawing"
description = "Anime"
prompt_template = "anime, {prompt}"
negative_template = "photo"
default = false
enabled = true
render_types = []
"#;
const RENDER_TYPES: &str = r#"
[[render_types]]
name = "sd15"
title = "SD 1.5"
description = "Small."
workflow = "txt2img-sd15"
mode = "generate"
visible = true
default = true
prompt_guide = ""
prompt_examples = []

[render_types.limits]
min_side_px = 16
max_side_px = 1024
side_multiple_px = 8

[render_types.defaults]
aspect = "1:1"

[render_types.sizes]
"1:1" = [64, 64]
"16:9" = [128, 72]
"#;

/// The hub of one test.
pub(crate) struct Hub {
    router: Router,
    pub(crate) engine: Engine,
    pub(crate) access: Access,
    /// Whoever is logged in and asks for the pages.
    pub(crate) login: Option<LoggedIn>,
    sims: Vec<ComfySim>,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A stream of server-sent events, read one by one.
pub(crate) struct Events {
    body: Body,
    read: String,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.read.find("\n\n") {
                let event: String = self.read.drain(..end + 2).collect();
                let field = |name: &str| {
                    let lines = event.lines().filter_map(|line| line.split_once(": "));
                    lines.filter(|(field, _)| *field == name).map(|(_, value)| value.to_owned()).next()
                };
                let event = field("event").map(|name| Event {
                    id: field("id"),
                    data: serde_json::from_str(&field("data").expect("data")).expect("JSON"),
                    name,
                });
                // Comments keep the connection alive.
                if event.is_some() {
                    return event;
                }
            }
            self.read_on().await?;
        }
    }

    async fn read_on(&mut self) -> Option<()> {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("goes on in time")?;
        let data = frame.expect("is whole").into_data().expect("no trailers");
        self.read.push_str(std::str::from_utf8(&data).expect("text"));
        Some(())
    }

    /// The next piece of a page.
    pub(crate) async fn fragment(&mut self) -> String {
        while !self.read.contains("\n\n") {
            self.read_on().await.expect("the stream goes on");
        }
        let end = self.read.find("\n\n").expect("there");
        self.read.drain(..end + 2).collect()
    }

    /// The first event that is like that, past all others.
    pub(crate) async fn until(&mut self, like: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if like(&event) {
                return event;
            }
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text; in pages, slashes are escaped as well.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).replace("&#x2f;", "/")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Hub {
    /// A hub with a catalogue and one simulated server on which a run takes `run_ms`.
    pub(crate) async fn with_server(run_ms: u64) -> Self {
        let mut hub = Self::empty().await;
        hub.get_ready(run_ms).await;
        hub
    }

    /// The same, whose searches for jobs and pictures end within such bounds.
    pub(crate) async fn searching(search: SearchBounds) -> Self {
        let mut hub = Self::start(quiet(), WebConfig { search, ..web_config() }).await;
        hub.get_ready(1).await;
        hub
    }

    async fn get_ready(&mut self, run_ms: u64) {
        self.fill_catalogue().await;
        let config = ComfyConfig { run_ms, ..ComfyConfig::default() };
        let sim = ComfySim::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config).await.expect("a free port");
        let base_url = sim.url().parse().expect("an address");
        self.engine.server_add(NewServer::named("sim", base_url)).await.expect("added");
        self.sims.push(sim);
    }

    /// The first simulated server.
    pub(crate) fn sim(&self) -> &ComfySim {
        &self.sims[0]
    }

    /// One workflow, one render type, one style.
    pub(crate) async fn fill_catalogue(&self) {
        let workflows = [(WORKFLOW_TOML, WORKFLOW_JSON)];
        self.engine.seed_catalogue(&workflows, STYLES, RENDER_TYPES).await.expect("the catalogue is filled");
    }

    /// A hub as it is after its first start without anything. It looks for no servers.
    pub(crate) async fn empty() -> Self {
        Self::with_config(quiet()).await
    }

    /// The same, with other limits and policies.
    pub(crate) async fn with_config(config: EngineConfig) -> Self {
        Self::translated(config, Translations::default()).await
    }

    /// The same, whose pages speak other languages too.
    pub(crate) async fn translated(config: EngineConfig, translations: Translations) -> Self {
        Self::start(config, WebConfig { translations, ..web_config() }).await
    }

    async fn start(config: EngineConfig, web: WebConfig) -> Self {
        // Each test does so; the first one's stays.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(SystemClock);
        let store = Store::open("sqlite::memory:", clock.clone()).await.expect("a database in memory");
        let engine = Engine::start(config, store, Arc::new(InMemory::new()), clock).await.expect("the engine starts");
        let access = Access::open(engine.clone(), AccessConfig::default()).await.expect("it opens");
        let router = hub_web::router(WebState { engine: engine.clone(), access: access.clone(), config: web });
        Self { router, engine, access, login: None, sims: Vec::new() }
    }

    /// Logs in as a person does, who asks for the pages from now on. The first password becomes the account's.
    pub(crate) async fn log_in(&mut self, password: &str) {
        self.login = None;
        let way_in = if self.access.has_account() { "/login" } else { "/setup" };
        // It is asked for where somebody made a key already.
        let token = self.access.setup_token().map(|token| token.expose_secret().to_owned()).unwrap_or_default();
        let typed = [("token", token.as_str()), ("password", password), ("again", password)];
        let typed = form_urlencoded::Serializer::new(String::new()).extend_pairs(typed).finish();
        let entered = self.form(way_in, &typed).await;
        assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"), "{}", entered.text());
        let cookie = HeaderMap::from_iter([(header::COOKIE, entered.headers[header::SET_COOKIE].clone())]);
        let token = hub_web::session_of(&cookie).expect("a session");
        self.login = self.access.session(token).await.expect("read");
        assert!(self.login.is_some(), "the cookie is of no session");
    }

    /// The simulated servers are gone.
    pub(crate) fn lose_servers(&mut self) {
        self.sims.clear();
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let all_events = request.uri().path() == "/api/v1/events";
        // As the guard before the router tells it. Programs come without a cookie.
        if let Some(login) = self.login.as_ref().filter(|_| !request.uri().path().starts_with("/api/")) {
            request.extensions_mut().insert(Caller::admin());
            request.extensions_mut().insert(login.clone());
        }
        let response = tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request)).await;
        let response = response.expect("answers in time").expect("the router never fails");
        let (parts, body) = response.into_parts();
        // Of what never ends, the head is the answer.
        let endless = all_events && parts.status == StatusCode::OK;
        let body = if endless { Body::empty() } else { body };
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("ends in time").expect("is whole");
        Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() }
    }

    /// Opens a stream of server-sent events.
    pub(crate) async fn follow(&self, request: Request<Body>) -> Events {
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        assert_eq!(response.status(), StatusCode::OK);
        Events { body: response.into_body(), read: String::new() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path).body(Body::empty()).expect("a request")).await
    }

    /// A page as a browser asks for it.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        let request = request("GET", path).header(header::ACCEPT, "text/html,*/*").body(Body::empty());
        self.send(request.expect("a request")).await
    }

    /// Submits a form as a browser does.
    pub(crate) async fn form(&self, path: &str, form: &str) -> Answer {
        let request = request("POST", path)
            .header(header::ACCEPT, "text/html")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.send(request.expect("a request")).await
    }

    /// A press of another button that changes nothing: what is sent after it is no second press of what came before.
    pub(crate) async fn press_another(&self) {
        assert_eq!(self.form("/undo", "number=0").await.status, StatusCode::CONFLICT);
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = request(method, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        self.send(request).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(request("DELETE", path).body(Body::empty()).expect("a request")).await
    }

    /// A server as it is stored.
    pub(crate) async fn stored_server(&self, name: &str) -> Server {
        let servers = self.engine.store().server_list().await.expect("read");
        servers.into_iter().find(|server| server.name == name).expect("there")
    }

    /// Waits until every server has told what it has.
    pub(crate) async fn ready(&self) {
        for view in self.engine.servers() {
            self.engine.server_settled(view.id(), PATIENCE).await.expect("the server stays");
        }
    }

    /// Waits until the job has ended, and answers its record.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let id: hub_core::ids::JobId = id.parse().expect("a job id");
        self.engine.wait(id, PATIENCE).await.expect("the job is known");
        self.get(&format!("/api/v1/jobs/{id}")).await.json()
    }
}

/// An engine that looks for no servers.
fn quiet() -> EngineConfig {
    let usual_places = UsualPlaces { comfyui: Vec::new(), ollama: Vec::new() };
    EngineConfig { usual_places, ..EngineConfig::default() }
}

/// What the router is told where a test says nothing else.
pub(crate) fn web_config() -> WebConfig {
    let (translations, search) = (Translations::default(), SearchBounds::default());
    WebConfig { public_url: None, demo: false, version: "0.0.0", translations, search }
}

pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "hub.test:8001")
}

/// Value of a hidden field.
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let marker = format!("name=\"{name}\" value=\"");
    page.split(&marker).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}
