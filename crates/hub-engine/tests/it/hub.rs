//! A hub over a real store and folder whose only ComfyUI server cannot be reached: what is submitted
//! stays queued, so planning can be looked at.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Once},
    time::Duration,
};

use chrono::{DateTime, Utc};
use hub_core::{
    caller::Caller,
    catalogue::{Mode, RenderType, Style},
    clock::MockClock,
    error::UserError,
    ids::JobId,
    job::{Job, JobStateKind},
    recipe::Recipe,
    request::{AspectRatio, ImageSize, ToolCall},
    server::{LlmAssignment, LlmDialect, LlmRole, LlmServer, NewServer},
};
use hub_engine::{Engine, EngineConfig, Submitted};
use hub_sim::ollama::{OllamaConfig, OllamaSim};
use hub_store::Store;
use image::{DynamicImage, ImageFormat, RgbImage};
use object_store::local::LocalFileSystem;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for something that must happen.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Hub {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<MockClock>,
    config: EngineConfig,
    dir: TempDir,
}

impl Hub {
    /// With a server that cannot be reached, two render types to generate and one to upscale.
    pub(crate) async fn start(config: EngineConfig) -> Self {
        let hub = Self::empty(config).await;
        let engine = &hub.engine;
        // Port 9 (discard) is closed on loopback.
        let server = NewServer::named("gpu", "http://127.0.0.1:9".parse().unwrap());
        engine.server_add(server).await.unwrap();
        engine.workflow_import_value("txt2img", &text_to_image(), "").await.unwrap();
        engine.workflow_import_value("upscale", &upscaler(), "").await.unwrap();
        let mut sdxl = render_type("sdxl", "txt2img", Mode::Generate);
        sdxl.is_default = true;
        engine.render_type_save(sdxl).await.unwrap();
        engine.render_type_save(render_type("flux", "txt2img", Mode::Generate)).await.unwrap();
        let mut upscale = render_type("4x", "upscale", Mode::Upscale);
        upscale.is_default = true;
        engine.render_type_save(upscale).await.unwrap();
        hub
    }

    /// Adds the shipped render types that redraw an area and that find parts.
    pub(crate) async fn detailers(&self) {
        let shipped = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let inpaint = shipped(include_str!("../../../../workflows/detail-inpaint-sdxl.json"));
        let parts = shipped(include_str!("../../../../workflows/detail-part-sdxl.json"));
        for (name, graph) in [("inpaint", inpaint), ("parts", parts)] {
            self.engine.workflow_import_value(name, &graph, "").await.unwrap();
            let mut row = RenderType::new(name, name, Mode::Detail);
            row.is_default = name == "inpaint";
            self.engine.render_type_save(row).await.unwrap();
        }
    }

    /// With nothing at all.
    pub(crate) async fn empty(config: EngineConfig) -> Self {
        set_up_tls();
        let dir = tempfile::tempdir().unwrap();
        let start: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
        let clock = Arc::new(MockClock::at(start));
        let engine = engine(&dir, &clock, config.clone()).await;
        Self { engine, clock, config, dir }
    }

    /// Stops the engine and starts another one over the same data.
    pub(crate) async fn restart(self) -> Self {
        self.engine.shutdown(Duration::from_millis(200)).await;
        let engine = engine(&self.dir, &self.clock, self.config.clone()).await;
        Self { engine, ..self }
    }

    /// Submits as the tool would be called.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<Submitted, UserError> {
        let call = ToolCall::parse(tool, arguments.as_object().unwrap())?;
        self.engine.submit(&Caller::local(), call).await
    }

    /// The recipe of a request that needs no LLM.
    pub(crate) async fn recipe(&self, tool: &str, arguments: Value) -> (Recipe, Vec<String>) {
        let job = self.call(tool, arguments).await.unwrap().job;
        (job.recipe.unwrap(), job.warnings)
    }

    /// The job once it is in one of the states.
    pub(crate) async fn until(&self, job: JobId, states: &[JobStateKind]) -> Job {
        let reached = async {
            loop {
                let row = self.engine.view(job).await.unwrap().job;
                if states.contains(&row.state.kind()) {
                    return row;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, reached).await.expect("the state is reached in time")
    }

    pub(crate) async fn style(&self, name: &str, change: impl FnOnce(&mut Style)) {
        let mut style = Style::new(name, "test");
        change(&mut style);
        self.engine.style_save(style).await.unwrap();
    }

    /// A simulated LLM server with this hub's roles assigned to it.
    pub(crate) async fn llm(&self, config: OllamaConfig, roles: &[LlmRole]) -> (OllamaSim, LlmServer) {
        let sim = OllamaSim::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config).await.unwrap();
        let server =
            self.engine.llm_server_add("llm", sim.url().parse().unwrap(), LlmDialect::Ollama, None).await.unwrap();
        for role in roles {
            let to = LlmAssignment { server: server.id, model: None };
            self.engine.llm_assign(*role, Some(to)).await.unwrap();
        }
        (sim, server)
    }
}

async fn engine(dir: &TempDir, clock: &Arc<MockClock>, config: EngineConfig) -> Engine {
    let url = format!("sqlite://{}", dir.path().join("hub.db").display());
    let store = Store::open(&url, clock.clone()).await.unwrap();
    let folder = dir.path().join("artifacts");
    std::fs::create_dir_all(&folder).unwrap();
    let objects = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
    Engine::start(config, store, objects, clock.clone()).await.unwrap()
}

fn render_type(name: &str, workflow: &str, mode: Mode) -> RenderType {
    let size = |width_px, height_px| ImageSize { width_px, height_px };
    RenderType {
        sizes: BTreeMap::from([(AspectRatio::R1x1, size(1024, 1024)), (AspectRatio::R16x9, size(1344, 768))]),
        prompt_guide: "Plain words.".to_owned(),
        ..RenderType::new(name, workflow, mode)
    }
}

fn text_to_image() -> Value {
    json!({
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "WF_POS", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "WF_NEG", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
        "5": {"class_type": "KSampler", "inputs": {
            "seed": 1, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
    })
}

fn upscaler() -> Value {
    json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "2": {"class_type": "ImageScaleBy",
              "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "scale_by": 2.0}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    })
}

/// An encoded picture with some content.
pub(crate) fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(width, height, |x, y| {
        let shade = |n: u32| u8::try_from(n % 256).unwrap();
        image::Rgb([shade(x * 7), shade(y * 5), shade(x * y)])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(pixels).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// What the binary does at its start: who fetches or posts needs it, whichever test comes first.
pub(crate) fn set_up_tls() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
}
