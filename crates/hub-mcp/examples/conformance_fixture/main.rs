//! The official conformance suite's fixtures on the hub's own transport.
//!
//! The suite calls tools, resources and prompts by fixed names that no product has. This server has
//! exactly these, behind [`hub_mcp::transport::mcp_service`], so that sessions, early heads, the
//! guard and the SDK's set-up are what is examined. `--listen ADDR`, default `127.0.0.1:8391`.

mod asking;
mod content;
mod documents;
mod rounds;
mod server;
mod work;

use std::{io::Write, net::SocketAddr};

use axum::serve::ListenerExt as _;
use hub_mcp::transport::{Guard, TransportConfig, mcp_service};

use crate::server::Fixture;

const DEFAULT_LISTEN: &str = "127.0.0.1:8391";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen: SocketAddr = listen_argument(std::env::args().skip(1))?.parse()?;
    let config = TransportConfig { guard: Guard::loopback(), ..TransportConfig::default() };
    let fixture = Fixture::default();
    let router = mcp_service(move || fixture.clone(), &config);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    writeln!(std::io::stdout(), "listening on http://{}/mcp", listener.local_addr()?)?;
    // An event stream ends with a tiny segment, which Nagle's algorithm would hold back.
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::warn!(%error, "answers on this connection may be slow");
        }
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            // Without a signal handler there is nothing to wait for; the process ends by its signal.
            if tokio::signal::ctrl_c().await.is_ok() {
                config.closing.cancel();
            }
        })
        .await?;
    Ok(())
}

fn listen_argument(mut arguments: impl Iterator<Item = String>) -> Result<String, String> {
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(DEFAULT_LISTEN.to_owned()),
        (Some("--listen"), Some(address)) => Ok(address),
        (Some(other), _) => Err(format!("`{other}` is not understood; the only option is --listen ADDR")),
    }
}
