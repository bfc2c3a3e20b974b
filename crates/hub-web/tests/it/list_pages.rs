//! Lists that are long: what they are narrowed to, page after page, and what is done in their rows.

use std::collections::BTreeSet;

use axum::{body::Body, http::StatusCode};
use hub_core::catalogue::Style;
use serde_json::{Value, json};

use crate::{
    hub::{Hub, request},
    markup::links,
    undoing::undo,
};

async fn add_servers(hub: &Hub) {
    let servers = [("card one", "fast", true, 9), ("card two", "fast", false, 10), ("attic", "slow", false, 11)];
    for (name, group, enabled, port) in servers {
        let base_url = format!("http://127.0.0.1:{port}");
        let body = json!({ "name": name, "base_url": base_url, "group": group, "enabled": enabled });
        let added = hub.json("POST", "/api/v1/servers", &body).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    }
}

/// Which of the servers a page or a fragment shows.
fn shown(html: &str) -> BTreeSet<&'static str> {
    let is_there = |name: &&str| html.contains(&format!("<bdi>{name}</bdi></a></h3>"));
    ["sim", "card one", "card two", "attic"].into_iter().filter(is_there).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_found_by_words_and_state_and_the_stream_keeps_to_them() {
    let hub = Hub::with_server(5).await;
    hub.ready().await;
    add_servers(&hub).await;
    for (query, found) in [
        ("", &["sim", "card one", "card two", "attic"][..]),
        ("?q=CARD", &["card one", "card two"]),
        ("?q=fast+two", &["card two"]),
        ("?q=127.0.0.1%3A1&state=off", &["card two", "attic"]),
        ("?state=ready", &["sim"]),
        ("?state=busy", &[]),
        ("?state=offline", &["card one"]),
    ] {
        let page = hub.page(&format!("/servers{query}")).await.text();
        assert_eq!(shown(&page), found.iter().copied().collect(), "{query}");
        assert_eq!(page.contains("No server fits"), found.is_empty(), "{query}");
    }
    let page = hub.page("/servers?q=card&state=off").await.text();
    assert!(page.contains("1 of 4 servers") && page.contains("value=\"card\""), "{page}");
    let stream = page.split("hx-sse:connect=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a stream");
    let stream = stream.replace("&amp;", "&");
    assert_eq!(stream, "/servers/live?q=card&state=off");
    let mut live = hub.follow(request("GET", &stream).body(Body::empty()).expect("a request")).await;
    assert_eq!(shown(&live.fragment().await), ["card two"].into());

    // A card's button leads back to the list as it was found.
    let id = hub.get("/api/v1/servers/card%20two").await.json()["id"].as_str().expect("an id").to_owned();
    let on = hub.form(&format!("/servers/{id}/enabled"), "enabled=true&back=%2Fservers%3Fq%3Dcard").await;
    assert!(
        on.header("location").starts_with("/servers?q=card&done=server-enabled&undo="),
        "{}",
        on.header("location")
    );
    assert_eq!(undo(&hub, &on).await.header("location"), "/servers?q=card&done=undone");
}

#[tokio::test]
async fn servers_go_to_another_hub_without_their_secrets() {
    let hub = Hub::with_server(5).await;
    add_servers(&hub).await;
    let secret = json!({ "name": "closed", "base_url": "http://127.0.0.1:12", "auth": { "kind": "bearer", "token": "hunter2" } });
    assert_eq!(hub.json("POST", "/api/v1/servers", &secret).await.status, StatusCode::CREATED);
    let page = hub.page("/servers").await.text();
    assert!(page.contains("href=\"/servers/export.json\"") && page.contains("href=\"/configuration#import-title\""));
    let file = hub.get("/servers/export.json").await;
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"genimage-servers.json\"");
    let document = file.json();
    let mut sections: Vec<&str> = document.as_object().expect("sections").keys().map(String::as_str).collect();
    sections.sort_unstable();
    assert_eq!(sections, ["format", "llm_servers", "servers", "version"]);
    assert_eq!(document["servers"].as_array().map(Vec::len), Some(5));
    assert!(!file.text().contains("hunter2"));

    let other = Hub::empty().await;
    let imported = other.json("POST", "/api/v1/config/import", &document).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.text());
    assert_eq!(other.get("/api/v1/servers").await.json()["servers"].as_array().map(Vec::len), Some(5));
}

