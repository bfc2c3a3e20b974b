//! Reads a backup back, in two passes: everything is compared with the manifest before anything is written where
//! a hub would find it.
//!
//! The archive is not trusted: of its names only those are known that the hub gives, and they are never paths; only
//! plain entries are taken; what it declares itself to be is checked against what it is.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use hub_core::clock::SharedClock;
use hub_store::{SnapshotInfo, StoreError, snapshot_open};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};

use super::{ABOUT, BackupAbout, DATABASE, FORMAT, Listed, MANIFEST, Total, VERSION, key_of};
use crate::submit::hex;

/// Largest `backup.json`, in bytes.
const ABOUT_MAX_BYTES: u64 = 64 * 1024;
/// Longest line of the manifest, in bytes.
const LINE_MAX_BYTES: u64 = 1024;
/// Largest stored file: one is held in memory, as the hub does when it makes it. In bytes.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// What is read at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Why a file is not restored. Nothing was written where a hub would find it, but for [`BackupError::Objects`].
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be read, or not be written to.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is no backup of this hub: {0}")]
    Foreign(String),
    /// Its end is missing.
    #[error("it is cut off: {0}")]
    CutOff(&'static str),
    /// It holds something else than its manifest says.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A newer program wrote it.
    #[error(
        "it has version {0} of the layout, this program reads {VERSION}: use the program that wrote it, or a newer one"
    )]
    Newer(u32),
    /// The database in it cannot be used.
    #[error("the database in it cannot be used")]
    Database(#[source] StoreError),
    /// A file could not be stored. Files that were stored before are harmless: no row names them yet.
    #[error("a stored file cannot be written")]
    Objects(#[from] object_store::Error),
}

/// What was found in a backup that is whole.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What it says of itself.
    pub about: BackupAbout,
    /// What its database holds.
    pub database: SnapshotInfo,
    /// Stored files in it, recipes included.
    pub files: u64,
    /// All its bytes.
    pub bytes: u64,
    listed: Arc<[Listed]>,
}

/// Reads the archive to its end, compares it with its manifest, and unpacks its database to `database`, where it is
/// brought up to date.
///
/// # Errors
/// See [`BackupError`]; `database` may have been written.
pub async fn check(archive: &Path, database: &Path, clock: SharedClock) -> Result<Checked, BackupError> {
    let (from, to) = (archive.to_owned(), database.to_owned());
    let read = tokio::task::spawn_blocking(move || read_all(&from, &to)).await.map_err(io::Error::other)?;
    let (about, listed) = read?;
    let found = snapshot_open(database, clock).await.map_err(BackupError::Database)?;
    Ok(Checked {
        about,
        database: found,
        files: listed.len().saturating_sub(2) as u64,
        bytes: listed.iter().map(|listed| listed.size).sum(),
        listed: listed.into(),
    })
}

/// Stores the archive's files. What is there already is written again.
///
/// # Errors
/// [`BackupError::Objects`]; [`BackupError::Damaged`] where the archive was changed since it was checked.
pub async fn put_back(archive: &Path, checked: &Checked, objects: Arc<dyn ObjectStore>) -> Result<(), BackupError> {
    let (archive, listed) = (archive.to_owned(), Arc::clone(&checked.listed));
    let (sender, mut files) = tokio::sync::mpsc::channel::<(String, Bytes)>(1);
    let reading = tokio::task::spawn_blocking(move || -> Result<(), BackupError> {
        let mut tar = open(&archive)?;
        for (entry, expected) in tar.entries()?.raw(true).zip(listed.iter()) {
            let mut entry = entry?;
            let name = name(&entry)?;
            let Some(key) = key_of(&name) else { continue };
            let mut bytes = Vec::with_capacity(usize::try_from(expected.size).unwrap_or(0));
            (&mut entry).take(expected.size + 1).read_to_end(&mut bytes)?;
            let found = Listed { path: name, size: bytes.len() as u64, sha256: hex(&Sha256::digest(&bytes)) };
            if found != *expected {
                return Err(BackupError::Damaged(format!("{} changed meanwhile", expected.path)));
            }
            if sender.blocking_send((key, Bytes::from(bytes))).is_err() {
                return Ok(());
            }
        }
        Ok(())
    });
    while let Some((key, bytes)) = files.recv().await {
        objects.put(&object_store::path::Path::from(key), PutPayload::from_bytes(bytes)).await?;
    }
    reading.await.map_err(io::Error::other)?
}

type Tar = tar::Archive<BufReader<File>>;

fn open(archive: &Path) -> io::Result<Tar> {
    Ok(tar::Archive::new(BufReader::with_capacity(PIECE_BYTES, File::open(archive)?)))
}

/// The name of a plain entry.
fn name<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String, BackupError> {
    let name = String::from_utf8(entry.path_bytes().into_owned())
        .map_err(|_| BackupError::Foreign("it holds names that are no text".to_owned()))?;
    if entry.header().entry_type() != tar::EntryType::Regular {
        return Err(BackupError::Foreign(format!("`{}` is no plain file", shown(&name))));
    }
    Ok(name)
}

