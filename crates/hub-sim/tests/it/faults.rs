//! Each fault does what its description says.

use std::time::Duration;

use hub_sim::{DieAt, Fault, Outcome, Script};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, brief, image_graph, is_done, recorded, sampler_graph, start};

/// Waits until the condition holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn kill_cuts_sockets_and_refuses_and_restart_forgets_all_but_files() {
    let (mut sim, client) = start(recorded("0.33.0")).await;
    let mut socket = client.socket("c").await;
    let id = client.submit(&image_graph(1, "k/a"), "c").await;
    socket.until(is_done).await;
    sim.kill().await;
    assert_eq!(socket.next().await, Value::Null);
    assert!(client.http.get(format!("{}/prompt", client.base)).send().await.is_err());
    sim.restart().await;
    assert_eq!(client.get(&format!("/history/{id}")).await, (200, json!({})));
    assert_eq!(client.bytes("/view?filename=a_00001_.png&subfolder=k").await[1..4], *b"PNG");
    let (_, answer) = client.post("/prompt", json!({"prompt": image_graph(2, "k/a")})).await;
    assert_eq!(answer["number"], 0);
}

#[tokio::test]
async fn the_process_dies_at_the_chosen_moment() {
    for at in [DieAt::BeforeAccept, DieAt::AfterAccept, DieAt::MidRun, DieAt::BeforeHistory] {
        let (mut sim, client) = start(recorded("0.33.0")).await;
        sim.inject(Fault::Die { at });
        let body = json!({"prompt": image_graph(1, "d")}).to_string();
        let answer = client.http.post(format!("{}/prompt", client.base)).body(body).send().await;
        assert_eq!(answer.is_err(), at == DieAt::BeforeAccept, "{at:?}");
        eventually("the process is dead", || !sim.is_up()).await;
        assert_eq!(sim.stats().executed.len(), 0, "{at:?}");
        sim.restart().await;
        client.submit(&image_graph(1, "d"), "c").await;
        eventually("the next prompt runs", || sim.stats().executed.len() == 1).await;
    }
}

#[tokio::test]
async fn restart_empty_is_back_at_once_without_the_prompt() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut socket = client.socket("c").await;
    sim.inject(Fault::RestartEmpty);
    let id = client.submit(&sampler_graph(1, 4, "r"), "c").await;
    while socket.next().await != Value::Null {}
    let again = client.base.clone() + "/queue";
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let queue = loop {
        if let Ok(answer) = client.http.get(&again).send().await {
            break answer.text().await.unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(queue, "{\"queue_running\": [], \"queue_pending\": []}");
    assert_eq!(client.get(&format!("/history/{id}")).await.1, json!({}));
}

#[tokio::test]
async fn a_hung_job_ignores_interrupts_until_healed() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut socket = client.socket("c").await;
    sim.inject(Fault::Hang);
    let id = client.submit(&image_graph(1, "h"), "c").await;
    socket.until(|e| e["type"] == "executing").await;
    client.post("/interrupt", "").await;
    let (_, queue) = client.get("/queue").await;
    assert_eq!(queue["queue_running"][0][1], json!(id));
    sim.clear_faults();
    socket.until(is_done).await;
}

#[tokio::test]
async fn a_held_job_stands_still_half_way_until_healed_or_interrupted() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut socket = client.socket("c").await;
    sim.inject(Fault::Hold.containing("held"));
    for (seed, healed) in [(1, true), (2, false)] {
        let id = client.submit(&sampler_graph(seed, 6, "held"), "c").await;
        socket.until(|event| event["type"] == "progress_state" && event.to_string().contains("\"value\":2")).await;
        let (_, queue) = client.get("/queue").await;
        assert_eq!(queue["queue_running"][0][1], json!(id), "it ends by itself");
        if healed {
            sim.clear_faults();
            sim.inject(Fault::Hold.containing("held"));
        } else {
            client.post("/interrupt", "").await;
        }
        let status = if healed { "success" } else { "error" };
        assert_eq!(client.finished(&id).await["status"]["status_str"], status);
    }
}

#[tokio::test]
async fn a_zombie_keeps_prompts_pending_while_http_is_healthy() {
    let (sim, client) = start(recorded("0.33.0")).await;
    sim.inject(Fault::ZombieWorker);
    let id = client.submit(&image_graph(1, "z"), "c").await;
    let (_, queue) = client.get("/queue").await;
    assert_eq!((queue["queue_running"].clone(), &queue["queue_pending"][0][1]), (json!([]), &json!(id)));
    sim.clear_faults();
    assert_eq!(client.finished(&id).await["status"]["status_str"], "success");
}

#[tokio::test]
async fn a_dropped_socket_does_not_stop_the_run() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut socket = client.socket("c").await;
    sim.inject(Fault::DropSocket);
    let id = client.submit(&sampler_graph(1, 4, "s"), "c").await;
    while socket.next().await != Value::Null {}
    assert_eq!(client.finished(&id).await["status"]["status_str"], "success");
}

