use std::time::Duration;

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use serde_json::{Value, json};

use crate::hub::{Hub, request};

fn fox() -> Value {
    json!({"tool": "generate_image", "arguments": {"prompt": "a red fox", "seed": 7}})
}

#[tokio::test]
async fn a_job_is_submitted_followed_and_its_picture_fetched() {
    let hub = Hub::with_server(50).await;
    let accepted = hub.json("POST", "/api/v1/jobs", &fox()).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    let id = accepted.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(accepted.header("location"), format!("/api/v1/jobs/{id}"));

    let events = hub.get(&format!("/api/v1/jobs/{id}/events")).await;
    assert!(events.header("content-type").starts_with("text/event-stream"));
    let text = events.text();
    assert_eq!(text.matches("event: end").count(), 1, "{text}");
    assert!(text.trim_end().rsplit("event: ").next().is_some_and(|last| last.starts_with("end")), "{text}");

    let job = hub.ended(&id).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let image = &job["images"][0];
    assert_eq!((&image["seed"], &image["mime"]), (&json!(7), &json!("image/png")));
    assert_eq!((&image["width"], &image["height"]), (&json!(64), &json!(64)));
    assert!(job["recipe"]["seed"] == 7 && job["server"] == "sim" && job.get("error").is_none(), "{job}");

    let url = image["url"].as_str().expect("a url");
    let path = url.strip_prefix("http://hub.test:8001").expect("as the request reached the hub");
    let file = hub.get(path).await;
    assert_eq!((file.status, file.header("content-type")), (StatusCode::OK, "image/png"));
    assert!(file.header("cache-control").contains("immutable"));
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    assert!(file.body.starts_with(b"\x89PNG"));

    let cached = request("GET", path).header(header::IF_NONE_MATCH, file.header("etag")).body(Body::empty());
    let cached = hub.send(cached.expect("a request")).await;
    assert_eq!((cached.status, cached.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let part = request("GET", path).header(header::RANGE, "bytes=1-3").body(Body::empty()).expect("a request");
    let part = hub.send(part).await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &b"PNG"[..]));
    let download = hub.get(&format!("{path}?download=1")).await;
    assert!(download.header("content-disposition").starts_with("attachment; filename=\"img_"));

    let id = image["id"].as_str().expect("an id");
    let thumb = hub.get(&format!("/thumbs/{id}")).await;
    assert!(thumb.status == StatusCode::OK && thumb.header("content-type").starts_with("image/"));
    assert_eq!(hub.get(&format!("/api/v1/images/{id}")).await.json()["sha256"], image["sha256"]);
}

#[tokio::test]
async fn several_pictures_are_one_job_whose_parts_are_told_on_demand() {
    let hub = Hub::with_server(20).await;
    let call = json!({"tool": "generate_image", "arguments": {"prompt": "foxes", "seed": 7, "n": 3}});
    let accepted = hub.json("POST", "/api/v1/jobs", &call).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    let id = accepted.json()["id"].as_str().expect("an id").to_owned();
    let job = hub.ended(&id).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let seeds: Vec<&Value> = job["images"].as_array().expect("images").iter().map(|image| &image["seed"]).collect();
    assert_eq!(seeds, [7, 8, 9]);
    let attempts: Vec<(&Value, &Value, &Value)> = job["attempt_list"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|attempt| (&attempt["part"], &attempt["number"], &attempt["server"]))
        .collect();
    let sim = &json!("sim");
    assert_eq!(attempts, [(&json!(1), &json!(1), sim), (&json!(2), &json!(1), sim), (&json!(3), &json!(1), sim)]);
    let timeline = job["timeline"].as_array().expect("points");
    let assigned = timeline.iter().filter(|point| point["step"] == "assigned");
    assert_eq!(assigned.filter_map(|point| point["part"].as_u64()).sum::<u64>(), 1 + 2 + 3, "{job}");
    let times: Vec<&str> = timeline.iter().filter_map(|point| point["at"].as_str()).collect();
    assert!(times.is_sorted() && timeline[0]["step"] == "created", "{job}");
    assert_eq!(timeline.last().expect("points")["step"], "succeeded");

    let jobs = hub.get("/api/v1/jobs").await.json();
    assert_eq!((jobs["jobs"].as_array().map(Vec::len), &jobs["jobs"][0]["id"]), (Some(1), &json!(id)));
    let parts = hub.get(&format!("/api/v1/jobs?part_of={id}")).await.json();
    let parts = parts["jobs"].as_array().expect("parts");
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|part| part["part_of"] == json!(id) && part["server"] == "sim"), "{parts:?}");
}

