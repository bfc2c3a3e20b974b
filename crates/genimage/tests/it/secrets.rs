//! Planted secrets: nowhere in logs, files, exports, pages, answers and errors; and their key can be replaced.

mod rows;

use std::{io::Read as _, path::Path, process::Stdio, time::Duration};

use hub_sim::{ComfyConfig, ComfySim, Fault, SimAuth};
use reqwest::{Client, header};
use serde_json::{Value, json};

use self::rows::Rows;
use crate::{
    bed::any_port,
    hub::{Edge, Hub, PATIENCE, genimage, serve},
};

/// In every place where a secret can be put, one that is seen wherever it shows.
const PLANTED: [&str; 8] = [
    "planted-bearer-token",
    "planted-basic-password",
    "planted-header-value",
    "planted-llm-key",
    "planted-configured-key",
    "planted-admin-password",
    "planted-address-password",
    WEBHOOK,
];
/// In the address for alerts.
const WEBHOOK: &str = "planted-webhook-token";
/// Where it is set, and shown for that: to admins alone. What keeps it is told of below.
const SHOW_WEBHOOK: [&str; 3] = ["/settings", "/api/v1/settings", "/api/v1/backup"];
/// Longest time that a stream is listened to for something it may never say.
const HEARD_FOR: Duration = Duration::from_millis(500);

fn found_in(place: &str, text: &[u8]) {
    for secret in PLANTED {
        let shows = text.windows(secret.len()).any(|window| window == secret.as_bytes());
        let known = secret == WEBHOOK && (SHOW_WEBHOOK.contains(&place) || place.contains("hub.db"));
        assert!(!shows || known, "{secret} shows in {place}");
    }
}

