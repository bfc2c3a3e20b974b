//! MCP of 2026-07-28 over HTTP.

use futures_util::StreamExt;
use hub_core::job::JobStateKind;
use serde_json::{Value, json};

use crate::harness::{Answer, DEADLINE, TestHub, job_of, record, until};

const VERSION: &str = "2026-07-28";

/// A request's body and headers, with `extra` in its `_meta`.
fn request(method: &str, mut params: Value, extra: &Value) -> (String, Vec<(&'static str, String)>) {
    let mut headers = vec![
        ("accept", "application/json, text/event-stream".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("mcp-protocol-version", VERSION.to_owned()),
        ("mcp-method", method.to_owned()),
    ];
    let name = ["name", "uri", "taskId"].iter().find_map(|key| params.get(*key)?.as_str().map(str::to_owned));
    headers.extend(name.map(|name| ("mcp-name", name)));
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for (key, value) in extra.as_object().unwrap() {
        meta[key] = value.clone();
    }
    params["_meta"] = meta;
    (json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": params}).to_string(), headers)
}

async fn ask_with(hub: &TestHub, method: &str, params: Value, extra: Value) -> Answer {
    let (body, headers) = request(method, params, &extra);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    hub.post("/mcp", &headers, body).await
}

async fn ask(hub: &TestHub, method: &str, params: Value) -> Value {
    ask_with(hub, method, params, json!({})).await.response()
}

fn quick(more: &Value) -> Value {
    let mut arguments = json!({"prompt": "a fox", "render_type": "sd15", "seed": 7, "styles": [], "enhance": false});
    for (key, value) in more.as_object().unwrap() {
        arguments[key] = value.clone();
    }
    json!({"name": "generate_image", "arguments": arguments})
}

#[tokio::test]
async fn discovery_and_lists_say_how_long_they_hold_and_who_answers() {
    let hub = TestHub::start(0).await;
    let found = ask(&hub, "server/discover", json!({})).await;
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!(VERSION)));
    assert!(found["result"]["instructions"].as_str().unwrap().contains("generate_image"));
    for method in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
        let result = ask(&hub, method, json!({})).await["result"].take();
        assert!(result["ttlMs"].is_u64() && result["cacheScope"].is_string(), "{method}: {result}");
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "genimage-hub", "{method}");
    }
    let bad_page = ask(&hub, "tools/list", json!({"cursor": "x"})).await;
    assert_eq!(bad_page["error"]["code"], -32602);
}

#[tokio::test]
async fn progress_rises_until_the_result_comes() {
    let hub = TestHub::start(800).await;
    let call = json!({"name": "generate_image", "arguments": {"prompt": "a fox", "render_type": "sd15", "styles": [], "enhance": false}});
    let answer = ask_with(&hub, "tools/call", call, json!({"progressToken": "p"})).await;
    let messages = answer.messages();
    let told: Vec<&Value> = messages
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| &message["params"])
        .collect();
    let numbers: Vec<f64> = told.iter().map(|params| params["progress"].as_f64().unwrap()).collect();
    assert!(numbers.len() >= 2, "{messages:?}");
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(told.iter().all(|params| params["progressToken"] == "p" && params["total"] == 100.0));
    assert!(told.iter().any(|params| params["message"].as_str().unwrap().contains("on gpu-1")), "{told:?}");
    let result = &messages.last().unwrap()["result"];
    assert_eq!((&result["resultType"], &record(result)["status"]), (&json!("complete"), &json!("succeeded")));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "genimage-hub");
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error_naming_the_tools() {
    let hub = TestHub::start(0).await;
    let answer = ask(&hub, "tools/call", json!({"name": "draw", "arguments": {}})).await;
    assert_eq!(answer["error"]["code"], -32602);
    assert!(answer["error"]["data"]["valid_values"].as_array().unwrap().contains(&json!("generate_image")));
}

#[tokio::test]
async fn closing_the_stream_cancels_the_job() {
    let hub = TestHub::start(60_000).await;
    let (body, headers) = request("tools/call", quick(&json!({})), &json!({}));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let job = {
        let call = hub.send("/mcp", &headers, body);
        tokio::select! {
            _ = call => panic!("nothing can be answered yet"),
            job = hub.newest_job() => job,
        }
    };
    hub.becomes(job, JobStateKind::Cancelled).await;
}

#[tokio::test]
async fn a_wait_that_is_over_cancels_nothing() {
    let hub = TestHub::start(700).await;
    let handle = ask(&hub, "tools/call", quick(&json!({"wait_s": 0}))).await;
    let job = job_of(&handle["result"]);
    hub.becomes(job, JobStateKind::Succeeded).await;
}

#[tokio::test]
async fn a_shutdown_of_the_hub_cancels_nothing() {
    let hub = TestHub::start(1_500).await;
    let (body, headers) = request("tools/call", quick(&json!({})), &json!({}));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let job = {
        let call = hub.send("/mcp", &headers, body);
        tokio::pin!(call);
        let job = tokio::select! {
            _ = &mut call => panic!("nothing can be answered yet"),
            job = hub.newest_job() => job,
        };
        hub.edge.close();
        drop(tokio::time::timeout(DEADLINE, call).await.expect("open calls end"));
        job
    };
    hub.becomes(job, JobStateKind::Succeeded).await;
}

