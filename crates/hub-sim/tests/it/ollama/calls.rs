//! Requests as bytes, and what comes back.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hub_sim::ollama::{OllamaConfig, OllamaSim};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Ends every test that would hang.
pub(super) const TEST_LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(super) fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Data of server-sent events.
    pub(super) fn events(&self) -> Vec<&str> {
        self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect()
    }
}

/// HTTP/1.0, so that the body ends with the connection and needs no unpacking.
pub(super) async fn send(sim: &OllamaSim, method: &str, path: &str, body: &str) -> Answer {
    let mut socket = open(sim, method, path, body).await;
    let mut bytes = Vec::new();
    tokio::time::timeout(TEST_LIMIT, socket.read_to_end(&mut bytes)).await.expect("an answer in time").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub(super) async fn open(sim: &OllamaSim, method: &str, path: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(sim.addr()).await.unwrap();
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

pub(super) async fn post(sim: &OllamaSim, path: &str, body: Value) -> Answer {
    send(sim, "POST", path, &body.to_string()).await
}

pub(super) async fn get(sim: &OllamaSim, path: &str) -> Answer {
    send(sim, "GET", path, "").await
}

pub(super) async fn start(config: OllamaConfig) -> OllamaSim {
    OllamaSim::start("127.0.0.1:0".parse().unwrap(), config).await.unwrap()
}

pub(super) async fn sim() -> OllamaSim {
    start(OllamaConfig::default()).await
}

pub(super) fn ask(model: &str, content: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": content}], "stream": false})
}

pub(super) fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

/// A 3 × 2 picture of one colour.
pub(super) fn picture() -> String {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(3, 2, image::Rgb([220, 20, 30])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    STANDARD.encode(bytes.into_inner())
}
