//! `/metrics`, read as strictly as a scraper may.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{body::Body, http::StatusCode};
use hub_core::caller::Caller;
use hub_sim::Fault;
use serde_json::json;

use crate::hub::{Hub, request};

const PATIENCE: Duration = Duration::from_secs(20);

/// Values by series, as `name{label="value"}`; every breach of the format fails the test.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line has no end");
    let (mut values, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind, mut helped) = ("", "", "");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a name and words");
            assert!(name_is_good(name) && !words.is_empty(), "{line}");
            assert!(families.insert(name), "{name} comes twice");
            helped = name;
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            (family, kind) = typed.split_once(' ').expect("a name and a type");
            assert_eq!(family, helped, "TYPE follows HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(family.ends_with("_total"), kind == "counter", "{line}");
            assert!(kind != "histogram" || family.ends_with("_seconds"), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let (name, labels) = series
                .split_once('{')
                .map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').expect("labels end")));
            let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} is not of {family}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            check_labels(labels);
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(values.insert(series.to_owned(), value).is_none(), "{series} comes twice");
        }
    }
    check_histograms(&values, text);
    values
}

fn name_is_good(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check_labels(mut labels: &str) {
    let mut names = BTreeSet::new();
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").expect("a label");
        assert!(name_is_good(name) && names.insert(name), "{labels}");
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            assert!(!escaped || ['\\', '"', 'n'].contains(&c), "{labels}");
            escaped = c == '\\' && !escaped;
            ends
        });
        let rest = &rest[end.expect("the value ends") + 1..];
        labels = rest.strip_prefix(',').unwrap_or(rest);
        assert!(rest.is_empty() || labels.len() < rest.len(), "{rest}");
    }
}

/// Buckets never fall, and the last one is the count.
fn check_histograms(values: &BTreeMap<String, f64>, text: &str) {
    let mut before: Option<(String, f64)> = None;
    let mut ended = 0;
    for line in text.lines().filter(|line| line.contains("_bucket{")) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        let (start, bound) = series.split_once("le=\"").expect("a bound");
        if let Some((other, less)) = &before {
            assert!(other != start || value >= *less, "{line}");
        }
        before = Some((start.to_owned(), value));
        if bound == "+Inf\"}" {
            let count = start.replace("_bucket{", "_count{");
            let count =
                count.strip_suffix(',').map_or_else(|| count.trim_end_matches('{').to_owned(), |of| format!("{of}}}"));
            assert_eq!(values.get(&count), Some(&value), "{count}");
            assert!(values.contains_key(&count.replacen("_count", "_sum", 1)), "{count}");
            ended += 1;
        }
    }
    assert!(ended > 0, "no histogram");
}

async fn scrape(hub: &Hub) -> BTreeMap<String, f64> {
    let answer = hub.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    parsed(std::str::from_utf8(&answer.body).expect("UTF-8"))
}

