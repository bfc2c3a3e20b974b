//! `genimage-bench pages`: what the pages of a hub cost that has been in use for long.
//!
//! Stores many jobs, styles and servers, then opens every page that the navigation links to, and the newest job's,
//! as a browser would; weighs the first visit; and tells what an open live page costs while many jobs run.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;
use hub_core::{
    clock::{Clock as _, MockClock, SharedClock, SystemClock},
    ids::ServerId,
};
use hub_sim::{ComfyConfig, ComfySim};
use hub_store::Store;
use reqwest::header;
use serde_json::json;

use crate::{filling::store_one, hub::HubProcess, load::Load};

/// Readings of each page.
const READINGS: usize = 60;
/// Readings that warm up caches and do not count.
const WARM_UP: usize = 3;
/// What half of a page's readings may take, in milliseconds.
const P50_MAX_MS: f64 = 20.0;
/// What nearly all of them may.
const P99_MAX_MS: f64 = 60.0;
/// What a first visit may load, page and assets together, compressed.
const FIRST_VISIT_MAX_KB: f64 = 150.0;
/// What an open live page may add, as a share of a core.
const LIVE_MAX: f64 = 0.05;
/// Servers that run a job each while the live page is open.
const RUNNING: usize = 64;
/// Longest wait for them to be at work.
const RUNNING_LIMIT: Duration = Duration::from_mins(1);

/// What to measure on.
#[derive(Debug, Args)]
pub(crate) struct PagesArgs {
    /// Jobs to store first
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    rows: u32,
    /// Styles
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    styles: u32,
    /// Servers, all switched off
    #[arg(long, default_value_t = 200, value_name = "N")]
    servers: u32,
}

/// Plays the scenes and prints what they cost.
///
/// # Errors
/// When a page does not come: then no figure means anything. When one is slow, the first visit heavy or the live page dear.
pub(crate) async fn run(args: &PagesArgs, binary: &Path, for_each: Duration) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    fill(folder.path(), args.rows).await?;
    let hub = HubProcess::start_in(binary, folder).await?;
    for n in 0..args.styles {
        let template = "{prompt}, thick brush strokes, warm colours, museum quality";
        let style = json!({ "name": format!("style-{n:04}"), "category": format!("group {}", n % 20), "prompt_template": template });
        hub.post("/api/v1/styles", &style).await?;
    }
    for n in 0..args.servers {
        let server = json!({ "name": format!("gpu-{n:03}"), "base_url": format!("http://127.0.0.1:{}", 20_000 + n), "enabled": false });
        hub.post("/api/v1/servers", &server).await?;
    }
    let client = reqwest::Client::builder().build()?;
    let first = page(&client, hub.base(), "/").await?;
    let mut paths: BTreeSet<String> = links(&first.text).collect();
    let newest = hub.get("/api/v1/jobs?limit=2").await?;
    let id = |at: usize| newest["jobs"][at]["id"].as_str().map(str::to_owned).context("no job is listed");
    let (newest, before) = (id(0)?, id(1)?);
    // Nothing in the frame leads to these.
    paths.extend(["/start", "/configuration"].map(str::to_owned));
    paths.insert(format!("/jobs/{newest}"));
    paths.insert(format!("/compare?job={newest}&job={before}"));
    let mut missed = Vec::new();
    println!("| page | p50 ms | p99 ms | kB, compressed |");
    println!("|---|---|---|---|");
    for path in &paths {
        let (load, bytes) = read(&client, hub.base(), path).await?;
        let shown = path.replace(&newest, "{id}").replace(&before, "{id}");
        let (p50, p99, kilobytes) = (load.percentile_ms(0.5), load.percentile_ms(0.99), bytes as f64 / 1000.0);
        println!("| {shown} | {p50:.1} | {p99:.1} | {kilobytes:.1} |");
        if !(p50 <= P50_MAX_MS && p99 <= P99_MAX_MS) {
            missed.push(format!("{shown} takes {p50:.1} ms, {p99:.1} ms at worst"));
        }
    }
    let visit = first_visit(&client, hub.base(), &first).await?;
    println!("\nfirst visit, page and assets: {visit:.0} kB (aim: {FIRST_VISIT_MAX_KB:.0} kB)");
    if visit > FIRST_VISIT_MAX_KB {
        missed.push(format!("a first visit loads {visit:.0} kB"));
    }
    // They stay until the hub is gone: it would tell of each that it is down.
    let (_sims, added) = live(&hub, for_each).await?;
    if added > LIVE_MAX {
        missed.push(format!("an open live page adds {:.1} % of a core", added * 100.0));
    }
    hub.stop()?;
    anyhow::ensure!(
        missed.is_empty(),
        "beyond the aims ({P50_MAX_MS} ms, {P99_MAX_MS} ms at worst, {FIRST_VISIT_MAX_KB} kB, {} %): {}",
        LIVE_MAX * 100.0,
        missed.join("; ")
    );
    Ok(())
}

