//! Every field that takes a file, given what is not what it claims to be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{all_forms, answers::told_beside, full_hub, send, taken_for_markup, things};
use crate::{
    hub::Hub,
    markup::{Field, Form, forms},
    places::kind_of,
};

/// Forms with files, and their fields.
const FILES: [(&str, &str); 10] = [
    ("/configuration/import", "file"),
    ("/playground/describe_image", "file"),
    ("/playground/detail_image", "file"),
    ("/playground/detail_image", "mask_file"),
    ("/playground/edit_image", "file"),
    ("/playground/upscale_image", "file"),
    ("/render-types/import", "file"),
    ("/styles/import", "file"),
    ("/workflows", "file"),
    ("/workflows/wf/test-run", "file"),
];

/// The field beside which is told what is wrong with a file.
fn place_of(form: &Form, field: &Field) -> &'static str {
    match (kind_of(&form.action).as_str(), field.name.as_str()) {
        ("/configuration/import" | "/render-types/import" | "/styles/import", _) => "file",
        ("/workflows", _) => "graph",
        (_, "mask_file") => "mask",
        _ => "image",
    }
}

/// A form is refused for its file, and everything else stays as it was.
async fn is_refused(hub: &Hub, form: &Form, field: &Field, name: &str, bytes: &[u8]) {
    let before = things(hub).await;
    let has_prompt = form.fields.iter().any(|field| field.name == "prompt");
    let asked: &[(&str, &str)] = if has_prompt { &[("prompt", "kept words")] } else { &[] };
    let answer = send(hub, form, &form.pairs(asked), Some((field.name.as_str(), name, bytes))).await;
    let html = answer.text();
    let about = format!("{} with {name:?} as {}", form.action, field.name);
    assert!(answer.status.is_client_error(), "{about}: {} {}", answer.status, answer.header("location"));
    assert!(html.contains("role=\"alert\""), "{about}: {html}");
    // What a workflow is named after may be at fault too.
    let beside = told_beside(&answer);
    assert!(name.contains('"') || beside.contains(place_of(form, field)), "{about}: told beside {beside:?}");
    assert_eq!(taken_for_markup(&html), None, "{about}");
    assert!(!has_prompt || html.contains("kept words"), "{about}: the prompt is gone");
    assert_eq!(things(hub).await, before, "{about} left something behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_what_they_claim_are_refused() {
    let hub = full_hub().await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let cut = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x10\0\0\0\x10\0\x08\x06\0\0\0";
    let files: [(&str, &[u8]); 6] = [
        ("fox.png", b"<html><script>alert(1)</script>"),
        ("fox.png", svg),
        ("fox.png", cut),
        ("\"><img src=x onerror=alert(1)>.webp", b"RIFF\0\0\0\0WEBPVP8 "),
        ("table.csv", b"PK\x03\x04\0\0\xff\xfe\0"),
        ("graph.json", b"\xff\xd8\xff\xe0\0\x10JFIF"),
    ];
    let mut found = all_forms(&hub).await;
    // The test run of a workflow that works on a picture.
    let graph: Value = serde_json::from_str(include_str!("../../../../../workflows/img2img-sdxl.json")).expect("JSON");
    let stored = hub.json("POST", "/api/v1/workflows", &json!({"name": "img2img", "graph": graph})).await.json();
    let path = format!("/workflows/{}", stored["id"].as_str().expect("an id"));
    let page = hub.page(&path).await;
    found.extend(forms(&path, std::str::from_utf8(&page.body).expect("text")));
    let mut tried: BTreeSet<(String, String)> = BTreeSet::new();
    for form in &found {
        for field in form.fields.iter().filter(|field| field.kind == "file") {
            tried.insert((kind_of(&form.action), field.name.clone()));
            for (name, bytes) in files {
                is_refused(&hub, form, field, name, bytes).await;
            }
        }
    }
    let known = FILES.map(|(form, field)| (form.to_owned(), field.to_owned()));
    assert_eq!(tried, known.into(), "each field that takes a file is tried");
}