#[tokio::test]
async fn weights_of_callers_are_set_and_absurd_ones_refused() {
    let hub = Hub::empty().await;
    let path = "/api/v1/caller-weights";
    assert_eq!(hub.get(path).await.json(), json!({"weights": {}}));
    let weights = json!({"weights": {"alice": 2.0, "command line": 0.5}});
    assert_eq!(hub.json("PUT", path, &weights).await.json(), weights);
    for (weight, said) in [(json!(-1), "from 0.1 to 100"), (json!(0), "from 0.1"), (json!(1e9), "to 100")] {
        let refused = hub.json("PUT", path, &json!({"weights": {"bob": weight}})).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        assert_eq!(refused.json()["argument"], "weights.bob");
        assert!(refused.text().contains(said), "{}", refused.text());
    }
    assert_eq!(hub.json("PUT", path, &json!({"weights": {"bob": "much"}})).await.status.as_u16() / 100, 4);
    assert_eq!(hub.get(path).await.json(), weights, "what was refused changed nothing");
}

#[tokio::test]
async fn a_key_replays_its_job_and_refuses_other_arguments() {
    let hub = Hub::with_server(10).await;
    let with_key = |body: Value| {
        request("POST", "/api/v1/jobs")
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", "k-1")
            .body(Body::from(body.to_string()))
            .expect("a request")
    };
    let first = hub.send(with_key(fox())).await.json();
    let again = hub.send(with_key(fox())).await.json();
    assert_eq!((&again["id"], &again["replayed"]), (&first["id"], &json!(true)));
    let mut other = fox();
    other["arguments"]["prompt"] = json!("a blue fox");
    let refused = hub.send(with_key(other)).await;
    assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::CONFLICT, &json!("idempotency_mismatch")));
}

