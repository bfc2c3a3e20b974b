//! Refused prompts, as both server versions word them.

use axum::Router;
use axum::http::StatusCode;
use comfyui::{Graph, MissingResource, Rejection, RejectionKind, Submission, SubmitError};
use serde_json::Value;
use uuid::Uuid;

use crate::fixtures::{self, VERSIONS};
use crate::server::Server;

async fn rejection(version: &str, case: &str) -> Rejection {
    let exchange = fixtures::json(&format!("{version}/http_post_prompt_failures.json"))[case].clone();
    let body = exchange["response"]["json"].clone();
    assert_eq!(exchange["response"]["status"], 400, "{case}");
    let graph =
        Graph::parse(&exchange["request"]["json"]["prompt"]).unwrap_or_else(|_| fixtures::graph("txt2img_sd15"));
    let server =
        Server::start(Router::new().fallback(move || async move { (StatusCode::BAD_REQUEST, axum::Json(body)) })).await;
    match server.client().submit(&Submission::new(&graph, Uuid::new_v4(), "c")).await {
        Err(SubmitError::Rejected(rejection)) => *rejection,
        other => panic!("{case}: {other:?}"),
    }
}

#[tokio::test]
async fn each_fault_gets_its_kind() {
    use RejectionKind::{MissingNodeType, NoOutputs, Validation};
    for version in VERSIONS {
        for (case, kind) in [
            ("missing_node_class", MissingNodeType),
            ("no_class_type", Validation),
            ("required_input_missing", Validation),
            ("value_not_in_list_checkpoint", Validation),
            ("cycle", Validation),
            ("link_to_missing_node", Validation),
            ("no_outputs", NoOutputs),
            ("empty_prompt", NoOutputs),
            ("no_prompt_key", NoOutputs),
        ] {
            assert_eq!(rejection(version, case).await.kind, kind, "{version} {case}");
        }
    }
    assert_eq!(rejection("v0.33.0", "bad_prompt_id").await.kind, RejectionKind::InvalidPromptId);
}

#[tokio::test]
async fn what_the_server_lacks_is_listed() {
    for version in VERSIONS {
        let missing = |case| async move { rejection(version, case).await.missing };
        assert_eq!(
            missing("missing_node_class").await,
            [MissingResource::NodeClass { class_type: "ImageInvertXYZ".to_owned() }]
        );
        let file = MissingResource::ModelFile { input: "ckpt_name".to_owned(), name: "missing.safetensors".to_owned() };
        assert_eq!(missing("value_not_in_list_checkpoint").await, [file]);
        assert_eq!(
            missing("invalid_image_file").await,
            [MissingResource::InputImage { name: "does_not_exist.png".to_owned() }]
        );
        assert!(missing("value_not_in_list_enum").await.is_empty(), "a wrong word is wrong everywhere");
        assert!(missing("value_smaller_than_min").await.is_empty());
    }
}

#[tokio::test]
async fn messages_name_node_and_input() {
    let message = |case| async move { rejection("v0.33.0", case).await.message };
    assert_eq!(message("required_input_missing").await, "EmptyImage (node 1): input 'width' is missing.");
    assert_eq!(
        message("value_bigger_than_max").await,
        "EmptyImage (node 1): input 'width': value 999999 bigger than max of 16384."
    );
    assert_eq!(
        message("value_not_in_list_checkpoint").await,
        "Load Checkpoint (node 4): the server does not have the file 'missing.safetensors' for input 'ckpt_name'."
    );
    assert_eq!(
        message("invalid_image_file").await,
        "LoadImage (node 1): the input image 'does_not_exist.png' is not on the server."
    );
    assert_eq!(message("no_outputs").await, "The workflow has no output node, so there is nothing to run.");
    assert_eq!(
        rejection("v0.3.64", "cycle").await.message,
        "The server found the workflow invalid without naming a node; its links may form a circle."
    );
}

#[tokio::test]
async fn no_message_shows_a_traceback_or_a_path() {
    for version in VERSIONS {
        let file = fixtures::json(&format!("{version}/http_post_prompt_failures.json"));
        let cases = file.as_object().unwrap().iter().filter(|(_, e)| e["response"]["status"] == 400);
        for (case, _) in cases {
            let rejection = rejection(version, case).await;
            let all = format!("{} {}", rejection.message, serde_json::to_string(&rejection.nodes).unwrap());
            for leak in ["Traceback", "/opt/", "/data/", "execution.py", "\\n"] {
                assert!(!all.contains(leak), "{version} {case}: {all}");
            }
            assert!(rejection.message.ends_with('.'), "{case}: {}", rejection.message);
        }
    }
}

#[tokio::test]
async fn a_refusal_that_is_not_comfyui_json_is_still_readable() {
    for body in ["plain words", r#"{"error": "workflow not allowed here"}"#, r#"{"error": null, "node_errors": []}"#] {
        let server =
            Server::start(Router::new().fallback(move || async move { (StatusCode::BAD_REQUEST, body) })).await;
        let graph = fixtures::graph("txt2img_sd15");
        let result = server.client().submit(&Submission::new(&graph, Uuid::new_v4(), "c")).await;
        let Err(SubmitError::Rejected(rejection)) = result else { panic!("{result:?}") };
        assert_eq!(rejection.kind, RejectionKind::Other);
        let expected = serde_json::from_str::<Value>(body).ok().and_then(|v| v["error"].as_str().map(str::to_owned));
        let expected = expected.unwrap_or_else(|| {
            if body.starts_with('{') {
                "The server rejected the workflow without a reason".to_owned()
            } else {
                body.to_owned()
            }
        });
        assert_eq!(rejection.message, format!("{expected}."));
    }
}
