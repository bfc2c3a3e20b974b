//! A hub whose log nobody reads any more: a log that cannot be written must never cost work.

use std::time::Duration;

use hub_sim::{ComfyConfig, ComfySim};
use serde_json::json;

use crate::hub::{Hub, serve};

/// What the hub promises for its end.
const END_LIMIT: Duration = Duration::from_secs(10);

async fn works_unheard(log_format: &str) {
    let folder = tempfile::tempdir().unwrap();
    let config = ComfyConfig { run_ms: 20, ..ComfyConfig::default() };
    let sim = ComfySim::start(([127, 0, 0, 1], 0).into(), config).await.unwrap();
    let mut command = serve(folder.path());
    command.env("RUST_LOG", "debug").env("GENIMAGE__LOGGING__FORMAT", log_format);
    let hub = Hub::run_unheard(command);
    hub.add_server(&sim.url()).await;
    // Each of these is logged in tasks of its own: the session, the planner, the attempt, the edge.
    for seed in 0..3 {
        let job = hub.submit(&json!({ "prompt": "a fox", "render_type": "smoke", "seed": seed })).await;
        hub.wait_for_state(&job, &["succeeded"]).await;
    }
    let took = hub.terminate();
    assert!(took < END_LIMIT, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_log_is_not_read_any_more_works_and_ends_well() {
    works_unheard("pretty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_a_log_in_json() {
    works_unheard("json").await;
}
