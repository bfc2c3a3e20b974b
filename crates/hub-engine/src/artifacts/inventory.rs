//! What lies in the object store, for those who compare it with the rows.
//!
//! Knows the hub's own keys: a file `ab/<hash>.<extension>`, recipes beside it `ab/<hash>.<job>.json`, a
//! thumbnail `thumbs/ab/<hash>.jpg`. Anything else in the store is somebody else's and is not seen here.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _};
use hub_core::{
    artifact::{Artifact, ArtifactRole},
    error::UserError,
};
use object_store::{ObjectStoreExt as _, path::Path};

use super::{Vault, VaultError, preview::thumbnail_key, vault::sidecar_key};

/// Folders that files are fanned out over, by the first two digits of their hash.
pub(crate) const FOLDERS: u32 = 256;
/// Digits of a hash.
const HASH_DIGITS: usize = 64;

/// One of the hub's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) modified: DateTime<Utc>,
    pub(crate) size_bytes: u64,
}

impl Listed {
    /// The hash that the key begins with.
    pub(crate) fn sha256(&self) -> &str {
        hash_of(&self.key).unwrap_or_default()
    }
}

impl Vault {
    /// The hub's files of one folder, thumbnails included.
    pub(crate) async fn listed(&self, digits: &str) -> Result<Vec<Listed>, VaultError> {
        let mut listed = Vec::new();
        for folder in [digits.to_owned(), format!("thumbs/{digits}")] {
            let mut files = self.objects.list(Some(&Path::from(folder))).boxed();
            while let Some(file) = files.try_next().await? {
                let key = file.location.to_string();
                if hash_of(&key).is_some() {
                    listed.push(Listed { key, modified: file.last_modified, size_bytes: file.size });
                }
            }
        }
        Ok(listed)
    }

    /// All keys that a row stands for, whether something lies there or not.
    pub(crate) fn keys_of(artifact: &Artifact) -> Vec<String> {
        [artifact.object_key(), thumbnail_key(artifact)].into_iter().chain(Self::own_keys_of(artifact)).collect()
    }

    /// Those of them that no row of equal bytes stands for.
    pub(super) fn own_keys_of(artifact: &Artifact) -> Vec<String> {
        let beside = artifact.job.filter(|_| artifact.role == ArtifactRole::Output);
        beside.map(|job| sidecar_key(&artifact.sha256, job)).into_iter().collect()
    }

    /// Whether a row's file is there.
    pub(crate) async fn holds(&self, artifact: &Artifact) -> Result<bool, VaultError> {
        match self.objects.head(&Path::from(artifact.object_key())).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes an object that was last written before `before` and for which `named` says no. Nothing is
    /// written under it meanwhile, so what is written again is not lost.
    pub(crate) async fn delete_unless(
        &self,
        key: &str,
        before: DateTime<Utc>,
        named: impl AsyncFnOnce() -> Result<bool, UserError>,
    ) -> Result<bool, UserError> {
        let _alone = self.lanes.of(key).write().await;
        // Its row may take as long to write as the database is away.
        if self.unnamed.holds(key) {
            return Ok(false);
        }
        let path = Path::from(key);
        match self.objects.head(&path).await {
            Ok(found) if found.last_modified >= before => return Ok(false),
            Ok(_) => {}
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(VaultError::from(error).into()),
        }
        if named().await? {
            return Ok(false);
        }
        self.objects.delete(&path).await.map_err(VaultError::from)?;
        Ok(true)
    }
}

/// Whether the key is one of the hub's own.
pub(crate) fn is_key(key: &str) -> bool {
    hash_of(key).is_some()
}

/// The hash in one of the hub's keys; `None` for other keys.
fn hash_of(key: &str) -> Option<&str> {
    let (fan, name) = key.strip_prefix("thumbs/").unwrap_or(key).split_once('/')?;
    let (hash, _) = name.split_once('.')?;
    let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (hash.len() == HASH_DIGITS && hash.bytes().all(digits) && hash.starts_with(fan) && fan.len() == 2).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hubs_own_keys_are_seen() {
        let hash = "ab".repeat(32);
        for own in [format!("ab/{hash}.png"), format!("ab/{hash}.job_1.json"), format!("thumbs/ab/{hash}.jpg")] {
            assert_eq!(hash_of(&own), Some(hash.as_str()), "{own}");
        }
        for other in [
            format!("cd/{hash}.png"),
            format!("ab/{hash}"),
            "ab/notes.txt".to_owned(),
            format!("other/ab/{hash}.png"),
            "probe/1".to_owned(),
        ] {
            assert_eq!(hash_of(&other), None, "{other}");
        }
    }
}
