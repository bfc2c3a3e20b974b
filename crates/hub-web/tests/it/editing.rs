//! Changes by the API: partial ones, ones of two editors, ones that contradict what is there.

use axum::{body::Body, http::StatusCode};
use serde_json::{Value, json};

use crate::hub::{Answer, Hub, request};

async fn with_match(hub: &Hub, method: &str, path: &str, etag: &str, body: &Value) -> Answer {
    let sent = request(method, path)
        .header("content-type", "application/json")
        .header("if-match", etag)
        .body(Body::from(body.to_string()));
    hub.send(sent.expect("a request")).await
}

#[tokio::test]
async fn a_server_is_changed_in_part_and_keeps_its_secret() {
    let hub = Hub::empty().await;
    let server = json!({"name": "gpu", "base_url": "http://127.0.0.1:9", "weight": 2.5, "group": "lab",
        "auth": {"kind": "api_key", "header": "X-Key", "key": "hunter2"}});
    let added = hub.json("POST", "/api/v1/servers", &server).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    assert_eq!(added.header("location"), format!("/api/v1/servers/{}", added.json()["id"].as_str().expect("an id")));

    let drained = hub.json("PATCH", "/api/v1/servers/gpu", &json!({"draining": true, "run_limit_s": 60})).await;
    assert_eq!(drained.status, StatusCode::OK, "{}", drained.text());
    let drained = drained.json();
    let kept = (&drained["draining"], &drained["run_limit_s"], &drained["weight"], &drained["group"]);
    assert_eq!(kept, (&json!(true), &json!(60), &json!(2.5), &json!("lab")));
    assert_eq!(
        drained["auth"],
        json!({"kind": "api_key", "header": "X-Key", "secret_set": true, "secret_from": "stored"})
    );

    let reset = hub.json("PATCH", "/api/v1/servers/gpu", &json!({"run_limit_s": null, "group": null})).await.json();
    assert_eq!((&reset["run_limit_s"], &reset["group"]), (&json!(1800), &Value::Null));
    // What was read is written back, read-only fields and all.
    let put = hub.json("PUT", "/api/v1/servers/gpu", &reset).await;
    assert_eq!((put.status, &put.json()["auth"]), (StatusCode::OK, &reset["auth"]), "{}", put.text());
    let stored = hub.stored_server("gpu").await;
    assert!(serde_json::to_string(&stored.auth).expect("serialises").contains("hunter2"));

    let open = hub.json("PATCH", "/api/v1/servers/gpu", &json!({"auth": null})).await.json();
    assert_eq!(open["auth"], json!({"kind": "none", "secret_set": false}));
    let moved = hub.json("PUT", "/api/v1/servers/gpu", &json!({"name": "gpu", "base_url": "http://127.0.0.1:8"})).await;
    assert_eq!((&moved.json()["weight"], &moved.json()["base_url"]), (&json!(1.0), &json!("http://127.0.0.1:8")));
}