/// All files below a folder.
fn files(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// The hub with the key that was configured.
fn entered(hub: &Edge) -> Edge {
    let mut headers = header::HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {}", PLANTED[4]).parse().unwrap());
    let http = Client::builder().timeout(PATIENCE).default_headers(headers).build().unwrap();
    Edge { url: hub.url.clone(), http }
}

/// Status, headers and body; of a stream, what it says at first.
async fn seen(edge: &Edge, path: &str, accept: &str) -> (u16, Vec<u8>) {
    let request = edge.http.get(format!("{}{path}", edge.url)).header(header::ACCEPT, accept);
    let mut response = request.send().await.unwrap();
    let mut text = format!("{:?}", response.headers()).into_bytes();
    let streams = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    while let Ok(Some(chunk)) =
        tokio::time::timeout(if streams { HEARD_FOR } else { PATIENCE }, response.chunk()).await.map(Result::unwrap)
    {
        text.extend_from_slice(&chunk);
    }
    (response.status().as_u16(), text)
}

async fn sent(edge: &Edge, method: reqwest::Method, path: &str, body: &Value) -> (u16, Vec<u8>) {
    let response = edge.http.request(method, format!("{}{path}", edge.url)).json(body).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

async fn post(edge: &Edge, path: &str, body: &Value) -> (u16, Vec<u8>) {
    sent(edge, reqwest::Method::POST, path, body).await
}

/// Servers with secrets: nobody is at the first three, `gpu` takes its token, `strict` wants another.
async fn plant_servers(hub: &Edge, gpu: &ComfySim, strict: &ComfySim) {
    let bearer = json!({"kind": "bearer", "token": PLANTED[0]});
    for (name, url, auth) in [
        ("s0", "http://127.0.0.1:1".to_owned(), &bearer),
        ("s1", "http://127.0.0.1:2".to_owned(), &json!({"kind": "basic", "user": "u", "password": PLANTED[1]})),
        ("s2", "http://127.0.0.1:3".to_owned(), &json!({"kind": "headers", "headers": [["X-A", PLANTED[2]]]})),
        ("gpu", gpu.url(), &bearer),
        ("strict", strict.url(), &bearer),
    ] {
        let body = json!({"name": name, "base_url": url, "auth": auth});
        let (status, answer) = post(hub, "/api/v1/servers", &body).await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
        found_in("the answer to a server", &answer);
        // Faults quote what was given, but never this.
        let mut wrong = body.clone();
        for (field, value) in [
            ("base_url", json!("no address")),
            ("base_url", json!(format!("http://u:{}@127.0.0.1:9", PLANTED[6]))),
            ("nonsense", json!(1)),
        ] {
            wrong[field] = value;
            found_in("an error", &post(hub, "/api/v1/servers", &wrong).await.1);
        }
        for (path, body) in [("test", json!({})), ("refresh", json!({}))] {
            found_in(path, &post(hub, &format!("/api/v1/servers/{name}/{path}"), &body).await.1);
        }
    }
    let told = hub.wait_for("/api/v1/servers", |told| {
        let state = |name: &str, state: &str| {
            told["servers"].as_array().unwrap().iter().any(|server| server["name"] == name && server["state"] == state)
        };
        state("gpu", "ready") && state("strict", "unauthorized")
    });
    found_in("the servers", told.await.to_string().as_bytes());
}

/// An LLM server with a key, in every role; a call of it that fails.
async fn plant_llm(hub: &Edge) {
    let llm = json!({"name": "secretive", "base_url": "http://127.0.0.1:9", "api_key": PLANTED[3]});
    assert_eq!(post(hub, "/api/v1/llm-servers", &llm).await.0, 201);
    for role in ["enhance", "describe", "prompt_generator"] {
        let role = format!("/api/v1/llm-roles/{role}");
        let (status, answer) = sent(hub, reqwest::Method::PUT, &role, &json!({"server": "secretive"})).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        found_in("the answer to a role", &answer);
    }
    let result = hub.call("generate_prompt", &json!({"description": "a cat"})).await;
    found_in("a call of the LLM", result.to_string().as_bytes());
}

/// An address for alerts that has a secret in it, of somebody who takes none.
async fn plant_webhook(hub: &Edge, receiver: &ComfySim) {
    let address = json!({"alerts.webhook_url": format!("{}/{WEBHOOK}", receiver.url())});
    let (status, answer) = sent(hub, reqwest::Method::PATCH, "/api/v1/settings", &address).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
}

/// A job that `gpu` did, and another that failed there.
async fn plant_work(hub: &Edge, gpu: &ComfySim) -> [String; 2] {
    let made = hub.submit(&json!({"prompt": "a cat", "render_type": "smoke", "enhance": false})).await;
    hub.wait_for_state(&made, &["succeeded"]).await;
    let odd = Fault::ExecutionError { node: None, exception_type: "ValueError".into(), message: "no dogs".into() };
    gpu.inject(odd.containing("a dog"));
    let failed = hub.submit(&json!({"prompt": "a dog", "render_type": "smoke", "enhance": false})).await;
    hub.wait_for_state(&failed, &["failed"]).await;
    [made, failed]
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_show_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (log, data) = (folder.path().join("log"), folder.path().join("data"));
    let mut command = serve(&data);
    command.env("GENIMAGE_API_KEY", PLANTED[4]).env("GENIMAGE_ADMIN_PASSWORD", PLANTED[5]);
    // The receiver of alerts is on this machine.
    command.env("RUST_LOG", "debug").env("GENIMAGE__ALERTS__ALLOW_PRIVATE", "true");
    let hub = Hub::run_logged(command, &log);
    let inside = entered(&hub);
    let (gpu, strict) = tokio::join!(
        ComfySim::start(any_port(), ComfyConfig::default()),
        ComfySim::start(any_port(), ComfyConfig::default())
    );
    let (gpu, strict) = (gpu.unwrap(), strict.unwrap());
    gpu.set_auth(Some(SimAuth::Bearer { token: PLANTED[0].to_owned() }));
    strict.set_auth(Some(SimAuth::Bearer { token: "another".to_owned() }));
    plant_webhook(&inside, &gpu).await;
    plant_servers(&inside, &gpu, &strict).await;
    plant_llm(&inside).await;
    let (_, made) = post(&inside, "/api/v1/keys", &json!({"name": "bot"})).await;
    let made: Value = serde_json::from_slice(&made).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    let jobs = plant_work(&inside, &gpu).await;
    let rows = Rows::of(&inside, jobs).await;
    let (mut seen_well, mut refused) = (0, Vec::new());
    for path in hub_web::route_paths().iter().flat_map(|route| rows.filled(route)) {
        for accept in ["text/html", "application/json"] {
            let (status, text) = seen(&inside, &path, accept).await;
            // Nobody is there to tell its models, and no run was a trial: the errors are looked at like everything else.
            let known =
                (status == 503 && path.ends_with("/models")) || (status == 404 && path.contains("/test-run/live"));
            if ![200, 405].contains(&status) && !known {
                refused.push(format!("{path} as {accept}: {status}"));
            }
            found_in(&path, &text);
            assert!(!String::from_utf8_lossy(&text).contains(&key), "the key of bot shows at {path}");
            seen_well += usize::from(status == 200);
        }
    }
    assert!(refused.is_empty(), "no page or answer:\n{}", refused.join("\n"));
    assert!(seen_well > 150, "only {seen_well} pages and answers were looked at");
    found_in("the tests of servers", &post(&inside, "/api/v1/servers/test", &json!({})).await.1);
    hub.terminate();

    for arguments in [&["config", "export"][..], &["config", "export", "--with-secrets"]] {
        let mut command = genimage();
        command.args(arguments).arg("--data-dir").arg(&data).env("GENIMAGE_PASSPHRASE", "a passphrase of tests");
        let exported = command.output().unwrap();
        assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
        found_in("the export", &exported.stdout);
    }
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(told.contains("it refuses it with "), "no alert was posted");
    found_in("the log", told.as_bytes());
    let mut all = Vec::new();
    files(&data, &mut all);
    assert!(all.iter().any(|path| path.ends_with("hub.db")), "{all:?}");
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        found_in(&path.display().to_string(), &bytes);
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "a key in {}", path.display());
    }
}

