//! Every form of every page, found by reading the pages: what is typed comes back as it was typed or is refused beside
//! its field, and of two admins the second is told.

mod account;
mod answers;
mod configuration;
mod credentials;
mod files;

use std::collections::BTreeMap;

use axum::{body::Body, http::header};
use serde_json::{Value, json};
use url::form_urlencoded;

use self::answers::{faults, is_told_elsewhere, is_versioned, needed, not_kept, told_beside};
use crate::{
    hub::{Answer, Hub, request},
    markup::{Field, Form, Piece, forms, links, outline, pieces},
    places::kind_of,
};

/// What people paste, and what others hope that a page takes for its own.
const ODD: [&str; 4] = [
    "\"><script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{ 7919*7 }}{% raw %}${7919*7}",
    "🦊 שלום עולם 狐狸 \u{202e}abc",
    "",
];

/// Something of everything that the pages show.
pub(crate) async fn full_hub() -> Hub {
    let hub = Hub::with_server(5).await;
    // What is asked for below finds it at work, and pages show what it has.
    hub.ready().await;
    let llm = json!({ "name": "ollama", "base_url": "http://127.0.0.1:9", "enabled": false });
    hub.json("POST", "/api/v1/llm-servers", &llm).await;
    for role in ["enhance", "describe", "prompt_generator"] {
        let given = json!({ "server": "ollama", "model": "llama3" });
        assert_eq!(hub.json("PUT", &format!("/api/v1/llm-roles/{role}"), &given).await.status, 200);
    }
    let sent =
        hub.json("POST", "/api/v1/jobs", &json!({"tool": "generate_image", "arguments": {"prompt": "a fox"}})).await;
    hub.ended(sent.json()["id"].as_str().expect("an id")).await;
    hub.json("POST", "/api/v1/keys", &json!({ "name": "agent" })).await;
    hub
}

/// One page of each kind, by its kind.
pub(crate) async fn pages(hub: &Hub) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    // Besides what is linked: what a hub like this has no link to.
    let mut ahead = vec!["/".to_owned(), "/start".to_owned(), "/setup".to_owned()];
    for tool in ["edit_image", "upscale_image", "detail_image", "describe_image", "generate_prompt"] {
        ahead.push(format!("/playground?tool={tool}"));
    }
    while let Some(path) = ahead.pop() {
        if found.contains_key(&kind_of(&path)) {
            continue;
        }
        let page = hub.page(&path).await;
        if !page.header("content-type").starts_with("text/html") {
            continue;
        }
        assert!(page.status.is_success(), "{path} is linked and answers {}", page.status);
        let html = String::from_utf8(page.body.to_vec()).expect("text");
        ahead.extend(links(&html));
        found.insert(kind_of(&path), (path, html));
    }
    assert!(found.len() > 30, "{:?}", found.keys());
    found
}

