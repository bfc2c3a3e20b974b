//! Planted secrets: nowhere in logs, files, exports, pages, answers and errors; and their key can be replaced.

use std::{io::Read as _, path::Path, process::Stdio};

use serde_json::{Value, json};

use crate::hub::{Edge, Hub, genimage, serve};

/// In every place where a secret can be put, one that is seen wherever it shows.
const PLANTED: [&str; 6] = [
    "planted-bearer-token",
    "planted-basic-password",
    "planted-header-value",
    "planted-llm-key",
    "planted-configured-key",
    "planted-admin-password",
];

fn found_in(place: &str, text: &[u8]) {
    for secret in PLANTED {
        let shows = text.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!shows, "{secret} shows in {place}");
    }
}

/// All files below a folder.
fn files(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

async fn get(edge: &Edge, path: &str) -> (u16, Vec<u8>) {
    let request = edge.http.get(format!("{}{path}", edge.url)).bearer_auth(PLANTED[4]).header("accept", "text/html");
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

async fn post(edge: &Edge, path: &str, body: &Value) -> (u16, Vec<u8>) {
    let request = edge.http.post(format!("{}{path}", edge.url)).bearer_auth(PLANTED[4]).json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_show_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = folder.path().join("data");
    let mut command = serve(&data);
    command.args(["--demo"]).env("GENIMAGE_API_KEY", PLANTED[4]).env("GENIMAGE_ADMIN_PASSWORD", PLANTED[5]);
    command.env("RUST_LOG", "debug");
    let hub = Hub::run_logged(command, &log);
    let auths = [
        json!({"kind": "bearer", "token": PLANTED[0]}),
        json!({"kind": "basic", "user": "u", "password": PLANTED[1]}),
        json!({"kind": "headers", "headers": [["X-A", PLANTED[2]]]}),
    ];
    for (at, auth) in auths.iter().enumerate() {
        let body = json!({"name": format!("s{at}"), "base_url": format!("http://127.0.0.1:{}", at + 1), "auth": auth});
        let (status, answer) = post(&hub, "/api/v1/servers", &body).await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
        found_in("the answer to a server", &answer);
        // Faults quote what was given, but never this.
        let mut wrong = body.clone();
        wrong["base_url"] = json!("no address");
        found_in("an error", &post(&hub, "/api/v1/servers", &wrong).await.1);
        wrong["nonsense"] = json!(1);
        found_in("an error", &post(&hub, "/api/v1/servers", &wrong).await.1);
    }
    let llm = json!({"name": "secretive", "base_url": "http://127.0.0.1:9", "api_key": PLANTED[3]});
    assert_eq!(post(&hub, "/api/v1/llm-servers", &llm).await.0, 201);
    let (_, made) = post(&hub, "/api/v1/keys", &json!({"name": "bot"})).await;
    let made: Value = serde_json::from_slice(&made).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    post(&hub, "/api/v1/jobs", &json!({"tool": "generate_image", "arguments": {"prompt": "a cat"}})).await;
    let mut seen = 0;
    for route in hub_web::route_paths().into_iter().filter(|route| !route.contains('{')) {
        if ["/live", "/jobs/live", "/servers/live", "/api/v1/events"].contains(&route.as_str()) {
            continue;
        }
        let (status, body) = get(&hub, &route).await;
        found_in(&route, &body);
        assert!(!String::from_utf8_lossy(&body).contains(&key), "the key of bot shows at {route}");
        seen += usize::from(status == 200);
    }
    assert!(seen > 25, "only {seen} pages and answers were looked at");
    found_in("the tests of servers", &post(&hub, "/api/v1/servers/test", &json!({})).await.1);
    hub.terminate();

    let exported = genimage().args(["config", "export", "--data-dir"]).arg(&data).output().unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    found_in("the export", &exported.stdout);
    found_in("the log", &std::fs::read(&log).unwrap());
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
