//! Plain JSON-RPC, as `curl` sends it; and the results themselves.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hub_core::job::JobStateKind;
use hub_mcp::McpConfig;
use hub_sim::Fault;
use serde_json::{Value, json};

use crate::{
    current_era::ask,
    harness::{TestHub, error, job_of, record},
};

/// A small picture without anything around it.
fn quick() -> Value {
    json!({"prompt": "a fox", "render_type": "sd15", "seed": 7, "styles": [], "enhance": false})
}

#[tokio::test]
async fn an_empty_hub_lists_no_tools() {
    let hub = TestHub::empty().await;
    let answer = hub.plain("tools/list", json!({})).await;
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}));
}

#[tokio::test]
async fn the_shipped_catalogue_is_listed_within_eight_kilobytes() {
    let hub = TestHub::start(0).await;
    let answer = hub.post("/mcp", &[], r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#).await;
    assert!(answer.text.len() <= 8 * 1024, "{} bytes", answer.text.len());
    let message = answer.json();
    assert_eq!(message["id"], "a");
    let names: Vec<&str> =
        message["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["generate_image", "upscale_image", "edit_image", "detail_image", "get_job", "cancel_job", "list_options"]
    );
    let catalogue = hub.engine.catalogue();
    let styles = message["result"]["tools"][0]["inputSchema"]["properties"]["styles"]["items"]["enum"].clone();
    let enabled: Vec<&str> = catalogue.enabled_styles().map(|style| style.name.as_str()).collect();
    assert_eq!(styles, json!(enabled));
}

#[tokio::test]
async fn with_an_llm_in_every_role_all_tools_are_listed_within_eight_kilobytes() {
    let hub = TestHub::start(0).await;
    hub.llm_in_every_role().await;
    let plain = hub.post("/mcp", &[], r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    let current = ask(&hub, "tools/list", json!({})).await;
    for (era, listed, bytes) in [
        ("plain", plain.json()["result"]["tools"].clone(), plain.text.len()),
        ("current", current["result"]["tools"].clone(), current["result"].to_string().len()),
    ] {
        let names: Vec<&str> = listed.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        let all = [
            "generate_image",
            "upscale_image",
            "edit_image",
            "detail_image",
            "describe_image",
            "generate_prompt",
            "get_job",
            "cancel_job",
            "list_options",
        ];
        assert_eq!(names, all, "{era}");
        assert!(bytes <= 8 * 1024, "{era}: {bytes} bytes");
    }
}

#[tokio::test]
async fn settings_of_answers_are_in_force_at_once() {
    let hub = TestHub::start(60_000).await;
    let default_wait = async || {
        let tools = hub.plain("tools/list", json!({})).await["result"]["tools"].take();
        tools[0]["inputSchema"]["properties"]["wait_s"]["default"].clone()
    };
    assert_eq!(default_wait().await, 45);
    let set = async |changes: Value| {
        hub.engine.settings_change(changes.as_object().unwrap(), false, |_| Ok(())).await.map(drop).unwrap();
    };
    let mut told = hub.engine.catalogue_changes();
    told.mark_unchanged();
    set(json!({"mcp.wait_s": 0})).await;
    assert!(told.has_changed().unwrap(), "who holds the list is told that it is another");
    assert_eq!(default_wait().await, 0);
    let handle = hub.call("generate_image", quick()).await;
    assert_eq!(record(&handle)["status"], "running", "it did not wait: {handle}");
    hub.engine.cancel(job_of(&handle)).await.unwrap();
}

#[tokio::test]
async fn a_call_answers_text_preview_link_and_record() {
    let hub = TestHub::start(0).await;
    let result = hub.call("generate_image", quick()).await;
    assert_eq!(result["isError"], false, "{result}");
    assert!(result.get("structuredContent").is_none() && result.get("resultType").is_none());
    let image = &record(&result)["images"][0];
    let (id, url) = (image["id"].as_str().unwrap(), image["url"].as_str().unwrap());
    assert!(url.starts_with("http://hub.test:8001/outputs/img_"), "{url}");
    assert_eq!(image["seed"], 7);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(id) && text.contains(url) && text.contains("seed 7"), "{text}");
    let data = STANDARD.decode(result["content"][1]["data"].as_str().unwrap()).unwrap();
    assert!(!data.is_empty() && data.len() <= 700_000, "{} bytes", data.len());
    let link = &result["content"][2];
    assert_eq!((&link["type"], &link["uri"]), (&json!("resource_link"), &json!(format!("genimage://images/{id}"))));
    assert_eq!(link["annotations"]["audience"], json!(["user"]));
}

#[tokio::test]
async fn the_query_chooses_what_is_delivered() {
    let hub = TestHub::start(0).await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "generate_image", "arguments": quick()}});
    let answer = hub.post("/mcp?inline=none&links=0&structured=1", &[], body.to_string()).await.json();
    let result = &answer["result"];
    assert_eq!(result["content"].as_array().map(Vec::len), Some(1), "{result}");
    assert_eq!(&result["structuredContent"], record(result));
}

