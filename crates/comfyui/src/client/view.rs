//! `GET /view`: fetching produced files, whole or in pieces.

use bytes::Bytes;
use futures_util::Stream;
use reqwest::{Method, Response, header};
use std::time::Duration;

use super::{Client, MAX_VIEW_BYTES, body};
use crate::error::Error;
use crate::wire::OutputFile;

/// A file on its way.
#[derive(Debug)]
pub struct ViewStream {
    /// The server's `Content-Type`; judge the bytes, not this.
    pub content_type: Option<String>,
    /// Size in bytes, when announced.
    pub content_length: Option<u64>,
    response: Response,
    received: u64,
    limit_bytes: u64,
    idle: Duration,
}

impl ViewStream {
    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// [`Error::TooLarge`] past the limit, [`Error::Timeout`] after a silent while, [`Error::Transport`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = body::next_chunk(&mut self.response, self.idle).await?;
        self.received += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.received > self.limit_bytes {
            return Err(Error::TooLarge { limit_bytes: self.limit_bytes });
        }
        Ok(chunk)
    }

    /// The pieces as a stream, ending after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        futures_util::stream::try_unfold(
            self,
            |mut view| async move { Ok(view.chunk().await?.map(|chunk| (chunk, view))) },
        )
    }
}

impl Client {
    /// Fetches a file into memory, at most [`MAX_VIEW_BYTES`].
    ///
    /// # Errors
    /// [`Error::Gone`] when the file was deleted; any other [`Error`].
    pub async fn view(&self, file: &OutputFile) -> Result<Bytes, Error> {
        let view = self.view_stream(file, MAX_VIEW_BYTES).await?;
        body::read(view.response, view.limit_bytes, view.idle).await
    }

    /// Starts fetching a file of at most `limit_bytes`.
    ///
    /// # Errors
    /// [`Error::Gone`] when the file was deleted, [`Error::TooLarge`] when it is announced larger; any other [`Error`].
    pub async fn view_stream(&self, file: &OutputFile, limit_bytes: u64) -> Result<ViewStream, Error> {
        let request = self.request(Method::GET, &["view"]).query(&[
            ("filename", file.filename.as_str()),
            ("subfolder", file.subfolder.as_str()),
            ("type", file.kind.as_str()),
        ]);
        let idle = self.inner.timeouts.view_idle;
        let response = body::check(body::head(request, idle).await?, &file.filename).await?;
        let response = body::refuse_html(response).await?;
        let content_length = response.content_length();
        if content_length.is_some_and(|length| length > limit_bytes) {
            return Err(Error::TooLarge { limit_bytes });
        }
        let content_type =
            response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(ViewStream { content_type, content_length, response, received: 0, limit_bytes, idle })
    }
}
