//! Workflows in ComfyUI's saved format: converted with a server's node list, or refused with words that help.

use hub_core::{
    catalogue::{Mode, RenderType},
    error::ErrorCode,
};
use hub_engine::{EngineConfig, ImportOptions};
use hub_sim::SimAuth;
use serde_json::{Value, json};

use crate::{fixture::servers, hub::Hub};

/// Two instances of a subgraph between an empty picture and the savers.
fn saved() -> Value {
    let file = include_str!("../../../comfyui/tests/fixtures/saved/subgraph_twice.json");
    serde_json::from_str::<Value>(file).unwrap()["ui"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_workflow_is_converted_and_runs() {
    let test = servers(1).start().await;
    let imported = test.engine.workflow_import_value("mine", &saved(), "").await.unwrap();
    let converted = imported.converted.expect("it says how");
    assert_eq!((converted.server.as_str(), converted.warnings), ("gpu-1", Vec::new()));
    assert_eq!(imported.workflow.graph["11:2"]["class_type"], "ImageInvert");

    test.engine.render_type_save(RenderType::new("mine", "mine", Mode::Generate)).await.unwrap();
    let job = test.submit("generate_image", json!({ "prompt": "a", "render_type": "mine" })).await;
    test.success(job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_workflow_inside_a_wrapper_or_a_file_is_found() {
    let test = servers(1).start().await;
    let wrapped = json!({ "workflow": saved() });
    for imported in [
        test.engine.workflow_import_value("mine", &wrapped, "").await.unwrap(),
        test.engine.workflow_import("mine", wrapped.to_string().as_bytes(), "").await.unwrap(),
    ] {
        assert_eq!(imported.converted.unwrap().server, "gpu-1");
    }
    // Where the graph itself came along, it is taken as it is.
    let both = json!({ "prompt": {"1": {"class_type": "EmptyImage", "inputs": {}}}, "workflow": saved() });
    let imported = test.engine.workflow_import_value("mine", &both, "").await.unwrap();
    assert_eq!((imported.converted, imported.workflow.version), (None, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_no_server_has_are_named_with_the_server() {
    let test = servers(2).start().await;
    let mut saved = saved();
    saved["nodes"][0]["type"] = json!("FooBar");
    let error = test.engine.workflow_import_value("mine", &saved, "").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::WorkflowInvalid);
    assert!(error.message.contains("node 10 (`FooBar`) is not installed on gpu-1"), "{}", error.message);
    assert!(error.hint.unwrap().contains("Export (API)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_the_way_to_export_is_told() {
    let test = servers(0).start().await;
    let error = test.engine.workflow_import_value("mine", &saved(), "").await.unwrap_err();
    assert_eq!((error.code, error.argument.as_deref()), (ErrorCode::WorkflowInvalid, Some("graph")));
    assert!(error.message.contains("no server is connected"), "{}", error.message);
    assert!(error.hint.unwrap().contains("File > Export (API)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_passed_over() {
    let test = servers(2)
        .server(0, |sim| sim.auth = Some(SimAuth::Bearer { token: "secret".to_owned() }))
        .start_unready()
        .await;
    test.until("the second server is ready", || test.engine.servers()[1].state.takes_work()).await;
    let imported = test.engine.workflow_import_value("mine", &saved(), "").await.unwrap();
    assert_eq!(imported.converted.unwrap().server, "gpu-2");
}

#[tokio::test]
async fn a_configuration_file_whose_workflow_does_not_serve_is_at_fault_itself() {
    let hub = Hub::empty(EngineConfig::default()).await;
    let graph = json!({"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1}}});
    let file = json!({
        "format": "genimage-config", "version": 1, "workflows": [{"name": "w", "graph": graph}],
        "render_types": [{"name": "r", "workflow": "w", "mode": "generate"}],
    });
    let options = ImportOptions::default();
    let refused = hub.engine.config_import(file.to_string().as_bytes(), &options).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::BadArgument, "{refused:?}");
    assert_eq!(refused.argument.as_deref(), Some("render_types[0].workflow"));
    assert!(refused.message.contains("no slot for an output"), "{refused:?}");
}
