//! The sections of the configuration, as they are written.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hub_core::caller::CallerWeights;
use hub_engine::{Evict, LeasePolicy};
use secrecy::SecretString;
use serde::Deserialize;

use crate::listen::Network;

/// See `[server]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSection {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder of the hub's files.
    pub data_dir: PathBuf,
    /// Public address; empty = none.
    pub public_url: String,
    /// Further host names.
    pub allowed_hosts: Vec<String>,
    /// Seconds of grace at the end.
    pub shutdown_grace_s: u64,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections of one address at once; 0 = any number.
    pub connections_max_per_address: usize,
    /// Who is not held to that.
    pub connections_exempt: Vec<Network>,
    /// Open requests of one caller.
    pub requests_max_per_caller: usize,
    /// Seconds that a request's head, and each piece of its body, may take.
    pub read_limit_s: u64,
}

impl ServerSection {
    /// Whether the limits are some.
    ///
    /// # Errors
    /// Names the key and its bounds.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let within = |key: &str, value: u64, most: u64| {
            anyhow::ensure!((1..=most).contains(&value), "server.{key} is {value}; it must be 1 to {most}");
            Ok(())
        };
        within("connections_max", self.connections_max as u64, 1_000_000)?;
        let most = 1_000_000;
        let per_address = self.connections_max_per_address;
        anyhow::ensure!(
            per_address <= most,
            "server.connections_max_per_address is {per_address}; it must be 0 (any number) to {most}"
        );
        within("requests_max_per_caller", self.requests_max_per_caller as u64, 1_000_000)?;
        within("read_limit_s", self.read_limit_s, 3600)
    }
}

/// A section with an address that may be empty.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlSection {
    /// The address; empty = the default or none.
    pub url: String,
}

/// See `[auth]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSection {
    /// Key for machines; empty = none.
    pub api_key: SecretString,
    /// Password for people; empty = none.
    pub admin_password: SecretString,
    /// Key for secrets at rest; empty = the file in the data folder.
    pub secret_key: SecretString,
}

/// See `[oauth]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthSection {
    /// Identifier of the authorization server; empty = no tokens are taken.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_url: String,
    /// What tokens must be made for; empty = the public address with `/mcp`.
    pub audience: String,
    /// What scopes are prefixed with.
    pub scope_prefix: String,
    /// Seconds that clocks may differ.
    pub skew_s: u64,
    /// Requests per minute of each subject; 0 = any number.
    pub rate_per_minute: u32,
    /// Pictures per day of each subject; 0 = any number.
    pub images_per_day: u32,
    /// Seconds on GPUs per day of each subject; 0 = any number.
    pub gpu_seconds_per_day: u32,
}

/// See `[queue]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSection {
    pub(super) max: usize,
    pub(super) max_per_caller: usize,
    pub(super) wait_limit_s: u64,
    pub(super) attempts_max: u32,
    pub(super) repeat_window_s: u64,
    #[serde(default)]
    pub(super) weights: CallerWeights,
}

/// See `[servers]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServersSection {
    pub(super) probe_interval_s: u64,
    pub(super) poll_interval_s: u64,
    pub(super) inventory_interval_s: u64,
    pub(super) live_previews: bool,
}

/// See `[alerts]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertsSection {
    pub(super) webhook_url: String,
    pub(super) allow_private: bool,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) quiet_s: u64,
}

/// See `[llm]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names of the keys")]
pub struct LlmSection {
    pub(super) enhance_budget_s: u64,
    pub(super) describe_budget_s: u64,
    pub(super) prompt_budget_s: u64,
}

/// See `[gpu_lease]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuLeaseSection {
    pub(super) evict: Evict,
    pub(super) headroom_mb: u64,
    pub(super) unknown_need_mb: u64,
    pub(super) llm_wait_s: u64,
    pub(super) comfy_wait_s: u64,
}

impl GpuLeaseSection {
    /// The lease's policy in the engine's units.
    pub(super) fn policy(&self) -> LeasePolicy {
        let bytes = |mb: u64| mb.saturating_mul(1 << 20);
        LeasePolicy {
            evict: self.evict,
            headroom_bytes: bytes(self.headroom_mb),
            unknown_bytes: bytes(self.unknown_need_mb),
            llm_wait: Duration::from_secs(self.llm_wait_s),
            comfy_wait: Duration::from_secs(self.comfy_wait_s),
            ..LeasePolicy::default()
        }
    }
}

/// See `[input]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSection {
    pub(super) allow_private: bool,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) timeout_s: u64,
}

/// See `[mcp]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpSection {
    /// Seconds a call waits.
    pub wait_s: u32,
    /// Bytes of previews in one answer.
    pub preview_max_bytes: usize,
    /// Longest side of a preview.
    pub preview_max_side_px: u32,
}

/// See `[retention]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSection {
    pub(super) days: u32,
    pub(super) pictures: u32,
    pub(super) gb: u32,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// See `[logging]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggingSection {
    /// Shape of a line.
    pub format: LogFormat,
    /// Filter.
    pub level: String,
}

/// See `[traces]` in the default file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesSection {
    /// Address of a collector that takes OTLP over HTTP; empty = no traces.
    pub otlp_url: String,
    /// `http/protobuf` or `http/json`; the standard variable OTEL_EXPORTER_OTLP_PROTOCOL wins.
    pub protocol: String,
    /// Share of the traces that begin here which is recorded, 0–1; a caller's own trace is recorded as the caller says.
    pub sample: f64,
}
