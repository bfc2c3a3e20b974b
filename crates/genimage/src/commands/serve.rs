//! `genimage serve`.

use std::process::ExitCode;

use crate::{
    app::{Hub, HubOptions},
    cli::ServeArgs,
    config::Config,
    lifecycle,
};

/// Runs the hub until a signal.
///
/// # Errors
/// When it cannot start, or its listener dies.
pub(super) async fn run(config: &Config, args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let stop = lifecycle::on_signal()?;
    let mut hub = Hub::start(config, &HubOptions { demo: args.demo, ..HubOptions::default() }).await?;
    tracing::info!("listening on {}", hub.url.as_str().trim_end_matches('/'));
    let died = lifecycle::until(&stop, hub.listener_died()).await;
    if let Some(error) = died {
        hub.engine.shutdown(std::time::Duration::ZERO).await;
        return Err(error);
    }
    hub.stop().await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