#[tokio::test]
async fn a_stored_secret_does_not_follow_its_server_to_another_place() {
    let hub = Hub::empty().await;
    let server = json!({"name": "gpu", "base_url": "http://127.0.0.1:9/a",
        "auth": {"kind": "api_key", "header": "X-Key", "key": "hunter2"}});
    assert_eq!(hub.json("POST", "/api/v1/servers", &server).await.status, StatusCode::CREATED);
    let llm = json!({"name": "ollama", "base_url": "http://127.0.0.1:9/a", "api_key": "hunter2"});
    assert_eq!(hub.json("POST", "/api/v1/llm-servers", &llm).await.status, StatusCode::CREATED);
    let stored = async || {
        let server = hub.stored_server("gpu").await;
        let llm = hub.engine.store().llm_server_list().await.expect("read").remove(0);
        (serde_json::to_string(&server).expect("serialises"), serde_json::to_string(&llm).expect("serialises"))
    };

    let read = hub.get("/api/v1/servers/gpu").await.json();
    for elsewhere in ["http://127.0.0.1:10/a", "https://127.0.0.1:9/a", "http://192.0.2.1:9/a"] {
        let half = json!({"base_url": elsewhere, "auth": {"kind": "api_key", "header": "X-Key"}});
        let mut sent_back = read.clone();
        sent_back["base_url"] = json!(elsewhere);
        for (method, path, body, argument) in [
            ("PATCH", "servers/gpu", json!({"base_url": elsewhere}), "auth"),
            ("PATCH", "servers/gpu", half, "auth"),
            ("PUT", "servers/gpu", json!({"name": "gpu", "base_url": elsewhere}), "auth"),
            ("PUT", "servers/gpu", sent_back, "auth"),
            ("PATCH", "llm-servers/ollama", json!({"base_url": elsewhere}), "api_key"),
            ("PUT", "llm-servers/ollama", json!({"name": "ollama", "base_url": elsewhere}), "api_key"),
        ] {
            let refused = hub.json(method, &format!("/api/v1/{path}"), &body).await;
            let problem = refused.json();
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{method} {path} {elsewhere}: {problem}");
            assert_eq!(problem["argument"], argument, "{problem}");
            assert!(problem["hint"].is_string() && !problem.to_string().contains("hunter2"), "{problem}");
        }
    }
    let (server, llm) = stored().await;
    assert!(server.contains("127.0.0.1:9/a") && llm.contains("127.0.0.1:9/a"), "nothing was written");

    // Another path is the same place.
    for path in ["servers/gpu", "llm-servers/ollama"] {
        let moved = hub.json("PATCH", &format!("/api/v1/{path}"), &json!({"base_url": "http://127.0.0.1:9/b"})).await;
        assert_eq!(moved.status, StatusCode::OK, "{}", moved.text());
    }
    let (server, llm) = stored().await;
    assert!(server.contains("hunter2") && llm.contains("hunter2"));

    // With a secret of its own, or without any, it may go wherever it shall.
    let auth = json!({"kind": "api_key", "header": "X-Key", "key": "swordfish"});
    for (path, body) in [
        ("servers/gpu", json!({"base_url": "http://127.0.0.1:11", "auth": auth})),
        ("servers/gpu", json!({"base_url": "http://127.0.0.1:12", "auth": {"kind": "none"}})),
        ("servers/gpu", json!({"base_url": "http://127.0.0.1:13"})),
        ("llm-servers/ollama", json!({"base_url": "http://127.0.0.1:11", "api_key": "swordfish"})),
        ("llm-servers/ollama", json!({"base_url": "http://127.0.0.1:12", "api_key": null})),
        ("llm-servers/ollama", json!({"base_url": "http://127.0.0.1:13"})),
    ] {
        let moved = hub.json("PATCH", &format!("/api/v1/{path}"), &body).await;
        assert_eq!(moved.status, StatusCode::OK, "{path} {body}: {}", moved.text());
    }
    let (server, llm) = stored().await;
    assert!(server.contains(":13") && llm.contains(":13"));
}

#[tokio::test]
async fn a_gpu_is_shared_by_name() {
    let hub = Hub::empty().await;
    let server = json!({"name": "gpu", "base_url": "http://127.0.0.1:9", "gpu": " desk "});
    let added = hub.json("POST", "/api/v1/servers", &server).await.json();
    assert_eq!((&added["gpu"], &added["live"]["lease"]), (&json!("desk"), &Value::Null));
    let llm = json!({"name": "ollama", "base_url": "127.0.0.1:9", "gpu": "desk", "enabled": false});
    let llm = hub.json("POST", "/api/v1/llm-servers", &llm).await.json();
    assert_eq!((&llm["gpu"], &llm["enabled"]), (&json!("desk"), &json!(false)));

    hub.json("PATCH", "/api/v1/llm-servers/ollama", &json!({"enabled": true})).await;
    let lease = hub.get("/api/v1/servers/gpu").await.json()["live"]["lease"].clone();
    assert_eq!((&lease["gpu"], &lease["holder"]), (&json!("desk"), &json!("unknown")), "{lease}");
    assert_eq!(lease["llm_servers"], json!(["ollama"]));

    for (path, name) in [("servers", "gpu"), ("llm-servers", "ollama")] {
        let path = format!("/api/v1/{path}/{name}");
        let refused = hub.json("PATCH", &path, &json!({"gpu": "a\nb"})).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        assert!(refused.text().contains("`gpu`"), "{}", refused.text());
        let reset = hub.json("PATCH", &path, &json!({"gpu": null})).await.json();
        assert_eq!(reset["gpu"], Value::Null);
    }
}

