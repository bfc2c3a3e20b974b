//! The pictures: real PNGs of the size the graph asks for, with the metadata of the real server.

use std::collections::BTreeMap;

use hub_sim::ComfyConfig;
use serde_json::{Value, json};

use crate::harness::{Client, json_fixture, recorded, sampler_graph, start};

/// Size and text chunks of a PNG.
fn read(png: &[u8]) -> ((u32, u32), BTreeMap<String, String>) {
    let decoder = png::Decoder::new(std::io::Cursor::new(png.to_vec()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let info = reader.info();
    let texts = info.uncompressed_latin1_text.iter().map(|t| (t.keyword.clone(), t.text.clone())).collect();
    ((info.width, info.height), texts)
}

async fn pictures(client: &Client, entry: &Value) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for output in entry["outputs"].as_object().unwrap().values() {
        for image in output["images"].as_array().unwrap() {
            let text = |name: &str| image[name].as_str().unwrap();
            let path =
                format!("/view?filename={}&subfolder={}&type={}", text("filename"), text("subfolder"), text("type"));
            all.push(client.bytes(&path).await);
        }
    }
    all
}

#[tokio::test]
async fn a_saved_picture_carries_prompt_and_workflow() {
    let (_sim, client) = start(recorded("0.33.0")).await;
    let graph = sampler_graph(u64::MAX, 1, "meta/x");
    let workflow = json!({"id": "demo", "nodes": [], "note": "füchse"});
    let body = json!({"prompt": graph, "extra_data": {"extra_pnginfo": {"workflow": workflow}}});
    let (_, answer) = client.post("/prompt", body).await;
    let entry = client.finished(answer["prompt_id"].as_str().unwrap()).await;
    let all = pictures(&client, &entry).await;
    let (size, texts) = read(&all[0]);
    assert_eq!(size, (64, 64));
    assert_eq!(serde_json::from_str::<Value>(&texts["prompt"]).unwrap(), graph);
    assert!(texts["prompt"].starts_with("{\"3\": {\"class_type\": \"KSampler\", "), "{}", texts["prompt"]);
    assert_eq!(texts["workflow"], "{\"id\": \"demo\", \"nodes\": [], \"note\": \"f\\u00fcchse\"}");
}

#[tokio::test]
async fn pictures_are_deterministic_and_differ_by_seed_and_batch_index() {
    let (_sim, client) = start(recorded("0.33.0")).await;
    let mut seen = Vec::new();
    for (seed, prefix) in [(1, "a"), (1, "b"), (2, "b")] {
        let mut graph = sampler_graph(seed, 1, "same");
        graph["5"]["inputs"]["batch_size"] = json!(2);
        graph["9"]["inputs"]["filename_prefix"] = json!(format!("{prefix}/%width%x%height%"));
        let id = client.submit(&graph, "c").await;
        let entry = client.finished(&id).await;
        let images = entry["outputs"]["9"]["images"].as_array().unwrap().clone();
        assert_eq!(images.len(), 2);
        assert!(images[0]["filename"].as_str().unwrap().starts_with("64x64_0000"));
        seen.push(pictures(&client, &entry).await);
    }
    let pixels = |png: &[u8]| image::load_from_memory(png).unwrap().to_rgb8().into_raw();
    assert_eq!(pixels(&seen[0][0]), pixels(&seen[1][0]));
    assert_ne!(pixels(&seen[1][0]), pixels(&seen[2][0]));
    assert_ne!(pixels(&seen[0][0]), pixels(&seen[0][1]));
}

#[tokio::test]
async fn sizes_follow_the_graph() {
    let (_sim, client) = start(ComfyConfig { run_ms: 0, ..ComfyConfig::default() }).await;
    let graphs = json_fixture("standard_graphs_api.json");
    // The pictures of the input folder are 192 pixels square.
    for (name, size) in [
        ("txt2img_sd15", (512, 512)),
        ("img2img_remix_sdxl", (1024, 1024)),
        ("inpaint_sd_alpha_mask", (192, 192)),
        ("outpaint_flux_fill", (704, 192)),
        ("upscale_model", (384, 384)),
        ("upscale_hires_diffusion", (384, 384)),
        ("edit_flux_kontext", (1024, 1024)),
        ("txt2img_flux2_klein", (1024, 1024)),
    ] {
        let id = client.submit(&graphs[name], "c").await;
        let entry = client.finished(&id).await;
        assert_eq!(entry["status"]["status_str"], "success", "{name}");
        assert_eq!(read(&pictures(&client, &entry).await[0]).0, size, "{name}");
    }
}
