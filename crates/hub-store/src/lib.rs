//! The only crate that speaks SQL: rows in, nouns of `hub-core` out.
//!
//! One file of methods per noun, all of them inherent on [`Store`]. Rows and entities stay private; a
//! row that does not decode is [`StoreError::Inconsistency`] with its address, never a panic. SQLite
//! (WAL, one writer connection and several readers) and PostgreSQL are served by the same code and
//! the same migrations.
//!
//! Invariants: a job's state changes only by an UPDATE that repeats the state (and, where an attempt
//! speaks, the attempt) it expects; whoever finds no such row has lost the race and is told so. What
//! belongs together is written in one transaction. The crate never reads the machine's clock.

mod admins;
mod answering;
mod api_keys;
mod artifacts;
mod attempts;
mod audit;
mod configuration;
mod cursor;
mod decode;
mod deletion;
mod entity;
mod error;
mod inputs;
mod jobs;
mod learned_times;
mod legacy;
mod llm_servers;
mod owners;
mod parts;
mod past;
mod pool;
mod recent;
mod render_types;
mod reseal;
mod retention;
mod seal;
mod server_overrides;
mod servers;
mod sessions;
mod settings;
mod showcases;
mod snapshot;
mod statistics;
mod styles;
mod swap;
mod together;
mod transitions;
mod workflows;

pub use admins::{Admin, AdminId};
pub use artifacts::{ArtifactPage, NewArtifact};
pub use attempts::AttemptRow;
pub use audit::{AuditEntry, AuditPage};
pub use configuration::{ConfigChange, Edits};
pub use cursor::{InvalidCursor, PageCursor};
pub use deletion::FileDeletion;
pub use error::{StoreError, StoreErrorKind};
pub use jobs::{AskedCall, Inserted, JobFilter, JobPage, NewJob, SearchBounds};
pub use learned_times::LearnedTime;
pub use legacy::{LEGACY_ROWS_MAX, LegacyRows, legacy_read};
pub use parts::NewPart;
pub use past::PastJob;
pub use pool::{Store, sqlite_file};
pub use retention::{Expendable, FileCount, StoredFiles};
pub use seal::{InvalidSecretKey, SecretKeys};
pub use sessions::SessionRow;
pub use showcases::{Showcase, ShowcaseOf, Showcases};
pub use snapshot::{SNAPSHOT_FOLDER, Snapshot, SnapshotInfo, snapshot_open};
pub use statistics::{DayStatistics, GroupStatistics, Percentiles, Statistics, Tally};
pub use swap::Swapped;
pub use transitions::{Cancelled, Ran, Succeeded};
pub use workflows::WorkflowDeletion;
