//! Servers and LLM servers: added, used, deleted.

use hub_engine::{DescribeTemplates, EnhanceTemplates};
use hub_sim::{ComfyConfig, ComfySim};
use serde_json::json;

use crate::bed::{Bed, any_port};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_lists_no_tools_and_the_page_hints_at_the_setup() {
    let bed = Bed::empty().await;
    let (status, answer) = bed.edge.post("/mcp", &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
    assert_eq!((status, answer), (200, json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [] } })));
    let page = bed.bytes(&format!("{}/", bed.edge.url)).await;
    assert!(String::from_utf8(page).unwrap().contains("Add a ComfyUI server"));
    let error = bed.fails("generate_image", &json!({ "prompt": "a fox" })).await;
    assert_eq!(error["code"], "no_server", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("ComfyUI server"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_with_trailing_slash_is_normalised_on_save_and_works() {
    let bed = Bed::start().await;
    for (name, prefix) in [("plain", None), ("below", Some("/comfy".to_owned()))] {
        let sim = ComfySim::start(any_port(), ComfyConfig { run_ms: 0, path_prefix: prefix, ..ComfyConfig::default() });
        let sim = sim.await.unwrap();
        let body = json!({ "name": name, "base_url": format!("{}/", sim.url()) });
        let saved = bed.created("servers", &body).await;
        assert_eq!(saved["base_url"], sim.url(), "the slash is gone");
        bed.edge.wait_for(&format!("/api/v1/servers/{name}"), |server| server["state"] == "ready").await;
        let again = json!({ "name": "again", "base_url": sim.url() });
        let (status, refusal) = bed.edge.post("/api/v1/servers", &again).await;
        assert_eq!((status, &refusal["argument"]), (409, &json!("base_url")), "one address, one server: {refusal}");

        // Alone in the pool, so that the job is its own.
        for other in bed.edge.get("/api/v1/servers").await["servers"].as_array().unwrap() {
            if other["name"] != name {
                let url = format!("{}/api/v1/servers/{}", bed.edge.url, other["id"].as_str().unwrap());
                assert_eq!(bed.edge.http.delete(url).send().await.unwrap().status().as_u16(), 204);
            }
        }
        let record = bed.succeeds("generate_image", &json!({ "prompt": name, "render_type": "GEN" })).await;
        assert_eq!(record["server"], name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_image_answers_a_description() {
    let bed = Bed::start().await;
    let (_llm, _) = bed.llm(&[("", "A red fox in fresh snow.")]).await;
    let made =
        bed.succeeds("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN", "enhance": false })).await;
    let described = bed.succeeds("describe_image", &json!({ "image": made["images"][0]["id"] })).await;
    assert_eq!(described["description"], "A red fox in fresh snow.");
    let job = bed.edge.get(&format!("/api/v1/jobs/{}", described["job"].as_str().unwrap())).await;
    assert_eq!((&job["tool"], &job["text"]), (&json!("describe_image"), &json!("A red fox in fresh snow.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_ollama_instance_in_use_detaches_it_and_keeps_the_templates() {
    let bed = Bed::start().await;
    let (_llm, server) = bed.llm(&[("", "enhanced text")]).await;
    let describe = DescribeTemplates { natural: "Say what you see.".to_owned(), ..DescribeTemplates::default() };
    let enhance = EnhanceTemplates { prompt: "Reword it.".to_owned(), ..EnhanceTemplates::default() };
    bed.hub.engine.describe_templates_edit(|_| Ok(describe.clone())).await.unwrap();
    bed.hub.engine.enhance_templates_edit(|_| Ok(enhance.clone())).await.unwrap();
    let first = bed.succeeds("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN" })).await;
    assert_eq!(first["enhanced"], true, "it is in use");

    let url = format!("{}/api/v1/llm-servers/{}", bed.edge.url, server["id"].as_str().unwrap());
    assert_eq!(bed.edge.http.delete(url).send().await.unwrap().status().as_u16(), 204);
    let roles = bed.edge.get("/api/v1/llm-roles").await;
    assert_eq!(roles["roles"], json!({ "enhance": null, "describe": null, "prompt_generator": null }));
    assert_eq!(bed.hub.engine.describe_templates().await.unwrap(), describe);
    assert_eq!(bed.hub.engine.enhance_templates().await.unwrap(), enhance);
    // The picture is still made, and the answer says why it is plain.
    let second = bed.succeeds("generate_image", &json!({ "prompt": "a fox", "render_type": "GEN", "seed": 2 })).await;
    assert_eq!(second["enhanced"], false, "{second}");
    assert!(second["not_enhanced_because"].is_string(), "{second}");
}
