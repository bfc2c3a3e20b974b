//! The configuration as a file, out of one hub and into another.

use axum::{body::Body, http::StatusCode};
use serde_json::{Value, json};

use crate::hub::{Answer, Hub, request};

const PASSPHRASE: &str = "correct horse";

/// A hub with one of everything, and secrets.
async fn full() -> Hub {
    let hub = Hub::with_server(10).await;
    for (path, body) in [
        (
            "servers",
            json!({"name": "gpu", "base_url": "http://127.0.0.1:9", "weight": 2.5, "group": "lab",
            "max_in_flight": 4, "enabled": false, "origin": "https://gpu.example.org",
            "auth": {"kind": "api_key", "header": "X-Key", "key": "hunter2"}}),
        ),
        (
            "servers",
            json!({"name": "env", "base_url": "http://127.0.0.1:8", "enabled": false, "gpu": "desk",
            "auth": {"kind": "headers", "headers": [["X-A", "hunter2"], ["X-B", "env:B"]]}}),
        ),
        (
            "llm-servers",
            json!({"name": "ollama", "base_url": "127.0.0.1:9", "api_key": "hunter2", "enabled": false,
            "gpu": "desk"}),
        ),
        ("styles", json!({"name": "ink", "prompt_template": "ink {prompt}", "is_default": true})),
    ] {
        let added = hub.json("POST", &format!("/api/v1/{path}"), &body).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    }
    let role = hub.json("PUT", "/api/v1/llm-roles/enhance", &json!({"server": "ollama", "model": "m"})).await;
    assert_eq!(role.status, StatusCode::OK, "{}", role.text());
    let settings = json!({"queue.max": 77, "mcp.wait_s": 5, "alerts.webhook_url": "http://127.0.0.1:9/hunter2"});
    let set = hub.json("PATCH", "/api/v1/settings", &settings).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    // Two versions, the older one pinned.
    let smoke: Value = serde_json::from_str(include_str!("../../../../workflows/smoke.json")).expect("JSON");
    hub.json("POST", "/api/v1/workflows", &json!({"name": "txt2img-sd15", "graph": smoke})).await;
    let pinned = hub.json("PATCH", "/api/v1/render-types/sd15", &json!({"workflow_version": 1})).await;
    assert_eq!(pinned.status, StatusCode::OK, "{}", pinned.text());
    hub
}

async fn export(hub: &Hub, passphrase: Option<&str>) -> Answer {
    let mut sent = request("GET", "/api/v1/config/export");
    if let Some(passphrase) = passphrase {
        sent = sent.header("genimage-passphrase", passphrase);
    }
    hub.send(sent.body(Body::empty()).expect("a request")).await
}

async fn import(hub: &Hub, query: &str, passphrase: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut sent = request("POST", &format!("/api/v1/config/import{query}")).header("content-type", "application/json");
    if let Some(passphrase) = passphrase {
        sent = sent.header("genimage-passphrase", passphrase);
    }
    hub.send(sent.body(body.into()).expect("a request")).await
}

#[tokio::test]
async fn a_configuration_goes_round_and_is_the_same() {
    let (source, target) = (full().await, Hub::empty().await);
    let exported = export(&source, None).await;
    assert_eq!(exported.status, StatusCode::OK, "{}", exported.text());
    assert!(!exported.text().contains("hunter2"), "secrets are left out");
    assert!(exported.text().contains("env:B"), "their places are not");
    assert_eq!(export(&source, None).await.body, exported.body, "the same each time");

    let imported = import(&target, "?mode=replace", None, exported.body.clone()).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.text());
    assert_eq!(export(&target, None).await.body, exported.body, "round trip");
    let again = import(&target, "?mode=replace", None, exported.body.clone()).await.json();
    assert_eq!(again["changes"], json!([]), "{again}");
    // The running hub follows: its own list has the servers, the catalogue its styles, and settings are in force.
    let now = target.engine.settings();
    assert_eq!((now.queue_max, now.answers.wait_s, &now.alerts.webhook_url), (77, 5, &None));
    assert_eq!(target.get("/api/v1/servers/gpu").await.json()["auth"]["secret_set"], false);
    assert_eq!(target.get("/api/v1/catalogue").await.json()["render_types"][0]["workflow_version"], 1);
}

