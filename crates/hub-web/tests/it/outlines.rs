//! The structure of pages that no link leads to: what forms answer, and what is seen at the door.

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use http_body_util::BodyExt as _;
use hub_web::LostForms;
use serde_json::json;

use crate::{
    catalogue_pages::upload,
    forms::{full_hub, send},
    hub::{Hub, request, web_config},
    markup::{forms, outline},
};

const PASSWORD: &str = "correct horse battery";
const PASSPHRASE: &str = "another-horse-battery";
/// Typed for a new server, when the login is over.
const TYPED: &str = "name=gpu-9&base_url=http%3A%2F%2F192.0.2.1%3A8188&auth=bearer&secret=hunter2&csrf=old";
const SMOKE: &str = include_str!("../../../../workflows/smoke.json");

/// Pages, by what they are.
#[derive(Default)]
struct Seen(Vec<(&'static str, String)>);

impl Seen {
    /// Notes what is answered with that status.
    fn note(&mut self, what: &'static str, (status, html): (StatusCode, String), expected: StatusCode) {
        assert_eq!(status, expected, "{what}: {html}");
        self.0.push((what, html));
    }

    fn outlines(&self) -> String {
        let outlines = self.0.iter().map(|(what, html)| format!("── {what}\n{}\n", outline(html)));
        outlines.collect::<Vec<_>>().join("\n")
    }
}

async fn page(hub: &Hub, path: &str) -> (StatusCode, String) {
    let answer = hub.page(path).await;
    (answer.status, answer.text())
}

async fn form(hub: &Hub, path: &str, typed: &str) -> (StatusCode, String) {
    let answer = hub.form(path, typed).await;
    (answer.status, answer.text())
}

async fn file(hub: &Hub, path: &str, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> (StatusCode, String) {
    let answer = upload(hub, path, fields, Some((name, bytes))).await;
    (answer.status, answer.text())
}

/// Two pictures, one of them a favourite.
async fn pictures(hub: &Hub) -> [String; 2] {
    let mut made = Vec::new();
    for seed in [1, 2] {
        let body = json!({ "tool": "generate_image", "arguments": { "prompt": "a hen", "seed": seed } });
        let job = hub.json("POST", "/api/v1/jobs", &body).await.json();
        let ended = hub.ended(job["id"].as_str().unwrap_or_else(|| panic!("{job}"))).await;
        made.push(ended["images"][0]["id"].as_str().unwrap_or_else(|| panic!("{ended}")).to_owned());
    }
    let kept = hub.form("/gallery/favourites", &format!("image={}&favourite=on", made[0])).await;
    assert_eq!(kept.status, StatusCode::SEE_OTHER, "{}", kept.text());
    made.try_into().expect("two")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_about_pictures_keep_their_structure() {
    let hub = full_hub().await;
    let [one, two] = pictures(&hub).await;
    let mut seen = Seen::default();
    let ok = StatusCode::OK;
    seen.note("two pictures compared", page(&hub, &format!("/compare?image={one}&image={two}")).await, ok);
    let ticked = format!("image={one}&image={two}&back=%2Fgallery");
    seen.note("whether to delete pictures", form(&hub, "/gallery/delete", &ticked).await, ok);
    seen.note("pictures that are ticked", page(&hub, "/gallery?q=hen&all=on").await, ok);
    let plan = "prompt=a+hen&styles=anime&aspect_ratio=16%3A9&seed=7";
    seen.note("a plan", form(&hub, "/playground/generate_image/plan", plan).await, ok);
    let wrong = form(&hub, "/playground/generate_image", "prompt=a+hen&seed=-1").await;
    seen.note("a request with a fault", wrong, StatusCode::UNPROCESSABLE_ENTITY);
    insta::assert_snapshot!("pictures", seen.outlines());
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_of_imports_keep_their_structure() {
    let hub = full_hub().await;
    let mut seen = Seen::default();
    let ok = StatusCode::OK;
    let table = b"name,prompt_template\nanime,\"manga, {prompt}\"\nnew,\"new, {prompt}\"\n";
    seen.note("a table of styles", file(&hub, "/styles/import", &[], "styles.csv", table).await, ok);
    let wrong = file(&hub, "/styles/import", &[], "styles.csv", b"name,colour\na,b").await;
    seen.note("a table with a fault", wrong, StatusCode::UNPROCESSABLE_ENTITY);

    let table = b"name,workflow,mode,sizes\nnew,txt2img-sd15,generate,1:1=256x256\n";
    seen.note("a table of render types", file(&hub, "/render-types/import", &[], "types.csv", table).await, ok);
    let wrong = file(&hub, "/render-types/import", &[], "types.csv", b"name,workflow,mode\na,b,draw").await;
    seen.note("a table of render types with a fault", wrong, StatusCode::UNPROCESSABLE_ENTITY);

    let mut document = hub.form("/configuration/export", &format!("export_passphrase={PASSPHRASE}")).await.json();
    document["styles"][0]["category"] = json!("other");
    let document = document.to_string().into_bytes();
    let fields = [("mode", "replace"), ("passphrase", PASSPHRASE)];
    let shown = file(&hub, "/configuration/import", &fields, "genimage-config.json", &document).await;
    seen.note("a configuration with secrets", shown, ok);
    let wrong = file(&hub, "/configuration/import", &[("mode", "merge")], "genimage-config.json", b"{}").await;
    seen.note("a configuration with a fault", wrong, StatusCode::UNPROCESSABLE_ENTITY);

    let wrong = file(&hub, "/workflows", &[("name", &"x".repeat(200))], "smoke.json", SMOKE.as_bytes()).await;
    seen.note("a workflow with a fault", wrong, StatusCode::UNPROCESSABLE_ENTITY);
    // What was found in one that is taken stands on its own page, beside what the version before was.
    let taken = upload(&hub, "/workflows", &[("name", "txt2img-sd15")], Some(("smoke.json", SMOKE.as_bytes()))).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.text());
    seen.note("a workflow that was just imported", page(&hub, taken.header("location")).await, ok);
    insta::assert_snapshot!("imports", seen.outlines());
}

/// What the guard before the router answers when a form comes without a login.
async fn without_login() -> (StatusCode, String) {
    let sent = request("POST", "/servers")
        .header(header::ACCEPT, "text/html")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(TYPED))
        .expect("a request");
    let answer = LostForms::new(&web_config()).page(sent).await;
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.expect("it is whole").to_bytes();
    (parts.status, String::from_utf8(bytes.to_vec()).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_at_the_door_and_of_accounts_keep_their_structure() {
    let mut hub = Hub::with_server(5).await;
    let mut seen = Seen::default();
    let ok = StatusCode::OK;
    seen.note("an address that leads nowhere", page(&hub, "/nothing").await, StatusCode::NOT_FOUND);
    hub.log_in(PASSWORD).await;
    seen.note("access, without a key", page(&hub, "/access").await, ok);
    hub.login = None;
    seen.note("the login", page(&hub, "/login?next=%2Fjobs").await, ok);
    let wrong = form(&hub, "/login", "password=wrong&next=%2Fjobs").await;
    seen.note("the login, after a wrong password", wrong, StatusCode::UNAUTHORIZED);
    seen.note("a form without a login", without_login().await, StatusCode::UNAUTHORIZED);
    hub.log_in(PASSWORD).await;
    let lost = form(&hub, "/servers", TYPED).await;
    seen.note("a form of another login", lost, StatusCode::FORBIDDEN);
    let new = forms("/access", &page(&hub, "/access").await.1);
    let new = new.into_iter().find(|form| form.action == "/access/keys").expect("its form");
    let made = send(&hub, &new, &new.pairs(&[("name", "agent")]), None).await;
    seen.note("a new key, shown once", (made.status, made.text()), StatusCode::CREATED);
    let id = hub.get("/api/v1/keys").await.json()["keys"][0]["id"].as_str().expect("an id").to_owned();
    seen.note("access, with a key", page(&hub, "/access").await, ok);
    assert_eq!(hub.delete(&format!("/api/v1/keys/{id}")).await.status, StatusCode::NO_CONTENT);
    seen.note("a key that is revoked", page(&hub, &format!("/access/keys/{id}")).await, ok);
    insta::assert_snapshot!("door", seen.outlines());
}
