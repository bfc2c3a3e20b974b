//! `genimage restore`: a backup becomes the data folder.
//!
//! The archive is read to its end and checked before anything is written where a hub would find it; the database takes
//! its place last, by a rename.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use hub_core::clock::{Clock as _, SystemClock};
use hub_engine::backup::{self, Checked};
use hub_store::{SNAPSHOT_FOLDER, sqlite_file};
use secrecy::ExposeSecret as _;

use crate::{app, cli::RestoreArgs, config::Config, data_dir::DataDir, secret_keys};

/// What SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// Restores, or only checks.
///
/// # Errors
/// When the archive is not whole, the folder is in use or holds data, or something cannot be written; the folder's data are
/// then as before.
pub(super) async fn run(config: &Config, args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let Some(database) = sqlite_file(&config.database_url())? else {
        bail!(
            "the database {} is not a SQLite file: restore it with pg_restore, and the folder of the pictures by copying it",
            config.database_label()
        );
    };
    if !args.file.is_file() {
        bail!("there is no file {}", args.file.display());
    }
    let folder = if args.dry_run { None } else { Some(DataDir::open(&config.server.data_dir)?) };
    if let Some(folder) = &folder
        && !args.replace
    {
        refuse_data(config, folder, &database)?;
    }
    let beside = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // On the database's disk, so that it needs but a rename at the end.
    let scratch = match &folder {
        Some(_) => scratch_in(beside)?,
        None => tempfile::tempdir().context("cannot make a temporary folder")?,
    };
    let unpacked = scratch.path().join("hub.db");
    let checked = backup::check(&args.file, &unpacked, Arc::new(SystemClock))
        .await
        .with_context(|| format!("{} is not restored", args.file.display()))?;
    tell(&checked);
    let Some(folder) = folder else { return Ok(ExitCode::SUCCESS) };
    let objects = app::objects(config, &folder)?;
    backup::put_back(&args.file, &checked, objects)
        .await
        .with_context(|| format!("{} is not restored", args.file.display()))?;
    let kept = put_in_place(&unpacked, &database)?;
    tell_done(config, &folder, &checked, kept.as_deref());
    Ok(ExitCode::SUCCESS)
}

fn scratch_in(folder: &Path) -> anyhow::Result<tempfile::TempDir> {
    let failed = || format!("cannot write to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    tempfile::Builder::new().prefix(SNAPSHOT_FOLDER).tempdir_in(folder).with_context(failed)
}

/// Refuses to write over a hub's data.
fn refuse_data(config: &Config, folder: &DataDir, database: &Path) -> anyhow::Result<()> {
    let pictures = config.objects.url.is_empty()
        && std::fs::read_dir(folder.path().join("objects")).is_ok_and(|mut all| all.next().is_some());
    if database.exists() || pictures {
        bail!(
            "the data folder {} holds data; give --replace to put the backup in their place, or another --data-dir",
            folder.path().display()
        );
    }
    Ok(())
}

/// Moves a database of before out of the way, and the new one in. Answers where the old one is.
fn put_in_place(unpacked: &Path, database: &Path) -> anyhow::Result<Option<PathBuf>> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let kept = with(database, &format!(".before-{}", SystemClock.now().format("%Y%m%d-%H%M%S%.3f")));
    let mut moved = Vec::new();
    let placed = BESIDE
        .iter()
        .map(|suffix| (with(database, suffix), with(&kept, suffix)))
        .filter(|(from, _)| from.exists())
        .try_for_each(|(from, to)| {
            std::fs::rename(&from, &to)?;
            moved.push((from, to));
            Ok(())
        })
        .and_then(|()| std::fs::rename(unpacked, database));
    if let Err(error) = placed {
        for (from, to) in moved.iter().rev() {
            std::fs::rename(to, from).with_context(|| format!("{} lies at {} now", from.display(), to.display()))?;
        }
        return Err(error).with_context(|| format!("cannot put the database at {}", database.display()));
    }
    Ok((!moved.is_empty()).then_some(kept))
}

#[expect(clippy::print_stdout, reason = "what the command tells")]
fn tell(checked: &Checked) {
    let (about, found) = (&checked.about, &checked.database);
    println!(
        "whole: made {} by version {}; {} jobs, {} pictures and other files by name, {} stored files, {:.1} MB",
        about.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
        about.program,
        found.jobs,
        found.artifacts,
        checked.files,
        checked.bytes as f64 / 1e6
    );
}

#[expect(clippy::print_stdout, reason = "what the command tells")]
fn tell_done(config: &Config, folder: &DataDir, checked: &Checked, kept: Option<&Path>) {
    println!("restored to {}", folder.path().display());
    if let Some(kept) = kept {
        println!("the database of before is {}; pictures that only it names are deleted after a while", kept.display());
    }
    let has_key = !config.auth.secret_key.expose_secret().is_empty() || secret_keys::file(folder).exists();
    if checked.database.sealed_secrets > 0 && !has_key {
        println!(
            "{} secrets in it need their key: put secret.key into the folder or set GENIMAGE_SECRET_KEY before the hub starts",
            checked.database.sealed_secrets
        );
    }
}
