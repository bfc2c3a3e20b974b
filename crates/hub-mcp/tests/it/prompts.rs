//! Prompts and completion, in both eras.

use serde_json::{Value, json};

use crate::{
    current_era::{ask, quick},
    harness::{TestHub, job_of, record},
    older_eras::Session,
};

/// Asks in both eras; the answers must agree where they say the same.
async fn both(hub: &TestHub, session: &Session<'_>, method: &str, params: Value) -> Value {
    let current = ask(hub, method, params.clone()).await;
    let older = session.ask(method, params).await;
    for key in ["prompts", "messages", "completion"] {
        assert_eq!(current["result"][key], older["result"][key], "{method}");
    }
    assert_eq!(current["error"], older["error"], "{method}");
    current
}

#[tokio::test]
async fn each_prompt_needs_what_it_says_and_names_what_is_valid() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let listed = both(&hub, &session, "prompts/list", json!({})).await;
    let prompts = listed["result"]["prompts"].as_array().unwrap();
    assert!(prompts.len() >= 5, "{prompts:?}");
    for prompt in prompts {
        let arguments = prompt["arguments"].as_array().unwrap();
        let given: Value =
            arguments.iter().map(|one| (one["name"].as_str().unwrap().to_owned(), json!("xyzzy"))).collect();
        let got = both(&hub, &session, "prompts/get", json!({"name": prompt["name"], "arguments": given})).await;
        let text = got["result"]["messages"][0]["content"]["text"].as_str().unwrap();
        assert_eq!(text.matches("xyzzy").count(), arguments.len(), "every argument is used: {text}");
        let missing = both(&hub, &session, "prompts/get", json!({"name": prompt["name"], "arguments": {}})).await;
        let required = arguments.iter().find(|one| one["required"] == true).unwrap();
        assert_eq!(
            (&missing["error"]["code"], &missing["error"]["data"]["argument"]),
            (&json!(-32602), &required["name"])
        );
        let mut odd = given.clone();
        odd["colour"] = json!("red");
        let odd = both(&hub, &session, "prompts/get", json!({"name": prompt["name"], "arguments": odd})).await;
        assert_eq!((&odd["error"]["code"], &odd["error"]["data"]["argument"]), (&json!(-32602), &json!("colour")));
    }
    let unknown = both(&hub, &session, "prompts/get", json!({"name": "nope", "arguments": {}})).await;
    assert!(unknown["error"]["message"].as_str().unwrap().contains("make_picture"), "{unknown}");
}

#[tokio::test]
async fn styles_render_types_sizes_and_ids_are_completed() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let made = ask(&hub, "tools/call", quick(&json!({}))).await["result"].take();
    let image = record(&made)["images"][0]["id"].as_str().unwrap().to_owned();
    let job = job_of(&made).to_string();
    let prompt = json!({"type": "ref/prompt", "name": "make_picture"});
    let template = |noun: &str, argument: &str| json!({"type": "ref/resource", "uri": format!("genimage://{noun}/{{{argument}}}")});
    for (reference, argument, typed, expected) in [
        (prompt.clone(), "style", "photo-m", "photo-macro"),
        (prompt.clone(), "render_type", "SD1", "sd15"),
        (prompt.clone(), "size", "16", "16:9"),
        (json!({"type": "ref/prompt", "name": "improve_picture"}), "image", "img_", image.as_str()),
        (template("styles", "name"), "name", "photo-m", "photo-macro"),
        (template("render-types", "name"), "name", "upscale-4", "upscale-4x"),
        (template("images", "id"), "id", "", image.as_str()),
        (template("jobs", "id"), "id", "job_", job.as_str()),
        (template("recipes", "id"), "id", "", job.as_str()),
    ] {
        let params = json!({"ref": reference, "argument": {"name": argument, "value": typed}});
        let answer = both(&hub, &session, "completion/complete", params).await;
        assert_eq!(answer["result"]["completion"]["values"][0], expected, "{argument} {typed}: {answer}");
    }
    let within = json!({"ref": prompt, "argument": {"name": "size", "value": ""}, "context": {"arguments": {"render_type": "sd15"}}});
    let answer = both(&hub, &session, "completion/complete", within).await;
    let sizes = hub.engine.catalogue().render_type("sd15").unwrap().sizes.len();
    assert_eq!(answer["result"]["completion"]["values"].as_array().unwrap().len(), sizes);
    let nothing = json!({"ref": prompt, "argument": {"name": "subject", "value": "a"}});
    assert_eq!(both(&hub, &session, "completion/complete", nothing).await["result"]["completion"]["values"], json!([]));
}
