//! `genimage-bench`: what the hub costs beside the GPU work, as ratios taken in one run.
//!
//! The same simulated ComfyUI servers are driven twice: by a correct direct client (event socket first,
//! submit, history, view) and through a hub in a process of its own, over its `/mcp`. Absolute figures
//! depend on the machine; the ratios are what counts. The subcommands play single scenes: pools in virtual time, and
//! through a real hub lost servers, a long queue, and models that have to be loaded.

mod direct;
mod failover;
mod filling;
mod hub;
mod lists;
mod load;
mod mcp;
mod pages;
mod pool;
mod queue;
mod report;
mod soak;
mod swaps;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use hub_sim::{ComfyConfig, ComfySim};

use crate::{direct::Direct, hub::HubProcess, load::Load, report::Row};

/// Measures the hub against a direct client.
#[derive(Debug, Parser)]
#[command(name = "genimage-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The `genimage` binary [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    genimage: Option<PathBuf>,
    /// Seconds of load for each figure
    #[arg(long, default_value_t = 5, value_name = "S")]
    seconds: u64,
    /// Only the scenes of this run time on the simulated server, in milliseconds
    #[arg(long, value_name = "MS")]
    run_ms: Option<u64>,
    /// Only the scenes of this many callers
    #[arg(long, value_name = "N")]
    callers: Option<usize>,
    /// Side of the picture, in pixels
    #[arg(long, default_value_t = 256, value_name = "PX")]
    side: u32,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Simulates pools in virtual time and compares scheduling policies
    Pool(pool::PoolArgs),
    /// Measures the pages of the jobs' list, filter by filter
    Lists(lists::ListsArgs),
    /// Measures the MCP edge: tools/list, many streaming clients, idle sessions
    Mcp(mcp::McpArgs),
    /// Measures the pages of a hub with many jobs, styles and servers
    Pages(pages::PagesArgs),
    /// Kills and hangs servers at work: time until their jobs run elsewhere
    Failover(failover::FailoverArgs),
    /// Queues many jobs while no server takes any: time of an insert, and memory
    Queue(queue::QueueArgs),
    /// Twenty thousand jobs at full rate: whether memory stays flat and nothing is left behind
    Soak(soak::SoakArgs),
    /// Three servers, three models, eighteen jobs through a hub: time, and loads of models
    Swaps(swaps::SwapsArgs),
}

/// Run time on the simulated server, in milliseconds, and callers at once.
const SCENES: [(u64, usize); 6] = [(200, 1), (200, 8), (200, 64), (0, 1), (0, 8), (0, 64)];

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.command {
        Some(Command::Pool(args)) => {
            pool::run(args);
            return Ok(());
        }
        Some(Command::Lists(args)) => {
            return tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(lists::run(args));
        }
        // These need a hub.
        Some(
            Command::Mcp(_)
            | Command::Pages(_)
            | Command::Failover(_)
            | Command::Queue(_)
            | Command::Soak(_)
            | Command::Swaps(_),
        )
        | None => {}
    }
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let binary = match args.genimage {
        Some(binary) => binary,
        None => std::env::current_exe()?.with_file_name("genimage"),
    };
    anyhow::ensure!(binary.is_file(), "{} does not exist; build it: cargo build --release", binary.display());
    let for_each = Duration::from_secs(args.seconds);
    match &args.command {
        Some(Command::Mcp(mcp)) => return mcp::run(mcp, &binary, for_each).await,
        Some(Command::Pages(args)) => return pages::run(args, &binary, for_each).await,
        Some(Command::Failover(args)) => return failover::run(&binary, args).await,
        Some(Command::Queue(args)) => return queue::run(&binary, args).await,
        Some(Command::Soak(args)) => return soak::run(&binary, args).await,
        Some(Command::Swaps(args)) => return swaps::run(&binary, args).await,
        Some(Command::Pool(_) | Command::Lists(_)) | None => {}
    }

    let mut rows = Vec::new();
    let mut folders = Vec::new();
    let asked = |&&(run_ms, callers): &&(u64, usize)| {
        args.run_ms.is_none_or(|only| only == run_ms) && args.callers.is_none_or(|only| only == callers)
    };
    for &(run_ms, callers) in SCENES.iter().filter(asked) {
        let sims = servers(callers, run_ms).await?;
        let urls: Vec<String> = sims.iter().map(ComfySim::url).collect();
        let direct = Direct::connect(&urls, args.side).await?;
        // Interleaved, so that a noisy neighbour hits both alike.
        let mut by_direct = load::run(&direct, callers, for_each / 2).await?;
        let hub = HubProcess::start(&binary).await?;
        let through = hub.with_servers(&urls, args.side).await?;
        let cpu_before = hub.cpu()?;
        let by_hub = load::run(&through, callers, for_each).await?;
        let cpu = hub.cpu()?.saturating_sub(cpu_before);
        by_direct.merge(load::run(&direct, callers, for_each / 2).await?);
        let peak = hub.memory_mb("VmHWM")?;
        folders.push(hub.stop()?);
        rows.push(Row { run_ms, callers, direct: by_direct, hub: by_hub, cpu, peak_mb: peak });
        report::line(rows.last().context("a row was just added")?);
    }
    report::table(&rows);
    let start = hub::start_figures(&binary).await?;
    report::start(&start);
    let burst = burst(&binary, args.side).await?;
    report::burst(&burst);
    Ok(())
}

/// As many servers as callers, at most 64 and, where runs take no time, 8: a real server runs one
/// prompt at a time.
async fn servers(callers: usize, run_ms: u64) -> anyhow::Result<Vec<ComfySim>> {
    let count = if run_ms == 0 { callers.min(8) } else { callers };
    let mut sims = Vec::with_capacity(count);
    for _ in 0..count {
        let config = ComfyConfig { run_ms, load_ms: 0, preview: false, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await?);
    }
    Ok(sims)
}

/// 64 calls at once on one server.
async fn burst(binary: &std::path::Path, side: u32) -> anyhow::Result<Load> {
    let sims = servers(1, 20).await?;
    let hub = HubProcess::start(binary).await?;
    let through = hub.with_servers(&[sims[0].url()], side).await?;
    let load = load::once(&through, 64).await?;
    hub.stop()?;
    Ok(load)
}
