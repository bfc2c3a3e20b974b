//! The commands: one file each. Here: start-up that all share, and the exit code.

mod backup;
mod client;
mod configuration;
mod doctor;
mod generate;
mod health;
mod import_legacy;
mod mcp;
mod restore;
mod secrets;
mod serve;
mod sim;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::{
    cli::{Cli, Command},
    config::Config,
    telemetry,
};

/// Runs the command and answers the exit code: 0, or 1 with the error on standard error.
pub fn run(cli: Cli) -> ExitCode {
    match try_run(cli) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn try_run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(&cli.config)?;
    if let Command::Serve(args) = &cli.command
        && let Some(listen) = args.listen
    {
        config.server.listen = listen;
    }
    // Commands whose output a person reads keep their log to what went wrong.
    if matches!(
        cli.command,
        Command::Generate(_)
            | Command::Config(_)
            | Command::Backup(_)
            | Command::Restore(_)
            | Command::ImportLegacy(_)
            | Command::Secrets(_)
            | Command::Doctor
            | Command::Health
    ) && config.logging.level.starts_with("info,")
    {
        "warn".clone_into(&mut config.logging.level);
    }
    telemetry::init(&config.logging)?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(&config, &args).await,
            Command::Generate(args) => Box::pin(generate::run(config, args)).await,
            Command::Mcp(args) => mcp::run(&config, &args).await,
            Command::Sim(args) => sim::run(args.kind).await,
            Command::Config(args) => Box::pin(configuration::run(&config, args.action)).await,
            Command::Backup(args) => Box::pin(backup::run(&config, args)).await,
            Command::Restore(args) => Box::pin(restore::run(&config, args)).await,
            Command::ImportLegacy(args) => Box::pin(import_legacy::run(&config, &args)).await,
            Command::Secrets(args) => secrets::run(&config, &args.action).await,
            Command::Doctor => doctor::run(&config).await,
            Command::Health => health::run(&config).await,
        }
    })
}

/// Tells the error and its causes on one line each.
#[expect(clippy::print_stderr, reason = "the command line's own channel for errors")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}
