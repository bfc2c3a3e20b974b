//! One call, one server that misbehaves in one way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use comfyui::wire::{FileKind, Media};
use comfyui::{Auth, Client, ClientConfig, Error, ErrorKind, OutputFile, Submission, SubmitError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixtures;
use crate::server::Server;

async fn answering<F>(answer: F) -> Server
where
    F: Fn() -> Response + Clone + Send + Sync + 'static,
{
    Server::start(Router::new().fallback(move || std::future::ready(answer()))).await
}

async fn submit(client: &Client) -> Result<comfyui::Submitted, SubmitError> {
    client.submit(&Submission::new(&fixtures::graph("txt2img_sd15"), Uuid::new_v4(), "cid")).await
}

fn file() -> OutputFile {
    OutputFile {
        filename: "a b.png".to_owned(),
        subfolder: "hub/1".to_owned(),
        kind: FileKind::Output,
        media: Media::Image,
        format: None,
    }
}

#[tokio::test]
async fn refused_credentials_are_unauthorized_everywhere() {
    let login = || (StatusCode::FOUND, [(header::LOCATION, "/login?next=/prompt")]).into_response();
    let plain = || (StatusCode::UNAUTHORIZED, axum::Json(json!({"error": "Authentication required."}))).into_response();
    let form = || Html("<html><form><INPUT name='p' TYPE='password'></form></html>").into_response();
    for (server, has_socket) in
        [(answering(login).await, true), (answering(plain).await, true), (answering(form).await, false)]
    {
        let client = server.client();
        assert_eq!(client.system_stats().await.unwrap_err().kind(), ErrorKind::Unauthorized);
        assert_eq!(client.history("x").await.unwrap_err().kind(), ErrorKind::Unauthorized);
        assert_eq!(client.view(&file()).await.unwrap_err().kind(), ErrorKind::Unauthorized);
        assert_eq!(client.cancel_job("x").await.unwrap_err().kind(), ErrorKind::Unauthorized);
        assert_eq!(client.interrupt("x").await.unwrap_err().kind(), ErrorKind::Unauthorized);
        assert!(matches!(submit(&client).await, Err(SubmitError::Unauthorized(_))));
        // A page in place of the handshake cannot be told from another program.
        let expected = if has_socket { ErrorKind::Unauthorized } else { ErrorKind::NotComfyUi };
        assert_eq!(client.connect_events("c").await.unwrap_err().kind(), expected);
    }
}

#[tokio::test]
async fn other_programs_are_recognised() {
    let page = answering(|| Html("<html>welcome</html>").into_response()).await;
    let client = page.client();
    assert_eq!(client.queue_remaining().await.unwrap_err().kind(), ErrorKind::NotComfyUi);
    assert_eq!(client.free(true, true).await.unwrap_err().kind(), ErrorKind::NotComfyUi);
    assert_eq!(client.view(&file()).await.unwrap_err().kind(), ErrorKind::NotComfyUi);
    assert!(matches!(submit(&client).await, Err(SubmitError::NotSent(Error::NotComfyUi(_)))));
    let json = answering(|| axum::Json(json!({"hello": "world"})).into_response()).await;
    assert_eq!(json.client().queue_remaining().await.unwrap_err().kind(), ErrorKind::NotComfyUi);
    let bare = answering(|| (StatusCode::NOT_FOUND, Html("no such page")).into_response()).await;
    assert_eq!(bare.client().system_stats().await.unwrap_err().kind(), ErrorKind::NotComfyUi);
    assert_eq!(bare.client().features().await.unwrap(), None);
    assert_eq!(bare.client().models("loras").await.unwrap(), None);
    let moved =
        answering(|| (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, "https://elsewhere/")]).into_response()).await;
    let error = moved.client().queue().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotComfyUi);
    assert!(error.to_string().contains("https://elsewhere/"));
}

