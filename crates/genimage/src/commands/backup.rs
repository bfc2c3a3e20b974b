//! `genimage backup`: the database and all pictures as one archive.
//!
//! A hub that uses the data folder makes it, while it works; where none does, the folder is held and read directly.

use std::{
    io::Write,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use hub_core::clock::{Clock as _, SystemClock};

use super::configuration::Place;
use crate::{app, cli::BackupArgs, config::Config, demo::told};

type Pieces = Pin<Box<dyn Stream<Item = anyhow::Result<Bytes>> + Send>>;

/// Makes a backup.
///
/// # Errors
/// When the hub refuses, the database is none that can be copied, or the file cannot be written; there is no file then.
pub(super) async fn run(config: &Config, args: BackupArgs) -> anyhow::Result<ExitCode> {
    if args.output.as_deref() == Some(Path::new("-")) {
        let (pieces, _held) = begin(config, args.hub.as_deref()).await?;
        copy(pieces, &mut std::io::stdout()).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = args
        .output
        .unwrap_or_else(|| PathBuf::from(format!("genimage-backup-{}.tar", SystemClock.now().format("%Y%m%d-%H%M%S"))));
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("cannot write {}", target.display());
    // A temporary file is its owner's alone, and what is cut off never has the name of a backup.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    let (pieces, _held) = begin(config, args.hub.as_deref()).await?;
    let bytes = copy(pieces, &mut file).await?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(&target).with_context(failed)?;
    tell(&target, bytes);
    Ok(ExitCode::SUCCESS)
}

/// The archive's bytes, and what must be held until they have been read.
async fn begin(config: &Config, hub: Option<&str>) -> anyhow::Result<(Pieces, Option<Place>)> {
    match Place::find(config, hub).await? {
        Place::Hub(hub) => {
            let pieces = hub.backup().await?.bytes_stream();
            Ok((Box::pin(pieces.map_err(|error| anyhow::Error::new(error).context("the hub broke off"))), None))
        }
        Place::Store(store, folder) => {
            let objects = app::objects(config, &folder)?;
            let backup = hub_engine::backup::stream(&store, objects, env!("CARGO_PKG_VERSION"), ());
            let pieces = backup.await.map_err(told)?.map_err(anyhow::Error::new);
            Ok((Box::pin(pieces), Some(Place::Store(store, folder))))
        }
    }
}

async fn copy(mut pieces: Pieces, to: &mut impl Write) -> anyhow::Result<u64> {
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        to.write_all(&piece).context("cannot write the backup")?;
    }
    to.flush().context("cannot write the backup")?;
    Ok(bytes)
}

#[expect(clippy::print_stdout, reason = "what the command tells")]
fn tell(target: &Path, bytes: u64) {
    println!("{} ({:.1} MB)", target.display(), bytes as f64 / 1e6);
    println!("The key of stored secrets (secret.key or GENIMAGE_SECRET_KEY) is not in it: keep it elsewhere.");
}
