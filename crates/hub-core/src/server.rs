//! ComfyUI servers and LLM servers as they are configured, and the states a ComfyUI server can be in.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::ids::{LlmServerId, ServerId};

/// A server's address: `http` or `https`, with or without a path prefix, never with a trailing
/// slash, credentials, query or fragment. Two spellings of one address are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Url);

/// Why a text is no [`BaseUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a server address: {reason}; give something like http://192.0.2.7:8188")]
pub struct InvalidBaseUrl {
    given: String,
    reason: String,
}

impl BaseUrl {
    /// The URL, without trailing slash unless the path is empty.
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        let invalid = |reason: &str| InvalidBaseUrl { given: without_credentials(text), reason: reason.to_owned() };
        let trimmed = text.trim();
        let spelled = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
        let mut url = Url::parse(&spelled).map_err(|error| invalid(&error.to_string()))?;
        match url.scheme() {
            "http" | "https" => {}
            "ws" => url.set_scheme("http").map_err(|()| invalid("the scheme cannot be used"))?,
            "wss" => url.set_scheme("https").map_err(|()| invalid("the scheme cannot be used"))?,
            other => return Err(invalid(&format!("the scheme `{other}` is neither http nor https"))),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it holds a user name or password; give them as the server's auth"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it has a query or fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

/// The start of a refused text, for a message: what stands before an `@` may be a password.
fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let shown = match rest.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("***@{host}"),
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => text.to_owned(),
    };
    shown.chars().take(200).collect()
}

impl TryFrom<String> for BaseUrl {
    type Error = InvalidBaseUrl;

    fn try_from(text: String) -> Result<Self, InvalidBaseUrl> {
        text.parse()
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Where a secret comes from. Written `env:NAME`, `file:PATH`, or the secret itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum SecretSource {
    /// The secret itself, as stored.
    Literal(String),
    /// An environment variable, read at use.
    Env(String),
    /// The first line of a file, read at use.
    File(String),
}

impl From<String> for SecretSource {
    fn from(text: String) -> Self {
        if let Some(name) = text.strip_prefix("env:") {
            Self::Env(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Self::File(path.to_owned())
        } else {
            Self::Literal(text)
        }
    }
}

impl From<SecretSource> for String {
    fn from(source: SecretSource) -> Self {
        match source {
            SecretSource::Literal(secret) => secret,
            SecretSource::Env(name) => format!("env:{name}"),
            SecretSource::File(path) => format!("file:{path}"),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(***)"),
            Self::Env(name) => write!(f, "Env({name})"),
            Self::File(path) => write!(f, "File({path})"),
        }
    }
}

/// How the hub proves itself to a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServerAuth {
    /// Not at all.
    #[default]
    None,
    /// HTTP basic.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: SecretSource,
    },
    /// `Authorization: Bearer …`; also the token of ComfyUI-Login.
    Bearer {
        /// The token.
        token: SecretSource,
    },
    /// One header of any name, e.g. `X-API-Key`.
    ApiKey {
        /// Header name.
        header: String,
        /// Header value.
        key: SecretSource,
    },
    /// Several headers.
    Headers {
        /// Name and value of each.
        headers: Vec<(String, SecretSource)>,
    },
}

/// Where the certificates lie that a server is trusted by, beside those of the system: its own when it
/// is self-signed, or those of its authority. Written as PEM text, or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CaSource {
    /// The certificates themselves, in PEM.
    Pem(String),
    /// A PEM file on the hub's machine, read when a connection is made.
    File(String),
}

/// Why a text names no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the CA is neither a PEM certificate (`-----BEGIN CERTIFICATE-----` …) nor `file:PATH`")]
pub struct InvalidCa;

impl FromStr for CaSource {
    type Err = InvalidCa;

    fn from_str(text: &str) -> Result<Self, InvalidCa> {
        let text = text.trim();
        match text.strip_prefix("file:").map(str::trim) {
            Some("") => Err(InvalidCa),
            Some(path) => Ok(Self::File(path.to_owned())),
            None if text.contains("-----BEGIN CERTIFICATE-----") => Ok(Self::Pem(text.to_owned())),
            None => Err(InvalidCa),
        }
    }
}

