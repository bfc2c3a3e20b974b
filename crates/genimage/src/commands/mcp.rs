//! `genimage mcp`: MCP over standard input and output.
//!
//! With a hub running, its `/mcp` does the work and this process only carries messages; else a hub of
//! its own starts, listening too, so that the links in its answers lead somewhere.

mod bridge;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use url::Url;

use crate::{
    app::{Hub, HubOptions},
    cli::McpArgs,
    config::Config,
    http, lifecycle,
};

/// Time for the probe that tells whether a hub runs.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Serves until standard input ends or a signal comes.
///
/// # Errors
/// When the named hub cannot be reached, or the own one cannot start.
pub(super) async fn run(config: &Config, args: &McpArgs) -> anyhow::Result<ExitCode> {
    let stop = lifecycle::on_signal()?;
    if !args.demo
        && let Some(hub) = find(config, args).await?
    {
        tracing::info!("carrying messages to {hub}");
        let key = Some(config.auth.api_key.expose_secret()).filter(|key| !key.is_empty());
        lifecycle::until(&stop, bridge::run(hub, key)).await.transpose()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = config.clone();
    if args.demo || tokio::net::TcpListener::bind(config.server.listen).await.is_err() {
        // The usual port belongs to somebody else: any free one serves the links.
        config.server.listen.set_port(0);
    }
    let hub = Hub::start(&config, &HubOptions { demo: args.demo, ..HubOptions::default() }).await?;
    tracing::info!("listening on {}", hub.url.as_str().trim_end_matches('/'));
    let mcp = http::mcp_config(&config, &hub.url)?;
    let served = lifecycle::until(&stop, hub_mcp::serve_stdio(hub.engine.clone(), mcp)).await;
    hub.stop().await?;
    served.transpose().context("the MCP session failed")?;
    Ok(ExitCode::SUCCESS)
}

/// The running hub: the named one, which must answer, or whatever answers at the configured address.
async fn find(config: &Config, args: &McpArgs) -> anyhow::Result<Option<Url>> {
    let base = match &args.hub {
        Some(hub) => Url::parse(hub).with_context(|| format!("`{hub}` is not a URL"))?,
        None => config.local_url()?,
    };
    let mut endpoint = base.clone();
    let prefix = base.path().trim_end_matches('/').trim_end_matches("/mcp").to_owned();
    endpoint.set_path(&format!("{prefix}/healthz"));
    let http = reqwest::Client::builder().timeout(PROBE_TIMEOUT).build().context("cannot make an HTTP client")?;
    let probe = http.get(endpoint.clone()).send().await;
    endpoint.set_path(&format!("{prefix}/mcp"));
    match (probe, &args.hub) {
        (Ok(answer), _) if answer.status().is_success() => Ok(Some(endpoint)),
        (Ok(answer), Some(hub)) => anyhow::bail!("{hub} answers {}: no hub is there", answer.status()),
        (Err(error), Some(hub)) => Err(error).with_context(|| format!("no hub answers at {hub}")),
        _ => Ok(None),
    }
}
