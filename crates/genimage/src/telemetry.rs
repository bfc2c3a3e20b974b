//! Logs: to standard error, pretty or JSON.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, LoggingSection};

/// Starts logging. `RUST_LOG` wins over the configured level.
///
/// # Errors
/// When the filter cannot be parsed.
pub(crate) fn init(logging: &LoggingSection) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter,
        _ => logging.level.clone(),
    };
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("`{filter}` is not a log filter"))?;
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
