//! `genimage config export|import`.
//!
//! Where a hub uses the data folder, that hub is asked to do it, so that it follows at once; where none
//! does, the database is worked on directly, with the folder held, so that none can start meanwhile.

mod remote;

use std::{
    io::{IsTerminal as _, Read as _, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use hub_core::clock::SystemClock;
use hub_engine::{ExportOptions, ExportParts, ImportMode, ImportOptions, configuration};
use hub_store::Store;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

pub(super) use self::remote::Hub;
use crate::{
    cli::{ConfigAction, ExportArgs, ImportArgs, PassphraseArgs},
    config::Config,
    data_dir::DataDir,
    demo::told,
    secret_keys,
};

/// Largest file that is read, in bytes; the hub refuses such a one as well.
const FILE_MAX_BYTES: u64 = 48 * 1024 * 1024;
/// Variable with the passphrase.
const PASSPHRASE_VARIABLE: &str = "GENIMAGE_PASSPHRASE";

/// What is worked on.
pub(super) enum Place {
    /// A hub that runs.
    Hub(Hub),
    /// The database itself; the folder is held meanwhile.
    Store(Store, DataDir),
}

/// Exports or imports.
///
/// # Errors
/// When the file, the passphrase or the database does not do, or the hub refuses.
pub(super) async fn run(config: &Config, action: ConfigAction) -> anyhow::Result<ExitCode> {
    match action {
        ConfigAction::Export(args) => export(config, args).await,
        ConfigAction::Import(args) => import(config, args).await,
    }
}

impl Place {
    /// The hub that is named, else the one that uses the data folder, else the folder.
    ///
    /// # Errors
    /// When the hub does not answer or the database does not open.
    pub(super) async fn find(config: &Config, hub: Option<&str>) -> anyhow::Result<Self> {
        if let Some(url) = hub {
            return Ok(Self::Hub(Hub::at(config, url)?));
        }
        match DataDir::open(&config.server.data_dir) {
            Ok(folder) => {
                let store = Store::open(&config.database_url(), Arc::new(SystemClock))
                    .await
                    .with_context(|| format!("cannot open the database {}", config.database_label()))?
                    .with_secret_keys(secret_keys::open(config, &folder)?);
                Ok(Self::Store(store, folder))
            }
            Err(error) if error.to_string().contains("another hub") => {
                let hub = Hub::at(config, config.local_url()?.as_str())?;
                if !hub.answers().await {
                    bail!(
                        "a hub uses the data folder {}, but none answers at {}; give its address with --hub",
                        config.server.data_dir.display(),
                        hub.address()
                    );
                }
                Ok(Self::Hub(hub))
            }
            Err(error) => Err(error),
        }
    }
}

async fn export(config: &Config, args: ExportArgs) -> anyhow::Result<ExitCode> {
    let passphrase = if args.with_secrets { Some(passphrase(&args.passphrase, true)?) } else { None };
    let options = ExportOptions { parts: parts(&args), passphrase };
    let text = match Place::find(config, args.hub.as_deref()).await? {
        Place::Hub(hub) => hub.export(&options).await?,
        Place::Store(store, _folder) => configuration::export(&store, options).await.map_err(told)?,
    };
    match args.output {
        Some(path) => write_private(&path, &text)?,
        None => std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked for. The servers alone come without workflows anyway, so that both flags agree.
fn parts(args: &ExportArgs) -> ExportParts {
    match (args.only_servers, args.without_workflows) {
        (true, _) => ExportParts::ServersOnly,
        (false, true) => ExportParts::WithoutWorkflows,
        (false, false) => ExportParts::Everything,
    }
}

async fn import(config: &Config, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let bytes = read(&args.file)?;
    let passphrase = if is_sealed(&bytes) { Some(passphrase(&args.passphrase, false)?) } else { None };
    let mode = if args.replace { ImportMode::Replace } else { ImportMode::Merge };
    let options = ImportOptions { mode, dry_run: args.dry_run, passphrase };
    let report = match Place::find(config, args.hub.as_deref()).await? {
        Place::Hub(hub) => hub.import(bytes, &options).await?,
        Place::Store(store, _folder) => {
            let report = configuration::import(&store, &bytes, &options).await.map_err(told_by_path)?;
            serde_json::from_value(serde_json::to_value(report)?)?
        }
    };
    tell(&report);
    Ok(ExitCode::SUCCESS)
}

/// What an import did, as the hub tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    dry_run: bool,
    changes: Vec<Change>,
    unchanged: u32,
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Change {
    section: String,
    action: String,
    name: String,
    #[serde(default)]
    fields: Vec<String>,
}

/// Prints it.
#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(super) fn tell(report: &Report) {
    for change in &report.changes {
        let sign = match change.action.as_str() {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        let fields = if change.fields.is_empty() { String::new() } else { format!(": {}", change.fields.join(", ")) };
        println!("{sign} {} {}{fields}", change.section, change.name);
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    let done = if report.dry_run { "would change; nothing was written" } else { "changed" };
    println!("{} {done}, {} are as they were", report.changes.len(), report.unchanged);
}

/// The refusal with the place in the file.
fn told_by_path(error: hub_core::error::UserError) -> anyhow::Error {
    match &error.argument {
        Some(path) if !error.message.contains(path.as_str()) => anyhow::anyhow!("{path}: {}", error.explain()),
        _ => told(error),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let failed = || format!("cannot read {}", path.display());
    if path == Path::new("-") {
        std::io::stdin().take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let file = std::fs::File::open(path).with_context(failed)?;
        file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes).with_context(failed)?;
    }
    if bytes.len() as u64 > FILE_MAX_BYTES {
        bail!("{} is larger than {FILE_MAX_BYTES} bytes: it is no configuration", path.display());
    }
    Ok(bytes)
}

/// Whether the file holds encrypted secrets. What does not read is told later, with more care.
fn is_sealed(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        secrets: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Probe>(bytes).is_ok_and(|probe| probe.secrets.is_some())
}

/// Writes a file that only its owner may read: it tells addresses, and may hold encrypted secrets.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("cannot write {}", path.display());
    // A temporary file is private from its beginning, and no half of it is ever seen.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

fn passphrase(args: &PassphraseArgs, is_new: bool) -> anyhow::Result<SecretString> {
    if let Some(path) = &args.passphrase_file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the passphrase from {}", path.display()))?;
        let line = text.lines().next().unwrap_or_default();
        return Ok(SecretString::from(line));
    }
    if let Ok(text) = std::env::var(PASSPHRASE_VARIABLE)
        && !text.is_empty()
    {
        return Ok(SecretString::from(text));
    }
    if !std::io::stdin().is_terminal() {
        bail!("a passphrase is needed: set {PASSPHRASE_VARIABLE}, or give --passphrase-file FILE");
    }
    let first = SecretString::from(rpassword::prompt_password("Passphrase: ").context("cannot ask for a passphrase")?);
    if is_new {
        let again = SecretString::from(rpassword::prompt_password("Again: ").context("cannot ask for a passphrase")?);
        if first.expose_secret() != again.expose_secret() {
            bail!("the passphrases differ");
        }
    }
    Ok(first)
}
