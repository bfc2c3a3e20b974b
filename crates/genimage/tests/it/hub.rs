//! A hub process for tests: started on a free port and a folder of its own, ended when dropped.

use std::{
    io::{BufRead as _, BufReader, Lines},
    ops::Deref,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Longest wait for anything in these tests: generous, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test.
pub(crate) fn genimage() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genimage"));
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        if name.starts_with("GENIMAGE") || name == "COMFYUI_API_URL" || name == "OLLAMA_API_URL" {
            command.env_remove(name);
        }
    }
    command
}

/// A command of it on `folder`, to its end.
pub(crate) fn command(name: &str, folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = genimage();
    command.arg(name).args(arguments).arg("--data-dir").arg(folder).envs(environment.iter().copied());
    command.output().unwrap()
}

/// What a command said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a command that succeeded said.
pub(crate) fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

/// `genimage serve` on `folder`, listening on a free port.
pub(crate) fn serve(folder: &Path) -> Command {
    let mut command = genimage();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder);
    command
}

/// An HTTP client.
pub(crate) fn client() -> reqwest::Client {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE).build().unwrap()
}

pub(crate) struct Hub {
    child: Child,
    edge: Edge,
}

impl Deref for Hub {
    type Target = Edge;

    fn deref(&self) -> &Edge {
        &self.edge
    }
}

impl Hub {
    /// Starts `genimage serve` on `folder` with further arguments and waits for its ready line.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = serve(folder);
        command.args(arguments);
        Self::run(command)
    }

    /// Runs a command that becomes a hub and waits for its ready line.
    pub(crate) fn run(command: Command) -> Self {
        Self::try_run(command).unwrap_or_else(|seen| panic!("the hub ended before it was ready: {seen:#?}"))
    }

    /// The same; answers what it said when it ended before.
    pub(crate) fn try_run(command: Command) -> Result<Self, Vec<String>> {
        let (hub, lines) = Self::until_ready(command)?;
        // Somebody must read on, or the hub blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(hub)
    }

    /// Runs a command that becomes a hub, and closes the reading end of its log once it is ready.
    pub(crate) fn run_unheard(command: Command) -> Self {
        let (hub, lines) =
            Self::until_ready(command).unwrap_or_else(|seen| panic!("the hub ended before it was ready: {seen:#?}"));
        drop(lines);
        hub
    }

    /// Runs a command that becomes a hub, with its whole log in a file.
    pub(crate) fn run_logged(mut command: Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let mut child = command.stderr(file).spawn().unwrap();
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(log).unwrap();
            if let Some((_, url)) = text.split_once("listening on ")
                && let Some((url, _)) = url.split_once('\n')
            {
                return Self { child, edge: Edge::new(address(url)) };
            }
            assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE, "the hub is not ready: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn until_ready(mut command: Command) -> Result<(Self, Lines<BufReader<ChildStderr>>), Vec<String>> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let url = loop {
            let Some(line) = lines.next() else {
                child.wait().unwrap();
                return Err(seen);
            };
            let line = line.unwrap();
            if let Some((_, url)) = line.split_once("listening on ") {
                break address(url);
            }
            seen.push(line);
        };
        Ok((Self { child, edge: Edge::new(url) }, lines))
    }

    /// Whether it still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Whether it ends in that time.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if !self.lives() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how long the hub took to end with success.
    pub(crate) fn terminate(mut self) -> Duration {
        let begun = Instant::now();
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        begun.elapsed()
    }
}

/// The address at the beginning of what a line says: in a log in JSON more stands behind it.
fn address(said: &str) -> String {
    said.split('"').next().unwrap_or_default().trim().to_owned()
}

/// A hub's HTTP edges, wherever it runs.
pub(crate) struct Edge {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

impl Edge {
    pub(crate) fn new(url: String) -> Self {
        Self { url, http: client() }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A tool call by plain JSON-RPC; answers its result.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments } });
        let (_, answer) = self.post("/mcp", &body).await;
        answer.get("result").cloned().unwrap_or(answer)
    }

    /// Registers a server and waits until it takes work.
    pub(crate) async fn add_server(&self, url: &str) {
        let (status, answer) = self.post("/api/v1/servers", &json!({ "name": url, "base_url": url })).await;
        assert!(status < 300, "{answer}");
        self.wait_for("/api/v1/servers", |servers| servers.to_string().contains("\"ready\"")).await;
    }

    /// Submits a job and answers its id.
    pub(crate) async fn submit(&self, arguments: &Value) -> String {
        let body = json!({ "tool": "generate_image", "arguments": arguments });
        let (status, answer) = self.post("/api/v1/jobs", &body).await;
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} does not get there: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a job is in one of `states`.
    pub(crate) async fn wait_for_state(&self, job: &str, states: &[&str]) -> Value {
        self.wait_for(&format!("/api/v1/jobs/{job}"), |job| states.contains(&job["state"].as_str().unwrap_or_default()))
            .await
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Gone already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
