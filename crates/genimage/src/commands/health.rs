//! `genimage health`: one question to a running hub, for images that hold no other program.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, ensure};

use crate::config::Config;

/// Longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds when the hub answers.
///
/// # Errors
/// When it does not, or says that it is not alive.
pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let address = config.local_url()?.join("/healthz")?;
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().context("cannot make an HTTP client")?;
    let answer = http.get(address.clone()).send().await.with_context(|| format!("no hub answers at {address}"))?;
    ensure!(answer.status().is_success(), "the hub at {address} answers {}", answer.status());
    Ok(ExitCode::SUCCESS)
}
