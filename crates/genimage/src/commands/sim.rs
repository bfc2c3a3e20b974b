//! `genimage sim`: the doubles as servers of their own.

use std::process::ExitCode;

use anyhow::Context as _;
use hub_sim::{
    ComfySim, Script,
    ollama::{OllamaConfig, OllamaSim},
};

use crate::{cli::SimKind, lifecycle};

/// Runs a double until a signal.
///
/// # Errors
/// When the script is invalid or the address taken.
pub(super) async fn run(kind: SimKind) -> anyhow::Result<ExitCode> {
    let stop = lifecycle::on_signal()?;
    match kind {
        SimKind::Comfyui { listen, script, auth, run_ms, load_ms } => {
            let mut script = script
                .as_deref()
                .map(|file| Script::load(file).with_context(|| format!("cannot use the script {}", file.display())))
                .transpose()?
                .unwrap_or_default();
            script.server.auth = auth.or(script.server.auth);
            script.server.run_ms = run_ms.unwrap_or(script.server.run_ms);
            script.server.load_ms = load_ms.unwrap_or(script.server.load_ms);
            let sim =
                ComfySim::start_script(listen, script).await.with_context(|| format!("cannot listen on {listen}"))?;
            tracing::info!("simulated ComfyUI listening on {}", sim.url());
            stop.cancelled().await;
            sim.shutdown().await;
        }
        SimKind::Ollama { listen } => {
            let sim = OllamaSim::start(listen, OllamaConfig::default())
                .await
                .with_context(|| format!("cannot listen on {listen}"))?;
            tracing::info!("simulated Ollama listening on {}", sim.url());
            stop.cancelled().await;
            drop(sim);
        }
    }
    Ok(ExitCode::SUCCESS)
}