#[tokio::test]
async fn bad_requests_are_problem_documents_that_say_what_to_change() {
    let hub = Hub::with_server(10).await;
    for (body, argument) in [
        (json!({"tool": "generate_image", "arguments": {}}), "prompt"),
        (json!({"tool": "generate_image", "arguments": {"prompt": "x", "seed": -5}}), "seed"),
        (json!({"tool": "generate_image", "arguments": {"prompt": "x", "aspect_ratio": "5:1"}}), "aspect_ratio"),
        (json!({"tool": "generate_image", "argumens": {}}), "argumens"),
        (json!({"arguments": {}}), "tool"),
    ] {
        let answer = hub.json("POST", "/api/v1/jobs", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!((&problem["argument"], &problem["status"]), (&json!(argument), &json!(422)), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    let style = json!({"tool": "generate_image", "arguments": {"prompt": "x", "styles": ["anmie"]}});
    let problem = hub.json("POST", "/api/v1/jobs", &style).await.json();
    assert_eq!(problem["code"], "unknown_style", "{problem}");

    for (body, kind, status) in
        [("{", "application/json", StatusCode::BAD_REQUEST), ("{}", "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE)]
    {
        let sent = request("POST", "/api/v1/jobs").header(header::CONTENT_TYPE, kind).body(Body::from(body));
        let answer = hub.send(sent.expect("a request")).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"));
    }
    for (method, path, status) in [
        ("GET", "/api/v1/nothing", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/jobs/job_1", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/jobs/job_00000000000000000000000000000001", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/jobs/job_00000000000000000000000000000001/events", StatusCode::NOT_FOUND),
        ("PATCH", "/api/v1/jobs", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/api/v1/jobs?state=done", StatusCode::UNPROCESSABLE_ENTITY),
        ("GET", "/api/v1/jobs?cursor=x", StatusCode::UNPROCESSABLE_ENTITY),
        ("GET", "/api/v1/jobs?limit=0", StatusCode::UNPROCESSABLE_ENTITY),
        ("GET", "/api/v1/jobs?colour=red", StatusCode::UNPROCESSABLE_ENTITY),
        ("GET", "/outputs/img_00000000000000000000000000000001.png", StatusCode::NOT_FOUND),
        ("GET", "/outputs/..%2f..%2fetc%2fpasswd", StatusCode::NOT_FOUND),
        ("GET", "/assets/..%2f..%2fCargo.toml", StatusCode::NOT_FOUND),
        ("GET", "/thumbs/x", StatusCode::NOT_FOUND),
    ] {
        let answer = hub.send(request(method, path).body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
    }
}

#[tokio::test]
async fn a_job_is_cancelled_and_listed_by_state_page_by_page() {
    let hub = Hub::with_server(30_000).await;
    let mut ids = Vec::new();
    for seed in 0..3 {
        let body = json!({"tool": "generate_image", "arguments": {"prompt": "x", "seed": seed}});
        ids.push(hub.json("POST", "/api/v1/jobs", &body).await.json()["id"].as_str().expect("an id").to_owned());
    }
    let cancelled = hub.delete(&format!("/api/v1/jobs/{}", ids[0])).await;
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (StatusCode::OK, &json!("cancelled")));

    let first = hub.get("/api/v1/jobs?limit=2").await.json();
    let second =
        hub.get(&format!("/api/v1/jobs?limit=2&cursor={}", first["next"].as_str().expect("more"))).await.json();
    let listed: Vec<&Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["jobs"].as_array().expect("jobs"))
        .map(|job| &job["id"])
        .collect();
    assert_eq!(listed, ids.iter().rev().map(|id| json!(id)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    assert_eq!(second["next"], Value::Null);
    let active = hub.get("/api/v1/jobs?state=active").await.json();
    assert_eq!(active["jobs"].as_array().map(Vec::len), Some(2));
    for id in &ids[1..] {
        hub.delete(&format!("/api/v1/jobs/{id}")).await;
    }
}

#[tokio::test]
async fn a_hub_is_set_up_by_the_api_alone() {
    let hub = Hub::empty().await;
    let server =
        json!({"name": "gpu", "base_url": "http://127.0.0.1:9/", "auth": {"kind": "bearer", "token": "hunter2"}});
    let added = hub.json("POST", "/api/v1/servers", &server).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    assert_eq!(added.json()["base_url"], "http://127.0.0.1:9");
    let listed = hub.get("/api/v1/servers").await;
    assert!(!listed.text().contains("hunter2") && !added.text().contains("hunter2"));
    let told = json!({"kind": "bearer", "secret_set": true, "secret_from": "stored"});
    assert_eq!(listed.json()["servers"][0]["auth"], told);

    let graph: Value = serde_json::from_str(include_str!("../../../../workflows/smoke.json")).expect("JSON");
    for graph in [graph.clone(), Value::String(graph.to_string())] {
        let imported = hub.json("POST", "/api/v1/workflows", &json!({"name": "mine", "graph": graph})).await;
        assert_eq!(imported.status, StatusCode::CREATED, "{}", imported.text());
        let imported = imported.json();
        assert!(imported["slots"].as_array().is_some_and(|slots| !slots.is_empty()), "{imported}");
        assert!(imported["problems"].is_array());
    }
    assert_eq!(hub.get("/api/v1/workflows/mine").await.json()["version"], 2);
    let saved = json!({"nodes": [{"id": 1, "type": "EmptyImage"}], "links": [], "version": 0.4});
    let refused = hub.json("POST", "/api/v1/workflows", &json!({"name": "saved", "graph": saved})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
    assert!(refused.text().contains("no server is connected"), "{}", refused.text());
    assert!(refused.text().contains("Export (API)"), "{}", refused.text());

    let render_type = json!({"name": "mine", "workflow": "mine", "mode": "generate", "is_default": true});
    let made = hub.json("POST", "/api/v1/render-types", &render_type).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let style = json!({"name": "ink", "prompt_template": "ink drawing of {prompt}"});
    let style = hub.json("POST", "/api/v1/styles", &style).await;
    assert_eq!(style.status, StatusCode::CREATED, "{}", style.text());
    let catalogue = hub.get("/api/v1/catalogue").await.json();
    assert_eq!((&catalogue["tools"], &catalogue["styles"][0]["name"]), (&json!(["generate_image"]), &json!("ink")));

    let llm = json!({"name": "ollama", "base_url": "127.0.0.1:9", "api_key": "hunter2"});
    let llm = hub.json("POST", "/api/v1/llm-servers", &llm).await;
    assert!(llm.status == StatusCode::CREATED && !llm.text().contains("hunter2"), "{}", llm.text());
    let role = hub.json("PUT", "/api/v1/llm-roles/enhance", &json!({"server": "ollama"})).await;
    assert_eq!(role.status, StatusCode::OK, "{}", role.text());
    assert_eq!(hub.get("/api/v1/catalogue").await.json()["can_enhance"], true);

    for path in ["styles/ink", "render-types/mine", "servers/gpu", "llm-servers/ollama"] {
        let gone = hub.delete(&format!("/api/v1/{path}")).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{path}: {}", gone.text());
        assert_eq!(hub.delete(&format!("/api/v1/{path}")).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn health_tells_what_is_missing() {
    let hub = Hub::empty().await;
    assert_eq!(hub.get("/healthz").await.status, StatusCode::OK);
    let ready = hub.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert!(ready.json()["reasons"][0].as_str().is_some_and(|reason| reason.contains("no ComfyUI server")));
}

#[tokio::test]
async fn a_body_over_the_limit_and_one_that_is_no_picture_are_refused() {
    let hub = Hub::empty().await;
    let huge = vec![b' '; hub_core::limits::BODY_MAX_BYTES + 1];
    let sent = request("POST", "/api/v1/jobs").header(header::CONTENT_TYPE, "application/json").body(Body::from(huge));
    let answer = hub.send(sent.expect("a request")).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::PAYLOAD_TOO_LARGE, "application/problem+json")
    );
    let text = request("POST", "/api/v1/images").body(Body::from("no picture")).expect("a request");
    let answer = hub.send(text).await;
    assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("input_image")));
}

#[tokio::test]
async fn a_job_is_pinned_and_says_why_it_waits() {
    let hub = Hub::with_server(2000).await;
    let body = |wish: Value| {
        let mut body = fox();
        body["arguments"]["seed"] = Value::Null;
        body.as_object_mut().expect("an object").extend(wish.as_object().expect("an object").clone());
        body
    };
    for (wish, argument, valid) in [
        (json!({"priority": 101}), "priority", None),
        (json!({"server": "other"}), "server", Some("sim")),
        (json!({"group": "big"}), "group", None),
        (json!({"server": "sim", "group": "big"}), "group", None),
    ] {
        let refused = hub.json("POST", "/api/v1/jobs", &body(wish)).await;
        assert!(refused.status.is_client_error(), "{}", refused.text());
        let problem = refused.json();
        assert_eq!(problem["argument"], argument, "{problem}");
        if let Some(valid) = valid {
            assert_eq!(problem["valid_values"], json!([valid]), "{problem}");
        }
    }
    let mut ids = Vec::new();
    for priority in 0..4 {
        let accepted = hub.json("POST", "/api/v1/jobs", &body(json!({"server": "sim", "priority": priority}))).await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
        ids.push(accepted.json()["id"].as_str().expect("an id").to_owned());
    }
    // Two go to the server, the others wait for it; which two depends on who was seen first.
    let reached = async {
        loop {
            for id in &ids {
                let job = hub.get(&format!("/api/v1/jobs/{id}")).await.json();
                if job["waiting"]["servers"][0]["reason"] == "busy" {
                    return job;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let job = tokio::time::timeout(Duration::from_secs(20), reached).await.expect("a job says that it waits");
    assert_eq!((&job["state"], &job["waiting"]["servers"][0]["name"]), (&json!("queued"), &json!("sim")), "{job}");
    assert!(job["pinned_to"]["server"].is_string() && job["priority"].is_i64(), "{job}");
    for id in &ids {
        hub.send(request("DELETE", &format!("/api/v1/jobs/{id}")).body(Body::empty()).expect("a request")).await;
    }
}
