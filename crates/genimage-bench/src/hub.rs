//! The hub as a process of its own, and calls through its `/mcp`.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::Target;

/// Longest start that is waited for.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Time between two looks whether the hub is up.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Clock ticks per second of `/proc/*/stat` (`getconf CLK_TCK` on every Linux of today).
const TICKS_PER_SECOND: f64 = 100.0;

/// A running hub with a data folder of its own.
pub(crate) struct HubProcess {
    child: Child,
    base: String,
    http: reqwest::Client,
    folder: Option<TempDir>,
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        // Already gone after a proper stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a hub takes of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Resident memory, in MB.
    pub(crate) memory_mb: f64,
    /// Open files that are no sockets.
    pub(crate) files: usize,
    /// Open sockets.
    pub(crate) sockets: usize,
    /// Threads.
    pub(crate) threads: usize,
}

impl Usage {
    /// Files, sockets and threads.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [self.files, self.sockets, self.threads]
    }
}

/// What starting costs.
pub(crate) struct StartFigures {
    /// From the start of the process to the first answer, on an existing database, in milliseconds.
    pub(crate) ready_ms: Vec<f64>,
    /// Resident memory when idle, in MB.
    pub(crate) idle_mb: f64,
}

/// Starts the hub several times on one database.
pub(crate) async fn start_figures(binary: &Path) -> anyhow::Result<StartFigures> {
    let folder = tempfile::tempdir()?;
    let mut ready_ms = Vec::new();
    let mut idle_mb = f64::NAN;
    // The first start makes the database and does not count.
    for round in 0..6 {
        let begun = Instant::now();
        let (mut child, base) = spawn(binary, folder.path(), &[])?;
        let http = client()?;
        wait_until_up(&http, &base).await?;
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        if round > 0 {
            ready_ms.push(took);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        idle_mb = memory_mb(child.id(), "VmRSS")?;
        terminate(&mut child)?;
    }
    Ok(StartFigures { ready_ms, idle_mb })
}

impl HubProcess {
    /// Starts a hub on a fresh folder and waits until it answers.
    pub(crate) async fn start(binary: &Path) -> anyhow::Result<Self> {
        Self::start_with(binary, &[]).await
    }

    /// The same with settings as environment variables.
    pub(crate) async fn start_with(binary: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::begin(binary, tempfile::tempdir()?, settings).await
    }

    /// Starts a hub on a folder that something was put into.
    pub(crate) async fn start_in(binary: &Path, folder: TempDir) -> anyhow::Result<Self> {
        Self::begin(binary, folder, &[]).await
    }

    async fn begin(binary: &Path, folder: TempDir, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (child, base) = spawn(binary, folder.path(), settings)?;
        let hub = Self { child, base, http: client()?, folder: Some(folder) };
        wait_until_up(&hub.http, &hub.base).await?;
        Ok(hub)
    }

    /// Something to call it by, over connections of its own.
    pub(crate) fn target(&self, side: u32) -> anyhow::Result<ThroughHub> {
        Ok(ThroughHub { endpoint: self.endpoint(), http: client()?, side })
    }

    /// What it takes of the machine now.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let (mut files, mut sockets) = (0, 0);
        for open in std::fs::read_dir(process.join("fd")).context("needs Linux's /proc")? {
            // One that was closed meanwhile is neither.
            match open.ok().and_then(|open| std::fs::read_link(open.path()).ok()) {
                Some(what) if what.to_string_lossy().starts_with("socket:") => sockets += 1,
                Some(_) => files += 1,
                None => {}
            }
        }
        let threads = std::fs::read_dir(process.join("task"))?.count();
        Ok(Usage { memory_mb: self.memory_mb("VmRSS")?, files, sockets, threads })
    }

    /// Registers the servers, waits until all are ready, and answers a target.
    pub(crate) async fn with_servers(&self, urls: &[String], side: u32) -> anyhow::Result<ThroughHub> {
        self.add_servers(urls).await?;
        Ok(ThroughHub { endpoint: format!("{}/mcp", self.base), http: self.http.clone(), side })
    }

    /// Registers the servers as `sim-0`, `sim-1`, … and waits until all are ready.
    pub(crate) async fn add_servers(&self, urls: &[String]) -> anyhow::Result<()> {
        for (index, url) in urls.iter().enumerate() {
            let body = json!({ "name": format!("sim-{index}"), "base_url": url });
            let answer = self.http.post(format!("{}/api/v1/servers", self.base)).json(&body).send().await?;
            anyhow::ensure!(answer.status().is_success(), "adding a server: {}", answer.text().await?);
        }
        let begun = Instant::now();
        loop {
            let ready: Value = self.http.get(format!("{}/api/v1/servers", self.base)).send().await?.json().await?;
            let text = ready.to_string();
            if text.matches("\"state\":\"ready\"").count() == urls.len() {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < START_LIMIT, "the servers do not get ready: {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where it listens.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `GET` of a path.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.http.get(format!("{}{path}", self.base))).await
    }

    /// `POST` of JSON to a path.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// `PATCH` of JSON to a path.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.http.patch(format!("{}{path}", self.base)).json(body)).await
    }

    /// `DELETE` of a path.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.http.delete(format!("{}{path}", self.base)).send().await?;
        anyhow::ensure!(answer.status().is_success(), "{path}: {}", answer.text().await?);
        Ok(())
    }

    /// Address of its `/mcp`.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}/mcp", self.base)
    }

    /// Processor time the hub has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).context("needs Linux's /proc")?;
        // The name in brackets may hold spaces: fields are counted after it.
        let after = stat.rsplit_once(") ").context("an odd /proc/*/stat")?.1;
        let fields: Vec<&str> = after.split(' ').collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
    }

    /// A line of `/proc/*/status`, in MB.
    pub(crate) fn memory_mb(&self, key: &str) -> anyhow::Result<f64> {
        memory_mb(self.child.id(), key)
    }

    /// Ends the hub as an operator would, and answers its folder. Keep that until the last figure is taken:
    /// for half a minute after many files were deleted, ext4 makes each new one dear (it leaves inodes of
    /// late alone), which would be counted as the next hub's work.
    pub(crate) fn stop(mut self) -> anyhow::Result<Option<TempDir>> {
        terminate(&mut self.child)?;
        Ok(self.folder.take())
    }
}

