//! Every recorded answer, replayed over HTTP and read by the client.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use comfyui::wire::{FileKind, Media, NodeOutput, OutputItem};
use comfyui::{Error, Graph, HistoryStatus, Submission, SubmitError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixtures::{self, VERSIONS};
use crate::server::Server;

/// Answers every request with the exchange set last.
#[derive(Clone, Default)]
pub(crate) struct Replay(Arc<Mutex<Value>>);

impl Replay {
    pub(crate) async fn start(&self) -> Server {
        let replay = self.clone();
        let router = Router::new().fallback(move || {
            let response = replay.0.lock().unwrap().clone();
            async move { respond(&response) }
        });
        Server::start(router).await
    }

    pub(crate) fn answer(&self, exchange: &Value) {
        *self.0.lock().unwrap() = exchange["response"].clone();
    }
}

/// A recorded response, with the headers that mean something.
pub(crate) fn respond(response: &Value) -> Response {
    let status = StatusCode::from_u16(u16::try_from(response["status"].as_u64().unwrap()).unwrap()).unwrap();
    let content_type = response["headers"]["Content-Type"].as_str().unwrap_or("application/octet-stream").to_owned();
    let body = match (response.get("json"), response["text"].as_str(), response["body_len"].as_u64()) {
        (Some(json), ..) => json.to_string().into_bytes(),
        (_, Some(text), _) => text.as_bytes().to_vec(),
        // The content of pictures was not kept.
        (.., length) => vec![0; usize::try_from(length.unwrap_or_default()).unwrap()],
    };
    let mut out = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
    if let Some(location) = response["headers"]["Location"].as_str() {
        out.headers_mut().insert(header::LOCATION, location.parse().unwrap());
    }
    out
}

fn has_json(exchange: &Value) -> bool {
    exchange["response"]["status"] == 200 && exchange["response"].get("json").is_some()
}

#[tokio::test]
async fn every_recorded_get_is_understood() {
    let replay = Replay::default();
    let server = replay.start().await;
    let client = server.client();
    let mut understood = 0;
    for version in VERSIONS {
        let file = fixtures::json(&format!("{version}/http_get.json"));
        for (name, exchange) in file.as_object().unwrap() {
            replay.answer(exchange);
            let path = exchange["request"]["path"].as_str().unwrap_or_default();
            let path = path.strip_prefix("/api").unwrap_or(path);
            let segments: Vec<&str> = path.trim_start_matches('/').split(['/', '?']).collect();
            match segments.as_slice() {
                _ if !has_json(exchange) || exchange["request"]["method"] != "GET" => continue,
                ["system_stats"] => {
                    let stats = client.system_stats().await.unwrap();
                    assert_eq!(stats.system.comfyui_version.as_deref(), Some(&version[1..]));
                    assert_eq!(stats.devices[0].kind, "cpu");
                    assert!(stats.devices[0].vram_total.unwrap() > 1 << 30);
                }
                ["features"] => {
                    let features = client.features().await.unwrap().unwrap();
                    assert!(features.supports_preview_metadata);
                    assert_eq!(features.max_upload_size, Some(104_857_600));
                }
                ["prompt"] => assert_eq!(client.queue_remaining().await.unwrap(), 0),
                ["queue"] => assert!(client.queue().await.unwrap().running.is_empty()),
                ["object_info"] => {
                    let info = client.object_info().await.unwrap();
                    assert!(info.has_class("KSampler"), "{name}");
                }
                ["object_info", "NoSuchNode"] => {
                    assert!(client.object_info_class("NoSuchNode").await.unwrap().is_none());
                }
                ["object_info", class] => {
                    let node = client.object_info_class(class).await.unwrap().unwrap();
                    assert!(!node.input.required.is_empty(), "{name}");
                }
                ["models", folder] => assert!(!client.models(folder).await.unwrap().unwrap().is_empty()),
                ["history", id] if id.len() == 36 => {
                    let known = exchange["response"]["json"].get(*id).is_some();
                    assert_eq!(client.history(id).await.unwrap().is_some(), known, "{name}");
                }
                _ => continue,
            }
            understood += 1;
        }
    }
    assert!(understood >= 40, "only {understood} exchanges were covered");
}

#[tokio::test]
async fn both_shapes_of_choice_lists_are_read() {
    let replay = Replay::default();
    let server = replay.start().await;
    let file = fixtures::json("v0.33.0/http_get.json");
    for (class, input, expected) in [
        ("CheckpointLoaderSimple", "ckpt_name", vec!["tiny_sd15.safetensors"]),
        ("UpscaleModelLoader", "model_name", vec!["tiny_x2.safetensors", "tiny_x4.safetensors"]),
    ] {
        replay.answer(&file[format!("GET /object_info/{class}")]);
        let node = server.client().object_info_class(class).await.unwrap().unwrap();
        assert_eq!(node.input(input).unwrap().choices().unwrap(), expected);
        let stored = serde_json::to_string(&node).unwrap();
        assert_eq!(serde_json::from_str::<comfyui::wire::NodeInfo>(&stored).unwrap(), node);
    }
}

#[tokio::test]
async fn recorded_posts_end_in_the_right_verdict() {
    let replay = Replay::default();
    let server = replay.start().await;
    let client = server.client();
    let graph = fixtures::graph("txt2img_sd15");
    for version in VERSIONS {
        let file = fixtures::json(&format!("{version}/http_post_prompt_failures.json"));
        for (name, exchange) in file
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, e)| e["request"]["path"] == "/prompt" && e["request"]["method"] == "POST")
        {
            replay.answer(exchange);
            let result = client.submit(&Submission::new(&graph, Uuid::new_v4(), "c")).await;
            let response = &exchange["response"];
            match response["status"].as_u64().unwrap() {
                500 => assert!(
                    matches!(result, Err(SubmitError::Unknown(Error::Status { status: 500, .. }))),
                    "{name}: {result:?}"
                ),
                400 => assert!(matches!(result, Err(SubmitError::Rejected(_))), "{name}: {result:?}"),
                _ if name == "one_of_two_outputs_invalid" => {
                    let Err(SubmitError::PartiallyAccepted { prompt_id, rejection }) = result else {
                        panic!("{result:?}")
                    };
                    assert_eq!(prompt_id, response["json"]["prompt_id"]);
                    assert_eq!(rejection.nodes[0].node_id, "11");
                }
                _ => assert_eq!(result.unwrap().prompt_id, response["json"]["prompt_id"].as_str().unwrap(), "{name}"),
            }
        }
    }
}

