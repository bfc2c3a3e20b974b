//! The data folder: made when it is missing, proved writable before anything else, and held by one
//! hub at a time (two dispatchers on one database would run jobs twice).

use std::{
    fs::{File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use hub_store::SNAPSHOT_FOLDER;

/// The folder, held until dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes and locks the folder.
    ///
    /// # Errors
    /// When it cannot be made or written, or another hub holds it; says what to do.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let advice = || {
            format!(
                "cannot write to the data folder {}; make it writable or choose another with --data-dir",
                path.display()
            )
        };
        std::fs::create_dir_all(path).with_context(advice)?;
        let lock = File::create(path.join("hub.lock")).with_context(advice)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another hub uses the data folder {}; stop it, or choose another folder with --data-dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(advice),
        }
        (&lock).write_all(format!("{}\n", std::process::id()).as_bytes()).with_context(advice)?;
        remove_left_copies(path);
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Folder of the pictures, made when missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn objects(&self) -> anyhow::Result<PathBuf> {
        let objects = self.path.join("objects");
        std::fs::create_dir_all(&objects).with_context(|| format!("cannot make the folder {}", objects.display()))?;
        Ok(objects)
    }
}

/// Removes copies of the database that a process left which was killed while it made a backup: large files.
fn remove_left_copies(path: &Path) {
    let left = std::fs::read_dir(path).into_iter().flatten().flatten();
    for entry in left.filter(|entry| entry.file_name().to_string_lossy().starts_with(SNAPSHOT_FOLDER)) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "a left copy of the database cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_hub_on_the_same_folder_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let first = DataDir::open(dir.path()).expect("the first opens");
        let error = DataDir::open(dir.path()).expect_err("the second is refused");
        assert!(error.to_string().contains("another hub"), "{error}");
        drop(first);
        DataDir::open(dir.path()).expect("free again");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file");
        std::fs::write(&file, "x").expect("written");
        let error = DataDir::open(&file.join("data")).expect_err("a file is no folder");
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
