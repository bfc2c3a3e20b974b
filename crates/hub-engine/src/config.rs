//! The engine's limits and policies, with their defaults.

use std::time::Duration;

use hub_core::{caller::CallerWeights, limits};
use url::Url;

use crate::{GivenSettings, UsualPlaces};

/// Which addresses input pictures may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPolicy {
    /// Fetch from loopback, private and link-local addresses. Default off.
    pub allow_private: bool,
    /// Hosts that are always allowed, by name.
    pub allowed_hosts: Vec<String>,
    /// Longest time for one fetch. Default 30 s.
    pub timeout: Duration,
}

impl Default for InputPolicy {
    fn default() -> Self {
        Self { allow_private: false, allowed_hosts: Vec::new(), timeout: Duration::from_secs(30) }
    }
}

/// How alerts are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPolicy {
    /// Address to which each alert is posted as JSON. `None`: nowhere.
    pub webhook_url: Option<Url>,
    /// Post to loopback, private and link-local addresses. Default off. As of the start: it bounds what the address
    /// can be changed to.
    pub allow_private: bool,
    /// Hosts that may always be posted to, by name. As of the start.
    pub allowed_hosts: Vec<String>,
    /// Time after an alert of a server in which further ones are held back. Default 30 s.
    pub quiet: Duration,
    /// Pause before a post that failed is repeated; doubles with each. Default 1 s.
    pub retry_pause: Duration,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self {
            webhook_url: None,
            allow_private: false,
            allowed_hosts: Vec::new(),
            quiet: Duration::from_secs(30),
            retry_pause: Duration::from_secs(1),
        }
    }
}

/// How answers to agents are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPolicy {
    /// Seconds that a tool call waits before it answers with the job's handle. Default 45.
    pub wait_s: u32,
    /// Encoded size of all previews in one answer, before base64. Default 700 000: clients exist that drop a whole
    /// result above 1 048 576 characters.
    pub preview_max_bytes: usize,
    /// Longest side of a preview, in pixels. Default 1024.
    pub preview_max_side_px: u32,
}

impl Default for AnswerPolicy {
    fn default() -> Self {
        Self { wait_s: limits::WAIT_DEFAULT_S, preview_max_bytes: 700_000, preview_max_side_px: 1024 }
    }
}

/// When models are evicted from a GPU that LLM servers and ComfyUI servers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evict {
    /// When what is wanted next does not fit beside what is loaded, as far as is known.
    #[default]
    WhenNeeded,
    /// Whenever the other side is next.
    Always,
}

/// How a GPU is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasePolicy {
    /// When models are evicted. Default: when needed.
    pub evict: Evict,
    /// Memory, in bytes, that must stay free for two to count as fitting. Default 1 GiB.
    pub headroom_bytes: u64,
    /// What a workflow's models are believed to need until the hub saw them run, in bytes, where no server tells how
    /// large their files are; also an LLM whose size nobody tells. Default 12 GiB.
    pub unknown_bytes: u64,
    /// How long LLM calls wait while ComfyUI has work, before it gets no new prompts. Default 15 s.
    pub llm_wait: Duration,
    /// How long prompts wait while the LLM has calls, before it gets no new ones. Default 30 s.
    pub comfy_wait: Duration,
    /// How long a side must have had nothing to do before it is evicted. Default 250 ms.
    pub linger: Duration,
}

impl Default for LeasePolicy {
    fn default() -> Self {
        Self {
            evict: Evict::default(),
            headroom_bytes: 1 << 30,
            unknown_bytes: 12 << 30,
            llm_wait: Duration::from_secs(15),
            comfy_wait: Duration::from_secs(30),
            linger: Duration::from_millis(250),
        }
    }
}

