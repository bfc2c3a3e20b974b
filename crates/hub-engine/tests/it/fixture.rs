//! A whole engine on a temporary folder, with simulated servers beside it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hub_core::{
    caller::Caller,
    catalogue::{Mode, RenderType},
    clock::{SharedClock, SystemClock},
    error::UserError,
    ids::{JobId, ServerId},
    job::JobStateKind,
    request::ToolCall,
    server::{NewServer, ServerState},
};
use hub_engine::{Engine, EngineConfig, JobView, Submitted};
use hub_sim::{ComfyConfig, ComfySim, Outcome};
use hub_store::Store;
use object_store::local::LocalFileSystem;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hub::set_up_tls;

/// Longest wait for anything in a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Render types of the fixture: name, workflow, mode.
const RENDER_TYPES: [(&str, &str, Mode); 5] = [
    ("plain", include_str!("../fixtures/plain.json"), Mode::Generate),
    ("sampled", include_str!("../../../../workflows/txt2img-sd15.json"), Mode::Generate),
    ("several", include_str!("../fixtures/several-outputs.json"), Mode::Generate),
    ("broken", include_str!("../fixtures/required-input-missing.json"), Mode::Generate),
    ("doubled", include_str!("../../../../workflows/smoke-upscale.json"), Mode::Upscale),
];

/// What to start.
pub(crate) struct Setup {
    servers: Vec<ComfyConfig>,
    config: EngineConfig,
    clock: SharedClock,
}

/// So many equal servers, with quick probes and a calm poll.
pub(crate) fn servers(count: usize) -> Setup {
    let config = EngineConfig {
        probe_interval: Duration::from_millis(250),
        poll_interval: Duration::from_secs(1),
        ..EngineConfig::default()
    };
    let servers = vec![ComfyConfig { run_ms: 60, ..ComfyConfig::default() }; count];
    Setup { servers, config, clock: Arc::new(SystemClock) }
}

impl Setup {
    pub(crate) fn run_ms(mut self, run_ms: u64) -> Self {
        self.servers.iter_mut().for_each(|server| server.run_ms = run_ms);
        self
    }

    pub(crate) fn server(mut self, at: usize, change: impl FnOnce(&mut ComfyConfig)) -> Self {
        change(&mut self.servers[at]);
        self
    }

