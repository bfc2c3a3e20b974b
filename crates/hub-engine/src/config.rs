//! The engine's limits and policies, with their defaults.

use std::time::Duration;

use hub_core::{caller::CallerWeights, limits};
use url::Url;

use crate::GivenSettings;

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
    /// Time after an alert of a server in which further ones are held back. Default 30 s.
    pub quiet: Duration,
    /// Pause before a post that failed is repeated; doubles with each. Default 1 s.
    pub retry_pause: Duration,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self { webhook_url: None, quiet: Duration::from_secs(30), retry_pause: Duration::from_secs(1) }
    }
}

/// How answers to agents are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPolicy {
    /// Seconds that a tool call waits before it answers with the job's handle. Default 45.
    pub wait_s: u32,
    /// Encoded size of all previews in one answer. Default 700 000.
    pub preview_max_bytes: usize,
    /// Longest side of a preview, in pixels. Default 1024.
    pub preview_max_side_px: u32,
}

impl Default for AnswerPolicy {
    fn default() -> Self {
        Self { wait_s: limits::WAIT_DEFAULT_S, preview_max_bytes: 700_000, preview_max_side_px: 1024 }
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
    /// Attempts that may fail for the server's fault before the job fails. Default 3.
    pub attempts_max: u32,
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
    /// Days that finished jobs are kept; `None` keeps them for ever. Default `None`.
    pub retention_days: Option<u32>,
    /// Age from which a stored file that no record names is deleted. Default 1 h: far more than lies between
    /// writing a file and writing its record.
    pub orphan_grace: Duration,
    /// Have servers send pictures of the unfinished work. Default on.
    pub live_previews: bool,
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
            attempts_max: 3,
            repeat_window: Duration::from_mins(2),
            poll_interval: Duration::from_secs(5),
            probe_interval: Duration::from_secs(10),
            inventory_interval: Duration::from_mins(5),
            alerts: AlertPolicy::default(),
            answers: AnswerPolicy::default(),
            input: InputPolicy::default(),
            retention_days: None,
            orphan_grace: Duration::from_hours(1),
            live_previews: true,
            given: GivenSettings::default(),
        }
    }
}
