//! Logs: to standard error, pretty or JSON.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, LoggingSection};

/// Filter for the loop in which the MCP SDK serves one client.
const SDK_LOOP: &str = "rmcp::service=off";

/// Starts logging. `RUST_LOG` wins over the configured level.
///
/// # Errors
/// When the filter cannot be parsed.
pub(crate) fn init(logging: &LoggingSection) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter,
        _ => logging.level.clone(),
    };
    let names_sdk = filter.contains("rmcp");
    let mut filter = EnvFilter::try_new(&filter).with_context(|| format!("`{filter}` is not a log filter"))?;
    if !names_sdk {
        // The MCP SDK calls it an error when a client leaves before its answer, which clients do all day. What
        // matters of it the edge says itself.
        filter = filter.add_directive(SDK_LOOP.parse().context("the SDK's filter")?);
    }
    // A log that cannot be written is let go: to report it, the layer would print to the same closed standard
    // error, and printing there panics the task that logged.
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // A second start in one process (tests) keeps the first subscriber.
    let started = match logging.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
    Ok(())
}
