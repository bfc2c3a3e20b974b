//! Settings by the API: told, changed, in force.

use axum::{body::Body, http::StatusCode};
use serde_json::{Value, json};

use crate::hub::{Answer, Hub, request};

fn setting<'a>(list: &'a Value, key: &str) -> &'a Value {
    let found = list["settings"].as_array().expect("settings").iter().find(|setting| setting["key"] == key);
    found.unwrap_or_else(|| panic!("{key} is not listed"))
}

async fn with_match(hub: &Hub, method: &str, etag: &str, body: &Value) -> Answer {
    let sent = request(method, "/api/v1/settings")
        .header("content-type", "application/json")
        .header("if-match", etag)
        .body(Body::from(body.to_string()));
    hub.send(sent.expect("a request")).await
}

#[tokio::test]
async fn a_bound_of_the_queue_is_in_force_as_soon_as_it_is_changed() {
    let hub = Hub::with_server(10).await;
    hub.json("PATCH", "/api/v1/servers/sim", &json!({"enabled": false})).await;
    hub.json("POST", "/api/v1/servers", &json!({"name": "away", "base_url": "http://127.0.0.1:9"})).await;
    let list = hub.get("/api/v1/settings").await.json();
    let queue = setting(&list, "queue.max");
    assert_eq!(
        (&queue["value"], &queue["default"], &queue["source"]),
        (&json!(10_000), &json!(10_000), &json!("default"))
    );
    assert_eq!((&queue["minimum"], &queue["unit"], &queue["effect"]), (&json!(1), &json!("jobs"), &json!("at_once")));
    assert!(queue["explanation"].as_str().is_some_and(|text| !text.is_empty()) && queue["editable"] == true);

    let changed = hub.json("PATCH", "/api/v1/settings", &json!({"queue.max": 1})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    assert_eq!(setting(&changed.json(), "queue.max")["source"], "stored");
    let fox = |n: u32| json!({"tool": "generate_image", "arguments": {"prompt": format!("fox {n}")}});
    assert_eq!(hub.json("POST", "/api/v1/jobs", &fox(1)).await.status, StatusCode::ACCEPTED);
    let refused = hub.json("POST", "/api/v1/jobs", &fox(2)).await;
    assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("queue_full")));
    let back = hub.json("PATCH", "/api/v1/settings", &json!({"queue.max": null})).await.json();
    assert_eq!(setting(&back, "queue.max")["value"], 10_000);
    assert_eq!(hub.json("POST", "/api/v1/jobs", &fox(2)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_replacement_takes_back_what_it_leaves_out() {
    let hub = Hub::empty().await;
    let changed = hub.json("PUT", "/api/v1/settings", &json!({"mcp.wait_s": 5, "retention.days": 30})).await.json();
    let wait = setting(&changed, "mcp.wait_s");
    assert_eq!((&wait["value"], &wait["source"], &wait["effect"]), (&json!(5), &json!("stored"), &json!("at_once")));
    assert_eq!(setting(&changed, "retention.days")["value"], 30);
    assert_eq!(hub.engine.settings().retention_days, Some(30));
    let replaced = hub.json("PUT", "/api/v1/settings", &json!({})).await.json();
    assert_eq!(setting(&replaced, "mcp.wait_s")["value"], 45);
    assert_eq!(setting(&replaced, "retention.days")["value"], 0);
}

#[tokio::test]
async fn of_two_who_change_settings_the_second_is_told() {
    let hub = Hub::empty().await;
    let read = hub.get("/api/v1/settings").await;
    let etag = read.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", read.json()["etag"].as_str().expect("an etag")));
    let first = with_match(&hub, "PATCH", &etag, &json!({"queue.attempts_max": 5})).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    for method in ["PATCH", "PUT"] {
        let second = with_match(&hub, method, &etag, &json!({"queue.attempts_max": 9})).await;
        assert_eq!((second.status, &second.json()["code"]), (StatusCode::PRECONDITION_FAILED, &json!("changed")));
    }
    let now = hub.get("/api/v1/settings").await;
    assert_eq!((now.header("etag"), hub.engine.settings().attempts_max), (first.header("etag"), 5));
}

#[tokio::test]
async fn a_setting_that_cannot_be_says_what_can() {
    let hub = Hub::empty().await;
    for (body, argument) in [
        (json!({"queue.max": 0}), "queue.max"),
        (json!({"queue.max": "many"}), "queue.max"),
        (json!({"queue.max": 1.5}), "queue.max"),
        (json!({"servers.live_previews": "on"}), "servers.live_previews"),
        (json!({"alerts.webhook_url": "ftp://x"}), "alerts.webhook_url"),
        (json!({"queue.mx": 1}), "queue.mx"),
        (json!({"queue": {"max": 1}}), "queue"),
    ] {
        let refused = hub.json("PATCH", "/api/v1/settings", &body).await;
        let problem = refused.json();
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {problem}");
        assert_eq!(problem["argument"], argument, "{problem}");
    }
    let near = hub.json("PATCH", "/api/v1/settings", &json!({"queue.mx": 1})).await.json();
    assert!(near["hint"].as_str().is_some_and(|hint| hint.contains("queue.max")), "{near}");
    assert!(near["valid_values"].as_array().is_some_and(|keys| keys.contains(&json!("retention.days"))));
    assert_eq!(hub.json("PATCH", "/api/v1/settings", &json!([1])).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}