    pub(crate) fn config(mut self, change: impl FnOnce(&mut EngineConfig)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts servers and engine, and waits until every server is ready.
    pub(crate) async fn start(self) -> TestEngine {
        let test = self.start_unready().await;
        test.until_all_ready().await;
        test
    }

    /// Starts servers and engine.
    pub(crate) async fn start_unready(self) -> TestEngine {
        set_up_tls();
        let mut sims = Vec::new();
        for config in self.servers {
            let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
            sims.push(ComfySim::start(any_port, config).await.unwrap());
        }
        let dir = tempfile::tempdir().unwrap();
        let engine = start_engine_at(dir.path(), self.config.clone(), self.clock).await;
        for (name, graph, mode) in RENDER_TYPES {
            engine.workflow_import(name, graph.as_bytes(), "").await.unwrap();
            engine.render_type_save(render_type(name, mode)).await.unwrap();
        }
        for (at, sim) in sims.iter().enumerate() {
            engine.server_add(NewServer::named(name(at), sim.url().parse().unwrap())).await.unwrap();
        }
        TestEngine { engine, sims, config: self.config, leaves_jobs: false, dir }
    }
}

/// An engine on the database and pictures of a folder.
pub(crate) async fn start_engine(dir: &TempDir, config: EngineConfig) -> Engine {
    start_engine_in(dir.path(), config).await
}

/// The same, by path.
pub(crate) async fn start_engine_in(dir: &Path, config: EngineConfig) -> Engine {
    start_engine_at(dir, config, Arc::new(SystemClock)).await
}

/// The same, at another time.
pub(crate) async fn start_engine_at(dir: &Path, config: EngineConfig, clock: SharedClock) -> Engine {
    let url = format!("sqlite://{}", dir.join("hub.db").display());
    let store = Store::open(&url, clock.clone()).await.unwrap();
    let pictures = dir.join("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let objects = Arc::new(LocalFileSystem::new_with_prefix(pictures).unwrap());
    Engine::start(config, store, objects, clock).await.unwrap()
}

fn name(at: usize) -> String {
    format!("gpu-{}", at + 1)
}

fn render_type(name: &str, mode: Mode) -> RenderType {
    RenderType { is_default: name == "plain" || mode == Mode::Upscale, ..RenderType::new(name, name, mode) }
}

/// An engine at work, and its servers.
pub(crate) struct TestEngine {
    pub(crate) engine: Engine,
    pub(crate) sims: Vec<ComfySim>,
    pub(crate) config: EngineConfig,
    pub(crate) dir: TempDir,
    /// Told that jobs stay unfinished.
    pub(crate) leaves_jobs: bool,
}

impl TestEngine {
    /// Submits and answers the job's id.
    pub(crate) async fn submit(&self, tool: &str, arguments: Value) -> JobId {
        let call = ToolCall::parse(tool, arguments.as_object().unwrap()).unwrap();
        self.engine.submit(&Caller::local(), call).await.unwrap().job.id
    }

    /// Submits under an idempotency key.
    pub(crate) async fn submit_with_key(&self, key: &str, arguments: Value) -> Result<Submitted, UserError> {
        self.call_with_key("generate_image", key, arguments).await
    }

    /// Calls a tool under an idempotency key.
    pub(crate) async fn call_with_key(&self, tool: &str, key: &str, arguments: Value) -> Result<Submitted, UserError> {
        let mut call = ToolCall::parse(tool, arguments.as_object().unwrap()).unwrap();
        call.options.idempotency_key = Some(key.to_owned());
        self.engine.submit(&Caller::local(), call).await
    }

    /// Submits a small picture with the default render type.
    pub(crate) async fn generate(&self, prompt: &str) -> JobId {
        self.submit("generate_image", json!({ "prompt": prompt, "width": 64, "height": 64 })).await
    }

    /// Submits a small picture that a sampler makes, in 25 steps.
    pub(crate) async fn generate_sampled(&self, prompt: &str) -> JobId {
        self.submit("generate_image", json!({ "prompt": prompt, "render_type": "sampled", "width": 64, "height": 64 }))
            .await
    }

    /// Waits for a job's end.
    pub(crate) async fn end(&self, job: JobId) -> JobView {
        let view = self.engine.wait(job, PATIENCE).await.unwrap();
        assert!(
            view.job.state.kind().is_terminal(),
            "the job did not end: {:?}, {:?}",
            view.job.state,
            self.engine.servers()
        );
        view
    }

    /// Waits for a job's success.
    pub(crate) async fn success(&self, job: JobId) -> JobView {
        let view = self.end(job).await;
        assert_eq!(view.job.state.kind(), JobStateKind::Succeeded, "{:?}", view.job.state);
        assert!(!view.artifacts.is_empty());
        view
    }

    /// Waits until the server has begun the job.
    pub(crate) async fn until_running(&self, job: JobId) {
        let mut watch = self.engine.watch(job).await.unwrap();
        tokio::time::timeout(PATIENCE, async {
            while let Some(progress) = watch.next().await {
                assert!(!progress.state.is_terminal(), "it ended: {progress:?}");
                if progress.state == JobStateKind::Running {
                    return;
                }
            }
            panic!("the watch ended before the job ran");
        })
        .await
        .expect("the job runs within the limit");
    }

    pub(crate) async fn until_all_ready(&self) {
        self.until("all servers are ready", || {
            self.engine.servers().iter().all(|view| view.state == ServerState::Ready)
        })
        .await;
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, condition, || format!("{:?}", self.engine.servers())).await;
    }

    pub(crate) fn server_id(&self, at: usize) -> ServerId {
        self.engine.servers().iter().find(|view| view.server.name == name(at)).unwrap().id()
    }

    /// Changes a server's settings.
    pub(crate) async fn change_server(&self, at: usize, change: impl FnOnce(&mut hub_core::server::Server)) {
        let view = self.engine.servers().into_iter().find(|view| view.server.name == name(at)).unwrap();
        let mut server = view.server;
        change(&mut server);
        self.engine.server_update(server).await.unwrap();
    }

    /// Prompts that each server ran to a good end.
    pub(crate) fn successes(&self) -> Vec<usize> {
        let good = |sim: &ComfySim| sim.stats().executed.iter().filter(|run| run.outcome == Outcome::Success).count();
        self.sims.iter().map(good).collect()
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        if self.leaves_jobs || std::thread::panicking() {
            return;
        }
        let store = self.engine.store().clone();
        let unfinished =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(store.jobs_unfinished()));
        assert_eq!(unfinished.unwrap(), Vec::new(), "jobs were left unfinished");
    }
}

/// Waits until a condition holds; `context` is told when it does not.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool, context: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}; {}", context());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
