//! The older system's dialect over a real socket.

use std::{sync::Once, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use hub_core::{
    job::JobStateKind,
    server::{LlmAssignment, LlmDialect, LlmRole},
};
use hub_sim::{
    Fault,
    ollama::{OllamaConfig, OllamaFault, OllamaSim},
};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::harness::{DEADLINE, TestHub};

fn call(id: &Value, arguments: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "generate_image", "arguments": arguments}}).to_string()
}

fn quick() -> Value {
    json!({"prompt": "a fox", "render_type": "sd15", "seed": 7, "style_names": null, "enhance_prompt": false})
}

/// Serves the hub on a free port; answers its address.
async fn listen(hub: &TestHub) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = hub.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Everything a stream says until it closes.
async fn stream(address: &str, id: &str) -> Vec<Value> {
    let read = async {
        let (mut socket, _) = connect_async(format!("ws://{address}/ws/stream/{id}")).await.unwrap();
        socket.send(Message::text("ignored")).await.unwrap();
        let mut heard = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                heard.push(serde_json::from_str(&text).unwrap());
            }
        }
        heard
    };
    tokio::time::timeout(DEADLINE, read).await.expect("the stream ends")
}

async fn start(hub: &TestHub, arguments: Value) -> (String, String) {
    let answer = hub.post("/legacy/mcp", &[], call(&json!("r1"), &arguments)).await.json();
    assert_eq!((&answer["method"], &answer["id"]), (&json!("stream/start"), &json!("r1")), "{answer}");
    let text = |key: &str| answer["params"][key].as_str().unwrap().to_owned();
    (text("stream_id"), text("ws_url"))
}

#[tokio::test]
async fn a_call_answers_a_stream_that_brings_the_picture_and_ends() {
    let hub = TestHub::start(200).await;
    let address = listen(&hub).await;
    let (id, url) = start(&hub, quick()).await;
    assert_eq!(url, format!("ws://hub.test:8001/ws/stream/{id}"));
    let (first, second) = tokio::join!(stream(&address, &id), stream(&address, &id));
    assert_eq!(first, second);
    assert_eq!(first.len(), 2, "{first:?}");
    let chunk = &first[0];
    assert_eq!((&chunk["method"], &chunk["params"]["stream_id"]), (&json!("stream/chunk"), &json!(id)));
    let result = &chunk["params"]["result"];
    let image = result["structured_output"]["image_url"].as_str().unwrap();
    assert!(image.starts_with(&format!("http://{address}/outputs/img_")), "{image}");
    assert_eq!(result["structured_output"]["seed"], 7);
    assert_eq!(result["content"], json!([{"type": "image", "source": image}]));
    assert_eq!(first[1], json!({"jsonrpc": "2.0", "method": "stream/end", "params": {"stream_id": id}}));
}

#[tokio::test]
async fn a_late_joiner_gets_everything() {
    let hub = TestHub::start(0).await;
    let address = listen(&hub).await;
    let (id, _) = start(&hub, quick()).await;
    hub.becomes(hub.newest_job().await, JobStateKind::Succeeded).await;
    let heard = stream(&address, &id).await;
    assert_eq!(heard.len(), 2);
    assert!(heard[0]["params"].get("result").is_some(), "{heard:?}");
}

#[tokio::test]
async fn client_opens_ws_half_a_second_after_an_instant_failure_gets_error_and_end() {
    let hub = TestHub::start(0).await;
    let address = listen(&hub).await;
    let fault =
        Fault::ExecutionError { node: None, exception_type: "ValueError".to_owned(), message: "bad".to_owned() };
    hub.sim.as_ref().unwrap().inject(fault.always());
    let (id, _) = start(&hub, quick()).await;
    hub.becomes(hub.newest_job().await, JobStateKind::Failed).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let heard = stream(&address, &id).await;
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(heard[0]["params"]["error"]["code"], -32000);
    assert_eq!(heard[1]["method"], "stream/end");
}

