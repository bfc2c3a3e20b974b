//! The jobs' API for operators: lists, one job in full, retries, the queue's order, many at once.

use axum::http::StatusCode;
use hub_core::{
    error::{ErrorCode, UserError},
    ids::JobId,
};
use serde_json::{Value, json};

use crate::hub::{Hub, request};

/// Submits a job and answers its id.
async fn submit(hub: &Hub, body: Value) -> String {
    let accepted = hub.json("POST", "/api/v1/jobs", &body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    accepted.json()["id"].as_str().expect("an id").to_owned()
}

fn picture(prompt: &str) -> Value {
    json!({"tool": "generate_image", "arguments": {"prompt": prompt}})
}

/// A hub whose one server takes no work, so that every job waits.
pub(crate) async fn idle() -> Hub {
    let hub = Hub::with_server(10).await;
    let drained = hub.json("PATCH", "/api/v1/servers/sim", &json!({"enabled": false})).await;
    assert_eq!(drained.status, StatusCode::OK, "{}", drained.text());
    let other = json!({"name": "away", "base_url": "http://127.0.0.1:9"});
    assert_eq!(hub.json("POST", "/api/v1/servers", &other).await.status, StatusCode::CREATED);
    hub
}

async fn ids(hub: &Hub, query: &str) -> Vec<String> {
    let answer = hub.get(&format!("/api/v1/jobs?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
    let list = answer.json();
    list["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn jobs_are_found_by_what_they_are() {
    let hub = Hub::with_server(10).await;
    let mut anime = picture("A HERON in the reeds");
    anime["arguments"]["styles"] = json!(["anime"]);
    let heron = submit(&hub, anime).await;
    hub.ended(&heron).await;
    let gone = submit(&hub, json!({"tool": "generate_image", "arguments": {"prompt": "a tram, 100%"}})).await;
    hub.ended(&gone).await;
    let job = hub.get(&format!("/api/v1/jobs/{heron}")).await.json();
    let image: hub_core::ids::ArtifactId =
        job["images"][0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an image");
    assert!(hub.engine.store().artifact_set_favourite(image, true).await.expect("written"));

    let server = hub.get("/api/v1/servers/sim").await.json()["id"].as_str().expect("an id").to_owned();
    let created = job["created_at"].as_str().expect("a time").replace('+', "%2B");
    for (query, found) in [
        ("q=heron".to_owned(), vec![&heron]),
        ("q=100%25".to_owned(), vec![&gone]),
        ("q=h%25n".to_owned(), vec![]),
        ("style=anime".to_owned(), vec![&heron]),
        ("server=sim&state=ended".to_owned(), vec![&gone, &heron]),
        (format!("server={server}&render_type=sd15&tool=generate_image&caller=local"), vec![&gone, &heron]),
        ("caller=nobody".to_owned(), vec![]),
        ("favourite=true".to_owned(), vec![&heron]),
        ("favourite=false".to_owned(), vec![&gone]),
        ("has_images=true&state=succeeded".to_owned(), vec![&gone, &heron]),
        ("has_images=false".to_owned(), vec![]),
        (format!("created_from={created}"), vec![&gone, &heron]),
        (format!("created_to={created}"), vec![]),
        ("state=&q=&style=".to_owned(), vec![&gone, &heron]),
        (format!("parent={heron}"), vec![]),
    ] {
        assert_eq!(ids(&hub, &query).await.iter().collect::<Vec<_>>(), found, "{query}");
    }
    // What is gone from the catalogue stays findable.
    assert_eq!(hub.delete("/api/v1/servers/sim").await.status, StatusCode::NO_CONTENT);
    assert_eq!(hub.delete("/api/v1/styles/anime").await.status, StatusCode::NO_CONTENT);
    assert_eq!(ids(&hub, "server=sim&style=anime").await, [heron]);

    let stats = hub.get("/api/v1/stats").await.json();
    assert_eq!((&stats["jobs"]["succeeded"], &stats["jobs"]["failed"]), (&json!(2), &json!(0)), "{stats}");
    assert_eq!(stats["queue"]["running"], 0);
}

#[tokio::test]
async fn a_filter_that_cannot_be_says_what_can() {
    let hub = Hub::with_server(10).await;
    for (query, argument, valid) in [
        ("state=done", "state", "succeeded"),
        ("tool=generate_imgae", "tool", "generate_image"),
        ("server=smi", "server", "sim"),
        ("render_type=sd51", "render_type", "sd15"),
        ("style=anmie", "style", "anime"),
        ("favourite=yes", "favourite", "true"),
        ("has_images=2", "has_images", "false"),
        ("created_from=yesterday", "created_from", ""),
        ("created_to=2026-11-21", "created_to", ""),
        ("created_from=2026-11-21T10:00:00Z&created_to=2026-11-21T10:00:00Z", "created_to", ""),
        ("parent=7", "parent", ""),
        ("limit=201", "limit", ""),
        ("cursor=x", "cursor", ""),
        ("colour=red", "colour", "render_type"),
    ] {
        let answer = hub.get(&format!("/api/v1/jobs?{query}")).await;
        let problem = answer.json();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {problem}");
        assert_eq!(problem["argument"], argument, "{query}: {problem}");
        let listed = problem["valid_values"].as_array().is_some_and(|values| values.contains(&json!(valid)));
        assert!(listed || valid.is_empty(), "{query}: {problem}");
    }
    let long = "x".repeat(501);
    assert_eq!(hub.get(&format!("/api/v1/jobs?q={long}")).await.json()["argument"], "q");
    assert_eq!(hub.get(&format!("/api/v1/jobs?caller={long}")).await.json()["argument"], "caller");
}

#[tokio::test]
async fn one_job_tells_its_attempts_and_the_points_of_its_life() {
    let hub = Hub::with_server(10).await;
    let mut asked = picture("a fox");
    asked["idempotency_key"] = json!("k-7");
    let id = submit(&hub, asked).await;
    let job = hub.ended(&id).await;
    assert_eq!((&job["idempotency_key"], &job["recipe"]["prompt_asked"]), (&json!("k-7"), &json!("a fox")), "{job}");
    let attempt = &job["attempt_list"][0];
    let told = (&attempt["number"], &attempt["server"], &attempt["outcome"], &attempt["error"]);
    assert_eq!(told, (&json!(1), &json!("sim"), &json!("succeeded"), &Value::Null), "{attempt}");
    assert!(attempt["prompt_id"].is_string() && attempt["ended_at"].is_string(), "{attempt}");
    let steps: Vec<&str> =
        job["timeline"].as_array().expect("points").iter().filter_map(|point| point["step"].as_str()).collect();
    assert_eq!(steps, ["created", "queued", "assigned", "running", "succeeded"], "{job}");
    let times: Vec<&str> =
        job["timeline"].as_array().expect("points").iter().filter_map(|point| point["at"].as_str()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn a_job_that_ended_is_tried_again() {
    let hub = idle().await;
    let mut asked = picture("a fox");
    asked["priority"] = json!(7);
    asked["group"] = Value::Null;
    let id = submit(&hub, asked).await;
    let retry = format!("/api/v1/jobs/{id}/retry");
    let early = hub.json("POST", &retry, &json!({})).await;
    assert_eq!((early.status, &early.json()["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{}", early.text());
    assert!(early.json()["detail"].as_str().is_some_and(|detail| detail.contains("queued")), "{}", early.text());

    let job: JobId = id.parse().expect("an id");
    let seed = hub.get(&format!("/api/v1/jobs/{id}")).await.json()["recipe"]["seed"].clone();
    let broken = UserError::new(ErrorCode::NodeFailed, "KSampler failed.");
    assert!(hub.engine.store().job_fail(job, None, &broken).await.expect("written"));
    let with_key = || {
        let sent = request("POST", &retry).header("idempotency-key", "again").body(axum::body::Body::empty());
        sent.expect("a request")
    };
    let again = hub.send(with_key()).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    let again = again.json();
    let new = again["id"].as_str().expect("an id").to_owned();
    assert!(new != id && again["replayed"] == false);
    assert_eq!(hub.send(with_key()).await.json()["id"], json!(new), "the key finds the retry");
    let child = hub.get(&format!("/api/v1/jobs/{new}")).await.json();
    assert_eq!((&child["parent"], &child["priority"]), (&json!(id), &json!(7)), "{child}");
    assert_eq!(child["recipe"]["seed"], seed, "what failed is tried with the seed it had");
    assert_eq!(ids(&hub, &format!("parent={id}")).await, *std::slice::from_ref(&new));

    // A cancelled one is another picture, and the server it would have run on may be gone.
    assert_eq!(hub.delete(&format!("/api/v1/jobs/{new}")).await.status, StatusCode::OK);
    let third = hub.json("POST", &format!("/api/v1/jobs/{new}/retry"), &json!({})).await.json();
    let third = hub.get(&format!("/api/v1/jobs/{}", third["id"].as_str().expect("an id"))).await.json();
    assert_eq!((&third["parent"], &third["recipe"]["seed"]), (&json!(new), &seed), "its seed was given by then");
    let unknown = hub.json("POST", "/api/v1/jobs/job_00000000000000000000000000000001/retry", &json!({})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_result_is_made_once_more_with_another_seed() {
    let hub = Hub::with_server(10).await;
    let id = submit(&hub, picture("a fox")).await;
    let first = hub.ended(&id).await;
    let again = hub.json("POST", &format!("/api/v1/jobs/{id}/retry"), &json!({})).await.json();
    assert_ne!(again["id"], json!(id), "a given or drawn seed does not find the job itself");
    let second = hub.ended(again["id"].as_str().expect("an id")).await;
    assert_eq!((&second["state"], &second["parent"]), (&json!("succeeded"), &json!(id)), "{second}");
    assert_ne!(second["recipe"]["seed"], first["recipe"]["seed"]);
}

#[tokio::test]
async fn the_order_of_the_queue_follows_at_once() {
    let hub = idle().await;
    let mut jobs = Vec::new();
    for n in 0..4 {
        jobs.push(submit(&hub, picture(&format!("picture {n}"))).await);
    }
    let order = async || {
        let mut waiting = Vec::new();
        for id in &jobs {
            let job = hub.get(&format!("/api/v1/jobs/{id}")).await.json();
            waiting.push((job["progress"]["queue_position"].as_u64().expect("it waits"), id.clone()));
        }
        waiting.sort();
        waiting.into_iter().map(|(_, id)| jobs.iter().position(|job| *job == id).expect("ours")).collect::<Vec<_>>()
    };
    for (job, body, priority, expected) in [
        (3, json!({"move": "first"}), 1, [3, 0, 1, 2]),
        (2, json!({"move": "first"}), 2, [2, 3, 0, 1]),
        (2, json!({"move": "last"}), -1, [3, 0, 1, 2]),
        (0, json!({"priority": 100}), 100, [0, 3, 1, 2]),
        (1, json!({"move": "first"}), 100, [0, 1, 3, 2]),
    ] {
        let path = format!("/api/v1/jobs/{}/priority", jobs[job]);
        let moved = hub.json("POST", &path, &body).await;
        assert_eq!(moved.status, StatusCode::OK, "{}", moved.text());
        assert_eq!(moved.json()["priority"], priority, "{body}");
        assert_eq!(order().await, expected, "job {job} after {body}");
    }
    let path = format!("/api/v1/jobs/{}/priority", jobs[0]);
    for body in [json!({}), json!({"priority": 1, "move": "last"}), json!({"priority": 101})] {
        let refused = hub.json("POST", &path, &body).await;
        assert_eq!(
            (refused.status, &refused.json()["argument"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("priority"))
        );
    }
    assert_eq!(hub.json("POST", &path, &json!({"move": "up"})).await.json()["argument"], "move");
    hub.delete(&format!("/api/v1/jobs/{}", jobs[0])).await;
    let late = hub.json("POST", &path, &json!({"move": "first"})).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text());
    let unknown = "/api/v1/jobs/job_00000000000000000000000000000001/priority";
    assert_eq!(hub.json("POST", unknown, &json!({"priority": 1})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn many_jobs_are_cancelled_at_once() {
    let hub = idle().await;
    let mut jobs = Vec::new();
    for subject in ["fox", "fox", "hen", "owl"] {
        jobs.push(submit(&hub, picture(&format!("a {subject} {}", jobs.len()))).await);
    }
    let cancel = async |body: Value| hub.json("POST", "/api/v1/jobs/cancel", &body).await;
    let nobody = "job_00000000000000000000000000000001";
    let by_id = cancel(json!({"ids": [jobs[3], nobody]})).await.json();
    assert_eq!(by_id, json!({"cancelled": [jobs[3]], "ended": [], "unknown": [nobody], "more": false}));
    let again = cancel(json!({"ids": [jobs[3]]})).await.json();
    assert_eq!((&again["cancelled"], &again["ended"]), (&json!([]), &json!([jobs[3]])));
    let foxes = cancel(json!({"filter": {"q": "FOX"}})).await.json();
    assert_eq!(foxes["cancelled"], json!([jobs[1], jobs[0]]), "newest first");
    assert_eq!(ids(&hub, "state=active").await, [jobs[2].as_str()]);
    let rest = cancel(json!({"filter": {}})).await.json();
    assert_eq!((&rest["cancelled"], &rest["ended"]), (&json!([jobs[2]]), &json!([])));
    for (body, argument) in [
        (json!({}), "ids"),
        (json!({"ids": [], "filter": {}}), "filter"),
        (json!({"ids": ["x"]}), "ids[0]"),
        (json!({"ids": vec![nobody; 1001]}), "ids"),
        (json!({"filter": {"state": "failed"}}), "filter.state"),
        (json!({"filter": {"colour": "red"}}), "filter.colour"),
    ] {
        let refused = cancel(body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.text());
        assert_eq!(refused.json()["argument"], argument, "{body}");
    }
}
