//! The event socket against small servers.

use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::routing::any;
use comfyui::{Auth, Client, Error, Event};
use std::collections::HashMap;
use tokio::sync::mpsc;

use crate::server::Server;

/// What a server noticed.
type Notes = mpsc::UnboundedSender<String>;

async fn comfy(mut socket: WebSocket, sid: String, notes: Notes) {
    let first = socket.recv().await.unwrap().unwrap();
    notes.send(first.into_text().unwrap().to_string()).unwrap();
    let status =
        format!(r#"{{"type":"status","data":{{"status":{{"exec_info":{{"queue_remaining":2}}}},"sid":"{sid}"}}}}"#);
    socket.send(Message::text(status)).await.unwrap();
    socket.send(Message::text(r#"{"type":"logs","data":[]}"#)).await.unwrap();
    socket.send(Message::binary(vec![0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3])).await.unwrap();
    socket.send(Message::binary(vec![0_u8; 17 << 20])).await.unwrap();
    let mut pinged = false;
    // Reads until the client is gone: closing with unread pings would cut off what is still on its way.
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Ping(_)) && !std::mem::replace(&mut pinged, true) {
            notes.send("ping".to_owned()).unwrap();
            socket.send(Message::Close(None)).await.unwrap();
        }
    }
}

fn router(notes: Notes) -> Router {
    let upgrade = |upgrade: WebSocketUpgrade,
                   headers: HeaderMap,
                   Query(query): Query<HashMap<String, String>>,
                   State(notes): State<Notes>| async move {
        notes.send(headers.get("authorization").map_or("none", |value| value.to_str().unwrap()).to_owned()).unwrap();
        let sid = query["clientId"].clone();
        upgrade.on_upgrade(move |socket| comfy(socket, sid, notes))
    };
    Router::new().route("/prefix/ws", any(upgrade)).with_state(notes)
}

#[tokio::test]
async fn events_flow_with_credentials_flags_and_pings() {
    let (notes, mut noticed) = mpsc::unbounded_channel();
    let server = Server::start(router(notes)).await;
    let mut config = server.config("/prefix/");
    config.auth = Auth::Bearer("token".to_owned().into());
    config.timeouts.ping = Duration::from_millis(20);
    let client = Client::new(config).unwrap();
    let mut events = client.connect_events("my-id").await.unwrap();
    assert_eq!(events.client_id(), "my-id");
    let mut received = Vec::new();
    while let Some(event) = events.next().await {
        received.push(event.expect("an orderly goodbye is no error"));
    }
    assert_eq!(received[0], Event::Status { queue_remaining: 2, sid: Some("my-id".to_owned()) });
    assert_eq!(received[1], Event::Unknown { kind: "logs".to_owned() });
    assert!(matches!(&received[2], Event::Preview { bytes, .. } if bytes.as_ref() == [1, 2, 3]));
    assert_eq!(received.len(), 4, "frames beyond 16 MiB pass");
    assert_eq!(events.unknown_count(), 2);
    assert!(events.next().await.is_none(), "stays ended");
    assert_eq!(noticed.recv().await.unwrap(), "Bearer token");
    assert_eq!(noticed.recv().await.unwrap(), r#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#);
    assert_eq!(noticed.recv().await.unwrap(), "ping");
}

#[tokio::test]
async fn a_silent_socket_is_declared_dead() {
    let router = Router::new().route(
        "/ws",
        any(|upgrade: WebSocketUpgrade| async move {
            // Keeps the connection open without ever reading, so that no pong is sent either.
            upgrade.on_upgrade(|socket| async move {
                std::future::pending::<()>().await;
                drop(socket);
            })
        }),
    );
    let server = Server::start(router).await;
    let mut config = server.config("");
    config.timeouts.ping = Duration::from_millis(10);
    config.timeouts.socket_idle = Duration::from_millis(80);
    let mut events = Client::new(config).unwrap().connect_events("c").await.unwrap();
    assert!(matches!(events.next().await, Some(Err(Error::Socket { .. }))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_server_without_the_route_is_told_apart() {
    let server = Server::start(Router::new()).await;
    assert!(matches!(server.client().connect_events("c").await, Err(Error::Gone(_))));
    assert!(matches!(server.client().connect_events("").await, Err(Error::Config(_))));
    assert!(matches!(server.client().connect_events("a b").await, Err(Error::Config(_))));
}
