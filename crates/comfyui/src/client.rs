//! HTTP calls to one server, one attempt each.
//!
//! Owns the connection pool, the credentials on every request, the time and size limits of bodies. Never
//! retries (a repeated `POST /prompt` runs twice), never follows a redirect (it leads to a login page, and
//! would carry the credentials away), never goes through a proxy of the environment (the event socket could
//! not follow), never sends `Origin` unless configured (the server refuses foreign ones). Cloning is cheap.

mod auth;
mod body;
mod config;
mod inspect;
mod prompt;
mod socket;
mod tls;
mod view;

pub use auth::Auth;
pub use config::{ClientConfig, Timeouts, parse_base_url};
pub use inspect::{MAX_INVENTORY_BYTES, Reached};
pub use prompt::{PreviewMethod, Submission};
pub use view::ViewStream;

use std::sync::Arc;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::error::Error;
use crate::wire::{
    self, CancelAnswer, Features, HistoryEntry, NodeInfo, ObjectInfo, PromptInfo, Queue, RawQueue, Replacement,
    SystemStats, UploadedImage,
};

/// Largest JSON answer read, in bytes; `/object_info` of a server full of custom nodes stays well below.
pub const MAX_JSON_BYTES: u64 = 128 * 1024 * 1024;
/// Largest file [`Client::view`] holds in memory, in bytes.
pub const MAX_VIEW_BYTES: u64 = 256 * 1024 * 1024;

