//! `genimage`: see `genimage --help`.

use std::process::ExitCode;

use clap::Parser as _;
use genimage::cli::Cli;

fn main() -> ExitCode {
    genimage::commands::run(Cli::parse())
}