/// One form of each kind.
pub(crate) async fn all_forms(hub: &Hub) -> Vec<Form> {
    let mut found: Vec<Form> = Vec::new();
    for (path, html) in pages(hub).await.into_values() {
        for form in forms(&path, &html) {
            let known = |other: &Form| {
                kind_of(&other.action) == kind_of(&form.action) && {
                    let names = |form: &Form| form.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
                    names(other) == names(&form)
                }
            };
            if !found.iter().any(known) {
                found.push(form);
            }
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

/// Sends a form as a browser does, perhaps with a file: its field, name and bytes.
pub(crate) async fn send(
    hub: &Hub,
    form: &Form,
    pairs: &[(String, String)],
    file: Option<(&str, &str, &[u8])>,
) -> Answer {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if form.method != "post" {
        return hub.page(&format!("{}?{encoded}", form.action.split('?').next().unwrap_or_default())).await;
    }
    if !form.multipart {
        return hub.form(&form.action, &encoded).await;
    }
    let mut body = Vec::new();
    for (name, value) in pairs {
        body.extend(format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    if let Some((field, name, bytes)) = file {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(b"--b--\r\n");
    let sent = request("POST", &form.action)
        .header(header::ACCEPT, "text/html")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .body(Body::from(body));
    hub.send(sent.expect("a request")).await
}

/// The form as its page has it now.
async fn again(hub: &Hub, form: &Form) -> Option<Form> {
    let page = hub.page(&form.page).await;
    let html = String::from_utf8(page.body.to_vec()).expect("text");
    let mut shown = forms(&form.page, &html);
    // What was stored may have brought it a field more, as a key does the box to forget it.
    let grown = |other: &Form| is_versioned(form) && other.action == form.action;
    let at = shown.iter().position(|other| other.is_like(form)).or_else(|| shown.iter().position(grown))?;
    Some(shown.swap_remove(at))
}

/// What of somebody's words has become part of the page.
fn taken_for_markup(html: &str) -> Option<String> {
    for piece in pieces(html) {
        match piece {
            Piece::Start(tag, attributes) if attributes.keys().any(|name| name.starts_with("on")) => {
                return Some(format!("<{tag} {attributes:?}>"));
            }
            Piece::Start(tag, attributes) if tag == "script" && !attributes.contains_key("src") => {
                return Some("a script in the page".to_owned());
            }
            Piece::Text(text) if text.contains("55433") => return Some("a sum that was done".to_owned()),
            _ => {}
        }
    }
    None
}

/// What is wrong with the hub when a form comes with such a value in one of its fields; and the form as its page has it
/// then.
async fn tried(hub: &Hub, form: Form, field: &Field, value: &str) -> (Vec<String>, Option<Form>) {
    let needed = needed(&form, field);
    let mut typed: Vec<(&str, &str)> = needed.clone();
    typed.push((field.name.as_str(), value));
    let answer = send(hub, &form, &form.pairs(&typed), None).await;
    let mut found = faults(&form, field, value, &answer);
    if is_told_elsewhere(&form, field, &answer) {
        // What the form lacks besides may be told first: then it is told without that value too.
        let without = send(hub, &form, &form.pairs(&needed), None).await;
        if !without.status.is_client_error() || told_beside(&without) != told_beside(&answer) {
            found.push(format!("{}, and told beside {:?}", answer.status, told_beside(&answer)));
        }
    }
    if !answer.status.is_redirection() {
        return (found, Some(form));
    }
    let shown = hub.page(answer.header("location")).await;
    if shown.status.is_server_error() {
        found.push(format!("{} afterwards", shown.status));
    }
    found.extend(taken_for_markup(&shown.text()).map(|fault| format!("{fault}, afterwards")));
    let after = again(hub, &form).await;
    found.extend(after.as_ref().and_then(|after| not_kept(after, field, value)));
    (found, after)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_takes_odd_words_as_text_or_says_what_is_wrong() {
    let hub = full_hub().await;
    let long = "x y ".repeat(2500);
    let (mut faulty, mut sent) = (Vec::new(), 0);
    for form in all_forms(&hub).await {
        // Those that take something away have nothing to type in.
        if form.action.ends_with("/delete") && form.fields.is_empty() {
            continue;
        }
        let mut names: Vec<&Field> = form.fields.iter().filter(|field| field.kind != "file").collect();
        names.dedup_by(|one, other| one.name == other.name);
        let mut now = again(&hub, &form).await;
        for field in names {
            for odd in ODD {
                let value = if odd.is_empty() { &long } else { odd };
                let Some(current) = now.take() else { break };
                let about = format!("{} {} on {}: {} = {:.20}", form.method, form.action, form.page, field.name, value);
                let (found, after) = tried(&hub, current, field, value).await;
                faulty.extend(found.into_iter().map(|fault| format!("{about}: {fault}")));
                sent += 1;
                now = after;
            }
        }
    }
    // What was stored on the way is text on every page.
    for (path, html) in pages(&hub).await.into_values() {
        faulty.extend(taken_for_markup(&html).map(|fault| format!("{path}: {fault}")));
    }
    assert!(sent > 400, "only {sent} forms were sent");
    assert!(faulty.is_empty(), "{} of {sent}:\n{}", faulty.len(), faulty.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_the_second_is_told_by_every_form_that_changes_something() {
    let hub = full_hub().await;
    let mut told = Vec::new();
    for form in all_forms(&hub).await {
        if !is_versioned(&form) || form.method != "post" {
            continue;
        }
        let mut done = false;
        for field in form.fields.iter().filter(|field| field.is_typed()) {
            let Some(current) = again(&hub, &form).await else { break };
            // Fits a number and a text.
            let first = send(&hub, &current, &current.pairs(&[(&field.name, "12")]), None).await;
            if !first.status.is_redirection() {
                continue;
            }
            let second = send(&hub, &current, &current.pairs(&[(&field.name, "13")]), None).await;
            let html = second.text();
            assert_eq!(
                second.status.as_u16(),
                412,
                "{} takes the second change of {}: {html}",
                form.action,
                field.name
            );
            assert!(html.contains("Somebody changed this"), "{}: {html}", form.action);
            let kept = forms(&form.page, &html).into_iter().flat_map(|form| form.fields);
            assert!(
                kept.into_iter().any(|shown| shown.name == field.name && shown.value == "13"),
                "{} forgets what was typed into {}",
                form.action,
                field.name
            );
            done = true;
            break;
        }
        assert!(done, "{} takes no change at all", form.action);
        told.push(kind_of(&form.action));
    }
    let needed = [
        "/styles/sty",
        "/styles/scene",
        "/render-types/rt",
        "/llm-servers/llm",
        "/llm-servers/roles/enhance",
        "/llm-servers/roles/describe",
        "/llm-servers/roles/prompt_generator",
        "/servers/srv/settings",
        "/settings",
        "/settings/instructions/enhance",
        "/settings/instructions/describe",
        "/settings/instructions/generator",
        "/maintenance/retention",
        "/access/keys/key",
    ];
    for needed in needed {
        assert!(told.iter().any(|action| action == needed), "{needed} is not among {told:?}");
    }
}

/// How many things the hub has, and how many versions of its workflows.
pub(crate) async fn things(hub: &Hub) -> Vec<usize> {
    let mut counts = Vec::new();
    for noun in ["servers", "llm-servers", "workflows", "render-types", "styles", "keys", "jobs"] {
        let listed = hub.get(&format!("/api/v1/{noun}")).await.json();
        let all = listed.as_object().and_then(|all| all.values().find_map(Value::as_array)).cloned();
        let all = all.unwrap_or_default();
        counts.push(all.len());
        if noun == "workflows" {
            let versions = all.iter().filter_map(|row| row["version"].as_u64()).sum::<u64>();
            counts.push(usize::try_from(versions).expect("few"));
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_keep_their_structure() {
    let hub = full_hub().await;
    let outlines = pages(&hub).await.into_iter().map(|(kind, (_, html))| format!("── {kind}\n{}\n", outline(&html)));
    insta::assert_snapshot!("outlines", outlines.collect::<Vec<_>>().join("\n"));
}
