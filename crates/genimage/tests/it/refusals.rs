//! What the hub refuses at its start, and in which words.

use std::{path::Path, process::Output};

use crate::hub::{Hub, genimage};

pub(crate) fn serve(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    genimage()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn refused(output: &Output, said: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(said), "`{said}` is not in: {error}");
    assert!(!error.contains("panicked"), "{error}");
}

#[test]
fn a_public_address_without_credentials_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = genimage().args(["serve", "--listen", "0.0.0.0:0", "--data-dir"]).arg(folder.path()).output().unwrap();
    refused(&output, "GENIMAGE_API_KEY");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    refused(&serve(&file.join("data"), &[], &[]), "--data-dir");
}

#[test]
fn a_data_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _hub = Hub::start(folder.path(), &[]);
    refused(&serve(folder.path(), &[], &[]), "another hub");
}

#[test]
fn a_database_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hub.db"), "this is no database, but it is long enough to be looked at").unwrap();
    refused(&serve(folder.path(), &[], &[]), "hub.db");
}

#[test]
fn unknown_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, "[queue]\nmaxx = 3\n").unwrap();
    refused(&serve(folder.path(), &["--config", file.to_str().unwrap()], &[]), "maxx");
    refused(&serve(folder.path(), &[], &[("GENIMAGE__QUEUE__MAX", "many")]), "QUEUE.MAX");
    refused(&serve(folder.path(), &["--config", "/nonexistent.toml"], &[]), "/nonexistent.toml");
}

#[test]
fn an_address_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = genimage()
        .args(["serve", "--listen", &taken.local_addr().unwrap().to_string(), "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    refused(&output, "--listen");
}
