//! Pictures of styles and render types, rendered by the hub itself.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::hub::{Answer, Hub};

async fn style(hub: &Hub) -> Value {
    hub.get("/api/v1/styles/anime").await.json()
}

#[tokio::test]
async fn a_styles_picture_is_rendered_shown_everywhere_and_told_to_be_out_of_date() {
    let hub = Hub::with_server(10).await;
    hub.ready().await;
    let before = style(&hub).await;
    assert_eq!((&before["preview_url"], &before["preview_stale"]), (&Value::Null, &json!(false)));
    let path = format!("/styles/{}", before["id"].as_str().expect("an id"));
    assert!(hub.page(&path).await.text().contains("Render a picture"));
    assert!(hub.page("/styles").await.text().contains("1 style without a picture"));

    let asked = hub.form("/styles/pictures", "").await;
    assert_eq!(asked.header("location"), "/styles?done=pictures-asked", "{}", asked.text());
    let jobs = hub.get("/api/v1/jobs?style=anime").await.json();
    let job = jobs["jobs"][0]["id"].as_str().expect("its job").to_owned();
    let record = hub.ended(&job).await;
    assert_eq!(record["state"], "succeeded", "{record}");
    assert_eq!((&record["priority"], &record["recipe"]["seed"]), (&json!(-100), &json!(1)), "{record}");
    assert_eq!(record["recipe"]["styles"], json!(["anime"]));

    let with = style(&hub).await;
    assert_eq!(with["preview_url"], record["images"][0]["url"]);
    assert_eq!(with["preview_stale"], json!(false));
    assert_eq!(hub.get("/api/v1/catalogue").await.json()["styles"][0]["preview_url"], with["preview_url"]);
    let thumb = format!("src=\"/thumbs/{}\"", record["images"][0]["id"].as_str().expect("an id"));
    for page in ["/styles", path.as_str(), "/playground"] {
        let text = hub.page(page).await.text();
        assert!(text.contains(&thumb), "{page}: {text}");
    }
    hub.press_another().await;
    assert_eq!(hub.form("/styles/pictures", "").await.header("location"), "/styles?done=pictures-none");

    // What was told may be sent back; a change makes the picture old, but it stays.
    let mut changed = with.clone();
    changed["prompt_template"] = json!("manga, {prompt}");
    let put = hub.json("PUT", "/api/v1/styles/anime", &changed).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    assert_eq!((&put.json()["preview_url"], &put.json()["preview_stale"]), (&with["preview_url"], &json!(true)));
    let page = hub.page(&path).await.text();
    assert!(page.contains("out of date") && page.contains(&thumb), "{page}");
    hub.press_another().await;
    assert_eq!(hub.form("/styles/pictures", "").await.header("location"), "/styles?done=pictures-none");
    assert_eq!(hub.form("/styles/pictures", "stale=on").await.header("location"), "/styles?done=pictures-asked");
    let newest = hub.get("/api/v1/jobs?style=anime").await.json()["jobs"][0]["id"].as_str().expect("new").to_owned();
    hub.ended(&newest).await;
    let renewed = style(&hub).await;
    assert_eq!(renewed["preview_stale"], json!(false));
    assert_ne!(renewed["preview_url"], with["preview_url"]);

    // Who deletes the picture takes it off the style.
    let image = renewed["preview_url"].as_str().and_then(|url| url.rsplit('/').next()).expect("a file");
    let id = image.split('.').next().expect("an id");
    assert_eq!(hub.delete(&format!("/api/v1/images/{id}")).await.status, StatusCode::NO_CONTENT);
    assert_ne!(style(&hub).await["preview_url"], renewed["preview_url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_several_ask_for_at_once_is_made_once() {
    let hub = Hub::with_server(10).await;
    hub.ready().await;
    let nothing = json!({});
    let ask = || hub.json("POST", "/api/v1/style-previews", &nothing);
    let (one, two, three, four) = tokio::join!(ask(), ask(), ask(), ask());
    let asked = |answer: &Answer| answer.json()["asked"].as_u64().expect("a number");
    assert_eq!([one, two, three, four].iter().map(asked).sum::<u64>(), 1);
    let jobs = hub.get("/api/v1/jobs").await.json();
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1), "{jobs}");
}

