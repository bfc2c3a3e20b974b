//! Where the key lies that secrets of other servers are encrypted with: given by the environment, else in a file
//! of the data folder that only the hub's user may read.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use hub_store::SecretKeys;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{config::Config, data_dir::DataDir};

/// The file in the data folder.
const FILE: &str = "secret.key";

/// The keys; made when there are none yet.
///
/// # Errors
/// When the file cannot be read or made, others may read it, or what is given is no key.
pub(crate) fn open(config: &Config, folder: &DataDir) -> anyhow::Result<SecretKeys> {
    let given = &config.auth.secret_key;
    if !given.expose_secret().is_empty() {
        return SecretKeys::parse(given.expose_secret()).context("auth.secret_key (GENIMAGE_SECRET_KEY)");
    }
    let path = file(folder);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            refuse_open_file(&path)?;
            SecretKeys::parse(&text).with_context(|| format!("{}", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = SecretKeys::generate().context("cannot make a secret key")?;
            write(&path, &key)?;
            SecretKeys::parse(&key).context("a new secret key")
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A new key before the old ones, written down; then [`forget_old`] once everything is under it.
///
/// # Errors
/// When the keys come from the environment, or the file cannot be written.
pub(crate) fn add_new(config: &Config, folder: &DataDir) -> anyhow::Result<(SecretString, SecretKeys)> {
    if !config.auth.secret_key.expose_secret().is_empty() {
        bail!(
            "the key comes from GENIMAGE_SECRET_KEY: set it to NEW,OLD and start the hub, which encrypts everything \
             with NEW; then set it to NEW"
        );
    }
    open(config, folder)?;
    let path = file(folder);
    let old = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = SecretString::from(SecretKeys::generate().context("cannot make a secret key")?);
    let both = SecretString::from(format!("{}\n{old}", new.expose_secret()));
    write(&path, both.expose_secret())?;
    let keys = SecretKeys::parse(both.expose_secret()).context("the new secret key")?;
    Ok((new, keys))
}

/// Leaves the new key alone in the file.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn forget_old(folder: &DataDir, new: &SecretString) -> anyhow::Result<()> {
    write(&file(folder), new.expose_secret())
}

/// Where the key's file is, or would be.
pub(crate) fn file(folder: &DataDir) -> PathBuf {
    folder.path().join(FILE)
}

/// Whole or not at all: beside it first, then in its place.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", path.display());
    // Made so that its owner alone may read it.
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    beside.write_all(format!("{}\n", text.trim()).as_bytes()).with_context(cannot)?;
    beside.as_file().sync_all().with_context(cannot)?;
    beside.persist(path).with_context(cannot)?;
    Ok(())
}

#[cfg(unix)]
fn refuse_open_file(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others may read {}: run chmod 600 on it", path.display());
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_open_file(_: &Path) -> anyhow::Result<()> {
    Ok(())
}
