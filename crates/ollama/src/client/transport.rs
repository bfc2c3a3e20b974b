//! Sending, waiting and reading, with a limit on each.
//!
//! Owns every use of time and of sockets in this crate. Never knows a field name.
//! Invariants: no wait outlives its [`super::Timeouts`] entry; no body outgrows its named limit.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, Response,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Dialect, Inner, Timeouts};
use crate::{
    chat::ChatChunk,
    error::{Error, Result, WaitPhase, retry_after},
    lines::{LineBuffer, MAX_LINE_BYTES},
    native, openai,
};

/// Most text, thinking included, that a collected answer may hold.
pub(super) const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of a model list or of one model's details; licences and templates are in there.
const MAX_LOOKUP_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes read of an error's body.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Most bytes of a whole stream; a chunk's wrapping is some hundred bytes around a few letters of text.
const MAX_STREAM_BYTES: usize = 256 * 1024 * 1024;
/// Longest wait for the body of an error whose status is known already.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

/// A whole, successful answer.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// One quick call.
pub(super) async fn lookup(inner: &Inner, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
    let limit = inner.timeouts.lookup;
    let call = async {
        let response = send(inner, method, path, body.as_ref()).await?;
        let headers = response.headers().clone();
        let body = read_all(response, MAX_LOOKUP_BYTES).await?;
        Ok(Answer { headers, body })
    };
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(Error::timeout(WaitPhase::Finish, limit)))
}

/// Sends and gives back only successes.
async fn send(inner: &Inner, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
    let mut request = inner.http.request(method, format!("{}{path}", inner.address));
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.map_err(|e| Error::send(e, inner.timeouts.connect))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, wait) = (response.status(), retry_after(response.headers()));
    // The status alone already says what to do: a body that does not come costs only its words.
    let body = tokio::time::timeout(ERROR_BODY_WAIT, read_all(response, MAX_ERROR_BYTES)).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    Err(Error::from_status(status, wait, &body))
}

async fn read_all(mut response: Response, limit_bytes: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(broke_off)? {
        if body.len() + bytes.len() > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

fn broke_off(source: reqwest::Error) -> Error {
    Error::Interrupted(Some(source.without_url()))
}

/// A chat answer that is being read.
pub(super) struct ChatReader {
    response: Response,
    decoder: Decoder,
    lines: LineBuffer,
    /// Decoded, not yet given out.
    ready: VecDeque<Result<ChatChunk>>,
    deadlines: Deadlines,
    received_bytes: usize,
    finished: bool,
}

enum Decoder {
    Lines,
    Events(openai::StreamReader),
    /// One plain object from a server that does not stream.
    Whole(openai::StreamReader),
}

impl ChatReader {
    pub(super) async fn open(inner: &Inner, path: &str, body: Value) -> Result<Self> {
        let deadlines = Deadlines::new(inner.timeouts);
        let response = deadlines.wait(false, send(inner, Method::POST, path, Some(&body))).await?;
        let decoder = match inner.dialect {
            Dialect::Ollama => Decoder::Lines,
            Dialect::OpenAi if is_json(response.headers()) => Decoder::Whole(openai::StreamReader::default()),
            Dialect::OpenAi => Decoder::Events(openai::StreamReader::default()),
        };
        Ok(Self {
            response,
            decoder,
            lines: LineBuffer::default(),
            ready: VecDeque::new(),
            deadlines,
            received_bytes: 0,
            finished: false,
        })
    }

    /// The next piece; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<ChatChunk>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return chunk.map(Some);
            }
            if self.finished {
                return Ok(None);
            }
            match self.read().await? {
                Some(bytes) => self.take(&bytes),
                None => self.end(),
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        let begun = self.received_bytes > 0;
        let chunk = async { self.response.chunk().await.map_err(broke_off) };
        let bytes = self.deadlines.wait(begun, chunk).await?;
        self.received_bytes += bytes.as_ref().map_or(0, Bytes::len);
        if self.received_bytes > MAX_STREAM_BYTES {
            return Err(Error::TooLarge { limit_bytes: MAX_STREAM_BYTES });
        }
        Ok(bytes)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
        if matches!(self.decoder, Decoder::Whole(_)) {
            if self.received_bytes > MAX_LINE_BYTES {
                self.give(Err(Error::TooLarge { limit_bytes: MAX_LINE_BYTES }));
            }
            return;
        }
        while !self.finished {
            match self.lines.next_line() {
                Ok(Some(line)) => self.line(&line),
                Ok(None) => return,
                Err(error) => self.give(Err(error)),
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let chunk = match &mut self.decoder {
            Decoder::Lines if line.trim_ascii().is_empty() => None,
            Decoder::Lines => Some(native::chunk(line)),
            Decoder::Events(reader) | Decoder::Whole(reader) => reader.line(line).transpose(),
        };
        if let Some(chunk) = chunk {
            self.give(chunk);
        }
    }

    fn end(&mut self) {
        let rest = self.lines.take_rest();
        if let Decoder::Whole(reader) = &mut self.decoder {
            let chunks = reader.whole(&rest);
            self.give_all(chunks);
        } else {
            if !rest.is_empty() {
                self.line(&rest);
            }
            if let (false, Decoder::Events(reader)) = (self.finished, &mut self.decoder) {
                let chunks = reader.end();
                self.give_all(chunks);
            }
        }
        if !self.finished {
            self.give(Err(Error::Interrupted(None)));
        }
    }

    fn give_all(&mut self, chunks: Result<Vec<ChatChunk>>) {
        match chunks {
            Ok(chunks) => chunks.into_iter().for_each(|chunk| self.give(Ok(chunk))),
            Err(error) => self.give(Err(error)),
        }
    }

    /// Nothing after an error or the last chunk is of interest.
    fn give(&mut self, chunk: Result<ChatChunk>) {
        self.finished |= chunk.as_ref().map_or(true, |chunk| chunk.done.is_some());
        self.ready.push_back(chunk);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|ty| ty.starts_with("application/json"))
}

/// The three limits of one chat.
struct Deadlines {
    timeouts: Timeouts,
    started: Instant,
}

impl Deadlines {
    fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, started: Instant::now() }
    }

    /// Waits for one step; `begun` tells whether any byte of the answer has come.
    async fn wait<T>(&self, begun: bool, step: impl Future<Output = Result<T>>) -> Result<T> {
        let end = (self.started + self.timeouts.total, WaitPhase::Finish, self.timeouts.total);
        let next = if begun {
            (Instant::now() + self.timeouts.idle, WaitPhase::NextChunk, self.timeouts.idle)
        } else {
            (self.started + self.timeouts.first_byte, WaitPhase::FirstByte, self.timeouts.first_byte)
        };
        let (deadline, phase, limit) = if next.0 < end.0 { next } else { end };
        timeout_at(deadline, step).await.unwrap_or_else(|_| Err(Error::timeout(phase, limit)))
    }
}
