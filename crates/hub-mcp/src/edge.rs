//! The edge as the binary mounts it.

use std::sync::Arc;

use axum::{Router, middleware};
use hub_engine::Engine;

use crate::{
    config::McpConfig,
    delivery, dialect,
    handler::HubHandler,
    hub::Hub,
    jsonrpc,
    transport::{Guard, TransportConfig, guarded, mcp_service},
};

/// The MCP edge: `/mcp`, `/legacy/mcp`, `/ws/stream/{id}`. Cheap to clone.
#[derive(Clone)]
pub struct McpEdge {
    hub: Arc<Hub>,
}

impl McpEdge {
    /// An edge before `engine`.
    pub fn new(engine: Engine, config: McpConfig) -> Self {
        Self { hub: Arc::new(Hub::new(engine, config)) }
    }

    /// The routes. Who calls is read from a [`hub_core::caller::Caller`] among the request's
    /// extensions; without one it is [`hub_core::caller::Caller::local`].
    pub fn router(&self) -> Router {
        let guard = self.guard();
        let transport =
            TransportConfig { guard: guard.clone(), closing: self.hub.closing.clone(), ..TransportConfig::default() };
        let hub = self.hub.clone();
        let mcp = mcp_service(move || HubHandler::new(hub.clone()), &transport)
            .layer(middleware::from_fn_with_state(self.hub.clone(), jsonrpc::answer_plain));
        let all = mcp.merge(dialect::router(self.hub.clone()));
        guarded(all.layer(middleware::from_fn_with_state(self.hub.clone(), delivery::deliver)), &guard)
    }

    /// Ends open streams and waits; to be called first when the hub shuts down. Jobs go on.
    pub fn close(&self) {
        self.hub.closing.cancel();
    }

    fn guard(&self) -> Guard {
        let config = &self.hub.config;
        let mut origins = config.allowed_origins.clone();
        origins.extend(config.public_url.as_ref().map(|url| url.origin().ascii_serialization()));
        Guard { hosts: config.allowed_hosts.clone(), origins }
    }
}
