//! A server lost in the middle of a run: how long until its job runs elsewhere.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hub_sim::{ComfyConfig, ComfySim, Fault};
use serde_json::{Value, json};

use crate::{hub::HubProcess, report};

/// Far longer than any of this takes.
const PATIENCE: Duration = Duration::from_mins(2);
/// Time between two looks at a job.
const LOOK: Duration = Duration::from_millis(5);
/// A run that does not end by itself.
const RUN_MS: u64 = 600_000;

/// What may be asked of the scene.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FailoverArgs {
    /// Servers lost each way
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Limit after which a server without a sign of progress counts as hung, in seconds
    #[arg(long, default_value_t = 3, value_name = "S")]
    limit_s: u32,
}

/// What it came to, in seconds.
pub(crate) struct FailoverFigures {
    /// From the death of the server to the beginning elsewhere.
    pub(crate) killed: Vec<f64>,
    /// From the beginning of a run that hangs to the beginning elsewhere.
    pub(crate) hung: Vec<f64>,
    /// The limit that hung servers have.
    pub(crate) limit_s: u32,
}

/// Loses servers by death and by hanging, each round with a fresh hub.
pub(crate) async fn run(binary: &Path, args: &FailoverArgs) -> anyhow::Result<()> {
    let mut figures = FailoverFigures { killed: Vec::new(), hung: Vec::new(), limit_s: args.limit_s };
    for _ in 0..args.rounds {
        figures.killed.push(killed(binary).await?);
        figures.hung.push(hung(binary, args.limit_s).await?);
    }
    report::failover(&figures);
    Ok(())
}

async fn killed(binary: &Path) -> anyhow::Result<f64> {
    let (hub, mut sims) = pool(binary).await?;
    let (job, at) = begin(&hub).await?;
    let begun = Instant::now();
    sims[at].kill().await;
    until_running(&hub, &job, 1 - at).await?;
    let took = begun.elapsed().as_secs_f64();
    end(hub, &job).await?;
    Ok(took)
}

async fn hung(binary: &Path, limit_s: u32) -> anyhow::Result<f64> {
    let (hub, sims) = pool(binary).await?;
    for (at, sim) in sims.iter().enumerate() {
        sim.inject(Fault::Hang.always());
        hub.patch(&format!("/api/v1/servers/sim-{at}"), &json!({ "stall_limit_s": limit_s })).await?;
    }
    let (job, at) = begin(&hub).await?;
    let begun = Instant::now();
    until_running(&hub, &job, 1 - at).await?;
    let took = begun.elapsed().as_secs_f64();
    sims.iter().for_each(ComfySim::clear_faults);
    end(hub, &job).await?;
    Ok(took)
}

async fn pool(binary: &Path) -> anyhow::Result<(HubProcess, Vec<ComfySim>)> {
    let mut sims = Vec::new();
    for _ in 0..2 {
        let config = ComfyConfig { run_ms: RUN_MS, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await?);
    }
    let hub = HubProcess::start(binary).await?;
    let urls: Vec<String> = sims.iter().map(ComfySim::url).collect();
    hub.add_servers(&urls).await?;
    Ok((hub, sims))
}

/// Submits a job and waits until it runs; answers its id and the number of its server.
async fn begin(hub: &HubProcess) -> anyhow::Result<(String, usize)> {
    let body = json!({ "tool": "generate_image", "arguments": {
        "prompt": "a red fox", "render_type": "sd15", "width": 256, "height": 256, "enhance": false } });
    let answer = hub.post("/api/v1/jobs", &body).await?;
    let id = answer["id"].as_str().with_context(|| format!("no job: {answer}"))?.to_owned();
    let job = until(hub, &id, |job| job["state"] == "running").await?;
    let name = job["server"].as_str().with_context(|| format!("no server: {job}"))?;
    let at = name.strip_prefix("sim-").context("an odd name")?.parse()?;
    Ok((id, at))
}

async fn until_running(hub: &HubProcess, job: &str, at: usize) -> anyhow::Result<()> {
    let name = format!("sim-{at}");
    until(hub, job, |job| job["state"] == "running" && job["server"] == name.as_str()).await.map(drop)
}

async fn until(hub: &HubProcess, job: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let told = hub.get(&format!("/api/v1/jobs/{job}")).await?;
        if wanted(&told) {
            return Ok(told);
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the job does not get there: {told}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn end(hub: HubProcess, job: &str) -> anyhow::Result<()> {
    hub.delete(&format!("/api/v1/jobs/{job}")).await?;
    hub.stop().map(drop)
}
