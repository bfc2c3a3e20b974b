//! What can go wrong in storage, sorted by what the caller does next.
//!
//! The texts are for operators and logs: they may name paths and columns, never a password, a prompt
//! or any other stored value. What a caller of the hub is told is the engine's business.

use std::path::PathBuf;

use hub_core::ids::JobId;
use sea_orm::{
    DbErr, RuntimeErr, SqlErr,
    sqlx::{self, error::DatabaseError},
};

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A failure of storage.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database URL cannot be used.
    #[error("the database URL cannot be used: {reason}; give sqlite:///path/hub.db or postgres://user@host/database")]
    BadUrl {
        /// Why, without the URL itself, which may hold a password.
        reason: String,
    },
    /// The database file or its folder cannot be written.
    #[error("{} cannot be written: {reason}; give the hub's user write access to it, or set another database URL", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The database was migrated by a newer hub.
    #[error(
        "the database is newer than this program: it is at `{found}`, this program knows `{known}`; \
         run the newer version, or restore the backup made before it"
    )]
    NewerDatabase {
        /// Newest migration in the database.
        found: String,
        /// Newest migration that this program knows.
        known: String,
    },
    /// The database file is damaged or is no database.
    #[error("the database is damaged or no database: {detail}; restore a backup")]
    Corrupt {
        /// What the database said.
        detail: String,
    },
    /// The database is of a kind that the hub cannot copy.
    #[error("the database is not a SQLite file but {what}")]
    NoSnapshot {
        /// Of which, and what to do.
        what: &'static str,
    },
    /// A stored row that does not decode.
    #[error("{table}.{column} of row {row} does not decode: {reason}")]
    Inconsistency {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Id of the row.
        row: String,
        /// Why not, without the value.
        reason: String,
    },
    /// A value that cannot be written down.
    #[error("a value for `{column}` cannot be stored: {reason}")]
    Unstorable {
        /// Column.
        column: &'static str,
        /// Why not.
        reason: String,
    },
    /// The idempotency key belongs to a job with another request.
    #[error("the idempotency key belongs to {job}, which has other arguments")]
    IdempotencyMismatch {
        /// The job that has the key.
        job: JobId,
    },
    /// Another row has the name.
    #[error("the name `{name}` is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Another server has the address.
    #[error("the address {url} is taken")]
    UrlTaken {
        /// The address.
        url: String,
    },
    /// A row that a new row refers to is gone.
    #[error("{what} does not exist (any more)")]
    Gone {
        /// What is gone, e.g. `the LLM server`.
        what: &'static str,
    },
    /// Rows contradict each other, e.g. an id is taken.
    #[error("the row contradicts another: {0}")]
    Conflict(#[source] DbErr),
    /// The database is locked by others for too long.
    #[error("the database is busy: {0}")]
    Busy(#[source] DbErr),
    /// The connection to the database was lost or cannot be made.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] DbErr),
    /// No space is left.
    #[error("no space is left for the database: {0}")]
    Full(#[source] DbErr),
    /// The database accepts no writes.
    #[error("the database is read-only: {0}")]
    ReadOnly(#[source] DbErr),
    /// Anything else.
    #[error("the database failed: {0}")]
    Database(#[source] DbErr),
}

/// What a caller of the store does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// Try again later: locked, connection lost or not to be had.
    Transient,
    /// Stop writing until space is made.
    Full,
    /// Stop writing until a person makes the database writable.
    ReadOnly,
    /// Tell the caller: the write contradicts what is stored.
    Conflict,
    /// Have a person look: stored data is damaged.
    Corrupt,
    /// Run the newer program.
    Newer,
    /// Everything else: configuration, rights, defects.
    Other,
}

impl StoreError {
    /// What to do next.
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Busy(_) | Self::Unreachable(_) => StoreErrorKind::Transient,
            Self::Full(_) => StoreErrorKind::Full,
            Self::ReadOnly(_) => StoreErrorKind::ReadOnly,
            Self::IdempotencyMismatch { .. }
            | Self::NameTaken { .. }
            | Self::UrlTaken { .. }
            | Self::Gone { .. }
            | Self::Conflict(_) => StoreErrorKind::Conflict,
            Self::Corrupt { .. } | Self::Inconsistency { .. } => StoreErrorKind::Corrupt,
            Self::NewerDatabase { .. } => StoreErrorKind::Newer,
            Self::BadUrl { .. }
            | Self::NoSnapshot { .. }
            | Self::Unwritable { .. }
            | Self::Unstorable { .. }
            | Self::Database(_) => StoreErrorKind::Other,
        }
    }

    /// Whether the write broke a unique index or primary key.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// The error for a named row: a broken unique index of its name is [`StoreError::NameTaken`].
    pub(crate) fn naming(self, name: &str) -> Self {
        if self.breaks("name") { Self::NameTaken { name: name.to_owned() } } else { self }
    }

    /// The error for a row with an address: a broken unique index of it is [`StoreError::UrlTaken`].
    pub(crate) fn addressing(self, url: &str) -> Self {
        if self.breaks("base_url") { Self::UrlTaken { url: url.to_owned() } } else { self }
    }

    /// Whether a unique index over the column broke. SQLite tells `table.column`, PostgreSQL the name
    /// of the index, which ends in `_{column}_key` by our convention.
    fn breaks(&self, column: &str) -> bool {
        let Self::Conflict(error) = self else { return false };
        let Some(SqlErr::UniqueConstraintViolation(message)) = error.sql_err() else { return false };
        message.ends_with(&format!(".{column}")) || message.contains(&format!("_{column}_key"))
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let class = match &error {
            DbErr::ConnectionAcquire(_) => Class::Busy,
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => classify(cause),
            _ => Class::Other,
        };
        match class {
            Class::Busy => Self::Busy(error),
            Class::Unreachable => Self::Unreachable(error),
            Class::Full => Self::Full(error),
            Class::ReadOnly => Self::ReadOnly(error),
            Class::Corrupt => Self::Corrupt { detail: error.to_string() },
            Class::Conflict => Self::Conflict(error),
            Class::Other => Self::Database(error),
        }
    }
}

/// What the drivers' codes mean to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Busy,
    Unreachable,
    Full,
    ReadOnly,
    Corrupt,
    Conflict,
    Other,
}

