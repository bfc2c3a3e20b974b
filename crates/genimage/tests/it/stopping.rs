//! The end of a hub in two stages.

use std::{process::Command, time::Duration, time::Instant};

use hub_sim::{ComfyConfig, ComfySim};
use serde_json::json;

use crate::{
    bed::any_port,
    hub::{Hub, serve},
};

/// Kept on a busy machine, and twice of it is less than the job takes and far less than the hub waits for it.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_ends_at_once_and_the_job_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let sim = ComfySim::start(any_port(), ComfyConfig { run_ms: 30_000, ..ComfyConfig::default() }).await.unwrap();
    let mut command = serve(folder.path());
    command.env("GENIMAGE__SERVER__SHUTDOWN_GRACE_S", "60");
    let mut hub = Hub::run(command);
    hub.add_server(&sim.url()).await;
    let job = hub.submit(&json!({"prompt": "a fox", "render_type": "smoke"})).await;
    hub.wait_for_state(&job, &["running"]).await;
    let (pid, begun) = (hub.pid().to_string(), Instant::now());
    let signal = || assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    signal();
    // The first stage: it takes nothing new, and waits for what runs.
    let answers = async || {
        // Connections may still be made, and are left unanswered.
        let request = hub.http.get(format!("{}/livez", hub.url)).timeout(Duration::from_secs(2));
        request.send().await.is_ok()
    };
    while answers().await {
        assert!(begun.elapsed() < SOON, "it still takes requests");
    }
    assert!(hub.lives(), "it waits for what runs");
    signal();
    assert!(hub.ends_within(SOON), "the second signal ends it at once");

    let hub = Hub::start(folder.path(), &[]);
    let ended = hub.wait_for_state(&job, &["succeeded", "failed"]).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(sim.stats().prompts_received, 1, "it was found again, not run again");
}
