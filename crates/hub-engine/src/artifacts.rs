//! Stored files: results of jobs, pictures that callers gave, and the small versions shown to clients.
//!
//! Bytes lie in the object store under their content hash, so a repeated write is harmless; rows lie in
//! the store. Nothing here trusts a name or a declared type: what a file is, its bytes say.

mod address;
mod discard;
mod fetch;
mod input;
mod inventory;
mod metadata;
mod pixels;
mod preview;
mod sniff;
mod vault;

pub(crate) use fetch::Fetcher;
pub(crate) use input::from_data_uri;
pub(crate) use inventory::{FOLDERS, Listed, is_key};
pub(crate) use vault::{OutputMeta, Vault, VaultError};
