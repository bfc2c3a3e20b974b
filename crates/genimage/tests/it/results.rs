//! What comes back from calls that go well: seeds, sizes, files that are no pictures.

use hub_sim::Fault;
use serde_json::{Value, json};

use crate::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn a_given_seed_is_used_and_returned_and_none_means_a_random_one() {
    let bed = Bed::start().await;
    let seed_of = async |seed: Value| {
        let arguments = json!({ "prompt": "a fox", "render_type": "GEN", "seed": seed, "inline": "none" });
        let record = bed.succeeds("generate_image", &arguments).await;
        let seed = record["images"][0]["seed"].as_u64().unwrap();
        assert_eq!(bed.ran()["8"]["inputs"]["value"].as_u64(), Some(seed), "what is told is what ran");
        assert_eq!(record["seed"].as_u64(), Some(seed));
        seed
    };
    assert_eq!(seed_of(json!(0)).await, 0, "zero is a seed");
    assert_eq!(seed_of(json!(1_234_567_890_123_u64)).await, 1_234_567_890_123);
    let random = [seed_of(Value::Null).await, seed_of(Value::Null).await];
    assert_ne!(random[0], random[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_aspect_ratio_has_its_size_in_the_shipped_render_type() {
    let bed = Bed::start().await;
    for (ratio, width, height) in [
        ("1:1", 1024, 1024),
        ("16:9", 1344, 768),
        ("9:16", 768, 1344),
        ("4:3", 1152, 896),
        ("3:4", 896, 1152),
        ("3:2", 1216, 832),
        ("2:3", 832, 1216),
        ("21:9", 1536, 640),
        ("9:21", 640, 1536),
    ] {
        let arguments =
            json!({ "prompt": "a fox", "render_type": "sdxl", "aspect_ratio": ratio, "inline": "none", "wait_s": 0 });
        let result = bed.edge.call("generate_image", &arguments).await;
        let job = result["_meta"]["io.genimage/result"]["job"].as_str().unwrap();
        let job = bed.edge.get(&format!("/api/v1/jobs/{job}")).await;
        let size = &job["recipe"]["size"];
        assert_eq!((&size["width_px"], &size["height_px"]), (&json!(width), &json!(height)), "{ratio}: {job}");
    }
    let exact = json!({ "prompt": "a fox", "render_type": "GEN", "width": 640, "height": 384, "inline": "none" });
    let record = bed.succeeds("generate_image", &exact).await;
    assert_eq!((&record["images"][0]["width"], &record["images"][0]["height"]), (&json!(640), &json!(384)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_kept_as_a_file_with_its_link() {
    let bed = Bed::start().await;
    // The smallest head of an MP4 file: what counts is the content, not the name.
    let film = "\0\0\0\u{18}ftypmp42\0\0\0\0mp42isom".to_owned();
    bed.sims[0].inject(Fault::Http { route: "GET /view".to_owned(), status: 200, body: film.clone() }.always());
    let result = bed.edge.call("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN" })).await;
    assert_eq!(result["isError"], false, "{result}");
    let record = &result["_meta"]["io.genimage/result"];
    assert_eq!((&record["images"], &record["files"][0]["mime"]), (&json!([]), &json!("video/mp4")), "{record}");
    let blocks: Vec<&str> =
        result["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(blocks, ["text", "resource_link"]);
    assert_eq!(bed.bytes(record["files"][0]["url"].as_str().unwrap()).await, film.as_bytes());
    let job = bed.edge.get(&format!("/api/v1/jobs/{}", record["job"].as_str().unwrap())).await;
    assert_eq!((&job["images"], &job["files"][0]["kind"]), (&json!([]), &json!("video")), "{job}");
}
