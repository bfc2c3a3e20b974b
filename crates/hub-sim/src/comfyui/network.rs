//! Connections that can be cut or frozen: what a killed and what a stopped process does to its peers.
//!
//! Owns the listener and stream types. A cut connection fails all reads and writes, so that HTTP and WebSocket
//! peers see an end without any goodbye. A frozen one neither reads nor writes until it thaws; peers can connect,
//! since the system accepts for the process, and then hear nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Pause after a failed accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Whether connections stand still, and who waits for them to go on.
#[derive(Debug, Default)]
pub(crate) struct Frost(Mutex<Frozen>);

#[derive(Debug, Default)]
struct Frozen {
    frozen: bool,
    waiting: Vec<Waker>,
}

impl Frost {
    pub(crate) fn set(&self, frozen: bool) {
        let mut frost = self.lock();
        frost.frozen = frozen;
        let waiting = if frozen { Vec::new() } else { std::mem::take(&mut frost.waiting) };
        drop(frost);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// True when the connection must wait; it is woken when it may go on.
    fn holds(&self, cx: &Context<'_>) -> bool {
        let mut frost = self.lock();
        if frost.frozen {
            frost.waiting.push(cx.waker().clone());
        }
        frost.frozen
    }

    fn lock(&self) -> MutexGuard<'_, Frozen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener whose connections end with the token.
pub(crate) struct CutListener {
    pub(crate) inner: TcpListener,
    pub(crate) over: CancellationToken,
    pub(crate) frost: Arc<Frost>,
}

impl axum::serve::Listener for CutListener {
    type Io = CutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CutStream, SocketAddr) {
        loop {
            match self.inner.accept().await {
                Ok((stream, addr)) => {
                    // Only speed is lost when the option cannot be set.
                    let _slower = stream.set_nodelay(true);
                    let cut = Box::pin(self.over.clone().cancelled_owned());
                    let stream = CutStream { inner: stream, over: self.over.clone(), cut, frost: self.frost.clone() };
                    return (stream, addr);
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that ends with the token.
pub(crate) struct CutStream {
    inner: TcpStream,
    over: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    frost: Arc<Frost>,
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

impl AsyncRead for CutStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.over.is_cancelled() || self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(gone()));
        }
        if self.frost.holds(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.over.is_cancelled() {
            return Poll::Ready(Err(gone()));
        }
        if self.frost.holds(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.over.is_cancelled() {
            return Poll::Ready(Err(gone()));
        }
        if self.frost.holds(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
