//! The client: one small handle per server, the same calls in both dialects.
//!
//! Owns settings, addresses and the choice of dialect. The waiting is in `client/transport.rs`.
//! Invariant: an address always ends without a slash, and the key never appears in `Debug` or errors.

mod transport;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::Stream;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, SERVER},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::{
    chat::{ChatAnswer, ChatChunk, ChatRequest},
    client::transport::{ChatReader, MAX_ANSWER_BYTES},
    error::{Error, Result},
    models::{Capability, LoadedModel, Model, ModelDetails},
    native, openai,
};

/// Which API the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ollama's own `/api`: the better choice wherever Ollama runs.
    Ollama,
    /// `/v1` of llama.cpp, vLLM, LM Studio and hosted services.
    OpenAi,
}

/// Limits of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To make a connection. Default 5 s.
    pub connect: Duration,
    /// From sending a chat to the first byte back; queueing and loading a model happen here. Default 5 min.
    pub first_byte: Duration,
    /// Between pieces of an answer that has begun. Default 60 s.
    pub idle: Duration,
    /// For a whole chat. Default 10 min.
    pub total: Duration,
    /// For every other call: version, lists, unload. Default 10 s.
    pub lookup: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_mins(5),
            idle: Duration::from_mins(1),
            total: Duration::from_mins(10),
            lookup: Duration::from_secs(10),
        }
    }
}

/// How to reach one LLM server.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// `http` or `https`. For OpenAI-compatible servers `/v1` is added unless the path already names a version;
    /// for Ollama a trailing `/api` is dropped.
    pub base_url: Url,
    /// Which API it speaks.
    pub dialect: Dialect,
    /// Sent as a bearer token; local servers need none. Without it, what stands in `base_url` as user and password.
    pub api_key: Option<SecretString>,
    /// Limits of time.
    pub timeouts: Timeouts,
}

impl LlmConfig {
    /// A server without a key, with the default limits of time.
    pub fn new(base_url: Url, dialect: Dialect) -> Self {
        Self { base_url, dialect, api_key: None, timeouts: Timeouts::default() }
    }
}

/// A handle on one LLM server; cheap to clone, connections are shared.
///
/// Every call may fail on its way ([`Error::Unreachable`], [`Error::Interrupted`], [`Error::Timeout`]), by the
/// server's answer ([`Error::Busy`], [`Error::Unauthorized`], [`Error::Rejected`], [`Error::ServerFailed`]), or
/// because that answer is not to be understood ([`Error::Malformed`], [`Error::TooLarge`], which for anything but a
/// chat is past 16 MiB). What else a call may meet is told beside it; [`Error::kind`] says what to do.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    /// Without a trailing slash.
    address: String,
    dialect: Dialect,
    timeouts: Timeouts,
}

impl Client {
    /// Prepares a client; nothing is sent yet. A server on loopback is reached without the environment's proxy.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL is not `http(s)`, the key holds characters no header may hold, or no
    /// TLS provider is installed in this process.
    pub fn new(config: LlmConfig) -> Result<Self> {
        let LlmConfig { base_url, dialect, api_key, timeouts } = config;
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(Error::Config("no TLS provider is installed in this process".to_owned()));
        }
        let address = address(&base_url, dialect)?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            // A redirected POST turns into a GET without its body, so a redirect is a wrong address.
            .redirect(reqwest::redirect::Policy::none());
        let credentials = api_key.map(|key| format!("Bearer {}", key.expose_secret())).or_else(|| basic(&base_url));
        if let Some(credentials) = credentials {
            let mut value = HeaderValue::from_str(&credentials)
                .map_err(|_| Error::Config("the API key holds characters that no header may hold".to_owned()))?;
            value.set_sensitive(true);
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        if is_loopback(&base_url) {
            builder = builder.no_proxy();
            if base_url.scheme() == "http" {
                // Nothing is encrypted on this way: reading the machine's certificates would be most of the work here.
                let tls = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
                builder = builder.tls_backend_preconfigured(tls.with_no_client_auth());
            }
        }
        let http = builder.build().map_err(|e| Error::Config(e.without_url().to_string()))?;
        Ok(Self { inner: Arc::new(Inner { http, address, dialect, timeouts }) })
    }

    /// Which API this client speaks.
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// The server's version: the cheapest proof that it is there. In the OpenAI dialect, which has no such call, the
    /// model list is asked for and the `Server` header given, or `unknown`.
    ///
    /// # Errors
    /// Those of every call; [`Error::Timeout`] past [`Timeouts::lookup`].
    pub async fn version(&self) -> Result<String> {
        match self.inner.dialect {
            Dialect::Ollama => native::version(&self.lookup(Method::GET, "/api/version", None).await?.body),
            Dialect::OpenAi => {
                let answer = self.lookup(Method::GET, "/models", None).await?;
                openai::models(&answer.body)?;
                let server = answer.headers.get(SERVER).and_then(|value| value.to_str().ok());
                Ok(server.unwrap_or("unknown").to_owned())
            }
        }
    }

