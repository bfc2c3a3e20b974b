//! What open live pages cost while many jobs run.
#![expect(clippy::print_stdout, reason = "the figures are what the program is for")]

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hub_sim::{ComfyConfig, ComfySim};
use serde_json::json;

use crate::hub::HubProcess;

/// Servers that run a job each while a live page is open.
pub(super) const RUNNING: usize = 64;
/// Longest wait for them to be at work.
const RUNNING_LIMIT: Duration = Duration::from_mins(1);
/// The streams of the lists that redraw themselves.
const STREAMS: [&str; 3] = ["/live", "/jobs/live", "/servers/live"];

/// Simulated servers that run a job for as long as all is measured, and send frames of it.
pub(super) async fn servers(hub: &HubProcess, many: usize, for_each: Duration) -> anyhow::Result<Vec<ComfySim>> {
    let mut sims = Vec::with_capacity(many);
    // Each stream, one job's page, and none.
    let readings = u32::try_from(STREAMS.len() + 3)?;
    let run_ms = u64::try_from((for_each * readings + Duration::from_secs(20)).as_millis())?;
    for _ in 0..many {
        let config = ComfyConfig { run_ms, load_ms: 0, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await?);
    }
    let urls: Vec<String> = sims.iter().map(ComfySim::url).collect();
    hub.add_servers(&urls).await?;
    Ok(sims)
}

/// What it costs that somebody watches a page while many jobs run, as a share of a core, by the page's stream.
pub(super) async fn added(hub: &HubProcess, for_each: Duration) -> anyhow::Result<Vec<(String, f64)>> {
    for seed in 0..RUNNING {
        let arguments =
            json!({ "prompt": "a red fox", "render_type": "smoke", "seed": seed, "width": 64, "height": 64 });
        hub.post("/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await?;
    }
    until_all_run(hub).await?;
    let alone = cpu_share(hub, for_each).await?;
    println!("\n{RUNNING} running jobs: {:.1} % of a core", alone * 100.0);
    let running = hub.get("/api/v1/jobs?state=running&limit=1").await?;
    let one = running["jobs"][0]["id"].as_str().context("no job runs")?;
    let of_one = format!("/jobs/{one}/live");
    let mut added = Vec::with_capacity(STREAMS.len() + 1);
    for path in STREAMS.into_iter().chain([of_one.as_str()]) {
        let url = format!("{}{path}", hub.base());
        let stream = reqwest::Client::builder().build()?.get(url).send().await?.error_for_status()?;
        let reader = tokio::spawn(async move { stream.bytes().await });
        let watched = cpu_share(hub, for_each).await?;
        reader.abort();
        println!("with {path} open: {:.1} %, {:+.1} %", watched * 100.0, (watched - alone) * 100.0);
        added.push((path.to_owned(), watched - alone));
    }
    Ok(added)
}

async fn until_all_run(hub: &HubProcess) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let running = hub.get("/api/v1/jobs?state=running&limit=100").await?;
        let running = running["jobs"].as_array().map_or(0, Vec::len);
        if running == RUNNING {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < RUNNING_LIMIT, "{running} of {RUNNING} jobs run");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The hub's processor time per time.
async fn cpu_share(hub: &HubProcess, for_each: Duration) -> anyhow::Result<f64> {
    let before = hub.cpu()?;
    tokio::time::sleep(for_each).await;
    Ok(hub.cpu()?.saturating_sub(before).as_secs_f64() / for_each.as_secs_f64())
}
