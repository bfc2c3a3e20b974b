//! Taking back what was just done.

use axum::http::StatusCode;
use serde_json::json;

use crate::hub::{Answer, Hub, hidden};

/// Presses the button of the page that an answer leads to; answers where that leads.
pub(crate) async fn undo(hub: &Hub, answer: &Answer) -> Answer {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let page = hub.page(answer.header("location")).await.text();
    assert!(page.contains("action=\"/undo\""), "{page}");
    hub.form("/undo", &format!("number={}", hidden(&page, "number"))).await
}

#[tokio::test]
async fn a_deleted_style_and_render_type_come_back_as_they_were() {
    let hub = Hub::with_server(10).await;
    for (kind, name) in [("styles", "anime"), ("render-types", "sd15")] {
        let before = hub.get(&format!("/api/v1/{kind}/{name}")).await.json();
        let path = format!("/{kind}/{}", before["id"].as_str().expect("an id"));
        let deleted = hub.form(&format!("{path}/delete"), "").await;
        assert_eq!(hub.page(&path).await.status, StatusCode::NOT_FOUND);
        let undone = undo(&hub, &deleted).await;
        assert_eq!(undone.header("location"), format!("/{kind}?done=undone"));
        let after = hub.get(&format!("/api/v1/{kind}/{name}")).await.json();
        for field in ["id", "name", "is_default", "prompt_template", "sizes", "description"] {
            assert_eq!(after[field], before[field], "{field}");
        }
        let page = hub.page(undone.header("location")).await.text();
        assert!(page.contains("Taken back") && !page.contains("action=\"/undo\""), "{page}");
    }
}

#[tokio::test]
async fn only_pictures_that_changed_are_changed_back_and_each_change_once() {
    let hub = Hub::with_server(10).await;
    let body = json!({"tool": "generate_image", "arguments": {"prompt": "hens", "seed": 1, "n": 2}});
    let job = hub.json("POST", "/api/v1/jobs", &body).await.json()["id"].as_str().expect("an id").to_owned();
    let images = hub.ended(&job).await["images"].clone();
    let [one, two] = [0_usize, 1].map(|at| images[at]["id"].as_str().expect("an id").to_owned());
    hub.form("/gallery/favourites", &format!("image={one}&favourite=on&back=/gallery")).await;
    let both = format!("image={one}&image={two}&favourite=on&back=%2Fgallery%3Fq%3Dhens");
    let kept = hub.form("/gallery/favourites", &both).await;
    let number = hidden(&hub.page(kept.header("location")).await.text(), "number");
    let undone = undo(&hub, &kept).await;
    assert_eq!(undone.header("location"), "/gallery?q=hens&done=undone");
    let favourites = async || hub.page("/gallery?favourites=on").await.text();
    assert!(favourites().await.contains(&one) && !favourites().await.contains(&two));
    hub.press_another().await;
    let again = hub.form("/undo", &format!("number={number}")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text().contains("can no longer be taken back"), "{}", again.text());
}

#[tokio::test]
async fn a_server_is_switched_on_again_and_a_taken_name_is_told() {
    let hub = Hub::with_server(10).await;
    let id = hub.get("/api/v1/servers").await.json()["servers"][0]["id"].as_str().expect("an id").to_owned();
    let off = hub.form(&format!("/servers/{id}/enabled"), "enabled=false").await;
    assert_eq!(hub.get("/api/v1/servers/sim").await.json()["enabled"], json!(false));
    assert_eq!(undo(&hub, &off).await.header("location"), "/servers?done=undone");
    assert_eq!(hub.get("/api/v1/servers/sim").await.json()["enabled"], json!(true));

    let style = hub.get("/api/v1/styles/anime").await.json()["id"].as_str().expect("an id").to_owned();
    let deleted = hub.form(&format!("/styles/{style}/delete"), "").await;
    let body = json!({"name": "anime", "prompt_template": "another"});
    assert_eq!(hub.json("POST", "/api/v1/styles", &body).await.status, StatusCode::CREATED);
    let refused = undo(&hub, &deleted).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert!(refused.text().contains("anime"));
    // It is nowhere else: it must not be lost by that.
    assert_eq!(hub.delete("/api/v1/styles/anime").await.status, StatusCode::NO_CONTENT);
    assert_eq!(undo(&hub, &deleted).await.header("location"), "/styles?done=undone");
    assert_eq!(hub.get("/api/v1/styles/anime").await.json()["id"], json!(style));
}

/// A double click on “Undo” without script: the second answer is the one that is seen.
#[tokio::test]
async fn undo_pressed_twice_answers_as_pressed_once_and_deleting_again_deletes() {
    let hub = Hub::with_server(10).await;
    let style = hub.get("/api/v1/styles/anime").await.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/styles/{style}/delete");
    let deleted = hub.form(&path, "").await;
    let number = hidden(&hub.page(deleted.header("location")).await.text(), "number");
    let body = format!("number={number}");
    let (one, other) = tokio::join!(hub.form("/undo", &body), hub.form("/undo", &body));
    assert_eq!(one.header("location"), "/styles?done=undone", "{}", one.text());
    assert_eq!(other.headers, one.headers);
    // Within the same moment: this is no second press of the first.
    let again = hub.form(&path, "").await;
    assert_ne!(again.header("location"), deleted.header("location"), "another number takes it back");
    assert_eq!(hub.get("/api/v1/styles/anime").await.status, StatusCode::NOT_FOUND);
}

/// Without script nothing locks a button; the answer to the second press is the one that is seen.
#[tokio::test]
async fn what_was_pressed_twice_is_taken_back_as_what_was_pressed_once() {
    let hub = Hub::with_server(10).await;
    let id = hub.get("/api/v1/servers").await.json()["servers"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/servers/{id}/enabled");
    hub.form(&path, "enabled=false").await;
    let second = hub.form(&path, "enabled=false").await;
    undo(&hub, &second).await;
    assert_eq!(hub.get("/api/v1/servers/sim").await.json()["enabled"], json!(true));

    let body = json!({"tool": "generate_image", "arguments": {"prompt": "hens", "seed": 1}});
    let job = hub.json("POST", "/api/v1/jobs", &body).await.json()["id"].as_str().expect("an id").to_owned();
    let image = hub.ended(&job).await["images"][0]["id"].as_str().expect("an id").to_owned();
    let keep = format!("image={image}&favourite=on&back=/gallery");
    hub.form("/gallery/favourites", &keep).await;
    let second = hub.form("/gallery/favourites", &keep).await;
    undo(&hub, &second).await;
    assert!(!hub.page("/gallery?favourites=on").await.text().contains(&image));
}
