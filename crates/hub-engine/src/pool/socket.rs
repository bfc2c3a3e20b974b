//! Keeps the one event socket to a server open, under a new random id each time, and drains it fast.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::{backoff::Backoff, session::Session};

/// A socket that lived this long was a good one: its successor is tried at once again.
const GOOD_LIFE: Duration = Duration::from_secs(5);

/// Connects, listens and connects again for ever, while the server answers at all.
pub(super) async fn run(session: &Arc<Session>) {
    let mut backoff = Backoff::new();
    let mut link = session.link();
    loop {
        if link.wait_for(|link| link.answers).await.is_err() {
            return;
        }
        let Some(client) = session.client() else { continue };
        let client_id = Uuid::new_v4().simple().to_string();
        match client.connect_events(&client_id).await {
            Ok(mut connection) => {
                let opened = Instant::now();
                session.socket_opened(&client_id);
                let end = loop {
                    match connection.next().await {
                        Some(Ok(event)) => session.hear(event),
                        Some(Err(error)) => break error.chain(),
                        None => break "closed".to_owned(),
                    }
                };
                tracing::info!(server = %session.server().name, end, "the event socket ended");
                if opened.elapsed() >= GOOD_LIFE {
                    backoff.reset();
                }
                // So does the socket of a process that dies and is back before anybody looks.
                session.restart_suspected.store(true, Ordering::Relaxed);
                session.socket_ended();
                // A socket that drops is often the first sign of a server's end.
                session.probe_now.notify_one();
            }
            Err(error) => {
                tracing::debug!(server = %session.server().name, error = %error.chain(), "no event socket");
                session.socket_failed(error.to_string());
                session.probe_now.notify_one();
            }
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}
