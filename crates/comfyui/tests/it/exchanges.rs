//! Every recorded exchange of every file: the client reads the answer, or gives the right reason why not.

use bytes::Bytes;
use comfyui::wire::{FileKind, Media};
use comfyui::{
    Auth, Client, Error, ErrorKind, HistoryStatus, MissingResource, OutputFile, RejectionKind, Submission, SubmitError,
};
use serde_json::{Value, json};
use uuid::Uuid;

use axum::Router;
use axum::extract::Request;
use axum::http::header;

use crate::fixtures::{self, VERSIONS};
use crate::recordings::{Replay, respond};
use crate::server::Server;

/// How a call ended, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Understood.
    Read,
    /// Understood as "there is no such thing here".
    Absent,
    /// Refused for this reason.
    Failed(ErrorKind),
    /// The graph was refused.
    Rejected,
    /// A part of the graph was refused.
    Partial,
    /// The prompt may be queued.
    Unknown,
}

fn verdict<T>(result: Result<T, Error>) -> Verdict {
    match result {
        Ok(_) => Verdict::Read,
        Err(error) => Verdict::Failed(error.kind()),
    }
}

fn optional<T>(result: Result<Option<T>, Error>) -> Verdict {
    match result {
        Ok(None) => Verdict::Absent,
        other => verdict(other),
    }
}

fn picture() -> OutputFile {
    OutputFile {
        filename: "red.png".to_owned(),
        subfolder: String::new(),
        kind: FileKind::Input,
        media: Media::Image,
        format: None,
    }
}

async fn submit(client: &Client) -> Result<comfyui::Submitted, SubmitError> {
    client.submit(&Submission::new(&fixtures::graph("txt2img_sd15"), Uuid::new_v4(), "c")).await
}

async fn submitted(client: &Client) -> Verdict {
    match submit(client).await {
        Ok(_) => Verdict::Read,
        Err(SubmitError::Rejected(rejection)) => {
            assert!(!rejection.message.is_empty());
            Verdict::Rejected
        }
        Err(SubmitError::PartiallyAccepted { .. }) => Verdict::Partial,
        Err(SubmitError::TooLarge) => Verdict::Failed(ErrorKind::TooLarge),
        Err(SubmitError::Unknown(_)) => Verdict::Unknown,
        Err(SubmitError::Unauthorized(error) | SubmitError::NotSent(error)) => Verdict::Failed(error.kind()),
    }
}

