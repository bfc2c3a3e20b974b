//! The log of what was done: each change with the name of what was changed.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    forms::{all_forms, full_hub, send},
    hub::Hub,
    markup::Form,
    places::kind_of,
    pressed_twice::{CHANGES, filled},
    undoing::undo,
};

/// Forms that may be sent without a word in the log, and why.
const NOT_TOLD: [(&str, &str); 5] = [
    ("/start/picture", "it is work"),
    ("/playground/generate_image", "it is work"),
    ("/jobs/job/retry", "it is work"),
    ("/gallery/favourites", "it is work"),
    ("/jobs/cancel", "what is ticked may have ended"),
];

/// The newest entry; null before the first.
async fn newest(hub: &Hub) -> Value {
    hub.get("/api/v1/audit?limit=1").await.json()["entries"][0].clone()
}

/// What the newest entry is about.
async fn subject(hub: &Hub) -> String {
    newest(hub).await["subject"].as_str().unwrap_or_default().to_owned()
}

/// What is wrong with what the log tells of a form.
async fn told(hub: &Hub, kind: &str, form: &Form, values: &[(&str, &str)]) -> Option<String> {
    let Some((form, pairs)) = filled(hub, form, values).await else {
        return Some(format!("is no longer on {}", form.page));
    };
    let before = newest(hub).await;
    let answer = send(hub, &form, &pairs, None).await;
    if answer.status != StatusCode::SEE_OTHER {
        return Some(format!("answers {}", answer.status));
    }
    let after = newest(hub).await;
    if after["id"] == before["id"] {
        let excused = NOT_TOLD.iter().any(|(known, _)| *known == kind);
        return (!excused).then(|| "is not in the log".to_owned());
    }
    let named = after["subject"].as_str().is_some_and(|subject| !subject.is_empty());
    (!named).then(|| format!("is told without a name: {after}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_in_words_with_the_name_of_what_was_changed() {
    let hub = full_hub().await;
    let all: Vec<Form> = all_forms(&hub).await.into_iter().filter(|form| form.method == "post").collect();
    let mut faults = Vec::new();
    for (kind, values, _) in CHANGES {
        let fault = match all.iter().find(|form| kind_of(&form.action) == *kind) {
            Some(form) => told(&hub, kind, form, values).await,
            None => Some("is on no page".to_owned()),
        };
        faults.extend(fault.map(|fault| format!("{kind}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let log = hub.page("/access/log").await.text();
    assert!(log.contains("Style deleted") && log.contains("POST /styles/"), "{log}");
    assert!(!log.contains("<td><bdi>P"), "an act has no words: {log}");
}

#[tokio::test]
async fn what_is_deleted_is_told_by_its_name() {
    let hub = Hub::with_server(5).await;
    for (noun, name) in [("styles", "anime"), ("servers", "sim")] {
        let id = hub.get(&format!("/api/v1/{noun}/{name}")).await.json()["id"].as_str().expect("an id").to_owned();
        let path = format!("/{noun}/{id}/delete");
        assert_eq!(hub.form(&path, "").await.status, StatusCode::SEE_OTHER);
        let entry = newest(&hub).await;
        assert_eq!((&entry["act"], &entry["subject"]), (&json!(format!("POST {path}")), &json!(name)));
    }
    let log = hub.page("/access/log").await.text();
    for told in ["Style deleted", "anime", "Server removed", "sim"] {
        assert!(log.contains(told), "{told}: {log}");
    }

    let style = json!({"name": "film noir", "prompt_template": "noir"});
    assert_eq!(hub.json("POST", "/api/v1/styles", &style).await.status, StatusCode::CREATED);
    assert_eq!(subject(&hub).await, "film noir", "it is where the answer leads to");
    assert_eq!(hub.delete("/api/v1/styles/film%20noir").await.status, StatusCode::NO_CONTENT);
    let entry = newest(&hub).await;
    assert_eq!((&entry["act"], &entry["subject"]), (&json!("DELETE /api/v1/styles/film%20noir"), &json!("film noir")));
}

#[tokio::test]
async fn what_is_switched_taken_back_and_set_is_told_by_its_name() {
    let hub = Hub::with_server(5).await;
    let id = hub.get("/api/v1/servers/sim").await.json()["id"].as_str().expect("an id").to_owned();
    let off = hub.form(&format!("/servers/{id}/enabled"), "enabled=false").await;
    assert_eq!(subject(&hub).await, "sim: off");
    undo(&hub, &off).await;
    assert_eq!(subject(&hub).await, "server sim: on");

    let set = hub.json("PATCH", "/api/v1/settings", &json!({"queue.max": 77, "retention.days": 9000})).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    assert_eq!(subject(&hub).await, "queue.max, retention.days");
    assert_eq!(hub.json("PUT", "/api/v1/settings", &json!({"queue.max": 77})).await.status, StatusCode::OK);
    assert_eq!(subject(&hub).await, "queue.max, retention.days", "one is taken back");
    let file = json!({"format": "genimage-config", "version": 1, "styles": [{"name": "new", "prompt_template": "x"}]});
    let before = newest(&hub).await;
    let looked = hub.json("POST", "/api/v1/config/import?dry_run=true", &file).await;
    assert_eq!(looked.status, StatusCode::OK, "{}", looked.text());
    assert_eq!(newest(&hub).await, before, "a look changes nothing");
    assert_eq!(hub.json("POST", "/api/v1/config/import", &file).await.status, StatusCode::OK);
    assert_eq!(subject(&hub).await, "new");
}

#[tokio::test]
async fn what_is_done_to_many_at_once_is_told_by_how_many() {
    let hub = Hub::with_server(5).await;
    let submit = async |prompt: &str, n: u32| {
        let body = json!({"tool": "generate_image", "arguments": {"prompt": prompt, "seed": 1, "n": n}});
        hub.json("POST", "/api/v1/jobs", &body).await.json()["id"].as_str().expect("an id").to_owned()
    };
    let images = hub.ended(&submit("hens", 2).await).await["images"].clone();
    let [one, two] = [0_usize, 1].map(|at| images[at]["id"].as_str().expect("an id").to_owned());
    let both = format!("image={one}&image={two}&back=%2Fgallery");
    assert_eq!(hub.form("/gallery/delete", &both).await.status, StatusCode::OK);
    assert_eq!(newest(&hub).await, Value::Null, "it is only asked");
    assert_eq!(hub.form("/gallery/delete", &format!("{both}&sure=on")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(subject(&hub).await, "2 pictures");

    // From now on every job waits.
    hub.json("PATCH", "/api/v1/servers/sim", &json!({"enabled": false})).await;
    hub.json("POST", "/api/v1/servers", &json!({"name": "away", "base_url": "http://127.0.0.1:9"})).await;
    let jobs = [submit("a fox", 1).await, submit("an owl", 1).await, submit("a hen", 1).await];
    let cancelled = hub.json("POST", "/api/v1/jobs/cancel", &json!({"ids": jobs[..2]})).await;
    assert_eq!(cancelled.status, StatusCode::OK, "{}", cancelled.text());
    assert_eq!(subject(&hub).await, "2 jobs");
    let ticked = hub.form("/jobs/cancel", &format!("job={}&back=%2Fjobs", jobs[2])).await;
    assert_eq!(ticked.header("location"), "/jobs?done=jobs-cancelled");
    assert_eq!(subject(&hub).await, "1 job");
    let before = newest(&hub).await;
    assert_eq!(hub.json("POST", "/api/v1/jobs/cancel", &json!({"filter": {}})).await.status, StatusCode::OK);
    assert_eq!(newest(&hub).await, before, "nothing was left to cancel");
}

#[tokio::test]
async fn a_picture_is_told_whether_a_page_or_a_program_asks_for_it_and_what_is_only_drawn_is_not() {
    let hub = Hub::with_server(5).await;
    hub.ready().await;
    for (noun, name) in [("styles", "anime"), ("render-types", "sd15")] {
        let id = hub.get(&format!("/api/v1/{noun}/{name}")).await.json()["id"].as_str().expect("an id").to_owned();
        let page = format!("/{noun}/{id}/picture");
        assert_eq!(hub.form(&page, "").await.status, StatusCode::SEE_OTHER);
        let entry = newest(&hub).await;
        assert_eq!((&entry["act"], &entry["subject"]), (&json!(format!("POST {page}")), &json!(name)));
        let program = format!("/api/v1/{noun}/{name}/preview");
        let asked = hub.json("POST", &program, &json!({})).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.text());
        let entry = newest(&hub).await;
        assert_eq!((&entry["act"], &entry["subject"]), (&json!(format!("POST {program}")), &json!(name)));
    }
    let before = newest(&hub).await;
    let drawn = hub.form("/styles/new/preview", "name=new&prompt_template=oil&sample=a+hen").await;
    assert_eq!(drawn.status, StatusCode::OK, "{}", drawn.text());
    assert_eq!(newest(&hub).await, before, "it is only drawn");
    let log = hub.page("/access/log").await.text();
    for told in ["Picture of a style asked for", "Picture of a render type asked for"] {
        assert_eq!(log.matches(told).count(), 2, "{told}: {log}");
    }
}
