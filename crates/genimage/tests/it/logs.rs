//! What the log says of one job, for programs that read it.

use std::fs;

use hub_sim::{ComfyConfig, ComfySim};
use serde_json::{Value, json};

use crate::{
    bed::any_port,
    hub::{Hub, serve},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_log_in_json_is_json_and_those_about_a_job_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = ComfySim::start(any_port(), ComfyConfig { run_ms: 20, ..ComfyConfig::default() }).await.unwrap();
    let mut command = serve(folder.path());
    // Nobody listens there: the prompt is not enhanced, which the planner tells.
    command.env("OLLAMA_API_URL", "http://127.0.0.1:1").env("GENIMAGE__LOGGING__FORMAT", "json");
    let hub = Hub::run_logged(command, &log);
    hub.add_server(&server.url()).await;
    let job = hub.submit(&json!({ "prompt": "a fox", "render_type": "smoke", "enhance": true })).await;
    hub.wait_for_state(&job, &["succeeded"]).await;
    hub.terminate();

    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
    for told in ["a prompt is used as it was given", "job succeeded"] {
        let line = lines.iter().find(|line| line["message"] == told).unwrap_or_else(|| panic!("no `{told}`: {text}"));
        assert_eq!(line["job"], job.as_str(), "{line}");
    }
}
