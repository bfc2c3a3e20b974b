//! A picture that is downloaded carries the workflow that made it, and the hub takes that back.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    forms::send,
    hub::{Answer, Hub},
    markup::{Piece, forms, pieces},
};

/// The texts that a PNG holds besides its pixels, by their keywords.
fn texts(png: &[u8]) -> BTreeMap<String, String> {
    // Latin-1 by definition.
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let mut rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n").expect("a PNG");
    let mut found = BTreeMap::new();
    while let Some((head, tail)) = rest.split_at_checked(8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (data, after) = tail.split_at(length);
        if head.ends_with(b"tEXt") {
            let at = data.iter().position(|byte| *byte == 0).expect("a keyword");
            found.insert(text(&data[..at]), text(&data[at + 1..]));
        }
        // Behind each chunk stands its check sum.
        rest = &after[4..];
    }
    found
}

/// Downloads the one picture of a page by its link; answers its name and the file.
async fn downloaded(hub: &Hub, page: &str) -> (String, Answer) {
    let html = hub.page(page).await.text();
    let mut links = pieces(&html).into_iter().filter_map(|piece| match piece {
        Piece::Start(tag, attributes) if tag == "a" && attributes.contains_key("download") => Some(attributes),
        _ => None,
    });
    let link = links.next().unwrap_or_else(|| panic!("nothing to download on {page}: {html}"));
    assert!(links.next().is_none(), "{page} has one picture: {html}");
    let file = hub.page(&link["href"]).await;
    let (name, kind) = (&link["download"], file.header("content-type"));
    assert_eq!((file.status, kind), (StatusCode::OK, "image/png"), "{page}");
    assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"{name}\""), "{page}");
    (name.clone(), file)
}

/// The places of a workflow that the hub sets, by their kinds.
fn places(workflow: &Value) -> BTreeMap<String, Value> {
    let slots = workflow["slots"].as_array().unwrap_or_else(|| panic!("{workflow}"));
    slots.iter().map(|slot| (slot["kind"].to_string(), slot["targets"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downloaded_picture_holds_its_workflow_and_is_imported_as_one() {
    let hub = Hub::with_server(5).await;
    let sent = hub.form("/playground/generate_image", "prompt=B%C3%BCro+%F0%9F%A6%8A&styles=anime&seed=4711").await;
    let job = sent.header("location").strip_prefix("/jobs/").unwrap_or_else(|| panic!("{}", sent.text())).to_owned();
    assert_eq!(hub.ended(&job).await["state"], "succeeded");
    let (name, file) = downloaded(&hub, "/gallery").await;
    let (_, same) = downloaded(&hub, &format!("/jobs/{job}")).await;
    assert_eq!(file.body, same.body, "one file, wherever it is downloaded");

    // Whoever opens it in ComfyUI gets the graph that was run, with what was asked for.
    let graph: Value = serde_json::from_str(&texts(&file.body)["prompt"]).expect("a graph");
    assert_eq!(graph["2"]["inputs"]["text"], "anime, Büro 🦊", "{graph}");
    assert_eq!((&graph["5"]["class_type"], &graph["5"]["inputs"]["seed"]), (&json!("KSampler"), &json!(4711)));

    // The import takes the file as it is, and names the workflow after it.
    let html = hub.page("/workflows").await.text();
    let form = forms("/workflows", &html).into_iter().find(|form| form.action == "/workflows").expect("an import");
    let imported = send(&hub, &form, &form.pairs(&[]), Some(("file", name.as_str(), &file.body[..]))).await;
    assert_eq!(imported.status, StatusCode::SEE_OTHER, "{}", imported.text());
    let page = hub.page(imported.header("location")).await.text();
    assert!(page.contains("Workflow imported"), "{page}");
    let path = imported.header("location").split('?').next().expect("a path");
    assert_eq!(hub.get(&format!("{path}/graph.json")).await.json(), graph);
    let stored = hub.get(&format!("/api/v1{path}")).await.json();
    assert_eq!(Some(stored["name"].as_str().expect("a name")), name.strip_suffix(".png"));
    let origin: Value = serde_json::from_str(include_str!("../../../../workflows/txt2img-sd15.json")).expect("JSON");
    let origin = hub.json("POST", "/api/v1/workflows", &json!({ "name": "origin", "graph": origin })).await.json();
    assert_eq!(places(&stored), places(&origin), "what the hub sets is found in it again");

    // And it runs.
    let render_type = json!({ "name": "again", "workflow": stored["name"], "mode": "generate", "visible": true });
    let added = hub.json("POST", "/api/v1/render-types", &render_type).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    let arguments = json!({ "prompt": "a hen", "render_type": "again" });
    let sent = hub.json("POST", "/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await;
    let ended = hub.ended(sent.json()["id"].as_str().unwrap_or_else(|| panic!("{}", sent.text()))).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
}
