//! A copy of the whole database while it is used, and what such a copy holds.
//!
//! SQLite only: PostgreSQL has tools of its own for this, which know more.

use std::path::{Path, PathBuf};

use hub_core::clock::SharedClock;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
    sqlx::sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

use crate::{
    error::{Result, StoreError},
    pool::{self, Store},
};

/// Beginning of the folder's name that a copy lies in, beside the database. What is left of one by a killed
/// process may be deleted.
pub const SNAPSHOT_FOLDER: &str = ".snapshot-";
/// The copy in it.
const FILE: &str = "hub.db";

/// A copy of the database, removed when dropped.
#[derive(Debug)]
pub struct Snapshot {
    folder: TempDir,
    schema: String,
}

impl Snapshot {
    /// The file; nobody else writes it.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Newest migration in it.
    pub fn schema(&self) -> &str {
        &self.schema
    }
}

/// What a copy of a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Newest migration in it.
    pub schema: String,
    /// Jobs.
    pub jobs: u64,
    /// Pictures and other files that it names.
    pub artifacts: u64,
    /// Secrets in it that are encrypted with a key that is not in it.
    pub sealed_secrets: u64,
}

impl Store {
    /// Copies the database as it is at this moment, while others read and write it. The copy needs as much space
    /// as the database, beside it.
    ///
    /// # Errors
    /// [`StoreError::NoSnapshot`] where it is not a SQLite file; [`crate::StoreErrorKind::Full`].
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let Some(file) = self.file() else {
            let what = match self.writer().get_database_backend() {
                DbBackend::Postgres => "PostgreSQL: copy it with pg_dump",
                _ => "in memory",
            };
            return Err(StoreError::NoSnapshot { what });
        };
        let beside = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unwritable =
            |error: std::io::Error| StoreError::Unwritable { path: beside.to_owned(), reason: error.to_string() };
        // Its owner alone may enter such a folder.
        let folder = tempfile::Builder::new().prefix(SNAPSHOT_FOLDER).tempdir_in(beside).map_err(unwritable)?;
        let target = folder.path().join(FILE);
        let Some(target) = target.to_str() else {
            let reason = "its path is not UTF-8".to_owned();
            return Err(StoreError::Unwritable { path: target, reason });
        };
        // A connection of its own, that only reads: the copy takes as long as the disk does, and nobody waits for it.
        let db = connect_reading(file).await?;
        let copied = db
            .execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [target.into()]))
            .await
            .map_err(StoreError::from);
        let closed = db.close().await;
        copied?;
        closed?;
        let schema = migrations::known().pop().unwrap_or_default();
        Ok(Snapshot { folder, schema })
    }
}

/// Looks whether a file is a whole database of a hub that this program can use, brings its schema up to date, and
/// says what is in it.
///
/// # Errors
/// [`StoreError::Corrupt`], [`StoreError::NewerDatabase`].
pub async fn snapshot_open(path: &Path, clock: SharedClock) -> Result<SnapshotInfo> {
    let schema = check(path).await?;
    let store = Store::open(&format!("sqlite://{}", path.display()), clock).await?;
    let count =
        async |sql: &str| -> Result<u64> { Ok(u64::try_from(one::<i64>(store.writer(), sql).await?).unwrap_or(0)) };
    let info = async {
        Ok(SnapshotInfo {
            schema,
            jobs: count("SELECT COUNT(*) FROM jobs").await?,
            artifacts: count("SELECT COUNT(*) FROM artifacts").await?,
            sealed_secrets: count(
                "SELECT (SELECT COUNT(*) FROM servers WHERE auth LIKE 'sealed:%' AND deleted_at IS NULL) \
                 + (SELECT COUNT(*) FROM llm_servers WHERE api_key LIKE 'sealed:%')",
            )
            .await?,
        })
    }
    .await;
    store.close().await?;
    info
}

/// Reads the whole file before anything of it is trusted. Answers its newest migration.
async fn check(path: &Path) -> Result<String> {
    let db = connect_reading(path).await?;
    let checked = async {
        let found: String = one(&db, "PRAGMA quick_check(1)").await?;
        if found != "ok" {
            return Err(StoreError::Corrupt { detail: found });
        }
        // Both would run by themselves, and the hub has none.
        let foreign: i64 = one(&db, "SELECT COUNT(*) FROM sqlite_master WHERE type IN ('trigger', 'view')").await?;
        let known: i64 = one(
            &db,
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('jobs', 'artifacts', 'servers')",
        )
        .await?;
        let applied = migrations::applied(&db).await?;
        match applied.last() {
            Some(_) if foreign > 0 => Err(StoreError::Corrupt { detail: "it holds triggers or views".to_owned() }),
            Some(newest) if known == 3 => {
                pool::refuse_newer(&applied)?;
                Ok(newest.clone())
            }
            _ => Err(StoreError::Corrupt { detail: "it is no database of this hub".to_owned() }),
        }
    }
    .await;
    db.close().await?;
    checked
}

/// A single connection that cannot change the file.
pub(crate) async fn connect_reading(path: &Path) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    let path = path.to_owned();
    options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(move |_| {
        SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .busy_timeout(pool::BUSY_TIMEOUT)
            // What the file itself says it does is not believed.
            .pragma("trusted_schema", "OFF")
            .pragma("cell_size_check", "ON")
    });
    Ok(Database::connect(options).await?)
}

/// The only value of a row.
pub(crate) async fn one<T: sea_orm::TryGetable>(db: &DatabaseConnection, sql: &str) -> Result<T> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    match row {
        Some(row) => Ok(row.try_get_by_index(0)?),
        None => Err(StoreError::Corrupt { detail: "it answers nothing".to_owned() }),
    }
}
