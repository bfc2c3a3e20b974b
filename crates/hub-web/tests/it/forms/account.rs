//! The forms of `/access` that only somebody who is logged in sees: any words in each field, faults beside fields, and
//! two presses that do one thing.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    ODD,
    answers::{not_kept, told_beside},
    send, taken_for_markup, things, tried,
};
use crate::{
    hub::{Answer, Hub},
    markup::{Field, Form, forms},
    places::kind_of,
};

const PASSWORD: &str = "correct horse battery";
/// What a form holds that nobody types.
const NOT_TYPED: [&str; 2] = ["csrf", "version"];

/// A hub with an account and one key, and somebody who is logged in.
async fn account() -> Hub {
    let mut hub = Hub::with_server(5).await;
    hub.log_in(PASSWORD).await;
    let made = hub.json("POST", "/api/v1/keys", &json!({ "name": "agent" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    hub
}

/// All keys, as programs read them.
async fn keys(hub: &Hub) -> Vec<Value> {
    hub.get("/api/v1/keys").await.json()["keys"].as_array().expect("keys").clone()
}

/// Address of the page of the key of that name.
async fn page_of(hub: &Hub, name: &str) -> Option<String> {
    let key = keys(hub).await.into_iter().find(|key| key["name"] == name)?;
    Some(format!("/access/keys/{}", key["id"].as_str().expect("an id")))
}

/// The forms of a page.
async fn forms_on(hub: &Hub, path: &str) -> Vec<Form> {
    let page = hub.page(path).await;
    assert_eq!(page.status, StatusCode::OK, "{path}");
    forms(path, std::str::from_utf8(&page.body).expect("text"))
}

/// The form of that kind, with what pages of this login put into it.
async fn form_of(hub: &Hub, kind: &str) -> Form {
    let key = page_of(hub, "agent").await.expect("a key");
    let path = if kind == "/access/keys/key" { key.as_str() } else { "/access" };
    let form = forms_on(hub, path).await.into_iter().find(|form| kind_of(&form.action) == kind);
    form.unwrap_or_else(|| panic!("no form {kind} on {path}"))
}

/// Whether the session goes on that somebody logged in with.
async fn goes_on(hub: &Hub, token: &str) -> bool {
    hub.access.session(token).await.expect("read").is_some()
}

fn token_of(hub: &Hub) -> String {
    hub.login.as_ref().expect("somebody is logged in").token().expose_secret().to_owned()
}

#[tokio::test]
async fn each_form_of_access_is_tried_here() {
    let hub = account().await;
    let mut found = forms_on(&hub, "/access").await;
    found.extend(forms_on(&hub, &page_of(&hub, "agent").await.expect("a key")).await);
    let kinds: BTreeSet<String> = found.iter().map(|form| kind_of(&form.action)).collect();
    let known = ["/access/keys", "/access/keys/key", "/access/keys/key/revoke", "/access/password", "/logout"];
    assert_eq!(kinds, known.map(str::to_owned).into());
    for form in found {
        assert!(form.fields.iter().any(|field| field.name == "csrf" && !field.value.is_empty()), "{}", form.action);
    }
}

/// What is wrong with a key that was made with that value in one of its fields, as its page has it.
async fn wrong_in_key(hub: &Hub, name: &str, field: &Field, value: &str) -> Option<String> {
    // A key's name is no field of its page.
    if field.name == "name" {
        return None;
    }
    let path = page_of(hub, name).await?;
    let form = forms_on(hub, &path).await.into_iter().find(|form| form.action == path).expect("its form");
    not_kept(&form, field, value)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_key_takes_odd_words_as_text_or_says_what_is_wrong() {
    let hub = account().await;
    let long = "x y ".repeat(2500);
    let (mut faulty, mut sent) = (Vec::new(), 0);
    for kind in ["/access/keys/key", "/access/keys"] {
        let fields = form_of(&hub, kind).await.fields.into_iter().filter(|field| !NOT_TYPED.contains(&&*field.name));
        let mut fields: Vec<Field> = fields.collect();
        fields.dedup_by(|one, other| one.name == other.name);
        for (field, odd) in fields.iter().flat_map(|field| ODD.map(|odd| (field, odd))) {
            let value: &str = if odd.is_empty() { &long } else { odd };
            let mut form = form_of(&hub, kind).await;
            // A name of its own, so that nothing else is wrong with a new key.
            let name = format!("key {sent}");
            for own in form.fields.iter_mut().filter(|own| own.name == "name") {
                own.value.clone_from(&name);
            }
            let (mut found, _) = tried(&hub, form, field, value).await;
            found.extend(wrong_in_key(&hub, &name, field, value).await);
            faulty.extend(found.into_iter().map(|fault| format!("{kind}: {} = {value:.20}: {fault}", field.name)));
            sent += 1;
        }
    }
    assert!(keys(&hub).await.len() > 5, "hardly any key was made");
    for path in ["/access".to_owned(), "/access/log".to_owned(), page_of(&hub, ODD[0]).await.expect("a key")] {
        let fault = taken_for_markup(&hub.page(&path).await.text());
        faulty.extend(fault.map(|fault| format!("{path}: {fault}")));
    }
    assert!(sent > 60, "only {sent} forms were sent");
    assert!(faulty.is_empty(), "{} of {sent}:\n{}", faulty.len(), faulty.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_any_words_is_taken_and_everybody_has_to_log_in_again() {
    let mut hub = account().await;
    let mut password = PASSWORD;
    for odd in ODD.into_iter().filter(|odd| !odd.is_empty()) {
        let elsewhere = token_of(&hub);
        hub.log_in(password).await;
        let form = form_of(&hub, "/access/password").await;
        let changed = send(&hub, &form, &form.pairs(&[("password", odd), ("again", odd)]), None).await;
        assert_eq!((changed.status, changed.header("location")), (StatusCode::SEE_OTHER, "/login"), "{odd}");
        assert!(!goes_on(&hub, &token_of(&hub)).await && !goes_on(&hub, &elsewhere).await, "{odd}");
        hub.log_in(odd).await;
        password = odd;
    }
    hub.login = None;
    let refused = hub.form("/login", "password=correct+horse+battery").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "what was the password before is none");
}

/// What is wrong with how a page tells a fault: beside that field, with what was typed, but no password.
fn wrong_in(answer: &Answer, path: &str, typed: &[(&str, &str)], place: &str) -> Vec<String> {
    let html = answer.text();
    let beside = told_beside(answer);
    let mut wrong = Vec::new();
    if !answer.status.is_client_error() || beside != BTreeSet::from([place.to_owned()]) {
        wrong.push(format!("{}, and told beside {beside:?}", answer.status));
    }
    let shown: Vec<Field> = forms(path, &html).into_iter().flat_map(|form| form.fields).collect();
    for (name, value) in typed.iter().filter(|(_, value)| !value.is_empty()) {
        let is_shown = shown.iter().any(|field| field.name == *name && field.value == *value);
        let is_secret = ["password", "again"].contains(name);
        if is_secret && html.contains(value) {
            wrong.push(format!("{name} is shown again"));
        } else if !is_secret && *name != "scopes" && !is_shown {
            wrong.push(format!("what was typed into {name} is gone"));
        }
    }
    for id in html.split("<a href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        if !html.contains(&format!(" id=\"{id}\"")) {
            wrong.push(format!("points at #{id}, which is not there"));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_key_or_a_password_stands_beside_its_field() {
    const OF_KEYS: [(&str, &str); 10] = [
        ("scopes", "everything"),
        ("tools", "generate_image\nget_job"),
        ("rate_per_minute", "0"),
        ("images_per_day", "many"),
        ("gpu_seconds_per_day", "-1"),
        ("weight", "-1"),
        ("weight", "NaN"),
        ("expires_on", "soon"),
        ("expires_on", "2020-01-01"),
        // No moment follows it.
        ("expires_on", "+262142-12-31"),
    ];
    let hub = account().await;
    let change = |typed: (&'static str, &'static str)| ("/access/keys/key", vec![typed], typed.0);
    let make = |typed: (&'static str, &'static str)| ("/access/keys", vec![("name", "new"), typed], typed.0);
    let named = ["", " ", "admin", "agent"].map(|name| ("/access/keys", vec![("name", name)], "name"));
    let passwords = [("sh0rt-one", "sh0rt-one", "password"), ("l0ng-enough-for-one", "an0ther-one", "again")]
        .map(|(one, other, place)| ("/access/password", vec![("password", one), ("again", other)], place));
    let mut faulty = Vec::new();
    let before = keys(&hub).await;
    for (kind, typed, place) in OF_KEYS.map(change).into_iter().chain(OF_KEYS.map(make)).chain(named).chain(passwords) {
        let form = form_of(&hub, kind).await;
        let answer = send(&hub, &form, &form.pairs(&typed), None).await;
        let wrong = wrong_in(&answer, &form.page, &typed, place);
        faulty.extend(wrong.into_iter().map(|wrong| format!("{kind}: {typed:?}: {wrong}")));
    }
    // Without any tick.
    for kind in ["/access/keys/key", "/access/keys"] {
        let form = form_of(&hub, kind).await;
        // The name of a key that is there is no field.
        let typed: &[(&str, &str)] = if kind == "/access/keys" { &[("name", "new")] } else { &[] };
        let mut pairs = form.pairs(typed);
        pairs.retain(|(name, _)| name != "scopes");
        let wrong = wrong_in(&send(&hub, &form, &pairs, None).await, &form.page, &[], "scopes");
        faulty.extend(wrong.into_iter().map(|wrong| format!("{kind} without a scope: {wrong}")));
    }
    assert!(faulty.is_empty(), "{}", faulty.join("\n"));
    assert_eq!(keys(&hub).await, before, "nothing was written");
    assert!(goes_on(&hub, &token_of(&hub)).await, "nobody was logged out");
}

/// Two presses at once.
async fn pressed_twice(hub: &Hub, kind: &str, typed: &[(&str, &str)]) -> (Answer, Answer) {
    let form = form_of(hub, kind).await;
    let pairs = form.pairs(typed);
    tokio::join!(send(hub, &form, &pairs, None), send(hub, &form, &pairs, None))
}

/// How often something is in the audit log.
async fn told(hub: &Hub, act: &str) -> usize {
    let log = hub.get("/api/v1/audit?limit=100").await.json();
    let entries = log["entries"].as_array().expect("entries");
    entries.iter().filter(|entry| entry["act"] == act).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_by_two_presses_is_one_and_both_answers_show_it() {
    let hub = account().await;
    let before = things(&hub).await;
    let (one, other) = pressed_twice(&hub, "/access/keys", &[("name", "twice")]).await;
    let secret = |answer: &Answer| {
        let html = answer.text();
        assert_eq!(answer.status, StatusCode::CREATED, "{html}");
        html.split("id=\"new-key\">").nth(1).and_then(|rest| rest.split('<').next()).expect("a key").to_owned()
    };
    assert_eq!(secret(&one), secret(&other));
    assert!(hub.access.bearer(&secret(&one)).is_ok(), "it lets in");
    let more: usize = things(&hub).await.iter().zip(&before).map(|(after, before)| after - before).sum();
    assert_eq!((more, told(&hub, "POST /access/keys").await), (1, 1));
    let list = hub.page("/access").await.text();
    assert!(list.contains("<bdi>twice</bdi>") && !list.contains(&secret(&one)), "it is shown once: {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_presses_of_the_other_forms_of_access_do_one_thing() {
    const NEW: &str = "another horse battery";
    let mut hub = account().await;
    let key = page_of(&hub, "agent").await.expect("a key");
    for (kind, typed, act, leads_to) in [
        ("/access/keys/key", &[("rate_per_minute", "7")][..], format!("POST {key}"), "/access?done=key-saved"),
        ("/access/keys/key/revoke", &[], format!("POST {key}/revoke"), "/access?done=key-revoked"),
        ("/access/password", &[("password", NEW), ("again", NEW)], "POST /access/password".to_owned(), "/login"),
    ] {
        let (one, other) = pressed_twice(&hub, kind, typed).await;
        assert_eq!((one.status, one.header("location")), (StatusCode::SEE_OTHER, leads_to), "{kind}: {}", one.text());
        assert_eq!((other.status, &other.headers), (one.status, &one.headers), "{kind}: {}", other.text());
        assert_eq!(told(&hub, &act).await, 1, "{act}");
    }
    let key = keys(&hub).await.remove(0);
    assert_eq!(key["rate_per_minute"], 7, "{key}");
    assert!(!key["revoked_at"].is_null(), "{key}");
    assert!(!goes_on(&hub, &token_of(&hub)).await);

    hub.log_in(NEW).await;
    let (one, other) = pressed_twice(&hub, "/logout", &[]).await;
    for answer in [one, other] {
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/login"), "{}", answer.text());
        assert!(answer.header("set-cookie").contains("Max-Age=0"), "{:?}", answer.headers);
    }
    assert!(!goes_on(&hub, &token_of(&hub)).await);
}
