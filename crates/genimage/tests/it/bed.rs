//! A hub in this process with its listener, the simulated servers beside it, and render types made for
//! tests: `GEN` and `HID` make pictures, `UP` upscales one, `TWO` makes two at once.

use std::{net::SocketAddr, path::PathBuf};

use genimage::{
    app::{Hub, HubOptions},
    config::{Config, ConfigArgs},
};
use hub_sim::{
    ComfyConfig, ComfySim, Outcome,
    ollama::{OllamaConfig, OllamaSim},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hub::Edge;

/// What a workflow of the scenarios says where nothing is put in.
pub(crate) const WORKFLOW_NEGATIVE: &str = "WF_NEG";

pub(crate) struct Bed {
    pub(crate) hub: Hub,
    pub(crate) edge: Edge,
    pub(crate) sims: Vec<ComfySim>,
    folder: TempDir,
}

/// Any free port.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Bed {
    /// A fresh hub, as its first start leaves it.
    pub(crate) async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = ConfigArgs { config: None, data_dir: Some(folder.path().to_owned()) };
        let mut config = Config::load(&args).unwrap();
        config.server.listen = any_port();
        let hub = Hub::start(&config, &HubOptions::default()).await.unwrap();
        let edge = Edge::new(hub.url.as_str().trim_end_matches('/').to_owned());
        Self { hub, edge, sims: Vec::new(), folder }
    }

    /// With servers of one kind and the render types of the scenarios.
    pub(crate) async fn with_servers(count: usize, config: ComfyConfig) -> Self {
        let mut bed = Self::empty().await;
        for _ in 0..count {
            let sim = ComfySim::start(any_port(), config.clone()).await.unwrap();
            bed.edge.add_server(&sim.url()).await;
            bed.sims.push(sim);
        }
        let ready = |servers: &Value| servers.to_string().matches("\"state\":\"ready\"").count() == count;
        bed.edge.wait_for("/api/v1/servers", ready).await;
        for (name, graph, mode) in [
            ("GEN", contract_graph(1), "generate"),
            ("HID", contract_graph(1), "generate"),
            ("TWO", contract_graph(2), "generate"),
            ("UP", upscale_graph(), "upscale"),
        ] {
            bed.created("workflows", &json!({ "name": name, "graph": graph })).await;
            let sizes = json!({ "1:1": [1024, 1024], "16:9": [1344, 768] });
            bed.created(
                "render-types",
                &json!({ "name": name, "workflow": name, "mode": mode, "sizes": sizes, "visible": name != "HID" }),
            )
            .await;
        }
        bed
    }

    /// One quick server.
    pub(crate) async fn start() -> Self {
        Self::with_servers(1, ComfyConfig { run_ms: 20, ..ComfyConfig::default() }).await
    }

    /// An LLM server for prompts and descriptions.
    pub(crate) async fn llm(&self, replies: &[(&str, &str)]) -> (OllamaSim, Value) {
        let replies = replies.iter().map(|(asked, reply)| ((*asked).to_owned(), (*reply).to_owned())).collect();
        let config = OllamaConfig { replies, ..OllamaConfig::default() };
        let sim = OllamaSim::start(any_port(), config).await.unwrap();
        let server = self.created("llm-servers", &json!({ "name": "llm", "base_url": sim.url() })).await;
        for role in ["enhance", "describe"] {
            let assigned = self
                .edge
                .http
                .put(format!("{}/api/v1/llm-roles/{role}", self.edge.url))
                .json(&json!({ "server": "llm" }))
                .send()
                .await
                .unwrap();
            assert_eq!(assigned.status().as_u16(), 200);
        }
        (sim, server)
    }

    /// Posts to the API, which must create.
    pub(crate) async fn created(&self, noun: &str, body: &Value) -> Value {
        let (status, answer) = self.edge.post(&format!("/api/v1/{noun}"), body).await;
        assert_eq!(status, 201, "{noun}: {answer}");
        answer
    }

    /// A style whose templates are these.
    pub(crate) async fn style(&self, name: &str, prompt: &str, negative: &str, more: &Value) {
        let mut body = json!({ "name": name, "category": "probe", "prompt_template": prompt,
            "negative_template": negative });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.created("styles", &body).await;
    }

    /// The record of a call that must succeed.
    pub(crate) async fn succeeds(&self, tool: &str, arguments: &Value) -> Value {
        let result = self.edge.call(tool, arguments).await;
        assert_eq!(result["isError"], false, "{result}");
        let record = result["_meta"]["io.genimage/result"].clone();
        assert_eq!(record["status"], "succeeded", "{record}");
        record
    }

    /// The error of a call that must be refused or fail.
    pub(crate) async fn fails(&self, tool: &str, arguments: &Value) -> Value {
        let result = self.edge.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        result["_meta"]["io.genimage/error"].clone()
    }

    /// What an address answers.
    pub(crate) async fn bytes(&self, url: &str) -> Vec<u8> {
        let answer = self.edge.http.get(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{url}");
        answer.bytes().await.unwrap().to_vec()
    }

    /// The graph that the first server ran last.
    pub(crate) fn ran(&self) -> Value {
        (*self.sims[0].stats().executed.last().expect("nothing ran").graph).clone()
    }

    /// Prompts that each server ran to a good end.
    pub(crate) fn successes(&self) -> Vec<usize> {
        let good = |sim: &ComfySim| sim.stats().executed.iter().filter(|run| run.outcome == Outcome::Success).count();
        self.sims.iter().map(good).collect()
    }

    /// Prompts that were sent to any server, good or bad.
    pub(crate) fn posted(&self) -> u64 {
        self.sims.iter().map(|sim| sim.stats().prompts_received).sum()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("hub.db")
    }
}

/// A text-to-image graph in the older system's contract, titles and all, that makes so many pictures.
fn contract_graph(batch: u32) -> Value {
    let node = |class: &str, title: &str, inputs: &Value| json!({ "class_type": class, "_meta": { "title": title }, "inputs": inputs });
    let text = |text: &str| json!({ "text": text, "clip": ["1", 1] });
    let sampler = json!({ "seed": ["8", 0], "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal",
        "denoise": 1.0, "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0] });
    json!({
        "1": node("CheckpointLoaderSimple", "Checkpoint", &json!({ "ckpt_name": "sd_xl_base_1.0.safetensors" })),
        "2": node("CLIPTextEncode", "MCP_INPUT_PROMPT", &text("WF_POS")),
        "3": node("CLIPTextEncode", "MCP_INPUT_NEGATIVE_PROMPT", &text(WORKFLOW_NEGATIVE)),
        "4": node("EmptyLatentImage", "MCP_RESOLUTION", &json!({ "width": 256, "height": 128, "batch_size": batch })),
        "5": node("KSampler", "Sampler", &sampler),
        "6": node("VAEDecode", "Decode", &json!({ "samples": ["5", 0], "vae": ["1", 2] })),
        "7": node("SaveImage", "MCP_OUTPUT_IMAGE", &json!({ "images": ["6", 0], "filename_prefix": "probe" })),
        "8": node("PrimitiveInt", "MCP_SEED", &json!({ "value": 7 })),
    })
}

fn upscale_graph() -> Value {
    serde_json::from_str(include_str!("../../../../workflows/smoke-upscale.json")).unwrap()
}
