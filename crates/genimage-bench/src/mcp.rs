//! `genimage-bench mcp`: what many agents cost the MCP edge.
//!
//! Three scenes on one hub in a process of its own: `tools/list` by keep-alive clients in each shape that clients
//! speak; the same list while many clients stream the progress of running jobs; and memory per idle session.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use futures_util::future::try_join_all;
use hub_sim::{ComfyConfig, ComfySim};
use reqwest::{Response, header};
use serde_json::{Value, json};

use crate::{hub::HubProcess, load::Load};

const CURRENT: &str = "2026-07-28";
const OLDER: &str = "2025-11-25";
/// Callers at once where the rate is measured.
const RATE_CALLERS: usize = 16;
/// Pause between two questions while streams run: latency is measured, not load.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest wait for all streams to have said something.
const STREAMS_LIMIT: Duration = Duration::from_mins(2);

/// Measures the MCP edge.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// Clients that stream progress
    #[arg(long, default_value_t = 500)]
    clients: usize,
    /// Jobs that run meanwhile, each on a server of its own
    #[arg(long, default_value_t = 64)]
    jobs: usize,
    /// Idle sessions whose memory is measured
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
}

/// How a client asks for the list.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// No MCP headers.
    Plain,
    /// 2026-07-28: every request stands alone.
    Current,
    /// Before: within a session.
    Session,
}

/// A client of the hub's `/mcp`.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    endpoint: String,
    session: Option<String>,
}

/// Plays the scenes and prints what they cost.
///
/// # Errors
/// When a request fails: then no figure means anything.
pub(crate) async fn run(args: &McpArgs, binary: &Path, for_each: Duration) -> anyhow::Result<()> {
    let hub = HubProcess::start(binary).await?;
    let sims = servers(args.jobs, for_each).await?;
    let urls: Vec<String> = sims.iter().map(ComfySim::url).collect();
    hub.with_servers(&urls, 64).await?;
    println!("| tools/list | p50 ms, 1 caller | p99 ms | calls/s, {RATE_CALLERS} callers | hub CPU ms/call |");
    println!("|---|---|---|---|---|");
    for shape in [Shape::Plain, Shape::Current, Shape::Session] {
        list_figures(&hub, shape, for_each).await?;
    }
    streams(args, &hub, for_each).await?;
    idle_sessions(args, &hub).await?;
    hub.stop().map(drop)
}

/// Servers whose pictures take long enough for the streams to be measured.
async fn servers(count: usize, for_each: Duration) -> anyhow::Result<Vec<ComfySim>> {
    let run_ms = u64::try_from((for_each * 4 + Duration::from_secs(30)).as_millis())?;
    let mut sims = Vec::with_capacity(count);
    for _ in 0..count {
        let config = ComfyConfig { run_ms, load_ms: 0, preview: false, ..ComfyConfig::default() };
        sims.push(ComfySim::start(([127, 0, 0, 1], 0).into(), config).await?);
    }
    Ok(sims)
}

async fn list_figures(hub: &HubProcess, shape: Shape, for_each: Duration) -> anyhow::Result<()> {
    let caller = Caller::begin(hub, shape).await?;
    let alone = lists(std::slice::from_ref(&caller), shape, for_each, Duration::ZERO).await?;
    let many = try_join_all((0..RATE_CALLERS).map(|_| Caller::begin(hub, shape))).await?;
    let cpu_before = hub.cpu()?;
    let together = lists(&many, shape, for_each, Duration::ZERO).await?;
    let cpu = hub.cpu()?.saturating_sub(cpu_before);
    println!(
        "| {shape:?} | {:.2} | {:.2} | {:.0} | {:.3} |",
        alone.percentile_ms(0.5),
        alone.percentile_ms(0.99),
        together.rate(),
        cpu.as_secs_f64() * 1000.0 / together.jobs().max(1) as f64,
    );
    Ok(())
}

/// Has each caller ask for the list again and again.
async fn lists(callers: &[Caller], shape: Shape, for_each: Duration, pause: Duration) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let each = callers.iter().map(|caller| async move {
        let mut latencies = Vec::new();
        while begun.elapsed() < for_each {
            let asked = Instant::now();
            let text = caller.ask(shape, "tools/list", json!({}), None).await?.text().await?;
            latencies.push(asked.elapsed());
            anyhow::ensure!(text.contains("generate_image"), "no list: {text}");
            tokio::time::sleep(pause).await;
        }
        anyhow::Ok(latencies)
    });
    let latencies = try_join_all(each).await?.concat();
    Ok(Load::of(latencies, begun.elapsed()))
}

