//! MCP's Streamable HTTP transport, as every handler here is served: both protocol eras at one path.
//!
//! Adds to the SDK's service what it leaves out: a bounded number of sessions, sessions that survive
//! a restart of the hub, an early response head, JSON-RPC errors for broken bodies, and one check of
//! `Host` and `Origin` for all eras.
//! Knows nothing of tools; the conformance fixture runs on exactly this stack.

mod early_sse;
mod guard;
mod manners;
mod sessions;

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService},
};
use tokio_util::sync::CancellationToken;

pub use guard::Guard;

use self::sessions::{CappedSessions, SessionMemory};

/// How the transport is set up.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Largest request body, in bytes.
    pub body_max_bytes: usize,
    /// Most sessions of older clients held in memory; the least recently used goes first.
    pub sessions_max: usize,
    /// A session without any message for this long is closed. A silent call counts as no message,
    /// so it must outlast the longest wait by far.
    pub session_idle: Duration,
    /// A request that has no answer after this long gets its response head and keep-alives.
    pub early_head_after: Duration,
    /// Time between keep-alive comments.
    pub keep_alive: Duration,
    /// Which `Host` and `Origin` values are served.
    pub guard: Guard,
    /// Cancelled when the hub shuts down: open streams end.
    pub closing: CancellationToken,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            body_max_bytes: hub_core::limits::BODY_MAX_BYTES,
            sessions_max: 4096,
            session_idle: Duration::from_hours(2),
            early_head_after: Duration::from_secs(2),
            keep_alive: Duration::from_secs(15),
            guard: Guard::default(),
            closing: CancellationToken::new(),
        }
    }
}

/// Serves handlers made by `handler_factory` (one per session or request; must be cheap) at `/mcp`.
pub fn mcp_service<H, F>(handler_factory: F, config: &TransportConfig) -> Router
where
    H: ServerHandler,
    F: Fn() -> H + Send + Sync + 'static,
{
    let mut server = StreamableHttpServerConfig::default()
        .with_sse_keep_alive(Some(config.keep_alive))
        .with_legacy_session_mode(true)
        .with_json_response(false)
        .with_max_request_body_bytes(config.body_max_bytes)
        .with_cancellation_token(config.closing.clone())
        // The guard below checks both, for every route alike.
        .disable_allowed_hosts()
        .disable_allowed_origins();
    server.session_store = Some(Arc::new(SessionMemory::new(config.sessions_max)));
    let sessions = Arc::new(CappedSessions::new(config.sessions_max, config.session_idle));
    let service = StreamableHttpService::new(move || Ok(handler_factory()), sessions, server);
    let pace = early_sse::Pace { head_after: config.early_head_after, keep_alive: config.keep_alive };
    Router::new()
        .route_service("/mcp", service)
        .layer(middleware::from_fn_with_state(pace, early_sse::early_sse))
        .layer(middleware::from_fn_with_state(config.body_max_bytes, manners::manners))
        .layer(middleware::from_fn_with_state(Arc::new(config.guard.clone()), guard::guard))
}

/// Puts the same check of `Host` and `Origin` before other routes.
pub(crate) fn guarded(router: Router, guard: &Guard) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(guard.clone()), guard::guard))
}
