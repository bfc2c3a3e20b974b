//! Many jobs queued into a hub whose only server takes none: what each insert takes, and what they all weigh.

use std::{path::Path, time::Instant};

use hub_sim::{ComfyConfig, ComfySim};
use serde_json::json;

use crate::{hub::HubProcess, report};

/// What may be asked of the scene.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct QueueArgs {
    /// Jobs to queue
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    jobs: usize,
}

/// What it came to.
pub(crate) struct QueueFigures {
    /// Jobs queued.
    pub(crate) jobs: usize,
    /// Duration of each insert, in milliseconds, in their order.
    pub(crate) inserts_ms: Vec<f64>,
    /// Resident memory of the hub before the first and after the last, and at its highest, in MB.
    pub(crate) memory_mb: [f64; 3],
}

/// Queues the jobs one after the other by `POST /api/v1/jobs`.
pub(crate) async fn run(binary: &Path, args: &QueueArgs) -> anyhow::Result<()> {
    let sim = ComfySim::start(([127, 0, 0, 1], 0).into(), ComfyConfig::default()).await?;
    let room = (args.jobs + 1).to_string();
    let limits = [("GENIMAGE__QUEUE__MAX", room.as_str()), ("GENIMAGE__QUEUE__MAX_PER_CALLER", room.as_str())];
    let hub = HubProcess::start_with(binary, &limits).await?;
    hub.add_servers(&[sim.url()]).await?;
    hub.patch("/api/v1/servers/sim-0", &json!({ "draining": true })).await?;
    let before = hub.memory_mb("VmRSS")?;
    let mut inserts_ms = Vec::with_capacity(args.jobs);
    for seed in 0..args.jobs {
        let body = json!({ "tool": "generate_image", "arguments": {
            "prompt": format!("a red fox in the snow, number {seed}"), "render_type": "smoke", "seed": seed,
            "enhance": false, "width": 512, "height": 512 } });
        let begun = Instant::now();
        let answer = hub.post("/api/v1/jobs", &body).await?;
        inserts_ms.push(begun.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(answer["state"] == "queued", "the job is not queued: {answer}");
    }
    let memory_mb = [before, hub.memory_mb("VmRSS")?, hub.memory_mb("VmHWM")?];
    anyhow::ensure!(sim.stats().prompts_received == 0, "the server took work");
    report::queue(&QueueFigures { jobs: args.jobs, inserts_ms, memory_mb });
    hub.stop().map(drop)
}