#[tokio::test]
async fn a_render_types_picture_is_rendered_and_the_scene_can_be_set() {
    let hub = Hub::with_server(10).await;
    hub.ready().await;
    let wrong = hub.form("/styles/scene", "prompt=a+hen&seed=minus").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("id=\"seed-fault\"") && wrong.text().contains("a hen"), "{}", wrong.text());
    assert_eq!(hub.form("/styles/scene", "prompt=a+hen&seed=9").await.header("location"), "/styles?done=scene-saved");
    assert_eq!(hub.get("/api/v1/preview-scene").await.json(), json!({"prompt": "a hen", "seed": 9}));

    let row = hub.get("/api/v1/render-types/sd15").await.json();
    let path = format!("/render-types/{}", row["id"].as_str().expect("an id"));
    let asked = hub.form(&format!("{path}/picture"), "").await;
    assert_eq!(asked.header("location"), format!("{path}?done=picture-asked"));
    let again = hub.json("POST", "/api/v1/render-types/sd15/preview", &json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    let record = hub.ended(again.json()["id"].as_str().expect("an id")).await;
    assert_eq!((&record["recipe"]["prompt"], &record["recipe"]["seed"]), (&json!("a hen"), &json!(9)), "{record}");
    let told = hub.get("/api/v1/render-types/sd15").await.json();
    assert_eq!((&told["preview_url"], &told["preview_stale"]), (&record["images"][0]["url"], &json!(false)));
    assert!(hub.page("/render-types").await.text().contains("/thumbs/img_"));

    let scene = hub.json("PUT", "/api/v1/preview-scene", &json!({"prompt": "a cock", "seed": 9})).await;
    assert_eq!(scene.status, StatusCode::OK, "{}", scene.text());
    assert_eq!(hub.get("/api/v1/render-types/sd15").await.json()["preview_stale"], json!(true));
    let empty = hub.json("PUT", "/api/v1/preview-scene", &json!({"prompt": " ", "seed": 9})).await;
    assert_eq!(empty.json()["argument"], "prompt", "{}", empty.text());
}

#[tokio::test]
async fn a_style_that_nothing_draws_says_so() {
    let hub = Hub::with_server(10).await;
    let body = json!({"name": "lost", "prompt_template": "x", "render_types": ["gone"]});
    assert_eq!(hub.json("POST", "/api/v1/styles", &body).await.status, StatusCode::CREATED);
    let refused = hub.json("POST", "/api/v1/styles/lost/preview", &json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text().contains("suits the style `lost`"), "{}", refused.text());
    let all = hub.json("POST", "/api/v1/style-previews", &json!({})).await.json();
    assert_eq!((&all["asked"], &all["undrawable"]), (&json!(1), &json!(["lost"])), "{all}");
}

#[tokio::test]
async fn a_render_type_that_works_on_a_picture_is_shown_with_what_the_default_one_draws() {
    let hub = Hub::with_server(10).await;
    hub.ready().await;
    let others = [
        ("edit", include_str!("../../../../workflows/img2img-sdxl.json")),
        ("upscale", include_str!("../../../../workflows/upscale-model.json")),
        ("detail", include_str!("../../../../workflows/detail-inpaint-sdxl.json")),
    ];
    for (mode, graph) in others {
        let graph: Value = serde_json::from_str(graph).expect("JSON");
        let name = format!("shown-{mode}");
        let added = hub.json("POST", "/api/v1/workflows", &json!({ "name": name, "graph": graph })).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
        let row = json!({ "name": name, "workflow": name, "mode": mode });
        let added = hub.json("POST", "/api/v1/render-types", &row).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    }
    for mode in ["edit", "upscale", "detail"] {
        let name = format!("shown-{mode}");
        let early = hub.json("POST", &format!("/api/v1/render-types/{name}/preview"), &json!({})).await;
        assert_eq!(early.status, StatusCode::CONFLICT, "{mode}: {}", early.text());
        assert!(early.text().contains("no render type has drawn the scene yet"), "{}", early.text());
    }
    let drawn = hub.json("POST", "/api/v1/render-types/sd15/preview", &json!({})).await;
    let model = hub.ended(drawn.json()["id"].as_str().expect("an id")).await["images"][0]["id"].clone();
    for mode in ["edit", "upscale", "detail"] {
        let name = format!("shown-{mode}");
        let asked = hub.json("POST", &format!("/api/v1/render-types/{name}/preview"), &json!({})).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED, "{mode}: {}", asked.text());
        let record = hub.ended(asked.json()["id"].as_str().expect("an id")).await;
        assert_eq!(record["state"], "succeeded", "{mode}: {record}");
        assert_eq!(record["recipe"]["input"], model, "{mode}: {record}");
        let told = hub.get(&format!("/api/v1/render-types/{name}")).await.json();
        assert_eq!((&told["preview_url"], &told["preview_stale"]), (&record["images"][0]["url"], &json!(false)));
    }
}

#[tokio::test]
async fn more_pictures_than_are_asked_for_at_once_are_asked_for_by_the_next_press() {
    let hub = Hub::with_server(1).await;
    hub.ready().await;
    for number in 0..54 {
        let body = json!({"name": format!("s{number}"), "prompt_template": format!("{{prompt}}, {number}")});
        assert_eq!(hub.json("POST", "/api/v1/styles", &body).await.status, StatusCode::CREATED);
    }
    for asked in ["pictures-asked-some", "pictures-asked"] {
        let pressed = hub.form("/styles/pictures", "").await;
        assert_eq!(pressed.header("location"), format!("/styles?done={asked}"), "{}", pressed.text());
    }
}
