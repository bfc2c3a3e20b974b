//! Lists that go on over many pages: whoever follows their links sees all that fits, each once.

use std::{collections::BTreeSet, time::Duration};

use axum::http::StatusCode;
use hub_store::SearchBounds;
use serde_json::{Value, json};

use crate::{
    hub::Hub,
    jobs::idle,
    markup::{Piece, links, pieces},
};

/// What a page of a list shows, and where it leads on.
struct Page {
    html: String,
    /// Jobs by their rows, pictures by their boxes.
    ids: Vec<String>,
    next: Option<String>,
}

impl Page {
    async fn read(hub: &Hub, path: &str) -> Self {
        let answer = hub.page(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        let mut page = Self { html: answer.text(), ids: Vec::new(), next: None };
        for piece in pieces(&page.html) {
            let Piece::Start(tag, attributes) = piece else { continue };
            let get = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
            match tag.as_str() {
                "li" => page.ids.extend(get("id").strip_prefix("row-").map(str::to_owned)),
                "input" if get("name") == "image" => page.ids.push(get("value").to_owned()),
                "a" if get("rel") == "next" => page.next = Some(get("href").to_owned()),
                _ => {}
            }
        }
        page
    }
}

/// All pages from that one on, by their links.
async fn walked(hub: &Hub, first: &str) -> Vec<Page> {
    let (mut pages, mut path) = (Vec::new(), first.to_owned());
    loop {
        let page = Page::read(hub, &path).await;
        let next = page.next.clone();
        pages.push(page);
        assert!(pages.len() < 100, "{first} leads on for ever");
        match next {
            Some(next) => path = next,
            None => return pages,
        }
    }
}

/// Every one of `expected` is on one of the pages, once, and nothing else is.
fn hold(pages: &[Page], expected: &[String], about: &str) {
    let seen: Vec<&String> = pages.iter().flat_map(|page| &page.ids).collect();
    assert_eq!(seen.len(), expected.len(), "{about}: one is left out, or shown twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected.iter().collect(), "{about}");
}

/// Asks for a picture; answers the job's id.
async fn ask(hub: &Hub, prompt: &str, seed: usize) -> String {
    let arguments = json!({ "prompt": prompt, "seed": seed });
    let sent = hub.json("POST", "/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.text());
    sent.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_pages_through_many_jobs_sees_each_once() {
    // Nothing runs, so that no job changes its state on the way.
    let hub = idle().await;
    let (mut foxes, mut hens) = (Vec::new(), Vec::new());
    for number in 0..130 {
        if number % 3 == 0 {
            hens.push(ask(&hub, "a hen", number).await);
        } else {
            foxes.push(ask(&hub, "a fox", number).await);
        }
    }
    let cancelled = hub.form("/jobs/cancel", "matching=q%3Dhen&all=on").await;
    assert_eq!(cancelled.status, StatusCode::SEE_OTHER, "{}", cancelled.text());
    for hen in &hens {
        assert_eq!(hub.ended(hen).await["state"], "cancelled");
    }
    let all = [foxes.clone(), hens.clone()].concat();
    for (path, expected, pages) in [
        ("/jobs", &all, 5),
        ("/jobs?q=hen", &hens, 2),
        ("/jobs?state=cancelled", &hens, 2),
        ("/jobs?state=waiting", &foxes, 3),
        ("/jobs?state=waiting&q=FOX&tool=generate_image", &foxes, 3),
        ("/jobs?render_type=sd15&caller=local", &all, 5),
        ("/jobs?state=failed&q=fox", &Vec::new(), 1),
    ] {
        let walked = walked(&hub, path).await;
        hold(&walked, expected, path);
        assert_eq!(walked.len(), pages, "{path}");
        // Each page but the first leads back to that, and keeps the filters.
        let back = walked[1..].iter().filter(|page| links(&page.html).iter().any(|link| link == path));
        assert_eq!(back.count(), pages - 1, "{path}");
    }
    // What comes meanwhile stands before them and moves nothing.
    let first = Page::read(&hub, "/jobs").await;
    let newest = ask(&hub, "a goat", 0).await;
    let mut rest = walked(&hub, first.next.as_deref().expect("more")).await;
    rest.push(first);
    hold(&rest, &all, "with a job that came meanwhile");
    assert!(Page::read(&hub, "/jobs").await.ids.contains(&newest));
}

/// The pictures of all that were asked for, and their jobs.
async fn made(hub: &Hub, prompt: &str, jobs: &[(String, &str)]) -> (Vec<String>, Vec<String>) {
    let (mut found, mut pictures) = (Vec::new(), Vec::new());
    for (job, _) in jobs.iter().filter(|(_, asked)| asked.contains(prompt)) {
        let ended: Value = hub.ended(job).await;
        pictures.push(ended["images"][0]["id"].as_str().unwrap_or_else(|| panic!("{ended}")).to_owned());
        found.push(job.clone());
    }
    (found, pictures)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_whose_time_is_over_goes_on_by_its_links_until_all_are_found() {
    // A page looks at four jobs and has no time for more.
    let hub = Hub::searching(SearchBounds { patience: Duration::ZERO, step_jobs: 4 }).await;
    let mut asked = Vec::new();
    for number in 0..26 {
        let prompt = if number % 9 == 4 { "a hen" } else { "a fox" };
        asked.push((ask(&hub, prompt, number).await, prompt));
    }
    let (all, pictures) = made(&hub, "a", &asked).await;
    let (hens, of_hens) = made(&hub, "hen", &asked).await;
    assert_eq!((all.len(), hens.len()), (26, 3));
    for (path, expected) in [
        ("/jobs?q=hen", &hens),
        ("/jobs?state=succeeded&q=a", &all),
        ("/jobs?tool=generate_image&server=sim&q=hen", &hens),
        ("/jobs?q=nowhere", &Vec::new()),
        ("/gallery?q=hen", &of_hens),
        ("/gallery?tool=generate_image", &pictures),
        ("/gallery?render_type=sd15&q=nowhere", &Vec::new()),
    ] {
        let walked = walked(&hub, path).await;
        hold(&walked, expected, path);
        assert!(walked.len() > 3, "{path} is searched in {} steps only", walked.len());
        for (at, page) in walked.iter().enumerate() {
            let (html, is_last) = (&page.html, at + 1 == walked.len());
            assert_eq!(html.contains("Looked back to <time"), !is_last, "{path}, page {at}: {html}");
            assert_eq!(html.contains("Look further back"), !is_last, "{path}, page {at}: {html}");
            // A page that is empty speaks for what it looked at, and not for those before and after it.
            let noun = if path.starts_with("/jobs") { "job" } else { "picture" };
            let told = match (at, is_last) {
                (0, _) => format!("No {noun} fits so far."),
                (_, false) => "Nothing older fits so far.".to_owned(),
                (_, true) => "Nothing older fits.".to_owned(),
            };
            assert_eq!(html.contains(&told), page.ids.is_empty(), "{path}, page {at}: {html}");
        }
    }
}
