//! What pages and stored files may load and run.

use axum::http::StatusCode;

use crate::{
    forms::{full_hub, pages},
    hub::{Answer, Hub},
};

/// What pages may load and where their forms may go.
const PAGES: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
/// The one exception. A stored file opened by itself is in a sandbox, runs nothing and loads next to nothing; but an
/// SVG has its styles inline, and so has the document that a browser makes around a picture.
const FILES: &str = "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

/// The one policy of an answer.
fn policy_of(answer: &Answer) -> &str {
    assert_eq!(answer.headers.get_all("content-security-policy").iter().count(), 1);
    answer.header("content-security-policy")
}

#[test]
fn the_policy_of_pages_lets_nothing_run_that_stands_in_them() {
    let directives: Vec<&str> = PAGES.split("; ").collect();
    for needed in ["default-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(directives.contains(&needed), "{needed}");
    }
    for lax in ["'unsafe-", "*", "http", "'strict-dynamic'", "'nonce-", "'sha256-"] {
        assert!(!PAGES.contains(lax), "{lax}");
    }
    // What is not named goes by `default-src`.
    assert!(!directives.iter().any(|one| one.starts_with("script-src") || one.starts_with("style-src")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_comes_with_the_policy_of_pages() {
    let hub = full_hub().await;
    for (path, _) in pages(&hub).await.into_values() {
        assert_eq!(policy_of(&hub.page(&path).await), PAGES, "{path}");
    }
    // Faults and what programs read too.
    for path in ["/nothing", "/jobs/x", "/jobs?tool=draw", "/api/v1/jobs", "/healthz", "/assets/css/base.css"] {
        assert_eq!(policy_of(&hub.page(path).await), PAGES, "{path}");
    }
    let refused = hub.form("/servers", "name=gpu-9&base_url=ftp%3A%2F%2Fx&auth=none").await;
    assert_eq!((refused.status, policy_of(&refused)), (StatusCode::UNPROCESSABLE_ENTITY, PAGES));
}

#[tokio::test]
async fn only_stored_files_have_a_policy_of_their_own_and_it_lets_no_script_run() {
    let hub = Hub::with_server(5).await;
    let sent = hub.form("/playground/generate_image", "prompt=a+fox").await;
    let path = sent.header("location").to_owned();
    let image = hub.ended(path.strip_prefix("/jobs/").expect("the job's page")).await["images"][0].clone();
    let page = hub.page(&path).await.text();
    let id = image["id"].as_str().expect("a picture");
    let stored = page.split('"').find(|part| part.starts_with("/outputs/") && part.contains(id)).expect("its file");
    for file in [stored.to_owned(), format!("/thumbs/{id}")] {
        let answer = hub.page(&file).await;
        assert_eq!((answer.status, policy_of(&answer)), (StatusCode::OK, FILES), "{file}");
    }
    let directives: Vec<&str> = FILES.split("; ").collect();
    for needed in ["default-src 'none'", "sandbox", "frame-ancestors 'none'"] {
        assert!(directives.contains(&needed), "{needed}");
    }
    // Inline styles are all that pages do not have: no source of scripts, and a sandbox that lets none run.
    assert!(!directives.iter().any(|one| one.starts_with("script-src") || one.starts_with("sandbox ")));
}