#[tokio::test]
async fn of_two_editors_the_second_is_told() {
    let hub = Hub::with_server(10).await;
    let paths = ["servers/sim", "styles/anime", "render-types/sd15", "llm-servers/ollama"];
    let llm = json!({"name": "ollama", "base_url": "127.0.0.1:9"});
    assert_eq!(hub.json("POST", "/api/v1/llm-servers", &llm).await.status, StatusCode::CREATED);
    for (path, change) in paths.iter().zip([
        json!({"weight": 3}),
        json!({"description": "x"}),
        json!({"title": "x"}),
        json!({"dialect": "openai"}),
    ]) {
        let path = format!("/api/v1/{path}");
        let read = hub.get(&path).await;
        let etag = read.header("etag").to_owned();
        assert_eq!(etag, format!("\"{}\"", read.json()["etag"].as_str().expect("an etag")), "{path}");
        let first = with_match(&hub, "PATCH", &path, &etag, &change).await;
        assert_eq!(first.status, StatusCode::OK, "{path}: {}", first.text());
        assert_ne!(first.header("etag"), etag, "{path}");
        for method in ["PATCH", "PUT", "DELETE"] {
            let mut body = read.json();
            if method == "PATCH" {
                body = json!({});
            }
            let second = with_match(&hub, method, &path, &etag, &body).await;
            assert_eq!(
                (second.status, &second.json()["code"]),
                (StatusCode::PRECONDITION_FAILED, &json!("changed")),
                "{method} {path}"
            );
        }
        assert_eq!(hub.get(&path).await.header("etag"), first.header("etag"), "{path}: nothing was written");
        let unquoted = with_match(&hub, "PATCH", &path, "7", &json!({})).await;
        assert_eq!(unquoted.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_taken_name_or_address_names_its_holder() {
    let hub = Hub::with_server(10).await;
    let url = hub.get("/api/v1/servers/sim").await.json()["base_url"].as_str().expect("an address").to_owned();
    let other = json!({"name": "other", "base_url": "http://127.0.0.1:9"});
    assert_eq!(hub.json("POST", "/api/v1/servers", &other).await.status, StatusCode::CREATED);
    for (method, path, body, argument, holder) in [
        ("POST", "servers", json!({"name": "x", "base_url": format!("{url}/")}), "base_url", "`sim`"),
        ("POST", "servers", json!({"name": "sim", "base_url": "http://127.0.0.1:7"}), "name", "srv_"),
        ("PATCH", "servers/other", json!({"base_url": url}), "base_url", "`sim`"),
        ("PATCH", "servers/other", json!({"name": "sim"}), "name", "srv_"),
        ("POST", "styles", json!({"name": "anime", "prompt_template": "x"}), "name", "anime"),
        (
            "POST",
            "render-types",
            json!({"name": "sd15", "workflow": "txt2img-sd15", "mode": "generate"}),
            "name",
            "sd15",
        ),
    ] {
        let refused = hub.json(method, &format!("/api/v1/{path}"), &body).await;
        let problem = refused.json();
        assert_eq!((refused.status, &problem["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{problem}");
        assert_eq!(problem["argument"], argument, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(holder)), "{problem}");
    }
}

#[tokio::test]
async fn a_bad_change_names_its_field_and_writes_nothing() {
    let hub = Hub::with_server(10).await;
    let before = hub.get("/api/v1/servers/sim").await.header("etag").to_owned();
    for (body, argument) in [
        (json!({"weihgt": 1}), "weihgt"),
        (json!({"weight": -1}), "weight"),
        (json!({"weight": 1e308}), "weight"),
        (json!({"weight": "heavy"}), "weight"),
        (json!({"max_in_flight": 0}), "max_in_flight"),
        (json!({"max_in_flight": 65}), "max_in_flight"),
        (json!({"run_limit_s": 0}), "run_limit_s"),
        (json!({"base_url": "ftp://x"}), "base_url"),
        (json!({"base_url": "http://user:pw@x"}), "base_url"),
        (json!({"name": null}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"origin": "nonsense"}), "origin"),
        (json!({"auth": {"kind": "bearer"}}), "auth"),
        (json!({"auth": {"kind": "magic"}}), "auth.kind"),
    ] {
        let refused = hub.json("PATCH", "/api/v1/servers/sim", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.text());
        assert_eq!(refused.json()["argument"], argument, "{body}: {}", refused.text());
    }
    assert_eq!(
        hub.json("PATCH", "/api/v1/servers/sim", &json!({"weihgt": 1})).await.json()["hint"],
        "Did you mean `weight`?"
    );
    assert_eq!(hub.json("PATCH", "/api/v1/servers/sim", &json!([])).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(hub.get("/api/v1/servers/sim").await.header("etag"), before);
    let missing = hub.json("PATCH", "/api/v1/servers/simm", &json!({})).await;
    assert_eq!((missing.status, &missing.json()["hint"]), (StatusCode::NOT_FOUND, &json!("Did you mean `sim`?")));
}

#[tokio::test]
async fn versions_of_a_workflow_are_listed_restored_and_deleted_when_nothing_runs_them() {
    let hub = Hub::with_server(10).await;
    let smoke: Value = serde_json::from_str(include_str!("../../../../workflows/smoke.json")).expect("JSON");
    let second = hub.json("POST", "/api/v1/workflows", &json!({"name": "txt2img-sd15", "graph": smoke})).await;
    assert_eq!(second.json()["version"], 2, "{}", second.text());
    let restored = hub.json("POST", "/api/v1/workflows/txt2img-sd15/versions/1/restore", &json!({})).await;
    assert_eq!((restored.status, &restored.json()["version"]), (StatusCode::CREATED, &json!(3)), "{}", restored.text());
    let versions = hub.get("/api/v1/workflows/txt2img-sd15/versions").await.json();
    let numbers: Vec<&Value> =
        versions["workflows"].as_array().expect("a list").iter().map(|row| &row["version"]).collect();
    assert_eq!(numbers, [3, 2, 1]);
    let graph = async |version: u32| {
        hub.get(&format!("/api/v1/workflows/txt2img-sd15/versions/{version}")).await.json()["graph"].clone()
    };
    assert_eq!(graph(3).await, graph(1).await);
    assert_ne!(graph(2).await, graph(1).await);
    assert_eq!(hub.get("/api/v1/workflows/txt2img-sd15/versions/9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(hub.get("/api/v1/workflows/txt2img-sd15/versions/x").await.status, StatusCode::NOT_FOUND);

    let refused = hub.delete("/api/v1/workflows/txt2img-sd15").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text().contains("sd15"), "{}", refused.text());
    assert_eq!(hub.delete("/api/v1/render-types/sd15").await.status, StatusCode::NO_CONTENT);
    assert_eq!(hub.delete("/api/v1/workflows/txt2img-sd15").await.status, StatusCode::NO_CONTENT);
    assert_eq!(hub.get("/api/v1/workflows/txt2img-sd15").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn servers_are_tested_as_stored_and_as_typed() {
    let hub = Hub::with_server(10).await;
    let dead = json!({"name": "dead", "base_url": "http://127.0.0.1:9", "enabled": false});
    assert_eq!(hub.json("POST", "/api/v1/servers", &dead).await.status, StatusCode::CREATED);
    let good = hub.json("POST", "/api/v1/servers/sim/test", &json!({})).await.json();
    assert_eq!((&good["ok"], &good["name"]), (&json!(true), &json!("sim")), "{good}");
    let all = hub.json("POST", "/api/v1/servers/test", &json!({})).await.json();
    let oks: Vec<&Value> = all["tests"].as_array().expect("tests").iter().map(|test| &test["ok"]).collect();
    assert_eq!(oks, [false, true], "{all}");
    let url = hub.get("/api/v1/servers/sim").await.json()["base_url"].clone();
    let typed = hub.json("POST", "/api/v1/servers/test", &json!({"base_url": url})).await.json();
    assert_eq!((&typed["tests"][0]["ok"], &typed["tests"][0]["server"]), (&json!(true), &Value::Null));
    for (body, argument) in [
        (json!({"auth": {"kind": "none"}}), "base_url"),
        (json!({"base_url": "ftp://x"}), "base_url"),
        (json!({"base_url": url, "auth": {"kind": "bearer"}}), "auth"),
        (json!({"base_url": url, "ca": "nonsense"}), "ca"),
        (json!({"base_ulr": url}), "base_ulr"),
    ] {
        let refused = hub.json("POST", "/api/v1/servers/test", &body).await;
        assert_eq!((refused.status, &refused.json()["argument"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(argument)));
    }
    assert_eq!(hub.json("POST", "/api/v1/servers/nobody/test", &json!({})).await.status, StatusCode::NOT_FOUND);

    let said = hub.json("PUT", "/api/v1/servers/sim/workflows/txt2img-sd15", &json!({"compatible": false})).await;
    assert_eq!(said.status, StatusCode::NO_CONTENT, "{}", said.text());
    let stranger = hub.json("PUT", "/api/v1/servers/sim/workflows/nothing", &json!({"compatible": true})).await;
    assert_eq!(stranger.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", stranger.text());
    assert_eq!(hub.json("POST", "/api/v1/servers/sim/refresh", &json!({})).await.status, StatusCode::ACCEPTED);
}

/// A stored secret goes to its own server only.
#[tokio::test]
async fn a_test_lends_no_secret_to_another_address() {
    let hub = Hub::empty().await;
    let server = json!({"name": "gpu", "base_url": "http://127.0.0.1:9", "enabled": false,
        "auth": {"kind": "bearer", "token": "hunter2"}});
    assert_eq!(hub.json("POST", "/api/v1/servers", &server).await.status, StatusCode::CREATED);
    let own = json!({"server": "gpu", "base_url": "http://127.0.0.1:9", "auth": {"kind": "bearer"}});
    assert_eq!(hub.json("POST", "/api/v1/servers/test", &own).await.status, StatusCode::OK);
    let other = json!({"server": "gpu", "base_url": "http://127.0.0.1:8", "auth": {"kind": "bearer"}});
    assert_eq!(hub.json("POST", "/api/v1/servers/test", &other).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}
