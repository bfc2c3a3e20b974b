//! What the edge can be told, with its defaults.

use url::Url;

/// Where the MCP edge is and who may call it. How it answers is a setting that changes while the hub runs, and
/// is taken from the engine's.
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
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            listen_url: None,
            allowed_hosts: Vec::new(),
            allowed_origins: ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"].map(str::to_owned).to_vec(),
        }
    }
}
