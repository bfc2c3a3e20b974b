//! A small client: plain requests and a socket whose events can be awaited and written down briefly.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hub_sim::{ComfyConfig, ComfySim, Models};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A text fixture of this crate.
pub(crate) fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// A JSON fixture.
pub(crate) fn json_fixture(name: &str) -> Value {
    serde_json::from_str(&fixture(name)).unwrap()
}

/// The set-up of the recorded servers, as fast as possible.
pub(crate) fn recorded(version: &str) -> ComfyConfig {
    ComfyConfig {
        version: version.to_owned(),
        run_ms: 20,
        models: Models { checkpoints: vec!["tiny_sd15.safetensors".to_owned()], ..Models::none() },
        ..ComfyConfig::default()
    }
}

pub(crate) async fn start(config: ComfyConfig) -> (ComfySim, Client) {
    let sim = ComfySim::start("127.0.0.1:0".parse().unwrap(), config).await.unwrap();
    let client = Client::new(&sim.url());
    (sim, client)
}

/// Requests to one double.
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
}

impl Client {
    pub(crate) fn new(base: &str) -> Client {
        // A second test of this process finds the provider installed already.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build().unwrap();
        Client { http, base: base.to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, read(&answer.text().await.unwrap()))
    }

    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap().bytes().await.unwrap().to_vec()
    }

    pub(crate) async fn post(&self, path: &str, body: impl ToString) -> (u16, Value) {
        let answer = self.http.post(format!("{}{path}", self.base)).body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, read(&answer.text().await.unwrap()))
    }

    /// Posts a graph that must be accepted and returns its id.
    pub(crate) async fn submit(&self, graph: &Value, client_id: &str) -> String {
        let (status, answer) = self.post("/prompt", json!({"prompt": graph, "client_id": client_id})).await;
        assert_eq!((status, &answer["node_errors"]), (200, &json!({})), "{answer}");
        answer["prompt_id"].as_str().unwrap().to_owned()
    }

    /// Waits for the history entry.
    pub(crate) async fn finished(&self, id: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (_, answer) = self.get(&format!("/history/{id}")).await;
            if let Some(entry) = answer.get(id) {
                return entry.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "no history for {id}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn socket(&self, client_id: &str) -> Socket {
        let url = format!("{}/ws?clientId={client_id}", self.base.replace("http://", "ws://"));
        let (stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Socket { stream }
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn say(&mut self, message: Value) {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next event: text as it is, binary as `{"binary": {"event_type", "metadata"}}`, the end as null.
    pub(crate) async fn next(&mut self) -> Value {
        let message = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("an event in time");
        match message {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Binary(frame))) => binary(&frame),
            Some(Ok(other)) => panic!("unexpected frame {other:?}"),
            Some(Err(_)) | None => Value::Null,
        }
    }

    /// All events up to and including the first that matches.
    pub(crate) async fn until(&mut self, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            assert!(!event.is_null(), "the socket ended after {events:?}");
            events.push(event);
            if events.last().is_some_and(&last) {
                return events;
            }
        }
    }
}

/// True for `executing` with a null node.
pub(crate) fn is_done(event: &Value) -> bool {
    event["type"] == "executing" && event["data"]["node"].is_null()
}

fn binary(frame: &[u8]) -> Value {
    let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    let metadata = match number(0) {
        4 => serde_json::from_slice(&frame[8..8 + number(4) as usize]).unwrap(),
        _ => Value::Null,
    };
    let image = if number(0) == 4 { 8 + number(4) as usize } else { 8 };
    json!({"binary": {"event_type": number(0), "metadata": metadata, "head": frame[image..].iter().take(2).collect::<Vec<_>>()}})
}

/// One word per event, as in the recordings.
pub(crate) fn brief(event: &Value) -> String {
    if let Some(number) = event["binary"]["event_type"].as_u64() {
        return format!("bin{number}");
    }
    let data = &event["data"];
    let node = |v: &Value| v.as_str().unwrap_or("None").to_owned();
    match event["type"].as_str().unwrap() {
        "status" => {
            let sid = if data.get("sid").is_some() { " sid" } else { "" };
            format!("status(q={}{sid})", data["status"]["exec_info"]["queue_remaining"])
        }
        "execution_cached" => {
            let mut nodes: Vec<String> = data["nodes"].as_array().unwrap().iter().map(node).collect();
            nodes.sort();
            format!("execution_cached({})", nodes.join(","))
        }
        "executing" => format!("executing({})", node(&data["node"])),
        "executed" => format!("executed({})", node(&data["node"])),
        "progress" => format!("progress({}:{}/{})", node(&data["node"]), data["value"], data["max"]),
        "progress_state" => {
            let part = |(id, s): (&String, &Value)| {
                format!(
                    "{id}:{}{}/{}",
                    &s["state"].as_str().unwrap()[..1],
                    s["value"].as_f64().unwrap(),
                    s["max"].as_f64().unwrap()
                )
            };
            format!("ps({})", data["nodes"].as_object().unwrap().iter().map(part).collect::<Vec<_>>().join(","))
        }
        other => other.to_owned(),
    }
}

/// The events of a recording.
pub(crate) fn recorded_events(recording: &Value) -> Vec<Value> {
    let event = |e: &Value| if e.get("json").is_some() { e["json"].clone() } else { e.clone() };
    recording["ws"].as_array().unwrap().iter().map(event).collect()
}

/// EmptyImage, ImageInvert, ImageScale, SaveImage.
pub(crate) fn image_graph(colour: u32, prefix: &str) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": colour}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "ImageScale", "inputs": {"image": ["2", 0], "upscale_method": "nearest-exact", "width": 32, "height": 32, "crop": "disabled"}},
        "4": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": ["3", 0]}}
    })
}

/// The recorded txt2img graph.
pub(crate) fn sampler_graph(seed: u64, steps: u64, prefix: &str) -> Value {
    json!({
        "3": {"class_type": "KSampler", "inputs": {"seed": seed, "steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny_sd15.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": ["8", 0]}}
    })
}
