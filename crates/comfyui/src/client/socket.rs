//! Opening the event socket.

use futures_util::SinkExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, client_async_tls_with_config};

use super::{Client, body};
use crate::error::Error;
use crate::events::Connection;

/// Largest event accepted, in bytes: the server sends each message, even a 4K picture, as one frame.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
/// Must be the first frame, or the server ignores it.
const FEATURE_FLAGS: &str = r#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#;
/// Longest client id, in characters.
const MAX_CLIENT_ID: usize = 128;

impl Client {
    /// Opens the event socket under `client_id`.
    ///
    /// Use a **new random id per connection**: when two sockets share one, closing the first leaves the second
    /// open but deaf. Keep one socket per server and process, and keep reading it: a reader that stalls stops
    /// the server's events for everybody.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Timeout`], [`Error::Unauthorized`], [`Error::Gone`] when there is no such
    /// route, [`Error::Socket`]; [`Error::Config`] for an unusable id.
    pub async fn connect_events(&self, client_id: &str) -> Result<Connection, Error> {
        if client_id.is_empty() || client_id.len() > MAX_CLIENT_ID || !client_id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::config("a client id is 1 to 128 visible ASCII characters"));
        }
        let timeouts = self.inner.timeouts;
        let mut url = self.url(&["ws"]);
        url.query_pairs_mut().append_pair("clientId", client_id);
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let tcp = match tokio::time::timeout(timeouts.connect, TcpStream::connect((host, port))).await {
            Ok(tcp) => tcp.map_err(|error| Error::Connect(Box::new(error)))?,
            Err(_) => return Err(Error::Connect(Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))),
        };
        // Small frames both ways; a failure to set this only costs latency.
        let _ = tcp.set_nodelay(true);
        // Pings find a dead peer too; this also keeps the way through a NAT open. Not every platform has it.
        let keepalive = TcpKeepalive::new().with_time(timeouts.keepalive);
        let _ = SockRef::from(&tcp).set_tcp_keepalive(&keepalive);

        let secure = url.scheme() == "https";
        let scheme = if secure { "wss" } else { "ws" };
        let address = format!("{scheme}{}", url.as_str().strip_prefix(url.scheme()).unwrap_or_default());
        let mut request = address.into_client_request().map_err(|error| Error::config(error.to_string()))?;
        for (name, value) in &self.inner.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let connector = if secure { Connector::Rustls(self.inner.tls.clone()) } else { Connector::Plain };
        let limits =
            WebSocketConfig::default().max_frame_size(Some(MAX_FRAME_BYTES)).max_message_size(Some(MAX_FRAME_BYTES));
        let open = async {
            let (mut socket, _) =
                client_async_tls_with_config(request, tcp, Some(limits), Some(connector)).await.map_err(handshake)?;
            socket.send(Message::text(FEATURE_FLAGS)).await.map_err(handshake)?;
            Ok(socket)
        };
        let socket =
            tokio::time::timeout(timeouts.read, open).await.map_err(|_| Error::Timeout { after: timeouts.read })??;
        Ok(Connection::new(socket, client_id.to_owned(), timeouts.ping, timeouts.socket_idle))
    }
}

fn handshake(error: tungstenite::Error) -> Error {
    let tungstenite::Error::Http(response) = &error else {
        if body::is_about_certificate(&error) {
            return Error::Certificate(Box::new(error));
        }
        return Error::Socket { detail: "the handshake failed".to_owned(), source: Some(Box::new(error)) };
    };
    let status = response.status();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Error::Unauthorized { detail: format!("{} on the event socket", status.as_u16()) }
        }
        StatusCode::NOT_FOUND => Error::Gone("the event socket".to_owned()),
        _ if status.is_redirection() => {
            Error::Unauthorized { detail: "the event socket redirects to a login page".to_owned() }
        }
        _ if status.is_server_error() => {
            Error::Status { status: status.as_u16(), message: "the event socket could not be opened".to_owned() }
        }
        _ => Error::NotComfyUi(format!("the event socket answers {}", status.as_u16())),
    }
}
