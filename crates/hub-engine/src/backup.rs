//! The hub's whole memory as one archive, made while it works, and read back with distrust.
//!
//! A tar file: `backup.json` (what this is), `hub.db` (a copy of the database of one moment), then the stored
//! files, last `manifest.jsonl` with size and SHA-256 of everything before it. The database is copied first:
//! files are written before the rows that name them and never change, so whatever the copy names is there
//! afterwards, but for what is deleted meanwhile. An archive without its manifest was cut off. Unpacked by hand
//! it is a data folder. The key of the stored secrets is not in it.

mod read;
mod write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use read::{BackupError, Checked, check, put_back};
pub use write::{BackupStream, stream};

/// How a backup names itself.
const FORMAT: &str = "genimage-backup";
/// Version of the archive's layout.
const VERSION: u32 = 1;
/// The first entry.
const ABOUT: &str = "backup.json";
/// The second one.
const DATABASE: &str = "hub.db";
/// The last one.
const MANIFEST: &str = "manifest.jsonl";
/// Below this lie stored files.
const OBJECTS: &str = "objects/";
/// Below this lie recipes of files: their names in the store would be too long for a plain tar entry.
const RECIPES: &str = "recipes/";

/// What `backup.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupAbout {
    /// Always `genimage-backup`.
    pub format: String,
    /// Version of the layout.
    pub version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Newest migration of the database in it.
    pub schema: String,
    /// When the database was copied.
    pub created_at: DateTime<Utc>,
}

/// A line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    path: String,
    size: u64,
    sha256: String,
}

/// The manifest's last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Total {
    /// Lines before this one.
    files: u64,
    /// Their bytes.
    bytes: u64,
}

/// Name in the archive of what lies under `key`.
fn name_of(key: &str) -> String {
    let recipe = key.split_once('/').and_then(|(_, name)| name.split_once('.')).filter(|(_, rest)| rest.contains('.'));
    match recipe {
        Some((hash, rest)) => format!("{RECIPES}{hash}/{rest}"),
        None => format!("{OBJECTS}{key}"),
    }
}

/// Key of what has this name in an archive; `None` for names that the hub does not give. Nothing else of an archive's
/// names is ever used.
fn key_of(name: &str) -> Option<String> {
    let key = if let Some(recipe) = name.strip_prefix(RECIPES) {
        let (hash, rest) = recipe.split_once('/')?;
        let job = rest.strip_suffix(".json")?;
        job.parse::<hub_core::ids::JobId>().ok()?;
        format!("{}/{hash}.{rest}", hash.get(..2)?)
    } else {
        let key = name.strip_prefix(OBJECTS)?;
        let (_, extension) = key.split_once('.')?;
        let plain = (1..=8).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| key.to_owned())?
    };
    // What it makes must be one of the hub's own keys, fan and hash and all, and a file's, not a thumbnail's.
    (crate::artifacts::is_key(&key) && !key.starts_with("thumbs/")).then_some(key)
}

#[cfg(test)]
mod tests {
    use hub_core::ids::JobId;

    use super::*;

    #[test]
    fn names_and_keys_lead_to_each_other_and_no_other_name_leads_anywhere() {
        let hash = "ab".repeat(32);
        let job = JobId::new();
        for key in [format!("ab/{hash}.png"), format!("ab/{hash}.{job}.json")] {
            let name = name_of(&key);
            assert!(name.rsplit('/').next().is_some_and(|last| last.len() <= 100), "{name}");
            assert_eq!(key_of(&name), Some(key));
        }
        for hostile in [
            "../hub.db".to_owned(),
            "/etc/passwd".to_owned(),
            format!("objects/../ab/{hash}.png"),
            format!("objects/ab/../../{hash}.png"),
            format!("objects/cd/{hash}.png"),
            format!("objects/ab/{hash}.png/../../x"),
            format!("objects/thumbs/ab/{hash}.jpg"),
            format!("objects/ab/{hash}"),
            format!("objects/ab/{hash}.a.b"),
            format!("recipes/{hash}/../x.json"),
            format!("recipes/{hash}/{job}"),
            format!("recipes/é{hash}/{job}.json"),
            "secret.key".to_owned(),
            String::new(),
        ] {
            assert_eq!(key_of(&hostile), None, "{hostile}");
        }
    }
}
