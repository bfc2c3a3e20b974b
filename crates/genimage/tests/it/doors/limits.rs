//! What connections and callers may take up.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode, header};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
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

async fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

async fn asked(mut stream: TcpStream) -> String {
    // Who is refused may be cut off while it still speaks.
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is answered or closed");
    if read.is_err() { String::new() } else { String::from_utf8(answer).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_holds_all_connections_it_may_leaves_the_others_theirs() {
    let bed = Bed::start(|config| {
        config.server.connections_max = 8;
        config.server.connections_max_per_address = 4;
        config.server.connections_exempt = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let hub = SocketAddr::from(([127, 0, 0, 1], bed.hub.url.port().unwrap()));
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(connect_from("127.0.0.2", hub).await);
    }
    for _ in 0..20 {
        let mut refused = connect_from("127.0.0.2", hub).await;
        let mut answer = String::new();
        timeout(PATIENCE, refused.read_to_string(&mut answer)).await.expect("it is closed at once").unwrap();
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    }
    assert!(asked(connect_from("127.0.0.3", hub).await).await.starts_with("HTTP/1.1 200 "), "another is served");
    assert!(asked(connect_from("127.0.0.1", hub).await).await.starts_with("HTTP/1.1 200 "), "the exempt one is served");
    drop(held);
    let served = async { while !asked(connect_from("127.0.0.2", hub).await).await.starts_with("HTTP/1.1 200 ") {} };
    timeout(PATIENCE, served).await.expect("the places come back");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_caller_is_told_to_wait_while_another_is_served() {
    let bed = Bed::start(|config| {
        config.server.requests_max_per_caller = 4;
        config.auth.api_key = KEY.to_owned().into();
    })
    .await;
    let (flood, other) = (bed.new_key(&json!({"name": "flood"})).await, bed.new_key(&json!({"name": "other"})).await);
    let submit = |key: &str, seed: u32, bound: u32| {
        let arguments = json!({"prompt": "a fox", "render_type": "smoke", "seed": seed * bound, "enhance": false});
        let request = bed.ask(Method::POST, "/api/v1/jobs").bearer_auth(key);
        request.json(&json!({"tool": "generate_image", "arguments": arguments})).send()
    };
    let flooding = futures_util::future::join_all((0..400).map(|seed| submit(&flood, seed, 1)));
    let serving = async {
        let mut slowest = Duration::ZERO;
        for seed in 1..=5 {
            let begun = Instant::now();
            assert_eq!(submit(&other, seed, 7).await.unwrap().status(), StatusCode::ACCEPTED);
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    let (answers, slowest) = tokio::join!(flooding, serving);
    let (mut accepted, mut refused) = (0, 0);
    for answer in answers {
        let answer = answer.unwrap();
        match answer.status() {
            StatusCode::ACCEPTED => accepted += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                refused += 1;
                let wait: u32 = answer.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
                assert!(wait >= 1);
            }
            status => panic!("{status}: {}", answer.text().await.unwrap()),
        }
    }
    assert!(accepted >= 4 && refused >= 20, "{accepted} accepted, {refused} refused");
    assert!(slowest < PATIENCE, "the other one waits {slowest:?}");
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
