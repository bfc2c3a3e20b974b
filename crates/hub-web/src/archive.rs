//! Several pictures as one zip file, written while it is sent.
//!
//! Two copies of one picture are in memory at most: as it was read, and as it is sent. Nothing is compressed: pictures
//! are already, and each keeps its recipe in its own metadata.

use std::{
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use async_stream::stream;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use hub_core::{
    artifact::Artifact,
    caller::Caller,
    error::UserError,
    ids::{ArtifactId, JobId},
};
use zip::{CompressionMethod, ZipWriter, result::ZipError, write::SimpleFileOptions};

use crate::{attachment, error::WebError, router::App};

/// An archive's type: nothing compresses it on the way.
pub(crate) const ZIP: &str = "application/zip";
/// Most pictures in one archive.
pub(crate) const PICTURES_MAX: usize = 500;
/// Most bytes of pictures in one archive: 2 GB.
const BYTES_MAX: u64 = 2_000_000_000;

/// The rows of the pictures that are to go into an archive, each once, if there are not too many and the caller sees
/// all of them.
///
/// # Errors
/// `bad_argument` for `images` with what is allowed; `unknown_image`; `storage`.
pub(crate) async fn pictures(app: &App, caller: &Caller, ids: &[ArtifactId]) -> Result<Vec<Named>, WebError> {
    if ids.is_empty() || ids.len() > PICTURES_MAX {
        let message = format!("{} pictures were named; an archive holds 1 to {PICTURES_MAX}.", ids.len());
        return Err(UserError::argument("images", message).into());
    }
    let mut found: Vec<Artifact> = Vec::with_capacity(ids.len());
    for id in ids {
        if !found.iter().any(|picture| picture.id == *id) {
            found.push(app.engine.artifact_for(caller, *id).await?);
        }
    }
    check_size(found.iter().map(|picture| picture.size_bytes).sum())?;
    let mut jobs: Vec<JobId> = found.iter().filter_map(|picture| picture.job).collect();
    jobs.dedup();
    let of_jobs = app.engine.store().artifacts_of_many(&jobs).await?;
    let named = |picture: Artifact| {
        let of_job = picture.job.and_then(|job| of_jobs.get(&job));
        let place = of_job.and_then(|all| all.iter().position(|other| other.id == picture.id));
        // `job_018f…-1.png`: which job, which of its pictures. One that was given has its own id.
        let name = match (picture.job, place) {
            (Some(job), Some(place)) => format!("{job}-{}.{}", place + 1, picture.extension),
            _ => picture.file_name(),
        };
        Named { name, picture }
    };
    Ok(found.into_iter().map(named).collect())
}

/// A picture with its name in an archive.
pub(crate) struct Named {
    name: String,
    picture: Artifact,
}

fn check_size(bytes: u64) -> Result<(), UserError> {
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let message =
        format!("The pictures have {} MB together; an archive holds {} MB.", megabytes(bytes), megabytes(BYTES_MAX));
    Err(UserError::argument("images", message).with_hint("Name fewer of them."))
}

/// The archive, as it is sent. A picture whose file is gone is named in `missing.txt` instead.
pub(crate) fn answer(app: &App, pictures: Vec<Named>) -> Response {
    let engine = app.engine.clone();
    let stamp = engine.store().clock().now().format("%Y%m%d-%H%M%S");
    let name = format!("pictures-{stamp}.zip");
    let body = stream! {
        let mut archive = Archive::new();
        let mut missing = String::new();
        for Named { name, picture } in pictures {
            match engine.artifact_bytes(&picture).await {
                Ok(bytes) => yield archive.add(&name, &bytes),
                Err(error) => {
                    tracing::warn!(image = %picture.id, %error, "a picture is missing in an archive");
                    missing.extend([picture.id.to_string().as_str(), ": ", error.message.as_str(), "\n"]);
                }
            }
        }
        if !missing.is_empty() {
            yield archive.add("missing.txt", missing.as_bytes());
        }
        yield archive.end();
    };
    attachment::answer(&name, ZIP, Body::from_stream(body))
}

/// A zip file in pieces.
struct Archive {
    writer: ZipWriter<zip::write::StreamWriter<Pieces>>,
    pieces: Pieces,
}

impl Archive {
    fn new() -> Self {
        let pieces = Pieces::default();
        Self { writer: ZipWriter::new_stream(pieces.clone()), pieces }
    }

    /// What is to be sent for one more file.
    fn add(&mut self, name: &str, content: &[u8]) -> Result<Bytes, ZipError> {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.writer.start_file(name, stored)?;
        self.writer.write_all(content)?;
        self.writer.flush()?;
        Ok(self.pieces.take())
    }

    /// What is to be sent at the end: the last file's end, and the list of all.
    fn end(self) -> Result<Bytes, ZipError> {
        self.writer.finish()?;
        Ok(self.pieces.take())
    }
}

/// What was written and not yet sent.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<u8>>>);

impl Pieces {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl std::io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Ids as they were sent.
///
/// # Errors
/// 404 for what is no id.
pub(crate) fn parse_ids(texts: &[String]) -> Result<Vec<ArtifactId>, WebError> {
    texts.iter().map(|text| text.parse().map_err(|_| WebError::missing("picture", text))).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;

    #[test]
    fn the_pieces_are_an_archive_that_reads() {
        let mut archive = Archive::new();
        let mut sent = Vec::new();
        let large = vec![7_u8; 300_000];
        for (name, content) in [("a-1.png", &large), ("a-2.png", &b"two".to_vec())] {
            let piece = archive.add(name, content).expect("it is added");
            assert!(piece.len() >= content.len(), "nothing is held back");
            sent.extend_from_slice(&piece);
        }
        sent.extend_from_slice(&archive.end().expect("it ends"));
        let mut read = zip::ZipArchive::new(Cursor::new(sent)).expect("it is an archive");
        let names: Vec<String> = read.file_names().map(|name| name.expect("UTF-8").into_owned()).collect();
        assert_eq!(names, ["a-1.png", "a-2.png"]);
        let mut content = Vec::new();
        read.by_name("a-1.png").expect("there").read_to_end(&mut content).expect("whole");
        assert_eq!(content, large);
    }

    #[test]
    fn too_many_bytes_are_refused_with_what_is_allowed() {
        assert!(check_size(BYTES_MAX).is_ok());
        let error = check_size(BYTES_MAX + 5_000_000).expect_err("too many");
        assert_eq!(error.message, "The pictures have 2005 MB together; an archive holds 2000 MB.");
    }
}