#[tokio::test]
async fn a_submit_knows_whether_it_may_have_been_queued() {
    let broken = answering(|| (StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error").into_response()).await;
    assert!(matches!(submit(&broken.client()).await, Err(SubmitError::Unknown(Error::Status { status: 500, .. }))));
    let large = answering(|| StatusCode::PAYLOAD_TOO_LARGE.into_response()).await;
    assert!(matches!(submit(&large.client()).await, Err(SubmitError::TooLarge)));
    let limited = answering(|| StatusCode::TOO_MANY_REQUESTS.into_response()).await;
    let Err(SubmitError::NotSent(error)) = submit(&limited.client()).await else { panic!() };
    assert_eq!(error.kind(), ErrorKind::Transient);
    let garbled = answering(|| ([(header::CONTENT_TYPE, "application/json")], "{\"prompt").into_response()).await;
    assert!(matches!(submit(&garbled.client()).await, Err(SubmitError::Unknown(Error::Decode { .. }))));

    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let client = Client::new(ClientConfig::new(format!("http://{address}").parse().unwrap())).unwrap();
    assert!(matches!(submit(&client).await, Err(SubmitError::NotSent(Error::Connect(_)))));
    assert!(matches!(client.connect_events("c").await, Err(Error::Connect(_))));
}

#[tokio::test]
async fn a_connection_cut_after_the_request_leaves_the_submit_unknown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut connections = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections += 1;
            let mut head = [0_u8; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await;
            drop(stream);
            assert_eq!(connections, 1, "the call was repeated");
        }
    });
    let client = Client::new(ClientConfig::new(format!("http://{address}").parse().unwrap())).unwrap();
    assert!(matches!(submit(&client).await, Err(SubmitError::Unknown(Error::Transport(_)))));
    assert!(!server.is_finished());
    server.abort();
}

#[tokio::test]
async fn silence_is_a_timeout_and_never_a_retry() {
    let server = Server::start(Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let mut config = server.config("");
    config.timeouts.read = Duration::from_millis(50);
    let client = Client::new(config).unwrap();
    assert!(matches!(client.queue_remaining().await, Err(Error::Timeout { .. })));
    assert!(matches!(submit(&client).await, Err(SubmitError::Unknown(Error::Timeout { .. }))));
}

type Seen = Arc<Mutex<Vec<(String, http::HeaderMap, Bytes)>>>;

/// Answers everything like a server and notes what it was asked.
async fn recording() -> (Server, Seen) {
    let seen = Seen::default();
    let notes = seen.clone();
    let router = Router::new().fallback(move |request: Request<Body>| {
        let notes = notes.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            notes.lock().unwrap().push((parts.uri.to_string(), parts.headers, body));
            axum::Json(json!({"exec_info": {"queue_remaining": 3}, "prompt_id": "x", "number": 1, "node_errors": {}, "name": "n", "subfolder": "", "type": "input"}))
        }
    });
    (Server::start(router).await, seen)
}

#[tokio::test]
async fn a_path_prefix_is_kept_whatever_slash_ends_it() {
    for path in ["/gpu/one", "/gpu/one/", "/gpu/one//?x=1"] {
        let (server, seen) = recording().await;
        let client = Client::new(server.config(path)).unwrap();
        assert_eq!(client.queue_remaining().await.unwrap(), 3);
        submit(&client).await.unwrap();
        let urls: Vec<String> = seen.lock().unwrap().iter().map(|(url, ..)| url.clone()).collect();
        assert_eq!(urls, ["/gpu/one/prompt", "/gpu/one/prompt"]);
    }
}

#[tokio::test]
async fn credentials_go_along_and_origin_only_when_asked() {
    let bearer = Auth::Bearer("$2b$12$abc\n".to_owned().into());
    let basic = Auth::Basic { user: "u".to_owned(), password: "p".to_owned().into() };
    let key = Auth::Header { name: "X-API-Key".to_owned(), value: "k".to_owned().into() };
    for (auth, name, value) in [
        (bearer, "authorization", "Bearer $2b$12$abc"),
        (basic, "authorization", "Basic dTpw"),
        (key, "x-api-key", "k"),
    ] {
        let (server, seen) = recording().await;
        let mut config = server.config("");
        config.auth = auth;
        let client = Client::new(config).unwrap();
        client.queue_remaining().await.unwrap();
        client.upload_image(Bytes::from_static(b"png"), "a.png", "hub", true).await.unwrap();
        for (_, headers, _) in seen.lock().unwrap().iter() {
            assert_eq!(headers[name], value);
            assert!(!headers.contains_key("origin"));
        }
    }
    let (server, seen) = recording().await;
    let config = ClientConfig { origin: Some("http://hub.lan".to_owned()), ..server.config("") };
    Client::new(config).unwrap().queue_remaining().await.unwrap();
    assert_eq!(seen.lock().unwrap()[0].1["origin"], "http://hub.lan");
}

