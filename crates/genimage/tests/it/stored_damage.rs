//! A data folder that this binary cannot work with: told in one sentence, and nothing in it is changed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    hub::{Hub, genimage},
    refusals::{refused, serve},
};

/// A folder that a hub has used, closed properly.
fn used() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    Hub::start(folder.path(), &[]).terminate();
    let database = folder.path().join("hub.db");
    (folder, database)
}

/// Replaces a text in a file by another one of the same length.
fn patch(file: &Path, old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = fs::read(file).unwrap();
    let places: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, there)| *there == old.as_bytes()).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "`{old}` is not in the file");
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
    }
    fs::write(file, &bytes).unwrap();
    bytes
}

#[test]
fn a_database_newer_than_the_binary_is_refused_and_left_alone() {
    let (folder, database) = used();
    let bytes = patch(&database, "m20261121_000001_initial", "m29991231_000001_initial");
    let output = serve(folder.path(), &[], &[]);
    refused(&output, "newer than this program");
    refused(&output, "m29991231_000001_initial");
    refused(&output, "run the newer version, or restore the backup");
    assert_eq!(fs::read(&database).unwrap(), bytes);

    let doctor = genimage().args(["doctor", "--data-dir"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(said.contains("newer than this program"), "{said}");
}

#[test]
fn a_stored_workflow_that_is_corrupt_is_named_by_its_row() {
    let (folder, database) = used();
    let bytes = patch(&database, "\"class_type\":\"StringLength\"", "\"class_type\":\"StringLength#");
    let output = serve(folder.path(), &[], &[]);
    refused(&output, "workflows.graph of row");
    refused(&output, "does not decode");
    assert_eq!(fs::read(&database).unwrap(), bytes);
}

#[test]
fn a_damaged_database_is_told_and_kept() {
    let (folder, database) = used();
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0x5a);
    fs::write(&database, &bytes).unwrap();
    let output = serve(folder.path(), &[], &[]);
    refused(&output, "restore a backup");
    assert_eq!(fs::read(&database).unwrap(), bytes);
}