#[tokio::test]
async fn a_silent_call_gets_its_head_within_two_seconds() {
    let hub = TestHub::start(60_000).await;
    let (body, headers) = request("tools/call", quick(&json!({})), &json!({}));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let head = hub.send("/mcp", &headers, body);
    let response = tokio::time::timeout(std::time::Duration::from_secs(4), head).await.expect("the head comes early");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let first = response.into_body().into_data_stream().next().await.unwrap().unwrap();
    assert!(first.starts_with(b":"), "{first:?}");
}

#[tokio::test]
async fn listeners_hear_of_a_changed_catalogue() {
    let hub = TestHub::start(0).await;
    let (body, headers) =
        request("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}), &json!({}));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let response = hub.send("/mcp", &headers, body).await;
    let mut events = response.into_body().into_data_stream();
    let mut heard = String::new();
    let mut changed = false;
    let listen = async {
        while !heard.contains("notifications/tools/list_changed") {
            heard.push_str(&String::from_utf8_lossy(&events.next().await.unwrap().unwrap()));
            if heard.contains("subscriptions/acknowledged") && !changed {
                changed = true;
                let mut style = hub.engine.catalogue().styles[0].clone();
                style.enabled = false;
                hub.engine.style_save(style).await.unwrap();
            }
        }
    };
    tokio::time::timeout(DEADLINE, listen).await.expect("the change is told");
    let tools = ask(&hub, "tools/list", json!({})).await;
    let styles =
        tools["result"]["tools"][0]["inputSchema"]["properties"]["styles"]["items"]["enum"].as_array().unwrap().len();
    assert_eq!(styles, hub.engine.catalogue().enabled_styles().count());
}

#[tokio::test]
async fn pictures_are_resources() {
    let hub = TestHub::start(0).await;
    let made = ask(&hub, "tools/call", quick(&json!({}))).await;
    let uri = record(&made["result"])["images"][0]["uri"].as_str().unwrap().to_owned();
    let listed = ask(&hub, "resources/list", json!({})).await;
    assert_eq!(listed["result"]["resources"][0]["uri"], uri);
    let read = ask(&hub, "resources/read", json!({"uri": uri})).await;
    let contents = &read["result"]["contents"][0];
    assert_eq!((&contents["mimeType"], &contents["uri"]), (&json!("image/png"), &json!(uri)));
    assert!(contents["blob"].as_str().unwrap().starts_with("iVBOR"));
    for missing in
        ["genimage://images/img_00000000000000000000000000000001", "genimage://images/x", "file:///etc/passwd"]
    {
        let answer = ask(&hub, "resources/read", json!({"uri": missing})).await;
        assert_eq!((&answer["error"]["code"], &answer["error"]["data"]["uri"]), (&json!(-32602), &json!(missing)));
    }
}

#[tokio::test]
async fn prompts_are_filled_in_and_their_arguments_completed() {
    let hub = TestHub::start(0).await;
    let prompt =
        ask(&hub, "prompts/get", json!({"name": "make_picture", "arguments": {"subject": "a fox", "style": "noir"}}))
            .await;
    let text = prompt["result"]["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(text.contains("a fox") && text.contains("noir"), "{text}");
    let missing = ask(&hub, "prompts/get", json!({"name": "make_picture", "arguments": {}})).await;
    assert_eq!(missing["error"]["code"], -32602);
    let reference = json!({"type": "ref/prompt", "name": "make_picture"});
    let completed =
        ask(&hub, "completion/complete", json!({"ref": reference, "argument": {"name": "style", "value": "photo-m"}}))
            .await;
    assert_eq!(completed["result"]["completion"]["values"], json!(["photo-macro"]));
}

#[tokio::test]
async fn a_client_that_takes_tasks_gets_one_for_a_long_job() {
    let hub = TestHub::start(60_000).await;
    let declared =
        json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let asked = async |method: &str, params: Value| ask_with(&hub, method, params, declared.clone()).await.response();
    let created = asked("tools/call", quick(&json!({"wait_s": 0}))).await["result"].take();
    assert_eq!((&created["resultType"], &created["status"]), (&json!("task"), &json!("working")), "{created}");
    let id = created["taskId"].as_str().unwrap();
    assert_eq!(asked("tasks/get", json!({"taskId": id})).await["result"]["status"], "working");
    let undeclared = ask(&hub, "tasks/get", json!({"taskId": id})).await;
    assert_eq!(undeclared["error"]["code"], -32021);
    asked("tasks/cancel", json!({"taskId": id})).await;
    until("the task is cancelled", async || {
        asked("tasks/get", json!({"taskId": id})).await["result"]["status"] == "cancelled"
    })
    .await;
    assert_eq!(asked("tasks/get", json!({"taskId": "nope"})).await["error"]["code"], -32602);
}

#[tokio::test]
async fn a_finished_task_holds_the_result_of_the_call() {
    let hub = TestHub::start(0).await;
    let made = ask(&hub, "tools/call", quick(&json!({}))).await;
    let declared =
        json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let id = job_of(&made["result"]).to_string();
    let task = ask_with(&hub, "tasks/get", json!({"taskId": id}), declared).await.response()["result"].take();
    assert_eq!(task["status"], "completed", "{task}");
    assert_eq!(record(&task["result"]), record(&made["result"]));
}
