//! The hub dies while it takes a prompt that waits behind a late one back for an idle server: nothing is lost, and
//! nothing runs twice.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use hub_sim::{ComfyConfig, ComfySim, Fault, Outcome};
use serde_json::{Value, json};

use crate::{
    data,
    hub::{Hub, PATIENCE, serve},
};

/// Every step of taking a prompt back: the delete on its server, where it is after that, and the write.
const STEPS: [&str; 4] = ["give-back", "queue", "history:3", "return"];
/// Deaths at the same time.
const PARALLEL: usize = 4;
/// Times the usual run: late enough for the one behind it to be taken back, soon over for the test.
const LATE: f64 = 80.0;

fn fox(words: &str) -> Value {
    json!({ "prompt": words, "render_type": "sd15", "styles": [], "enhance": false })
}

async fn server(url: &str, name: &str) -> ComfySim {
    let listen = url.parse().unwrap();
    ComfySim::start(listen, ComfyConfig { run_ms: 100, ..ComfyConfig::default() }).await.expect(name)
}

async fn drain(hub: &Hub, draining: bool) {
    let url = format!("{}/api/v1/servers/idle", hub.url);
    let answer = hub.http.patch(url).json(&json!({ "draining": draining })).send().await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
}

/// What was submitted before the hub died.
async fn put_to_work(hub: &Hub, late: &ComfySim) -> [String; 4] {
    // What a run takes is known, so that the late one is late and not just unknown.
    let mut jobs = Vec::new();
    for words in ["a fox", "an owl"] {
        let job = hub.submit(&fox(words)).await;
        hub.wait_for_state(&job, &["succeeded"]).await;
        jobs.push(job);
    }
    late.inject(Fault::Slow { factor: LATE }.containing("a late fox"));
    let slow = hub.submit(&fox("a late fox")).await;
    hub.wait_for_state(&slow, &["running"]).await;
    let staged = hub.submit(&fox("a staged fox")).await;
    let begun = Instant::now();
    while late.stats().prompts_received < 4 {
        assert!(begun.elapsed() < PATIENCE, "the second one is not staged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    jobs.extend([slow, staged]);
    jobs.try_into().unwrap()
}

async fn dies_while_it_takes_back(place: &str, template: &Path) {
    let (late, idle) = (server("127.0.0.1:0", "late").await, server("127.0.0.1:0", "idle").await);
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(template).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let command = || {
        let mut command = serve(folder.path());
        command.env("COMFYUI_API_URL", late.url()).env("GENIMAGE__SERVERS__PROBE_INTERVAL_S", "1");
        command
    };
    let mut dying = command();
    dying.env("GENIMAGE_CRASH_AT", place);
    let mut hub = Hub::run(dying);
    let added = json!({ "name": "idle", "base_url": idle.url(), "draining": true });
    assert_eq!(hub.post("/api/v1/servers", &added).await.0, 201);
    let jobs = put_to_work(&hub, &late).await;
    drain(&hub, false).await;
    let begun = Instant::now();
    while hub.lives() {
        assert!(begun.elapsed() < PATIENCE, "{place} was never reached");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    data::age_half_written(folder.path());

    let hub = Hub::run(command());
    for job in &jobs {
        let job = hub.wait_for_state(job, &["succeeded", "failed", "expired"]).await;
        assert_eq!((&job["state"], job["images"].as_array().map(Vec::len)), (&json!("succeeded"), Some(1)), "{place}");
    }
    let empty = |servers: &Value| {
        let servers = servers["servers"].as_array().unwrap();
        servers.len() == 2 && servers.iter().all(|server| server["queue_remaining"] == 0)
    };
    hub.wait_for("/api/v1/servers", empty).await;
    let runs = [&late, &idle].map(|sim| sim.stats().executed);
    let good = runs.iter().flatten().filter(|run| run.outcome == Outcome::Success).count();
    assert_eq!(good, jobs.len(), "{place}: each runs to a good end once");
    hub.terminate();
    data::assert_agrees(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_dies_while_it_takes_a_prompt_back_ends_its_job_once() {
    let template = tempfile::tempdir().unwrap();
    Hub::start(template.path(), &[]).terminate();
    let places = STEPS.into_iter().flat_map(|step| {
        let (step, time) = step.split_once(':').unwrap_or((step, "1"));
        ["before", "after"].map(|side| format!("{step}.{side}:{time}"))
    });
    stream::iter(places)
        .map(|place| {
            let template = template.path();
            async move { dies_while_it_takes_back(&place, template).await }
        })
        .buffer_unordered(PARALLEL)
        .collect::<Vec<()>>()
        .await;
}
