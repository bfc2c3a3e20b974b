//! What the edge can be told, with its defaults.

use hub_core::limits;
use url::Url;

/// Bounds on the pictures inside one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewLimits {
    /// Sum of all previews of one answer, in bytes before base64. Default 700 000: clients exist that
    /// drop a whole result above 1 048 576 characters.
    pub total_bytes: usize,
    /// Longest side of a preview, in pixels. Default 1024; never above 1999.
    pub max_side_px: u32,
}

impl Default for PreviewLimits {
    fn default() -> Self {
        Self { total_bytes: 700_000, max_side_px: 1024 }
    }
}

/// Settings of the MCP edge.
#[derive(Debug, Clone, PartialEq)]
pub struct McpConfig {
    /// Address under which callers reach the hub, path prefix included. `None`: as the request's
    /// `Host` says.
    pub public_url: Option<Url>,
    /// Address of the hub's own listener, for links where a request carries no `Host` (stdio).
    pub listen_url: Option<Url>,
    /// `Host` values that are served, as `name` or `name:port`; empty = any, because an outer layer
    /// checks. Default empty.
    pub allowed_hosts: Vec<String>,
    /// Browser origins that may call, as `scheme://host`, `scheme://host:port` or
    /// `scheme://host:*`. Default: loopback on any port. The origin of `public_url` always may.
    pub allowed_origins: Vec<String>,
    /// Seconds a call waits before it answers with the job's handle. Default
    /// [`limits::WAIT_DEFAULT_S`].
    pub wait_default_s: u32,
    /// Bounds on the pictures inside an answer.
    pub preview: PreviewLimits,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            listen_url: None,
            allowed_hosts: Vec::new(),
            allowed_origins: ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"].map(str::to_owned).to_vec(),
            wait_default_s: limits::WAIT_DEFAULT_S,
            preview: PreviewLimits::default(),
        }
    }
}
