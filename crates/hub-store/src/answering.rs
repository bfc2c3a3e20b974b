//! Whether the database can be used: it is read, and it is written.
//!
//! To ask only whether a connection lives would call a file usable that is locked, read-only or on a full disk.

use std::{sync::Arc, time::Duration};

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, RuntimeErr,
    sqlx::{self, AssertSqlSafe, Sqlite, pool::PoolConnection},
};

use crate::{
    error::{Result, StoreError},
    pool::{BUSY_TIMEOUT, Store},
    together::not_acquired,
};

/// Longest wait behind other writers of this hub.
const TURN_LIMIT: Duration = Duration::from_secs(1);
/// Longest wait for a lock that another process holds. Shorter than for work: meanwhile no other writer has its turn.
const LOCK_LIMIT: Duration = Duration::from_millis(750);

/// Reads a table that every database has.
const READ: &str = "SELECT version FROM seaql_migrations LIMIT 1";
/// Writes the number that is there already, which is the smallest write that goes to the disk. An `UPDATE` that
/// changes nothing would not: SQLite compares before it writes.
const WRITE_SQLITE: &str = "PRAGMA user_version = 0";
/// Changes no row. A server that takes no writes, such as a standby, refuses it all the same.
const WRITE_POSTGRES: &str = "UPDATE seaql_migrations SET applied_at = applied_at WHERE false";

impl Store {
    /// Whether the database can be read and written. On SQLite it answers within two seconds.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another process holds the lock of a SQLite file, or the hub's own writers take
    /// too long; [`StoreError::ReadOnly`], [`StoreError::Full`]; [`StoreError::Unreachable`].
    pub async fn ping(&self) -> Result<()> {
        self.reader().execute_unprepared(READ).await?;
        if self.writer().get_database_backend() != DbBackend::Sqlite {
            self.writer().execute_unprepared(WRITE_POSTGRES).await?;
            return Ok(());
        }
        // In the order of all writers: one that came between them from outside could be passed over for ever.
        let writer = self.writer().get_sqlite_connection_pool().acquire();
        let connection = tokio::time::timeout(TURN_LIMIT, writer)
            .await
            .map_err(|_| StoreError::from(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)))?
            .map_err(not_acquired)?;
        // In a task of its own: whoever stops waiting must not leave the connection with the shorter limit.
        let tried = tokio::spawn(try_to_write(connection)).await;
        tried.unwrap_or_else(|error| Err(StoreError::Database(DbErr::Custom(error.to_string()))))
    }
}

async fn try_to_write(mut connection: PoolConnection<Sqlite>) -> Result<()> {
    waits(&mut connection, LOCK_LIMIT).await?;
    let written = run(&mut connection, WRITE_SQLITE).await;
    waits(&mut connection, BUSY_TIMEOUT).await?;
    written
}

/// Sets how long the connection waits for a lock.
async fn waits(connection: &mut PoolConnection<Sqlite>, limit: Duration) -> Result<()> {
    run(connection, &format!("PRAGMA busy_timeout = {}", limit.as_millis())).await
}

async fn run(connection: &mut PoolConnection<Sqlite>, sql: &str) -> Result<()> {
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **connection).await;
    outcome.map(drop).map_err(|error| StoreError::from(DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))))
}

#[cfg(test)]
mod tests {
    use hub_core::clock::SystemClock;
    use sea_orm::{ConnectOptions, Database, DatabaseConnection, Statement};

    use super::*;

    async fn store(folder: &tempfile::TempDir) -> (Store, DatabaseConnection) {
        let url = format!("sqlite://{}/hub.db", folder.path().display());
        let store = Store::open(&url, Arc::new(SystemClock)).await.expect("opens");
        let mut other = ConnectOptions::new(url);
        other.max_connections(1);
        (store, Database::connect(other).await.expect("opens"))
    }

    async fn limit_of_the_writer(store: &Store) -> Duration {
        let asked = Statement::from_string(DbBackend::Sqlite, "PRAGMA busy_timeout");
        let row = store.writer().query_one_raw(asked).await.expect("answers").expect("a row");
        Duration::from_millis(row.try_get_by_index::<u32>(0).expect("a number").into())
    }

    #[tokio::test]
    async fn the_writer_has_its_patience_back_whatever_became_of_the_question() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, other) = store(&folder).await;
        store.ping().await.expect("usable");
        assert_eq!(limit_of_the_writer(&store).await, BUSY_TIMEOUT);

        other.execute_unprepared("BEGIN IMMEDIATE").await.expect("locks");
        assert!(matches!(store.ping().await, Err(StoreError::Busy(_))));
        assert_eq!(limit_of_the_writer(&store).await, BUSY_TIMEOUT);

        tokio::time::timeout(LOCK_LIMIT / 10, store.ping()).await.expect_err("not so soon");
        assert_eq!(limit_of_the_writer(&store).await, BUSY_TIMEOUT, "nobody waits for the answer");
        other.execute_unprepared("ROLLBACK").await.expect("unlocks");
        store.ping().await.expect("usable again");
    }

    #[tokio::test]
    async fn a_writer_that_does_not_come_to_its_end_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = store(&folder).await;
        let long = store.begin().await.expect("begins");
        assert!(matches!(store.ping().await, Err(StoreError::Busy(_))));
        long.rollback().await.expect("ends");
        store.ping().await.expect("usable again");
    }
}
