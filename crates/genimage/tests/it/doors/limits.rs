//! What connections and callers may take up.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Bed, KEY};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_say_what_he_wants_is_cut_off_while_others_are_served() {
    let bed = Bed::start(|config| {
        config.server.read_limit_s = 1;
        config.auth.api_key = KEY.to_owned().into();
    })
    .await;
    let address = format!("{}:{}", bed.hub.url.host_str().unwrap(), bed.hub.url.port().unwrap());
    let body =
        format!("POST /api/v1/images HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {KEY}\r\nContent-Length: 9\r\n\r\n1");
    let mut open = Vec::new();
    for said in ["", "P", "PRI * HTTP/2.0\r\n", "GET /healthz HTTP/1.1\r\nHost: ", &body] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        open.push((said, stream));
    }
    assert_eq!(bed.ask(Method::GET, "/healthz").send().await.unwrap().status(), StatusCode::OK);
    for (said, mut stream) in open {
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "`{said}` keeps the connection");
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_refused() {
    let bed = Bed::closed().await;
    let long = "x".repeat(100 * 1024);
    let answer = bed.ask(Method::GET, "/healthz").header("x-long", long).send().await;
    // The refusal may be lost when the connection is closed while the head is still being sent.
    assert!(answer.is_err() || answer.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(bed.ask(Method::GET, "/healthz").send().await.unwrap().status(), StatusCode::OK);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_too_many_open_requests_is_told_to_wait_and_others_are_served() {
    let bed = Bed::start(|config| {
        config.server.requests_max_per_caller = 2;
        config.auth.api_key = KEY.to_owned().into();
        config.auth.admin_password = super::PASSWORD.to_owned().into();
    })
    .await;
    let (one, other) =
        (bed.new_key(&json!({"name": "one", "scopes": ["admin"]})).await, bed.new_key(&json!({"name": "other"})).await);
    let stream = || bed.ask(Method::GET, "/api/v1/events").bearer_auth(&one).send();
    let (first, second) = (stream().await.unwrap(), stream().await.unwrap());
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    let refused = bed.ask(Method::GET, "/api/v1/jobs").bearer_auth(&one).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert_eq!(bed.with_key(&other, Method::GET, "/api/v1/jobs", None).await.0, StatusCode::OK);
    drop((first, second));
    // The hub learns that the streams are gone when it next writes to them, or from the closed connection.
    timeout(PATIENCE, async {
        while bed.with_key(&one, Method::GET, "/api/v1/jobs", None).await.0 != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the places come back");
    bed.end().await;
}