/// Calls through a hub.
pub(crate) struct ThroughHub {
    endpoint: String,
    http: reqwest::Client,
    side: u32,
}

impl Target for ThroughHub {
    async fn make(&self, _caller: usize, seed: u64) -> anyhow::Result<usize> {
        let body = json!({
            "jsonrpc": "2.0",
            "id": seed,
            "method": "tools/call",
            "params": { "name": "generate_image", "arguments": {
                "prompt": "a red fox", "render_type": "smoke", "seed": seed, "enhance": false,
                "width": self.side, "height": self.side, "wait_s": 300,
            }},
        });
        let answer: Value = self.http.post(&self.endpoint).json(&body).send().await?.json().await?;
        let content = answer["result"]["content"].as_array().with_context(|| format!("no result: {answer}"))?;
        let picture = content
            .iter()
            .find(|block| block["type"] == "image")
            .and_then(|block| block["data"].as_str())
            .with_context(|| format!("no picture: {answer}"))?;
        Ok(picture.len())
    }
}

/// The answer of a call that must succeed.
async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let answer = request.send().await?;
    let (status, path) = (answer.status(), answer.url().path().to_owned());
    let body = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{path}: {status} {body}");
    Ok(serde_json::from_str(&body)?)
}

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().pool_max_idle_per_host(128).timeout(Duration::from_mins(10)).build()?)
}

fn spawn(binary: &Path, folder: &Path, settings: &[(&str, &str)]) -> anyhow::Result<(Child, String)> {
    // A port that was free a moment ago; nothing else on this machine is starting servers now.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let child = Command::new(binary)
        .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
        .arg("--data-dir")
        .arg(folder)
        .env("RUST_LOG", "warn")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    Ok((child, format!("http://127.0.0.1:{port}")))
}

async fn wait_until_up(http: &reqwest::Client, base: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        if http.get(format!("{base}/healthz")).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < START_LIMIT, "the hub does not come up");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn memory_mb(pid: u32, key: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("needs Linux's /proc")?;
    let line = status.lines().find(|line| line.starts_with(key)).context("no such line in /proc/*/status")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("an odd /proc/*/status")?.parse()?;
    Ok(kilobytes / 1024.0)
}

/// SIGTERM by the `kill` program: the workspace forbids unsafe code.
fn terminate(child: &mut Child) -> anyhow::Result<()> {
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "the hub ended with {status}");
    Ok(())
}