    /// The models it can run, in the server's order.
    ///
    /// # Errors
    /// Those of every call; [`Error::Timeout`] past [`Timeouts::lookup`].
    pub async fn models(&self) -> Result<Vec<Model>> {
        match self.inner.dialect {
            Dialect::Ollama => native::models(&self.lookup(Method::GET, "/api/tags", None).await?.body),
            Dialect::OpenAi => openai::models(&self.lookup(Method::GET, "/models", None).await?.body),
        }
    }

    /// One model looked at closely.
    ///
    /// # Errors
    /// [`Error::ModelMissing`] when the server does not have it; [`Error::Unsupported`] in the OpenAI dialect; those
    /// of every call, [`Error::Timeout`] past [`Timeouts::lookup`].
    pub async fn show(&self, model: &str) -> Result<ModelDetails> {
        self.native_only("OpenAI-compatible servers do not describe their models")?;
        native::show(&self.lookup(Method::POST, "/api/show", Some(json!({ "model": model }))).await?.body)
    }

    /// The models in memory now.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in the OpenAI dialect; those of every call, [`Error::Timeout`] past
    /// [`Timeouts::lookup`].
    pub async fn ps(&self) -> Result<Vec<LoadedModel>> {
        self.native_only("OpenAI-compatible servers do not tell which models are loaded")?;
        native::loaded(&self.lookup(Method::GET, "/api/ps", None).await?.body)
    }

    /// Takes a model out of memory; fine when it is not loaded.
    ///
    /// # Errors
    /// [`Error::ModelMissing`] when the server does not have it; [`Error::Unsupported`] in the OpenAI dialect; those
    /// of every call, [`Error::Timeout`] past [`Timeouts::lookup`].
    pub async fn unload(&self, model: &str) -> Result<()> {
        self.native_only("OpenAI-compatible servers cannot be told to unload a model")?;
        let answer = self.lookup(Method::POST, "/api/generate", Some(native::unload_body(model))).await?;
        native::chunk(&answer.body).map(|_| ())
    }

    /// What a model can do: from the list where it says so, else by looking closely. **Empty means unknown**,
    /// which is usual in the OpenAI dialect.
    ///
    /// # Errors
    /// [`Error::ModelMissing`] when the server does not have it; those of every call, [`Error::Timeout`] when one of
    /// the two lookups takes longer than [`Timeouts::lookup`].
    pub async fn capabilities(&self, model: &str) -> Result<BTreeSet<Capability>> {
        let listed = self.models().await?.into_iter().find(|listed| same_model(&listed.name, model));
        match (self.inner.dialect, listed) {
            (_, Some(Model { capabilities: Some(capabilities), .. })) => Ok(capabilities),
            (Dialect::Ollama, _) => Ok(self.show(model).await?.capabilities),
            (Dialect::OpenAi, Some(_)) => Ok(BTreeSet::new()),
            (Dialect::OpenAi, None) => Err(Error::ModelMissing { message: format!("model '{model}' is not listed") }),
        }
    }