/// Makes a picture; answers its id.
async fn picture(hub: &Hub, tool: &str, arguments: Value) -> (String, String) {
    let sent = hub.json("POST", "/api/v1/jobs", &json!({ "tool": tool, "arguments": arguments })).await.json();
    let job = sent["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
    let ended = hub.ended(&job).await;
    (ended["images"][0]["id"].as_str().unwrap_or_else(|| panic!("{ended}")).to_owned(), job)
}

#[tokio::test]
async fn each_filter_of_the_gallery_narrows_it() {
    let hub = Hub::with_server(1).await;
    let (fox, _) = picture(&hub, "generate_image", json!({ "prompt": "a fox", "styles": [] })).await;
    let (hen, _) = picture(&hub, "generate_image", json!({ "prompt": "a hen", "styles": ["anime"] })).await;
    let pressed = hub.form("/playground/generate_image", "prompt=a+goat").await;
    let goat = hub.ended(pressed.header("location").strip_prefix("/jobs/").expect("a job")).await;
    let goat = goat["images"][0]["id"].as_str().expect("a picture").to_owned();
    assert_eq!(hub.form("/gallery/favourites", &format!("image={hen}&favourite=on&back=/gallery")).await.status, 303);
    let all = [&fox, &hen, &goat];
    for (query, found) in [
        ("", &[&fox, &hen, &goat][..]),
        ("?q=fox", &[&fox]),
        ("?favourites=on", &[&hen]),
        ("?render_type=sd15", &[&fox, &hen, &goat]),
        ("?server=sim&tool=generate_image", &[&fox, &hen, &goat]),
        ("?tool=upscale_image", &[]),
        ("?caller=admin", &[&goat]),
        ("?from=2020-01-01&to=2020-01-02", &[]),
        ("?from=2020-01-01", &[&fox, &hen, &goat]),
        ("?to=2020-01-01", &[]),
        // That is no filter of this page, so nobody would see that it narrows.
        ("?state=failed", &[&fox, &hen, &goat]),
    ] {
        let page = hub.page(&format!("/gallery{query}")).await.text();
        for picture in all {
            let is_there = page.contains(&format!("value=\"{picture}\""));
            assert_eq!(is_there, found.contains(&picture), "{query}: {picture}");
        }
        assert_eq!(page.contains("No picture fits"), found.is_empty(), "{query}");
    }
    // A style that both had would hide what the filter does.
    let styled = hub.page("/gallery?style=anime&q=hen").await.text();
    assert!(styled.contains(&hen) && !styled.contains(&fox));
    for (query, field) in
        [("?server=nobody", "server"), ("?from=soon", "from"), ("?from=2026-02-02&to=2026-02-01", "to")]
    {
        let page = hub.page(&format!("/gallery{query}")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(page.text().contains(&format!("id=\"{field}-fault\"")), "{query}: {}", page.text());
    }
    // A day of a year that no time has.
    for path in ["/gallery", "/jobs"] {
        let page = hub.page(&format!("{path}?from=%2B12345-01-01")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(page.text().contains("role=\"alert\"") && page.text().contains("created_from"), "{}", page.text());
    }
}

#[tokio::test]
async fn a_card_leads_on_and_all_are_ticked_without_script() {
    let hub = Hub::with_server(1).await;
    let (image, job) = picture(&hub, "generate_image", json!({ "prompt": "a fox", "seed": 3 })).await;
    let page = hub.page("/gallery?q=fox").await.text();
    assert!(links(&page).contains(&format!("/playground?tool=edit_image&image={image}")), "{page}");
    assert!(page.contains(&format!("form=\"again\" formaction=\"/jobs/{job}/retry\"")), "{page}");
    let again = hub.form(&format!("/jobs/{job}/retry"), "").await;
    assert!(again.header("location").ends_with("?done=retried"), "{}", again.header("location"));

    let ticked =
        |page: &str| page.matches("name=\"image\"").count() == page.matches(" checked><label for=\"pick-").count();
    assert!(!ticked(&page));
    let tick = links(&page).into_iter().find(|link| link.contains("all=on")).expect("a link that ticks all");
    let all = hub.page(&tick).await.text();
    assert!(ticked(&all) && all.contains("Choose none"), "{all}");
    assert!(all.contains("name=\"back\" value=\"/gallery?q=fox\""), "what is done leads back without the ticks: {all}");
}

#[tokio::test]
async fn older_pictures_follow_without_a_gap_and_with_the_filter() {
    let hub = Hub::with_server(1).await;
    let mut made = BTreeSet::new();
    for number in 0..43 {
        let prompt = if number % 14 == 0 { "a hen" } else { "a fox" };
        let arguments = json!({ "prompt": prompt, "seed": number });
        let sent = hub.json("POST", "/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await;
        made.insert((sent.json()["id"].as_str().expect("an id").to_owned(), prompt));
    }
    for (job, _) in &made {
        hub.ended(job).await;
    }
    let jobs = |page: &str| {
        let linked = links(page).into_iter().filter_map(|link| link.strip_prefix("/jobs/").map(str::to_owned));
        linked.collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    let mut ahead = Some("/gallery?q=a".to_owned());
    let mut pages = 0;
    while let Some(path) = ahead {
        let page = hub.page(&path).await.text();
        seen.extend(jobs(&page));
        pages += 1;
        ahead = page
            .split("rel=\"next\"")
            .count()
            .gt(&1)
            .then(|| links(&page).into_iter().find(|link| link.contains("cursor=")).expect("the next page"));
        if pages > 1 {
            assert!(links(&page).contains(&"/gallery?q=a".to_owned()), "the way back keeps the filter");
            assert!(page.contains("value=\"a\""), "the filter stays in its field");
        }
    }
    assert_eq!((pages, seen.len()), (2, made.len()), "no picture twice or left out");
    let expected: BTreeSet<&String> = made.iter().map(|(job, _)| job).collect();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), expected);
    let hens = jobs(&hub.page("/gallery?q=hen").await.text());
    assert_eq!(hens.len(), made.iter().filter(|(_, prompt)| *prompt == "a hen").count());
}

#[tokio::test]
async fn a_style_is_switched_in_its_row_and_back() {
    let hub = Hub::with_server(5).await;
    let style = || async { hub.get("/api/v1/styles/anime").await.json() };
    let path = format!("/styles/{}", style().await["id"].as_str().expect("an id"));
    let page = hub.page("/styles?q=anime").await.text();
    assert!(page.contains(&format!("action=\"{path}/flags\"")), "{page}");
    let (before, default) = (style().await["prompt_template"].clone(), style().await["is_default"].clone());
    let off = hub.form(&format!("{path}/flags"), "enabled=off&back=%2Fstyles%3Fq%3Danime").await;
    assert!(off.header("location").starts_with("/styles?q=anime&done=style-off&undo="), "{}", off.header("location"));
    assert_eq!(style().await["enabled"], json!(false));
    // The second press is taken back as the first one.
    let second = hub.form(&format!("{path}/flags"), "enabled=off&back=%2Fstyles%3Fq%3Danime").await;
    assert_eq!(undo(&hub, &second).await.header("location"), "/styles?q=anime&done=undone");
    assert_eq!(style().await["enabled"], json!(true));

    let flag = if default == json!(true) { "off" } else { "on" };
    let made = hub.form(&format!("{path}/flags"), &format!("is_default={flag}")).await;
    assert_eq!(style().await["is_default"], json!(flag == "on"));
    undo(&hub, &made).await;
    assert_eq!((style().await["is_default"].clone(), style().await["prompt_template"].clone()), (default, before));
    assert_eq!(hub.form("/styles/nothing/flags", "enabled=off").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_render_type_is_hidden_or_made_the_default_in_its_row_and_back() {
    let hub = Hub::with_server(5).await;
    let row = async |name: &str| hub.get(&format!("/api/v1/render-types/{name}")).await.json();
    let other = json!({ "name": "other", "workflow": "txt2img-sd15", "mode": "generate" });
    assert_eq!(hub.json("POST", "/api/v1/render-types", &other).await.status, StatusCode::CREATED);
    let path = format!("/render-types/{}/flags", row("other").await["id"].as_str().expect("an id"));
    assert!(hub.page("/render-types").await.text().contains(&format!("action=\"{path}\"")));
    assert_eq!(row("sd15").await["is_default"], json!(true));

    let made = hub.form(&path, "is_default=on").await;
    assert!(made.header("location").starts_with("/render-types?done=render-type-default&undo="));
    assert_eq!(
        (row("other").await["is_default"].clone(), row("sd15").await["is_default"].clone()),
        (json!(true), json!(false))
    );
    assert_eq!(undo(&hub, &made).await.header("location"), "/render-types?done=undone");
    assert_eq!(
        (row("other").await["is_default"].clone(), row("sd15").await["is_default"].clone()),
        (json!(false), json!(true))
    );

    let visible = row("other").await["visible"] == json!(true);
    let (word, done) = if visible { ("off", "hidden") } else { ("on", "shown") };
    let hid = hub.form(&path, &format!("visible={word}")).await;
    assert!(hid.header("location").contains(&format!("done=render-type-{done}")), "{}", hid.header("location"));
    assert_eq!(row("other").await["visible"], json!(!visible));
    undo(&hub, &hid).await;
    assert_eq!(row("other").await["visible"], json!(visible));
}

#[tokio::test]
async fn a_button_in_a_row_leaves_what_others_changed_meanwhile_and_so_does_taking_it_back() {
    let hub = Hub::with_server(5).await;
    let style = async || {
        let stored = hub.engine.store().style_list().await.expect("styles");
        stored.into_iter().find(|style| style.name == "anime").expect("a style")
    };
    let flags = async || (style().await.enabled, style().await.is_default);
    let known = style().await;
    let path = format!("/styles/{}/flags", known.id);
    // Written past the catalogue, which still holds what was there before.
    hub.engine.store().style_save(&Style { enabled: false, ..known }).await.expect("saved");
    assert_eq!(hub.form(&path, "is_default=on").await.status, StatusCode::SEE_OTHER);
    assert_eq!(flags().await, (false, true));
    let on = hub.form(&path, "enabled=on").await;
    assert_eq!(flags().await, (true, true));
    let other = hub.json("PATCH", "/api/v1/styles/anime", &json!({ "is_default": false })).await;
    assert_eq!(other.status, StatusCode::OK, "{}", other.text());
    undo(&hub, &on).await;
    assert_eq!(flags().await, (false, false));

    let row = async |name: &str| hub.get(&format!("/api/v1/render-types/{name}")).await.json();
    for name in ["second", "third"] {
        let new = json!({ "name": name, "workflow": "txt2img-sd15", "mode": "generate" });
        assert_eq!(hub.json("POST", "/api/v1/render-types", &new).await.status, StatusCode::CREATED);
    }
    let path = format!("/render-types/{}/flags", row("second").await["id"].as_str().expect("an id"));
    let made = hub.form(&path, "is_default=on").await;
    for (name, change) in [("second", json!({ "visible": false })), ("third", json!({ "is_default": true }))] {
        let changed = hub.json("PATCH", &format!("/api/v1/render-types/{name}"), &change).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    }
    undo(&hub, &made).await;
    let now = row("second").await;
    assert_eq!((&now["visible"], &now["is_default"]), (&json!(false), &json!(false)));
    assert_eq!(row("third").await["is_default"], json!(true), "the default of by now stays");
}

#[tokio::test]
async fn a_render_type_whose_workflow_is_broken_can_be_hidden_and_is_not_shown_again() {
    let hub = Hub::with_server(5).await;
    let row = async || hub.get("/api/v1/render-types/sd15").await.json();
    let path = format!("/render-types/{}/flags", row().await["id"].as_str().expect("an id"));
    let workflow = hub.get("/api/v1/workflows").await.json()["workflows"][0]["id"].as_str().expect("an id").to_owned();
    // Without any slot, so without an output.
    let broken = hub.form(&format!("/workflows/{workflow}/slots"), "kind=seed&target=").await;
    assert_eq!(broken.status, StatusCode::SEE_OTHER, "{}", broken.text());
    let hidden = hub.form(&path, "visible=off").await;
    assert_eq!(hidden.status, StatusCode::SEE_OTHER, "{}", hidden.text());
    assert_eq!(row().await["visible"], json!(false));
    let shown = hub.form(&path, "visible=on").await;
    assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", shown.text());
    assert!(shown.text().contains("no slot for an output"), "{}", shown.text());
    assert_eq!(row().await["visible"], json!(false));
}
