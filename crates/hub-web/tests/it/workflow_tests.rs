//! Test runs of workflows, by page and by API, and looking anew which servers can run one.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::hub::Hub;

const GRAPH: &str = include_str!("../../../../workflows/txt2img-sd15.json");

/// Stores a workflow that no render type runs; answers its id.
async fn import(hub: &Hub, name: &str, graph: &Value) -> String {
    let stored = hub.json("POST", "/api/v1/workflows", &json!({"name": name, "graph": graph})).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text());
    stored.json()["id"].as_str().expect("an id").to_owned()
}

fn graph() -> Value {
    serde_json::from_str(GRAPH).expect("JSON")
}

/// The graph with a checkpoint that no simulated server has.
fn graph_with_unknown_model() -> Value {
    let mut graph = graph();
    let loader = graph.as_object_mut().expect("nodes").values_mut();
    for node in loader.filter(|node| node["class_type"] == "CheckpointLoaderSimple") {
        node["inputs"]["ckpt_name"] = json!("nowhere.safetensors");
    }
    graph
}

#[tokio::test]
async fn a_version_that_nothing_uses_runs_once_from_its_page_on_the_chosen_server() {
    let hub = Hub::with_server(10).await;
    hub.ready().await;
    let first = import(&hub, "loose", &graph()).await;
    import(&hub, "loose", &graph_with_unknown_model()).await;
    let page = hub.page(&format!("/workflows/{first}")).await.text();
    assert!(page.contains("Test run") && page.contains("1 of 1 server can run this version"), "{page}");
    assert!(page.contains("a red fox in fresh snow"), "the prompt has a sensible default: {page}");

    let server = hub.get("/api/v1/servers").await.json()["servers"][0]["id"].as_str().expect("an id").to_owned();
    let sent = hub.form(&format!("/workflows/{first}/test-run"), &format!("server={server}&prompt=a+hen&seed=7")).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    let to = sent.header("location").to_owned();
    let unseeded = format!("server={server}&prompt=a+hen&seed=");
    let path = format!("/workflows/{first}/test-run");
    let (one, two) = tokio::join!(hub.form(&path, &unseeded), hub.form(&path, &unseeded));
    assert_eq!(one.header("location"), two.header("location"), "two presses are one run");
    let job = to.split("run=").nth(1).and_then(|rest| rest.split('#').next()).expect("the job").to_owned();
    let record = hub.ended(&job).await;
    assert_eq!(record["state"], "succeeded", "{record}");
    assert_eq!(record["recipe"]["workflow_id"], first.as_str(), "the older version ran: {record}");
    assert_eq!(record["recipe"]["render_type"], "workflow test");
    assert_eq!((&record["recipe"]["prompt"], &record["recipe"]["seed"]), (&json!("a hen"), &json!(7)));
    assert_eq!(record["recipe"]["styles"], json!([]));
    assert_eq!(record["pinned_to"]["server"], server.as_str());
    let page = hub.page(to.split('#').next().expect("a path")).await.text();
    assert!(page.contains("id=\"workflow-run\"") && page.contains("/outputs/"), "its picture is on the page: {page}");
    assert!(page.contains(&format!("href=\"/jobs/{job}\"")), "{page}");
    // Another version's page does not show it as its own.
    let newest = hub.page(&format!("/workflows/loose?run={job}")).await.text();
    assert!(!newest.contains("id=\"workflow-run\""), "{newest}");
    // What was tried can be tried again and varied, and is no render type for anybody else.
    let again = hub.json("POST", &format!("/api/v1/jobs/{job}/retry"), &json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    let again = hub.ended(again.json()["id"].as_str().expect("an id")).await;
    assert_eq!(again["recipe"]["workflow_id"], first.as_str(), "{again}");
    let named = json!({"tool": "generate_image", "arguments": {"prompt": "x", "render_type": "workflow test"}});
    assert_eq!(hub.json("POST", "/api/v1/jobs", &named).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_server_that_cannot_run_it_says_why_and_is_asked_again_on_demand() {
    let hub = Hub::with_server(10).await;
    hub.ready().await;
    let id = import(&hub, "lacking", &graph_with_unknown_model()).await;
    let page = hub.page(&format!("/workflows/{id}")).await.text();
    assert!(page.contains("lacks model file nowhere.safetensors"), "{page}");
    assert!(page.contains("0 of 1 server can run this version"), "{page}");

    let refused = hub.form(&format!("/workflows/{id}/test-run"), "server=&prompt=kept+words&seed=").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = refused.text();
    assert!(text.contains("nowhere.safetensors") && text.contains("kept words"), "{text}");

    let again = hub.form(&format!("/workflows/{id}/recheck"), "server=").await;
    assert_eq!(again.header("location"), format!("/workflows/{id}?done=rechecked#test-run"));
    let check = hub.json("POST", "/api/v1/workflows/lacking/check", &json!({"server": "sim"})).await;
    assert_eq!(check.status, StatusCode::OK, "{}", check.text());
    let check = check.json();
    assert_eq!(check["silent"], json!([]));
    assert_eq!(check["servers"][0]["why_not"], "lacks model file nowhere.safetensors", "{check}");
    assert!(check["servers"][0]["read_s_ago"].as_f64().is_some_and(|age| age < 20.0), "{check}");
}

#[tokio::test]
async fn the_api_tries_a_version_by_number_and_refuses_what_is_no_part_of_a_workflow() {
    let hub = Hub::with_server(10).await;
    hub.ready().await;
    import(&hub, "two words", &graph()).await;
    import(&hub, "two words", &graph_with_unknown_model()).await;
    let path = "/api/v1/workflows/two%20words/test-run";
    let sent = hub.json("POST", path, &json!({"version": 1, "server": "sim"})).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.text());
    let record = hub.ended(sent.json()["id"].as_str().expect("an id")).await;
    assert_eq!((&record["state"], &record["recipe"]["workflow_version"]), (&json!("succeeded"), &json!(1)), "{record}");
    assert_eq!(record["recipe"]["prompt"], json!(null), "the workflow keeps its own words");

    let styled = hub.json("POST", path, &json!({"arguments": {"styles": ["anime"]}})).await;
    assert_eq!(styled.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(styled.json()["argument"], "styles", "{}", styled.text());
    assert_eq!(hub.json("POST", path, &json!({"version": 9})).await.status, StatusCode::NOT_FOUND);
    let nobody = hub.json("POST", path, &json!({"version": 1, "server": "nobody"})).await;
    assert_eq!(nobody.json()["valid_values"], json!(["sim"]), "{}", nobody.text());

    let server = hub.get("/api/v1/servers").await.json()["servers"][0]["id"].as_str().expect("an id").to_owned();
    hub.json("PATCH", &format!("/api/v1/servers/{server}"), &json!({"enabled": false})).await;
    let off = hub.json("POST", path, &json!({"version": 1, "server": "sim"})).await;
    assert!(off.text().contains("is switched off"), "{}", off.text());
}
