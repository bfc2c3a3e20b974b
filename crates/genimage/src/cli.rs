//! The command line, as `--help` shows it.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::config::ConfigArgs;

/// GenImage Hub: gives LLM agents images from a pool of ComfyUI servers.
#[derive(Debug, Parser)]
#[command(name = "genimage", version, about, propagate_version = true)]
pub struct Cli {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the hub: MCP, JSON API and admin pages
    Serve(ServeArgs),
    /// Make one picture and write it to a file
    Generate(GenerateArgs),
    /// Speak MCP over standard input and output
    Mcp(McpArgs),
    /// Run a simulated ComfyUI or Ollama server
    Sim(SimArgs),
    /// Check configuration, database, servers and workflows, and say what to fix
    Doctor,
    /// Export or import the configuration: servers, LLM servers, catalogue, settings
    Config(ConfigCommandArgs),
    /// Write the database and all pictures to one archive, while the hub works or without one
    Backup(BackupArgs),
    /// Check such an archive and make it the data folder; no hub may run on it
    Restore(RestoreArgs),
    /// Take over styles, render types, servers, settings and history of an MCP_GenImage database; no hub may run on the data folder
    ImportLegacy(ImportLegacyArgs),
    /// Replace the key that stored secrets are encrypted with; no hub may run on the data folder
    Secrets(SecretsArgs),
    /// Ask the hub at the configured address whether it is alive; for container health checks
    Health,
}

/// See [`Command::Serve`].
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Add simulated ComfyUI and Ollama servers; pictures are labelled as simulated
    #[arg(long)]
    pub demo: bool,
    /// Address to listen on [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub listen: Option<SocketAddr>,
}

/// See [`Command::Generate`].
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// What the picture should show
    pub prompt: String,
    /// File to write; the extension is the picture's own when there is none; of several pictures, all but the first
    /// get -2, -3 … added to the name [default: the image id]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Use simulated servers
    #[arg(long, conflicts_with = "server")]
    pub demo: bool,
    /// Use this ComfyUI server
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// What to avoid
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// Render type by name
    #[arg(long, value_name = "NAME")]
    pub render_type: Option<String>,
    /// Style by name; may be repeated
    #[arg(long = "style", value_name = "NAME")]
    pub styles: Vec<String>,
    /// Aspect ratio, e.g. 16:9
    #[arg(long, value_name = "W:H")]
    pub aspect_ratio: Option<String>,
    /// Width in pixels, with --height
    #[arg(long, value_name = "PX")]
    pub width: Option<u32>,
    /// Height in pixels, with --width
    #[arg(long, value_name = "PX")]
    pub height: Option<u32>,
    /// Seed [default: random]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = seed)]
    pub seed: Option<u64>,
    /// Pictures to make, 1 to 16; with --seed, their seeds count up from it
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub n: u32,
    /// Take the prompt as it is
    #[arg(long)]
    pub no_enhance: bool,
    /// Longest time to wait, in seconds
    #[arg(long, value_name = "S", default_value_t = 1800)]
    pub timeout_s: u64,
}

/// See [`Command::Config`].
#[derive(Debug, clap::Args)]
pub struct ConfigCommandArgs {
    /// What to do
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Write the configuration as a file
    Export(ExportArgs),
    /// Read such a file, or the older system's comfyui-servers or comfyui-settings
    Import(ImportArgs),
}

/// See [`ConfigAction::Export`].
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Export secrets as well, encrypted with a passphrase
    #[arg(long)]
    pub with_secrets: bool,
    /// Leave out the workflows
    #[arg(long)]
    pub without_workflows: bool,
    /// Write the servers and LLM servers, and nothing else
    #[arg(long)]
    pub only_servers: bool,
    /// Where the passphrase comes from
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Ask the hub at this address [default: the one that uses the data folder, if any]
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
}

/// See [`ConfigAction::Import`].
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// File to read; - is standard input
    pub file: PathBuf,
    /// Leave what the file does not name (the default)
    #[arg(long, conflicts_with = "replace")]
    pub merge: bool,
    /// Remove what the file does not name, within the sections that it has
    #[arg(long)]
    pub replace: bool,
    /// Only tell what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Where the passphrase comes from
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Have the hub at this address do it [default: the one that uses the data folder, if any]
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
}

/// See [`Command::Backup`].
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// File to write; - is standard output [default: genimage-backup-TIME.tar]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Ask the hub at this address [default: the one that uses the data folder, if any]
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
}

/// See [`Command::Restore`].
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The archive
    pub file: PathBuf,
    /// Do it although the data folder holds a hub's data; its database is kept beside the new one
    #[arg(long)]
    pub replace: bool,
    /// Only check the archive and tell what is in it
    #[arg(long)]
    pub dry_run: bool,
}

/// See [`Command::ImportLegacy`].
#[derive(Debug, clap::Args)]
pub struct ImportLegacyArgs {
    /// The SQLite database of MCP_GenImage; it is only read
    pub file: PathBuf,
    /// Folder with the workflow files that its render types name
    #[arg(long, value_name = "DIR")]
    pub workflows: Option<PathBuf>,
    /// Only tell what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// Where a passphrase comes from: a file, the variable `GENIMAGE_PASSPHRASE`, or the terminal. Never an
/// argument, which every user of the machine could read.
#[derive(Debug, clap::Args)]
pub struct PassphraseArgs {
    /// File whose first line is the passphrase [default: the variable GENIMAGE_PASSPHRASE, else asked for]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// See [`Command::Secrets`].
#[derive(Debug, clap::Args)]
pub struct SecretsArgs {
    /// What to do
    #[command(subcommand)]
    pub action: SecretsAction,
}

/// What to do with the key of the secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsAction {
    /// Make a new key and encrypt everything with it
    Rotate,
}

/// See [`Command::Mcp`].
#[derive(Debug, clap::Args)]
pub struct McpArgs {
    /// Address of a running hub [default: the configured listen address]
    #[arg(long, value_name = "URL", conflicts_with = "demo")]
    pub hub: Option<String>,
    /// Run an own hub with simulated servers
    #[arg(long)]
    pub demo: bool,
}

/// See [`Command::Sim`].
#[derive(Debug, clap::Args)]
pub struct SimArgs {
    /// Which server to simulate
    #[command(subcommand)]
    pub kind: SimKind,
}

/// Which server to simulate.
#[derive(Debug, Subcommand)]
pub enum SimKind {
    /// A ComfyUI server
    Comfyui {
        /// Address to listen on
        #[arg(long, value_name = "ADDR", value_parser = address, default_value = "127.0.0.1:8188")]
        listen: SocketAddr,
        /// Faults and settings (TOML)
        #[arg(long, value_name = "FILE")]
        script: Option<PathBuf>,
        /// What guards its door: bearer:TOKEN, basic:USER:PASSWORD, api-key:HEADER:VALUE,
        /// login:TOKEN:PASSWORD (ComfyUI-Login) or guest:TOKEN:PASSWORD (the same in guest mode); the password may be left out
        #[arg(long, value_name = "KIND:SECRET")]
        auth: Option<hub_sim::SimAuth>,
        /// Time that one picture takes, in milliseconds
        #[arg(long, value_name = "N")]
        run_ms: Option<u64>,
        /// Time that loading a model takes, in milliseconds
        #[arg(long, value_name = "N")]
        load_ms: Option<u64>,
    },
    /// An Ollama server
    Ollama {
        /// Address to listen on
        #[arg(long, value_name = "ADDR", value_parser = address, default_value = "127.0.0.1:11434")]
        listen: SocketAddr,
    },
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:8001 or 0.0.0.0:8001".to_owned())
}