/// A name for a message, whatever is in it.
fn shown(name: &str) -> String {
    name.chars().take(120).flat_map(char::escape_debug).collect()
}

fn read_all(archive: &Path, database: &Path) -> Result<(BackupAbout, Vec<Listed>), BackupError> {
    let mut tar = open(archive)?;
    let mut about = None;
    let mut found: Vec<Listed> = Vec::new();
    let mut names = HashSet::new();
    for entry in tar.entries()?.raw(true) {
        let mut entry = entry.map_err(|error| unreadable(error, found.is_empty()))?;
        let name = name(&entry)?;
        let size = entry.size();
        let listed = match (found.len(), name.as_str()) {
            (0, ABOUT) => {
                let mut text = Vec::new();
                (&mut entry).take(ABOUT_MAX_BYTES).read_to_end(&mut text)?;
                about = Some(parse(&text)?);
                Listed { path: name, size: text.len() as u64, sha256: hex(&Sha256::digest(&text)) }
            }
            (0, _) => return Err(BackupError::Foreign(format!("it begins with `{}`", shown(&name)))),
            (1, DATABASE) => {
                let mut file = private(database)?;
                let sha256 = copy(&mut entry, |piece| file.write_all(piece))?;
                file.sync_all()?;
                Listed { path: name, size, sha256 }
            }
            (2.., MANIFEST) => {
                compare(BufReader::new(entry), &found)?;
                let about = about.ok_or(BackupError::CutOff("it says nothing of itself"))?;
                return Ok((about, found));
            }
            (2.., other) if key_of(other).is_some() && size <= FILE_MAX_BYTES => {
                let sha256 = copy(&mut entry, |_| Ok(()))?;
                Listed { path: name, size, sha256 }
            }
            (_, other) => return Err(BackupError::Foreign(format!("`{}` has no place in one", shown(other)))),
        };
        if !names.insert(listed.path.clone()) {
            return Err(BackupError::Damaged(format!("it holds `{}` twice", listed.path)));
        }
        found.push(listed);
    }
    match found.len() {
        0 => Err(BackupError::Foreign("it is empty".to_owned())),
        _ => Err(BackupError::CutOff("its manifest is missing")),
    }
}

/// What a failure to read an entry means.
fn unreadable(error: io::Error, first: bool) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if !first => BackupError::CutOff("it ends in the middle of an entry"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Other | io::ErrorKind::InvalidData if first => {
            BackupError::Foreign("it is no tar file".to_owned())
        }
        io::ErrorKind::Other | io::ErrorKind::InvalidData => BackupError::Damaged(error.to_string()),
        _ => BackupError::Io(error),
    }
}

fn parse(text: &[u8]) -> Result<BackupAbout, BackupError> {
    // The version comes first: a later layout may say other things.
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
        version: u32,
    }
    let unreadable = |error: serde_json::Error| BackupError::Foreign(format!("{ABOUT}: {error}"));
    let head: Head = serde_json::from_slice(text).map_err(unreadable)?;
    if head.format != FORMAT {
        return Err(BackupError::Foreign(format!("its format is `{}`", shown(&head.format))));
    }
    if head.version != VERSION {
        return Err(BackupError::Newer(head.version));
    }
    serde_json::from_slice(text).map_err(unreadable)
}

/// Reads an entry to its end and answers its hash.
fn copy<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<String, BackupError> {
    let size = entry.size();
    let (mut hash, mut read, mut piece) = (Sha256::new(), 0_u64, vec![0; PIECE_BYTES]);
    loop {
        let length = entry.read(&mut piece)?;
        if length == 0 {
            break;
        }
        hash.update(&piece[..length]);
        to(&piece[..length])?;
        read += length as u64;
    }
    if read == size { Ok(hex(&hash.finalize())) } else { Err(BackupError::CutOff("it ends in the middle of a file")) }
}

/// Holds what was found against what should be there, line by line.
fn compare(mut manifest: impl io::BufRead, found: &[Listed]) -> Result<(), BackupError> {
    let mut line = String::new();
    let mut next = |line: &mut String| -> Result<(), BackupError> {
        line.clear();
        (&mut manifest).take(LINE_MAX_BYTES).read_line(line)?;
        if line.ends_with('\n') { Ok(()) } else { Err(BackupError::CutOff("its manifest has no end")) }
    };
    let wrong = |error: serde_json::Error| BackupError::Damaged(format!("its manifest: {error}"));
    for entry in found {
        next(&mut line)?;
        let listed: Listed = serde_json::from_str(&line).map_err(wrong)?;
        if listed != *entry {
            return Err(BackupError::Damaged(format!("`{}` is not as the manifest says", entry.path)));
        }
    }
    next(&mut line)?;
    let total: Total = serde_json::from_str(&line)
        .map_err(|_| BackupError::Damaged("its manifest names files that are not in it".to_owned()))?;
    let expected = Total { files: found.len() as u64, bytes: found.iter().map(|listed| listed.size).sum() };
    if total == expected { Ok(()) } else { Err(BackupError::Damaged("its manifest names other files".to_owned())) }
}

/// A new file that its owner alone may read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