#[tokio::test]
async fn uploads_report_the_name_the_server_chose() {
    let replay = Replay::default();
    let server = replay.start().await;
    let client = server.client();
    for version in VERSIONS {
        let file = fixtures::json(&format!("{version}/http_upload_view.json"));
        for (key, reference) in [
            ("upload_image_same_name_other_bytes(renamed)", "red (1).png"),
            ("upload_image_subfolder", "hub/job1/red.png"),
        ] {
            replay.answer(&file[key]);
            let uploaded = client.upload_image(Bytes::from_static(b"x"), "red.png", "", false).await.unwrap();
            assert_eq!(uploaded.reference(), reference);
        }
    }
}

#[tokio::test]
async fn jobs_are_cancelled_where_the_route_exists() {
    let replay = Replay::default();
    let server = replay.start().await;
    let client = server.client();
    let file = fixtures::json("v0.33.0/ws_jobs_api.json");
    for (key, expected) in
        [("cancel_pending", true), ("cancel_running", true), ("cancel_finished", false), ("cancel_unknown", false)]
    {
        replay.answer(&file[key]);
        assert_eq!(client.cancel_job("x").await.unwrap(), Some(expected), "{key}");
    }
    replay.answer(&fixtures::json("v0.3.64/http_get.json")["GET /api/jobs"]);
    assert_eq!(client.cancel_job("x").await.unwrap(), None);
}

async fn replayed_history(history: &Value) -> Option<comfyui::HistoryEntry> {
    let replay = Replay::default();
    let server = replay.start().await;
    let id = history.as_object().unwrap().keys().next().unwrap().clone();
    replay.answer(
        &json!({"response": {"status": 200, "headers": {"Content-Type": "application/json"}, "json": history}}),
    );
    server.client().history(&id).await.unwrap()
}

