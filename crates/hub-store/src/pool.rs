//! The store itself: opening a database, its connections, its transactions.
//!
//! SQLite has one writing connection, so that writers queue here instead of failing each other with
//! `SQLITE_BUSY`, and several reading ones beside it (WAL). PostgreSQL has one pool for both. Inside a
//! transaction only the transaction is used: with one connection, anything else would wait for itself.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use hub_core::clock::SharedClock;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::{
        self, ConnectOptions as _, Connection,
        postgres::PgConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};

use crate::{
    error::{Result, StoreError},
    jobs::LastCount,
    recent::Recent,
    retention::StoredFiles,
    seal::SecretKeys,
    statistics::{KeptDays, LastStatistics},
};

/// Longest wait for a lock that another process holds on a SQLite file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Reading connections to a SQLite file.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 16;
/// A PostgreSQL connection that was idle for longer is tested before use.
const POSTGRES_TEST_AFTER_IDLE: Duration = Duration::from_secs(30);
/// Size to which SQLite cuts its write-ahead log after a burst, in bytes.
const WAL_KEPT_BYTES: &str = "67108864";
/// Looks for another process's migration to be done, after this one's failed.
const MIGRATION_LOOKS: u32 = 20;
/// Pause between two of them.
const MIGRATION_PAUSE: Duration = Duration::from_millis(100);
/// Number of the advisory lock under which one process at a time migrates a PostgreSQL database.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(7263544810927)";

/// The hub's memory. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Store {
    write: DatabaseConnection,
    read: DatabaseConnection,
    /// The SQLite file, where there is one.
    file: Option<Arc<Path>>,
    clock: SharedClock,
    last_count: Arc<LastCount>,
    last_statistics: Arc<LastStatistics>,
    kept_days: Arc<KeptDays>,
    last_files: Arc<Recent<StoredFiles>>,
    secret_keys: SecretKeys,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("backend", &self.write.get_database_backend()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a database and brings its schema up to date: `sqlite:///path/hub.db` (the file and its
    /// folder are made when missing), `sqlite::memory:` (gone when the store is), or
    /// `postgres://user@host/database`.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], [`StoreError::Unwritable`] naming the path, [`StoreError::Corrupt`], or
    /// [`StoreError::NewerDatabase`] before anything is changed.
    pub async fn open(url: &str, clock: SharedClock) -> Result<Self> {
        let (write, read) = if url.starts_with("sqlite:") {
            connect_sqlite(url).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let pool = connect_postgres(url).await?;
            (pool.clone(), pool)
        } else {
            return Err(StoreError::BadUrl { reason: "it starts with neither sqlite: nor postgres:".to_owned() });
        };
        migrate(&write).await?;
        let file = sqlite_file(url)?.map(Arc::from);
        Ok(Self {
            write,
            read,
            file,
            clock,
            last_count: Arc::default(),
            last_statistics: Arc::default(),
            kept_days: Arc::default(),
            last_files: Arc::default(),
            secret_keys: SecretKeys::default(),
        })
    }

    /// Ends all connections, of clones as well; waits for what is under way. The writer goes last, so
    /// that it can fold the write-ahead log into the file.
    ///
    /// # Errors
    /// When a connection cannot be ended.
    pub async fn close(&self) -> Result<()> {
        self.read.clone().close().await?;
        Ok(self.write.clone().close().await?)
    }

    /// The clock by which rows are dated.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// The SQLite file, where there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What `jobs::counts` remembers.
    pub(crate) fn last_statistics(&self) -> &LastStatistics {
        &self.last_statistics
    }

    pub(crate) fn kept_days(&self) -> &KeptDays {
        &self.kept_days
    }

    pub(crate) fn last_files(&self) -> &Recent<StoredFiles> {
        &self.last_files
    }

    /// Jobs or files were deleted: what was counted is counted anew.
    pub(crate) async fn forget_counts(&self) {
        self.kept_days.forget();
        self.last_statistics.forget().await;
        self.last_files.forget().await;
        self.last_count.forget().await;
    }

    pub(crate) fn last_count(&self) -> &LastCount {
        &self.last_count
    }

    /// The store with keys for the secrets in it; without, secrets are stored as they are.
    #[must_use]
    pub fn with_secret_keys(self, secret_keys: SecretKeys) -> Self {
        Self { secret_keys, ..self }
    }

    /// What seals and opens secrets.
    pub(crate) fn secret_keys(&self) -> &SecretKeys {
        &self.secret_keys
    }

    /// For single statements that write.
    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.write
    }

    /// For statements that only read.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// A transaction that writes. On SQLite it takes the write lock at once, so that it cannot fail
    /// halfway because another process wrote meanwhile. Rolled back when dropped.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.write.begin_with_options(options).await?)
    }

    /// Now, in milliseconds, as rows are dated.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }
}

