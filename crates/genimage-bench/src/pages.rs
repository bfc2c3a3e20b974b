//! `genimage-bench pages`: what the pages of a hub cost that has been in use for long.
//!
//! Stores many jobs, styles and servers, then opens a page of every kind that links lead to,
//! as a browser would; weighs the first visit; and tells what open live pages cost while many jobs run.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod live;
#[path = "../../hub-web/tests/it/places.rs"]
mod places;

use std::{
    collections::{BTreeMap, BTreeSet},
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
use hub_store::Store;
use reqwest::header;
use serde_json::json;

use self::{
    live::RUNNING,
    places::{kind_of, own_page},
};
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
/// Pages of older jobs and pictures that are gone through before a deep one is read.
const DEPTH: usize = 25;
/// Pages that no link leads to, and lists that are narrowed.
const BESIDES: [&str; 14] = [
    "/start",
    "/configuration",
    "/jobs?q=lighthouse",
    "/jobs?state=failed",
    "/jobs?state=cancelled&q=lighthouse",
    "/gallery?q=quokka",
    "/gallery?q=no-such-words",
    "/gallery?q=lighthouse&style=oil&tool=describe_image",
    "/gallery?tool=describe_image",
    "/gallery?favourites=on",
    "/styles?q=0999",
    "/styles?page=5",
    "/statistics?days=90",
    "/playground?tool=upscale_image",
];

/// What to measure on.
#[derive(Debug, Args)]
pub(crate) struct PagesArgs {
    /// Jobs to store first
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    rows: u32,
    /// Styles
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    styles: u32,
    /// Servers: simulated ones
    #[arg(long, default_value_t = 200, value_name = "N")]
    servers: usize,
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
    // They stay until the hub is gone: it would tell of each that it is down.
    let _sims = live::servers(&hub, args.servers.max(RUNNING), for_each).await?;
    let client = reqwest::Client::builder().build()?;
    let paths = kinds(&client, hub.base()).await?;
    let mut missed = Vec::new();
    println!("| page | p50 ms | p99 ms | kB, compressed |");
    println!("|---|---|---|---|");
    for (shown, path) in &paths {
        let (load, bytes) = read(&client, hub.base(), path).await?;
        let (p50, p99, kilobytes) = (load.percentile_ms(0.5), load.percentile_ms(0.99), bytes as f64 / 1000.0);
        println!("| {shown} | {p50:.1} | {p99:.1} | {kilobytes:.1} |");
        if !(p50 <= P50_MAX_MS && p99 <= P99_MAX_MS) {
            missed.push(format!("{shown} takes {p50:.1} ms, {p99:.1} ms at worst"));
        }
    }
    let first = page(&client, hub.base(), "/").await?;
    let visit = first_visit(&client, hub.base(), &first).await?;
    println!("\nfirst visit, page and assets: {visit:.0} kB (aim: {FIRST_VISIT_MAX_KB:.0} kB)");
    if visit > FIRST_VISIT_MAX_KB {
        missed.push(format!("a first visit loads {visit:.0} kB"));
    }
    for (stream, added) in live::added(&hub, for_each).await? {
        if added > LIVE_MAX {
            missed.push(format!("{stream}, open, adds {:.1} % of a core", added * 100.0));
        }
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

/// One page of each kind that links lead to, narrowed lists, and lists far from their beginning: by what they are.
async fn kinds(client: &reqwest::Client, base: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found: BTreeMap<String, String> =
        BESIDES.iter().map(|path| ((*path).to_owned(), (*path).to_owned())).collect();
    let mut ahead = vec!["/".to_owned()];
    while let Some(path) = ahead.pop() {
        let kind = kind_of(&path);
        if found.contains_key(&kind) || is_file(&path) {
            continue;
        }
        let text = page(client, base, &path).await.with_context(|| path.clone())?.text;
        ahead.extend(links(&text));
        found.insert(kind, path);
    }
    for list in ["/jobs", "/gallery"] {
        let mut path = list.to_owned();
        for _ in 0..DEPTH {
            let text = page(client, base, &path).await?.text;
            let older = links(&text).find(|link| link.starts_with(list) && link.contains("cursor="));
            path = older.with_context(|| format!("{path} leads to no older ones"))?;
        }
        found.insert(format!("{list}, {DEPTH} pages on"), path);
    }
    let newest: Vec<String> =
        links(&page(client, base, "/jobs").await?.text).filter(|link| link.starts_with("/jobs/job_")).take(2).collect();
    let [one, other] = newest.as_slice() else { anyhow::bail!("no jobs are listed") };
    let id = |path: &str| path.trim_start_matches("/jobs/").to_owned();
    found.insert("/compare".to_owned(), format!("/compare?job={}&job={}", id(one), id(other)));
    Ok(found)
}

/// Whether a link leads to something that is saved instead of shown.
fn is_file(path: &str) -> bool {
    [".csv", ".json", ".zip", "download", "/export"].iter().any(|mark| path.contains(mark))
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
    // Templates write some characters of values as references.
    let html = html.replace("&#x2f;", "/").replace("&amp;", "&");
    let targets = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next().and_then(own_page));
    targets.collect::<Vec<_>>().into_iter()
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