impl TryFrom<String> for CaSource {
    type Error = InvalidCa;

    fn try_from(text: String) -> Result<Self, InvalidCa> {
        text.parse()
    }
}

impl From<CaSource> for String {
    fn from(ca: CaSource) -> Self {
        match ca {
            CaSource::Pem(pem) => pem,
            CaSource::File(path) => format!("file:{path}"),
        }
    }
}

/// How a server is reached. Two settings with equal reaches lead to the same server in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Address.
    pub base_url: BaseUrl,
    /// Proof of identity.
    pub auth: ServerAuth,
    /// `Origin` header to send.
    pub origin: Option<String>,
    /// Certificates to trust beside the system's.
    pub ca: Option<CaSource>,
}

/// One ComfyUI server as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its id.
    pub id: ServerId,
    /// Unique name.
    pub name: String,
    /// Address.
    pub base_url: BaseUrl,
    /// Proof of identity.
    pub auth: ServerAuth,
    /// `Origin` header to send, for servers that ask for one. Default: none.
    pub origin: Option<String>,
    /// Certificates to trust beside the system's, for `https` servers that are self-signed or of a
    /// private authority. Default: none.
    #[serde(default)]
    pub ca: Option<CaSource>,
    /// Share of work against its peers; > 0, default 1.
    pub weight: f64,
    /// Group for pinning; default none.
    pub group: Option<String>,
    /// Prompts of ours that may be on the server at once: one runs, the others are staged. Default 2.
    pub max_in_flight: u32,
    /// Longest run of one prompt, in seconds. Default 1800.
    pub run_limit_s: u32,
    /// Longest time without any sign of progress before a running prompt counts as stuck, in
    /// seconds. Default 600.
    pub stall_limit_s: u32,
    /// Off: gets no work and no session.
    pub enabled: bool,
    /// Gets no new work but finishes what it has.
    pub draining: bool,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

impl Server {
    /// How it is reached.
    pub fn reach(&self) -> Reach {
        Reach {
            base_url: self.base_url.clone(),
            auth: self.auth.clone(),
            origin: self.origin.clone(),
            ca: self.ca.clone(),
        }
    }
}

/// A server that is to be added; its fields mean what those of [`Server`] mean.
#[derive(Debug, Clone, PartialEq)]
pub struct NewServer {
    /// Unique name.
    pub name: String,
    /// Address.
    pub base_url: BaseUrl,
    /// Proof of identity.
    pub auth: ServerAuth,
    /// `Origin` header.
    pub origin: Option<String>,
    /// Certificates to trust.
    pub ca: Option<CaSource>,
    /// Share of work.
    pub weight: f64,
    /// Group.
    pub group: Option<String>,
    /// Prompts at once.
    pub max_in_flight: u32,
    /// Longest run, in seconds.
    pub run_limit_s: u32,
    /// Longest silence, in seconds.
    pub stall_limit_s: u32,
    /// On.
    pub enabled: bool,
    /// Gets no new work.
    pub draining: bool,
}

impl NewServer {
    /// An enabled server without auth and with the default limits.
    pub fn named(name: impl Into<String>, base_url: BaseUrl) -> Self {
        Self {
            name: name.into(),
            base_url,
            auth: ServerAuth::None,
            origin: None,
            ca: None,
            weight: DEFAULT_WEIGHT,
            group: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            run_limit_s: DEFAULT_RUN_LIMIT_S,
            stall_limit_s: DEFAULT_STALL_LIMIT_S,
            enabled: true,
            draining: false,
        }
    }

    /// The server that it becomes.
    pub fn into_server(self, id: ServerId, created_at: DateTime<Utc>) -> Server {
        Server {
            id,
            name: self.name,
            base_url: self.base_url,
            auth: self.auth,
            origin: self.origin,
            ca: self.ca,
            weight: self.weight,
            group: self.group,
            max_in_flight: self.max_in_flight,
            run_limit_s: self.run_limit_s,
            stall_limit_s: self.stall_limit_s,
            enabled: self.enabled,
            draining: self.draining,
            created_at,
        }
    }
}

/// Default of [`Server::weight`].
pub const DEFAULT_WEIGHT: f64 = 1.0;

