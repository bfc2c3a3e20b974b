//! The direct client: what a careful program does without a hub.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use comfyui::{Client, ClientConfig, Event, Graph, Submission};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};
use url::Url;
use uuid::Uuid;

use crate::load::Target;

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

/// One client per server; callers are spread over them.
pub(crate) struct Direct {
    servers: Vec<Server>,
    side: u32,
}

struct Server {
    client: Client,
    client_id: String,
    waiting: Waiting,
    reader: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Direct {
    /// Opens the event socket of each server.
    pub(crate) async fn connect(urls: &[String], side: u32) -> anyhow::Result<Self> {
        let mut servers = Vec::with_capacity(urls.len());
        for url in urls {
            let client = Client::new(ClientConfig::new(Url::parse(url)?))?;
            let mut events = client.connect_events(&Uuid::new_v4().to_string()).await?;
            let client_id = events.client_id().to_owned();
            let waiting = Waiting::default();
            let told = Arc::clone(&waiting);
            let reader = tokio::spawn(async move {
                while let Some(Ok(event)) = events.next().await {
                    if let Event::Executing { prompt_id: Some(prompt_id), node: None, .. } = event
                        && let Some(waiter) = told.lock().expect("nobody panics with it").remove(&prompt_id)
                    {
                        // The caller may have given up.
                        let _ = waiter.send(());
                    }
                }
            });
            servers.push(Server { client, client_id, waiting, reader });
        }
        Ok(Self { servers, side })
    }
}

impl Target for Direct {
    async fn make(&self, caller: usize, seed: u64) -> anyhow::Result<usize> {
        let server = &self.servers[caller % self.servers.len()];
        let graph = graph(self.side, seed)?;
        let prompt_id = Uuid::new_v4();
        let (tell, told) = oneshot::channel();
        server.waiting.lock().expect("nobody panics with it").insert(prompt_id.to_string(), tell);
        let submission = Submission::new(&graph, prompt_id, &server.client_id);
        server.client.submit(&submission).await.map_err(|error| anyhow::anyhow!("{error}"))?;
        told.await.context("the event socket closed")?;
        let entry = server.client.history(&prompt_id.to_string()).await?.context("no history after the end")?;
        let file = entry.primary_files().into_iter().next().context("no picture")?.clone();
        Ok(server.client.view(&file).await?.len())
    }
}

/// The shipped `smoke` graph with its values set.
fn graph(side: u32, seed: u64) -> anyhow::Result<Graph> {
    let mut value: serde_json::Value = serde_json::from_str(include_str!("../../../workflows/smoke.json"))?;
    for node in value.as_object_mut().context("the graph is an object")?.values_mut() {
        let class = node["class_type"].as_str().unwrap_or_default().to_owned();
        let inputs = &mut node["inputs"];
        match class.as_str() {
            "EmptyImage" => {
                inputs["width"] = json!(side);
                inputs["height"] = json!(side);
            }
            "ImageAddNoise" => inputs["seed"] = json!(seed),
            "SaveImage" => inputs["filename_prefix"] = json!(format!("bench/{seed}")),
            "PrimitiveStringMultiline" => inputs["value"] = json!("a red fox"),
            _ => {}
        }
    }
    Ok(Graph::parse(&value)?)
}
