//! Stored files: results of jobs, pictures that callers gave, and the small versions shown to clients.
//!
//! Bytes lie in the object store under their content hash, so a repeated write is harmless; rows lie in
//! the store. Nothing here trusts a name or a declared type: what a file is, its bytes say.

mod discard;
mod error;
mod fetch;
mod input;
mod inventory;
mod lanes;
mod metadata;
mod pixels;
mod preview;
mod sniff;
mod unnamed;
mod vault;

pub(crate) use error::VaultError;
pub(crate) use fetch::Fetcher;
pub use input::{Accepted, accept, from_data_uri};
pub(crate) use inventory::{FOLDERS, Listed, is_key};
pub use sniff::Sniffed;
pub(crate) use unnamed::Unnamed;
pub(crate) use vault::{OutputMeta, Vault};