#[test]
fn the_key_is_the_users_alone_and_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &[]);
    let rotate = || {
        genimage().args(["secrets", "rotate", "--data-dir"]).arg(folder.path()).stdout(Stdio::piped()).output().unwrap()
    };
    assert!(!rotate().status.success(), "a hub runs on it");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server =
        json!({"name": "gpu", "base_url": "http://127.0.0.1:9", "auth": {"kind": "bearer", "token": "hunter2"}});
    assert_eq!(runtime.block_on(hub.post("/api/v1/servers", &server)).0, 201);
    hub.terminate();

    let path = folder.path().join("secret.key");
    let before = std::fs::read_to_string(&path).unwrap();
    let rotated = rotate();
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    assert!(String::from_utf8_lossy(&rotated.stdout).starts_with("1 secrets"));
    let after = std::fs::read_to_string(&path).unwrap();
    assert_ne!(before, after);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let hub = Hub::start(folder.path(), &[]);
    let told = runtime.block_on(hub.get("/api/v1/servers/gpu"));
    assert_eq!(told["auth"]["secret_set"], true, "{told}");
    hub.terminate();

    // With a key that is another, the hub says what is missing and changes nothing.
    std::fs::write(&path, &before).unwrap();
    let output = serve(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("GENIMAGE_SECRET_KEY"), "{said}");
    std::fs::write(&path, &after).unwrap();
    Hub::start(folder.path(), &[]).terminate();
    let mut database = Vec::new();
    std::fs::File::open(folder.path().join("hub.db")).unwrap().read_to_end(&mut database).unwrap();
    assert!(!database.windows(7).any(|window| window == b"hunter2"));
}
