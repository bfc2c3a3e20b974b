//! What must be refused, in which words, and before any GPU work.

use std::fs;

use serde_json::json;

use crate::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_style_21_9_seed_minus_5_and_denoise_1_5_are_refused_listing_valid_values() {
    let bed = Bed::start().await;
    bed.style("film", "cinematic", "", &json!({})).await;
    let refused = async |tool: &str, more: serde_json::Value| {
        let mut arguments = json!({ "prompt": "a fox", "render_type": "GEN" });
        for (key, value) in more.as_object().unwrap() {
            arguments[key] = value.clone();
        }
        bed.fails(tool, &arguments).await
    };

    let style = refused("generate_image", json!({ "style_names": ["fillm"] })).await;
    assert_eq!((&style["code"], &style["argument"]), (&json!("unknown_style"), &json!("styles")));
    assert!(style["valid_values"].as_array().unwrap().contains(&json!("film")), "{style}");
    assert!(style["hint"].as_str().unwrap().contains("film"), "{style}");

    // GEN's table holds two ratios.
    let ratio = refused("generate_image", json!({ "aspect_ratio": "21:9" })).await;
    assert_eq!((&ratio["code"], &ratio["argument"]), (&json!("bad_argument"), &json!("aspect_ratio")));
    assert_eq!(ratio["valid_values"], json!(["1:1", "16:9"]));

    let seed = refused("generate_image", json!({ "seed": -5 })).await;
    assert_eq!((&seed["code"], &seed["argument"]), (&json!("bad_argument"), &json!("seed")));
    assert!(seed["message"].as_str().unwrap().contains(&u64::MAX.to_string()), "{seed}");

    let image = "data:image/png;base64,iVBORw0KGgo=";
    let denoise = refused("upscale_image", json!({ "image": image, "render_type": "UP", "denoise": 1.5 })).await;
    assert_eq!((&denoise["code"], &denoise["argument"]), (&json!("bad_argument"), &json!("denoise")));
    assert!(denoise["message"].as_str().unwrap().contains("from 0 to 1"), "{denoise}");
    assert_eq!(bed.posted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_2_pow_70_is_refused_and_any_u64_is_kept() {
    let bed = Bed::start().await;
    // As text, since no number type here holds it.
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image",
        "arguments":{"prompt":"a fox","render_type":"GEN","seed":1180591620717411303424}}}"#;
    let answer = bed.edge.http.post(format!("{}/mcp", bed.edge.url)).body(body).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let error = &answer["result"]["_meta"]["io.genimage/error"];
    assert_eq!((&error["code"], &error["argument"]), (&json!("bad_argument"), &json!("seed")), "{answer}");
    assert_eq!(bed.posted(), 0);

    // GEN's node takes 63 bits: more is refused as the caller's, not lost. The shipped workflows take all 64.
    let narrow =
        bed.fails("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN", "seed": u64::MAX })).await;
    assert_eq!((&narrow["code"], &narrow["argument"]), (&json!("bad_argument"), &json!("seed")), "{narrow}");
    assert!(narrow["message"].as_str().unwrap().contains(&i64::MAX.to_string()), "{narrow}");
    let wide = json!({ "prompt": "a fox", "render_type": "smoke", "seed": u64::MAX, "width": 64, "height": 64 });
    let record = bed.succeeds("generate_image", &wide).await;
    let job = bed.edge.get(&format!("/api/v1/jobs/{}", record["job"].as_str().unwrap())).await;
    assert_eq!(job["images"][0]["seed"].as_u64(), Some(u64::MAX), "the history has its row");
    assert!(bed.ran().to_string().contains(&u64::MAX.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn generate_image_with_an_upscale_render_type_is_refused() {
    let bed = Bed::start().await;
    let error = bed.fails("generate_image", &json!({ "prompt": "a fox", "render_type": "UP" })).await;
    assert_eq!((&error["code"], &error["argument"]), (&json!("wrong_mode"), &json!("render_type")));
    assert!(error["valid_values"].as_array().unwrap().contains(&json!("GEN")), "{error}");
    assert!(!error["valid_values"].as_array().unwrap().contains(&json!("UP")), "{error}");
    assert_eq!(bed.posted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn upscale_with_the_url_of_the_hubs_own_db_file_is_refused() {
    let bed = Bed::start().await;
    assert!(fs::metadata(bed.database()).unwrap().len() > 0);
    let (url, path) = (&bed.edge.url, bed.database());
    for image in [
        format!("{url}/data/hub.db"),
        format!("{url}/hub.db"),
        format!("{url}/outputs/../hub.db"),
        format!("{url}/outputs/..%2F..%2Fhub.db"),
        format!("{url}/outputs/{}", path.display()),
        format!("file://{}", path.display()),
        path.display().to_string(),
    ] {
        let error = bed.fails("upscale_image", &json!({ "image": image, "render_type": "UP" })).await;
        let code = error["code"].as_str().unwrap();
        assert!(["input_image", "bad_argument"].contains(&code), "{image}: {error}");
        assert_eq!(error["argument"], "image", "{image}: {error}");
    }
    assert_eq!(bed.posted(), 0);
    let uploads = bed.sims[0].stats().requests_by_route.get("POST /upload/image").copied();
    assert_eq!(uploads, None);
}
