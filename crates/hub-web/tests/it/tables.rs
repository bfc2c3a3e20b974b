//! Styles and render types as tables, out of the hub and back into it.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    catalogue_pages::upload,
    forms::send,
    hub::{Answer, Hub},
    markup::{Form, forms},
};

const STYLES: &str = "/styles/import";
const RENDER_TYPES: &str = "/render-types/import";

/// Chooses a file and presses “Show what would change”.
pub(crate) async fn looked(hub: &Hub, path: &str, table: &str) -> Answer {
    upload(hub, path, &[], Some(("table.csv", table.as_bytes()))).await
}

/// Presses “Import these” on the page that shows what would change; browsers send every line end of a field as CR LF.
pub(crate) async fn agreed(hub: &Hub, shown: &Answer) -> Answer {
    let html = shown.text();
    assert_eq!(shown.status, StatusCode::OK, "{html}");
    let has_seen = |form: &Form| form.fields.iter().any(|field| field.name == "seen");
    let form = forms("/", &html).into_iter().find(has_seen).expect("a form that does it");
    let pairs = form.pairs(&[]).into_iter().map(|(name, value)| (name, value.replace('\n', "\r\n")));
    send(hub, &form, &pairs.collect::<Vec<_>>(), None).await
}

async fn row(hub: &Hub, noun: &str, name: &str) -> Value {
    let listed = hub.get(&format!("/api/v1/{noun}")).await.json();
    let rows = listed[noun.replace('-', "_")].as_array().expect("a list").clone();
    rows.into_iter().find(|row| row["name"] == name).expect("it is there")
}

#[tokio::test]
async fn styles_go_through_a_spreadsheet_and_back() {
    let hub = Hub::with_server(10).await;
    let table = hub.get("/styles.csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    let changed =
        table.text().replace("\"anime, {prompt}\"", "\"manga, {prompt}\"") + "new one,a template,,x,,,,no,yes\n";
    let shown = looked(&hub, STYLES, &changed).await;
    let page = shown.text();
    assert!(page.contains("This would change 2 styles") && page.contains("new one"), "{page}");
    assert!(!hub.page("/styles?q=manga").await.text().contains("manga, {prompt}"), "nothing is written yet");
    let done = agreed(&hub, &shown).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    assert!(hub.page("/styles").await.text().contains("manga, {prompt}"));

    let wrong = looked(&hub, STYLES, "name,colour\na,b").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("column `colour`"), "{}", wrong.text());
}

#[tokio::test]
async fn render_types_go_through_a_spreadsheet_and_back() {
    let hub = Hub::with_server(10).await;
    let rows = async || hub.get("/api/v1/render-types").await.json()["render_types"].clone();
    let before = rows().await;
    let table = hub.get("/render-types.csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    let same = looked(&hub, RENDER_TYPES, &table.text()).await;
    assert!(same.text().contains("Nothing would change"), "{}", same.text());

    let head = "name,workflow,mode,title,sizes,steps,cfg,prompt_examples";
    let changed =
        format!("{head}\ntabled,txt2img-sd15,generate,From a table,1:1=512x512; 16:9=640x360,7,3.5,\"a fox\na hen\"\n");
    let shown = looked(&hub, RENDER_TYPES, &changed).await;
    assert!(shown.text().contains("This would change 1 render type"), "{}", shown.text());
    assert_eq!(rows().await, before, "nothing is written yet");
    let done = agreed(&hub, &shown).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    let after = rows().await;
    let row = row(&hub, "render-types", "tabled").await;
    assert_eq!((&row["sizes"]["16:9"]["width"], &row["defaults"]["steps"]), (&json!(640), &json!(7)), "{row}");
    assert_eq!(row["prompt_examples"], json!(["a fox", "a hen"]));
    assert_eq!(after.as_array().unwrap().len(), before.as_array().unwrap().len() + 1);

    for (table, said) in [
        ("name,workflow,mode\na,txt2img-sd15,draw", "Row 2: `draw` in `mode`"),
        ("name,workflow,mode\na,no-such,generate", "Row 2, `workflow`: There is no workflow `no-such`"),
        // A row of several lines is one row.
        (
            "name,workflow,mode,description,denoise\n\
             a,txt2img-sd15,generate,\"one\ntwo\",\n\
             b,txt2img-sd15,generate,,7",
            "Row 3, `denoise`: The default denoise strength",
        ),
    ] {
        let wrong = looked(&hub, RENDER_TYPES, table).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text());
        assert!(wrong.text().contains("id=\"file-fault\""), "{}", wrong.text());
        assert!(wrong.text().contains(said), "{}", wrong.text());
    }
    assert_eq!(rows().await, after);
}

#[tokio::test]
async fn line_ends_stay_what_they_are_on_the_way_through_the_form_that_confirms() {
    let hub = Hub::with_server(10).await;
    let table = "name,prompt_template\nlined,\"one, {prompt}\ntwo\"\n";
    let done = agreed(&hub, &looked(&hub, STYLES, table).await).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    assert_eq!(row(&hub, "styles", "lined").await["prompt_template"], "one, {prompt}\ntwo");
    // As a spreadsheet of Windows saves it.
    let same = looked(&hub, STYLES, &table.replace('\n', "\r\n")).await;
    assert!(same.text().contains("Nothing would change"), "{}", same.text());

    // What others stored with line ends of their own goes out and in as it is.
    let style = json!({ "name": "carried", "prompt_template": "one\r\ntwo" });
    let stored = hub.json("POST", "/api/v1/styles", &style).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text());
    let exported = hub.get("/styles.csv").await.text();
    let same = looked(&hub, STYLES, &exported).await;
    assert!(same.text().contains("Nothing would change"), "{}", same.text());
}

#[tokio::test]
async fn a_table_that_would_change_something_else_by_now_is_shown_again() {
    let hub = Hub::with_server(10).await;
    let shown = looked(&hub, STYLES, "name,prompt_template\nnew,of the table\n").await;
    assert!(!shown.text().contains("Somebody changed the configuration"), "{}", shown.text());
    let style = json!({ "name": "new", "prompt_template": "of somebody else" });
    assert_eq!(hub.json("POST", "/api/v1/styles", &style).await.status, StatusCode::CREATED);

    let again = agreed(&hub, &shown).await;
    let page = again.text();
    assert!(page.contains("Somebody changed the configuration since this was shown"), "{page}");
    assert!(page.contains("This would change 1 style"), "{page}");
    assert_eq!(row(&hub, "styles", "new").await["prompt_template"], "of somebody else", "nothing is written");
    let done = agreed(&hub, &again).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    assert_eq!(row(&hub, "styles", "new").await["prompt_template"], "of the table");
}

#[tokio::test]
async fn columns_that_a_table_does_not_have_stay_as_they_are() {
    let hub = Hub::with_server(10).await;
    let before = row(&hub, "render-types", "sd15").await;
    assert_eq!((&before["is_default"], &before["defaults"]["aspect"]), (&json!(true), &json!("1:1")), "{before}");
    let table = "name,workflow,mode,description\nsd15,txt2img-sd15,generate,Another.\n";
    let done = agreed(&hub, &looked(&hub, RENDER_TYPES, table).await).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    let mut after = row(&hub, "render-types", "sd15").await;
    assert_eq!(after["description"], "Another.");
    for other in ["description", "etag"] {
        after[other] = before[other].clone();
    }
    assert_eq!(after, before);
}
