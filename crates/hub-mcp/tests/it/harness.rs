//! A hub to test against: engine, store in memory, simulated ComfyUI, the edge's router.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
    response::Response,
};
use hub_core::{
    caller::Caller,
    clock::SystemClock,
    ids::{JobId, LlmServerId},
    job::JobStateKind,
    server::{LlmAssignment, LlmDialect, LlmRole, LlmServer, NewServer},
};
use hub_engine::{Engine, EngineConfig};
use hub_mcp::{McpConfig, McpEdge};
use hub_sim::{ComfyConfig, ComfySim};
use hub_store::Store;
use object_store::memory::InMemory;
use serde_json::{Value, json};
use tower::ServiceExt;

/// The longest that anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Largest answer that is read.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;
/// What the hub is reached as.
pub(crate) const HOST: &str = "hub.test:8001";

/// A hub with what its tests look at.
pub(crate) struct TestHub {
    pub(crate) engine: Engine,
    pub(crate) edge: McpEdge,
    pub(crate) router: Router,
    pub(crate) sim: Option<ComfySim>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The messages of an event stream.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let data = self.text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        data.filter(|data| !data.is_empty()).map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The response among the messages.
    pub(crate) fn response(&self) -> Value {
        if self.text.starts_with('{') {
            return self.json();
        }
        let found = self.messages().into_iter().find(|message| message.get("id").is_some());
        found.unwrap_or_else(|| panic!("no response: {} {}", self.status, self.text))
    }
}

macro_rules! workflow {
    ($name:literal) => {
        (
            include_str!(concat!("../../../../workflows/", $name, ".toml")),
            include_str!(concat!("../../../../workflows/", $name, ".json")),
        )
    };
}

/// The catalogue that the hub ships.
const WORKFLOWS: [(&str, &str); 15] = [
    workflow!("detail-fill-sdxl"),
    workflow!("detail-inpaint-sdxl"),
    workflow!("detail-part-sdxl"),
    workflow!("edit-flux-kontext"),
    workflow!("edit-instruct-pix2pix"),
    workflow!("edit-qwen-image-edit"),
    workflow!("img2img-sdxl"),
    workflow!("smoke"),
    workflow!("smoke-upscale"),
    workflow!("txt2img-flux-dev"),
    workflow!("txt2img-qwen-image"),
    workflow!("txt2img-sd15"),
    workflow!("txt2img-sd35"),
    workflow!("txt2img-sdxl"),
    workflow!("upscale-model"),
];
const STYLES: &str = include_str!("../../../../config/catalogue/styles.toml");
const RENDER_TYPES: &str = include_str!("../../../../config/catalogue/render_types.toml");

impl TestHub {
    /// A hub without anything.
    pub(crate) async fn empty() -> Self {
        Self::with_config(McpConfig::default()).await
    }

    async fn with_config(config: McpConfig) -> Self {
        let clock = Arc::new(SystemClock);
        let store = Store::open("sqlite::memory:", clock.clone()).await.unwrap();
        let objects = Arc::new(InMemory::new());
        let engine = Engine::start(EngineConfig::default(), store, objects, clock).await.unwrap();
        let edge = McpEdge::new(engine.clone(), config);
        let router = edge.router();
        Self { engine, edge, router, sim: None }
    }

    /// A hub with the shipped catalogue and one server whose pictures take `run_ms`.
    pub(crate) async fn start(run_ms: u64) -> Self {
        Self::start_with(run_ms, McpConfig::default()).await
    }

    /// The same with other settings of the edge.
    pub(crate) async fn start_with(run_ms: u64, config: McpConfig) -> Self {
        let mut hub = Self::with_config(config).await;
        hub.engine.seed_catalogue(&WORKFLOWS, STYLES, RENDER_TYPES).await.unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sim = ComfySim::start(listen, ComfyConfig { run_ms, ..ComfyConfig::default() }).await.unwrap();
        hub.engine.server_add(NewServer::named("gpu-1", sim.url().parse().unwrap())).await.unwrap();
        hub.sim = Some(sim);
        hub
    }

    /// Adds an LLM server that plays every role.
    pub(crate) async fn llm_in_every_role(&self) {
        let server = LlmServer {
            id: LlmServerId::new(),
            name: "llm".to_owned(),
            // Nobody is asked anything.
            base_url: "http://127.0.0.1:9".parse().unwrap(),
            dialect: LlmDialect::Ollama,
            api_key: None,
            gpu: None,
            enabled: true,
        };
        let server = self.engine.llm_server_create(server).await.unwrap();
        for role in LlmRole::ALL {
            let to = LlmAssignment { server: server.id, model: Some("any".to_owned()) };
            self.engine.llm_assign(role, Some(to)).await.unwrap();
        }
    }

    /// Sends a request; the response's body is not read yet.
    pub(crate) async fn send(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
        self.send_as(&Caller::local(), path, headers, body).await
    }

    /// The same of a caller whom the guard would have found.
    pub(crate) async fn send_as(
        &self,
        caller: &Caller,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::post(path).header("host", HOST).extension(caller.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let whole = async { read(self.send(path, headers, body).await).await };
        tokio::time::timeout(DEADLINE, whole).await.expect("the answer comes in time")
    }

    /// Plain JSON-RPC.
    pub(crate) async fn plain(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        self.post("/mcp", &[], body).await.json()
    }

    /// A tool's result by plain JSON-RPC.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let mut answer = self.plain("tools/call", json!({"name": tool, "arguments": arguments})).await;
        answer.get_mut("result").unwrap_or_else(|| panic!("no result")).take()
    }

    /// Waits until the job is in the state.
    pub(crate) async fn becomes(&self, job: JobId, state: JobStateKind) {
        let reached = async || self.engine.view(job).await.unwrap().job.state.kind() == state;
        until(&format!("{job} becomes {state}"), reached).await;
    }

    /// The newest job of any kind, once there is one.
    pub(crate) async fn newest_job(&self) -> JobId {
        let newest = async || {
            let page = self.engine.store().job_list(&hub_store::JobFilter::default(), None, 1).await.unwrap();
            page.jobs.first().map(|job| job.id)
        };
        until("a job is there", async || newest().await.is_some()).await;
        newest().await.unwrap()
    }
}

pub(crate) async fn read(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, BODY_MAX_BYTES).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// Looks again and again until it holds, or fails.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, look).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// The job that a result speaks of.
pub(crate) fn job_of(result: &Value) -> JobId {
    record(result)["job"].as_str().unwrap().parse().unwrap()
}

/// The record in a result.
pub(crate) fn record(result: &Value) -> &Value {
    &result["_meta"]["io.genimage/result"]
}

/// The error in a result.
pub(crate) fn error(result: &Value) -> &Value {
    &result["_meta"]["io.genimage/error"]
}
