//! The pages of the catalogue: styles, render types, workflows.

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use serde_json::Value;

use crate::{
    hub::{Answer, Hub, hidden, request},
    tables::{agreed, looked},
};

const GRAPH: &str = include_str!("../../../../workflows/txt2img-sd15.json");

/// Sends a form with a file, as a browser does.
pub(crate) async fn upload(hub: &Hub, path: &str, fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Answer {
    let mut body: Vec<u8> = Vec::new();
    for (name, value) in fields {
        let part = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.as_bytes());
    }
    if let Some((file_name, bytes)) = file {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--b--\r\n");
    let sent = request("POST", path)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .header(header::ACCEPT, "text/html")
        .body(Body::from(body));
    hub.send(sent.expect("a request")).await
}

async fn style_path(hub: &Hub, name: &str) -> String {
    let styles = hub.get("/api/v1/styles").await.json();
    let style = styles["styles"].as_array().expect("a list").iter().find(|style| style["name"] == name).expect("there");
    format!("/styles/{}", style["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_style_is_added_changed_and_deleted_without_script() {
    let hub = Hub::with_server(10).await;
    let form = "name=noir&category=film&prompt_template=film+noir%2C+%7Bprompt%7D&enabled=on&render_types=sd15";
    let added = hub.form("/styles/new", form).await;
    assert_eq!((added.status, added.header("location")), (StatusCode::SEE_OTHER, "/styles?done=style-added"));
    let list = hub.page("/styles?done=style-added").await.text();
    assert!(list.contains("Style added") && list.contains("film noir, {prompt}") && list.contains("sd15"), "{list}");
    assert!(!hub.page("/styles?q=noir").await.text().contains("anime, {prompt}"));
    assert!(!hub.page("/styles?category=drawing").await.text().contains("film noir"));

    let path = style_path(&hub, "noir").await;
    let page = hub.page(&path).await.text();
    assert!(page.contains("film noir, a red fox in fresh snow"), "the preview is made on the server: {page}");
    let version = hidden(&page, "version");
    let saved = hub.form(&path, &format!("name=noir&prompt_template=dark&enabled=on&version={version}")).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    assert!(hub.page("/styles").await.text().contains("dark"));

    assert_eq!(hub.form(&format!("{path}/delete"), "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(hub.page(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_second_of_two_admins_is_told_and_keeps_what_was_typed() {
    let hub = Hub::with_server(10).await;
    let path = style_path(&hub, "anime").await;
    let version = hidden(&hub.page(&path).await.text(), "version");
    let change = |text: &str| format!("name=anime&prompt_template={text}&enabled=on&version={version}");
    assert_eq!(hub.form(&path, &change("first")).await.status, StatusCode::SEE_OTHER);
    let told = hub.form(&path, &change("second")).await;
    assert_eq!(told.status, StatusCode::PRECONDITION_FAILED);
    let page = told.text();
    assert!(page.contains("Somebody changed this") && page.contains("second"), "{page}");
    // Sent once more, it is meant.
    let again = format!("name=anime&prompt_template=second&enabled=on&version={}", hidden(&page, "version"));
    assert_eq!(hub.form(&path, &again).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_style_that_is_refused_says_where() {
    let hub = Hub::with_server(10).await;
    let page = hub.form("/styles/new", "name=anime&prompt_template=kept+text&enabled=on").await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.text().contains("kept text") && page.text().contains("anime"), "{}", page.text());
    let page = hub.form("/styles/new", "name=+&prompt_template=kept+text").await;
    assert!(page.text().contains("id=\"name-fault\"") && page.text().contains("kept text"), "{}", page.text());
    let preview = hub.form("/styles/new/preview", "name=&prompt_template=oil%2C+%7Bprompt%7D&sample=a+hen").await;
    assert_eq!(preview.status, StatusCode::OK);
    assert!(preview.text().contains("oil, a hen"));
}

#[tokio::test]
async fn many_styles_come_in_pages_each_with_its_filters() {
    let hub = Hub::with_server(10).await;
    let rows = (0..450).map(|n| {
        let category = if n < 210 { "early" } else { "late" };
        format!("many-{n:03},\"{{prompt}}, brush\",{category}\n")
    });
    let table = "name,prompt_template,category\n".to_owned() + &rows.collect::<String>();
    let done = agreed(&hub, &looked(&hub, "/styles/import", &table).await).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());

    let (mut path, mut seen, mut ranges) = ("/styles?q=many-".to_owned(), Vec::new(), Vec::new());
    loop {
        let page = hub.page(&path).await.text();
        seen.extend(page.split("class=\"row-title\"><bdi>many-").skip(1).map(|rest| rest[..3].to_owned()));
        let pager = page.split("class=\"pager\"").nth(1).expect("a pager");
        ranges.push(pager.split(['>', '<']).find(|text| text.contains(" of ")).expect("a range").to_owned());
        let heads = ["early</bdi> <span class=\"tab-count\">210<", "late</bdi> <span class=\"tab-count\">240<"];
        assert!(heads.iter().any(|head| page.contains(head)), "groups tell all of theirs: {page}");
        let links: Vec<&str> = pager.split("<a ").collect();
        match links.iter().find(|link| link.contains("rel=\"next\"")) {
            Some(next) => path = next.split('"').nth(3).expect("an address").replace("&amp;", "&"),
            None => break,
        }
    }
    assert_eq!(seen, (0..450).map(|n| format!("{n:03}")).collect::<Vec<_>>());
    assert_eq!(ranges, ["1–200 of 450", "201–400 of 450", "401–450 of 450"]);
    // What is switched in a row leads back to its page, and a page that is no more is the last one.
    let flags = format!("{}/flags", style_path(&hub, "many-300").await);
    let switched = hub.form(&flags, "enabled=off&back=%2Fstyles%3Fq%3Dmany-%26page%3D2").await;
    let back = switched.header("location").to_owned();
    assert!(back.starts_with("/styles?q=many-&page=2&done=style-off"), "{back}");
    assert!(hub.page("/styles?q=many-&page=99").await.text().contains("401–450 of 450"));
    assert!(hub.page("/styles?q=many-&page=nonsense").await.text().contains("1–200 of 450"));
}

#[tokio::test]
async fn a_render_type_is_copied_and_refused_with_what_is_wrong() {
    let hub = Hub::with_server(10).await;
    let list = hub.page("/render-types").await.text();
    assert!(list.contains("SD 1.5") && list.contains("1 of 1 servers"), "{list}");
    let id = hub.get("/api/v1/render-types").await.json()["render_types"][0]["id"].as_str().expect("an id").to_owned();
    let copy = hub.page(&format!("/render-types/new?from={id}")).await.text();
    assert!(copy.contains("sd15 copy") && copy.contains("64×64"), "{copy}");

    let form = |size: &str, workflow: &str| {
        format!("name=small&mode=generate&workflow={workflow}&visible=on&ratio=1%3A1&size={size}&aspect=1%3A1&steps=4")
    };
    let page = hub.form("/render-types/new", &form("big", "txt2img-sd15")).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text().contains("id=\"sizes-fault\"") && page.text().contains("value=\"big\""), "{}", page.text());
    let page = hub.form("/render-types/new", &form("64x64", "nothing")).await;
    assert!(page.text().contains("id=\"workflow-fault\""), "{}", page.text());
    let added = hub.form("/render-types/new", &form("64x64", "txt2img-sd15")).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text());
    assert!(hub.page("/playground").await.text().contains("small"));
}

#[tokio::test]
async fn a_dropped_workflow_shows_its_slots_and_takes_corrections() {
    let hub = Hub::with_server(10).await;
    let sent = upload(&hub, "/workflows", &[("name", "")], Some(("My graph.json", GRAPH.as_bytes()))).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    let path = sent.header("location").split('?').next().expect("a path").to_owned();
    let page = hub.page(sent.header("location")).await.text();
    assert!(
        page.contains("My graph")
            && page.contains("Workflow imported")
            && page.contains("<svg class=\"graph-drawing\""),
        "{page}"
    );

    let stored = hub.get(&format!("/api/v1/workflows/{}", path.rsplit('/').next().expect("an id"))).await.json();
    let seed = slot(&stored, "seed");
    let output = slot(&stored, "output");
    let slots = format!("kind=seed&target={seed}&kind=output&target={output}&kind=prompt&target=");
    let saved = hub.form(&format!("{path}/slots"), &slots).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    let newer = saved.header("location").split('?').next().expect("a path").to_owned();
    let corrected = hub.get(&format!("/api/v1/workflows/{}", newer.rsplit('/').next().expect("an id"))).await.json();
    assert_eq!(corrected["version"], 2);
    assert_eq!(corrected["slots"].as_array().map(Vec::len), Some(2), "{corrected}");

    // The older version is no longer the one to correct.
    hub.press_another().await;
    assert_eq!(hub.form(&format!("{path}/slots"), &slots).await.status, StatusCode::PRECONDITION_FAILED);
    let wrong = hub.form(&format!("{newer}/slots"), "kind=seed&target=999.seed").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("no node 999"), "{}", wrong.text());

    assert_eq!(hub.form(&format!("{path}/restore"), "").await.status, StatusCode::SEE_OTHER);
    let graph = hub.get(&format!("{path}/graph.json")).await;
    assert_eq!(graph.json(), serde_json::from_str::<Value>(GRAPH).expect("JSON"));
    assert_eq!(hub.form(&format!("{path}/delete"), "").await.header("location"), "/workflows?done=workflow-deleted");
}

/// Where the first slot of a kind is.
fn slot(workflow: &Value, kind: &str) -> String {
    let slots = workflow["slots"].as_array().expect("slots");
    let found = slots.iter().find(|slot| slot["kind"] == kind).expect("of that kind");
    found["targets"][0].as_str().expect("a place").to_owned()
}

#[tokio::test]
async fn what_is_no_workflow_is_refused_and_a_used_one_stays() {
    let hub = Hub::with_server(10).await;
    let page = upload(&hub, "/workflows", &[("name", "x")], Some(("x.json", b"{\"a\": 1}"))).await;
    assert!(page.status.is_client_error(), "{}", page.status);
    assert!(page.text().contains("not accepted") && page.text().contains("value=\"x\""), "{}", page.text());
    let page = upload(&hub, "/workflows", &[("name", "")], None).await;
    assert!(page.text().contains("Choose a file, or paste"), "{}", page.text());

    let id = hub.get("/api/v1/workflows").await.json()["workflows"][0]["id"].as_str().expect("an id").to_owned();
    let kept = hub.form(&format!("/workflows/{id}/delete"), "").await;
    assert_eq!(kept.status, StatusCode::CONFLICT);
    assert!(kept.text().contains("run by the render types sd15"), "{}", kept.text());
}

#[tokio::test]
async fn a_refused_import_brings_back_what_the_file_held_unless_it_is_very_long() {
    let hub = Hub::empty().await;
    let name = "x".repeat(200);
    let large = format!("{GRAPH}{}", " ".repeat(1024 * 1024));
    for (file, kept) in [(GRAPH, true), (large.as_str(), false)] {
        let page = upload(&hub, "/workflows", &[("name", &name)], Some(("graph.json", file.as_bytes()))).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        let html = page.text();
        assert!(html.contains("id=\"name-fault\""), "{html}");
        assert_eq!((html.contains("KSampler"), html.contains("choose it again")), (kept, !kept));
        assert!(html.len() < 1024 * 1024, "{}", html.len());
    }
}

#[tokio::test]
async fn it_is_told_how_sure_the_finding_of_a_slot_is() {
    let hub = Hub::with_server(10).await;
    let mut graph: Value = serde_json::from_str(GRAPH).expect("a graph");
    let nodes = graph.as_object_mut().expect("nodes");
    let saves = |node: &Value| node["class_type"] == "SaveImage";
    let save = nodes.values().find(|node| saves(node)).expect("an output").clone();
    // Of two outputs that no title tells apart, either may be meant; a title is a word of the author.
    nodes.retain(|_, node| !saves(node));
    for id in ["901", "902"] {
        let mut copy = save.clone();
        copy["_meta"]["title"] = "Save".into();
        nodes.insert(id.to_owned(), copy);
    }
    let prompt = nodes.values_mut().find(|node| node["class_type"] == "CLIPTextEncode").expect("a text");
    prompt["_meta"]["title"] = "MCP_INPUT_PROMPT".into();
    let body = serde_json::json!({ "name": "unsure", "graph": graph });
    let stored = hub.json("POST", "/api/v1/workflows", &body).await.json();
    let sure = |kind: &str| {
        let slots = stored["slots"].as_array().expect("slots");
        slots.iter().find(|slot| slot["kind"] == kind).expect("the slot")["confidence"].clone()
    };
    assert_eq!((sure("prompt"), sure("output"), sure("steps")), ("certain".into(), "guess".into(), "likely".into()));

    let page = hub.page(&format!("/workflows/{}", stored["id"].as_str().expect("an id"))).await.text();
    let of_row = |place: &str| {
        let row = page.split("<li>").find(|row| row.contains(&format!("value=\"{place}")));
        row.unwrap_or_else(|| panic!("no row of {place}: {page}")).to_owned()
    };
    assert!(of_row("901").contains("tone-wait\">look at it<"), "{}", of_row("901"));
    let prompt = stored["slots"].as_array().expect("slots").iter().find(|slot| slot["kind"] == "prompt");
    let place = prompt.expect("a prompt")["targets"][0].as_str().expect("a place");
    assert!(of_row(place).contains("tone-good\">sure<"), "{}", of_row(place));
}
