//! Correcting a workflow's slots by picking other nodes in its drawing.

use axum::http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    catalogue_pages::upload,
    hub::Hub,
    markup::{forms, links},
};

/// Two samplers, of which the first one's seed is found; the second one's text could be a prompt too.
fn graph() -> Value {
    let mut graph: Value = serde_json::from_str(include_str!("../../../../workflows/txt2img-sd15.json")).expect("JSON");
    let mut other = graph["5"].clone();
    other["_meta"]["title"] = "Second".into();
    other["inputs"]["seed"] = 7.into();
    other["inputs"]["latent_image"] = json!(["5", 0]);
    graph["50"] = other;
    graph["6"]["inputs"]["samples"] = json!(["50", 0]);
    graph["5"]["_meta"]["title"] = "MCP_SEED".into();
    graph
}

async fn imported(hub: &Hub) -> (String, Value) {
    let stored = hub.json("POST", "/api/v1/workflows", &json!({ "name": "two", "graph": graph() })).await.json();
    (format!("/workflows/{}", stored["id"].as_str().expect("an id")), stored)
}

fn places(workflow: &Value, kind: &str) -> Vec<String> {
    let slots = workflow["slots"].as_array().expect("slots").iter();
    let of_kind =
        slots.filter(|slot| slot["kind"] == kind).flat_map(|slot| slot["targets"].as_array().expect("places"));
    of_kind.map(|place| place.as_str().expect("a place").to_owned()).collect()
}

/// The rows of the form with what stands in them.
fn rows(path: &str, html: &str) -> Vec<(String, String)> {
    let forms = forms(path, html);
    let form = forms.iter().find(|form| form.action.ends_with("/slots")).expect("the form");
    form.pairs(&[]).into_iter().filter(|(name, _)| name == "kind" || name == "target").collect()
}

fn sent(pairs: &[(String, String)], more: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).extend_pairs(more).finish()
}

#[tokio::test]
async fn a_slot_gets_another_node_by_two_links_of_the_page() {
    let hub = Hub::with_server(10).await;
    let (path, stored) = imported(&hub).await;
    assert_eq!(places(&stored, "seed"), ["5.seed"]);
    let page = hub.page(&path).await.text();
    let typed = rows(&path, &page);
    let row = typed.chunks(2).position(|row| row[0].1 == "seed").expect("a row of the seed") + 1;

    // The row's button leads to the drawing, with what was typed in the other rows.
    let mut changed = typed.clone();
    let prompt = changed.chunks(2).position(|row| row[0].1 == "negative").expect("a negative prompt");
    changed[prompt * 2 + 1].1.clear();
    let sent_to = hub.form(&format!("{path}/slots"), &sent(&changed, &[("pick", &row.to_string())])).await;
    assert_eq!(sent_to.status, StatusCode::SEE_OTHER, "{}", sent_to.text());
    let drawing = hub.page(sent_to.header("location").split('#').next().expect("a path")).await.text();
    assert!(drawing.contains("Pick the place of <strong><bdi>Seed</bdi></strong>: 2 inputs could be it"), "{drawing}");
    let pick = links(&drawing).into_iter().find(|link| link.contains("at=50.seed")).expect("the other sampler");
    assert!(!links(&drawing).iter().any(|link| link.contains("at=50.cfg") || link.contains("at=2.text")));

    // The place is in its row and not saved; the row that was cleared is gone still.
    let given = hub.page(&pick).await.text();
    let rows = rows(&path, &given);
    assert!(given.contains("Not saved yet: the place was picked in the drawing"), "{given}");
    assert!(rows.contains(&("target".to_owned(), "50.seed".to_owned())), "{rows:?}");
    assert!(!rows.contains(&("kind".to_owned(), "negative".to_owned())), "{rows:?}");
    let unchanged = hub.get(&format!("/api/v1{path}")).await.json();
    assert_eq!((unchanged["version"].clone(), places(&unchanged, "seed")), (json!(1), vec!["5.seed".to_owned()]));

    let saved = hub.form(&format!("{path}/slots"), &sent(&rows, &[])).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    let newer = saved.header("location").split('?').next().expect("a path").to_owned();
    let newer = hub.get(&format!("/api/v1{newer}")).await.json();
    assert_eq!((newer["version"].clone(), places(&newer, "seed")), (json!(2), vec!["50.seed".to_owned()]));
    assert!(places(&newer, "negative").is_empty() && places(&newer, "prompt") == places(&stored, "prompt"));
}

