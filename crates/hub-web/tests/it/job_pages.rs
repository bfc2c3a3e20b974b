//! The pages of jobs: filters, why a job waits, what can be done to one and to many.

use axum::{body::Body, http::StatusCode};
use hub_core::job::JobStateKind;
use serde_json::{Value, json};

use crate::{
    connect::snippets,
    hub::{Hub, hidden, request},
    shell::words,
};

/// Submits a picture and answers the path of its page.
async fn submit(hub: &Hub, prompt: &str) -> String {
    let sent = hub.form("/playground/generate_image", &format!("prompt={prompt}&styles=anime")).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    sent.header("location").to_owned()
}

fn id(path: &str) -> &str {
    path.strip_prefix("/jobs/").expect("a job's page")
}

async fn state(hub: &Hub, path: &str) -> JobStateKind {
    let state = hub.get(&format!("/api/v1{path}")).await.json()["state"].as_str().expect("a state").to_owned();
    state.parse().expect("known")
}

/// Waits until a page says so: positions are told with the dispatcher's next turn.
pub(crate) async fn shows(hub: &Hub, path: &str, text: &str) -> String {
    let mut changes = hub.engine.changes();
    let told = async {
        loop {
            let page = hub.page(path).await.text();
            if page.contains(text) {
                return page;
            }
            changes.recv().await.expect("the engine lives");
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.unwrap_or_else(|_| panic!("no `{text}`"))
}

/// Jobs that wait behind two that run for long.
pub(crate) async fn crowded() -> (Hub, Vec<String>) {
    let hub = Hub::with_server(60_000).await;
    // Until it takes work all four wait, and the last one has three before it.
    hub.ready().await;
    let mut paths = Vec::new();
    for prompt in ["one", "two", "three", "four"] {
        paths.push(submit(&hub, prompt).await);
    }
    shows(&hub, "/jobs?state=waiting", "1 job before it").await;
    (hub, paths)
}

#[tokio::test]
async fn the_list_is_filtered_by_what_the_form_names() {
    let hub = Hub::with_server(5).await;
    let path = submit(&hub, "a+quiet+harbour").await;
    hub.ended(id(&path)).await;
    let other = json!({"name": "noir", "prompt_template": "dark"});
    assert_eq!(hub.json("POST", "/api/v1/styles", &other).await.status, StatusCode::CREATED);
    let lists = |text: &str, listed: bool| (text.to_owned(), listed);
    for (query, listed) in [
        lists("q=HARBOUR", true),
        lists("q=desert", false),
        lists("tool=generate_image&server=sim&render_type=sd15&caller=admin", true),
        lists("tool=upscale_image", false),
        lists("style=anime", true),
        lists("style=noir", false),
        lists("from=2020-01-01", true),
        lists("to=2020-01-01", false),
        lists("state=succeeded", true),
        lists("state=waiting", false),
    ] {
        let page = hub.page(&format!("/jobs?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}: {}", page.text());
        assert_eq!(page.text().contains(id(&path)), listed, "{query}");
    }
    let kept = hub.page("/jobs?q=desert&tool=generate_image").await.text();
    assert!(kept.contains("value=\"desert\"") && kept.contains("value=\"generate_image\" selected"), "{kept}");
    assert!(kept.contains("/jobs?state=failed&amp;q=desert&amp;tool=generate_image"), "{kept}");
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_told_beside_its_field() {
    let hub = Hub::with_server(5).await;
    for (query, fault) in [
        ("server=gpu-9", "server-fault"),
        ("from=tomorrow", "from-fault"),
        ("from=2026-02-02&to=2026-02-01", "to-fault"),
        ("tool=draw", "tool-fault"),
    ] {
        let page = hub.page(&format!("/jobs?q=kept&{query}")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(page.text().contains(fault) && page.text().contains("value=\"kept\""), "{query}: {}", page.text());
    }
}

#[tokio::test]
async fn a_waiting_job_says_why_and_is_moved() {
    let (hub, paths) = crowded().await;
    let (third, fourth) = (&paths[2], &paths[3]);
    let list = hub.page("/jobs?state=waiting").await.text();
    assert!(list.contains("Next in line") && list.contains("<bdi>sim</bdi> <bdi>has its hands full"), "{list}");
    assert!(list.contains(&format!("formaction=\"{fourth}/move\"")), "{list}");
    let page = shows(&hub, fourth, "1 job before it").await;
    assert!(page.contains("Why it waits") && page.contains("has its hands full"), "{page}");

    let moved = hub.form(&format!("{fourth}/move"), "to=first&back=%2Fjobs%3Fstate%3Dwaiting").await;
    let location = moved.header("location");
    assert!(location.starts_with("/jobs?state=waiting&done=moved&undo="), "{location}");
    shows(&hub, fourth, "Next in line").await;
    shows(&hub, third, "1 job before it").await;
    assert!(hub.page(moved.header("location")).await.text().contains("Moved within the queue"));
    let moved = hub.form(&format!("{fourth}/move"), "to=last").await;
    let location = moved.header("location");
    assert!(location.starts_with(&format!("{fourth}?done=moved&undo=")), "{location}");
    shows(&hub, third, "Next in line").await;
}

#[tokio::test]
async fn ticked_jobs_and_all_that_fit_are_cancelled() {
    let (hub, paths) = crowded().await;
    let ticked = format!("job={}&job={}&back=%2Fjobs", id(&paths[2]), id(&paths[3]));
    let done = hub.form("/jobs/cancel", &ticked).await;
    assert_eq!(done.header("location"), "/jobs?done=jobs-cancelled");
    assert_eq!(state(&hub, &paths[3]).await, JobStateKind::Cancelled);
    assert!(!state(&hub, &paths[0]).await.is_terminal(), "it was not ticked");
    assert_eq!(hub.form("/jobs/cancel", "back=%2Fjobs").await.header("location"), "/jobs?done=jobs-none-cancelled");

    let done = hub.form("/jobs/cancel", "all=on&matching=q%3Done").await;
    assert_eq!(done.header("location"), "/jobs?done=jobs-cancelled");
    assert_eq!(state(&hub, &paths[0]).await, JobStateKind::Cancelled);
    assert!(!state(&hub, &paths[1]).await.is_terminal(), "the filter does not find it");
    let done = hub.form("/jobs/cancel", "all=on&matching=").await;
    assert_eq!(done.header("location"), "/jobs?done=jobs-cancelled");
    assert_eq!(state(&hub, &paths[1]).await, JobStateKind::Cancelled);
}

#[tokio::test]
async fn a_job_that_ended_is_tried_again_and_its_page_tells_its_story() {
    let hub = Hub::with_server(5).await;
    let path = submit(&hub, "a+fox").await;
    hub.ended(id(&path)).await;
    let page = hub.page(&path).await.text();
    for told in ["Accepted", "Attempt 1 on sim", "Rendering on sim", "Prompt <code>", "Try again"] {
        assert!(page.contains(told), "`{told}` is missing: {page}");
    }
    let again = hub.form(&format!("{path}/retry"), "").await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text());
    let new = again.header("location").strip_suffix("?done=retried").expect("its page").to_owned();
    assert_ne!(new, path);
    hub.ended(id(&new)).await;
    let page = hub.page(again.header("location")).await.text();
    assert!(page.contains("Tried again") && page.contains(&format!("href=\"{path}\"")), "{page}");
}

/// On pages alone: programs are told the same without signs for the eye.
#[tokio::test]
async fn a_name_that_is_written_from_right_to_left_stands_apart_in_a_jobs_story() {
    let hub = Hub::with_server(5).await;
    let server = hub.engine.servers()[0].id();
    for (prompt, name) in [("a+fox", "שרת"), ("a+hare", "gpu\u{202e}-1")] {
        let named = hub.json("PATCH", &format!("/api/v1/servers/{server}"), &json!({ "name": name })).await;
        assert_eq!(named.status, StatusCode::OK, "{}", named.text());
        let path = submit(&hub, prompt).await;
        hub.ended(id(&path)).await;
        let page = hub.page(&path).await.text();
        let told = format!("Attempt 1 on \u{2068}{name}\u{2069}</span>");
        assert!(page.contains(&told), "`{told}` is missing: {page}");
        let record = hub.get(&format!("/api/v1{path}")).await.text();
        assert!(record.contains(name) && !record.contains('\u{2068}'), "{record}");
    }
}

/// That a whole hub takes it, open and closed, is told beside the hub's doors.
#[tokio::test]
async fn the_curl_of_a_job_is_words_of_a_shell_and_has_a_key_where_the_hub_asks_for_one() {
    let hub = Hub::with_server(5).await;
    let prompt = "it's $HOME, `id` & a \"fox\"";
    let job = json!({ "tool": "generate_image", "arguments": { "prompt": prompt, "seed": 7 } });
    let made = hub.json("POST", "/api/v1/jobs", &job).await.json();
    let path = format!("/jobs/{}", made["id"].as_str().expect("an id"));
    hub.ended(id(&path)).await;
    for key in [None, Some("Authorization: Bearer YOUR_KEY")] {
        if key.is_some() {
            assert_eq!(hub.json("POST", "/api/v1/keys", &json!({ "name": "agent" })).await.status, StatusCode::CREATED);
        }
        let shown = snippets(&hub.page(&path).await);
        let curl = shown.iter().find(|(id, _)| id == "call-curl").map(|(_, text)| text).expect("a curl");
        let Some(mut words) = words(curl) else { return };
        let body: Value = serde_json::from_str(&words.pop().expect("a body")).expect("JSON");
        let mut wanted = vec!["-s", "http://hub.test:8001/mcp"];
        wanted.extend(key.iter().flat_map(|key| ["-H", *key]));
        wanted.extend(["-H", "Content-Type: application/json", "-d"]);
        assert_eq!(words, wanted, "{curl}");
        assert_eq!((&body["method"], &body["params"]["name"]), (&json!("tools/call"), &json!("generate_image")));
        assert_eq!(body["params"]["arguments"]["prompt"], prompt);
        let again = json!({ "tool": body["params"]["name"], "arguments": body["params"]["arguments"] });
        assert_eq!(hub.json("POST", "/api/v1/jobs", &again).await.status, StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn why_a_job_waits_is_told_live() {
    let (hub, paths) = crowded().await;
    let last = &paths[3];
    assert!(hub.page(last).await.text().contains("1 job before it"));
    let mut live = hub.follow(request("GET", &format!("{last}/live")).body(Body::empty()).expect("a request")).await;
    assert!(live.fragment().await.contains("1 job before it"));
    let moved = hub.form(&format!("{last}/move"), "to=first").await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER, "{}", moved.text());
    let told = async {
        loop {
            let fragment = live.fragment().await;
            if fragment.contains("Why it waits") && !fragment.contains("1 job before it") {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.expect("the reasons follow");
}

#[tokio::test]
async fn a_picture_is_kept_as_a_favourite_on_its_jobs_page_and_that_is_taken_back() {
    let hub = Hub::with_server(5).await;
    let path = submit(&hub, "a+hen").await;
    let image = hub.ended(id(&path)).await["images"][0]["id"].as_str().expect("a picture").to_owned();
    assert!(hub.page(&path).await.text().contains("Keep as favourite"));
    let kept = hub.form("/gallery/favourites", &format!("image={image}&back={path}&favourite=on")).await;
    assert!(kept.header("location").starts_with(&format!("{path}?done=favoured&undo=")), "{}", kept.header("location"));
    let page = hub.page(kept.header("location")).await.text();
    assert!(page.contains("No longer a favourite") && page.contains("Kept as favourites"), "{page}");
    let undone = hub.form("/undo", &format!("number={}", hidden(&page, "number"))).await;
    assert_eq!(undone.header("location"), format!("{path}?done=undone"));
    assert!(hub.page(&path).await.text().contains("Keep as favourite"));
}
