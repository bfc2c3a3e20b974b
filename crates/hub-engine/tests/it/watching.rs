//! What the hub sees of its servers: restarts, others' work, credentials, alerts.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hub_core::server::{NewServer, SecretSource, ServerAuth, ServerState};
use hub_engine::{AlertKind, StageName, StageOutcome};
use hub_sim::{ComfyConfig, ComfySim, Fault, SimAuth};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{TestEngine, servers, until};

const TOKEN: &str = "$2b$12$abcdefghijklmnopqrstuv";

fn literal(secret: &str) -> SecretSource {
    SecretSource::Literal(secret.to_owned())
}

async fn sim(config: ComfyConfig) -> ComfySim {
    ComfySim::start(SocketAddr::from(([127, 0, 0, 1], 0)), ComfyConfig { run_ms: 60, ..config }).await.unwrap()
}

/// The only server of an engine, behind a door.
async fn guarded(
    sim_auth: SimAuth,
    auth: ServerAuth,
    change: impl FnOnce(&mut hub_core::server::Server),
) -> TestEngine {
    let mut test = servers(0).start().await;
    let sim = sim(ComfyConfig { auth: Some(sim_auth), ..ComfyConfig::default() }).await;
    let mut new = NewServer::named("gpu-1", sim.url().parse().unwrap());
    new.auth = auth;
    test.engine.server_add(new).await.unwrap();
    test.sims.push(sim);
    test.change_server(0, change).await;
    test
}