fn classify(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Database(error) => classify_code(error.as_ref()),
        sqlx::Error::PoolTimedOut => Class::Busy,
        // A server, or a proxy before it, that ends a connection in the middle of its greeting is told as a broken protocol.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Class::Unreachable,
        _ => Class::Other,
    }
}

fn classify_code(error: &dyn DatabaseError) -> Class {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        code.parse().map_or(Class::Other, classify_sqlite)
    } else {
        classify_postgres(&code)
    }
}

/// By result code; an extended one holds the primary one in its low byte
/// (<https://www.sqlite.org/rescode.html>).
fn classify_sqlite(code: i32) -> Class {
    match code & 0xff {
        5 | 6 => Class::Busy,
        8 => Class::ReadOnly,
        11 | 26 => Class::Corrupt,
        13 => Class::Full,
        // Reading or writing the file failed: a network drive that is away, a file system that was made read-only.
        10 | 14 => Class::Unreachable,
        19 => Class::Conflict,
        _ => Class::Other,
    }
}

/// By SQLSTATE: classes where the whole class means one thing
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn classify_postgres(code: &str) -> Class {
    match code {
        "53100" => Class::Full,
        "25006" => Class::ReadOnly,
        "40001" | "40P01" | "55P03" | "57014" => Class::Busy,
        "XX001" | "XX002" => Class::Corrupt,
        _ if code.starts_with("23") => Class::Conflict,
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") => Class::Unreachable,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_are_sorted_by_what_to_do() {
        assert_eq!(classify_sqlite(5), Class::Busy);
        assert_eq!(classify_sqlite(517), Class::Busy, "busy snapshot");
        assert_eq!(classify_sqlite(13), Class::Full);
        assert_eq!(classify_sqlite(1032), Class::ReadOnly, "read-only, moved");
        assert_eq!(classify_sqlite(778), Class::Unreachable, "a write to the file failed");
        assert_eq!(classify_sqlite(26), Class::Corrupt);
        assert_eq!(classify_sqlite(2067), Class::Conflict);
        assert_eq!(classify_sqlite(1), Class::Other);
        assert_eq!(classify_postgres("53100"), Class::Full);
        assert_eq!(classify_postgres("53300"), Class::Unreachable, "too many connections");
        assert_eq!(classify_postgres("57P01"), Class::Unreachable, "shut down");
        assert_eq!(classify_postgres("40P01"), Class::Busy);
        assert_eq!(classify_postgres("23505"), Class::Conflict);
        assert_eq!(classify_postgres("42P01"), Class::Other);
    }

    #[test]
    fn a_pool_that_gives_no_connection_is_worth_another_try() {
        let error = StoreError::from(DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout));
        assert_eq!(error.kind(), StoreErrorKind::Transient);
    }
}
