//! The connect page's test of a connection, over a real one: it tells what a client with that key would meet, and leaves
//! the key nowhere.

use std::time::{Duration, Instant};

use reqwest::header;
use serde_json::{Value, json};

use crate::hub::{Edge, Hub, PATIENCE, serve};

const OWN_KEY: &str = "the-configured-key";

/// A key with these rights.
async fn new_key(edge: &Edge, rights: &Value) -> (String, String) {
    let asked = edge.http.post(format!("{}/api/v1/keys", edge.url)).bearer_auth(OWN_KEY).json(rights);
    let made: Value = asked.send().await.unwrap().json().await.unwrap();
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name}: {made}")).to_owned();
    (text("key"), text("id"))
}

/// What the page says once that key was tested.
async fn tested(edge: &Edge, key: &str) -> String {
    let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("key", key).finish();
    let sent = edge.http.post(format!("{}/connect/test", edge.url)).bearer_auth(OWN_KEY).body(form);
    let answer = sent
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "text/html")
        .header("sec-fetch-site", "same-origin")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    answer.text().await.unwrap().replace("&#x2f;", "/")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connect_page_tells_what_a_client_with_that_key_meets() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = serve(&folder.path().join("data"));
    command.arg("--demo").env("GENIMAGE_API_KEY", OWN_KEY).env("RUST_LOG", "trace");
    let hub = Hub::run_logged(command, &log);

    let (whole, _) = new_key(&hub, &json!({ "name": "whole" })).await;
    let endpoint = format!("{}/mcp", hub.url);
    // Until a server of the demo is ready no tool can do anything, and none is listed.
    let begun = Instant::now();
    let page = loop {
        let page = tested(&hub, &whole).await;
        if page.contains("<code>describe_image</code>") && page.contains("<code>generate_image</code>") {
            break page;
        }
        assert!(page.contains(&format!("{endpoint} answers")) && begun.elapsed() < PATIENCE, "{page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(page.contains(&format!("{endpoint} answers with")), "{page}");

    let (seer, _) = new_key(&hub, &json!({ "name": "seer", "scopes": ["describe"] })).await;
    let page = tested(&hub, &seer).await;
    assert!(page.contains("<code>describe_image</code>") && !page.contains("<code>generate_image</code>"), "{page}");

    let (watcher, _) = new_key(&hub, &json!({ "name": "watcher", "scopes": ["read"] })).await;
    let page = tested(&hub, &watcher).await;
    assert!(page.contains("<code>list_options</code>") && !page.contains("<code>generate_image</code>"), "{page}");

    let (gone, id) = new_key(&hub, &json!({ "name": "gone" })).await;
    let revoke = hub.http.delete(format!("{}/api/v1/keys/{id}", hub.url)).bearer_auth(OWN_KEY).send().await.unwrap();
    assert!(revoke.status().is_success(), "{}", revoke.status());
    for (key, reason) in [
        (gone.as_str(), "refuses with 401: the API key is revoked"),
        ("gih_nobody-has-this", "refuses with 401: the API key is wrong"),
        ("", "refuses with 401: give an API key"),
    ] {
        let page = tested(&hub, key).await;
        assert!(page.contains(&format!("{endpoint} {reason}")), "{page}");
    }

    let audit = hub.http.get(format!("{}/access/log", hub.url)).bearer_auth(OWN_KEY).send().await.unwrap();
    let audit = audit.text().await.unwrap().replace("&#x2f;", "/");
    assert!(audit.contains("whole") && !audit.contains("POST /connect"), "{audit}");
    let url = hub.url.clone();
    hub.terminate();
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(told.contains(&url));
    for key in [&whole, &seer, &gone] {
        assert!(!told.contains(key.as_str()) && !audit.contains(key.as_str()), "a key is in the log");
    }
}
