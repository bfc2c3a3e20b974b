//! Questions that are asked when a server is met, not when it works: can it be reached, what does it have, and
//! does it do what it is told?

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use super::{Client, body};
use crate::error::Error;
use crate::wire::{self, Fingerprint, Inventory};

/// Largest `/object_info` that [`Client::inventory`] reads, in bytes. Three thousand node classes need a tenth of it.
pub const MAX_INVENTORY_BYTES: u64 = 32 * 1024 * 1024;
/// What an emptied body may hold and still count as one, in bytes.
const MAX_ACK_BYTES: u64 = 64 * 1024;

/// Where a server's name led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The address that took the connection.
    pub address: SocketAddr,
    /// How many addresses its name has.
    pub addresses: usize,
}

impl Client {
    /// Resolves the server's name and opens a TCP connection to it, without sending anything.
    ///
    /// # Errors
    /// [`Error::Connect`] saying which of the two failed, with the cause.
    pub async fn reach(&self) -> Result<Reached, Error> {
        let url = self.base_url();
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let limit = self.inner.timeouts.connect;
        let timed_out = || Error::Connect(Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut)));
        let resolve = tokio::net::lookup_host((host, port));
        let addresses: Vec<SocketAddr> = tokio::time::timeout(limit, resolve)
            .await
            .map_err(|_| timed_out())?
            .map_err(|error| Error::Connect(Box::new(error)))?
            .collect();
        let connect = TcpStream::connect(addresses.as_slice());
        let stream = tokio::time::timeout(limit, connect)
            .await
            .map_err(|_| timed_out())?
            .map_err(|error| Error::Connect(Box::new(error)))?;
        let address = stream.peer_addr().map_err(|error| Error::Connect(Box::new(error)))?;
        Ok(Reached { address, addresses: addresses.len() })
    }

    /// `GET /object_info`, for what the server can run; `None` when it is what `known` was read from. Parsed off
    /// the caller's thread. Node classes that the server replaces by others count as its own.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::TooLarge`] beyond [`MAX_INVENTORY_BYTES`].
    pub async fn inventory(&self, known: Option<Fingerprint>) -> Result<Option<Inventory>, Error> {
        let request = self.request(Method::GET, &["object_info"]);
        let response = body::head(request, self.inner.timeouts.read).await?;
        let response = body::check(response, "object_info").await.map_err(|error| match error {
            Error::Gone(route) => Error::NotComfyUi(format!("it has no /{route}")),
            error => error,
        })?;
        let response = body::refuse_html(response).await?;
        let bytes = body::read(response, MAX_INVENTORY_BYTES, self.inner.timeouts.read).await?;
        let parse = move || {
            if known.is_some_and(|known| known == Fingerprint::of(&bytes)) {
                return Ok(None);
            }
            Inventory::parse(&bytes).map(Some).map_err(|source| Error::Decode { what: "object info", source })
        };
        let parsed = tokio::task::spawn_blocking(parse)
            .await
            .map_err(|error| Error::config(format!("the inventory could not be read: {error}")))?;
        let Some(mut inventory) = parsed? else { return Ok(None) };
        // Newer servers run some classes under other names. One that cannot tell has no such names.
        let replaced: Option<Map<String, Value>> =
            self.get_json_if_there(&["node_replacements"], "node replacements").await.ok().flatten();
        inventory.add_classes(replaced.unwrap_or_default().into_iter().map(|(class, _)| class));
        Ok(Some(inventory))
    }

    /// `GET /experiment/models/{folder}`: the files of a model folder with their sizes in bytes; a subfolder is part
    /// of the name, after a slash. `None` when the server has no such folder, or does not tell.
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::Gone`].
    pub async fn model_sizes(&self, folder: &str) -> Result<Option<BTreeMap<String, u64>>, Error> {
        let listed: Option<Vec<Value>> =
            self.get_json_if_there(&["experiment", "models", folder], "model sizes").await?;
        let size = |file: &Value| Some((file.get("name")?.as_str()?.replace('\\', "/"), file.get("size")?.as_u64()?));
        Ok(listed.map(|files| files.iter().filter_map(size).collect()))
    }

    /// Whether the server keeps us as a guest (ComfyUI-Login's guest mode): every `POST` but a prompt and an
    /// upload is answered as if it had been done, and is not. Asks by deleting nothing from the queue.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn is_guest(&self) -> Result<bool, Error> {
        let request = self.request(Method::POST, &["queue"]).json(&json!({ "delete": [] }));
        let response = body::check(body::head(request, self.inner.timeouts.read).await?, "queue").await?;
        let response = body::refuse_html(response).await?;
        let answer = body::read(response, MAX_ACK_BYTES, self.inner.timeouts.read).await?;
        // Who really does it answers nothing at all.
        Ok(answer.trim_ascii() == b"{}")
    }

    /// Whether the server remembers any finished prompt. Its history lies in memory: one that had some and has
    /// none was restarted.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn has_history(&self) -> Result<bool, Error> {
        let mut url = self.url(&["history"]);
        url.query_pairs_mut().append_pair("max_items", "1");
        let response = body::head(self.inner.http.get(url), self.inner.timeouts.read).await?;
        let response = body::check(response, "history").await?;
        let bytes = self.json_bytes(response).await?;
        let entries: Map<String, Value> =
            wire::from_slice(&bytes).map_err(|source| Error::Decode { what: "history", source })?;
        Ok(!entries.is_empty())
    }
}
