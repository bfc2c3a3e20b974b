//! Puts the edges behind one listener: routes, then the layers every request passes.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware,
};
use hub_access::Access;
use hub_engine::Engine;
use hub_mcp::{McpConfig, McpEdge};
use hub_store::SearchBounds;
use hub_web::{LostForms, Translations, WebConfig, WebState};
use tower::util::option_layer;
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};
use url::Url;

use crate::{
    config::Config,
    guard::{self, Crowd, Guard},
    protected_resource::ProtectedResource,
};

/// The folder of translations within the data directory.
pub(crate) const TRANSLATIONS: &str = "translations";
/// A year: what browsers remember of TLS.
const STRICT_FOR: &str = "max-age=31536000";

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
        config: WebConfig {
            public_url: public_url.clone(),
            demo,
            version: env!("CARGO_PKG_VERSION"),
            translations: translations(config),
            search: SearchBounds::default(),
        },
    };
    let protected = access.oauth().map(ProtectedResource::of).transpose()?;
    let challenge = protected.as_ref().map(ProtectedResource::challenge);
    let crowd = Crowd::new(config.server.requests_max_per_caller);
    let lost = Arc::new(LostForms::new(&web.config));
    let guard = Guard { hosts: hosts(config, public_url.as_ref()), access, crowd, challenge, lost };
    let metadata = protected.map_or_else(Router::new, ProtectedResource::router);
    let router = hub_web::router(web)
        .merge(mcp.router())
        .merge(metadata)
        .layer(option_layer(strict_transport(public_url.as_ref())))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn(hub_web::secure_headers))
        .layer(CatchPanicLayer::new());
    Ok((router, mcp))
}

/// The pages' words in other languages, from the data directory. What is wrong with them is no reason not to start.
fn translations(config: &Config) -> Translations {
    let (translations, faults) = Translations::read(&config.server.data_dir.join(TRANSLATIONS));
    for fault in faults {
        tracing::warn!("translations: {fault}");
    }
    for (language, messages) in translations.known() {
        tracing::info!(language, messages, "the pages are translated");
    }
    translations
}

/// Has browsers come back over TLS only, where that is how the hub is reached.
fn strict_transport(public_url: Option<&Url>) -> Option<SetResponseHeaderLayer<HeaderValue>> {
    public_url.filter(|url| url.scheme() == "https").map(|_| {
        SetResponseHeaderLayer::overriding(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_FOR))
    })
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