/// Limits of the engine. Those that can be changed while it runs are told by [`crate::Engine::settings`].
#[derive(Debug, Clone, PartialEq)]
pub struct EngineConfig {
    /// Address under which others reach the hub, for links to pictures. `None`: as the request says.
    pub public_url: Option<Url>,
    /// Address the hub listens on: pictures under it are its own. `None`: it does not listen.
    pub listen_url: Option<Url>,
    /// Jobs that may wait in all. Default 10 000.
    pub queue_max: usize,
    /// Jobs that one caller may have waiting. Default 1 000.
    pub queue_max_per_caller: usize,
    /// Shares of callers against each other; what is stored goes before these. Default: all alike.
    pub caller_weights: CallerWeights,
    /// Longest wait in the queue before a job expires. Default 24 h.
    pub queue_wait_limit: Duration,
    /// Longest time for the enhancement of one prompt; beyond it the plain prompt is used. Default 60 s.
    pub enhance_budget: Duration,
    /// Longest time for a description. Default 300 s.
    pub describe_budget: Duration,
    /// Longest time for a generated prompt. Default 300 s.
    pub prompt_budget: Duration,
    /// Attempts that may fail for the server's fault before the job fails. Default 3.
    pub attempts_max: u32,
    /// First rest of a server at which job after job failed; doubles with every failed try. Default 5 s.
    pub breaker_pause: Duration,
    /// Window in which an identical call of the same caller finds the first one's job. Default 120 s.
    pub repeat_window: Duration,
    /// How often a running prompt is polled beside its socket. Default 5 s.
    pub poll_interval: Duration,
    /// How often a server is probed. Default 10 s.
    pub probe_interval: Duration,
    /// How often a server's list of nodes and files is read anew. Default 5 min.
    pub inventory_interval: Duration,
    /// What happens to servers, told to others.
    pub alerts: AlertPolicy,
    /// Answers to agents.
    pub answers: AnswerPolicy,
    /// Input pictures by URL.
    pub input: InputPolicy,
    /// How GPUs are shared between LLM servers and ComfyUI servers.
    pub lease: LeasePolicy,
    /// Days that finished jobs are kept; `None` keeps them for ever. Default `None`.
    pub retention_days: Option<u32>,
    /// Results that are kept, favourites included; beyond it the oldest jobs go. `None`: any number. Default `None`.
    pub retention_pictures: Option<u32>,
    /// Size of all results that is kept, in units of 10⁹ bytes; beyond it the oldest jobs go. Default `None`.
    pub retention_gb: Option<u32>,
    /// Age from which a stored file that no record names is deleted. Default 1 h: far more than lies between
    /// writing a file and writing its record, except by this hub while its database is away.
    pub orphan_grace: Duration,
    /// Have servers send pictures of the unfinished work. Default on.
    pub live_previews: bool,
    /// Where ComfyUI and Ollama are looked for when a person sets the hub up.
    pub usual_places: UsualPlaces,
    /// Where these values come from, for those who change settings.
    pub given: GivenSettings,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            listen_url: None,
            queue_max: 10_000,
            queue_max_per_caller: 1_000,
            caller_weights: CallerWeights::default(),
            queue_wait_limit: Duration::from_hours(24),
            enhance_budget: Duration::from_mins(1),
            describe_budget: Duration::from_mins(5),
            prompt_budget: Duration::from_mins(5),
            attempts_max: 3,
            breaker_pause: Duration::from_secs(5),
            repeat_window: Duration::from_mins(2),
            poll_interval: Duration::from_secs(5),
            probe_interval: Duration::from_secs(10),
            inventory_interval: Duration::from_mins(5),
            alerts: AlertPolicy::default(),
            answers: AnswerPolicy::default(),
            input: InputPolicy::default(),
            lease: LeasePolicy::default(),
            retention_days: None,
            retention_pictures: None,
            retention_gb: None,
            orphan_grace: Duration::from_hours(1),
            live_previews: true,
            usual_places: UsualPlaces::default(),
            given: GivenSettings::default(),
        }
    }
}
