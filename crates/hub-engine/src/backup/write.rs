//! Writes a backup as it is read away: nothing of it is kept in memory but the piece that is on its way.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use hub_core::error::UserError;
use hub_store::{Snapshot, Store};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use sha2::{Digest as _, Sha256};
use tokio::{runtime::Handle, sync::mpsc};

use super::{ABOUT, BackupAbout, DATABASE, FORMAT, Listed, MANIFEST, Total, VERSION, name_of};
use crate::{
    artifacts::{FOLDERS, is_key},
    refusal::storage,
    submit::hex,
};

/// Size of a piece, in bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that wait to be read away.
const PIECES: usize = 4;
/// Nobody but its owner may read what is unpacked.
const MODE: u32 = 0o600;

/// The archive's bytes. Dropping it ends the work. An error means that what came so far is no backup.
pub struct BackupStream {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
}

impl Stream for BackupStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_recv(cx)
    }
}

/// Begins a backup: the database is copied when this returns. `program` is the version to be named in it. `held` is
/// dropped when the work has ended.
///
/// # Errors
/// `not_configured` where the database is not a SQLite file, saying what to do instead; `storage`.
pub async fn stream<H: Send + 'static>(
    store: &Store,
    objects: Arc<dyn ObjectStore>,
    program: &str,
    held: H,
) -> Result<BackupStream, UserError> {
    let created_at = store.clock().now();
    let snapshot = store.snapshot().await.map_err(storage)?;
    let about = BackupAbout {
        format: FORMAT.to_owned(),
        version: VERSION,
        program: program.to_owned(),
        schema: snapshot.schema().to_owned(),
        created_at,
    };
    let (sender, pieces) = mpsc::channel(PIECES);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _held = held;
        let sink = io::BufWriter::with_capacity(PIECE_BYTES, Sink(sender.clone()));
        if let Err(error) = write(&about, &snapshot, objects.as_ref(), &runtime, sink) {
            if sender.is_closed() {
                tracing::info!("a backup was not read to its end");
                return;
            }
            tracing::error!(%error, "a backup failed");
            // Who reads it has left meanwhile, or is told.
            let _left = sender.blocking_send(Err(error));
        }
    });
    Ok(BackupStream { pieces })
}

/// Hands pieces to whoever reads the stream.
struct Sink(mpsc::Sender<io::Result<Bytes>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(
    about: &BackupAbout,
    snapshot: &Snapshot,
    objects: &dyn ObjectStore,
    runtime: &Handle,
    sink: impl Write,
) -> io::Result<()> {
    let seconds = u64::try_from(about.created_at.timestamp()).unwrap_or(0);
    let mut archive =
        Archive { tar: tar::Builder::new(sink), seconds, lines: tempfile::tempfile()?, files: 0, bytes: 0 };
    let text = serde_json::to_vec_pretty(about)?;
    archive.add(ABOUT, text.len() as u64, text.as_slice())?;
    let database = std::fs::File::open(snapshot.path())?;
    archive.add(DATABASE, database.metadata()?.len(), database)?;
    for folder in 0..FOLDERS {
        let prefix = Path::from(format!("{folder:02x}"));
        let mut keys: Vec<Path> = runtime
            .block_on(objects.list(Some(&prefix)).map_ok(|found| found.location).try_collect())
            .map_err(io::Error::other)?;
        keys.retain(|key| is_key(key.as_ref()));
        keys.sort();
        for key in keys {
            let found = match runtime.block_on(objects.get(&key)) {
                Ok(found) => found,
                // Deleted since it was listed, and with it the row that names it.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(io::Error::other(error)),
            };
            let size = found.meta.size;
            let content = Content { pieces: found.into_stream(), runtime, at: Bytes::new() };
            archive.add(&name_of(key.as_ref()), size, content)?;
        }
    }
    archive.finish()
}

/// The archive and what was written to it so far.
struct Archive<W: Write> {
    tar: tar::Builder<W>,
    /// When everything in it is said to be from, since 1970.
    seconds: u64,
    /// The manifest: it may have millions of lines.
    lines: std::fs::File,
    files: u64,
    bytes: u64,
}

impl<W: Write> Archive<W> {
    fn add(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        let mut content = Hashing { content: content.take(size), hash: Sha256::new(), read: 0 };
        self.append(name, size, &mut content)?;
        if content.read != size {
            return Err(io::Error::other(format!("{name} is shorter than its store says")));
        }
        let sha256 = hex(&content.hash.finalize());
        self.files += 1;
        self.bytes += size;
        let line = serde_json::to_string(&Listed { path: name.to_owned(), size, sha256 })?;
        writeln!(self.lines, "{line}")
    }

    fn append(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(MODE);
        header.set_mtime(self.seconds);
        header.set_entry_type(tar::EntryType::Regular);
        self.tar.append_data(&mut header, name, content)
    }

    fn finish(mut self) -> io::Result<()> {
        let total = serde_json::to_string(&Total { files: self.files, bytes: self.bytes })?;
        writeln!(self.lines, "{total}")?;
        io::Seek::rewind(&mut self.lines)?;
        let lines = self.lines.try_clone()?;
        self.append(MANIFEST, lines.metadata()?.len(), lines)?;
        self.tar.into_inner()?.flush()
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    content: R,
    hash: Sha256,
    read: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(into)?;
        self.hash.update(&into[..read]);
        self.read += read as u64;
        Ok(read)
    }
}

/// A stored file, read on a thread that may wait.
struct Content<'a> {
    pieces: BoxStream<'static, object_store::Result<Bytes>>,
    runtime: &'a Handle,
    at: Bytes,
}

impl Read for Content<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at.is_empty() {
            match self.runtime.block_on(self.pieces.next()) {
                None => return Ok(0),
                Some(piece) => self.at = piece.map_err(io::Error::other)?,
            }
        }
        let length = self.at.len().min(into.len());
        self.at.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