/// Scrapes until a series has that value: what ends is counted just after callers are told.
async fn until(hub: &Hub, series: &str, value: f64) -> BTreeMap<String, f64> {
    let counted = async {
        loop {
            let values = scrape(hub).await;
            if values.get(series) == Some(&value) {
                return values;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("{series} never was {value}"))
}

async fn submit(hub: &Hub, arguments: serde_json::Value) -> String {
    let body = json!({"tool": "generate_image", "arguments": arguments});
    let accepted = hub.json("POST", "/api/v1/jobs", &body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    accepted.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn metrics_tell_what_ended_how_long_it_took_and_what_is_there() {
    let hub = Hub::with_server(150).await;
    let before = scrape(&hub).await;
    assert_eq!(before["genimage_jobs_missed_total"], 0.0);
    assert!(!before.keys().any(|series| series.starts_with("genimage_jobs_ended_total")));

    let id = submit(&hub, json!({"prompt": "a fox"})).await;
    let job = hub.ended(&id).await;
    assert_eq!(job["state"], "succeeded");
    let succeeded = r#"genimage_jobs_ended_total{tool="generate_image",render_type="sd15",state="succeeded"}"#;
    let after = until(&hub, succeeded, 1.0).await;
    let run = r#"{render_type="sd15",server="sim""#;
    assert_eq!(after[&format!("genimage_job_run_seconds_count{run}}}")], 1.0);
    let took = after[&format!("genimage_job_run_seconds_sum{run}}}")];
    let at = |name: &str| {
        let time = job[name].as_str().unwrap_or_else(|| panic!("{name} in {job}"));
        chrono::DateTime::parse_from_rfc3339(time).expect("a time")
    };
    let told = (at("finished_at") - at("started_at")).num_milliseconds() as f64 / 1000.0;
    assert!(told >= 0.1 && (took - told).abs() < 0.002, "{took} is not {told}: {job}");
    for bound in ["0.1", "0.5", "1", "60"] {
        let bucket = after[&format!(r#"genimage_job_run_seconds_bucket{run},le="{bound}"}}"#)];
        assert_eq!(bucket == 1.0, took <= bound.parse().expect("a number"), "{took} in {bound}");
    }
    assert_eq!(after[r#"genimage_job_wait_seconds_count{caller="local",render_type="sd15"}"#], 1.0);
    assert_eq!(after["genimage_artifacts_total"], 1.0);
    let picture = hub.get(job["images"][0]["url"].as_str().expect("a picture")).await;
    assert_eq!(after["genimage_artifact_bytes_total"], picture.body.len() as f64);
    assert_eq!(after["genimage_failovers_total"], 0.0);
    assert_eq!(after[r#"genimage_servers{state="ready"}"#], 1.0);
    assert_eq!(after[r#"genimage_servers{state="down"}"#], 0.0);
    assert_eq!(after[r#"genimage_build_info{version="0.0.0"}"#], 1.0);
    if cfg!(target_os = "linux") {
        assert!(after["process_resident_memory_bytes"] > 1e6, "a process has more than a megabyte");
        assert!(after["process_cpu_seconds_total"] < 1e5);
    }

    let (runs, loads) =
        (r#"genimage_server_runs_total{server="sim"}"#, r#"genimage_server_model_loads_total{server="sim"}"#);
    assert_eq!((after[runs], after[loads]), (1.0, 1.0), "the first run loads its models");

    // Two pictures in one job are one end, two runs, two pictures.
    let id = submit(&hub, json!({"prompt": "two foxes", "n": 2})).await;
    assert_eq!(hub.ended(&id).await["state"], "succeeded");
    let after = until(&hub, succeeded, 2.0).await;
    assert_eq!(after["genimage_artifacts_total"], 3.0);
    assert_eq!(after[&format!("genimage_job_run_seconds_count{run}}}")], 3.0);
    assert_eq!((after[runs], after[loads]), (3.0, 1.0), "the models are there already");
    assert_eq!(hub.sim().stats().model_loads, 1);
    assert!(!after.keys().any(|series| series.starts_with("genimage_jobs_failed_total")));
}

#[tokio::test]
async fn metrics_tell_why_jobs_failed() {
    let hub = Hub::with_server(10).await;
    let failed = |code: &str| format!(r#"genimage_jobs_failed_total{{code="{code}"}}"#);
    hub.sim().inject(Fault::out_of_memory().containing("a huge fox"));
    hub.sim().inject(
        Fault::ExecutionError { node: None, exception_type: "ValueError".into(), message: "no fox".into() }
            .containing("an odd fox"),
    );
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for prompt in ["a huge fox", "an odd fox", "a huge fox that is another"] {
        let id = submit(&hub, json!({"prompt": prompt})).await;
        let job = hub.ended(&id).await;
        assert_eq!(job["state"], "failed", "{job}");
        *counts.entry(job["error"]["code"].as_str().expect("a code").to_owned()).or_default() += 1.0;
    }
    assert_eq!((counts.len(), counts.get("out_of_memory")), (2, Some(&2.0)), "{counts:?}");
    let ended = r#"genimage_jobs_ended_total{tool="generate_image",render_type="sd15",state="failed"}"#;
    let after = until(&hub, ended, 3.0).await;
    for (code, count) in &counts {
        assert_eq!(after[&failed(code)], *count, "{code}");
    }
    assert_eq!(after.keys().filter(|series| series.starts_with("genimage_jobs_failed_total")).count(), counts.len());
}

#[tokio::test]
async fn metrics_tell_the_queue_and_ends_without_a_picture() {
    let hub = Hub::with_server(10).await;
    assert_eq!(hub.json("PATCH", "/api/v1/servers/sim", &json!({"enabled": false})).await.status, StatusCode::OK);
    let other = json!({"name": "away\"\\", "base_url": "http://127.0.0.1:9"});
    let added = hub.json("POST", "/api/v1/servers", &other).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    let id = submit(&hub, json!({"prompt": "a fox"})).await;
    let as_agent = |method: &str, path: &str| {
        let request = request(method, path).header("content-type", "application/json");
        request.extension(Caller::named("agent \"7\""))
    };
    let two = json!({"tool": "generate_image", "arguments": {"prompt": "two foxes", "n": 2}});
    let asked = as_agent("POST", "/api/v1/jobs").body(Body::from(two.to_string()));
    let accepted = hub.send(asked.expect("a request")).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    let waits = |caller: &str| format!(r#"genimage_queue_waiting{{caller="{caller}",render_type="sd15"}}"#);
    let waiting = until(&hub, &waits("agent \\\"7\\\""), 2.0).await;
    assert_eq!(waiting[&waits("local")], 1.0);
    let other = format!("/api/v1/jobs/{}", accepted.json()["id"].as_str().expect("an id"));
    let taken_back = hub.send(as_agent("DELETE", &other).body(Body::empty()).expect("a request")).await;
    assert_eq!(taken_back.status, StatusCode::OK, "{}", taken_back.text());
    let waiting = until(&hub, r#"genimage_jobs{state="queued"}"#, 1.0).await;
    assert_eq!(waiting.keys().filter(|series| series.starts_with("genimage_queue_waiting")).count(), 1);
    assert_eq!(waiting[r#"genimage_servers{state="disabled"}"#], 1.0);
    assert_eq!(waiting[r#"genimage_server_ready{server="away\"\\"}"#], 0.0);
    assert_eq!(hub.delete(&format!("/api/v1/jobs/{id}")).await.status, StatusCode::OK);
    let cancelled = r#"genimage_jobs_ended_total{tool="generate_image",render_type="sd15",state="cancelled"}"#;
    let after = until(&hub, cancelled, 2.0).await;
    assert_eq!(after[r#"genimage_jobs{state="queued"}"#], 0.0);
    assert!(!after.keys().any(|series| series.starts_with("genimage_queue_waiting")), "nobody waits any more");
    assert_eq!(after["genimage_artifacts_total"], 0.0);
}
