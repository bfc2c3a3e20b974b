//! Several pictures of one call, as a client sees them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::harness::{TestHub, error, record};

/// Picture data of one answer, in bytes before base64, that every client bears.
const INLINE_MAX_BYTES: usize = 700_000;

#[tokio::test]
async fn four_pictures_come_in_one_answer_within_the_inline_budget() {
    let hub = TestHub::start(0).await;
    let arguments = json!({"prompt": "foxes", "render_type": "sd15", "seed": 7, "n": 4, "styles": [], "enhance": false,
        "width": 1024, "height": 1024});
    let result = hub.call("generate_image", arguments.clone()).await;
    assert_eq!(result["isError"], false, "{result}");
    let blocks = result["content"].as_array().unwrap();
    let of = |kind: &str| blocks.iter().filter(|block| block["type"] == kind).collect::<Vec<_>>();
    let pictures: Vec<Vec<u8>> =
        of("image").into_iter().map(|block| STANDARD.decode(block["data"].as_str().unwrap()).unwrap()).collect();
    assert_eq!(pictures.len(), 4);
    assert!(pictures.iter().map(Vec::len).sum::<usize>() <= INLINE_MAX_BYTES);

    let record = record(&result);
    let seeds: Vec<&Value> = record["images"].as_array().unwrap().iter().map(|image| &image["seed"]).collect();
    assert_eq!(seeds, [7, 8, 9, 10]);
    assert_eq!((&record["seed"], &record["status"]), (&json!(7), &json!("succeeded")));
    let text = of("text")[0]["text"].as_str().unwrap();
    assert!(text.contains("4 outputs") && text.contains("seed 10"), "{text}");

    // One job, whoever asks for it and however.
    let again = hub.call("get_job", json!({"job_id": record["job"]})).await;
    assert_eq!(again["content"].as_array().unwrap().len(), blocks.len());
    let repeated = hub.call("generate_image", arguments).await;
    assert_eq!(crate::harness::record(&repeated)["job"], record["job"]);
}

#[tokio::test]
async fn a_number_of_pictures_out_of_range_is_refused_by_name() {
    let hub = TestHub::start(0).await;
    for n in [json!(0), json!(17), json!("four")] {
        let result = hub.call("generate_image", json!({"prompt": "foxes", "n": n})).await;
        let told = error(&result);
        assert_eq!((&told["code"], &told["argument"]), (&json!("bad_argument"), &json!("n")));
        assert!(told["message"].as_str().unwrap().contains("from 1 to 16"), "{told}");
    }
}
