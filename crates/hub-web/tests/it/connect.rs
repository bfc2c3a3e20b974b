//! What clients are given to connect, and the test that does what they would do.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use hub_engine::{EngineConfig, UsualPlaces};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::{
    hub::{Answer, Hub, request},
    left_out::left_out,
    markup::{Piece, pieces},
    shell::words,
};

/// Everything that ends a string somewhere.
const ODD_KEY: &str = r#"gih_it's-"odd"-\n-`id`-$(id)-{url}-</code>"#;
const JSON: [&str; 5] = ["claude-desktop", "mcp-json", "vscode", "cursor", "json-of-vscode-command"];
const SHELL: [&str; 6] = ["claude-code", "vscode-command", "curl", "api", "workflow", "llm"];

/// The snippets of a page by their ids, as a person copies them.
pub(crate) fn snippets(page: &Answer) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for piece in pieces(&String::from_utf8_lossy(&page.body)) {
        match piece {
            Piece::Start(tag, attributes) if tag == "code" && attributes.contains_key("id") => {
                found.push((attributes["id"].clone(), String::new()));
                open = attributes["id"] != "mcp-url";
            }
            Piece::End(tag) if tag == "code" => open = false,
            Piece::Text(text) if open => found.last_mut().expect("one is open").1.push_str(&text),
            _ => {}
        }
    }
    found.retain(|(id, _)| id != "mcp-url");
    found
}

/// Whether a program that reads sources takes this one; left out where the program is missing.
fn is_read_by(program: &str, arguments: &[&str], source: &str) {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            left_out(&format!("no {program} reads the snippets: {error}"));
            return;
        }
    };
    child.stdin.take().expect("piped").write_all(source.as_bytes()).expect("it reads");
    let said = child.wait_with_output().expect("it ends");
    assert!(said.status.success(), "{program}: {}\n{source}", String::from_utf8_lossy(&said.stderr));
}

/// Holds every snippet to the rules of its language, and to the key that must be in it.
fn check(page: &Answer, key: Option<&str>) {
    let all = snippets(page);
    let ids: Vec<&str> = all.iter().map(|(id, _)| id.as_str()).collect();
    for needed in SHELL.iter().chain(&JSON[..4]).chain(&["open-webui", "python", "typescript"]) {
        assert!(ids.contains(needed), "{needed} is missing among {ids:?}");
    }
    for (id, text) in &all {
        assert!(text.contains("http://hub.test:8001"), "{id} names no hub: {text}");
        assert_eq!(text.contains("Bearer") || text.contains("GENIMAGE_API_KEY"), key.is_some(), "{id}: {text}");
        let id = id.as_str();
        if JSON.contains(&id) {
            check_json(id, text, key);
        } else if SHELL.contains(&id) {
            is_read_by("bash", &["-n"], text);
        }
    }
    let text = |id: &str| &all.iter().find(|(known, _)| known == id).expect("there").1;
    let header = key.map(|key| format!("Authorization: Bearer {key}"));
    if let Some(words) = words(text("claude-code")) {
        let header = header.iter().flat_map(|header| ["--header", header]);
        let wanted = ["mcp", "add", "--transport", "http", "genimage", "http://hub.test:8001/mcp"];
        assert_eq!(words, wanted.into_iter().chain(header).collect::<Vec<_>>());
    }
    if let Some(words) = words(text("vscode-command")) {
        assert_eq!(words[0], "--add-mcp");
        check_json("json-of-vscode-command", &words[1], key);
    }
    if let Some(words) = words(text("curl")) {
        let given = words.iter().find(|word| word.starts_with("Authorization"));
        assert_eq!(given, header.as_ref());
        let body: Value = serde_json::from_str(words.last().expect("a body")).expect("JSON");
        assert_eq!(body["method"], "tools/call");
    }
    if let Some(key) = key {
        assert!(text("open-webui").ends_with(&format!("Key: {key}")), "{}", text("open-webui"));
    }
    let compile = "import sys; compile(sys.stdin.read(), 'snippet', 'exec')";
    is_read_by("python3", &["-c", compile], text("python"));
    is_read_by("node", &["--input-type=module", "--check", "-"], text("typescript"));
}

