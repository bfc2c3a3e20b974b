//! The life of one event socket.
//!
//! Reads frames, pings at a steady pace, and calls the socket dead after a silent while; the server itself
//! never pings and never times out. Reconnecting is the caller's business, since it must reconcile afterwards.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Decoder, Event};
use crate::error::Error;

/// How long one ping may take to leave; longer means that the peer no longer reads.
const PING_SEND_LIMIT: Duration = Duration::from_secs(10);

/// An open event socket; see [`crate::Client::connect_events`]. Dropping it closes the connection.
#[derive(Debug)]
pub struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    client_id: String,
    decoder: Decoder,
    ping: Interval,
    idle: Duration,
    last_frame: Instant,
    /// The server said goodbye: what is left is to hear the end of it, and no ping may be sent any more.
    closing: bool,
    ended: bool,
}

impl Connection {
    pub(crate) fn new(
        socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
        client_id: String,
        ping: Duration,
        idle: Duration,
    ) -> Self {
        let mut ping = tokio::time::interval_at(Instant::now() + ping, ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket,
            client_id,
            decoder: Decoder::new(),
            ping,
            idle,
            last_frame: Instant::now(),
            closing: false,
            ended: false,
        }
    }

    /// The id to submit prompts under, so that their events come here.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// How many messages were unknown or malformed so far.
    pub fn unknown_count(&self) -> u64 {
        self.decoder.unknown_count()
    }

    /// The next event; `None` once the server closed the socket, or after an error. Cancel-safe.
    ///
    /// Must be called continuously: pings are sent from here, and an unread socket stops the server's events
    /// for everybody.
    ///
    /// # Errors
    /// [`Error::Socket`] when the connection broke or was silent for too long. The next call yields `None`.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        while !self.ended {
            let deadline = self.last_frame + self.idle;
            tokio::select! {
                biased;
                frame = self.socket.next() => match self.receive(frame) {
                    Some(Err(error)) => return Some(Err(self.end(error))),
                    Some(Ok(event)) => return Some(Ok(event)),
                    None => {}
                },
                _ = self.ping.tick(), if !self.closing => {
                    let sent = tokio::time::timeout(PING_SEND_LIMIT, self.socket.send(Message::Ping(bytes::Bytes::new()))).await;
                    match sent {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return Some(Err(self.end(broken(error)))),
                        Err(_) => return Some(Err(self.end(Error::socket("the server stopped reading")))),
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    let silent = Error::socket(format!("nothing came for {} s", self.idle.as_secs()));
                    return Some(Err(self.end(silent)));
                }
            }
        }
        None
    }

    /// Says goodbye and waits until it is said, so that the server drops the id before a new socket comes.
    pub async fn close(mut self) {
        // Best effort: a dead peer cannot be told, and dropping the socket ends it as well.
        let _ = tokio::time::timeout(PING_SEND_LIMIT, self.socket.close(None)).await;
    }

    fn end(&mut self, error: Error) -> Error {
        self.ended = true;
        error
    }

    /// `None`: nothing to report, go on (or stop, when `ended` was set).
    fn receive(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Option<Result<Event, Error>> {
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed)) | None => {
                self.ended = true;
                return None;
            }
            // After a goodbye it does not matter how the rest breaks off.
            Some(Err(_)) if self.closing => {
                self.ended = true;
                return None;
            }
            Some(Err(error)) => return Some(Err(broken(error))),
        };
        self.last_frame = Instant::now();
        match frame {
            Message::Text(text) => Some(Ok(self.decoder.text(&text))),
            Message::Binary(bytes) => Some(Ok(self.decoder.binary(bytes))),
            // Pings and closes are answered by the library.
            Message::Close(_) => {
                self.closing = true;
                None
            }
            // Pongs count as life.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
        }
    }
}

fn broken(error: tungstenite::Error) -> Error {
    Error::Socket { detail: "the connection broke".to_owned(), source: Some(Box::new(error)) }
}