#[tokio::test]
async fn unusable_credentials_are_refused_before_any_call() {
    for auth in [
        Auth::Bearer("two words".to_owned().into()),
        Auth::Bearer(" ".to_owned().into()),
        Auth::Header { name: "bad name".to_owned(), value: "v".to_owned().into() },
    ] {
        let config = ClientConfig { auth, ..ClientConfig::new("http://h".parse().unwrap()) };
        let error = Client::new(config).unwrap_err();
        assert!(matches!(error, Error::Config(_)));
        assert!(!error.to_string().contains("two words"));
    }
}

#[tokio::test]
async fn a_posted_body_cannot_hurt_a_server() {
    let (server, seen) = recording().await;
    let graph = comfyui::Graph::parse(
        &json!({"1": {"class_type": "T2IAdapterLoader", "inputs": {"seed": u64::MAX}, "is_changed": [1]}}),
    )
    .unwrap();
    let id = Uuid::new_v4();
    let workflow = json!({"nodes": []});
    let submission = Submission {
        preview: Some(comfyui::PreviewMethod::Latent2rgb),
        workflow: workflow.as_object(),
        ..Submission::new(&graph, id, "cid")
    };
    server.client().submit(&submission).await.unwrap();
    let body: Value = serde_json::from_slice(&seen.lock().unwrap()[0].2).unwrap();
    let expected = json!({
        "prompt": {"1": {"class_type": "T2IAdapterLoader", "inputs": {"seed": u64::MAX}, "_meta": {"title": "T2IAdapterLoader"}}},
        "client_id": "cid",
        "prompt_id": id.to_string(),
        "extra_data": {"preview_method": "latent2rgb", "extra_pnginfo": {"workflow": {"nodes": []}}},
    });
    assert_eq!(body, expected);
    server.client().submit(&Submission::new(&graph, id, "cid")).await.unwrap();
    let body: Value = serde_json::from_slice(&seen.lock().unwrap()[1].2).unwrap();
    assert_eq!(body["extra_data"], json!({}), "never null, never a null workflow");
}

#[tokio::test]
async fn files_are_fetched_whole_or_in_pieces_within_a_limit() {
    let server = Server::start(Router::new().route(
        "/view",
        axum::routing::get(|uri: http::Uri| async move {
            assert_eq!(uri.query(), Some("filename=a+b.png&subfolder=hub%2F1&type=output"));
            ([(header::CONTENT_TYPE, "image/png")], vec![7_u8; 100_000])
        }),
    ))
    .await;
    let client = server.client();
    assert_eq!(client.view(&file()).await.unwrap().len(), 100_000);
    let mut view = client.view_stream(&file(), 100_000).await.unwrap();
    assert_eq!((view.content_type.as_deref(), view.content_length), (Some("image/png"), Some(100_000)));
    let mut total = 0;
    while let Some(chunk) = view.chunk().await.unwrap() {
        total += chunk.len();
    }
    assert_eq!(total, 100_000);
    assert!(matches!(client.view_stream(&file(), 99_999).await, Err(Error::TooLarge { limit_bytes: 99_999 })));
    let gone = answering(|| StatusCode::NOT_FOUND.into_response()).await;
    assert_eq!(gone.client().view(&file()).await.unwrap_err().kind(), ErrorKind::Gone);
}

#[tokio::test]
async fn a_body_without_a_length_is_limited_too() {
    use futures_util::StreamExt;
    let endless = answering(|| {
        Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 4096]))))
            .into_response()
    })
    .await;
    let view = endless.client().view_stream(&file(), 10_000).await.unwrap();
    let pieces: Vec<_> = Box::pin(view.into_stream()).collect().await;
    let (last, first) = pieces.split_last().unwrap();
    assert!(first.iter().all(Result::is_ok));
    assert!(matches!(last, Err(Error::TooLarge { limit_bytes: 10_000 })));
}

#[test]
fn https_clients_need_no_process_wide_setup() {
    let client = Client::new(ClientConfig::new("https://gpu.example/".parse().unwrap()));
    assert!(client.is_ok() || client.unwrap_err().to_string().contains("no trusted certificates"));
    let config = ClientConfig { ca_pem: Some(b"nonsense".to_vec()), ..ClientConfig::new("https://h".parse().unwrap()) };
    assert!(matches!(Client::new(config), Err(Error::Config(_))));
}
