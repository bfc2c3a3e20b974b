//! Puts the edges behind one listener: routes, then the layers every request passes.

use axum::{Router, middleware};
use hub_access::Access;
use hub_engine::Engine;
use hub_mcp::{McpConfig, McpEdge};
use hub_web::{WebConfig, WebState};
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;

use crate::{
    config::Config,
    guard::{self, Guard},
};

/// The whole HTTP service, and the MCP edge in it, whose open streams must be ended before the listener.
///
/// # Errors
/// When the configuration holds an invalid public address.
pub(crate) fn router(
    engine: &Engine,
    access: Access,
    config: &Config,
    listen_url: &Url,
    demo: bool,
) -> anyhow::Result<(Router, McpEdge)> {
    let public_url = config.public_url()?;
    let mcp = McpEdge::new(engine.clone(), mcp_config(config, listen_url)?);
    let web = WebState {
        engine: engine.clone(),
        access: access.clone(),
        config: WebConfig { public_url: public_url.clone(), demo, version: env!("CARGO_PKG_VERSION") },
    };
    let guard = Guard { hosts: hosts(config, public_url.as_ref()), access };
    let router = hub_web::router(web)
        .merge(mcp.router())
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn(hub_web::secure_headers))
        .layer(CatchPanicLayer::new());
    Ok((router, mcp))
}

/// What the MCP edge is told.
///
/// # Errors
/// When the configuration holds an invalid public address.
pub(crate) fn mcp_config(config: &Config, listen_url: &Url) -> anyhow::Result<McpConfig> {
    let public_url = config.public_url()?;
    let mut edge = McpConfig { listen_url: Some(listen_url.clone()), ..McpConfig::default() };
    let named = hosts(config, public_url.as_ref());
    edge.allowed_origins
        .extend(named.iter().flat_map(|host| [format!("http://{host}:*"), format!("https://{host}:*")]));
    edge.allowed_origins.extend(named.iter().flat_map(|host| [format!("http://{host}"), format!("https://{host}")]));
    edge.public_url = public_url;
    Ok(edge)
}

/// Names under which the hub is reached, besides localhost and addresses.
fn hosts(config: &Config, public_url: Option<&Url>) -> Vec<String> {
    let public = public_url.and_then(Url::host_str).map(str::to_owned);
    config.server.allowed_hosts.iter().cloned().chain(public).map(|host| host.to_ascii_lowercase()).collect()
}
