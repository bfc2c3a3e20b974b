//! MCP of 2026-07-28 over HTTP.

use futures_util::StreamExt;
use hub_core::job::JobStateKind;
use serde_json::{Value, json};

use crate::harness::{Answer, DEADLINE, TestHub, job_of, record, until};

const VERSION: &str = "2026-07-28";

/// A request's body and headers, with `extra` in its `_meta`.
pub(crate) fn request(method: &str, mut params: Value, extra: &Value) -> (String, Vec<(&'static str, String)>) {
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

pub(crate) async fn ask_with(hub: &TestHub, method: &str, params: Value, extra: Value) -> Answer {
    let (body, headers) = request(method, params, &extra);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    hub.post("/mcp", &headers, body).await
}

pub(crate) async fn ask(hub: &TestHub, method: &str, params: Value) -> Value {
    ask_with(hub, method, params, json!({})).await.response()
}

pub(crate) fn quick(more: &Value) -> Value {
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
async fn a_silent_call_gets_its_head_long_before_its_answer() {
    let hub = TestHub::start(60_000).await;
    let (body, headers) = request("tools/call", quick(&json!({})), &json!({}));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let head = hub.send("/mcp", &headers, body);
    // Two seconds, and room for a busy machine: far below the time after which there is something to say.
    let response = tokio::time::timeout(std::time::Duration::from_secs(10), head).await.expect("the head comes early");
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
    let listed = listed["result"]["resources"].as_array().unwrap();
    assert!(listed.iter().any(|one| one["uri"] == uri), "{listed:?}");
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

#[tokio::test]
async fn a_call_that_ends_soon_is_no_task_and_older_eras_have_none() {
    let hub = TestHub::start(0).await;
    let extension = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let declared = json!({"io.modelcontextprotocol/clientCapabilities": extension});
    let quick_one = ask_with(&hub, "tools/call", quick(&json!({})), declared.clone()).await.response()["result"].take();
    assert_eq!((&quick_one["resultType"], &record(&quick_one)["status"]), (&json!("complete"), &json!("succeeded")));
    for method in ["tasks/result", "tasks/list"] {
        let answer = ask_with(&hub, method, json!({}), declared.clone()).await.response();
        assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
    }
    let session = crate::older_eras::Session::begin_with(&hub, "2025-11-25", extension).await;
    let handle = session.ask("tools/call", quick(&json!({"wait_s": 0, "seed": 8}))).await["result"].take();
    assert!(handle.get("taskId").is_none(), "{handle}");
    assert!(record(&handle)["job"].is_string(), "{handle}");
}

#[tokio::test]
async fn the_view_is_linked_only_for_clients_that_show_it() {
    let hub = TestHub::start(0).await;
    let extension = json!({"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}});
    let declared = json!({"io.modelcontextprotocol/clientCapabilities": extension});
    let linked = |answer: &Value| -> Vec<String> {
        let tools = answer["result"]["tools"].as_array().unwrap().iter();
        let linked = tools.filter(|tool| tool["_meta"]["ui"]["resourceUri"] == "ui://genimage/view.html");
        linked.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["generate_image", "upscale_image", "edit_image", "get_job"];
    let current = ask_with(&hub, "tools/list", json!({}), declared).await.response();
    assert!(expected.iter().all(|name| linked(&current).contains(&(*name).to_owned())), "{:?}", linked(&current));
    assert!(!linked(&current).contains(&"list_options".to_owned()));
    assert!(linked(&ask(&hub, "tools/list", json!({})).await).is_empty());
    let session = crate::older_eras::Session::begin_with(&hub, "2025-11-25", extension).await;
    assert_eq!(linked(&session.ask("tools/list", json!({})).await), linked(&current));
    let bare = crate::older_eras::Session::begin(&hub, "2025-11-25").await;
    assert!(linked(&bare.ask("tools/list", json!({})).await).is_empty());
    let read = bare.ask("resources/read", json!({"uri": "ui://genimage/view.html"})).await["result"].take();
    assert_eq!(read["contents"][0]["mimeType"], "text/html;profile=mcp-app");
    assert!(read["contents"][0]["text"].as_str().unwrap().starts_with("<!doctype html>"));
    let found = ask(&hub, "server/discover", json!({})).await;
    let extensions = &found["result"]["capabilities"]["extensions"];
    assert!(
        extensions["io.modelcontextprotocol/ui"].is_object() && extensions["io.modelcontextprotocol/tasks"].is_object()
    );
}