fn check_json(id: &str, text: &str, key: Option<&str>) {
    let read: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{id}: {error}: {text}"));
    let server = match id {
        "vscode" => &read["servers"]["genimage"],
        "json-of-vscode-command" => &read,
        _ => &read["mcpServers"]["genimage"],
    };
    let bearer = key.map_or(Value::Null, |key| format!("Bearer {key}").into());
    if id == "claude-desktop" {
        assert_eq!(server["args"], json!(["mcp", "--hub", "http://hub.test:8001"]));
        assert_eq!(server["env"]["GENIMAGE_API_KEY"], json!(key));
    } else {
        assert_eq!(server["url"], "http://hub.test:8001/mcp", "{id}");
        assert_eq!(server["headers"]["Authorization"], bearer, "{id}");
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[tokio::test]
async fn snippets_hold_a_key_exactly_when_the_hub_asks_for_one() {
    let hub = Hub::empty().await;
    check(&hub.page("/connect").await, None);
    check(&hub.form("/connect", &form(&[("key", ODD_KEY)])).await, None);
    hub.json("POST", "/api/v1/keys", &json!({ "name": "agent" })).await;
    check(&hub.page("/connect").await, Some("YOUR_KEY"));
    check(&hub.form("/connect", &form(&[("key", ODD_KEY)])).await, Some(ODD_KEY));
}

#[tokio::test]
async fn a_key_that_is_typed_is_put_nowhere_but_into_the_snippets() {
    let hub = Hub::empty().await;
    let made = hub.json("POST", "/api/v1/keys", &json!({ "name": "agent" })).await.json();
    let key = made["key"].as_str().expect("a key").to_owned();
    for path in ["/connect", "/connect/test"] {
        let page = hub.form(path, &form(&[("key", &key)])).await;
        assert_eq!((page.status, page.header("cache-control")), (StatusCode::OK, "no-store"));
        let html = String::from_utf8_lossy(&page.body).into_owned();
        for piece in pieces(&html) {
            if let Piece::Start(tag, attributes) = piece {
                assert!(!attributes.values().any(|value| value.contains(&key)), "{tag} {attributes:?}");
            }
        }
        assert!(html.contains(&key) && html.contains("autocomplete=\"off\""), "{path}");
    }
    let log = hub.page("/access/log").await.text();
    assert!(!log.contains("POST /connect") && !log.contains(&key), "a test changes nothing: {log}");
    let refused = hub.form("/connect/test", "key=two+words").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("id=\"key-fault\"") && !refused.text().contains("two words"));
}

/// What listens instead of a hub, and how often it was asked.
async fn listener(answer: fn(&header::HeaderMap, &Value) -> Response) -> (Url, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = async move |request: Request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 100_000).await.expect("a body");
        answer(&parts.headers, &serde_json::from_slice(&body).unwrap_or_default())
    };
    let router = Router::new().route("/mcp", post(answer.clone()).delete(answer));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

/// Answers as the guard and the MCP edge of a hub do, in a session and in streams.
fn like_a_hub(headers: &header::HeaderMap, message: &Value) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value != "Bearer gih_good") {
        let problem = json!({ "status": 401, "detail": "the API key is revoked" });
        return (StatusCode::UNAUTHORIZED, Json(problem)).into_response();
    }
    let result = match message["method"].as_str() {
        Some("initialize") => json!({ "protocolVersion": "2025-11-25", "capabilities": {} }),
        Some("tools/list") if headers.contains_key("mcp-session-id") => {
            json!({ "tools": [{ "name": "generate_image" }, { "name": "<b>describe" }] })
        }
        Some("tools/list") => return StatusCode::BAD_REQUEST.into_response(),
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    let stream = format!("id: 0\ndata:\n\nevent: message\ndata: {answer}\n\n");
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::HeaderName::from_static("mcp-session-id"), "s")], stream)
        .into_response()
}

async fn hub_that_listens_at(url: Option<Url>) -> Hub {
    let usual_places = UsualPlaces { comfyui: Vec::new(), ollama: Vec::new() };
    let hub = Hub::with_config(EngineConfig { usual_places, listen_url: url, ..EngineConfig::default() }).await;
    hub.json("POST", "/api/v1/keys", &json!({ "name": "agent" })).await;
    hub
}

#[tokio::test]
async fn the_test_lists_the_tools_or_tells_the_reason() {
    let (url, _) = listener(like_a_hub).await;
    let hub = hub_that_listens_at(Some(url.clone())).await;
    let page = hub.form("/connect/test", "key=gih_good").await.text();
    assert!(page.contains(&format!("{url}mcp answers with 2 tools")), "{page}");
    assert!(page.contains("<code>generate_image</code>") && page.contains("&lt;b&gt;describe"), "{page}");
    for form in ["key=gih_bad", "key="] {
        let page = hub.form("/connect/test", form).await.text();
        assert!(page.contains("mcp refuses with 401: the API key is revoked"), "{page}");
    }
}

#[tokio::test]
async fn the_test_tells_what_is_no_hub_and_what_is_not_there() {
    let (url, _) = listener(|_, _| "hello".into_response()).await;
    let page = hub_that_listens_at(Some(url)).await.form("/connect/test", "key=gih_good").await.text();
    assert!(page.contains("answers, but not as a hub does: what it answers is no message of MCP"), "{page}");

    let closed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let page = hub_that_listens_at(url.parse().ok()).await.form("/connect/test", "").await.text();
    assert!(page.contains(&format!("does not reach itself at {url}/mcp: ")), "{page}");

    let page = hub_that_listens_at(None).await.form("/connect/test", "").await.text();
    assert!(page.contains("knows no address of its own"), "{page}");
}

#[tokio::test]
async fn the_test_asks_the_hub_itself_whatever_the_request_says() {
    let (url, asked) = listener(like_a_hub).await;
    let (other, knocked) = listener(like_a_hub).await;
    let hub = hub_that_listens_at(Some(url)).await;
    let host = format!("127.0.0.1:{}", other.port().expect("a port"));
    let sent = request("POST", "/connect/test")
        .header(header::ACCEPT, "text/html")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("key=gih_good"));
    let mut sent = sent.expect("a request");
    sent.headers_mut().insert(header::HOST, host.parse().expect("a host"));
    let page = hub.send(sent).await.text();
    assert!(page.contains("answers with 2 tools") && page.contains(&host), "{page}");
    assert!(asked.load(Ordering::Relaxed) >= 3);
    assert_eq!(knocked.load(Ordering::Relaxed), 0, "another place was asked");
}
