//! Three servers, three models, eighteen jobs in any order, through a real hub: how long it takes, and how often
//! models are loaded.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hub_sim::{ComfyConfig, ComfySim};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

use crate::{hub::HubProcess, report};

const MODELS: [&str; 3] =
    ["v1-5-pruned-emaonly-fp16.safetensors", "sd_xl_base_1.0.safetensors", "512-inpainting-ema.safetensors"];
const JOBS: usize = 18;
const LOAD_MS: u64 = 1000;
const RUN_MS: u64 = 200;
/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_mins(2);
/// Time between two looks at the jobs.
const LOOK: Duration = Duration::from_millis(5);

/// What may be asked of the scene.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SwapsArgs {
    /// Orders of the jobs, each with a fresh hub
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u64,
}

/// What it came to.
pub(crate) struct SwapsFigures {
    /// From the first submit to the last end, in seconds, by round.
    pub(crate) makespan_s: Vec<f64>,
    /// Loads of models on all servers, by round.
    pub(crate) loads: Vec<u64>,
    /// What no schedule could beat, in seconds.
    pub(crate) bound_s: f64,
}

/// Plays the rounds.
pub(crate) async fn run(binary: &Path, args: &SwapsArgs) -> anyhow::Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "a few seconds in milliseconds")]
    let bound_s = (LOAD_MS + RUN_MS * (JOBS / MODELS.len()) as u64) as f64 / 1000.0;
    let mut figures = SwapsFigures { makespan_s: Vec::new(), loads: Vec::new(), bound_s };
    for seed in 0..args.rounds {
        let (makespan_s, loads) = round(binary, seed).await?;
        figures.makespan_s.push(makespan_s);
        figures.loads.push(loads);
    }
    report::swaps(&figures);
    Ok(())
}

async fn round(binary: &Path, seed: u64) -> anyhow::Result<(f64, u64)> {
    let mut sims = Vec::new();
    for _ in MODELS {
        let config = ComfyConfig { run_ms: RUN_MS, load_ms: LOAD_MS, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await?);
    }
    let hub = HubProcess::start(binary).await?;
    let urls: Vec<String> = sims.iter().map(ComfySim::url).collect();
    hub.add_servers(&urls).await?;
    for (at, model) in MODELS.iter().enumerate() {
        add_render_type(&hub, &format!("model-{at}"), model).await?;
    }
    let mut order: Vec<usize> = (0..JOBS).map(|job| job % MODELS.len()).collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    let begun = Instant::now();
    let mut jobs = Vec::with_capacity(JOBS);
    for (seed, model) in order.into_iter().enumerate() {
        let body = json!({ "tool": "generate_image", "arguments": {
            "prompt": "a red fox", "render_type": format!("model-{model}"), "seed": seed, "enhance": false,
            "width": 64, "height": 64 } });
        let answer = hub.post("/api/v1/jobs", &body).await?;
        jobs.push(answer["id"].as_str().with_context(|| format!("no job: {answer}"))?.to_owned());
    }
    for job in jobs {
        until_succeeded(&hub, &job, begun).await?;
    }
    let makespan_s = begun.elapsed().as_secs_f64();
    let loads = sims.iter().map(|sim| sim.stats().model_loads).sum();
    hub.stop()?;
    Ok((makespan_s, loads))
}

/// The shipped graph for SD 1.5 with another checkpoint.
async fn add_render_type(hub: &HubProcess, name: &str, model: &str) -> anyhow::Result<()> {
    let mut graph: Value = serde_json::from_str(include_str!("../../../workflows/txt2img-sd15.json"))?;
    for node in graph.as_object_mut().context("the graph is an object")?.values_mut() {
        if let Some(checkpoint) = node["inputs"].get_mut("ckpt_name") {
            *checkpoint = json!(model);
        }
    }
    hub.post("/api/v1/workflows", &json!({ "name": name, "graph": graph })).await?;
    hub.post("/api/v1/render-types", &json!({ "name": name, "workflow": name, "mode": "generate" })).await?;
    Ok(())
}

async fn until_succeeded(hub: &HubProcess, job: &str, begun: Instant) -> anyhow::Result<()> {
    loop {
        let told = hub.get(&format!("/api/v1/jobs/{job}")).await?;
        match told["state"].as_str() {
            Some("succeeded") => return Ok(()),
            Some("failed" | "cancelled" | "expired") => anyhow::bail!("a job failed: {told}"),
            _ => anyhow::ensure!(begun.elapsed() < PATIENCE, "the job does not end: {told}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
