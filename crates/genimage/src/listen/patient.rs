//! A stream whose peer has to say in time which protocol it speaks.
//!
//! The HTTP server's limit on heads counts from when it knows the version; until then it would wait for ever for the
//! rest of HTTP/2's preface.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails when its first bytes stay away.
pub(super) struct FirstWords<S> {
    stream: S,
    /// How much of the preface was read, and until when the rest may come; `None` when the protocol is known.
    waits: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> FirstWords<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, waits: Some((0, Box::pin(tokio::time::sleep(limit)))) }
    }

    /// Takes in what was read while the protocol was not known.
    fn heard(&mut self, bytes: &[u8]) {
        let Some((read, _)) = &mut self.waits else { return };
        let rest = &PREFACE[*read..];
        if bytes.is_empty() || (bytes.len() < rest.len() && rest.starts_with(bytes)) {
            *read += bytes.len();
        } else {
            self.waits = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstWords<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, into) {
            read?;
            self.heard(&into.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        let Some((_, limit)) = &mut self.waits else { return Poll::Pending };
        limit.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "it said nothing in time")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstWords<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn who_says_too_little_is_cut_off_and_who_has_said_enough_may_be_silent() {
        for (said, cut) in
            [(&b""[..], true), (b"P", true), (&PREFACE[..20], true), (PREFACE, false), (b"GE", false), (b"PO", false)]
        {
            let (mut peer, stream) = tokio::io::duplex(64);
            let mut stream = FirstWords::new(stream, LIMIT);
            peer.write_all(said).await.expect("written");
            let mut buffer = [0; 64];
            let mut read = 0;
            while read < said.len() {
                read += stream.read(&mut buffer[read..]).await.expect("what was said");
            }
            assert_eq!(&buffer[..read], said);
            let silence = tokio::time::timeout(LIMIT * 2, stream.read(&mut buffer)).await;
            let is_cut = matches!(silence, Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut);
            assert_eq!(is_cut, cut, "{}", String::from_utf8_lossy(said));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_preface_may_come_in_pieces() {
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = FirstWords::new(stream, LIMIT);
        for byte in PREFACE {
            peer.write_all(&[*byte]).await.expect("written");
            assert_eq!(stream.read_u8().await.expect("a byte"), *byte);
        }
        assert!(stream.waits.is_none());
    }
}