#[tokio::test]
async fn histories_tell_success_error_and_interruption_apart() {
    for version in VERSIONS {
        let load = |name: &str| fixtures::json(&format!("{version}/{name}.json"))["history"].clone();
        let success = replayed_history(&load("ws_success_txt2img")).await.unwrap();
        assert_eq!(success.status, HistoryStatus::Success);
        assert_eq!(success.primary_files()[0].filename, "t2i_00001_.png");
        assert!(success.ended_ms.unwrap() > success.started_ms.unwrap());
        assert!(success.error().is_none());

        let failed = replayed_history(&load("ws_node_error")).await.unwrap();
        assert_eq!(failed.status, HistoryStatus::Error);
        assert_eq!(failed.error().unwrap().node_id, "1");
        let summary = failed.error().unwrap().summary();
        assert_eq!(
            summary,
            "LoadImage (node 1) failed: UnidentifiedImageError: cannot identify image file 'will_break.png'"
        );
        assert_eq!(failed.primary_files()[0].kind, FileKind::Temp, "results made before the failure are kept");

        let interrupted = replayed_history(&load("ws_interrupt_running")).await.unwrap();
        assert_eq!(interrupted.status, HistoryStatus::Interrupted);
        assert!(interrupted.error().is_none());
        assert_eq!(interrupted.cached_nodes, ["4"]);
    }
}

#[tokio::test]
async fn python_numbers_in_a_history_are_tolerated() {
    let body = r#"{"p": {"prompt": [1, "p", {"1": {"inputs": {"x": NaN, "text": "NaN"}}}], "outputs": {"10": {"images": []}, "9": {"text": ["NaN"], "v": [NaN]}},
        "status": {"status_str": "success", "messages": [["execution_start", {"timestamp": Infinity}]]}}}"#;
    let router = Router::new().fallback(move || async move { ([(header::CONTENT_TYPE, "application/json")], body) });
    let server = Server::start(router).await;
    let entry = server.client().history("p").await.unwrap().unwrap();
    assert_eq!(entry.texts().collect::<Vec<_>>(), [("9", "NaN")]);
    assert!(server.client().history("other").await.unwrap().is_none());
}

#[tokio::test]
async fn queues_are_sorted_into_the_order_of_execution() {
    let body = json!({
        "queue_running": [[3, "r", {"big": "graph"}, {}, []]],
        "queue_pending": [[4, "d", {}, {}, []], [9, "e", {}, {}, []], [4.0, "c", {}], [-1000.5, "first", {}]]
    });
    let server = Server::start(Router::new().fallback(move || async move { axum::Json(body) })).await;
    let queue = server.client().queue().await.unwrap();
    assert_eq!(queue.pending.iter().map(|item| item.prompt_id.as_str()).collect::<Vec<_>>(), ["first", "c", "d", "e"]);
    assert!(queue.is_running("r") && queue.contains("e") && !queue.contains("x"));
    assert_eq!(queue.position("d"), Some(2));
}

#[test]
fn outputs_are_judged_by_extension_and_not_by_key() {
    for version in VERSIONS {
        let file = fixtures::json(&format!("{version}/outputs_by_node_type.json"));
        let outputs = |node: &str| -> Vec<OutputItem> {
            let all = file[node]["history_outputs"].as_object().unwrap();
            all.iter()
                .flat_map(|(id, output)| NodeOutput::parse(id, output.as_object().unwrap()).0)
                .map(|output| output.item)
                .collect()
        };
        for (node, media, kind) in [
            ("PreviewImage", Media::Image, FileKind::Temp),
            ("SaveAnimatedWEBP", Media::Image, FileKind::Output),
            ("SaveWEBM", Media::Video, FileKind::Output),
            ("SaveVideo", Media::Video, FileKind::Output),
            ("SaveAudio", Media::Audio, FileKind::Output),
            ("SaveLatent", Media::Other, FileKind::Output),
        ] {
            let items = outputs(node);
            assert!(!items.is_empty());
            for item in items {
                let OutputItem::File(file) = item else { panic!("{node}: {item:?}") };
                assert_eq!((file.media, file.kind), (media, kind), "{node}");
            }
        }
        assert_eq!(outputs("PreviewAny"), [OutputItem::Text("hello world".to_owned())]);
    }
}

#[test]
fn every_posted_graph_survives_reading_and_writing() {
    let mut seen = 0;
    for version in VERSIONS {
        let flows = fixtures::json(&format!("{version}/real_flows.json"));
        for (name, flow) in flows.as_object().unwrap().iter().filter(|(_, flow)| flow.get("prompt").is_some()) {
            let graph = Graph::parse(&flow["prompt"]).unwrap();
            assert_eq!(graph.to_value(), flow["prompt"], "{name}");
            assert_eq!(serde_json::from_str::<Graph>(&serde_json::to_string(&graph).unwrap()).unwrap(), graph);
            seen += 1;
        }
    }
    assert!(seen > 20);
}
