//! Routes beside the run: files, front door, jobs, catalogue.

use hub_sim::{ComfyConfig, SimAuth};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Client, image_graph, is_done, json_fixture, recorded, sampler_graph, start};

async fn upload(client: &Client, name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> (u16, Value) {
    let mut form = Form::new();
    for (field, value) in fields {
        form = form.text((*field).to_owned(), (*value).to_owned());
    }
    let form = form.part("image", Part::bytes(bytes.to_vec()).file_name(name.to_owned()));
    let answer = client.http.post(format!("{}/upload/image", client.base)).multipart(form).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn uploads_are_named_as_recorded() {
    let (_sim, client) = start(recorded("0.33.0")).await;
    let named = |name: &str, subfolder: &str| (200, json!({"name": name, "subfolder": subfolder, "type": "input"}));
    assert_eq!(upload(&client, "red.png", b"one", &[("type", "input")]).await, named("red.png", ""));
    assert_eq!(upload(&client, "red.png", b"one", &[]).await, named("red.png", ""));
    assert_eq!(upload(&client, "red.png", b"two", &[]).await, named("red (1).png", ""));
    assert_eq!(upload(&client, "red.png", b"two", &[("overwrite", "true")]).await, named("red.png", ""));
    assert_eq!(
        upload(&client, "red.png", b"two", &[("subfolder", "hub/job1"), ("overwrite", "1")]).await,
        named("red.png", "hub/job1")
    );
    assert_eq!(upload(&client, "o.png", b"x", &[("type", "bogus")]).await.0, 500);
    assert_eq!(upload(&client, "e.png", b"x", &[("subfolder", "../../x")]).await.0, 400);
    assert_eq!(upload(&client, "e.png", b"x", &[("subfolder", "/etc")]).await.0, 400);
    assert_eq!(client.get("/view?filename=red.png&type=input&subfolder=hub/job1").await, (200, json!("two")));
}

#[tokio::test]
async fn view_follows_the_recorded_path_rules() {
    let (_sim, client) = start(recorded("0.33.0")).await;
    upload(&client, "red.png", b"0123456789abc", &[]).await;
    for (query, status) in [
        ("", 404),
        ("?filename=red.png", 404),
        ("?filename=red.png&type=input", 200),
        ("?filename=red.png%20%5Binput%5D", 200),
        ("?filename=sub%2Fred.png&type=input", 200),
        ("?filename=nope.png", 404),
        ("?filename=red.png&type=bogus", 400),
        ("?filename=../red.png&type=input", 400),
        ("?filename=/etc/passwd", 400),
        ("?filename=", 400),
        ("?filename=passwd&type=input&subfolder=/etc", 403),
        ("?filename=passwd&type=input&subfolder=../../../etc", 403),
    ] {
        assert_eq!(client.get(&format!("/view{query}")).await.0, status, "{query}");
        assert_eq!(client.get(&format!("/api/view{query}")).await.0, status, "{query}");
    }
    let url = format!("{}/view?filename=red.png&type=input", client.base);
    let whole = client.http.get(&url).send().await.unwrap();
    let tag = whole.headers()["etag"].clone();
    assert_eq!(whole.headers()["content-disposition"], "filename=\"red.png\"");
    let same = client.http.get(&url).header("If-None-Match", tag).send().await.unwrap();
    assert_eq!(same.status(), 304);
    let part = client.http.get(&url).header("Range", "bytes=0-9").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()), (206, "bytes 0-9/13"));
    assert_eq!(part.text().await.unwrap(), "0123456789");
}

#[tokio::test]
async fn every_standard_graph_validates() {
    let (_sim, client) = start(ComfyConfig { run_ms: 0, ..ComfyConfig::default() }).await;
    for (name, graph) in json_fixture("standard_graphs_api.json").as_object().unwrap() {
        let (status, answer) = client.post("/prompt", json!({"prompt": graph})).await;
        assert_eq!((status, &answer["node_errors"]), (200, &json!({})), "{name}: {answer}");
        client.post("/interrupt", "").await;
        client.post("/queue", json!({"clear": true})).await;
    }
}

