use axum::{
    body::Body,
    http::{StatusCode, header},
};

use crate::hub::{Hub, request};

#[tokio::test]
async fn an_empty_hub_says_how_to_set_it_up() {
    let hub = Hub::empty().await;
    for (path, said) in [
        ("/", "Add a ComfyUI server"),
        ("/playground", "No render type serves this tool yet"),
        ("/jobs", "No job yet"),
        ("/servers", "No server yet"),
        ("/connect", "http://hub.test:8001/mcp"),
    ] {
        let page = hub.page(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text());
        assert!(page.text().contains(said), "{path} does not say `{said}`");
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
        assert_eq!((page.header("x-content-type-options"), page.header("referrer-policy")), ("nosniff", "same-origin"));
    }
}

/// Only script redraws these pages: without it each says so, and leads to itself with its filters.
#[tokio::test]
async fn what_script_keeps_up_to_date_is_looked_at_again_without_it() {
    let hub = Hub::with_server(5).await;
    for (path, here) in [
        ("/", "/"),
        ("/jobs", "/jobs"),
        ("/jobs?state=failed&q=fox", "/jobs?state=failed&amp;q=fox"),
        ("/servers", "/servers"),
        ("/servers?q=card&state=off", "/servers?q=card&amp;state=off"),
    ] {
        let page = hub.page(path).await.text();
        let mut without = page.split("<noscript>").skip(1).filter_map(|rest| rest.split("</noscript>").next());
        assert!(without.any(|said| said.contains(&format!("<a href=\"{here}\">look again</a>"))), "{path}: {page}");
        assert!(!page.contains("by itself") && page.contains("hx-sse:connect"), "{path}: {page}");
    }
}

#[tokio::test]
async fn the_playground_makes_a_picture_without_script() {
    let hub = Hub::with_server(20).await;
    let sent =
        hub.form("/playground/generate_image", "prompt=a+%3Cb%3Efox%3C%2Fb%3E&styles=anime&aspect_ratio=16%3A9").await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    let path = sent.header("location").to_owned();
    let id = path.strip_prefix("/jobs/").expect("the job's page");
    assert_eq!(hub.ended(id).await["state"], "succeeded");

    let page = hub.page(&path).await.text();
    assert!(page.contains("Done") && page.contains("128 × 72") && page.contains("anime"), "{page}");
    assert!(page.contains("&lt;b&gt;fox") && !page.contains("<b>fox"));
    let live = hub.get(&format!("{path}/live")).await.text();
    assert!(live.contains("hx-target=\"#job-now\"") && live.contains("event: done"), "{live}");
    for path in ["/", "/jobs", "/jobs?state=succeeded"] {
        assert!(hub.page(path).await.text().contains(id), "{path}");
    }
    let again = hub.page(&format!("/playground?from={id}")).await.text();
    assert!(again.contains("a &lt;b&gt;fox") && again.contains("value=\"16:9\" checked"), "{again}");
}

#[tokio::test]
async fn a_fault_stands_beside_its_field_and_nothing_typed_is_lost() {
    let hub = Hub::with_server(20).await;
    let page = hub.form("/playground/generate_image", "prompt=my+long+prompt&styles=anime&seed=-5").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = page.text();
    for kept in
        ["my long prompt", "value=\"-5\"", "id=\"seed-fault\"", "18446744073709551615", "value=\"anime\" checked"]
    {
        assert!(text.contains(kept), "`{kept}` is missing");
    }
    let server = hub.form("/servers", "name=gpu-9&base_url=ftp%3A%2F%2Fx&auth=none").await;
    assert_eq!(server.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(server.text().contains("base_url-fault") && server.text().contains("gpu-9"));
}

#[tokio::test]
async fn files_that_are_too_large_together_are_refused() {
    let hub = Hub::with_server(20).await;
    let large = "x".repeat(20 * 1024 * 1024);
    let part = |name: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\n\r\n{large}\r\n")
    };
    let sent = request("POST", "/playground/edit_image")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .header(header::ACCEPT, "text/html")
        .body(Body::from(part("file") + &part("mask_file") + "--b--\r\n"));
    let refused = hub.send(sent.expect("a request")).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.text().contains("may have 32 MB together"), "{}", refused.text());
}

#[tokio::test]
async fn servers_are_added_switched_and_removed() {
    let hub = Hub::empty().await;
    let added = hub.form("/servers", "name=gpu&base_url=127.0.0.1%3A9&auth=bearer&secret=hunter2").await;
    assert_eq!((added.status, added.header("location")), (StatusCode::SEE_OTHER, "/servers?done=server-added"));
    let page = hub.page("/servers?done=server-added").await.text();
    assert!(page.contains("Server added") && page.contains("bearer token") && !page.contains("hunter2"));
    let id = hub.engine.servers()[0].id();
    assert_eq!(hub.form(&format!("/servers/{id}/enabled"), "enabled=false").await.status, StatusCode::SEE_OTHER);
    assert!(!hub.engine.servers()[0].server.enabled);
    assert_eq!(hub.form(&format!("/servers/{id}/delete"), "").await.status, StatusCode::SEE_OTHER);
    assert!(hub.engine.servers().is_empty());
}

