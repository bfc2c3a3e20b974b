//! What is asked of a server when it is met.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use comfyui::workflow::files::Needs;
use comfyui::{Error, ErrorKind, Fingerprint, MissingResource};
use futures_util::StreamExt;
use serde_json::json;

use crate::fixtures::{self, VERSIONS};
use crate::recordings::Replay;
use crate::server::Server;

fn json_body(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// Answers `/object_info` with this, and nothing else.
async fn catalogue(body: impl Fn() -> Body + Clone + Send + Sync + 'static) -> Server {
    let router = Router::new().fallback(move |request: Request| {
        let found = request.uri().path() == "/object_info";
        let answer = if found { json_body(body()) } else { StatusCode::NOT_FOUND.into_response() };
        std::future::ready(answer)
    });
    Server::start(router).await
}

#[tokio::test]
async fn a_recorded_server_lacks_what_its_loaders_do_not_list() {
    let replay = Replay::default();
    let server = replay.start().await;
    for version in VERSIONS {
        let exchange = &fixtures::json(&format!("{version}/http_get.json"))["GET /object_info"];
        replay.answer(exchange);
        let inventory = server.client().inventory(None).await.unwrap().unwrap();
        assert!(inventory.has_class("KSampler"), "{version}");
        assert_eq!(inventory.malformed_count(), 0, "{version}");
        assert!(inventory.model_files().contains("tiny_sd15.safetensors"), "{version}");
        let lacking = |name: &str| Needs::of(&fixtures::graph(name)).lacking(&inventory);
        let file = |input: &str, name: &str| MissingResource::ModelFile {
            input: input.to_owned(),
            name: format!("{name}.safetensors"),
        };
        assert!(lacking("txt2img_sd15").contains(&file("ckpt_name", "v1-5-pruned-emaonly-fp16")), "{version}");
        let upscaler = file("model_name", "RealESRGAN_x4plus");
        assert!(lacking("upscale_model").contains(&upscaler), "{version}");
        let ran = Needs::of(&fixtures::flow("img2img")).lacking(&inventory);
        assert!(!ran.iter().any(|lack| matches!(lack, MissingResource::ModelFile { .. })), "{version}: {ran:?}");
        // The same answer again is not read again.
        assert_eq!(server.client().inventory(Some(inventory.fingerprint())).await.unwrap(), None);
        assert!(server.client().inventory(Some(Fingerprint::of(b""))).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn both_ways_to_tell_what_is_lacking_agree() {
    let body = fixtures::json("v0.33.0/http_get.json")["GET /object_info"]["response"]["json"].to_string();
    let info = serde_json::from_str(&body).unwrap();
    let inventory = comfyui::Inventory::parse(body.as_bytes()).unwrap();
    for (name, graph) in fixtures::standard_graphs() {
        let expected: BTreeSet<MissingResource> = comfyui::workflow::files::missing(&graph, &info);
        assert_eq!(Needs::of(&graph).lacking(&inventory), expected, "{name}");
    }
}

#[tokio::test]
async fn an_endless_catalogue_is_refused_and_not_swallowed() {
    let endless = catalogue(|| {
        let chunk = bytes::Bytes::from(vec![b' '; 1 << 20]);
        Body::from_stream(futures_util::stream::repeat(chunk).map(Ok::<_, std::io::Error>))
    })
    .await;
    let error = endless.client().inventory(None).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit_bytes: comfyui::client::MAX_INVENTORY_BYTES }), "{error:?}");
    let broken = catalogue(|| "{\"KSampler\": {".into()).await;
    assert_eq!(broken.client().inventory(None).await.unwrap_err().kind(), ErrorKind::NotComfyUi);
}

#[tokio::test]
async fn replaced_classes_count_as_there() {
    let router = Router::new().fallback(|request: Request| {
        let body = match request.uri().path() {
            "/object_info" => json!({"ControlNetLoader": {"input": {}}}),
            "/node_replacements" => json!({"T2IAdapterLoader": [{"new_node_id": "ControlNetLoader"}]}),
            path => panic!("{path}"),
        };
        std::future::ready(json_body(body.to_string()))
    });
    let server = Server::start(router).await;
    let inventory = server.client().inventory(None).await.unwrap().unwrap();
    assert!(inventory.has_class("T2IAdapterLoader") && inventory.has_class("ControlNetLoader"));
}

#[tokio::test]
async fn a_guest_is_told_from_a_member() {
    let replay = Replay::default();
    let server = replay.start().await;
    let answer = |body: serde_json::Value| json!({"response": body});
    let headers = json!({"Content-Type": "application/json; charset=utf-8"});
    replay.answer(&answer(json!({"status": 200, "headers": headers, "json": {}})));
    assert!(server.client().is_guest().await.unwrap());
    replay.answer(&answer(json!({"status": 200, "headers": {"Content-Type": "application/octet-stream"}})));
    assert!(!server.client().is_guest().await.unwrap());
    replay.answer(&fixtures::json("auth/comfyui_login.json")["no auth GET /queue Accept html"]);
    assert_eq!(server.client().is_guest().await.unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_history_that_is_empty_is_told_from_one_that_is_not() {
    let replay = Replay::default();
    let server = replay.start().await;
    let answer = |body: serde_json::Value| {
        let headers = json!({"Content-Type": "application/json; charset=utf-8"});
        json!({"response": {"status": 200, "headers": headers, "json": body}})
    };
    replay.answer(&answer(json!({})));
    assert!(!server.client().has_history().await.unwrap());
    replay.answer(&answer(json!({"id": {"prompt": [], "outputs": {}}})));
    assert!(server.client().has_history().await.unwrap());
}

#[tokio::test]
async fn reaching_a_server_sends_it_nothing() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = |port: u16| {
        let config = comfyui::ClientConfig::new(format!("http://localhost:{port}/comfy").parse().unwrap());
        comfyui::Client::new(config).unwrap()
    };
    let reached = client(address.port()).reach().await.unwrap();
    assert_eq!(reached.address, address);
    let (stream, _) = silent.accept().await.unwrap();
    let mut byte = [0];
    stream.readable().await.unwrap();
    assert_eq!(stream.try_read(&mut byte).unwrap(), 0, "it closed without a word");
    drop(silent);
    assert_eq!(client(address.port()).reach().await.unwrap_err().kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn flags_are_told_without_paths() {
    let replay = Replay::default();
    let server = replay.start().await;
    replay.answer(&fixtures::json("v0.33.0/http_get.json")["GET /system_stats"]);
    let stats = server.client().system_stats().await.unwrap();
    assert_eq!(stats.system.flags, ["--cpu", "--disable-api-nodes"]);
    let given = json!({"system": {"argv": ["main.py", "--lowvram", "--output-directory", "/secret", "--reserve-vram", "2",
        "--enable-cors-header", "--max-upload-size=7", 3]}});
    let stats: comfyui::SystemStats = serde_json::from_value(given).unwrap();
    assert_eq!(stats.system.flags, ["--lowvram", "--reserve-vram 2", "--enable-cors-header", "--max-upload-size 7"]);
}