/// `tools/list` while many clients stream the progress of running jobs.
async fn streams(args: &McpArgs, hub: &HubProcess, for_each: Duration) -> anyhow::Result<()> {
    let caller = Caller::begin(hub, Shape::Current).await?;
    let jobs = try_join_all((0..args.jobs).map(|number| caller.start_job(number))).await?;
    let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut begun = Vec::with_capacity(args.clients);
    for number in 0..args.clients {
        let (job, caller) = (jobs[number % jobs.len()].clone(), caller.clone());
        let (stop, heard, first) = (stop.clone(), heard.clone(), Arc::new(AtomicBool::new(false)));
        let watch = Watch { stop, heard, first: first.clone() };
        begun.push((first, tokio::spawn(async move { caller.stream(&job, number, &watch).await })));
    }
    let waited = Instant::now();
    while begun.iter().any(|(first, _)| !first.load(Ordering::Relaxed)) {
        anyhow::ensure!(waited.elapsed() < STREAMS_LIMIT, "not all clients hear progress");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (heard_before, cpu_before) = (heard.load(Ordering::Relaxed), hub.cpu()?);
    let load = lists(&[Caller::begin(hub, Shape::Plain).await?], Shape::Plain, for_each, PAUSE).await?;
    let messages = heard.load(Ordering::Relaxed) - heard_before;
    let cpu = hub.cpu()?.saturating_sub(cpu_before).as_secs_f64() / for_each.as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for (_, client) in begun {
        client.abort();
        // Aborted on purpose; a client that failed before would have shown above.
        let _ = client.await;
    }
    println!();
    println!(
        "{} clients streaming {} running jobs: {:.0} messages/s, {:.0} % CPU; tools/list meanwhile p50 {:.2} ms, p99 {:.2} ms",
        args.clients,
        jobs.len(),
        messages as f64 / for_each.as_secs_f64(),
        cpu * 100.0,
        load.percentile_ms(0.5),
        load.percentile_ms(0.99),
    );
    for job in &jobs {
        let arguments = json!({"name": "cancel_job", "arguments": {"job_id": job}});
        caller.ask(Shape::Plain, "tools/call", arguments, None).await?.bytes().await?;
    }
    Ok(())
}

/// Memory of sessions that say nothing.
async fn idle_sessions(args: &McpArgs, hub: &HubProcess) -> anyhow::Result<()> {
    // Some first, so that what grows once for all has grown.
    try_join_all((0..args.sessions / 10).map(|_| Caller::begin(hub, Shape::Session))).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = hub.memory_mb("VmRSS")?;
    let mut sessions = 0;
    while sessions < args.sessions {
        let batch = 50.min(args.sessions - sessions);
        try_join_all((0..batch).map(|_| Caller::begin(hub, Shape::Session))).await?;
        sessions += batch;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = hub.memory_mb("VmRSS")? - before;
    println!("{sessions} idle sessions: {:.1} kB each", grown * 1024.0 / sessions as f64);
    Ok(())
}

/// What a streaming client shares with whoever measures.
struct Watch {
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicU64>,
    /// It heard something.
    first: Arc<AtomicBool>,
}

impl Caller {
    /// A client with connections of its own; one that speaks in sessions has begun one.
    async fn begin(hub: &HubProcess, shape: Shape) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(1024).timeout(Duration::from_mins(10)).build()?;
        let mut caller = Self { http, endpoint: hub.endpoint(), session: None };
        if let Shape::Session = shape {
            let about = json!({"name": "bench", "version": "1"});
            let params = json!({"protocolVersion": OLDER, "capabilities": {}, "clientInfo": about});
            let begun = caller.ask(shape, "initialize", params, None).await?;
            let session = begun.headers().get("mcp-session-id").context("a session id")?.to_str()?.to_owned();
            begun.bytes().await?;
            caller.session = Some(session);
            let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            caller.post(shape, "notifications/initialized", None, &note).await?.bytes().await?;
        }
        Ok(caller)
    }

    async fn ask(
        &self,
        shape: Shape,
        method: &str,
        mut params: Value,
        token: Option<&str>,
    ) -> anyhow::Result<Response> {
        if let Shape::Current = shape {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": CURRENT,
                "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            if let Some(token) = token {
                params["_meta"]["progressToken"] = json!(token);
            }
        }
        let name = params["name"].as_str().map(str::to_owned);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.post(shape, method, name.as_deref(), &body).await?;
        anyhow::ensure!(answer.status().is_success(), "{method}: {}", answer.text().await?);
        Ok(answer)
    }

    async fn post(&self, shape: Shape, method: &str, name: Option<&str>, body: &Value) -> anyhow::Result<Response> {
        let mut request = self.http.post(&self.endpoint).json(body);
        if !matches!(shape, Shape::Plain) {
            request = request.header(header::ACCEPT, "application/json, text/event-stream");
        }
        if let Shape::Current = shape {
            request = request.header("mcp-protocol-version", CURRENT).header("mcp-method", method);
            if let Some(name) = name {
                request = request.header("mcp-name", name);
            }
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session).header("mcp-protocol-version", OLDER);
        }
        Ok(request.send().await?)
    }

    /// Starts a job and answers its id.
    async fn start_job(&self, number: usize) -> anyhow::Result<String> {
        let arguments = json!({
            "prompt": "a red fox", "render_type": "sd15", "seed": number, "enhance": false,
            "styles": [], "width": 256, "height": 256, "wait_s": 0,
        });
        let params = json!({"name": "generate_image", "arguments": arguments});
        let answer: Value = self.ask(Shape::Plain, "tools/call", params, None).await?.json().await?;
        let job = answer["result"]["_meta"]["io.genimage/result"]["job"].as_str();
        job.map(str::to_owned).with_context(|| format!("no job: {answer}"))
    }

    /// Streams a job's progress, again and again until it is told to stop.
    async fn stream(&self, job: &str, number: usize, watch: &Watch) -> anyhow::Result<()> {
        while !watch.stop.load(Ordering::Relaxed) {
            let params = json!({"name": "get_job", "arguments": {"job_id": job, "wait_s": 600, "inline": "none"}});
            let token = format!("p{number}");
            let mut answer = self.ask(Shape::Current, "tools/call", params, Some(&token)).await?;
            while let Some(chunk) = answer.chunk().await? {
                let told = chunk.windows(22).filter(|part| *part == b"notifications/progress").count();
                watch.heard.fetch_add(told as u64, Ordering::Relaxed);
                if told > 0 {
                    watch.first.store(true, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }
}
