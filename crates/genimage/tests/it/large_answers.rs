//! What a large picture inside an answer costs the hub in memory: it may be there twice at once, not more.
//!
//! Counted from outside, as the peak of the process over one call: the only figure that no layer between the
//! object store and the socket can hide from.

use std::{fs, io::Cursor};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{ImageFormat, RgbImage};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::hub::{Hub, serve};

/// Peak growth of memory per byte of the answer's picture in base64. Two copies, and the pages that the rest of a
/// call needs.
const COPIES_MAX: f64 = 2.5;

/// How a client speaks.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Plain,
    Session,
    Current,
}

/// One figure of `/proc/PID/status`, in bytes.
fn memory(hub: &Hub, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    let kilobytes: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024.0
}

/// Lets the peak start anew at what is used now.
fn forget_peak(hub: &Hub) {
    fs::write(format!("/proc/{}/clear_refs", hub.pid()), "5").unwrap();
}

async fn session(hub: &Hub) -> String {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-11-25",
        "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let answer = hub
        .http
        .post(format!("{}/mcp", hub.url))
        .header("accept", "application/json, text/event-stream")
        .json(&request)
        .send()
        .await
        .unwrap();
    answer.headers()["mcp-session-id"].to_str().unwrap().to_owned()
}

/// Asks for the finished job with its picture whole; answers the body.
async fn ask(hub: &Hub, job: &str, shape: Shape, session: &str) -> String {
    let mut params = json!({ "name": "get_job", "arguments": { "job_id": job, "inline": "full" } });
    let mut request = hub.http.post(format!("{}/mcp", hub.url));
    match shape {
        Shape::Plain => {}
        Shape::Session => {
            request = request
                .header("accept", "application/json, text/event-stream")
                .header("mcp-session-id", session)
                .header("mcp-protocol-version", "2025-11-25");
        }
        Shape::Current => {
            params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {} });
            request = request
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", "tools/call")
                .header("mcp-name", "get_job");
        }
    }
    let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
    request.json(&body).send().await.unwrap().text().await.unwrap()
}

/// The picture of an answer, plain or as an event, in base64.
fn picture(body: &str) -> String {
    let data = body.lines().find(|line| line.contains("\"image/")).unwrap_or(body);
    let answer: Value = serde_json::from_str(data.trim_start_matches("data:")).unwrap();
    let blocks = answer["result"]["content"].as_array().unwrap();
    blocks.iter().find(|block| block["type"] == "image").unwrap()["data"].as_str().unwrap().to_owned()
}

/// A picture of 3 MB that cannot be compressed.
fn grain() -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(7);
    let picture = RgbImage::from_fn(1100, 1000, |_, _| image::Rgb(random.random()));
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).unwrap();
    png.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_picture_is_in_memory_at_most_twice_while_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path());
    // Large pieces go back to the system at once: else what an earlier call left free would hide a copy.
    command.arg("--demo").env("MALLOC_MMAP_THRESHOLD_", "131072");
    let hub = Hub::run(command);
    // What the simulated server makes of a picture is as grainy as that.
    let given = hub.http.post(format!("{}/api/v1/images", hub.url)).body(grain()).send().await.unwrap();
    let given: Value = given.json().await.unwrap();
    let arguments = json!({ "image": given["id"], "prompt": "a fox", "enhance": false });
    let (status, job) = hub.post("/api/v1/jobs", &json!({ "tool": "edit_image", "arguments": arguments })).await;
    assert_eq!(status, 202, "{job}");
    let job = job["id"].as_str().unwrap().to_owned();
    hub.wait_for_state(&job, &["succeeded"]).await;
    let session = session(&hub).await;
    for shape in [Shape::Plain, Shape::Session, Shape::Current] {
        // The first call of a shape may grow what stays.
        let length = picture(&ask(&hub, &job, shape, &session).await).len();
        forget_peak(&hub);
        let before = memory(&hub, "VmRSS");
        let base64 = picture(&ask(&hub, &job, shape, &session).await);
        let copies = (memory(&hub, "VmHWM") - before) / length as f64;
        assert!(BASE64_STANDARD.decode(&base64).unwrap().len() > 2_000_000, "{} is not large", base64.len());
        assert!(copies <= COPIES_MAX, "{shape:?}: {copies:.2} times the picture at once");
        assert!(copies > 0.9, "{shape:?}: {copies:.2} times the picture cannot be all of it");
    }
}
