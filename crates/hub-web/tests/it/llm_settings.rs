//! How pictures are described and prompts generated, by the API.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::hub::Hub;

async fn patched(hub: &Hub, path: &str, body: &Value) -> (StatusCode, Value) {
    let answer = hub.json("PATCH", path, body).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn the_settings_of_generated_prompts_are_changed_in_part_refused_and_reset() {
    const PATH: &str = "/api/v1/prompt-generator";
    let hub = Hub::with_server(10).await;
    let shipped = hub.get(PATH).await.json();
    assert_eq!((&shipped["subjects_to_propose"], &shipped["allowed_styles"]), (&json!(5), &Value::Null));
    let style = hub.engine.catalogue().enabled_styles().next().expect("styles are shipped").name.clone();
    let (status, changed) = patched(&hub, PATH, &json!({"subjects_to_propose": 9, "allowed_styles": [style]})).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!((&changed["subjects_to_propose"], &changed["elements_to_propose"]), (&json!(9), &json!(15)));
    assert_eq!(hub.engine.catalogue().prompt_styles, [style], "callers can choose from it at once");
    for (wrong, argument) in [
        (json!({"subjects_to_propose": 0}), "subjects_to_propose"),
        (json!({"elements_to_select": 30}), "elements_to_select"),
        (json!({"variations_to_propose": 40}), "variations_to_propose"),
        (json!({"instructions": "  "}), "instructions"),
        (json!({"allowed_styles": ["no such style"]}), "allowed_styles"),
        (json!({"subject_to_propose": 1}), "subject_to_propose"),
        (json!({"subjects_to_propose": "many"}), "subjects_to_propose"),
    ] {
        let (status, refused) = patched(&hub, PATH, &wrong).await;
        assert_eq!((status, &refused["argument"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(argument)), "{refused}");
    }
    assert_eq!(hub.get(PATH).await.json(), changed, "what was refused has changed nothing");
    let (_, reset) = patched(&hub, PATH, &json!({"allowed_styles": null})).await;
    assert_eq!((&reset["allowed_styles"], &reset["subjects_to_propose"]), (&Value::Null, &json!(9)));
    assert_eq!(hub.json("DELETE", PATH, &Value::Null).await.json(), shipped);
    assert_eq!(hub.get(PATH).await.json(), shipped);
}

#[tokio::test]
async fn the_instructions_for_descriptions_are_changed_in_part_refused_and_reset() {
    const PATH: &str = "/api/v1/describe-templates";
    let hub = Hub::empty().await;
    let shipped = hub.get(PATH).await.json();
    let (status, changed) = patched(&hub, PATH, &json!({"natural": "Tell in {language}, {width} by {height}."})).await;
    assert_eq!((status, &changed["natural"]), (StatusCode::OK, &json!("Tell in {language}, {width} by {height}.")));
    assert_eq!(changed["optimized_fr"], shipped["optimized_fr"], "what is not named stays");
    let long = "x".repeat(200_000);
    for (wrong, argument) in [
        (json!({"optimized": long}), "optimized"),
        (json!({"natural": 7}), "natural"),
        (json!({"prose": "x"}), "prose"),
    ] {
        let (status, refused) = patched(&hub, PATH, &wrong).await;
        assert_eq!((status, &refused["argument"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(argument)), "{refused}");
    }
    assert_eq!(
        hub.engine.describe_templates().await.expect("read").natural,
        "Tell in {language}, {width} by {height}."
    );
    let (_, reset) = patched(&hub, PATH, &json!({"natural": null})).await;
    assert_eq!(reset, shipped);
    patched(&hub, PATH, &json!({"natural_fr": "Dis."})).await;
    assert_eq!(hub.json("DELETE", PATH, &Value::Null).await.json(), shipped);
}

#[tokio::test]
async fn what_is_stored_and_cannot_be_read_is_replaced_by_a_reset_alone() {
    let hub = Hub::empty().await;
    for (path, key, change) in [
        ("/api/v1/describe-templates", "describe_templates", json!({"natural": "Tell."})),
        ("/api/v1/prompt-generator", "prompt_generator", json!({"subjects_to_propose": 9})),
    ] {
        let shipped = hub.get(path).await.json();
        hub.engine.store().setting_set(key, "no such thing").await.expect("stored");
        assert!(hub.get(path).await.status.is_server_error(), "{path}");
        let changed = hub.json("PATCH", path, &change).await;
        assert!(changed.status.is_server_error(), "{path}: {}", changed.text());
        assert!(hub.get(path).await.status.is_server_error(), "{path}");
        let reset = hub.json("DELETE", path, &Value::Null).await;
        assert_eq!((reset.status, reset.json()), (StatusCode::OK, shipped.clone()), "{path}");
        assert_eq!(hub.get(path).await.json(), shipped, "{path}");
    }
}
