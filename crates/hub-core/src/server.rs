//! ComfyUI servers and LLM servers as they are configured, and the states a ComfyUI server can be in.

mod address;
mod auth;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use address::{BaseUrl, InvalidBaseUrl};
pub use auth::{CaSource, InvalidCa, SecretSource, ServerAuth};

use crate::ids::{LlmServerId, ServerId};

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
    /// Name of the GPU that it shares with the LLM servers of the same `gpu`; default none: it shares none.
    #[serde(default)]
    pub gpu: Option<String>,
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
    /// GPU that is shared.
    pub gpu: Option<String>,
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
            gpu: None,
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
            gpu: self.gpu,
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
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Connecting,
        Self::Ready,
        Self::Degraded,
        Self::Down,
        Self::Unauthorized,
        Self::Incompatible,
        Self::Draining,
        Self::Disabled,
        Self::Zombie,
    ];

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
    /// Writes prompts from a subject, or from nothing.
    PromptGenerator,
}

impl LlmRole {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Enhance, Self::Describe, Self::PromptGenerator];

    /// The role as it is stored, and as it stands in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enhance => "enhance",
            Self::Describe => "describe",
            Self::PromptGenerator => "prompt_generator",
        }
    }
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
    /// Name of the GPU that it shares with the ComfyUI servers of the same `gpu`; default none.
    #[serde(default)]
    pub gpu: Option<String>,
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
    fn every_role_is_listed_under_the_name_that_is_read() {
        // Whoever reads a word that is none names all that there are.
        let told = serde_json::from_value::<LlmRole>("?".into()).expect_err("no role").to_string();
        let known: Vec<&str> = told.split('`').skip(3).step_by(2).collect();
        assert_eq!(LlmRole::ALL.map(LlmRole::as_str).as_slice(), known);
    }
}
