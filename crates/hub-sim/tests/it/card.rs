//! A ComfyUI double and an Ollama double on one graphics card: each sees what the other holds.

use hub_sim::{
    Card, ComfyConfig,
    ollama::{OllamaConfig, OllamaSim, SimModel},
};
use serde_json::{Value, json};

use crate::harness::{Client, recorded, sampler_graph, start};

const GIB: u64 = 1 << 30;

async fn pair(comfy: u64, llm: u64) -> (hub_sim::ComfySim, Client, OllamaSim, Client, Card) {
    let config = ComfyConfig { vram_total: 24 * GIB, vram_models: Some(comfy * GIB), ..recorded("0.33.0") };
    let (comfy, comfy_client) = start(config).await;
    let model = SimModel { size_bytes: llm * GIB, ..SimModel::new("m:latest", &["completion"]) };
    let config = OllamaConfig { models: vec![model], ..OllamaConfig::default() };
    let llm = OllamaSim::start("127.0.0.1:0".parse().unwrap(), config).await.unwrap();
    let llm_client = Client::new(&llm.url());
    let card = Card::new(24 * GIB);
    comfy.share(&card, "comfyui");
    llm.share(&card, "ollama");
    (comfy, comfy_client, llm, llm_client, card)
}

fn device(stats: &Value, field: &str) -> u64 {
    stats["devices"][0][field].as_u64().unwrap()
}

#[tokio::test]
async fn what_one_process_holds_is_missing_to_the_other() {
    let (_comfy, comfy, _llm, llm, card) = pair(16, 12).await;
    let (_, empty) = comfy.get("/system_stats").await;
    assert_eq!(device(&empty, "torch_vram_total"), 0);

    let id = comfy.submit(&sampler_graph(1, 4, "x"), "c").await;
    comfy.finished(&id).await;
    let (_, full) = comfy.get("/system_stats").await;
    assert_eq!(device(&full, "torch_vram_total"), 16 * GIB);
    // What ComfyUI holds but does not use counts as free.
    let unused = device(&full, "torch_vram_free");
    assert_eq!(device(&empty, "vram_free") - (device(&full, "vram_free") - unused), 16 * GIB);

    // The LLM finds eight of the twelve it wants; the rest lies outside the card.
    llm.post("/api/generate", json!({"model": "m", "prompt": "", "stream": false})).await;
    let (_, ps) = llm.get("/api/ps").await;
    assert_eq!((&ps["models"][0]["size"], &ps["models"][0]["size_vram"]), (&json!(12 * GIB), &json!(8 * GIB)));
    let (_, both) = comfy.get("/system_stats").await;
    assert_eq!(device(&full, "vram_free") - device(&both, "vram_free"), 8 * GIB);
    assert_eq!((card.squeezes(), card.overcommits()), (1, 0));

    comfy.post("/free", json!({"unload_models": true, "free_memory": true})).await;
    llm.post("/api/generate", json!({"model": "m", "keep_alive": 0})).await;
    let story: Vec<(String, u64)> = card.events().into_iter().map(|event| (event.who, event.held / GIB)).collect();
    let named =
        [("comfyui", 16), ("ollama", 8), ("comfyui", 0), ("ollama", 0)].map(|(who, held)| (who.to_owned(), held));
    assert_eq!(story, named);
    assert_eq!(card.switches(), 1);
}

#[tokio::test]
async fn a_process_that_dies_holds_nothing() {
    let (mut sim, comfy, _llm, _, card) = pair(16, 12).await;
    let id = comfy.submit(&sampler_graph(1, 4, "x"), "c").await;
    comfy.finished(&id).await;
    sim.kill().await;
    assert_eq!(card.events().last().map(|event| event.held), Some(0));
}
