//! Who comes in, and who does not: every route of the real router, the login; keys and their bounds in [`keys`].

mod curl;
mod keys;
mod limits;
mod lost;

use std::time::{Duration, Instant};

use genimage::{
    app::{Hub, HubOptions},
    config::{Config, ConfigArgs},
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::any_port;

const KEY: &str = "the-configured-key";
const PASSWORD: &str = "correct horse battery";
/// What answers strangers, and why it may.
const OPEN: [(&str, &str); 8] = [
    ("/healthz", "says that the process lives"),
    ("/livez", "the same"),
    ("/readyz", "says whether the hub is ready, and nothing else: told in `health`"),
    ("/login", "the way in"),
    ("/setup", "the way in, with a token"),
    ("/logout", "never reached without a session: told below"),
    ("/favicon.ico", "of the way in"),
    ("/assets/{*path}", "of the way in"),
];

struct Bed {
    hub: Hub,
    http: Client,
    url: String,
    _folder: TempDir,
}

impl Bed {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = ConfigArgs { config: None, data_dir: Some(folder.path().to_owned()) };
        let mut config = Config::load(&args).unwrap();
        config.server.listen = any_port();
        change(&mut config);
        let hub = Hub::start(&config, &HubOptions { demo: true, ..HubOptions::default() }).await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_mins(1)).build().unwrap();
        let url = hub.url.as_str().trim_end_matches('/').to_owned();
        Self { hub, http, url, _folder: folder }
    }

    /// With a configured key and an account.
    async fn closed() -> Self {
        Self::start(|config| {
            config.auth.api_key = KEY.to_owned().into();
            config.auth.admin_password = PASSWORD.to_owned().into();
        })
        .await
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn with_key(&self, key: &str, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.ask(method, path).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(body);
        }
        told(request.send().await.unwrap()).await
    }

    async fn new_key(&self, settings: &Value) -> String {
        let (status, made) = self.with_key(KEY, Method::POST, "/api/v1/keys", Some(settings)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        made["key"].as_str().unwrap().to_owned()
    }

    async fn login(&self, password: &str) -> Response {
        let form = [("password", password), ("next", "/servers")];
        self.ask(Method::POST, "/login").header("sec-fetch-site", "same-origin").form(&form).send().await.unwrap()
    }

    /// The cookie of a login.
    async fn cookie(&self) -> String {
        let response = self.login(PASSWORD).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], "/servers");
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn page(&self, cookie: &str, path: &str) -> String {
        let request = self.ask(Method::GET, path).header(header::COOKIE, cookie).header(header::ACCEPT, "text/html");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    async fn end(self) {
        self.hub.stop().await.unwrap();
    }
}