#[tokio::test]
async fn a_running_job_is_cancelled_from_its_page() {
    let hub = Hub::with_server(30_000).await;
    let sent = hub.form("/playground/generate_image", "prompt=slow").await;
    let path = sent.header("location").to_owned();
    let page = hub.page(&path).await.text();
    assert!(page.contains("Cancel job") && page.contains("http-equiv=\"refresh\""));
    let cancelled = hub.form(&format!("{path}/cancel"), "").await;
    assert_eq!(cancelled.header("location"), format!("{path}?done=cancelled"));
    assert!(hub.page(cancelled.header("location")).await.text().contains("Job cancelled."));
}

#[tokio::test]
async fn faults_are_pages_for_people() {
    let hub = Hub::empty().await;
    for path in ["/nothing", "/jobs/job_00000000000000000000000000000001", "/jobs/x", "/outputs/x.png"] {
        let page = hub.page(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.header("content-type").starts_with("text/html") && page.text().contains("To the dashboard"));
    }
}

/// Walks every route, with every method that changes something.
#[tokio::test]
async fn no_route_takes_a_change_that_another_site_asks_for() {
    let hub = Hub::empty().await;
    let paths: Vec<String> = hub_web::route_paths()
        .into_iter()
        .chain(["/nothing", "/api/v1/nothing"].map(str::to_owned))
        .map(|path| {
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
        })
        .collect();
    assert!(paths.len() > 30, "{paths:?}");
    for path in &paths {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            for (name, value) in [("origin", "http://evil.test"), ("sec-fetch-site", "cross-site")] {
                let sent = request(method, path).header(name, value).body(Body::empty()).expect("a request");
                assert_eq!(hub.send(sent).await.status, StatusCode::FORBIDDEN, "{method} {path} with {name}");
            }
        }
    }
}

#[tokio::test]
async fn assets_carry_their_version_and_are_compressed() {
    let hub = Hub::empty().await;
    let page = hub.page("/").await.text();
    let links: Vec<&str> =
        page.split('"').filter(|part| part.starts_with("/assets/") && part.contains("?v=")).collect();
    assert!(links.len() >= 8, "{links:?}");
    for link in links {
        let link = link.split('#').next().unwrap_or(link);
        let answer = hub.get(link).await;
        assert_eq!(answer.status, StatusCode::OK, "{link}");
        assert!(!answer.header("etag").is_empty() && !answer.header("cache-control").is_empty(), "{link}");
    }
    let packed =
        request("GET", "/assets/css/components.css").header(header::ACCEPT_ENCODING, "gzip").body(Body::empty());
    assert_eq!(hub.send(packed.expect("a request")).await.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn the_playground_tells_a_plan_and_makes_nothing() {
    let hub = Hub::with_server(5).await;
    let page =
        hub.form("/playground/generate_image/plan", "prompt=a+fox&styles=anime&aspect_ratio=16%3A9&seed=7").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    for told in
        ["nothing was made", "anime, a fox", "128 × 72 px", "<dd dir=\"auto\">7</dd>", "can run it", "value=\"7\""]
    {
        assert!(text.contains(told), "`{told}` is missing: {text}");
    }
    assert_eq!(hub.get("/api/v1/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(0));
    let wrong = hub.form("/playground/generate_image/plan", "prompt=a+fox&seed=-5").await;
    assert!(wrong.text().contains("id=\"seed-fault\""), "{}", wrong.text());
    assert_eq!(hub.form("/playground/generate_prompt/plan", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn several_pictures_are_asked_for_and_a_jobs_page_has_its_call() {
    let hub = Hub::with_server(5).await;
    let sent = hub.form("/playground/generate_image", "prompt=it%27s+a+fox&styles=anime&n=2&seed=7").await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    let path = sent.header("location").to_owned();
    let done = hub.ended(path.strip_prefix("/jobs/").expect("the job's page")).await;
    assert_eq!(done["images"].as_array().map(Vec::len), Some(2), "{done}");
    let page = hub.page(&path).await.text();
    assert!(page.contains("Picture 1</a>") && page.contains("Picture 2</a>"), "{page}");

    // What is shown is a call that the hub takes.
    let shown = page.split("id=\"call-mcp\">").nth(1).and_then(|rest| rest.split("</code>").next()).expect("a call");
    let shown = shown.replace("&quot;", "\"").replace("&#x27;", "'");
    let call: serde_json::Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!((&call["name"], &call["arguments"]["n"]), (&"generate_image".into(), &2.into()));
    let again = serde_json::json!({"tool": call["name"], "arguments": call["arguments"]});
    assert_eq!(hub.json("POST", "/api/v1/jobs", &again).await.status, StatusCode::ACCEPTED);
    assert!(page.contains("http://hub.test:8001/mcp") && page.contains("it&#x27;\\&#x27;&#x27;s a fox"), "{page}");
}
