//! The configuration with its secrets, out of one hub by its page and into another by its page.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use hub_sim::SimAuth;
use serde_json::json;

use super::{answers::told_beside, send, things};
use crate::{
    hub::{Answer, Hub},
    markup::{Form, forms},
};

const PASSPHRASE: &str = "correct horse battery";
const WRONG: &str = "another horse battery";
const SECRET: &str = "hunter2";

/// A hub whose server lets nobody in without a secret.
async fn source() -> Hub {
    let hub = Hub::with_server(5).await;
    hub.sim().set_auth(Some(SimAuth::Bearer { token: SECRET.to_owned() }));
    let auth = json!({ "auth": { "kind": "bearer", "token": SECRET } });
    let changed = hub.json("PATCH", "/api/v1/servers/sim", &auth).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    assert!(lets_in(&hub).await, "the server does not take its secret");
    hub
}

/// Whether the server lets the hub in, as the test on its page tells.
async fn lets_in(hub: &Hub) -> bool {
    let id = hub.engine.servers().iter().find(|view| view.server.name == "sim").expect("a server").id();
    let tested = hub.form(&format!("/servers/{id}/test"), "").await.text();
    assert_ne!(tested.contains("The test passed"), tested.contains("The test failed"), "{tested}");
    tested.contains("The test passed")
}

/// The form of the page that sends there.
async fn form(hub: &Hub, action: &str) -> Form {
    let html = hub.page("/configuration").await.text();
    forms("/configuration", &html).into_iter().find(|form| form.action == action).expect("its form")
}

/// The file that the page makes with that passphrase, or without any.
async fn exported(hub: &Hub, passphrase: &str) -> Answer {
    let form = form(hub, "/configuration/export").await;
    let file = send(hub, &form, &form.pairs(&[("export_passphrase", passphrase)]), None).await;
    assert_eq!(file.status, StatusCode::OK, "{}", file.text());
    assert!(file.header("content-disposition").starts_with("attachment"), "{:?}", file.headers);
    assert_eq!(file.json()["secrets"].is_object(), !passphrase.is_empty());
    assert!(!file.text().contains(SECRET) && !file.text().contains(PASSPHRASE), "{}", file.text());
    file
}

/// Chooses a file and presses “Show what would change”.
async fn looked(hub: &Hub, file: &Answer, passphrase: &str) -> Answer {
    let form = form(hub, "/configuration/import").await;
    let chosen = Some(("file", "genimage-config.json", &file.body[..]));
    send(hub, &form, &form.pairs(&[("passphrase", passphrase)]), chosen).await
}

/// Presses “Import it” on the page that shows what would change.
async fn agreed(hub: &Hub, shown: &Answer, passphrase: &str) -> Answer {
    let html = shown.text();
    assert_eq!(shown.status, StatusCode::OK, "{html}");
    assert!(html.contains("This would merge") && !html.contains(SECRET) && !html.contains(PASSPHRASE), "{html}");
    let has_seen = |form: &Form| form.fields.iter().any(|field| field.name == "seen");
    let form = forms("/configuration", &html).into_iter().find(has_seen).expect("a form that does it");
    send(hub, &form, &form.pairs(&[("passphrase", passphrase)]), None).await
}

/// The page tells it beside the passphrase, and does not show what was typed there.
fn is_refused(answer: &Answer, typed: &str) {
    let html = answer.text();
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{html}");
    assert_eq!(told_beside(answer), BTreeSet::from(["passphrase".to_owned()]), "{html}");
    assert!(typed.is_empty() || !html.contains(typed), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_work_in_the_other_hub_when_they_came_with_the_passphrase() {
    let source = source().await;
    for (passphrase, is_there) in [(PASSPHRASE, true), ("", false)] {
        let target = Hub::empty().await;
        let shown = looked(&target, &exported(&source, passphrase).await, passphrase).await;
        assert!(target.engine.servers().is_empty(), "looking writes nothing");
        assert_eq!(shown.text().contains("`sim` has no secret yet"), !is_there, "{}", shown.text());
        let done = agreed(&target, &shown, passphrase).await;
        assert_eq!(done.header("location"), "/configuration?done=config-imported", "{}", done.text());
        let told = target.page(done.header("location")).await.text();
        assert!(told.contains("Imported. It is in force at once."), "{told}");
        assert_eq!(things(&target).await[..6], things(&source).await[..6], "all but keys and jobs");
        assert_eq!(lets_in(&target).await, is_there, "with {passphrase:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_passphrase_is_told_beside_its_field_and_nothing_is_written() {
    let (source, target) = (source().await, Hub::empty().await);
    let file = exported(&source, PASSPHRASE).await;
    let before = exported(&target, "").await.body;
    for wrong in ["", WRONG] {
        is_refused(&looked(&target, &file, wrong).await, wrong);
    }
    // Right when it was looked at, and wrong when it was to be done.
    let shown = looked(&target, &file, PASSPHRASE).await;
    let refused = agreed(&target, &shown, WRONG).await;
    is_refused(&refused, WRONG);
    assert_eq!(exported(&target, "").await.body, before);
    assert!(target.engine.servers().is_empty());

    // What the file held is kept: only the passphrase is typed again.
    let kept = forms("/configuration", &refused.text());
    let kept = kept.into_iter().find(|form| form.action == "/configuration/import").expect("its form");
    let again = send(&target, &kept, &kept.pairs(&[("passphrase", PASSPHRASE)]), None).await;
    let done = agreed(&target, &again, PASSPHRASE).await;
    assert_eq!(done.header("location"), "/configuration?done=config-imported", "{}", done.text());
    assert!(lets_in(&target).await);
}
