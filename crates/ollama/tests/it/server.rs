//! A server that plays scripted answers and remembers what it was asked. Owns no knowledge of either dialect.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use futures_util::stream;
use ollama::{Client, Dialect, LlmConfig, Timeouts};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};

/// Ends every test that would hang.
const TEST_LIMIT: Duration = Duration::from_secs(20);
const MAX_BODY_BYTES: usize = 1 << 20;

pub(crate) enum Piece {
    Bytes(Vec<u8>),
    /// Silence until the client goes away.
    Stall,
    /// The connection is cut.
    Break,
}

pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Piece>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), pieces: vec![Piece::Bytes(body.as_bytes().to_vec())] }
    }

    pub(crate) fn ok(body: &str) -> Self {
        Self::new(200, body)
    }

    /// Headers, then nothing.
    pub(crate) fn silent() -> Self {
        Self { status: 200, headers: Vec::new(), pieces: vec![Piece::Stall] }
    }

    /// The same body, sent in pieces of this many bytes.
    pub(crate) fn cut_every(body: &str, bytes: usize) -> Self {
        let pieces = body.as_bytes().chunks(bytes).map(|piece| Piece::Bytes(piece.to_vec())).collect();
        Self { status: 200, headers: Vec::new(), pieces }
    }

    pub(crate) fn then(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
    /// One message per answer whose body was let go, finished or not.
    pub(crate) closed: mpsc::UnboundedReceiver<()>,
}

struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
    closed: mpsc::UnboundedSender<()>,
}

impl Server {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let (sender, closed) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            asked: Mutex::new(Vec::new()),
            closed: sender,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared, closed }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn client(&self, dialect: Dialect) -> Client {
        self.client_with(dialect, |_| {})
    }

    pub(crate) fn client_with(&self, dialect: Dialect, change: impl FnOnce(&mut LlmConfig)) -> Client {
        install_tls();
        let mut config = LlmConfig::new(self.url.parse().unwrap(), dialect);
        config.timeouts = Timeouts { total: TEST_LIMIT, first_byte: TEST_LIMIT, idle: TEST_LIMIT, ..config.timeouts };
        change(&mut config);
        Client::new(config).unwrap()
    }
}

/// The process's part of the bargain.
pub(crate) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.unwrap();
    shared.asked.lock().unwrap().push(Asked {
        path: format!("{} {}", parts.method, parts.uri.path()),
        authorization: parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let reply = shared.replies.lock().unwrap().pop_front().unwrap_or_else(|| Reply::new(500, "the script is over"));
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(play(reply.pieces, shared.closed.clone())).unwrap()
}

fn play(pieces: Vec<Piece>, closed: mpsc::UnboundedSender<()>) -> Body {
    let script = (VecDeque::from(pieces), SayOnDrop(closed));
    Body::from_stream(stream::unfold(script, |(mut pieces, guard)| async move {
        // Lets each piece reach the socket alone, as far as the scheduler allows.
        tokio::task::yield_now().await;
        match pieces.pop_front()? {
            Piece::Bytes(bytes) => Some((Ok(Bytes::from(bytes)), (pieces, guard))),
            Piece::Break => Some((Err(std::io::Error::other("cut by the script")), (pieces, guard))),
            Piece::Stall => match std::future::pending::<Infallible>().await {},
        }
    }))
}

struct SayOnDrop(mpsc::UnboundedSender<()>);

impl Drop for SayOnDrop {
    fn drop(&mut self) {
        // The test may have ended already.
        _ = self.0.send(());
    }
}
