//! Taking back what was just done.

use axum::http::StatusCode;
use serde_json::json;

use crate::{
    hub::{Answer, Hub, hidden},
    job_pages::{crowded, shows},
};

/// Presses the button of the page that an answer leads to; answers where that leads.
pub(crate) async fn undo(hub: &Hub, answer: &Answer) -> Answer {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let page = hub.page(answer.header("location")).await.text();
    assert!(page.contains("action=\"/undo\""), "{page}");
    hub.form("/undo", &format!("number={}", hidden(&page, "number"))).await
}

/// Number of what an answer offers to take back.
async fn number(hub: &Hub, answer: &Answer) -> String {
    hidden(&hub.page(answer.header("location")).await.text(), "number")
}

/// That it cannot be taken back once more.
async fn is_refused_again(hub: &Hub, number: &str) {
    hub.press_another().await;
    let again = hub.form("/undo", &format!("number={number}")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text().contains("can no longer be taken back"), "{}", again.text());
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
async fn a_deleted_default_that_has_a_successor_comes_back_as_no_default() {
    let hub = Hub::with_server(10).await;
    let row = async |name: &str| hub.get(&format!("/api/v1/render-types/{name}")).await.json();
    let before = row("sd15").await;
    assert_eq!(before["is_default"], json!(true));
    let path = format!("/render-types/{}/delete", before["id"].as_str().expect("an id"));
    let deleted = hub.form(&path, "").await;
    let successor = json!({"name": "other", "workflow": "txt2img-sd15", "mode": "generate", "is_default": true});
    assert_eq!(hub.json("POST", "/api/v1/render-types", &successor).await.status, StatusCode::CREATED);
    assert_eq!(undo(&hub, &deleted).await.header("location"), "/render-types?done=undone");
    let after = row("sd15").await;
    assert_eq!((&after["id"], &after["is_default"]), (&before["id"], &json!(false)));
    assert_eq!(row("other").await["is_default"], json!(true), "the default of by now stays");
}

#[tokio::test]
async fn a_press_that_changes_nothing_offers_nothing_to_take_back() {
    let hub = Hub::with_server(10).await;
    for (kind, name, pressed, done) in [
        ("servers", "sim", "enabled=true", "server-enabled"),
        ("styles", "anime", "enabled=on", "style-on"),
        ("styles", "anime", "is_default=off", "style-no-default"),
        ("render-types", "sd15", "visible=on", "render-type-shown"),
        ("render-types", "sd15", "is_default=on", "render-type-default"),
    ] {
        let known = hub.get(&format!("/api/v1/{kind}/{name}")).await.json();
        let button = if kind == "servers" { "enabled" } else { "flags" };
        let path = format!("/{kind}/{}/{button}", known["id"].as_str().expect("an id"));
        let answer = hub.form(&path, pressed).await;
        assert_eq!(answer.header("location"), format!("/{kind}?done={done}"), "{pressed}: {}", answer.text());
        let page = hub.page(answer.header("location")).await.text();
        assert!(!page.contains("action=\"/undo\""), "{kind}, {pressed}: {page}");
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
    let taken = number(&hub, &kept).await;
    let undone = undo(&hub, &kept).await;
    assert_eq!(undone.header("location"), "/gallery?q=hens&done=undone");
    let favourites = async || hub.page("/gallery?favourites=on").await.text();
    assert!(favourites().await.contains(&one) && !favourites().await.contains(&two));
    is_refused_again(&hub, &taken).await;
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
    let body = format!("number={}", number(&hub, &deleted).await);
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
    // Slowly: the second press switches nothing.
    hub.form(&path, "enabled=false").await;
    hub.press_another().await;
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

#[tokio::test]
async fn a_moved_job_is_back_where_it_was_in_the_queue() {
    let (hub, paths) = crowded().await;
    let (third, fourth) = (&paths[2], &paths[3]);
    let first = format!("{fourth}/move");
    let moved = hub.form(&first, "to=first&back=%2Fjobs%3Fstate%3Dwaiting").await;
    shows(&hub, third, "1 job before it").await;
    let taken = number(&hub, &moved).await;
    assert_eq!(undo(&hub, &moved).await.header("location"), "/jobs?state=waiting&done=undone");
    shows(&hub, third, "Next in line").await;
    shows(&hub, fourth, "1 job before it").await;
    is_refused_again(&hub, &taken).await;

    let moved = hub.form(&format!("{third}/move"), "to=last").await;
    shows(&hub, fourth, "Next in line").await;
    assert_eq!(undo(&hub, &moved).await.header("location"), format!("{third}?done=undone"));
    shows(&hub, third, "Next in line").await;
    // Pressed twice, slowly: the second press moves nothing, and its answer is the one that is seen.
    hub.form(&first, "to=first").await;
    hub.press_another().await;
    let second = hub.form(&first, "to=first").await;
    undo(&hub, &second).await;
    assert_eq!(hub.get(&format!("/api/v1{fourth}")).await.json()["priority"], json!(0));
}

#[tokio::test]
async fn a_job_that_was_moved_again_or_no_longer_waits_is_not_moved_back() {
    let (hub, paths) = crowded().await;
    let fourth = &paths[3];
    let moved = hub.form(&format!("{fourth}/move"), "to=first").await;
    let again = hub.json("POST", &format!("/api/v1{fourth}/priority"), &json!({"priority": 50})).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text());
    let refused = undo(&hub, &moved).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert!(refused.text().contains("was moved again since then"), "{}", refused.text());
    assert_eq!(hub.get(&format!("/api/v1{fourth}")).await.json()["priority"], json!(50));

    hub.form(&format!("{fourth}/cancel"), "").await;
    let refused = undo(&hub, &moved).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert!(refused.text().contains("is cancelled; only a job that waits can be moved"), "{}", refused.text());
}

#[tokio::test]
async fn a_setting_that_was_reset_is_set_again_unless_somebody_set_it_since() {
    let hub = Hub::empty().await;
    let given = json!({"queue.max": 77, "mcp.wait_s": 12});
    assert_eq!(hub.json("PATCH", "/api/v1/settings", &given).await.status, StatusCode::OK);
    let shown = hub.get("/api/v1/settings").await.json();
    let reset = hub.form("/settings", "reset=queue.max").await;
    assert_ne!(hub.engine.settings().queue_max, 77);
    let taken = number(&hub, &reset).await;
    assert_eq!(undo(&hub, &reset).await.header("location"), "/settings?done=undone");
    assert_eq!(hub.get("/api/v1/settings").await.json(), shown);
    is_refused_again(&hub, &taken).await;

    let reset = hub.form("/settings", "reset=queue.max").await;
    hub.json("PATCH", "/api/v1/settings", &json!({"queue.max": 78})).await;
    let refused = undo(&hub, &reset).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert!(refused.text().contains("Somebody has changed it since it was reset"), "{}", refused.text());
    assert_eq!(hub.engine.settings().queue_max, 78);

    // Pressed twice, slowly: the second press resets nothing, and its answer is the one that is seen.
    hub.form("/settings", "reset=mcp.wait_s").await;
    hub.press_another().await;
    let second = hub.form("/settings", "reset=mcp.wait_s").await;
    undo(&hub, &second).await;
    assert_eq!(hub.engine.settings().answers.wait_s, 12);
}

/// What else was typed is lost by that, as by leaving the page in any other way: with script it asks.
#[tokio::test]
async fn a_reset_that_keeps_what_else_was_typed_is_taken_back_too() {
    let hub = Hub::empty().await;
    hub.json("PATCH", "/api/v1/settings", &json!({"queue.max": 77})).await;
    let page = hub.page("/settings").await.text();
    assert!(!page.contains("data-guard=\"unsaved\""), "{page}");
    let reset = hub.form("/settings", "queue.max=77&mcp.wait_s=19&servers.live_previews=on&reset=queue.max").await;
    assert_eq!(reset.status, StatusCode::OK, "{}", reset.text());
    let page = reset.text();
    assert!(page.contains("data-guard=\"unsaved\"") && page.contains("action=\"/undo\""), "{page}");
    let undone = hub.form("/undo", &format!("number={}", hidden(&page, "number"))).await;
    assert_eq!(undone.header("location"), "/settings?done=undone", "{}", undone.text());
    assert_eq!(hub.engine.settings().queue_max, 77);
}

#[tokio::test]
async fn instructions_that_were_reset_are_brought_back_unless_somebody_wrote_others() {
    let hub = Hub::with_server(10).await;
    let told = async || {
        let enhance = hub.engine.enhance_templates().await.expect("read");
        let describe = hub.engine.describe_templates().await.expect("read");
        (enhance, describe, hub.engine.prompt_generator().await.expect("read"))
    };
    for (role, written) in [
        ("enhance", "prompt=Be+brief.&negative=None."),
        ("describe", "natural=a&optimized=b&natural_fr=c&optimized_fr=d"),
        ("generator", "subjects_to_propose=7&allowed_styles=anime&instructions=Invent."),
    ] {
        let path = format!("/settings/instructions/{role}");
        assert_eq!(hub.form(&path, written).await.status, StatusCode::SEE_OTHER, "{role}");
        let own = told().await;
        let reset = hub.form(&path, "reset=on").await;
        assert_ne!(told().await, own, "{role}");
        let taken = number(&hub, &reset).await;
        assert_eq!(undo(&hub, &reset).await.header("location"), "/settings/instructions?done=undone");
        assert_eq!(told().await, own, "{role}");
        is_refused_again(&hub, &taken).await;

        // Pressed twice, slowly: the second press resets nothing, and its answer is the one that is seen.
        hub.form(&path, "reset=on").await;
        hub.press_another().await;
        let second = hub.form(&path, "reset=on").await;
        hub.form(&path, written).await;
        let refused = undo(&hub, &second).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{role}: {}", refused.text());
        assert!(refused.text().contains("Somebody has changed it since it was reset"), "{}", refused.text());
        assert_eq!(told().await, own, "{role}");
    }
}