/// A transcript with what differs from run to run replaced by names.
fn named(value: &Value, names: &[(&str, &str)]) -> Value {
    let text = names.iter().fold(value.to_string(), |text, (found, name)| text.replace(found, name));
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn transcripts_of_the_older_system_are_spoken_word_for_word() {
    let hub = TestHub::start(0).await;
    let address = listen(&hub).await;
    let golden = |tool: &str| {
        [
            json!({"jsonrpc": "2.0", "method": "stream/start", "params": {"stream_id": "STREAM", "ws_url": "ws://hub.test:8001/ws/stream/STREAM"}, "id": "r1"}),
            json!({"jsonrpc": "2.0", "method": "stream/chunk", "params": {"stream_id": "STREAM", "result": {
                "structured_output": {"image_url": "URL", "seed": 7, "human_readable_summary": "Image generated successfully: URL"},
                "content": [{"type": "image", "source": "URL"}],
            }}}),
            json!({"jsonrpc": "2.0", "method": "stream/end", "params": {"stream_id": "STREAM"}}),
        ]
        .map(|message| (tool.to_owned(), message))
    };
    let mut source = String::new();
    for (tool, arguments) in [
        ("generate_image", quick()),
        (
            "upscale_image",
            json!({"input_image_url": "SOURCE", "upscale_type": "upscale-4x", "denoise": null, "seed": 7}),
        ),
    ] {
        let arguments = named(&arguments, &[("SOURCE", source.as_str())]);
        let call = json!({"jsonrpc": "2.o", "id": "r1", "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        let start = hub.post("/legacy/mcp", &[], call.to_string()).await.json();
        let id = start["params"]["stream_id"].as_str().unwrap_or_else(|| panic!("{tool}: {start}")).to_owned();
        let mut spoken = vec![start];
        spoken.extend(stream(&address, &id).await);
        let url = spoken[1]["params"]["result"]["content"][0]["source"].as_str().unwrap_or_default().to_owned();
        for ((tool, expected), message) in golden(tool).iter().zip(&spoken) {
            assert_eq!(&named(message, &[(url.as_str(), "URL"), (id.as_str(), "STREAM")]), expected, "{tool}");
        }
        assert_eq!(spoken.len(), 3);
        let name = url.rsplit('/').next().unwrap();
        source = name.split('.').next().unwrap().to_owned();
    }
}

#[tokio::test]
async fn many_watchers_hear_the_same_and_one_that_reads_nothing_holds_up_nobody() {
    let hub = TestHub::start(700).await;
    let address = listen(&hub).await;
    let (id, _) = start(&hub, quick()).await;
    let job = hub.newest_job().await;
    // A watcher that asks for everything and then reads nothing at all.
    let mut deaf = tokio::net::TcpStream::connect(&address).await.unwrap();
    let upgrade = format!(
        "GET /ws/stream/{id} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    tokio::io::AsyncWriteExt::write_all(&mut deaf, upgrade.as_bytes()).await.unwrap();
    let heard = futures_util::future::join_all((0..64).map(|_| stream(&address, &id))).await;
    assert!(heard[0][0]["params"]["result"]["content"][0]["source"].is_string(), "{:?}", heard[0]);
    assert!(heard.iter().all(|one| *one == heard[0]));
    hub.becomes(job, JobStateKind::Succeeded).await;
    drop(deaf);
}

#[tokio::test]
async fn watchers_that_leave_early_leave_the_job_alone() {
    let hub = TestHub::start(700).await;
    let address = listen(&hub).await;
    let (id, _) = start(&hub, quick()).await;
    let (socket, _) = connect_async(format!("ws://{address}/ws/stream/{id}")).await.unwrap();
    drop(socket);
    let heard = stream(&address, &id).await;
    assert!(heard[0]["params"].get("result").is_some(), "{heard:?}");
}

#[tokio::test]
async fn an_unknown_stream_says_so_and_closes() {
    let hub = TestHub::start(0).await;
    let address = listen(&hub).await;
    for id in ["nonsense", "00000000-0000-0000-0000-000000000001"] {
        let heard = stream(&address, id).await;
        assert_eq!(heard.len(), 2, "{id}: {heard:?}");
        assert!(heard[0]["params"]["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn faults_are_answered_on_the_post_with_the_id() {
    let hub = TestHub::start(0).await;
    let send = async |body: String| {
        let answer = hub.post("/legacy/mcp", &[], body).await;
        assert_eq!(answer.status.as_u16(), 200);
        answer.json()
    };
    let bad = send(call(&json!(7), &json!({"prompt": "x", "seed": -5}))).await;
    assert_eq!((&bad["error"]["code"], &bad["id"]), (&json!(-32602), &json!(7)));
    assert!(bad["error"]["message"].as_str().unwrap().starts_with("Invalid parameters: "));
    let nope = send(json!({"id": "a", "method": "tools/call", "params": {"name": "nope"}}).to_string()).await;
    assert_eq!(
        nope,
        json!({"jsonrpc": "2.0", "id": "a", "error": {"code": -32000, "message": "Tool 'nope' not found."}})
    );
    let method = send(json!({"jsonrpc": "2.o", "id": 1, "method": "x"}).to_string()).await;
    assert_eq!(method["error"], json!({"code": -32601, "message": "Method 'x' not found."}));
    let broken = send("{".to_owned()).await;
    assert_eq!((&broken["error"]["code"], &broken["id"]), (&json!(-32700), &Value::Null));
    let silent = hub.post("/legacy/mcp", &[], json!({"method": "tools/list"}).to_string()).await;
    assert_eq!((silent.status.as_u16(), silent.text.as_str()), (202, ""));
    let tools = send(json!({"id": 1, "method": "tools/list"}).to_string()).await;
    assert!(!tools["result"]["tools"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_generated_prompt_is_answered_on_the_post_as_the_older_system_did() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    let hub = TestHub::start(0).await;
    let llm = OllamaSim::start(([127, 0, 0, 1], 0).into(), OllamaConfig::default()).await.unwrap();
    let server = hub.engine.llm_server_add("llm", llm.url().parse().unwrap(), LlmDialect::Ollama, None).await.unwrap();
    let to = LlmAssignment { server: server.id, model: None };
    hub.engine.llm_assign(LlmRole::PromptGenerator, Some(to)).await.unwrap();
    let ask = async || {
        let params =
            json!({"name": "generate_prompt", "arguments": {"subject": "a fox", "elements": [], "render_style": null}});
        let call = json!({"jsonrpc": "2.o", "id": "r1", "method": "tools/call", "params": params});
        hub.post("/legacy/mcp", &[], call.to_string()).await.json()
    };
    let answer = ask().await;
    let said = &answer["result"]["content"][0]["json"];
    let text = |key: &str| said[key].as_str().unwrap_or_else(|| panic!("{key}: {answer}"));
    assert!(text("positive_prompt").contains("fox"), "{answer}");
    let (positive, negative, summary) =
        (text("positive_prompt"), text("negative_prompt"), text("human_readable_summary"));
    assert!(summary.starts_with(&format!("**Positive Prompt:**\n```\n{positive}\n```")), "{summary}");
    let expected = json!({"jsonrpc": "2.0", "id": "r1", "result": {"content": [{"type": "json", "json": {
        "positive_prompt": positive, "negative_prompt": negative, "human_readable_summary": summary,
    }}]}});
    assert_eq!(answer, expected);

    llm.inject(OllamaFault::Status { status: 400, error: "no".to_owned() }, 100);
    let failed = ask().await;
    assert_eq!((&failed["id"], &failed["error"]["code"]), (&json!("r1"), &json!(-32000)), "{failed}");
}