#[tokio::test]
async fn a_deaf_socket_hears_nothing_and_a_new_one_hears_again() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut deaf = client.socket("c").await;
    deaf.next().await;
    sim.inject(Fault::Deaf);
    let id = client.submit(&image_graph(1, "s"), "c").await;
    client.finished(&id).await;
    let silence = tokio::time::timeout(Duration::from_millis(50), deaf.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    let mut fresh = client.socket("c").await;
    client.submit(&image_graph(2, "s"), "c").await;
    fresh.until(is_done).await;
}

#[tokio::test]
async fn prompts_can_fail_with_out_of_memory_by_count_and_by_text() {
    let (sim, client) = start(recorded("0.33.0")).await;
    sim.inject(Fault::out_of_memory().next(1));
    sim.inject(Fault::out_of_memory().containing("unlucky"));
    let mut outcomes = Vec::new();
    for (seed, prefix) in [(1, "a"), (2, "b"), (3, "unlucky")] {
        let id = client.submit(&sampler_graph(seed, 2, prefix), "c").await;
        outcomes.push(client.finished(&id).await["status"].clone());
    }
    let last = |s: &Value| s["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(outcomes[1]["status_str"], "success");
    for failed in [&outcomes[0], &outcomes[2]] {
        assert_eq!(last(failed)[0], "execution_error");
        assert_eq!(last(failed)[1]["exception_type"], "torch.OutOfMemoryError");
        assert_eq!(last(failed)[1]["node_id"], "3");
    }
    let ends: Vec<Outcome> = sim.stats().executed.iter().map(|e| e.outcome).collect();
    assert_eq!(ends, [Outcome::Error, Outcome::Success, Outcome::Error]);
}

#[tokio::test]
async fn a_missing_model_leaves_the_lists_and_is_refused() {
    let (sim, client) = start(recorded("0.33.0")).await;
    sim.inject(Fault::MissingModel { name: "tiny_sd15.safetensors".to_owned() });
    assert_eq!(client.get("/models/checkpoints").await.1, json!([]));
    let (status, answer) = client.post("/prompt", json!({"prompt": sampler_graph(1, 1, "m")})).await;
    assert_eq!((status, &answer["node_errors"]["4"]["errors"][0]["type"]), (400, &json!("value_not_in_list")));
    sim.clear_faults();
    client.submit(&sampler_graph(1, 1, "m"), "c").await;
}

#[tokio::test]
async fn answers_lie_while_the_prompt_runs() {
    let (sim, client) = start(recorded("0.33.0")).await;
    sim.inject(Fault::QueuedBut500);
    let id = "4be6ae3c-3ac7-4cf5-8a4c-0f7bd4f8a0b1";
    let (status, _) = client.post("/prompt", json!({"prompt": image_graph(1, "x"), "prompt_id": id})).await;
    assert_eq!(status, 500);
    client.finished(id).await;

    sim.inject(Fault::AcceptThenTimeout);
    let id = "4be6ae3c-3ac7-4cf5-8a4c-0f7bd4f8a0b2";
    let body = json!({"prompt": image_graph(2, "x"), "prompt_id": id}).to_string();
    let waiting =
        client.http.post(format!("{}/prompt", client.base)).body(body).timeout(Duration::from_millis(200)).send();
    assert!(waiting.await.unwrap_err().is_timeout());
    client.finished(id).await;

    sim.inject(Fault::NodeErrors200);
    let (status, answer) = client.post("/prompt", json!({"prompt": image_graph(3, "x")})).await;
    assert_eq!(status, 200);
    assert!(!answer["node_errors"].as_object().unwrap().is_empty());
    client.finished(answer["prompt_id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn routes_can_answer_anything() {
    let (sim, client) = start(recorded("0.33.0")).await;
    sim.inject(Fault::Http { route: "GET /history".to_owned(), status: 502, body: "bad gateway".to_owned() });
    assert_eq!(client.get("/history/x").await, (502, json!("bad gateway")));
    assert_eq!(client.get("/history/x").await, (200, json!({})));
    sim.inject(Fault::HtmlAnswers.always());
    let (status, page) = client.get("/queue").await;
    assert!(status == 200 && page.as_str().unwrap().starts_with("<!DOCTYPE html>"));
    sim.clear_faults();
    assert_eq!(client.get("/prompt").await.1, json!({"exec_info": {"queue_remaining": 0}}));
}

#[tokio::test]
async fn files_can_vanish_and_strangers_can_interrupt() {
    let (sim, client) = start(recorded("0.33.0")).await;
    sim.inject(Fault::ViewMissing);
    let id = client.submit(&image_graph(1, "v"), "c").await;
    let file = client.finished(&id).await["outputs"]["4"]["images"][0]["filename"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&format!("/view?filename={file}")).await.0, 404);
    sim.inject(Fault::Interrupted);
    let id = client.submit(&sampler_graph(1, 4, "v"), "c").await;
    let status = client.finished(&id).await["status"].clone();
    assert_eq!(status["messages"][2][0], "execution_interrupted");
}

#[tokio::test]
async fn unknown_events_are_mixed_in() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut socket = client.socket("c").await;
    sim.inject(Fault::UnknownEvents);
    client.submit(&image_graph(1, "u"), "c").await;
    let events: Vec<String> = socket.until(is_done).await.iter().map(brief).collect();
    for wanted in ["crystools.monitor", "unheard_of", "bin77"] {
        assert!(events.iter().any(|e| e == wanted), "{wanted} in {events:?}");
    }
}

#[tokio::test]
async fn models_are_loaded_once_per_set() {
    let mut config = recorded("0.33.0");
    config.models.checkpoints.push("other.safetensors".to_owned());
    let (sim, client) = start(config).await;
    for (seed, checkpoint) in [(1, "tiny_sd15"), (2, "tiny_sd15"), (3, "other"), (4, "tiny_sd15")] {
        let mut graph = sampler_graph(seed, 1, "l");
        graph["4"]["inputs"]["ckpt_name"] = json!(format!("{checkpoint}.safetensors"));
        let id = client.submit(&graph, "c").await;
        client.finished(&id).await;
    }
    assert_eq!((sim.stats().model_loads, sim.stats().model_swaps), (3, 2));
    assert_eq!(sim.stats().executed.len(), 4);
}

#[tokio::test]
async fn loading_and_slowness_take_the_time_they_say() {
    let mut config = recorded("0.33.0");
    (config.run_ms, config.load_ms) = (40, 60);
    let (sim, client) = start(config).await;
    sim.inject(Fault::Slow { factor: 3.0 }.containing("sluggish"));
    for (seed, prefix) in [(1, "first"), (2, "warm"), (3, "sluggish")] {
        let id = client.submit(&sampler_graph(seed, 4, prefix), "c").await;
        client.finished(&id).await;
    }
    let stats = sim.stats();
    let took: Vec<u64> = stats.executed.iter().map(|e| e.finished_at_ms - e.started_at_ms).collect();
    // Lower bounds only: a busy machine may take longer, never shorter (1 ms for rounding).
    assert!(took[0] >= 99 && took[1] >= 39 && took[2] >= 119, "{took:?}");
}

#[tokio::test]
async fn no_time_at_all_still_ends_in_history() {
    let mut config = recorded("0.33.0");
    (config.run_ms, config.history_gap_ms) = (0, 0);
    let (_sim, client) = start(config).await;
    let id = client.submit(&sampler_graph(1, 20, "n"), "c").await;
    assert_eq!(client.finished(&id).await["status"]["status_str"], "success");
}

#[test]
fn a_script_reads_config_and_faults() {
    let text = r#"
        [server]
        run_ms = 5
        version = "0.3.64"
        [server.models]
        checkpoints = ["dream.safetensors"]
        [server.auth]
        kind = "basic"
        username = "a"
        password = "b"
        [[fault]]
        kind = "execution_error"
        when = { next = 2, skip = 1 }
        exception_type = "RuntimeError"
        message = "boom"
        [[fault]]
        kind = "die"
        at = "mid_run"
        [[fault]]
        kind = "slow"
        when = { containing = "fox" }
        factor = 3.0
        [[fault]]
        kind = "hang"
        when = "always"
    "#;
    let script = Script::parse(text).unwrap();
    assert_eq!(script.server.run_ms, 5);
    assert_eq!(script.server.models.checkpoints, ["dream.safetensors"]);
    assert_eq!(script.server.history_gap_ms, 2);
    assert_eq!(script.fault[1], Fault::Die { at: DieAt::MidRun }.into());
    assert_eq!(script.fault[2], Fault::Slow { factor: 3.0 }.containing("fox"));
    assert_eq!(script.fault[3], Fault::Hang.always());
    assert!(Script::parse("[server]\nrun_mss = 1").is_err());
}

#[tokio::test]
async fn a_frozen_server_answers_nothing_works_on_and_answers_when_it_thaws() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut socket = client.socket("c").await;
    let id = client.submit(&image_graph(1, "f"), "c").await;
    sim.freeze();
    let asked = client.http.get(format!("{}/history/{id}", client.base)).timeout(Duration::from_millis(200)).send();
    assert!(asked.await.unwrap_err().is_timeout());
    eventually("it ran all the same", || sim.stats().executed.len() == 1).await;
    sim.thaw();
    socket.until(is_done).await;
    assert_eq!(client.get(&format!("/history/{id}")).await.1[&id]["status"]["status_str"], "success");
}

#[tokio::test]
async fn all_sockets_can_be_dropped_at_once() {
    let (sim, client) = start(recorded("0.33.0")).await;
    let mut sockets = [client.socket("a").await, client.socket("b").await];
    sim.drop_sockets();
    for socket in &mut sockets {
        while !socket.next().await.is_null() {}
    }
    assert_eq!(client.get("/prompt").await.0, 200);
}