/// A client for one server.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base_url: Url,
    /// Credentials and `Origin`, for the WebSocket upgrade; HTTP calls have them as default headers.
    headers: http::HeaderMap,
    tls: Arc<rustls::ClientConfig>,
    timeouts: Timeouts,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base_url", &self.inner.base_url.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// Builds a client; does not connect.
    ///
    /// # Errors
    /// [`Error::Config`] when the address, a header or the certificate store cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        let base_url = config::normalise(config.base_url)?;
        let headers = auth::headers(&config.auth, config.origin.as_deref())?;
        let tls = Arc::new(tls::client_config(&base_url, config.ca_pem.as_deref())?);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(config.timeouts.connect)
            .tcp_keepalive(config.timeouts.keepalive)
            .default_headers(headers.clone())
            .user_agent(concat!("genimage-comfyui/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::config(format!("cannot build the HTTP client: {error}")))?;
        Ok(Self { inner: Arc::new(Inner { http, base_url, headers, tls, timeouts: config.timeouts }) })
    }

    /// The normalised base URL.
    pub fn base_url(&self) -> &Url {
        &self.inner.base_url
    }

    /// `GET /system_stats`: version, devices, memory.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn system_stats(&self) -> Result<SystemStats, Error> {
        self.get_json(&["system_stats"], "system stats").await
    }

    /// `GET /features`; `None` on servers that lack the route.
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::Gone`].
    pub async fn features(&self) -> Result<Option<Features>, Error> {
        self.get_json_if_there(&["features"], "features").await
    }

    /// `GET /prompt`: prompts running and waiting, anybody's. The cheapest health probe.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn queue_remaining(&self) -> Result<u32, Error> {
        let info: PromptInfo = self.get_json(&["prompt"], "queue length").await?;
        Ok(info.exec_info.queue_remaining)
    }

    /// `GET /queue`, in the order of execution.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn queue(&self) -> Result<Queue, Error> {
        self.get_json::<RawQueue>(&["queue"], "queue").await.map(Queue::from)
    }

    /// `GET /history/{prompt_id}`; `None` while the prompt is not finished, and when the server does not know it.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn history(&self, prompt_id: &str) -> Result<Option<HistoryEntry>, Error> {
        let bytes = self.get_bytes(&["history", prompt_id]).await?;
        wire::parse_history(&bytes, prompt_id).map_err(|source| Error::Decode { what: "history", source })
    }

    /// `GET /object_info`: every node class and its inputs, and what newer servers say about classes that they run
    /// as others. Megabytes; ask rarely.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn object_info(&self) -> Result<ObjectInfo, Error> {
        let mut info: ObjectInfo = self.get_json(&["object_info"], "object info").await?;
        // One that cannot tell has none.
        let replaced = self.get_json_if_there(&["node_replacements"], "node replacements").await.ok().flatten();
        info.replaced = Replacement::all(&replaced.unwrap_or(Value::Null));
        Ok(info)
    }

    /// `GET /object_info/{class}`; `None` when the server lacks the class.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn object_info_class(&self, class: &str) -> Result<Option<NodeInfo>, Error> {
        let mut info: ObjectInfo = self.get_json(&["object_info", class], "object info").await?;
        Ok(info.nodes.swap_remove(class))
    }

    /// `GET /models/{folder}`: files of a model folder; `None` when the server has no such folder.
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::Gone`].
    pub async fn models(&self, folder: &str) -> Result<Option<Vec<String>>, Error> {
        self.get_json_if_there(&["models", folder], "model list").await
    }

    /// `POST /upload/image` into the input folder. Without `overwrite` the server renames on conflict, so use
    /// the returned name. `name` and `subfolder` should be plain ASCII without `..`: servers store others oddly.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::TooLarge`] when the server's body limit is exceeded.
    pub async fn upload_image(
        &self,
        bytes: Bytes,
        name: &str,
        subfolder: &str,
        overwrite: bool,
    ) -> Result<UploadedImage, Error> {
        if name.is_empty() || name.contains(['/', '\\', '"', '\r', '\n']) {
            return Err(Error::config(format!("'{name}' cannot be used as the name of an upload")));
        }
        let part = Part::stream(bytes).file_name(name.to_owned());
        let mut form = Form::new().part("image", part).text("type", "input");
        if !subfolder.is_empty() {
            form = form.text("subfolder", subfolder.to_owned());
        }
        if overwrite {
            form = form.text("overwrite", "true");
        }
        let request = self.request(Method::POST, &["upload", "image"]).multipart(form);
        // The answer comes only after the whole body went up, so this call gets the patience of a download.
        let response = body::head(request, self.inner.timeouts.view_idle).await?;
        self.decode(body::check(response, "upload").await?, "upload").await
    }

    /// `POST /interrupt` for this prompt only; nothing happens when it is not the running one.
    ///
    /// Servers before 0.3.57 ignore the id and interrupt **whatever runs**: look at [`Client::queue`] first there.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn interrupt(&self, prompt_id: &str) -> Result<(), Error> {
        self.post_json(&["interrupt"], &json!({ "prompt_id": prompt_id })).await
    }

    /// `POST /queue` to delete waiting prompts. The server answers alike whether they were there or not, and
    /// a deleted prompt leaves neither history nor event.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn delete_pending(&self, ids: &[&str]) -> Result<(), Error> {
        self.post_json(&["queue"], &json!({ "delete": ids })).await
    }

    /// `POST /history` to forget finished prompts.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn delete_history(&self, ids: &[&str]) -> Result<(), Error> {
        self.post_json(&["history"], &json!({ "delete": ids })).await
    }

    /// `POST /free`; takes effect after the current prompt.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn free(&self, unload_models: bool, free_memory: bool) -> Result<(), Error> {
        self.post_json(&["free"], &json!({ "unload_models": unload_models, "free_memory": free_memory })).await
    }

    /// `POST /api/jobs/{id}/cancel`, pending or running alike, never a neighbour's. `Some(false)`: it was
    /// unknown or finished. `None`: this server lacks the route (before 0.25), use
    /// [`Client::delete_pending`] and [`Client::interrupt`].
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::Gone`].
    pub async fn cancel_job(&self, prompt_id: &str) -> Result<Option<bool>, Error> {
        let request = self.request(Method::POST, &["api", "jobs", prompt_id, "cancel"]);
        let response = body::head(request, self.inner.timeouts.read).await?;
        if matches!(
            response.status(),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        ) {
            return Ok(None);
        }
        let answer: CancelAnswer = self.decode(body::check(response, "job").await?, "cancel").await?;
        Ok(Some(answer.cancelled))
    }

    /// The URL of a route below the base URL.
    pub(crate) fn url(&self, route: &[&str]) -> Url {
        config::endpoint(&self.inner.base_url, route)
    }

    fn request(&self, method: Method, route: &[&str]) -> RequestBuilder {
        self.inner.http.request(method, self.url(route))
    }

    async fn get_bytes(&self, route: &[&str]) -> Result<Bytes, Error> {
        let response = body::head(self.request(Method::GET, route), self.inner.timeouts.read).await?;
        let response = body::check(response, route[0]).await.map_err(|error| match error {
            // Every ComfyUI has these routes, so their absence is about the address, not about the thing asked for.
            Error::Gone(route) => Error::NotComfyUi(format!("it has no /{route}")),
            error => error,
        })?;
        self.json_bytes(response).await
    }

    async fn get_json<T: DeserializeOwned>(&self, route: &[&str], what: &'static str) -> Result<T, Error> {
        let bytes = self.get_bytes(route).await?;
        wire::from_slice(&bytes).map_err(|source| Error::Decode { what, source })
    }

    /// For routes that not every server has.
    async fn get_json_if_there<T: DeserializeOwned>(
        &self,
        route: &[&str],
        what: &'static str,
    ) -> Result<Option<T>, Error> {
        let response = body::head(self.request(Method::GET, route), self.inner.timeouts.read).await?;
        match body::check(response, what).await {
            Ok(response) => self.decode(response, what).await.map(Some),
            Err(Error::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn decode<T: DeserializeOwned>(&self, response: Response, what: &'static str) -> Result<T, Error> {
        let bytes = self.json_bytes(response).await?;
        wire::from_slice(&bytes).map_err(|source| Error::Decode { what, source })
    }

    async fn json_bytes(&self, response: Response) -> Result<Bytes, Error> {
        let response = body::refuse_html(response).await?;
        body::read(response, MAX_JSON_BYTES, self.inner.timeouts.read).await
    }

    /// Posts and ignores the (empty) answer. Login pages are still recognised.
    async fn post_json(&self, route: &[&str], body: &impl Serialize) -> Result<(), Error> {
        let response = body::head(self.request(Method::POST, route).json(body), self.inner.timeouts.read).await?;
        let response = body::check(response, route[0]).await?;
        body::refuse_html(response).await.map(drop)
    }
}
