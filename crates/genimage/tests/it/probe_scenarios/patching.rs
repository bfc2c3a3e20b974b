//! What reaches the workflow, and what comes back from it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hub_sim::ComfyConfig;
use serde_json::{Value, json};

use crate::bed::{Bed, WORKFLOW_NEGATIVE};
use crate::hub::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn seed_42_16_9_style_and_enhance_on_patch_all_slots() {
    let bed = Bed::start().await;
    let (_llm, _) = bed.llm(&[("", "enhanced text")]).await;
    bed.style("film", "cinematic", "blurry", &json!({})).await;
    let record = bed
        .succeeds(
            "generate_image",
            &json!({ "prompt": "a fox", "negative_prompt": "ugly", "render_type": "GEN", "seed": 42,
                "aspect_ratio": "16:9", "style_names": ["film"], "enhance_prompt": true }),
        )
        .await;
    let graph = bed.ran();
    assert_eq!(graph["2"]["inputs"]["text"], "enhanced text, cinematic");
    assert_eq!(graph["3"]["inputs"]["text"], "enhanced text, blurry");
    assert_eq!(graph["8"]["inputs"]["value"], 42);
    assert_eq!(graph["5"]["inputs"]["seed"], json!(["8", 0]), "the link to the seed stays");
    assert_eq!((&graph["4"]["inputs"]["width"], &graph["4"]["inputs"]["height"]), (&json!(1344), &json!(768)));
    let image = &record["images"][0];
    assert_eq!((&image["width"], &image["height"], &image["seed"]), (&json!(1344), &json!(768), &json!(42)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_negative_and_enhance_off_keep_the_workflows_own_text_and_size() {
    let bed = Bed::start().await;
    let (llm, _) = bed.llm(&[("", "enhanced text")]).await;
    let record = bed
        .succeeds(
            "generate_image",
            &json!({ "prompt": "a fox", "render_type": "GEN", "styles": [], "enhance_prompt": false }),
        )
        .await;
    let graph = bed.ran();
    assert_eq!(graph["2"]["inputs"]["text"], "a fox");
    assert_eq!(graph["3"]["inputs"]["text"], WORKFLOW_NEGATIVE);
    assert_eq!((&graph["4"]["inputs"]["width"], &graph["4"]["inputs"]["height"]), (&json!(256), &json!(128)));
    assert_eq!((&record["images"][0]["width"], &record["images"][0]["height"]), (&json!(256), &json!(128)));
    assert!(llm.requests().iter().all(|request| request.path != "/api/chat"), "the LLM was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn style_names_null_is_treated_as_omitted() {
    let bed = Bed::start().await;
    bed.style("house", "house style", "", &json!({ "is_default": true })).await;
    let mut ran = Vec::new();
    for arguments in [
        json!({ "prompt": "a fox", "render_type": "GEN", "seed": 1 }),
        json!({ "prompt": "a fox", "render_type": "GEN", "seed": 2, "style_names": null, "negative_prompt": null,
            "aspect_ratio": null, "enhance_prompt": null }),
    ] {
        bed.succeeds("generate_image", &arguments).await;
        ran.push(bed.ran()["2"]["inputs"]["text"].clone());
    }
    assert_eq!(ran, [json!("a fox, house style"), json!("a fox, house style")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explicit_render_type_gen_with_a_style_tied_to_hid_uses_gen_and_warns() {
    let bed = Bed::start().await;
    let tied = json!({ "render_types": ["HID"], "preferred_render_type": "HID" });
    bed.style("tied", "hidden style", "", &tied).await;
    let arguments = json!({ "prompt": "a fox", "render_type": "GEN", "style_names": ["tied"] });
    let record = bed.succeeds("generate_image", &arguments).await;
    assert_eq!(record["render_type"], "GEN");
    let warnings = record["warnings"].to_string();
    assert!(warnings.contains("tied") && warnings.contains("HID"), "{warnings}");
    assert_eq!(bed.ran()["2"]["inputs"]["text"], "a fox, hidden style");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_style_template_containing_braces_keeps_them_literally() {
    let bed = Bed::start().await;
    bed.style("odd", "{x} of {prompt} in {{curly}} {0}", "{y}", &json!({})).await;
    let arguments = json!({ "prompt": "a {fox}", "render_type": "GEN", "style_names": ["odd"] });
    bed.succeeds("generate_image", &arguments).await;
    let graph = bed.ran();
    assert_eq!(graph["2"]["inputs"]["text"], "{x} of a {fox} in {{curly}} {0}");
    assert_eq!(graph["3"]["inputs"]["text"], "{y}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_returns_two_images_returns_both_the_first_as_primary() {
    let bed = Bed::start().await;
    let record = bed.succeeds("generate_image", &json!({ "prompt": "a fox", "render_type": "TWO" })).await;
    let images = record["images"].as_array().unwrap();
    assert_eq!(images.len(), 2, "{record}");
    // What the server has, in the order in which its node listed it.
    let run = bed.sims[0].stats().executed.last().unwrap().prompt_id.clone();
    let history = bed.bytes(&format!("{}/history/{run}", bed.sims[0].url())).await;
    let history: Value = serde_json::from_slice(&history).unwrap();
    let listed = history[&run]["outputs"]["7"]["images"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    let mut seen = Vec::new();
    for (image, file) in images.iter().zip(listed) {
        let (name, folder) = (file["filename"].as_str().unwrap(), file["subfolder"].as_str().unwrap());
        let view = format!("{}/view?filename={name}&subfolder={folder}&type=output", bed.sims[0].url());
        let original = bed.bytes(&view).await;
        let kept = bed.bytes(image["url"].as_str().unwrap()).await;
        assert_eq!(kept, original, "{name}");
        seen.push(kept);
    }
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_ws_preview_frame_is_shown_as_progress_preview() {
    let bed = Bed::with_servers(1, ComfyConfig { run_ms: 3_000, preview: true, ..ComfyConfig::default() }).await;
    let job = bed.edge.submit(&json!({ "prompt": "a fox", "render_type": "GEN" })).await;
    let seen = async {
        loop {
            let page = bed.bytes(&format!("{}/jobs/{job}", bed.edge.url)).await;
            if let Some(picture) = preview_of(&String::from_utf8(page).unwrap()) {
                return picture;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let picture = tokio::time::timeout(PATIENCE, seen).await.expect("the job's page shows a preview");
    image::load_from_memory_with_format(&picture, image::ImageFormat::Jpeg).unwrap();
    let ended = bed.edge.wait_for_state(&job, &["succeeded", "failed"]).await;
    assert_eq!(ended["state"], "succeeded");
}

/// The picture of the unfinished work that a page holds.
fn preview_of(page: &str) -> Option<Vec<u8>> {
    let page = page.replace("&#x2f;", "/");
    let (_, rest) = page.split_once("data:image/jpeg;base64,")?;
    STANDARD.decode(rest.split('"').next()?).ok()
}
