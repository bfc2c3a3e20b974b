//! Takes connections in, and lets none of them hold the hub up: who connects has to say what he wants in time, in a
//! bounded head and a body that keeps coming, and only so many may be connected at once.
//!
//! axum's own `serve` knows no such limits; this is its loop with them.

mod patient;
mod peers;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use self::patient::FirstWords;
pub(crate) use self::peers::{Network, Peers};

/// Largest head of a request, in bytes. More is answered 431.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Pause after a connection could not be taken in, when the process is out of file descriptors for example.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Silence after which a connection over HTTP/2 is asked whether it is still there, and how long the answer may take.
const PING_AFTER: Duration = Duration::from_secs(30);

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// How long the head of a request may take, how long a connection may be idle before one, and how long the next
    /// piece of a body may stay away.
    pub(crate) read: Duration,
    /// How many may be open at once; further ones wait.
    pub(crate) connections: usize,
}

/// Serves until it is told to stop; then waits for open requests.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    peers: Peers,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let builder = builder(limits);
    let open = GracefulShutdown::new();
    let next = async || {
        // Never closed, so there is a place sooner or later.
        let place = places.clone().acquire_owned().await.ok()?;
        Some((place, accept(&listener).await))
    };
    while let Some(Some((place, (stream, address)))) = stop.run_until_cancelled(next()).await {
        let Ok(of_peer) = peers.enter(address.ip()) else {
            peers::refuse(&stream, address);
            continue;
        };
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(address));
            request.map(|body| Body::new(TimeoutBody::new(limits.read, body)))
        });
        let stream = TokioIo::new(FirstWords::new(stream, limits.read));
        let connection = builder.serve_connection_with_upgrades(stream, TowerToHyperService::new(service)).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%address, error, "a connection ended with an error");
            }
            drop((place, of_peer));
        });
    }
    drop(listener);
    open.shutdown().await;
}

fn builder(limits: ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.read).max_buf_size(HEAD_MAX_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_AFTER)
        .max_header_list_size(HEAD_MAX_BYTES.try_into().unwrap_or(u32::MAX))
        .enable_connect_protocol();
    builder
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are written in small pieces: waiting to fill a packet would delay each of them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection keeps its delay");
                }
                return (stream, address);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken in");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