#[tokio::test]
async fn a_query_that_means_nothing_is_refused_on_every_way_in() {
    let hub = TestHub::start(0).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let current = [("accept", "application/json, text/event-stream"), ("mcp-protocol-version", "2026-07-28")];
    for (path, headers) in [("/mcp", &[][..]), ("/mcp", &current[..]), ("/legacy/mcp", &[])] {
        let answer = hub.post(&format!("{path}?inline=everything"), headers, body).await;
        assert_eq!(answer.status.as_u16(), 400, "{path}: {}", answer.text);
        let error = &answer.json()["error"];
        assert_eq!((&error["code"], &error["data"]["argument"]), (&json!(-32602), &json!("inline")), "{path}");
        assert_eq!(error["data"]["valid_values"], json!(["none", "preview", "full"]));
        assert!(error["message"].as_str().unwrap().contains("none, preview, full"), "{error}");
    }
}

#[tokio::test]
async fn an_argument_of_the_call_wins_over_the_connection() {
    let hub = TestHub::start(0).await;
    let mut arguments = quick();
    arguments["inline"] = json!("none");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "generate_image", "arguments": arguments}});
    let kinds = |result: &Value| -> Vec<String> {
        let blocks = result["content"].as_array().unwrap();
        blocks.iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect()
    };
    let answer = hub.post("/mcp?inline=full", &[], body.to_string()).await.json();
    assert_eq!(kinds(&answer["result"]), ["text", "resource_link"]);
    let job = job_of(&answer["result"]).to_string();
    let again = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "get_job", "arguments": {"job_id": job, "inline": "preview"}}});
    let answer = hub.post("/mcp?inline=none&links=0", &[], again.to_string()).await.json();
    assert_eq!(kinds(&answer["result"]), ["text", "image"]);
}

#[tokio::test]
async fn a_picture_can_be_passed_on_to_another_tool() {
    let hub = TestHub::start(0).await;
    let first = hub.call("generate_image", quick()).await;
    let image = record(&first)["images"][0]["id"].clone();
    let second = hub.call("upscale_image", json!({"image": image, "render_type": "upscale-4x"})).await;
    assert_eq!(second["isError"], false, "{second}");
    assert_ne!(job_of(&first), job_of(&second));
}

#[tokio::test]
async fn a_users_mistake_is_a_tool_result_that_says_what_is_valid() {
    let hub = TestHub::start(0).await;
    let unknown_style = hub.call("generate_image", json!({"prompt": "x", "styles": ["no-such-style"]})).await;
    assert_eq!((&unknown_style["isError"], &error(&unknown_style)["code"]), (&json!(true), &json!("unknown_style")));
    assert!(error(&unknown_style)["valid_values"].as_array().is_some_and(|names| !names.is_empty()));
    let negative_seed = hub.call("generate_image", json!({"prompt": "x", "seed": -5})).await;
    assert_eq!(error(&negative_seed)["argument"], "seed");
    let huge = "x".repeat(10 * 1024 * 1024);
    let too_long = hub.call("generate_image", json!({"prompt": huge})).await;
    assert_eq!(error(&too_long)["argument"], "prompt");
    for wrong in [json!(7), json!(["x"]), json!({"a": 1})] {
        let result = hub.call("generate_image", json!({"prompt": wrong})).await;
        assert_eq!(error(&result)["code"], "bad_argument", "{result}");
    }
    let no_job = hub.call("get_job", json!({"job_id": "job_00000000000000000000000000000001"})).await;
    assert_eq!(error(&no_job)["code"], "unknown_job");
}

#[tokio::test]
async fn a_job_that_fails_on_its_server_is_an_error_with_its_job() {
    let hub = TestHub::start(0).await;
    let fault =
        Fault::ExecutionError { node: None, exception_type: "ValueError".to_owned(), message: "bad".to_owned() };
    hub.sim.as_ref().unwrap().inject(fault.always());
    let result = hub.call("generate_image", quick()).await;
    assert_eq!((&result["isError"], &error(&result)["code"]), (&json!(true), &json!("node_failed")), "{result}");
    assert_eq!(hub.engine.view(job_of(&result)).await.unwrap().job.state.kind(), JobStateKind::Failed);
}