    /// Asks and waits for the whole answer. It is streamed underneath, so a stalled server is noticed.
    ///
    /// Dropping the future cancels the generation.
    ///
    /// # Errors
    /// [`Error::Timeout`] by the phase that ran out; [`Error::TooLarge`] past 4 MiB of text; [`Error::ModelMissing`];
    /// [`Error::Unsupported`] when the dialect has no form for one of the pictures; those of every call.
    pub async fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer> {
        let started = Instant::now();
        let mut reader = self.open_chat(self.chat_body(request)?).await?;
        let (mut content, mut thinking) = (String::new(), String::new());
        while let Some(chunk) = reader.next().await? {
            content.push_str(&chunk.content);
            thinking.push_str(&chunk.thinking);
            if content.len() + thinking.len() > MAX_ANSWER_BYTES {
                return Err(Error::TooLarge { limit_bytes: MAX_ANSWER_BYTES });
            }
            if let Some(done) = chunk.done {
                return Ok(ChatAnswer {
                    content,
                    thinking: Some(thinking).filter(|text| !text.is_empty()),
                    done_reason: done.reason,
                    prompt_tokens: done.prompt_tokens,
                    tokens: done.tokens,
                    total_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
            }
        }
        Err(Error::Interrupted(None))
    }

    /// Asks and gives the answer piece by piece; the last piece has `done`. After an error the stream ends.
    ///
    /// Nothing is sent before the first poll; dropping the stream cancels the generation.
    ///
    /// # Errors
    /// As the last item of the stream: those of [`Client::chat`], but [`Error::TooLarge`] only for what the server
    /// sends as one line, or past 256 MiB in all: nothing is collected here.
    pub fn chat_stream(&self, request: &ChatRequest) -> impl Stream<Item = Result<ChatChunk>> + Send + use<> {
        let client = self.clone();
        let body = self.chat_body(request);
        async_stream::try_stream! {
            let mut reader = client.open_chat(body?).await?;
            while let Some(chunk) = reader.next().await? {
                yield chunk;
            }
        }
    }

    fn chat_body(&self, request: &ChatRequest) -> Result<Value> {
        match self.inner.dialect {
            Dialect::Ollama => Ok(native::chat_body(request)),
            Dialect::OpenAi => openai::chat_body(request),
        }
    }

    async fn open_chat(&self, body: Value) -> Result<ChatReader> {
        let path = match self.inner.dialect {
            Dialect::Ollama => "/api/chat",
            Dialect::OpenAi => "/chat/completions",
        };
        ChatReader::open(&self.inner, path, body).await
    }

    async fn lookup(&self, method: Method, path: &str, body: Option<Value>) -> Result<transport::Answer> {
        transport::lookup(&self.inner, method, path, body).await
    }

    fn native_only(&self, why: &'static str) -> Result<()> {
        match self.inner.dialect {
            Dialect::Ollama => Ok(()),
            Dialect::OpenAi => Err(Error::Unsupported(why)),
        }
    }
}

/// Ollama reads a name without a tag as `:latest`.
fn same_model(listed: &str, asked: &str) -> bool {
    listed == asked || listed.strip_suffix(":latest") == Some(asked)
}

fn address(base_url: &Url, dialect: Dialect) -> Result<String> {
    if !matches!(base_url.scheme(), "http" | "https") || base_url.host_str().is_none() {
        return Err(Error::Config("the address must begin with http:// or https://".to_owned()));
    }
    let mut url = base_url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Credentials travel in a header that is marked as sensitive; the address may be shown.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| Error::Config("the address cannot hold a host".to_owned()))?;
    let text = url.as_str().trim_end_matches('/').to_owned();
    Ok(match dialect {
        Dialect::Ollama => text.strip_suffix("/api").unwrap_or(&text).trim_end_matches('/').to_owned(),
        Dialect::OpenAi if url.path().split('/').any(names_a_version) => text,
        Dialect::OpenAi => format!("{text}/v1"),
    })
}

/// `user:password@` of the address, as a header.
fn basic(base_url: &Url) -> Option<String> {
    if base_url.username().is_empty() && base_url.password().is_none() {
        return None;
    }
    // A URL keeps them percent-encoded; a plus sign stands for itself here, unlike in forms.
    let decode = |text: &str| {
        let form = format!("x={}", text.replace('+', "%2B"));
        url::form_urlencoded::parse(form.as_bytes()).map(|(_, value)| value.into_owned()).collect::<String>()
    };
    let pair = format!("{}:{}", decode(base_url.username()), decode(base_url.password().unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// `v1`, `v4`, `v1beta` …, as gateways write them.
fn names_a_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised_by_dialect() {
        let cases = [
            ("http://host:11434", Dialect::Ollama, "http://host:11434"),
            ("http://host:11434/", Dialect::Ollama, "http://host:11434"),
            ("http://host/llm/api/", Dialect::Ollama, "http://host/llm"),
            ("http://host:8000/", Dialect::OpenAi, "http://host:8000/v1"),
            ("http://host:8000/v1/", Dialect::OpenAi, "http://host:8000/v1"),
            ("https://host/v1beta/openai?x=1#y", Dialect::OpenAi, "https://host/v1beta/openai"),
            ("https://host/openrouter/api", Dialect::OpenAi, "https://host/openrouter/api/v1"),
        ];
        for (given, dialect, expected) in cases {
            let url = given.parse().expect("a URL");
            assert_eq!(address(&url, dialect).expect("usable"), expected, "{given}");
        }
        assert!(address(&"ftp://host/".parse().expect("a URL"), Dialect::Ollama).is_err());
    }

    #[test]
    fn credentials_leave_the_address_and_become_a_header() {
        let url: Url = "http://me:p%40ss+1@host/".parse().expect("a URL");
        assert_eq!(address(&url, Dialect::Ollama).expect("usable"), "http://host");
        assert_eq!(basic(&url), Some(format!("Basic {}", STANDARD.encode("me:p@ss+1"))));
        assert_eq!(basic(&"http://host/".parse().expect("a URL")), None);
    }

    #[test]
    fn a_name_without_tag_means_latest() {
        assert!(same_model("llama3:latest", "llama3"));
        assert!(!same_model("llama3:8b", "llama3"));
    }
}
