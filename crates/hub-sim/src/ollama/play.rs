//! An answer on its way out: cut into tokens, paced, and ended well or badly.
//!
//! Owns pacing and the place in the queue that an answer holds. Never knows a wire shape: dialects turn it into lines.
//! Invariant: the place is freed when the answer is sent, broken off, or given up by the client.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{request::KeepAlive, server::Shared};

/// Everything about one answer.
pub(super) struct Play {
    /// As the client wrote it.
    pub(super) model: String,
    pub(super) thinking: String,
    pub(super) content: String,
    pub(super) done_reason: &'static str,
    pub(super) prompt_tokens: usize,
    pub(super) started: Instant,
    pub(super) load: Duration,
    pub(super) ending: Ending,
    pub(super) token_wait: Duration,
}

/// How it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Error(String),
    Stall,
    Break,
    Malformed,
}

/// One token.
pub(super) struct Token {
    pub(super) thinking: String,
    pub(super) content: String,
}

impl Play {
    /// The tokens that are really sent: all, or the first half when it ends badly.
    pub(super) fn tokens(&self) -> Vec<Token> {
        let thinking = self.thinking.split_inclusive(' ');
        let thinking = thinking.map(|word| Token { thinking: word.to_owned(), content: String::new() });
        let content = self.content.split_inclusive(' ');
        let content = content.map(|word| Token { thinking: String::new(), content: word.to_owned() });
        let mut tokens: Vec<Token> = thinking.chain(content).collect();
        if self.ending != Ending::Done {
            tokens.truncate(tokens.len().div_ceil(2));
        }
        tokens
    }

    /// How an answer in one piece is sent, given its text and whether there was time for it; the error
    /// that is answered instead, when it ends in one.
    pub(super) fn whole(&self, text: String, lasted: bool) -> Result<Vec<Step>, String> {
        let half = || Step::Send(text.chars().take(text.chars().count() / 2).collect());
        Ok(match &self.ending {
            Ending::Error(error) => return Err(error.clone()),
            Ending::Stall => vec![half(), Step::Stall],
            Ending::Malformed => vec![half()],
            Ending::Done if lasted => vec![Step::Send(text)],
            Ending::Break | Ending::Done => vec![half(), Step::Break],
        })
    }

    pub(super) fn token_count(&self) -> usize {
        token_count(&self.thinking) + token_count(&self.content)
    }
}

/// Words, as good a measure as any without a model.
pub(super) fn token_count(text: &str) -> usize {
    text.split_whitespace().count()
}

/// What happens next on the socket.
pub(super) enum Step {
    Send(String),
    Wait(Duration),
    /// Silence until the client goes away.
    Stall,
    /// The connection is cut.
    Break,
}

/// A place among the requests that are worked on.
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    /// With tag.
    pub(super) model: String,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) finished: bool,
    /// Given back when this is dropped.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Running {
    /// The answer was sent to its end.
    pub(super) fn finish(mut self) {
        self.finished = true;
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.ended(&self.model, self.keep_alive, self.finished);
        // Only now, so that whoever comes next sees the model's new state.
        drop(self.permit.take());
    }
}

/// A body that takes the steps one by one and holds its place until the end.
pub(super) fn body(steps: Vec<Step>, running: Running) -> Body {
    let halt = running.shared.stop();
    let state = (VecDeque::from(steps), running, halt);
    Body::from_stream(stream::unfold(state, |(mut steps, mut running, halt)| async move {
        loop {
            let Some(step) = steps.pop_front() else {
                running.finish();
                return None;
            };
            match step {
                Step::Send(text) => return Some((Ok(Bytes::from(text)), (steps, running, halt))),
                Step::Wait(time) => {
                    if wait(time, &halt).await {
                        continue;
                    }
                }
                Step::Stall => halt.cancelled().await,
                Step::Break => {}
            }
            running.finished = true;
            steps.clear();
            return Some((Err(io::Error::other("the connection is cut")), (steps, running, halt)));
        }
    }))
}

/// Whether the whole time has passed; `false` when the double stops first.
pub(super) async fn wait(time: Duration, stop: &CancellationToken) -> bool {
    if time.is_zero() {
        return !stop.is_cancelled();
    }
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = stop.cancelled() => false,
    }
}