#[tokio::test]
async fn past_the_wait_a_handle_is_answered_and_get_job_brings_the_result() {
    let hub = TestHub::start(600).await;
    let mut arguments = quick();
    arguments["wait_s"] = json!(0);
    let handle = hub.call("generate_image", arguments).await;
    assert_eq!((&handle["isError"], &record(&handle)["status"]), (&json!(false), &json!("running")), "{handle}");
    let job = job_of(&handle);
    let result = hub.call("get_job", json!({"job_id": job.to_string(), "wait_s": 15})).await;
    assert_eq!(record(&result)["status"], "succeeded", "{result}");
    let again = hub.call("get_job", json!({"job_id": job.to_string()})).await;
    assert_eq!(again, result);
}

#[tokio::test]
async fn a_job_can_be_cancelled_by_its_id() {
    let hub = TestHub::start(30_000).await;
    let mut arguments = quick();
    arguments["wait_s"] = json!(0);
    let job = job_of(&hub.call("generate_image", arguments).await);
    let cancelled = hub.call("cancel_job", json!({"job_id": job.to_string()})).await;
    assert_eq!(record(&cancelled)["status"], "cancelled", "{cancelled}");
    let result = hub.call("get_job", json!({"job_id": job.to_string()})).await;
    assert_eq!(error(&result)["code"], "cancelled");
}

#[tokio::test]
async fn the_same_key_finds_the_same_job_wherever_it_stands() {
    let hub = TestHub::start(0).await;
    let call = |arguments: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "generate_image", "arguments": arguments}}).to_string()
    };
    let mut random = quick();
    random.as_object_mut().unwrap().remove("seed");
    let first = hub.post("/mcp", &[("idempotency-key", "k1")], call(random.clone())).await.json();
    let second = hub.post("/mcp", &[("idempotency-key", "k1")], call(random.clone())).await.json();
    let mut keyed = random.clone();
    keyed["idempotency_key"] = json!("k1");
    let third = hub.post("/mcp", &[("idempotency-key", "other")], call(keyed)).await.json();
    let jobs: Vec<_> = [&first, &second, &third].map(|answer| job_of(&answer["result"])).to_vec();
    assert!(jobs.windows(2).all(|pair| pair[0] == pair[1]), "{jobs:?}");
    let bad = hub.post("/mcp", &[("idempotency-key", &"k".repeat(201))], call(random)).await.json();
    assert_eq!(error(&bad["result"])["argument"], "idempotency_key");
}

#[tokio::test]
async fn broken_requests_are_protocol_errors_in_json() {
    let hub = TestHub::start(0).await;
    let send = async |body: &str| {
        let answer = hub.post("/mcp", &[("content-type", "text/plain")], body.to_owned()).await;
        (answer.status.as_u16(), answer.json())
    };
    let (status, parse) = send("{not json").await;
    assert_eq!((status, &parse["error"]["code"], &parse["id"]), (400, &json!(-32700), &Value::Null));
    let (status, batch) = send(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#).await;
    assert_eq!((status, &batch["error"]["code"]), (400, &json!(-32600)));
    let (_, method) = send(r#"{"jsonrpc":"2.0","id":null,"method":"nope"}"#).await;
    assert_eq!((&method["error"]["code"], &method["id"]), (&json!(-32601), &Value::Null));
    let (_, tool) = send(r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"generate"}}"#).await;
    assert_eq!((&tool["error"]["code"], &tool["id"]), (&json!(-32602), &json!("x")));
    assert!(tool["error"]["message"].as_str().unwrap().contains("generate_image"));
    let (_, arguments) =
        send(r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_job","arguments":[]}}"#).await;
    assert_eq!(arguments["error"]["code"], -32602);
    let (_, ping) = send(r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#).await;
    assert_eq!(ping, json!({"jsonrpc": "2.0", "id": 3, "result": {}}));
}

#[tokio::test]
async fn a_notification_is_taken_and_not_answered() {
    let hub = TestHub::start(0).await;
    let answer = hub.post("/mcp", &[], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (202, ""));
}

#[tokio::test]
async fn a_page_of_another_site_may_not_call() {
    let hub = TestHub::start(0).await;
    for path in ["/mcp", "/legacy/mcp"] {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let foreign = hub.post(path, &[("origin", "https://evil.example")], body).await;
        assert_eq!(foreign.status.as_u16(), 403, "{path}");
        let local = hub.post(path, &[("origin", "http://localhost:6274")], body).await;
        assert_eq!(local.status.as_u16(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_public_url_is_what_links_begin_with() {
    let public_url = Some("https://pictures.example/hub/".parse().unwrap());
    let hub = TestHub::start_with(0, McpConfig { public_url, ..McpConfig::default() }).await;
    let result = hub.call("generate_image", quick()).await;
    let url = record(&result)["images"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("https://pictures.example/hub/outputs/img_"), "{url}");
}