async fn told(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn token_in(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form with a token");
    rest.split('"').next().unwrap().to_owned()
}

/// A path of a route with something in place of its parameters.
fn filled(route: &str) -> String {
    let parts = route.split('/').map(|part| match part {
        "{tool}" => "generate_image",
        "{*path}" => "css/base.css",
        part if part.starts_with('{') => "job_0198a3c0000070008000000000000001",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Every route of the real router.
fn routes() -> Vec<String> {
    let edges = ["/mcp", "/legacy/mcp", "/ws/stream/{id}", "/v1/models", "/no/such/route"].map(str::to_owned);
    let mut routes = hub_web::route_paths();
    assert!(routes.len() > 80, "the list of routes is not whole: {}", routes.len());
    routes.extend(edges);
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_strangers_and_none_is_changed_without_a_form_token() {
    let bed = Bed::closed().await;
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    for route in routes() {
        let path = filled(&route);
        for method in &methods {
            for (name, value) in [
                ("accept", "*/*"),
                ("accept", "text/html"),
                ("authorization", "Bearer wrong"),
                ("cookie", "genimage=wrong"),
            ] {
                let response = bed.ask(method.clone(), &path).header(name, value).send().await.unwrap();
                let status = response.status();
                let shown_in = status == StatusCode::SEE_OTHER
                    && response.headers()[header::LOCATION].to_str().unwrap().starts_with("/login");
                let kept_out = status == StatusCode::UNAUTHORIZED || shown_in;
                let open = OPEN.iter().any(|(open, _)| *open == route) && name != "authorization";
                assert!(kept_out || open, "{method} {path} answers {status} to a stranger with {name}: {value}");
                for required in ["x-content-type-options", "content-security-policy", "x-frame-options"] {
                    assert!(response.headers().contains_key(required), "{method} {path} without {required}");
                }
            }
        }
    }
    // Who is logged in: no change without the token of his own page, wherever it comes from.
    let cookie = bed.cookie().await;
    for route in routes() {
        let path = filled(&route);
        for method in methods.iter().filter(|method| !method.is_safe()) {
            let ask = || bed.ask(method.clone(), &path).header(header::COOKIE, &cookie);
            for (request, what) in [
                (ask().header("sec-fetch-site", "same-origin").form(&[("name", "x")]), "without a token"),
                (ask().header("x-csrf-token", "wrong").json(&json!({})), "with a wrong token"),
                (ask().header("sec-fetch-site", "cross-site").form(&[("name", "x")]), "from another site"),
            ] {
                let status = request.send().await.unwrap().status();
                let refused = [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&status);
                assert!(refused, "{method} {path} {what}: {status}");
            }
        }
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_and_origins_are_refused_on_every_edge() {
    let bed = Bed::start(|_| {}).await;
    for path in ["/", "/mcp", "/api/v1/jobs", "/legacy/mcp", "/outputs/x.png", "/healthz"] {
        let host = bed.ask(Method::GET, path).header(header::HOST, "evil.test").send().await.unwrap();
        assert_eq!(host.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
        let origin = bed.ask(Method::POST, path).header(header::ORIGIN, "http://evil.test").send().await.unwrap();
        assert_eq!(origin.status(), StatusCode::FORBIDDEN, "{path}");
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_credential_a_loopback_hub_is_open_and_the_first_account_closes_it() {
    let bed = Bed::start(|_| {}).await;
    for path in ["/", "/access", "/api/v1/keys", "/api/v1/jobs"] {
        assert_eq!(bed.ask(Method::GET, path).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    let form = [("password", PASSWORD), ("again", PASSWORD)];
    let made =
        bed.ask(Method::POST, "/setup").header("sec-fetch-site", "same-origin").form(&form).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::SEE_OTHER);
    let cookie = made.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(bed.ask(Method::GET, "/api/v1/jobs").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    bed.page(&cookie, "/access").await;
    // Once more is not taken, whatever the token.
    let again = bed.ask(Method::POST, "/setup").form(&form).send().await.unwrap();
    assert_eq!(
        (again.status(), again.headers()[header::LOCATION].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/login")
    );
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_alone_the_account_needs_the_token_of_the_log() {
    let bed = Bed::start(|config| config.auth.api_key = KEY.to_owned().into()).await;
    let page = bed.ask(Method::GET, "/").header(header::ACCEPT, "text/html").send().await.unwrap();
    assert_eq!(page.headers()[header::LOCATION], "/setup");
    let form = [("password", PASSWORD), ("again", PASSWORD), ("token", "guessed")];
    let refused = bed.ask(Method::POST, "/setup").form(&form).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.text().await.unwrap().contains("not the setup token"));
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_token_in_the_log_makes_the_account_and_nobody_a_second_one() {
    let folder = tempfile::tempdir().unwrap();
    let start = |log: &std::path::Path| {
        let mut command = crate::hub::serve(&folder.path().join("data"));
        command.env("GENIMAGE_API_KEY", KEY);
        crate::hub::Hub::run_logged(command, log)
    };
    let log = folder.path().join("log");
    let hub = start(&log);
    let said = std::fs::read_to_string(&log).unwrap();
    let (_, told) = said.split_once("with the token ").unwrap_or_else(|| panic!("no token is told: {said}"));
    let token = told.split_whitespace().next().unwrap().to_owned();
    let http = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let set_up = |password: &str| {
        let form = [("password", password), ("again", password), ("token", &token)];
        http.post(format!("{}/setup", hub.url)).header("sec-fetch-site", "same-origin").form(&form).send()
    };
    let made = set_up(PASSWORD).await.unwrap();
    assert_eq!(made.status(), StatusCode::SEE_OTHER);
    let cookie = made.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let access = http.get(format!("{}/access", hub.url)).header(header::COOKIE, &cookie).send().await.unwrap();
    assert_eq!(access.status(), StatusCode::OK);
    let again = set_up("another password of mine").await.unwrap();
    assert_eq!(again.headers()[header::LOCATION], "/login", "the token is used up");
    let login = |password: &str| {
        let form = [("password", password), ("next", "/")];
        http.post(format!("{}/login", hub.url)).header("sec-fetch-site", "same-origin").form(&form).send()
    };
    assert_eq!(login("another password of mine").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(login(PASSWORD).await.unwrap().status(), StatusCode::SEE_OTHER);
    hub.terminate();
    let later = folder.path().join("later");
    start(&later).terminate();
    assert!(!std::fs::read_to_string(&later).unwrap().contains("token"), "with an account there is no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_pressed_twice_shows_the_one_key_both_times() {
    let bed = Bed::closed().await;
    let cookie = bed.cookie().await;
    let token = token_in(&bed.page(&cookie, "/access").await);
    let press = |name: &'static str| {
        let form = [("csrf", token.as_str()), ("name", name), ("scopes", "generate")];
        bed.ask(Method::POST, "/access/keys").header(header::COOKIE, &cookie).form(&form).send()
    };
    let mut shown = Vec::new();
    for answer in <[_; 3]>::from(tokio::join!(press("agent"), press("agent"), press("bot"))) {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        let page = answer.text().await.unwrap();
        let secret = page.split("gih_").map(|after| after.split(['<', '"', '…', ' ']).next().unwrap_or_default());
        shown.push(secret.max_by_key(|text| text.len()).unwrap().to_owned());
    }
    assert!(shown[0].len() > 20 && shown[0] == shown[1] && shown[0] != shown[2], "{shown:?}");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_opens_the_pages_until_the_logout() {
    let bed = Bed::closed().await;
    let wrong = Instant::now();
    let refused = bed.login("wrong horse battery").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(wrong.elapsed() >= Duration::from_millis(200), "{:?}", wrong.elapsed());
    let right = Instant::now();
    let cookie = bed.cookie().await;
    assert!(right.elapsed() >= Duration::from_millis(200), "{:?}", right.elapsed());

    let page = bed.page(&cookie, "/servers").await;
    let token = token_in(&page);
    let add = |token: &str| {
        let form = [("csrf", token), ("name", "gpu-1"), ("base_url", "http://192.0.2.7:8188"), ("auth", "none")];
        bed.ask(Method::POST, "/servers").header(header::COOKIE, &cookie).form(&form).send()
    };
    assert_eq!(add("x").await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(add(&token).await.unwrap().status(), StatusCode::SEE_OTHER, "a form with its token is taken");
    // A form with a file, and a script.
    let file = reqwest::multipart::Part::bytes(b"name,prompt_template\nfoo,bar\n".to_vec()).file_name("s.csv");
    let form = reqwest::multipart::Form::new().text("csrf", token.clone()).part("file", file);
    let imported = bed.ask(Method::POST, "/styles/import").header(header::COOKIE, &cookie).multipart(form);
    assert!(imported.send().await.unwrap().status().is_success());
    let script = bed.ask(Method::POST, "/api/v1/styles").header(header::COOKIE, &cookie).header("x-csrf-token", &token);
    let script = script.json(&json!({"name": "mine", "prompt_template": "x"})).send().await.unwrap();
    assert_eq!(script.status(), StatusCode::CREATED);
    // The edge that looks for no token takes no cookie either.
    let mcp = bed.ask(Method::POST, "/mcp").header(header::COOKIE, &cookie).json(&json!({}));
    assert_eq!(mcp.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    let (_, log) = bed.with_key(KEY, Method::GET, "/api/v1/audit", None).await;
    let acts: Vec<&str> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["act"].as_str().unwrap()).collect();
    // The table was only shown.
    assert_eq!(acts, ["POST /api/v1/styles", "POST /servers", "log in", "log in with a wrong password"]);

    let out = bed.ask(Method::POST, "/logout").header(header::COOKIE, &cookie).form(&[("csrf", &token)]).send().await;
    assert_eq!(out.unwrap().status(), StatusCode::SEE_OTHER);
    let after = bed.ask(Method::GET, "/servers").header(header::COOKIE, &cookie).send().await.unwrap();
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED, "the token is worth nothing any more");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_passwords_has_to_wait() {
    let bed = Bed::closed().await;
    for _ in 0..5 {
        assert_eq!(bed.login("wrong horse battery").await.status(), StatusCode::UNAUTHORIZED);
    }
    let waits = bed.login(PASSWORD).await;
    assert_eq!(waits.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u32 = waits.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    // Keys go on meanwhile.
    assert_eq!(bed.with_key(KEY, Method::GET, "/api/v1/jobs", None).await.0, StatusCode::OK);
    bed.end().await;
}