/// The file that a database URL names; `None` where it names none.
///
/// # Errors
/// [`StoreError::BadUrl`].
pub fn sqlite_file(url: &str) -> Result<Option<PathBuf>> {
    if !url.starts_with("sqlite:") || url.starts_with("sqlite::memory:") {
        return Ok(None);
    }
    let parsed =
        SqliteConnectOptions::from_str(url).map_err(|error| StoreError::BadUrl { reason: error.to_string() })?;
    Ok(Some(parsed.get_filename().to_owned()))
}

async fn connect_sqlite(url: &str) -> Result<(DatabaseConnection, DatabaseConnection)> {
    if url.starts_with("sqlite::memory:") {
        let only = Database::connect(sqlite_options(url, 1, false)).await?;
        return Ok((only.clone(), only));
    }
    let path = sqlite_file(url)?.unwrap_or_default();
    prepare_file(&path).await?;
    let unwritable = |error: DbErr| match StoreError::from(error) {
        StoreError::ReadOnly(error) | StoreError::Unreachable(error) => {
            StoreError::Unwritable { path: path.clone(), reason: error.to_string() }
        }
        other => other,
    };
    let write = Database::connect(sqlite_options(url, 1, false)).await.map_err(unwritable)?;
    let read = Database::connect(sqlite_options(url, SQLITE_READERS, true)).await.map_err(unwritable)?;
    Ok((write, read))
}

/// Makes the folder and the file, which only the hub's user may read since it can hold secrets. An
/// existing file is opened for writing, to fail here with its path rather than later without.
async fn prepare_file(path: &Path) -> Result<()> {
    let unwritable = |path: &Path, error: &std::io::Error| StoreError::Unwritable {
        path: PathBuf::from(path),
        reason: error.to_string(),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        tokio::fs::create_dir_all(folder).await.map_err(|error| unwritable(folder, &error))?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).await.map(drop).map_err(|error| unwritable(path, &error))
}

fn sqlite_options(url: &str, connections: u32, query_only: bool) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .create_if_missing(true)
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
                .synchronous(SqliteSynchronous::Normal);
            if query_only {
                options.pragma("query_only", "ON")
            } else {
                options.journal_mode(SqliteJournalMode::Wal).pragma("journal_size_limit", WAL_KEPT_BYTES)
            }
        });
    options
}

async fn connect_postgres(url: &str) -> Result<DatabaseConnection> {
    try_postgres(url).await?;
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire_if_idle_for(POSTGRES_TEST_AFTER_IDLE)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .set_application_name("genimage-hub");
    Ok(Database::connect(options).await?)
}

/// Connects once outside of the pool: the pool would keep trying where nobody listens, and then tell
/// of its time-out instead of the cause.
async fn try_postgres(url: &str) -> Result<()> {
    let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::BadUrl { reason: error.to_string() })?;
    let failed = |error: sqlx::Error| StoreError::from(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
    let connection = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect())
        .await
        .map_err(|_| failed(sqlx::Error::PoolTimedOut))?
        .map_err(failed)?;
    connection.close().await.map_err(failed)
}

/// Brings the schema up to date. The usual case, nothing to do, costs two small queries.
async fn migrate(db: &DatabaseConnection) -> Result<()> {
    if is_current(db).await? {
        return Ok(());
    }
    if db.get_database_backend() == sea_orm::DbBackend::Postgres {
        // Replicas may start at once: the first one migrates, the others then find it done.
        let lock = db.begin().await?;
        lock.execute_unprepared(MIGRATION_LOCK).await?;
        if !is_current(db).await? {
            migrations::up(db).await?;
        }
        return Ok(lock.commit().await?);
    }
    let Err(error) = migrations::up(db).await else { return Ok(()) };
    // Another process that opened the file at the same moment may have been quicker, and may not have got
    // to the last step yet.
    for _ in 0..MIGRATION_LOOKS {
        if is_current(db).await? {
            return Ok(());
        }
        tokio::time::sleep(MIGRATION_PAUSE).await;
    }
    Err(error.into())
}

/// Whether every migration that this program knows has been applied.
async fn is_current(db: &DatabaseConnection) -> Result<bool> {
    let applied = migrations::applied(db).await?;
    refuse_newer(&applied)?;
    Ok(migrations::known().iter().all(|name| applied.contains(name)))
}

/// Refuses a database that has had a migration which this program does not know.
pub(crate) fn refuse_newer(applied: &[String]) -> Result<()> {
    let known = migrations::known();
    match applied.iter().rfind(|name| !known.contains(name)) {
        None => Ok(()),
        Some(found) => {
            let known = known.last().cloned().unwrap_or_default();
            Err(StoreError::NewerDatabase { found: found.clone(), known })
        }
    }
}
