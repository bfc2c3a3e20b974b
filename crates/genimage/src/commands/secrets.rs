//! `genimage secrets rotate`: another key for the secrets at rest.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use hub_core::clock::SystemClock;
use hub_store::Store;

use crate::{cli::SecretsAction, config::Config, data_dir::DataDir, secret_keys};

/// Does it. No hub may run on the data folder meanwhile.
///
/// # Errors
/// When a hub runs, the key comes from the environment, or the database or the key's file do not do. What was done
/// until then is found again: the file holds both keys until every secret is under the new one.
#[expect(clippy::print_stdout, reason = "what the command tells")]
pub(super) async fn run(config: &Config, action: &SecretsAction) -> anyhow::Result<ExitCode> {
    match action {
        SecretsAction::Rotate => {
            let folder = DataDir::open(&config.server.data_dir)?;
            let (new, keys) = secret_keys::add_new(config, &folder)?;
            let store = Store::open(&config.database_url(), Arc::new(SystemClock))
                .await
                .with_context(|| format!("cannot open the database {}", config.database_label()))?
                .with_secret_keys(keys);
            let changed = store.secrets_reseal().await.context("the secrets cannot be encrypted anew")?;
            store.close().await.context("the database was not closed")?;
            secret_keys::forget_old(&folder, &new)?;
            println!("{changed} secrets are encrypted with a new key; backups of before need the old one");
            Ok(ExitCode::SUCCESS)
        }
    }
}