/// Default of [`Server::max_in_flight`].
pub const DEFAULT_MAX_IN_FLIGHT: u32 = 2;
/// Default of [`Server::run_limit_s`].
pub const DEFAULT_RUN_LIMIT_S: u32 = 1800;
/// Default of [`Server::stall_limit_s`].
pub const DEFAULT_STALL_LIMIT_S: u32 = 600;

/// What a server session is at. The engine owns the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Not heard of yet.
    Connecting,
    /// Takes work.
    Ready,
    /// Takes work, but its event socket is down: prompts are polled.
    Degraded,
    /// Does not answer.
    Down,
    /// Refuses our credentials.
    Unauthorized,
    /// Answers, but is no ComfyUI server.
    Incompatible,
    /// Finishes what it has.
    Draining,
    /// Switched off.
    Disabled,
    /// Answers, but its worker is dead.
    Zombie,
}

impl ServerState {
    /// Whether new work may go there.
    pub fn takes_work(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }

    /// The state as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unauthorized => "unauthorized",
            Self::Incompatible => "incompatible",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Zombie => "zombie",
        }
    }
}

/// How an LLM server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmDialect {
    /// Ollama's own API.
    Ollama,
    /// `/v1` as OpenAI defined it.
    #[serde(alias = "openai")]
    OpenAi,
}

/// What the hub asks an LLM server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LlmRole {
    /// Rewrites prompts.
    Enhance,
    /// Describes pictures; needs a vision model.
    Describe,
}

/// One LLM server as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlmServer {
    /// Its id.
    pub id: LlmServerId,
    /// Unique name.
    pub name: String,
    /// Address.
    pub base_url: BaseUrl,
    /// Dialect.
    pub dialect: LlmDialect,
    /// Bearer key, when it wants one.
    pub api_key: Option<SecretSource>,
    /// Off: not used.
    pub enabled: bool,
}

/// Which server and model serve a role. A setting of its own, so that deleting a server never
/// touches the prompt templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmAssignment {
    /// The server.
    pub server: LlmServerId,
    /// The model by name; `None` picks the first capable one that the server lists.
    pub model: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_equal() {
        let expected: BaseUrl = "http://gpu:8188".parse().expect("valid");
        for spelling in ["http://gpu:8188/", "gpu:8188", " http://GPU:8188// ", "ws://gpu:8188"] {
            assert_eq!(spelling.parse::<BaseUrl>().as_ref(), Ok(&expected), "{spelling}");
        }
        let prefixed: BaseUrl = "https://host/comfy/".parse().expect("valid");
        assert_eq!(prefixed.to_string(), "https://host/comfy");
    }

    #[test]
    fn addresses_that_cannot_work_are_refused_with_the_reason() {
        for (given, reason) in [
            ("ftp://x", "scheme"),
            ("http://", "host"),
            ("http://user:pw@host", "auth"),
            ("http://host/?a=1", "query"),
            ("", "server address"),
        ] {
            let error = given.parse::<BaseUrl>().expect_err(given);
            assert!(error.to_string().contains(reason), "{given}: {error}");
        }
    }

    #[test]
    fn a_ca_is_pem_or_a_file() {
        let pem = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----";
        assert_eq!(pem.parse(), Ok(CaSource::Pem(pem.to_owned())));
        assert_eq!("file:/etc/ca.pem".parse(), Ok(CaSource::File("/etc/ca.pem".to_owned())));
        for bad in ["", "file:", "/etc/ca.pem", "-----BEGIN PRIVATE KEY-----"] {
            assert_eq!(bad.parse::<CaSource>(), Err(InvalidCa), "{bad}");
        }
    }

    #[test]
    fn a_refused_address_is_quoted_without_its_password() {
        for given in ["http://user:hunter2@host", "user:hunter2@host:8188", "ftp://user:p@hunter2@host"] {
            let told = given.parse::<BaseUrl>().expect_err(given).to_string();
            assert!(!told.contains("hunter2") && told.contains("***@host"), "{told}");
        }
    }

    #[test]
    fn a_literal_secret_never_prints() {
        let auth = ServerAuth::Bearer { token: SecretSource::from("hunter2".to_owned()) };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