async fn until_state(test: &TestEngine, state: ServerState) {
    test.until(state.as_str(), || test.engine.servers()[0].state == state).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_credentials_opens_its_door_for_calls_and_events() {
    let own = |name: &str, value: &str| (name.to_owned(), literal(value));
    let header = |value: &str| SimAuth::Header { name: "X-API-Key".to_owned(), value: value.to_owned() };
    for (door, key) in [
        (
            SimAuth::Basic { username: "u".to_owned(), password: "p".to_owned() },
            ServerAuth::Basic { user: "u".to_owned(), password: literal("p") },
        ),
        (SimAuth::Bearer { token: "t".to_owned() }, ServerAuth::Bearer { token: literal("t") }),
        (header("k"), ServerAuth::ApiKey { header: "X-API-Key".to_owned(), key: literal("k") }),
        (header("k"), ServerAuth::Headers { headers: vec![own("X-Other", "o"), own("x-api-key", "k")] }),
        (SimAuth::login(TOKEN, "s3cret"), ServerAuth::Bearer { token: literal(TOKEN) }),
    ] {
        let test = guarded(door.clone(), key, |_| {}).await;
        // Ready means that the event socket is open too.
        until_state(&test, ServerState::Ready).await;
        test.success(test.generate_sampled("a").await).await;
        assert!(test.live(0).warnings.is_empty());

        let stranger = guarded(door, ServerAuth::None, |_| {}).await;
        until_state(&stranger, ServerState::Unauthorized).await;
        assert!(stranger.engine.servers()[0].reason.as_deref().unwrap().contains("401"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_behind_a_cors_header_wants_its_origin() {
    let door = |cors: &str| SimAuth::ComfyLogin {
        token: TOKEN.to_owned(),
        password: "s3cret".to_owned(),
        guest: false,
        cors: Some(cors.to_owned()),
    };
    let key = || ServerAuth::Bearer { token: literal(TOKEN) };
    let test = guarded(door("https://hub.example"), key(), |_| {}).await;
    until_state(&test, ServerState::Unauthorized).await;
    test.change_server(0, |server| server.origin = Some("https://hub.example".to_owned())).await;
    until_state(&test, ServerState::Ready).await;
    test.success(test.generate("a").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_warned_that_nothing_can_be_cancelled() {
    let door = "guest:secret-token".parse().unwrap();
    let test = guarded(door, ServerAuth::Bearer { token: literal("outdated") }, |_| {}).await;
    until_state(&test, ServerState::Ready).await;
    assert!(test.live(0).warnings[0].contains("guest"), "{:?}", test.live(0).warnings);
    test.success(test.generate("a").await).await;
    let answer = test.engine.server_test(test.server_id(0)).await.unwrap();
    let authorised = answer.stages.iter().find(|stage| stage.name == StageName::Authorised).unwrap();
    assert_eq!((answer.ok, authorised.outcome), (true, StageOutcome::Warning));
    test.change_server(0, |server| server.auth = ServerAuth::Bearer { token: literal("secret-token") }).await;
    test.until("it is no guest any more", || test.live(0).last_seen.is_some() && test.live(0).warnings.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_is_read_again_and_costs_no_job() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "first").unwrap();
    let key = ServerAuth::Bearer { token: SecretSource::File(file.path().display().to_string()) };
    let test = guarded(SimAuth::Bearer { token: "first".to_owned() }, key, |_| {}).await;
    until_state(&test, ServerState::Ready).await;
    let alerts = test.engine.alerts();
    std::fs::write(file.path(), "second\n").unwrap();
    test.sims[0].set_auth(Some(SimAuth::Bearer { token: "second".to_owned() }));
    let view = test.success(test.generate_sampled("a").await).await;
    assert!(view.job.attempts <= 2, "{}", view.job.attempts);
    assert!(alerts.is_empty(), "nobody needs to know");

    // Not rotated in time: unauthorized, not down; and well again when the file follows.
    test.sims[0].set_auth(Some(SimAuth::Bearer { token: "third".to_owned() }));
    until_state(&test, ServerState::Unauthorized).await;
    std::fs::write(file.path(), "third\n").unwrap();
    until_state(&test, ServerState::Ready).await;
    let kinds: Vec<AlertKind> = test.engine.recent_alerts().iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, [AlertKind::ServerUnauthorized], "being back follows when it is quiet");
    for alert in test.engine.recent_alerts() {
        assert!(!["first", "second", "third"].iter().any(|secret| alert.message.contains(secret)), "{alert:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_is_told_from_a_socket_that_dropped() {
    let mut test = servers(1).run_ms(200).start().await;
    test.success(test.generate_sampled("a").await).await;
    assert_eq!(test.live(0).epoch, 0);
    assert_eq!(test.live(0).loaded, ["v1-5-pruned-emaonly-fp16.safetensors"]);
    test.sims[0].inject(Fault::DropSocket);
    test.success(test.generate_sampled("b").await).await;
    test.until("a new socket is open", || test.sims[0].stats().ws_connections == 2).await;
    test.until("its history was looked at", || test.sims[0].stats().requests_by_route.contains_key("GET /history"))
        .await;
    assert_eq!(test.live(0).epoch, 0, "it remembers what it did");

    test.sims[0].inject(Fault::RestartEmpty);
    test.success(test.generate_sampled("c").await).await;
    test.until("the quick restart is seen", || test.live(0).epoch >= 1).await;
    let before = test.live(0).epoch;
    test.sims[0].kill().await;
    until_state(&test, ServerState::Down).await;
    test.sims[0].restart().await;
    until_state(&test, ServerState::Ready).await;
    assert!(test.live(0).epoch > before && test.live(0).loaded.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_and_others_work_are_seen() {
    let test = servers(1).start().await;
    let live = test.live(0);
    let info = live.info.unwrap();
    assert_eq!((info.version.as_deref(), info.devices[0].kind.as_str()), (Some("0.33.0"), "cuda"));
    assert!(info.devices[0].vram_total_bytes > info.devices[0].vram_free_bytes);
    assert!(info.python.is_some() && info.pytorch.is_some() && live.last_seen.is_some());
    assert_eq!((live.foreign.count, live.breaker.open), (0, false));
    let graph: serde_json::Value =
        serde_json::from_str(include_str!("../../../../workflows/txt2img-sd15.json")).unwrap();
    let body = serde_json::json!({ "prompt": graph, "client_id": "somebody" }).to_string();
    // It does not end before it was seen.
    test.sims[0].inject(Fault::Hold);
    post(test.sims[0].addr(), "/prompt", &body).await;
    test.until("the stranger's prompt is seen", || test.live(0).foreign.count == 1).await;
    test.sims[0].clear_faults();
    test.until("it is done", || test.live(0).foreign.count == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_come_and_go_are_told_to_people_and_to_the_webhook() {
    let hook = Hook::start().await;
    let url = format!("http://{}/hook", hook.address);
    let mut test = servers(2)
        .config(|config| {
            config.alerts.allowed_hosts = vec!["127.0.0.1".to_owned()];
            config.alerts.quiet = Duration::from_millis(300);
            config.alerts.retry_pause = Duration::from_millis(20);
        })
        .start()
        .await;
    assert!(test.engine.recent_alerts().is_empty(), "a start is no news");
    // Set while it runs.
    let set = serde_json::json!({ "alerts.webhook_url": url });
    let set = set.as_object().unwrap();
    test.engine.settings_change(set, false, |_| Ok(())).await.unwrap();
    let mut alerts = test.engine.alerts();
    test.sims[0].kill().await;
    let lost = alerts.recv().await.unwrap();
    assert_eq!((lost.kind, lost.name.as_str(), lost.server), (AlertKind::ServerLost, "gpu-1", test.server_id(0)));
    test.sims[0].restart().await;
    assert_eq!(alerts.recv().await.unwrap().kind, AlertKind::ServerBack);
    // The first post was answered 503, and is repeated.
    let told = || hook.bodies.lock().unwrap().iter().filter(|body| body.contains("server_lost")).count();
    until("both are posted", || told() == 2 && hook.bodies.lock().unwrap().len() == 3, || format!("{:?}", hook.bodies))
        .await;
    let body: serde_json::Value = serde_json::from_str(&hook.bodies.lock().unwrap()[1]).unwrap();
    assert_eq!((&body["kind"], &body["name"], &body["sequence"]), (&"server_lost".into(), &"gpu-1".into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_job_after_job_rests_and_is_told() {
    // It rests until it is looked at, however late that is.
    let test = servers(2).config(|config| config.breaker_pause = Duration::from_hours(1)).start().await;
    test.sims[0]
        .inject(Fault::Http { route: "POST /prompt".to_owned(), status: 500, body: "oops".to_owned() }.always());
    test.change_server(1, |server| server.weight = 0.01).await;
    let mut alerts = test.engine.alerts();
    for prompt in ["a", "b", "c"] {
        test.success(test.generate(prompt).await).await;
    }
    assert_eq!(alerts.recv().await.unwrap().kind, AlertKind::BreakerOpened);
    let breaker = test.live(0).breaker;
    assert!(breaker.open && breaker.failures >= 3 && breaker.retry_in_s.is_some(), "{breaker:?}");
}

/// Posts without an HTTP client, as a stranger would.
async fn post(address: SocketAddr, path: &str, body: &str) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Takes posts; answers the first with 503.
struct Hook {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Hook {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, bodies) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let kept = bodies.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !text.contains('}') {
                    let read = stream.read(&mut buffer).await.unwrap();
                    text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                }
                let first = {
                    let mut bodies = kept.lock().unwrap();
                    bodies.push(text.split("\r\n\r\n").nth(1).unwrap().to_owned());
                    bodies.len() == 1
                };
                let status = if first { "503 Busy" } else { "204 Fine" };
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, bodies }
    }
}
