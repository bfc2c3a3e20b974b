//! The hub killed in the middle, and what it finds when it comes back.

use std::time::{Duration, Instant};

use hub_sim::{ComfyConfig, ComfySim};
use serde_json::json;

use crate::{
    data,
    hub::{Hub, PATIENCE},
};

async fn sim(run_ms: u64) -> ComfySim {
    let config = ComfyConfig { run_ms, load_ms: 0, ..ComfyConfig::default() };
    ComfySim::start(([127, 0, 0, 1], 0).into(), config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_the_hubs_death_and_runs_once() {
    let folder = tempfile::tempdir().unwrap();
    let sim = sim(1500).await;
    let hub = Hub::start(folder.path(), &[]);
    hub.add_server(&sim.url()).await;
    let running = hub.submit(&json!({ "prompt": "a red fox", "render_type": "smoke", "seed": 1 })).await;
    let waiting = hub.submit(&json!({ "prompt": "a blue fox", "render_type": "smoke", "seed": 2 })).await;
    hub.wait_for_state(&running, &["running"]).await;
    hub.kill();

    let hub = Hub::start(folder.path(), &[]);
    for job in [&running, &waiting] {
        let ended = hub.wait_for_state(job, &["succeeded", "failed", "cancelled", "expired"]).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(ended["images"].as_array().unwrap().len(), 1);
    }
    assert_eq!(sim.stats().executed.len(), 2, "each prompt runs once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_told_to_stop_ends_in_time_with_a_job_running() {
    let folder = tempfile::tempdir().unwrap();
    let sim = sim(30_000).await;
    let hub = Hub::start(folder.path(), &[]);
    hub.add_server(&sim.url()).await;
    let job = hub.submit(&json!({ "prompt": "a slow fox", "render_type": "smoke" })).await;
    hub.wait_for_state(&job, &["running"]).await;
    let took = hub.terminate();
    assert!(took.as_secs() < 10, "{took:?}");

    let hub = Hub::start(folder.path(), &[]);
    let found = hub.get(&format!("/api/v1/jobs/{job}")).await;
    assert!(["assigned", "running"].contains(&found["state"].as_str().unwrap()), "{found}");
    assert_eq!(sim.stats().prompts_received, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_ends_well_leaves_its_database_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let sim = sim(0).await;
    let hub = Hub::start(folder.path(), &[]);
    hub.add_server(&sim.url()).await;
    let job = hub.submit(&json!({ "prompt": "a fox", "render_type": "smoke" })).await;
    hub.wait_for_state(&job, &["succeeded"]).await;
    hub.terminate();

    assert!(!folder.path().join("hub.db-wal").exists(), "what was written last stands beside the file");
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("hub.db"), copy.path().join("hub.db")).unwrap();
    let hub = Hub::start(copy.path(), &[]);
    assert_eq!(hub.get(&format!("/api/v1/jobs/{job}")).await["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_hub_was_writing_is_removed_and_nothing_that_may_be_being_written() {
    let folder = tempfile::tempdir().unwrap();
    Hub::start(folder.path(), &[]).terminate();
    let shelf = folder.path().join("objects").join("45");
    std::fs::create_dir_all(&shelf).unwrap();
    let [old, new] = ["a.png#1", "b.png#1"].map(|name| shelf.join(name));
    std::fs::write(&old, b"x").unwrap();
    data::age_half_written(folder.path());
    std::fs::write(&new, b"x").unwrap();
    let _hub = Hub::start(folder.path(), &[]);
    let begun = Instant::now();
    while old.exists() {
        assert!(begun.elapsed() < PATIENCE, "it is not removed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(new.exists());
}