#[tokio::test]
async fn secrets_travel_encrypted_and_open_with_the_passphrase_alone() {
    let (source, target) = (full().await, Hub::empty().await);
    let exported = export(&source, Some(PASSPHRASE)).await;
    assert!(!exported.text().contains("hunter2"));
    assert_eq!(exported.json()["secrets"]["cipher"], "xchacha20poly1305");
    assert_eq!(export(&source, Some("short")).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    for wrong in [None, Some("another horse")] {
        let refused = import(&target, "", wrong, exported.body.clone()).await;
        assert_eq!(
            (refused.status, &refused.json()["argument"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("passphrase"))
        );
    }
    assert_eq!(target.get("/api/v1/servers").await.json()["servers"], json!([]), "nothing was written");
    let imported = import(&target, "", Some(PASSPHRASE), exported.body.clone()).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.text());
    assert!(!imported.text().contains("hunter2"));
    let servers = |hub: &Hub| {
        let store = hub.engine.store().clone();
        async move {
            let rows = store.server_list().await.expect("read");
            rows.into_iter()
                .map(|row| (row.name, serde_json::to_string(&row.auth).expect("serialises")))
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(servers(&target).await, servers(&source).await);
    assert_eq!(target.engine.settings().alerts, source.engine.settings().alerts);
    let key = target.engine.store().llm_server_list().await.expect("read")[0].api_key.clone();
    assert_eq!(key.map(String::from).as_deref(), Some("hunter2"));

    // Without the secrets, those that are stored stay.
    let open = import(&target, "?mode=replace", None, export(&source, None).await.body).await;
    assert_eq!(open.json()["changes"], json!([]), "{}", open.text());
    assert_eq!(servers(&target).await, servers(&source).await);
}

#[tokio::test]
async fn settings_are_merged_replaced_or_left_alone_and_checked() {
    let hub = full().await;
    let file = |values: Value| json!({"format": "genimage-config", "version": 1, "settings": {"values": values}});
    let merged = import(&hub, "", None, file(json!({"queue.max": 78, "retention.days": 9})).to_string()).await.json();
    let change = |action: &str, name: &str| json!({"section": "settings", "action": action, "name": name});
    assert_eq!(merged["changes"], json!([change("changed", "queue.max"), change("added", "retention.days")]));
    let now = hub.engine.settings();
    assert_eq!((now.queue_max, now.retention_days, now.answers.wait_s), (78, Some(9), 5));
    // Files of before have no such settings.
    let older = json!({"format": "genimage-config", "version": 1, "settings": {}});
    let left = import(&hub, "?mode=replace", None, older.to_string()).await.json();
    assert_eq!(left["changes"], json!([]), "{left}");

    let before = export(&hub, None).await.body;
    let long = "http://x/".to_owned() + &"y".repeat(4000);
    for (values, path, told) in [
        (json!({"queue.max": 0}), "settings.values.queue.max", "from 1 to"),
        (json!({"queue.max": 1e300}), "settings.values.queue.max", "from 1 to"),
        (json!({"queue.max": null}), "settings.values.queue.max", "from 1 to"),
        (json!({"queue.mx": 1}), "settings.values.queue.mx", "no setting"),
        (json!({"server.listen": "0.0.0.0:1"}), "settings.values.server.listen", "no setting"),
        (json!({"servers.live_previews": [{}]}), "settings.values.servers.live_previews", "true or false"),
        (json!({"alerts.webhook_url": "file:///hunter2"}), "settings.values.alerts.webhook_url", "http or https"),
        (json!({"alerts.webhook_url": long}), "settings.values.alerts.webhook_url", "http or https"),
        (json!([1]), "settings.values", "a map"),
    ] {
        let refused = import(&hub, "?mode=replace", None, file(values).to_string()).await;
        let problem = refused.json();
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {problem}");
        assert_eq!(problem["argument"], path, "{problem}");
        let message = problem["detail"].as_str().expect("a sentence");
        assert!(message.contains(told) && !message.contains("hunter2"), "{problem}");
    }
    assert_eq!(export(&hub, None).await.body, before, "nothing was written");
    let replaced = import(&hub, "?mode=replace", None, file(json!({"queue.max": 78})).to_string()).await.json();
    let names = ["alerts.webhook_url", "mcp.wait_s", "retention.days"];
    assert_eq!(replaced["changes"], json!(names.map(|name| change("removed", name))));
    assert_eq!((hub.engine.settings().answers.wait_s, &hub.engine.settings().alerts.webhook_url), (45, &None));
}

#[tokio::test]
async fn a_file_does_not_send_a_stored_secret_to_another_place() {
    let hub = full().await;
    let mut file = export(&hub, None).await.json();
    let named = |list: &Value, name: &str| {
        list.as_array().expect("a list").iter().position(|entry| entry["name"] == name).expect("there")
    };
    let (gpu, ollama) = (named(&file["servers"], "gpu"), named(&file["llm_servers"], "ollama"));
    file["servers"][gpu]["base_url"] = json!("http://192.0.2.1:9");
    file["llm_servers"][ollama]["base_url"] = json!("http://192.0.2.1:9");
    let imported = import(&hub, "", None, file.to_string()).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.text());
    assert!(imported.text().contains("`gpu` has no secret yet"), "{}", imported.text());
    let servers = hub.engine.store().server_list().await.expect("read");
    let told = serde_json::to_string(&servers).expect("serialises");
    let moved = servers.iter().find(|server| server.name == "gpu").expect("there");
    assert!(!serde_json::to_string(&moved.auth).expect("serialises").contains("hunter2"), "{told}");
    let stayed = servers.iter().find(|server| server.name == "env").expect("there");
    assert!(serde_json::to_string(&stayed.auth).expect("serialises").contains("hunter2"), "it did not move");
    let llm = hub.engine.store().llm_server_list().await.expect("read");
    assert!(!serde_json::to_string(&llm).expect("serialises").contains("hunter2"));
}

#[tokio::test]
async fn merge_and_replace_tell_what_they_would_do_and_do_it() {
    let hub = full().await;
    let mut document = export(&hub, None).await.json();
    document["servers"] = json!([
        {"name": "new", "base_url": "http://127.0.0.1:7", "enabled": false},
        {"name": "gpu", "base_url": "http://127.0.0.1:6", "enabled": false, "weight": 9,
            "auth": {"kind": "api_key", "header": "X-Key"}},
    ]);
    for section in ["llm_servers", "llm_roles", "workflows", "render_types", "settings"] {
        document.as_object_mut().expect("an object").shift_remove(section);
    }
    let before = export(&hub, None).await.body;
    let row = |action: &str, section: &str, name: &str, fields: Value| {
        let mut row = json!({"section": section, "action": action, "name": name});
        if fields != json!([]) {
            row["fields"] = fields;
        }
        row
    };
    let changed =
        row("changed", "servers", "gpu", json!(["auth", "base_url", "group", "max_in_flight", "origin", "weight"]));
    let added = row("added", "servers", "new", json!([]));
    let gone = ["env", "sim"].map(|name| row("removed", "servers", name, json!([])));

    let merge = import(&hub, "?dry_run=true", None, document.to_string()).await.json();
    assert_eq!(merge["changes"], json!([added.clone(), changed.clone()]), "{merge}");
    assert_eq!((&merge["dry_run"], &merge["unchanged"]), (&json!(true), &json!(2)));
    let replace = import(&hub, "?mode=replace&dry_run=true", None, document.to_string()).await.json();
    assert_eq!(replace["changes"], json!([added, changed, gone[0].clone(), gone[1].clone()]), "{replace}");
    assert_eq!(export(&hub, None).await.body, before, "a dry run writes nothing");

    import(&hub, "?mode=replace", None, document.to_string()).await;
    let servers = hub.get("/api/v1/servers").await.json();
    let names: Vec<&Value> = servers["servers"].as_array().expect("servers").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["gpu", "new"]);
    assert_eq!(hub.get("/api/v1/llm-servers/ollama").await.status, StatusCode::OK, "a section that is not there stays");
    let stored = hub.stored_server("gpu").await;
    let auth = serde_json::to_string(&stored.auth).expect("serialises");
    assert!(!auth.contains("hunter2"), "the address moved, and the secret does not follow it");
}

#[tokio::test]
async fn an_export_holds_the_parts_that_were_asked_for() {
    let hub = full().await;
    let servers = ["format", "version", "servers", "llm_servers"];
    let others = ["llm_roles", "render_types", "styles", "settings"];
    for (query, with_others, with_workflows) in [
        ("", true, true),
        ("?workflows=true&only_servers=false", true, true),
        ("?workflows=false", true, false),
        ("?only_servers=true", false, false),
        ("?only_servers=true&workflows=false", false, false),
    ] {
        let exported = hub.get(&format!("/api/v1/config/export{query}")).await.json();
        let held = |name: &str| exported.get(name).is_some();
        assert!(servers.into_iter().all(held), "{query}: {exported}");
        assert!(others.into_iter().all(|name| held(name) == with_others), "{query}: {exported}");
        assert_eq!(held("workflows"), with_workflows, "{query}");
    }
    let refused = hub.get("/api/v1/config/export?workflows=true&only_servers=true").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
    assert_eq!(refused.json()["argument"], "workflows");
    assert!(refused.text().contains("only_servers"), "{}", refused.text());
}

/// Files that will not do, each with the path of its fault and a word that the answer must say.
fn bad_files(good: &Answer) -> Vec<(String, &'static str, &'static str)> {
    let changed = |pointer: &str, value: Value| {
        let mut document = good.json();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = document.pointer_mut(parent).expect("there");
        match parent {
            Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
            other => other[name] = value,
        }
        document.to_string()
    };
    let text = good.text();
    let mut deep = "[".repeat(100_000);
    deep.push_str(&"]".repeat(100_000));
    let twin = good.json()["servers"][0].clone();
    let many: Vec<Value> =
        (0..10_001).map(|n| json!({"name": format!("s{n}"), "base_url": format!("http://s{n}")})).collect();
    vec![
        (text[..text.len() / 2].to_owned(), "", "cut off"),
        (String::new(), "", "cut off"),
        ("nonsense".to_owned(), "", "not valid JSON"),
        (deep.clone(), "", "recursion limit"),
        (format!("{{\"format\": \"genimage-config\", \"version\": 1, \"servers\": {deep}}}"), "", "recursion limit"),
        (format!("{text} trailing"), "", "not valid JSON"),
        ("[]".to_owned(), "format", "missing"),
        ("{}".to_owned(), "format", "missing"),
        (changed("/format", json!("other")), "format", "genimage-config"),
        (changed("/version", json!(2)), "version", "version 2"),
        (changed("/version", json!("1")), "version", "version"),
        (changed("/surprise", json!(1)), "surprise", "surprise"),
        (changed("/servers/0/surprise", json!(1)), "servers[0].surprise", "surprise"),
        (changed("/servers/1/name", twin["name"].clone()), "servers[1].name", "servers[0]"),
        (changed("/servers/1/base_url", twin["base_url"].clone()), "servers[1].base_url", "servers[0]"),
        (changed("/servers/0/name", json!("")), "servers[0].name", "characters"),
        (changed("/servers/0/name", json!("x".repeat(500))), "servers[0].name", "120"),
        (changed("/servers/0/base_url", json!("file:///etc/passwd")), "servers[0].base_url", "scheme"),
        (changed("/servers/0/base_url", json!("http://u:hunter3@h")), "servers[0].base_url", "auth"),
        (changed("/servers/0/weight", json!(-1)), "servers[0].weight", "above 0"),
        (changed("/servers/0/weight", json!(1e300)), "servers[0].weight", "1000"),
        (changed("/servers/0/weight", json!("heavy")), "servers[0].weight", "f64"),
        (changed("/servers/0/max_in_flight", json!(0)), "servers[0].max_in_flight", "between"),
        (changed("/servers/0/max_in_flight", json!(-4)), "servers[0].max_in_flight", "u32"),
        (changed("/servers/0/run_limit_s", json!(0)), "servers[0].run_limit_s", "between"),
        (changed("/servers/0/auth", json!({"kind": "bearer", "token": ["hunter3"]})), "servers[0].auth", "form"),
        (
            changed("/servers/0/auth", json!({"kind": "api_key", "header": "a b", "key": "hunter3"})),
            "servers[0].auth",
            "header",
        ),
        (changed("/servers", json!(many)), "servers", "10000"),
        (changed("/llm_roles/enhance", json!({"server": "nobody"})), "llm_roles.enhance.server", "nobody"),
        (changed("/workflows/0/graph", json!({"1": {"class_type": 7}})), "workflows[0].graph", "graph"),
        (changed("/workflows/1/version", json!(1)), "workflows[1].version", "twice"),
        (changed("/workflows/0/slots", json!({"slots": 7})), "workflows[0].slots", "slots"),
        (changed("/render_types/0/workflow", json!("gone")), "render_types[0].workflow", "gone"),
        (changed("/render_types/0/mode", json!("edit")), "render_types[0].workflow", "input picture"),
        (
            changed("/render_types/0/limits", json!({"min_side_px": 9, "max_side_px": 1, "side_multiple_px": 0})),
            "render_types[0].limits",
            "limits",
        ),
        (changed("/styles/0/prompt_template", json!("x".repeat(30_000))), "styles[0].prompt_template", "20000"),
        (
            changed("/settings", json!({"enhance_templates": {"prompt": "x".repeat(30_000), "negative": ""}})),
            "settings.enhance_templates.prompt",
            "20000",
        ),
        (changed("/secrets", json!({"cipher": "x"})), "secrets.kdf", "Missing"),
    ]
}

#[tokio::test]
async fn a_file_that_will_not_do_is_refused_by_its_path_and_changes_nothing() {
    let hub = full().await;
    let good = export(&hub, None).await;
    let before = good.body.clone();
    for (body, argument, said) in bad_files(&good) {
        for mode in ["merge", "replace"] {
            let refused = import(&hub, &format!("?mode={mode}"), None, body.clone()).await;
            let problem = refused.json();
            let shown: String = body.chars().take(300).collect();
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{shown}: {problem}");
            assert_eq!(problem["argument"].as_str().unwrap_or_default(), argument, "{shown}: {problem}");
            let detail = problem["detail"].as_str().expect("a detail");
            assert!(detail.contains(said), "`{said}` is not in: {detail}");
            assert!(!detail.contains("hunter3"), "{detail}");
        }
    }
    let huge = vec![b' '; 33 * 1024 * 1024];
    assert!(
        import(&hub, "", None, huge).await.json()["detail"].as_str().is_some_and(|detail| detail.contains("at most"))
    );
    assert_eq!(export(&hub, None).await.body, before, "the previous state is untouched");
}

#[tokio::test]
async fn files_of_the_older_system_are_taken() {
    let hub = Hub::empty().await;
    let servers = json!({"version": "1.0", "activeServerId": "server-1", "autoSwitchOnFailure": true, "servers": [
        {"id": "server-1", "name": "Main", "serverUrl": "http://127.0.0.1:9/", "isActive": true,
            "authentication": {"type": "api-key", "token": "hunter2"}, "timeout": 300_000, "status": "connected",
            "serverInfo": {"version": "2.1"}, "lastConnected": "2026-01-01T00:00:00Z"},
        {"id": "server-2", "name": "Main", "serverUrl": "http://127.0.0.1:8", "isActive": false,
            "authentication": {"type": "none"}},
    ]});
    let imported = import(&hub, "?mode=replace", None, servers.to_string()).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.text());
    let listed = hub.get("/api/v1/servers").await.json();
    assert_eq!((&listed["servers"][0]["name"], &listed["servers"][1]["name"]), (&json!("Main"), &json!("Main (2)")));
    assert_eq!(listed["servers"][0]["auth"]["header"], "X-Api-Key");
    assert_eq!(listed["servers"][0]["run_limit_s"], 300);
    let single = json!({"serverUrl": "http://127.0.0.1:7", "authentication": {"type": "basic", "username": "u", "password": "p"}});
    assert_eq!(import(&hub, "", None, single.to_string()).await.status, StatusCode::OK);
    assert_eq!(hub.get("/api/v1/servers/Default%20Server").await.json()["auth"]["user"], "u");
    let newer = json!({"version": "2.0", "servers": []});
    assert_eq!(import(&hub, "", None, newer.to_string()).await.json()["argument"], "version");
}