#[tokio::test]
async fn the_catalogue_lists_models_and_unknown_things_are_answered_as_recorded() {
    let (_sim, client) = start(ComfyConfig::default()).await;
    let (_, one) = client.get("/object_info/CheckpointLoaderSimple").await;
    let listed = &one["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0];
    assert_eq!(listed, &client.get("/models/checkpoints").await.1);
    assert!(listed.as_array().unwrap().len() > 3);
    assert_eq!(client.get("/object_info/NoSuchNode").await, (200, json!({})));
    assert_eq!(client.get("/models/nosuchfolder").await, (404, json!("")));
    assert_eq!(client.get("/nosuchroute").await, (404, json!("")));
    assert_eq!(client.get("/jobs").await, (404, json!("")));
    assert_eq!(client.get("/interrupt").await, (404, json!("")));
    assert_eq!(client.get("/history?max_items=abc").await.0, 500);
    let put = client.http.put(format!("{}/prompt", client.base)).send().await.unwrap();
    assert_eq!((put.status().as_u16(), put.text().await.unwrap().as_str()), (405, "405: Method Not Allowed"));
}

#[tokio::test]
async fn jobs_are_listed_and_cancelled_as_recorded() {
    let mut config = recorded("0.33.0");
    config.run_ms = 60_000;
    let (_sim, client) = start(config).await;
    let mut socket = client.socket("c").await;
    let running = client.submit(&sampler_graph(1, 40, "j"), "c").await;
    socket.until(|e| e["type"] == "executing" && e["data"]["node"] == "3").await;
    let pending = client.submit(&image_graph(1, "j"), "c").await;
    let (_, list) = client.get("/api/jobs?status=pending,in_progress").await;
    assert_eq!(list["pagination"], json!({"offset": 0, "limit": null, "total": 2, "has_more": false}));
    let cancel = async |id: &str| client.post(&format!("/api/jobs/{id}/cancel"), "").await.1;
    assert_eq!(cancel(&pending).await, json!({"cancelled": true}));
    assert_eq!(client.get(&format!("/api/jobs/{pending}")).await, (404, json!({"error": "Job not found"})));
    assert_eq!(cancel(&running).await, json!({"cancelled": true}));
    socket.until(is_done).await;
    assert_eq!(client.get(&format!("/api/jobs/{running}")).await.1["status"], "cancelled");
    assert_eq!(cancel(&running).await, json!({"cancelled": false}));
    let bad = client.post("/api/jobs/cancel", json!({"job_ids": ["x"]})).await;
    assert_eq!(bad, (400, json!({"error": "job_ids contains invalid id(s)", "invalid_ids": ["x"]})));
    let bogus = client.get("/api/jobs?status=bogus").await;
    let text = "Invalid status value(s): bogus. Valid values: pending, in_progress, completed, failed, cancelled";
    assert_eq!(bogus, (400, json!({"error": text})));
}

#[tokio::test]
async fn the_front_door_asks_for_what_it_was_told() {
    let door = |auth: SimAuth| start(ComfyConfig { auth: Some(auth), ..ComfyConfig::default() });
    let ask = async |client: &Client, name: &str, value: &str| {
        client.http.get(format!("{}/queue", client.base)).header(name, value).send().await.unwrap().status().as_u16()
    };
    let (_a, client) = door(SimAuth::Bearer { token: "t".to_owned() }).await;
    assert_eq!((client.get("/queue").await.0, ask(&client, "Authorization", "Bearer t").await), (401, 200));
    let (_b, client) = door(SimAuth::Basic { username: "u".to_owned(), password: "p".to_owned() }).await;
    assert_eq!((client.get("/queue").await.0, ask(&client, "Authorization", "Basic dTpw").await), (401, 200));
    let (_c, client) = door(SimAuth::Header { name: "X-API-Key".to_owned(), value: "k".to_owned() }).await;
    assert_eq!((client.get("/queue").await.0, ask(&client, "X-API-Key", "k").await), (401, 200));
    let (_d, client) = door(SimAuth::login("$2b$12$x", "s3cret")).await;
    assert_eq!(client.get("/queue").await, (401, json!({"error": "Authentication required."})));
    assert_eq!(client.get("/queue?token=%242b%2412%24x").await.0, 200);
    assert_eq!(ask(&client, "Authorization", "Bearer $2b$12$x").await, 200);
    assert_eq!(ask(&client, "Authorization", "Bearer s3cret").await, 401);
    assert_eq!(ask(&client, "Authorization", "$2b$12$x").await, 500);
    assert_eq!(ask(&client, "Accept", "text/html").await, 302);
    let login =
        client.http.post(format!("{}/login", client.base)).body("username=hub&password=s3cret").send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(ask(&client, "Cookie", &cookie).await, 200);
    let url = format!("{}/ws", client.base.replace("http", "ws"));
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
}

#[tokio::test]
async fn a_guest_is_answered_but_not_obeyed() {
    let auth: SimAuth = "guest:t".parse().unwrap();
    let (_sim, client) = start(ComfyConfig { auth: Some(auth), run_ms: 60_000, ..ComfyConfig::default() }).await;
    let mut socket = client.socket("c").await;
    let id = client.submit(&image_graph(1, "p"), "c").await;
    socket.until(|message| message["type"] == "executing").await;
    assert_eq!(client.post("/interrupt", json!({"prompt_id": id})).await, (200, json!({})));
    assert_eq!(client.get("/prompt").await.1["exec_info"]["queue_remaining"], 1, "it runs on");
    let member = client.http.post(format!("{}/interrupt", client.base)).header("Authorization", "Bearer t");
    let answer = member.json(&json!({"prompt_id": id})).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, ""));
    socket.until(is_done).await;
}

