//! The stream of everything that happens.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;

use crate::hub::{Event, Hub, request};

fn follow(query: &str, last: Option<&str>) -> Request<Body> {
    let request = request("GET", &format!("/api/v1/events{query}"));
    let request = match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    };
    request.body(Body::empty()).expect("a request")
}

fn is_end_of(event: &Event, job: &str) -> bool {
    event.name == "job" && event.data["job"] == job && event.data["state"] == "succeeded"
}

async fn fox(hub: &Hub) -> String {
    let fox = json!({"tool": "generate_image", "arguments": {"prompt": "a red fox"}});
    let accepted = hub.json("POST", "/api/v1/jobs", &fox).await;
    accepted.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_follower_sees_jobs_come_and_end_and_servers_change() {
    let hub = Hub::with_server(10).await;
    let mut events = hub.follow(follow("", None)).await;
    let first = events.next().await.expect("a first event");
    assert_eq!((first.name.as_str(), &first.data["because"]), ("anew", &json!("start")), "{first:?}");
    assert_eq!(first.data["servers"][0]["name"], "sim");
    assert!(first.data["queue"]["queued"].is_u64() && first.id.is_some());

    let job = fox(&hub).await;
    let mut states = Vec::new();
    loop {
        let event = events.until(|event| event.name == "job").await;
        assert_eq!(event.data["job"], json!(job));
        if event.id.is_some() {
            states.push(event.data["state"].as_str().expect("a state").to_owned());
        }
        if is_end_of(&event, &job) {
            break;
        }
    }
    assert_eq!((states[0].as_str(), states.last().map(String::as_str)), ("queued", Some("succeeded")));
    let mut once = states.clone();
    once.dedup();
    assert_eq!(states, once, "each change is told once");

    let drained = hub.json("PATCH", "/api/v1/servers/sim", &json!({"draining": true})).await;
    assert_eq!(drained.status, StatusCode::OK);
    let server = events.until(|event| event.name == "server").await;
    assert_eq!((&server.data["name"], &server.data["state"]), (&json!("sim"), &json!("draining")), "{server:?}");
    let dead = json!({"name": "dead", "base_url": "http://127.0.0.1:9"});
    hub.json("POST", "/api/v1/servers", &dead).await;
    let alert = events.until(|event| event.name == "alert").await;
    assert_eq!((&alert.data["name"], &alert.data["kind"]), (&json!("dead"), &json!("server_lost")), "{alert:?}");
}

#[tokio::test]
async fn who_was_away_is_told_what_it_missed_once() {
    let hub = Hub::with_server(10).await;
    let mut events = hub.follow(follow("?kinds=job", None)).await;
    let begin = events.next().await.and_then(|event| event.id).expect("an id");
    let first = fox(&hub).await;
    let seen = events.until(|event| is_end_of(event, &first)).await.id.expect("ends have ids");
    drop(events);
    let second = fox(&hub).await;
    hub.ended(&second).await;

    let mut again = hub.follow(follow("?kinds=job", Some(&seen))).await;
    let mut missed = Vec::new();
    while !missed.last().is_some_and(|event| is_end_of(event, &second)) {
        missed.push(again.next().await.expect("it goes on"));
    }
    assert!(missed.iter().all(|event| event.name == "job" && event.data["job"] == json!(second)), "{missed:?}");
    let mut whole = hub.follow(follow(&format!("?kinds=job&last_event_id={begin}"), None)).await;
    assert_eq!(whole.next().await.expect("it goes on").data["job"], json!(first));

    for (last, because) in [("1.5", "restarted"), ("nonsense", "restarted")] {
        let mut anew = hub.follow(follow("?kinds=alert", Some(last))).await;
        let event = anew.next().await.expect("it begins");
        assert_eq!((event.name.as_str(), &event.data["because"]), ("anew", &json!(because)), "{last}");
    }
    let refused = hub.get("/api/v1/events?kinds=jobs").await;
    assert_eq!((refused.status, &refused.json()["argument"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("kinds")));
}

#[tokio::test]
async fn the_sizes_of_the_queue_are_told_when_they_change() {
    let hub = Hub::with_server(10).await;
    hub.json("PATCH", "/api/v1/servers/sim", &json!({"enabled": false})).await;
    hub.json("POST", "/api/v1/servers", &json!({"name": "away", "base_url": "http://127.0.0.1:9"})).await;
    let mut events = hub.follow(follow("?kinds=queue", None)).await;
    assert_eq!(events.next().await.map(|event| event.name).as_deref(), Some("anew"));
    let job = fox(&hub).await;
    let grown = events.until(|event| event.data["queued"] == 1).await;
    assert!(grown.id.is_none(), "sizes pass by");
    hub.delete(&format!("/api/v1/jobs/{job}")).await;
    events.until(|event| event.data["queued"] == 0).await;
}

#[tokio::test]
async fn streams_end_when_the_hub_stops() {
    let hub = Hub::empty().await;
    let mut events = hub.follow(follow("", None)).await;
    assert!(events.next().await.is_some());
    hub.engine.shutdown(std::time::Duration::ZERO).await;
    while let Some(event) = events.next().await {
        assert_ne!(event.name, "anew");
    }
}
