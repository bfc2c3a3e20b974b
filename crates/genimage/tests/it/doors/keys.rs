//! What a key opens, whose jobs it sees, where its limits end.

use std::time::Duration;

use hub_core::access::ApiKey;
use hub_store::Swapped;
use reqwest::{Method, StatusCode, header};
use serde_json::json;

use super::{Bed, KEY};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_for_what_it_says_and_no_more() {
    let bed = Bed::closed().await;
    let describing = bed.new_key(&json!({"name": "seer", "scopes": ["describe"]})).await;
    let reading = bed.new_key(&json!({"name": "watcher", "scopes": ["read"]})).await;
    let admin = bed.new_key(&json!({"name": "boss", "scopes": ["admin"]})).await;
    for (key, path, expected) in [
        (&describing, "/api/v1/jobs", 200),
        (&describing, "/api/v1/servers", 403),
        (&describing, "/api/v1/keys", 403),
        (&describing, "/servers", 403),
        (&reading, "/api/v1/servers", 200),
        (&reading, "/api/v1/stats", 200),
        (&reading, "/metrics", 200),
        (&describing, "/metrics", 403),
        (&reading, "/api/v1/settings", 403),
        (&reading, "/api/v1/events", 403),
        (&admin, "/api/v1/settings", 200),
        (&admin, "/api/v1/keys", 200),
        (&admin, "/servers", 200),
    ] {
        let (status, answer) = bed.with_key(key, Method::GET, path, None).await;
        assert_eq!(status.as_u16(), expected, "{path}: {answer}");
    }
    let refused = bed.ask(Method::GET, "/api/v1/servers").bearer_auth(&describing).send().await.unwrap();
    let challenge = refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned();
    assert!(challenge.contains("insufficient_scope") && challenge.contains("scope=\"read\""), "{challenge}");
    assert!(!challenge.contains("resource_metadata"), "clients would begin OAuth: {challenge}");
    let job = json!({"tool": "generate_image", "arguments": {"prompt": "a cat"}});
    let (status, answer) = bed.with_key(&describing, Method::POST, "/api/v1/jobs", Some(&job)).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (403, Some("forbidden")), "{answer}");
    assert_eq!(answer["valid_values"], json!(["describe_image"]));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let (_, listed) = bed.with_key(&describing, Method::POST, "/mcp", Some(&call)).await;
    assert!(!listed.to_string().contains("\"generate_image\""), "{listed}");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sees_its_own_jobs_and_pictures_and_admins_see_all() {
    let bed = Bed::closed().await;
    let (alice, bob) = (bed.new_key(&json!({"name": "alice"})).await, bed.new_key(&json!({"name": "bob"})).await);
    let job = json!({"tool": "generate_image", "arguments": {"prompt": "a cat"}});
    let (status, made) = bed.with_key(&alice, Method::POST, "/api/v1/jobs", Some(&job)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let job_id: hub_core::ids::JobId = id.parse().unwrap();
    let view = bed.hub.engine.wait(job_id, Duration::from_mins(1)).await.unwrap();
    let picture = view.artifacts.first().expect("a picture");
    let (name, file) = (picture.id.to_string(), picture.file_name());
    let cat = json!({"id": 1, "jsonrpc": "2.0", "method": "tools/call",
        "params": {"name": "get_job", "arguments": {"job_id": id}}});
    for (key, sees) in [(alice.as_str(), true), (KEY, true), (bob.as_str(), false)] {
        for path in [
            format!("/api/v1/jobs/{id}"),
            format!("/api/v1/jobs/{id}/events"),
            format!("/api/v1/images/{name}"),
            format!("/outputs/{file}"),
            format!("/thumbs/{name}"),
        ] {
            let (status, _) = bed.with_key(key, Method::GET, &path, None).await;
            assert_eq!(status.as_u16(), if sees { 200 } else { 404 }, "{path} with {key}");
        }
        let (_, listed) = bed.with_key(key, Method::GET, "/api/v1/jobs", None).await;
        assert_eq!(listed["jobs"].as_array().unwrap().len(), usize::from(sees), "{listed}");
        let (_, told) = bed.with_key(key, Method::POST, "/mcp", Some(&cat)).await;
        assert_eq!(told["result"]["isError"], !sees, "{told}");
    }
    // Neither cancelled, retried nor used as an input by another.
    for (method, path) in
        [(Method::DELETE, format!("/api/v1/jobs/{id}")), (Method::POST, format!("/api/v1/jobs/{id}/retry"))]
    {
        assert_eq!(bed.with_key(&bob, method, &path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, cancelled) = bed.with_key(&bob, Method::POST, "/api/v1/jobs/cancel", Some(&json!({"ids": [id]}))).await;
    assert_eq!(cancelled["unknown"], json!([id]));
    let archive = json!({"images": [name]});
    assert_eq!(bed.with_key(&bob, Method::POST, "/api/v1/images/zip", Some(&archive)).await.0, StatusCode::NOT_FOUND);
    let sent = bed.ask(Method::POST, "/api/v1/images/zip").bearer_auth(&alice).json(&archive).send().await.unwrap();
    assert_eq!(sent.headers()[header::CONTENT_TYPE], "application/zip");
    for image in [&name, &id] {
        let upscale = json!({"tool": "upscale_image", "arguments": {"image": image}});
        let (status, answer) = bed.with_key(&bob, Method::POST, "/api/v1/jobs", Some(&upscale)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
        let (status, answer) = bed.with_key(&alice, Method::POST, "/api/v1/jobs", Some(&upscale)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_styles_picture_is_seen_by_all_who_may_name_the_style_and_its_job_is_not() {
    let bed = Bed::closed().await;
    let bob = bed.new_key(&json!({"name": "bob"})).await;
    let (_, catalogue) = bed.with_key(&bob, Method::GET, "/api/v1/catalogue", None).await;
    let style = catalogue["styles"][0]["name"].as_str().expect("a style").to_owned();
    let path = format!("/api/v1/styles/{style}/preview");
    assert_eq!(bed.with_key(&bob, Method::POST, &path, None).await.0, StatusCode::FORBIDDEN);
    let (status, asked) = bed.with_key(KEY, Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{asked}");
    let id = asked["id"].as_str().unwrap().to_owned();
    bed.hub.engine.wait(id.parse().unwrap(), Duration::from_mins(1)).await.unwrap();
    let (_, catalogue) = bed.with_key(&bob, Method::GET, "/api/v1/catalogue", None).await;
    let url = catalogue["styles"][0]["preview_url"].as_str().expect("a picture").to_owned();
    let path = url::Url::parse(&url).expect("an address").path().to_owned();
    assert_eq!(bed.with_key(&bob, Method::GET, &path, None).await.0, StatusCode::OK);
    assert_eq!(bed.with_key(&bob, Method::GET, &format!("/api/v1/jobs/{id}"), None).await.0, StatusCode::NOT_FOUND);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_key_are_told_with_their_end() {
    let bed = Bed::closed().await;
    let slow = bed.new_key(&json!({"name": "slow", "rate_per_minute": 2})).await;
    for _ in 0..2 {
        assert_eq!(bed.with_key(&slow, Method::GET, "/api/v1/jobs", None).await.0, StatusCode::OK);
    }
    let refused = bed.ask(Method::GET, "/api/v1/jobs").bearer_auth(&slow).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));

    let few = bed.new_key(&json!({"name": "few", "images_per_day": 2, "render_types": ["flux"]})).await;
    let ask = |n: u32, render_type: &str| json!({"tool": "generate_image", "arguments": {"prompt": "a cat", "n": n, "render_type": render_type}});
    let (status, answer) = bed.with_key(&few, Method::POST, "/api/v1/jobs", Some(&ask(3, "flux"))).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (429, Some("quota_exceeded")), "{answer}");
    assert!(answer["hint"].as_str().unwrap().contains("T00:00:00Z"), "{answer}");
    let catalogue = bed.hub.engine.catalogue();
    let mut visible = catalogue.visible(hub_core::catalogue::Mode::Generate).map(|kind| kind.name.clone());
    let other = visible.find(|name| name != "flux").expect("another render type");
    let (status, answer) = bed.with_key(&few, Method::POST, "/api/v1/jobs", Some(&ask(1, &other))).await;
    assert_eq!((status.as_u16(), &answer["valid_values"]), (403, &json!(["flux"])), "{answer}");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_changed_at_once_and_revoked_for_good() {
    let bed = Bed::closed().await;
    let key = bed.new_key(&json!({"name": "bot", "weight": 3.0})).await;
    assert!(key.starts_with("gih_"), "{key}");
    let (_, listed) = bed.with_key(KEY, Method::GET, "/api/v1/keys", None).await;
    assert!(!listed.to_string().contains(&key), "a key is shown once: {listed}");
    let id = listed["keys"][0]["id"].as_str().unwrap().to_owned();
    let (_, weights) = bed.with_key(KEY, Method::GET, "/api/v1/caller-weights", None).await;
    assert_eq!(weights["weights"]["bot"], 3.0);
    let path = format!("/api/v1/keys/{id}");
    let (status, changed) = bed.with_key(KEY, Method::PATCH, &path, Some(&json!({"scopes": ["read"]}))).await;
    assert_eq!((status.as_u16(), &changed["scopes"]), (200, &json!(["read"])), "{changed}");
    assert_eq!(bed.with_key(&key, Method::GET, "/api/v1/servers", None).await.0, StatusCode::OK);
    assert_eq!(bed.with_key(KEY, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, refused) = bed.with_key(&key, Method::GET, "/api/v1/servers", None).await;
    assert_eq!((status.as_u16(), refused["detail"].as_str()), (401, Some("the API key is revoked")));
    // Its jobs are still of its name: no other key may have it.
    let (status, refused) = bed.with_key(KEY, Method::POST, "/api/v1/keys", Some(&json!({"name": "bot"}))).await;
    assert_eq!((status.as_u16(), refused["argument"].as_str()), (409, Some("name")), "{refused}");
    assert!(refused["detail"].as_str().is_some_and(|text| text.contains("was revoked on 20")), "{refused}");
    let past = json!({"name": "late", "expires_at": "2020-01-01T00:00:00Z"});
    let (status, refused) = bed.with_key(KEY, Method::POST, "/api/v1/keys", Some(&past)).await;
    assert_eq!((status.as_u16(), refused["argument"].as_str()), (422, Some("expires_at")), "{refused}");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refused_from_its_end_on() {
    let bed = Bed::closed().await;
    let soon = bed.new_key(&json!({"name": "soon", "expires_at": "2999-01-01T00:00:00Z"})).await;
    assert_eq!(bed.with_key(&soon, Method::GET, "/api/v1/jobs", None).await.0, StatusCode::OK);
    let store = bed.hub.engine.store();
    let (stored, _) = store.api_key_list().await.unwrap().into_iter().find(|(key, _)| key.name == "soon").unwrap();
    let ended = ApiKey { expires_at: Some("2020-01-01T00:00:00Z".parse().unwrap()), ..stored.clone() };
    assert_eq!(store.api_key_swap(&stored, &ended).await.unwrap(), Swapped::Done);
    // Whoever makes or changes one has all read anew.
    bed.new_key(&json!({"name": "another"})).await;
    let (status, refused) = bed.with_key(&soon, Method::GET, "/api/v1/jobs", None).await;
    let told = (401, Some("the API key expired at 2020-01-01T00:00:00Z"));
    assert_eq!((status.as_u16(), refused["detail"].as_str()), told);
    bed.end().await;
}