/// The client's call for a recorded request; `None` for requests it never makes.
async fn call(client: &Client, request: &Value) -> Option<Verdict> {
    let method = request["method"].as_str().unwrap();
    let path = request["path"].as_str().unwrap();
    // Ranges and revalidation are for browsers.
    let headers = &request["headers"];
    if headers.get("Range").is_some() || headers.get("If-None-Match").is_some() {
        return None;
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let route: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let short = route.strip_prefix(&["api"]).unwrap_or(&route);
    Some(match (method, short) {
        ("GET", ["system_stats"]) => verdict(client.system_stats().await),
        ("GET", ["features"]) => optional(client.features().await),
        ("GET", ["prompt"]) => verdict(client.queue_remaining().await),
        ("GET", ["queue"]) => verdict(client.queue().await),
        ("GET", ["object_info"]) => verdict(client.object_info().await),
        ("GET", ["object_info", class]) => optional(client.object_info_class(class).await),
        ("GET", ["models", folder]) => optional(client.models(folder).await),
        ("GET", ["history", id]) => optional(client.history(id).await),
        ("GET", ["view"]) if !query.is_empty() => verdict(client.view(&picture()).await),
        ("POST", ["prompt"]) => submitted(client).await,
        ("POST", ["upload", "image"]) => {
            verdict(client.upload_image(Bytes::from_static(b"x"), "red.png", "", false).await)
        }
        ("POST", ["interrupt"]) => verdict(client.interrupt("x").await),
        ("POST", ["queue"]) => verdict(client.delete_pending(&["x"]).await),
        ("POST", ["history"]) => verdict(client.delete_history(&["x"]).await),
        ("POST", ["free"]) => verdict(client.free(true, false).await),
        ("POST", ["jobs", id, "cancel"]) => optional(client.cancel_job(id).await),
        _ => return None,
    })
}

/// What a recorded answer means to whoever made the request.
fn expected(request: &Value, response: &Value) -> Verdict {
    let path = request["path"].as_str().unwrap().split('?').next().unwrap();
    let posts_prompt = path.ends_with("/prompt") && request["method"] == "POST";
    let json = response.get("json");
    match response["status"].as_u64().unwrap() {
        200 if posts_prompt && json.unwrap()["node_errors"] != json!({}) => Verdict::Partial,
        200 if json == Some(&json!({})) => Verdict::Absent,
        200 | 206 => Verdict::Read,
        302 | 401 | 403 => Verdict::Failed(ErrorKind::Unauthorized),
        404 if path.contains("/view") => Verdict::Failed(ErrorKind::Gone),
        404 => Verdict::Absent,
        413 => Verdict::Failed(ErrorKind::TooLarge),
        400 if posts_prompt => Verdict::Rejected,
        400 => Verdict::Failed(ErrorKind::Rejected),
        500 if posts_prompt => Verdict::Unknown,
        500 | 503 => Verdict::Failed(ErrorKind::Transient),
        other => panic!("{path} answered {other}"),
    }
}

/// All exchanges of a file. Some were recorded as the bare response to `POST /prompt` or to an upload.
fn exchanges(file: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    fixtures::walk(file, "", &mut |path, value| {
        let status = |response: &Value| response.get("status").is_some_and(Value::is_u64);
        if value.get("request").is_some() && value.get("response").is_some_and(status) {
            found.push((path.to_owned(), value.clone()));
        } else if status(value) && value.get("reason").is_some() && path.contains("/post") {
            let request = json!({"method": "POST", "path": "/prompt"});
            found.push((path.to_owned(), json!({"request": request, "response": value})));
        } else if status(value) && path.contains("/posts/") {
            let request = json!({"method": "POST", "path": "/prompt"});
            found.push((path.to_owned(), json!({"request": request, "response": bare(value)})));
        } else if status(value) && value.get("disposition").is_some() {
            found.push((
                path.to_owned(),
                json!({"request": {"method": "POST", "path": "/upload/image"}, "response": bare(value)}),
            ));
        }
    });
    found
}

/// A response of which only status and body were kept.
fn bare(value: &Value) -> Value {
    if let Some(json) = value.get("json").or(value.get("body")).filter(|body| body.is_object()) {
        let headers = json!({"Content-Type": "application/json; charset=utf-8"});
        return json!({"status": value["status"], "headers": headers, "json": json});
    }
    let content_type = if value["status"] == 200 { "application/json; charset=utf-8" } else { "text/plain" };
    json!({"status": value["status"], "headers": {"Content-Type": content_type}, "text": value["body"]})
}

#[tokio::test]
async fn every_recorded_exchange_is_judged_right() {
    let replay = Replay::default();
    let server = replay.start().await;
    let client = server.client();
    let mut judged: Vec<(String, usize)> = Vec::new();
    for (name, file) in fixtures::recordings() {
        let mut count = 0;
        for (path, exchange) in exchanges(&file) {
            replay.answer(&exchange);
            let (request, response) = (&exchange["request"], &exchange["response"]);
            if let Some(found) = call(&client, request).await {
                assert_eq!(found, expected(request, response), "{name}{path}: {exchange}");
                count += 1;
            }
        }
        judged.push((name, count));
    }
    let total: usize = judged.iter().map(|(_, count)| count).sum();
    assert!(total >= 280, "only {total} exchanges were covered: {judged:?}");
    for part in ["http_", "auth/", "misc"] {
        for (name, count) in judged.iter().filter(|(name, _)| name.contains(part)) {
            assert!(*count > 0, "no exchange of {name} was covered");
        }
    }
}

/// Replays the recorded front door: what it answers depends on the credentials, as it did.
async fn front_door(recording: Value) -> Server {
    let router = Router::new().fallback(move |request: Request| {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (authorization, key) = (header(header::AUTHORIZATION.as_str()), header("x-api-key"));
        let found = recording.as_object().unwrap().values().find(|exchange| {
            let asked = &exchange["request"];
            let plain = asked["headers"].get("Accept").is_none() && asked["headers"].get("Cookie").is_none();
            plain
                && asked["method"] == request.method().as_str()
                && asked["path"].as_str().is_some_and(|path| path.split('?').next() == Some(request.uri().path()))
                && !asked["path"].as_str().unwrap().contains("token=")
                && asked["headers"]["Authorization"].as_str() == authorization.as_deref()
                && asked["headers"]["X-API-Key"].as_str() == key.as_deref()
        });
        let response = respond(&found.unwrap_or_else(|| panic!("not recorded: {request:?}"))["response"]);
        std::future::ready(response)
    });
    Server::start(router).await
}

#[tokio::test]
async fn a_login_front_door_lets_the_token_in_and_nothing_else() {
    let server = front_door(fixtures::json("auth/comfyui_login.json")).await;
    let client = |auth: Auth| {
        let mut config = server.config("");
        config.auth = auth;
        Client::new(config).unwrap()
    };
    let token = "$2b$12$<bcrypt-hash>";
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned().into());

    for auth in [
        Auth::None,
        Auth::Bearer("s3cret".to_owned().into()),
        Auth::Basic { user: "hub".to_owned(), password: "s3cret".to_owned().into() },
    ] {
        let error = client(auth).queue().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(!error.chain().contains("s3cret"));
    }
    assert!(matches!(submit(&client(Auth::None)).await, Err(SubmitError::Unauthorized(_))));
    assert_eq!(client(Auth::None).view(&picture()).await.unwrap_err().kind(), ErrorKind::Unauthorized);

    let inside = client(Auth::Bearer(token.to_owned().into()));
    assert!(inside.queue().await.unwrap().pending.is_empty());
    assert_eq!(submit(&inside).await.unwrap().prompt_id, "d46ff708-5427-46d2-8198-bebfdebc6157");
    let both = Auth::Headers(vec![header("Authorization", &format!("Bearer {token}")), header("X-API-Key", "x")]);
    assert!(client(both).queue().await.is_ok());
    // The front door trips over a header without a scheme; that is its failure, and no verdict on the token.
    let bare = client(Auth::Header { name: "Authorization".to_owned(), value: token.to_owned().into() });
    assert_eq!(bare.queue().await.unwrap_err().kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn a_redirect_to_the_login_page_is_not_followed() {
    let replay = Replay::default();
    let server = replay.start().await;
    replay.answer(&fixtures::json("auth/comfyui_login.json")["no auth GET /queue Accept html"]);
    assert_eq!(server.client().queue().await.unwrap_err().kind(), ErrorKind::Unauthorized);
    assert!(matches!(submit(&server.client()).await, Err(SubmitError::Unauthorized(_))));
    assert_eq!(server.client().connect_events("c").await.unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_server_with_assets_is_read_like_any_other() {
    let replay = Replay::default();
    let server = replay.start().await;
    let client = server.client();
    let file = fixtures::json("v0.33.0/http_assets_enabled.json");
    replay.answer(&file["features"]);
    assert_eq!(client.features().await.unwrap().unwrap().max_upload_size, Some(104_857_600));
    replay.answer(&file["upload"]);
    let uploaded = client.upload_image(Bytes::from_static(b"x"), "asset_in.png", "", true).await.unwrap();
    assert_eq!(uploaded.reference(), "asset_in.png");
    replay.answer(&file["view by hash"]);
    assert_eq!(client.view(&picture()).await.unwrap().len(), 99);
    replay.answer(&file["prompt with asset hash as LoadImage.image"]);
    let Err(SubmitError::Rejected(rejection)) = submit(&client).await else { panic!() };
    assert_eq!(rejection.kind, RejectionKind::Validation);
    let [MissingResource::InputImage { name }] = rejection.missing.as_slice() else { panic!("{rejection:?}") };
    assert!(name.starts_with("blake3:"));
}

/// Every answer of `/history/{id}` anywhere in the recordings, with the status it must be read as.
#[tokio::test]
async fn every_recorded_history_is_read() {
    let replay = Replay::default();
    let server = replay.start().await;
    let client = server.client();
    let mut seen = 0;
    for (name, file) in fixtures::recordings() {
        let mut entries = Vec::new();
        fixtures::walk(&file, "", &mut |path, value| {
            let finished = |entry: &Value| entry["status"]["status_str"].is_string() && entry["outputs"].is_object();
            if let Some(map) = value.as_object().filter(|map| map.values().any(finished)) {
                entries
                    .extend(map.iter().map(|(id, entry)| (path.to_owned(), id.clone(), entry.clone(), value.clone())));
            }
        });
        for (path, id, entry, answer) in entries {
            replay.answer(
                &json!({"response": {"status": 200, "headers": {"Content-Type": "application/json"}, "json": answer}}),
            );
            let read = client.history(&id).await.unwrap().unwrap();
            let interrupted = entry["status"]["messages"].to_string().contains("execution_interrupted");
            let status = match entry["status"]["status_str"].as_str().unwrap() {
                "success" => HistoryStatus::Success,
                _ if interrupted => HistoryStatus::Interrupted,
                _ => HistoryStatus::Error,
            };
            assert_eq!(read.status, status, "{name}{path}");
            assert_eq!(read.error().is_some(), status == HistoryStatus::Error, "{name}{path}");
            let files = entry["outputs"].to_string().matches("\"filename\"").count();
            assert_eq!(read.outputs.len() - read.texts().count(), files, "{name}{path}");
            assert!(client.history("another").await.unwrap().is_none());
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} histories");
}

#[tokio::test]
async fn a_cached_result_may_be_gone_and_a_running_prompt_has_no_history() {
    let replay = Replay::default();
    let server = replay.start().await;
    for version in VERSIONS {
        let deleted = fixtures::json(&format!("{version}/misc.json"))["cached_output_file_deleted"].clone();
        assert_eq!(deleted["first"], deleted["second"], "the server names the file although it is gone");
        let file = OutputFile { media: Media::Image, ..picture() };
        let file = OutputFile { filename: deleted["second"]["filename"].as_str().unwrap().to_owned(), ..file };
        replay.answer(&json!({"response": {"status": deleted["view_status"], "headers": {}}}));
        assert_eq!(server.client().view(&file).await.unwrap_err().kind(), ErrorKind::Gone);
    }
    let file = fixtures::json("v0.33.0/caching_and_prefix.json");
    let running = &file["while_running"];
    replay.answer(&json!({"response": {"status": 200, "headers": {"Content-Type": "application/json"}, "json": running["history"]}}));
    let id = running["queue_running_ids"][0].as_str().unwrap();
    assert!(server.client().history(id).await.unwrap().is_none());
}

/// The queue as the server shows it is a heap; the order read from it is the one it then ran in.
#[tokio::test]
async fn a_recorded_queue_is_read_in_the_order_it_ran() {
    let replay = Replay::default();
    let server = replay.start().await;
    for version in VERSIONS {
        let file = fixtures::json(&format!("{version}/ws_queue_of_three.json"));
        replay.answer(&file["queue"]);
        let queue = server.client().queue().await.unwrap();
        let ran: Vec<&str> =
            file["execution_order"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let all = queue.running.iter().chain(&queue.pending).map(|item| item.prompt_id.as_str());
        // One was deleted before its turn came.
        assert_eq!(queue.pending.len(), ran.len(), "{version}");
        assert_eq!(all.filter(|id| ran.contains(id)).collect::<Vec<_>>(), ran, "{version}");
        assert!(queue.is_running(ran[0]) && queue.position(ran[1]) == Some(0), "{version}");
    }
}