#[tokio::test]
async fn a_node_of_the_drawing_tells_its_inputs_and_what_they_could_be() {
    let hub = Hub::with_server(10).await;
    let (path, _) = imported(&hub).await;
    let page = hub.page(&path).await.text();
    let node = links(&page).into_iter().find(|link| link.contains("node=50")).expect("the node leads somewhere");
    let panel = hub.page(&node).await.text();
    assert!(panel.contains("id=\"node\"") && panel.contains("instead of <bdi>5.seed"), "{panel}");
    // Of a kind that has no slot yet, one is added.
    let added = links(&panel).into_iter().find(|link| link.contains("at=50.seed")).expect("a use");
    let given = hub.page(&added).await.text();
    assert!(rows(&path, &given).contains(&("target".to_owned(), "50.seed".to_owned())));
    // Odd addresses are the page as it is.
    for odd in ["?pick=99", "?pick=%22%3E&at=x", "?node=nothing", "?pick=1&at=", "?kind=x&target="] {
        assert_eq!(hub.page(&format!("{path}{odd}")).await.status, StatusCode::OK, "{odd}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_slot_is_told_beside_its_row_and_the_rest_stays() {
    let hub = Hub::with_server(10).await;
    let (path, _) = imported(&hub).await;
    let form = "kind=seed&target=5.seed&kind=prompt&target=999.text&kind=steps&target=50.steps&kind=&target=5.cfg";
    let refused = hub.form(&format!("{path}/slots"), form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = refused.text();
    let row = |place: &str| {
        let row = page.split("<li>").find(|row| row.contains(&format!("value=\"{place}\""))).expect("its row");
        row.split("</li>").next().expect("a row").to_owned()
    };
    assert!(row("999.text").contains("id=\"target-2-fault\"") && row("999.text").contains("no node 999"), "{page}");
    assert!(row("5.cfg").contains("`5.cfg` has no kind"), "{page}");
    assert!(!row("50.steps").contains("fault") && !row("5.seed").contains("fault"), "{page}");
    assert!(page.contains("href=\"#target-2\""), "the head leads to the row: {page}");
    // A place is picked for something.
    let nothing = hub.form(&format!("{path}/slots"), "kind=&target=&pick=1").await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(nothing.text().contains("Choose what the hub shall put there"), "{}", nothing.text());
}

#[tokio::test]
async fn a_file_need_not_be_chosen_again_when_its_name_is_refused() {
    let hub = Hub::with_server(10).await;
    let text = graph().to_string();
    let long = "x".repeat(300);
    let refused = upload(&hub, "/workflows", &[("name", &long)], Some(("two.json", text.as_bytes()))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
    let page = refused.text();
    assert!(page.contains("id=\"name-fault\""), "{page}");
    let form = forms("/workflows", &page).into_iter().find(|form| form.action == "/workflows").expect("the form");
    let kept = form.pairs(&[("name", "short")]);
    let kept: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(kept.contains(&("graph", text.as_str())), "{kept:?}");
    let fields: Vec<_> = kept.into_iter().filter(|(name, _)| *name != "file").collect();
    assert_eq!(upload(&hub, "/workflows", &fields, None).await.status, StatusCode::SEE_OTHER);
    // What is no workflow is not kept.
    let junk = upload(&hub, "/workflows", &[("name", &long)], Some(("x.bin", b"\xff\xfejunk"))).await;
    assert!(junk.status.is_client_error() && !junk.text().contains("junk"), "{}", junk.text());
}
