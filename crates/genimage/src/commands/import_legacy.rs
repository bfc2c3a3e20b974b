//! `genimage import-legacy`: what an MCP_GenImage database holds.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use hub_core::clock::SystemClock;
use hub_engine::configuration::legacy;
use hub_store::Store;

use super::configuration::{Report, tell};
use crate::{cli::ImportLegacyArgs, config::Config, data_dir::DataDir, demo::told, secret_keys};

/// Imports, or tells what would be.
///
/// # Errors
/// When a hub uses the data folder, or the file is damaged or something else; nothing is written then.
#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(super) async fn run(config: &Config, args: &ImportLegacyArgs) -> anyhow::Result<ExitCode> {
    if !args.file.is_file() {
        bail!("there is no file {}", args.file.display());
    }
    if let Some(folder) = args.workflows.as_ref().filter(|folder| !folder.is_dir()) {
        bail!("there is no folder {}", folder.display());
    }
    let folder = DataDir::open(&config.server.data_dir)?;
    let store = Store::open(&config.database_url(), Arc::new(SystemClock))
        .await
        .with_context(|| format!("cannot open the database {}", config.database_label()))?
        .with_secret_keys(secret_keys::open(config, &folder)?);
    let imported = legacy::import(&store, &args.file, args.workflows.as_deref(), args.dry_run).await;
    store.close().await.context("the database was not closed")?;
    let imported = imported.map_err(told).with_context(|| format!("{} is not imported", args.file.display()))?;
    let report: Report = serde_json::from_value(serde_json::to_value(&imported.configuration)?)?;
    tell(&report);
    println!("history: {} jobs are new, {} were here already", imported.history_added, imported.history_known);
    Ok(ExitCode::SUCCESS)
}