#[tokio::test]
async fn a_token_behind_a_cors_header_counts_only_beside_its_origin() {
    let auth = SimAuth::ComfyLogin {
        token: "t".to_owned(),
        password: "p".to_owned(),
        guest: false,
        cors: Some("https://hub.example".to_owned()),
    };
    let (sim, client) = start(ComfyConfig { auth: Some(auth), ..ComfyConfig::default() }).await;
    let ask = async |origin: Option<&str>| {
        let request = client.http.get(format!("{}/queue", client.base)).header("Authorization", "Bearer t");
        let request = origin.into_iter().fold(request, |request, origin| request.header("Origin", origin));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask(None).await, ask(Some("https://other.example")).await), (401, 401));
    assert_eq!(ask(Some("https://hub.example")).await, 200);
    sim.set_auth(None);
    assert_eq!(ask(None).await, 200);
}

#[test]
fn doors_are_read_from_a_command_line() {
    let door = |text: &str| text.parse::<SimAuth>().unwrap();
    assert_eq!(door("bearer:a:b"), SimAuth::Bearer { token: "a:b".to_owned() });
    assert_eq!(door("basic:u:p:q"), SimAuth::Basic { username: "u".to_owned(), password: "p:q".to_owned() });
    assert_eq!(door("api-key:X-K:v"), SimAuth::Header { name: "X-K".to_owned(), value: "v".to_owned() });
    assert_eq!(door("login:$2b$12$x:pw"), SimAuth::login("$2b$12$x", "pw"));
    for bad in ["", "bearer", "bearer:", "basic:u", "magic:x"] {
        assert!(bad.parse::<SimAuth>().unwrap_err().to_string().contains("bearer:TOKEN"), "{bad}");
    }
}

#[tokio::test]
async fn origins_are_checked_as_recorded() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let own = format!("http://{}", sim.addr());
    for (name, value, status) in [
        ("Origin", "http://evil.example", 403),
        ("Origin", own.as_str(), 200),
        ("Origin", "http://127.0.0.1:1", 403),
        ("Origin", "http://127.0.0.1", 200),
        ("Origin", "null", 200),
        ("Sec-Fetch-Site", "cross-site", 403),
    ] {
        let answer = client.http.get(format!("{}/queue", client.base)).header(name, value).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name}: {value}");
    }
}

#[tokio::test]
async fn bodies_above_the_limit_and_prefixes() {
    let config = ComfyConfig { max_upload_bytes: 1000, path_prefix: Some("gpu1/".to_owned()), ..recorded("0.33.0") };
    let (sim, client) = start(config).await;
    assert!(sim.url().ends_with("/gpu1"));
    let big = "x".repeat(2000);
    assert_eq!(client.post("/prompt", &big).await, (413, json!("Maximum request body size 1000 exceeded.")));
    assert_eq!(upload(&client, "a.png", big.as_bytes(), &[]).await.0, 413);
    assert_eq!(client.get("/api/features").await.1["max_upload_size"], 1000);
    let mut socket = client.socket("c").await;
    client.submit(&image_graph(1, "p"), "c").await;
    socket.until(is_done).await;
    assert_eq!(sim.stats().requests_by_route["POST /prompt"], 2);
    let outside = client.http.get(format!("http://{}/queue", sim.addr())).send().await.unwrap();
    assert_eq!(outside.status(), 404);
}