/// Readings of one page, and its size as sent.
async fn read(client: &reqwest::Client, base: &str, path: &str) -> anyhow::Result<(Load, usize)> {
    let mut latencies = Vec::with_capacity(READINGS);
    let mut bytes = 0;
    for reading in 0..WARM_UP + READINGS {
        let page = page(client, base, path).await?;
        bytes = page.bytes;
        if reading >= WARM_UP {
            latencies.push(page.took);
        }
    }
    Ok((Load::of(latencies, Duration::from_secs(1)), bytes))
}

async fn fill(folder: &Path, rows: u32) -> anyhow::Result<()> {
    let clock = Arc::new(MockClock::at(SystemClock.now() - TimeDelta::days(30)));
    let url = format!("sqlite://{}", folder.join("hub.db").display());
    let store = Store::open(&url, Arc::clone(&clock) as SharedClock).await?;
    let servers = [ServerId::new(), ServerId::new(), ServerId::new()];
    // The hub takes up what has not ended: leave nothing open.
    for n in (0..rows).filter(|n| n % 40 != 2) {
        clock.advance(TimeDelta::seconds(25));
        store_one(&store, n, &servers).await.with_context(|| format!("job {n}"))?;
    }
    Ok(store.close().await?)
}

struct Page {
    text: String,
    /// As sent, compressed.
    bytes: usize,
    took: Duration,
}

async fn page(client: &reqwest::Client, base: &str, path: &str) -> anyhow::Result<Page> {
    let begun = Instant::now();
    let bytes = sent(client, &format!("{base}{path}"), "gzip, br").await?;
    let took = begun.elapsed();
    // Read once more as text: this client does not decompress.
    let text = String::from_utf8(sent(client, &format!("{base}{path}"), "identity").await?)?;
    Ok(Page { text, bytes: bytes.len(), took })
}

async fn sent(client: &reqwest::Client, url: &str, encoding: &str) -> anyhow::Result<Vec<u8>> {
    let answer = client
        .get(url)
        .header(header::ACCEPT, "text/html")
        .header(header::ACCEPT_ENCODING, encoding)
        .send()
        .await?
        .error_for_status()?;
    Ok(answer.bytes().await?.to_vec())
}

/// Pages of this hub that a page links to.
fn links(html: &str) -> impl Iterator<Item = String> {
    // Templates write a slash that comes from a value as a character reference.
    let html = html.replace("&#x2f;", "/");
    let targets = html.split("href=\"/").skip(1).filter_map(|rest| rest.split('"').next());
    let pages = targets.filter(|target| !target.contains(['?', '#', '.']) && !target.starts_with("jobs/"));
    let pages = pages.map(|target| format!("/{target}"));
    pages.collect::<Vec<_>>().into_iter()
}

/// What a browser loads on its first visit, in kB.
async fn first_visit(client: &reqwest::Client, base: &str, first: &Page) -> anyhow::Result<f64> {
    let assets = first.text.split(['"', '\'']).filter(|part| part.starts_with("/assets/"));
    let assets: BTreeSet<&str> = assets.map(|asset| asset.split('#').next().unwrap_or(asset)).collect();
    let mut bytes = first.bytes;
    for asset in assets {
        bytes += sent(client, &format!("{base}{asset}"), "gzip, br").await?.len();
    }
    Ok(bytes as f64 / 1000.0)
}

/// What it costs that somebody watches the dashboard while many jobs run, as a share of a core; and their servers.
async fn live(hub: &HubProcess, for_each: Duration) -> anyhow::Result<(Vec<ComfySim>, f64)> {
    let mut sims = Vec::with_capacity(RUNNING);
    let run_ms = u64::try_from((for_each * 3 + Duration::from_secs(20)).as_millis())?;
    for _ in 0..RUNNING {
        let config = ComfyConfig { run_ms, load_ms: 0, preview: false, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await?);
    }
    let urls: Vec<String> = sims.iter().map(ComfySim::url).collect();
    hub.add_servers(&urls).await?;
    for seed in 0..RUNNING {
        let arguments =
            json!({ "prompt": "a red fox", "render_type": "smoke", "seed": seed, "width": 64, "height": 64 });
        hub.post("/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await?;
    }
    until_all_run(hub).await?;
    let alone = cpu_share(hub, for_each).await?;
    let stream =
        reqwest::Client::builder().build()?.get(format!("{}/live", hub.base())).send().await?.error_for_status()?;
    let reader = tokio::spawn(async move { stream.bytes().await });
    let watched = cpu_share(hub, for_each).await?;
    reader.abort();
    println!(
        "{RUNNING} running jobs: {:.1} % of a core, with an open live page {:.1} %: {:+.1} % (aim: {} %)",
        alone * 100.0,
        watched * 100.0,
        (watched - alone) * 100.0,
        LIVE_MAX * 100.0
    );
    Ok((sims, watched - alone))
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
