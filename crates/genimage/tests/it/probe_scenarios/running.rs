//! When and where a job runs, and how its end is told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, future::join_all};
use hub_sim::{ComfyConfig, Fault};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::bed::Bed;
use crate::hub::PATIENCE;

/// Time in which a failure must be known, in milliseconds: the scenario's second, and room for a busy machine. A hub
/// that does not hear of it finds it only when it looks, after five seconds.
const SOON_MS: i64 = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_finishes_before_the_ws_connects_succeeds() {
    let instant = ComfyConfig { run_ms: 0, load_ms: 0, history_gap_ms: 0, ..ComfyConfig::default() };
    let bed = Bed::with_servers(1, instant).await;
    for seed in 0..3 {
        bed.succeeds("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN", "seed": seed })).await;
    }
    // No event at all: the hub looks into the history.
    bed.sims[0].inject(Fault::Deaf.always());
    bed.succeeds("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN", "seed": 3 })).await;
    assert_eq!(bed.successes(), [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn execution_error_cuda_out_of_memory_is_told_within_a_second_as_recoverable() {
    let bed = Bed::start().await;
    let fault = Fault::ExecutionError {
        node: None,
        exception_type: "torch.OutOfMemoryError".to_owned(),
        message: "CUDA out of memory. Tried to allocate 2.00 GiB.".to_owned(),
    };
    // Once is not enough: the job is tried again after the memory was freed.
    bed.sims[0].inject(fault.always());
    let error = bed.fails("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN" })).await;
    // From the moment at which the server failed for good, so that a busy machine's slow start and the second try do
    // not count.
    let failed_ms = i64::try_from(bed.sims[0].stats().executed.last().unwrap().finished_at_ms).unwrap();
    let jobs = bed.edge.get("/api/v1/jobs").await;
    let ended: DateTime<Utc> = jobs["jobs"][0]["finished_at"].as_str().unwrap().parse().unwrap();
    let took_ms = ended.timestamp_millis() - failed_ms;
    assert!(took_ms < SOON_MS, "{took_ms} ms");
    assert_eq!((&error["code"], &error["recoverable"]), (&json!("out_of_memory"), &json!(true)));
    assert!(error["hint"].is_string() || error["message"].as_str().unwrap().contains("memory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_the_ws_half_a_second_after_an_instant_failure_gets_error_and_end() {
    let bed = Bed::with_servers(1, ComfyConfig { run_ms: 0, ..ComfyConfig::default() }).await;
    bed.sims[0].inject(Fault::out_of_memory().always());
    let call = json!({ "jsonrpc": "2.0", "id": "r1", "method": "tools/call",
        "params": { "name": "generate_image", "arguments": { "prompt": "a fox", "render_type": "GEN" } } });
    let (status, start) = bed.edge.post("/legacy/mcp", &call).await;
    assert_eq!((status, &start["method"], &start["id"]), (200, &json!("stream/start"), &json!("r1")));
    let stream = start["params"]["stream_id"].as_str().unwrap();
    bed.edge.wait_for("/api/v1/jobs?state=failed", |jobs| jobs["jobs"].as_array().unwrap().len() == 1).await;
    // The scenario's own delay: the failure is long over.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let heard = tokio::time::timeout(PATIENCE, listen(start["params"]["ws_url"].as_str().unwrap())).await;
    let heard = heard.expect("the stream ends by itself");
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!((&heard[0]["method"], &heard[0]["params"]["stream_id"]), (&json!("stream/chunk"), &json!(stream)));
    assert_eq!(heard[0]["params"]["error"]["code"], -32000);
    assert!(heard[0]["params"]["error"]["message"].as_str().unwrap().contains("memory"), "{heard:?}");
    assert_eq!(heard[1], json!({ "jsonrpc": "2.0", "method": "stream/end", "params": { "stream_id": stream } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn six_simultaneous_calls_on_two_idle_servers_go_three_and_three() {
    let bed = Bed::with_servers(2, ComfyConfig { run_ms: 300, ..ComfyConfig::default() }).await;
    let calls = (0..6).map(|seed| {
        let arguments = json!({ "prompt": "a fox", "render_type": "GEN", "seed": seed, "inline": "none" });
        let bed = &bed;
        async move { bed.succeeds("generate_image", &arguments).await }
    });
    join_all(calls).await;
    assert_eq!(bed.successes(), [3, 3]);
}

/// Everything that a stream says until it is closed.
async fn listen(url: &str) -> Vec<Value> {
    let (mut socket, _) = connect_async(url).await.unwrap();
    let mut heard = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message {
            heard.push(serde_json::from_str(&text).unwrap());
        }
    }
    heard
}
