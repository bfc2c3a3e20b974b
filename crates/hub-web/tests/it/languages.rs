//! Pages in the language of who asks.

use std::{env, fs};

use axum::body::Body;
use http::header;
use hub_engine::EngineConfig;
use hub_web::Translations;
use serde_json::json;
use uuid::Uuid;

use crate::hub::{Hub, request};

/// A hub with these translations into German.
async fn hub(words: &serde_json::Value) -> Hub {
    let folder = env::temp_dir().join(format!("genimage-languages-{}", Uuid::now_v7()));
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("de.json"), words.to_string()).expect("a file");
    let (translations, faults) = Translations::read(&folder);
    fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(faults, Vec::<String>::new());
    Hub::translated(EngineConfig::default(), translations).await
}

async fn page(hub: &Hub, path: &str, wishes: &str) -> String {
    let asked = request("GET", path).header(header::ACCEPT, "text/html,*/*").header(header::ACCEPT_LANGUAGE, wishes);
    hub.send(asked.body(Body::empty()).expect("a request")).await.text()
}

#[tokio::test]
async fn a_page_is_in_the_language_that_its_reader_wishes_for() {
    let hub = hub(&json!({
        "Every request, newest first.": "Alle Anfragen, die neueste zuerst.",
        "Jobs": "Aufträge",
        "Failed": "Misslungen",
        "Nothing here": "Hier ist nichts",
        "No job yet. Calls from agents, scripts and the playground appear here.": "Noch kein Auftrag.",
    }))
    .await;
    let german = page(&hub, "/jobs", "de-CH, en;q=0.5").await;
    for part in [
        "<html lang=\"de\">",
        "<title>Aufträge",
        "Alle Anfragen, die neueste zuerst.",
        "Misslungen",
        "Noch kein Auftrag.",
    ] {
        assert!(german.contains(part), "{part}: {german}");
    }
    assert!(german.contains(">More filters<"), "what is not translated stays English");
    let missing = page(&hub, "/nothing/here", "de").await;
    assert!(missing.contains("<h1>Hier ist nichts</h1>") && missing.contains("lang=\"de\""), "{missing}");
    for wishes in ["en", "fr", ""] {
        let english = page(&hub, "/jobs", wishes).await;
        assert!(english.contains("<html lang=\"en\">") && english.contains("Every request, newest first."), "{wishes}");
    }
    let asked = request("GET", "/jobs/live").header(header::ACCEPT_LANGUAGE, "de").body(Body::empty());
    let mut live = hub.follow(asked.expect("a request")).await;
    let fragment = live.fragment().await;
    assert!(fragment.contains("Noch kein Auftrag.") && !fragment.contains("No job yet."), "{fragment}");
}

/// A filter that does not exist shows only when the page is drawn.
#[tokio::test]
async fn a_page_that_its_translation_breaks_is_in_english() {
    let hub = hub(&json!({"Every request, newest first.": "Alle {{ \"x\" | no_such_filter }}"})).await;
    let page = page(&hub, "/jobs", "de").await;
    assert!(page.contains("Every request, newest first.") && page.contains("<html lang=\"en\">"), "{page}");
}

/// What programs read is in one language.
#[tokio::test]
async fn the_api_says_everything_in_english() {
    let hub = hub(&json!({"No such job": "Kein solcher Auftrag"})).await;
    let told = page(&hub, "/api/v1/jobs/job_00000000000000000000000000000000", "de").await;
    assert!(told.contains("\"title\":\"No such job\""), "{told}");
}
