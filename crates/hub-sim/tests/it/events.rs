//! Event sequences against the recordings: every event in order, with node states and steps.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{
    Client, brief, image_graph, is_done, json_fixture, recorded, recorded_events, sampler_graph, start,
};

const VERSIONS: [&str; 2] = ["0.33.0", "0.3.64"];

fn briefs(events: &[Value]) -> Vec<String> {
    events.iter().map(brief).collect()
}

/// Key sets by event type; the keys of single nodes and files count too.
fn keys(events: &[Value]) -> BTreeSet<String> {
    events
        .iter()
        .filter(|e| e.get("type").is_some())
        .map(|e| {
            let names =
                |v: &Value| v.as_object().map(|m| m.keys().cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
            let node = e["data"]["nodes"].as_object().and_then(|m| m.values().next()).map(names);
            let file = e["data"]["output"]["images"].get(0).map(names);
            format!("{} {:?} {node:?} {file:?}", e["type"], names(&e["data"]))
        })
        .collect()
}

async fn replay(version: &str, name: &str, client_id: &str) {
    let recording = json_fixture(&format!("v{version}/{name}.json"));
    let (_sim, client) = start(recorded(version)).await;
    let mut socket = client.socket(client_id).await;
    // Greeted first, so that the status of the post comes second as in the recording.
    let mut got = vec![socket.next().await];
    let (status, answer) = client.post("/prompt", &recording["body"]).await;
    assert_eq!(status, 200, "{answer}");
    got.extend(socket.until(is_done).await);
    let want = recorded_events(&recording);
    assert_eq!(briefs(&got), briefs(&want), "{version} {name}");
    assert_eq!(keys(&got), keys(&want), "{version} {name}");
    same_history(&client, &answer, &recording).await;
}

/// History has the same shape as recorded.
async fn same_history(client: &Client, answer: &Value, recording: &Value) {
    let entry = client.finished(answer["prompt_id"].as_str().unwrap()).await;
    let want = recording["history"].as_object().unwrap().values().next().unwrap();
    let shape = |v: &Value| {
        let names = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let messages: Vec<(Value, BTreeSet<String>)> =
            v["status"]["messages"].as_array().unwrap().iter().map(|m| (m[0].clone(), names(&m[1]))).collect();
        (
            names(v),
            names(&v["status"]),
            messages,
            names(&v["outputs"]),
            v["meta"].clone(),
            v["status"]["status_str"].clone(),
            v["status"]["completed"].clone(),
        )
    };
    assert_eq!(shape(&entry), shape(want));
    assert_eq!(entry["prompt"][2], want["prompt"][2]);
    assert_eq!(entry["prompt"][4], want["prompt"][4]);
}

#[tokio::test]
async fn a_fresh_image_graph_runs_as_recorded() {
    for version in VERSIONS {
        replay(version, "ws_success_image", "cid-a").await;
    }
}

#[tokio::test]
async fn a_fresh_txt2img_runs_as_recorded() {
    for version in VERSIONS {
        replay(version, "ws_success_txt2img", "cid-a").await;
    }
}

#[tokio::test]
async fn the_same_graph_again_comes_from_the_cache_with_the_same_file() {
    for version in VERSIONS {
        let recording = json_fixture(&format!("v{version}/ws_cached_rerun.json"));
        let (_sim, client) = start(recorded(version)).await;
        let mut socket = client.socket("cid-a").await;
        let first = client.submit(&image_graph(7, "ws/c"), "cid-a").await;
        socket.until(is_done).await;
        let second = client.submit(&image_graph(7, "ws/c"), "cid-a").await;
        let got = socket.until(is_done).await;
        let want = recorded_events(&recording);
        assert_eq!(briefs(&got), briefs(&want), "{version}");
        assert_eq!(keys(&got), keys(&want), "{version}");
        assert_eq!(client.finished(&first).await["outputs"], client.finished(&second).await["outputs"]);
    }
}

#[tokio::test]
async fn a_node_that_raises_is_told_as_recorded() {
    for version in VERSIONS {
        let recording = json_fixture(&format!("v{version}/ws_node_error.json"));
        let (_sim, client) = start(recorded(version)).await;
        let mut socket = client.socket("cid-e").await;
        let form = reqwest::multipart::Form::new()
            .part("image", reqwest::multipart::Part::bytes(b"garbage".to_vec()).file_name("will_break.png"));
        client.http.post(format!("{}/upload/image", client.base)).multipart(form).send().await.unwrap();
        let mut got = vec![socket.next().await];
        let (_, answer) = client.post("/prompt", &recording["body"]).await;
        got.extend(socket.until(is_done).await);
        let mut want = recorded_events(&recording);
        // The order of the two independent outputs is free on the real server too.
        let tail = |events: &[Value]| events.iter().rev().take(3).map(brief).collect::<Vec<_>>();
        assert_eq!(tail(&got), tail(&want), "{version}");
        assert_eq!(keys(&got), keys(&want), "{version}");
        let error =
            |events: &mut Vec<Value>| events.iter().find(|e| e["type"] == "execution_error").unwrap()["data"].clone();
        let (got, want) = (error(&mut got), error(&mut want));
        for name in ["node_id", "node_type", "exception_type", "exception_message", "current_inputs"] {
            assert_eq!(got[name], want[name], "{version} {name}");
        }
        same_history(&client, &answer, &recording).await;
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_run_as_recorded() {
    let recording = json_fixture("v0.33.0/ws_interrupt_running.json");
    let mut config = recorded("0.33.0");
    config.run_ms = 60_000;
    let (sim, client) = start(config).await;
    let mut socket = client.socket("cid-i").await;
    let ran = recording["history"].as_object().unwrap().values().next().unwrap()["prompt"][2].clone();
    let (_, answer) = client.post("/prompt", json!({"prompt": ran, "client_id": "cid-i"})).await;
    let mut got = socket.until(|e| e["type"] == "executing" && e["data"]["node"] == "3").await;
    let (status, body) = client.post("/interrupt", json!({})).await;
    assert_eq!((status, body), (200, json!("")));
    got.extend(socket.until(is_done).await);
    let want = recorded_events(&recording);
    let tail = |events: &[Value]| events.iter().rev().take(3).map(brief).collect::<Vec<_>>();
    assert_eq!(tail(&got), tail(&want));
    let keys_of = |events: &[Value]| {
        keys(&events.iter().filter(|e| e["type"] == "execution_interrupted").cloned().collect::<Vec<_>>())
    };
    assert_eq!(keys_of(&got), keys_of(&want));
    same_history(&client, &answer, &recording).await;
    assert_eq!(sim.stats().interrupts, 1);
}

#[tokio::test]
async fn the_queue_runs_in_the_recorded_order() {
    let recording = json_fixture("v0.33.0/ws_queue_of_three.json");
    let mut config = recorded("0.33.0");
    config.run_ms = 60_000;
    let (sim, client) = start(config).await;
    // The recorded server had numbered 59 prompts before; bad ones count too.
    for _ in 0..59 {
        client.post("/prompt", json!({})).await;
    }
    let mut socket = client.socket("cid").await;
    let running = client.submit(&sampler_graph(1, 6, "q/a"), "cid").await;
    socket.until(|e| e["type"] == "executing").await;
    let mut ids = vec![running.clone()];
    for (colour, extra) in
        [(1, json!({})), (2, json!({})), (3, json!({})), (4, json!({"front": true})), (5, json!({"number": -1000.5}))]
    {
        let mut body = json!({"prompt": image_graph(colour, "q/b"), "client_id": "cid"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let (_, answer) = client.post("/prompt", body).await;
        assert_eq!(answer["number"], recording["posted"][ids.len()]["number"]);
        ids.push(answer["prompt_id"].as_str().unwrap().to_owned());
    }
    let (_, queue) = client.get("/queue").await;
    let numbers = |list: &Value| list.as_array().unwrap().iter().map(|i| i[0].clone()).collect::<Vec<_>>();
    assert_eq!(numbers(&queue["queue_pending"]), numbers(&recording["queue_numbers"]));
    assert_eq!(client.get("/prompt").await.1["exec_info"]["queue_remaining"], 6);
    client.post("/queue", json!({"delete": [ids[2], "does-not-exist"]})).await;
    client.post("/interrupt", json!({"prompt_id": running})).await;
    socket.until(is_done).await;
    // What is left are image graphs: four prompts of a minute each, ended early too.
    let mut order = vec![running];
    for _ in 0..4 {
        let start = socket.until(|e| e["type"] == "execution_start").await;
        order.push(start.last().unwrap()["data"]["prompt_id"].as_str().unwrap().to_owned());
        client.post("/interrupt", "").await;
        socket.until(is_done).await;
    }
    let place = |id: &Value, list: &[Value]| list.iter().position(|p| &p["prompt_id"] == id).unwrap();
    let want: Vec<String> = recording["execution_order"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| ids[place(id, recording["posted"].as_array().unwrap())].clone())
        .collect();
    assert_eq!(order, want);
    assert_eq!(client.get(&format!("/history/{}", ids[2])).await.1, json!({}));
    assert_eq!(sim.stats().executed.len(), 5);
}

#[tokio::test]
async fn previews_come_as_the_client_asked() {
    for (name, flags) in [("ws_preview_metadata", true), ("ws_preview_legacy", false)] {
        let recording = json_fixture(&format!("v0.33.0/{name}.json"));
        let (_sim, client) = start(recorded("0.33.0")).await;
        let mut socket = client.socket("cid-p").await;
        socket.next().await;
        if flags {
            socket.say(json!({"type": "feature_flags", "data": {"supports_preview_metadata": true}})).await;
            let answer = socket.next().await;
            assert_eq!(answer["data"]["supports_preview_metadata"], true);
        }
        client.submit(&sampler_graph(1, 3, "ws/prev"), "cid-p").await;
        socket.until(is_done).await;
        let body = json!({"prompt": sampler_graph(2, 3, "ws/prev"), "client_id": "cid-p", "extra_data": {"preview_method": "latent2rgb"}});
        client.post("/prompt", body).await;
        let got = socket.until(is_done).await;
        let sampling = |events: &[Value]| {
            let all = briefs(events);
            let from = all.iter().position(|e| e == "executing(3)").unwrap();
            let to = all.iter().position(|e| e == "executing(8)").unwrap();
            events[from..to].to_vec()
        };
        let (got, want) = (sampling(&got), sampling(&recorded_events(&recording)));
        let types = |events: &[Value]| {
            events.iter().map(|e| brief(e).split('(').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(types(&got), types(&want), "{name}");
        let frame = |events: &[Value]| events.iter().find(|e| e.get("binary").is_some()).unwrap()["binary"].clone();
        let (got, want) = (frame(&got), frame(&want));
        assert_eq!(got["head"], json!([0xff, 0xd8]));
        let names = |v: &Value| v["metadata"].as_object().map(|m| m.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(names(&got), names(&want));
    }
}

#[tokio::test]
async fn a_new_socket_with_the_same_id_hears_the_current_node_without_prompt_id() {
    let mut config = recorded("0.33.0");
    config.run_ms = 60_000;
    let (_sim, client) = start(config).await;
    let mut first = client.socket("cid-r").await;
    client.submit(&sampler_graph(1, 14, "r"), "cid-r").await;
    first.until(|e| e["type"] == "executing" && e["data"]["node"] == "3").await;
    drop(first);
    let mut second = client.socket("cid-r").await;
    let hello = second.next().await;
    assert_eq!(
        (&hello["data"]["sid"], &hello["data"]["status"]["exec_info"]["queue_remaining"]),
        (&json!("cid-r"), &json!(1))
    );
    assert_eq!(second.next().await, json!({"type": "executing", "data": {"node": "3"}}));
}

#[tokio::test]
async fn a_prompt_without_client_sends_progress_to_everybody_and_nothing_else() {
    let (_sim, client) = start(recorded("0.33.0")).await;
    let mut observer = client.socket("observer").await;
    client.post("/prompt", json!({"prompt": sampler_graph(1, 2, "n")})).await;
    let queue_is_empty = |e: &Value| e["type"] == "status" && e["data"]["status"]["exec_info"]["queue_remaining"] == 0;
    observer.until(queue_is_empty).await;
    let events = observer.until(queue_is_empty).await;
    let types: BTreeSet<String> = events.iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["progress", "progress_state", "status"].map(str::to_owned).into());
}

#[tokio::test]
async fn another_prefix_reruns_only_the_save_node() {
    let (_sim, client) = start(recorded("0.33.0")).await;
    let mut names = Vec::new();
    let mut cached = Vec::new();
    for prefix in ["jobs/a1/img", "jobs/a2/img", "jobs/a2/img"] {
        let id = client.submit(&sampler_graph(5, 2, prefix), "c").await;
        let entry = client.finished(&id).await;
        cached.push(entry["status"]["messages"][1][1]["nodes"].clone());
        names.push(entry["outputs"]["9"]["images"][0].clone());
    }
    assert_eq!(cached, [json!([]), json!(["3", "4", "5", "6", "7", "8"]), json!(["3", "4", "5", "6", "7", "8", "9"])]);
    assert_eq!(names[1], json!({"filename": "img_00001_.png", "subfolder": "jobs/a2", "type": "output"}));
    assert_eq!(names[1], names[2]);
}

#[tokio::test]
async fn the_same_number_and_id_twice_is_a_500_that_runs_and_four_times_kills_the_worker() {
    let mut config = recorded("0.33.0");
    config.run_ms = 60_000;
    let (sim, client) = start(config).await;
    let mut socket = client.socket("c").await;
    client.submit(&sampler_graph(1, 2, "t"), "c").await;
    socket.until(|e| e["type"] == "executing").await;
    let twin =
        |id: &str| json!({"prompt": image_graph(1, "t"), "client_id": "c", "prompt_id": id, "number": 5}).to_string();
    let id = "3de42b99-9af3-498b-a839-bfd807676aeb";
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.post("/prompt", twin(id)).await.0);
    }
    assert_eq!(statuses, [200, 500, 500, 500]);
    client.post("/interrupt", "").await;
    socket.until(is_done).await;
    let (_, queue) = client.get("/queue").await;
    assert_eq!(
        (queue["queue_running"].as_array().unwrap().len(), queue["queue_pending"].as_array().unwrap().len()),
        (0, 4)
    );
    assert_eq!(sim.stats().executed.len(), 1);
}
