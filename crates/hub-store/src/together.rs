//! Several statements as one: the first decides, the others follow only where it changed a row, and all of it
//! happens or nothing does.
//!
//! On SQLite they go to the connection's thread as a single text with its own `BEGIN` and `COMMIT`. A
//! transaction of single calls would wake that thread, and this one again, for each of them, and on an idle
//! machine those wake-ups cost more than the statements. PostgreSQL takes no parameters with several
//! statements, so there it is a plain transaction.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbErr, QueryResult, RuntimeErr, Statement, StatementBuilder,
    sea_query::{InsertStatement, UpdateStatement, Values},
    sqlx::{self, AssertSqlSafe, Either, Executor as _, Sqlite, pool::PoolConnection},
};
use sea_query_sqlx::SqlxValues;

use crate::{
    error::{Result, StoreError},
    pool::Store,
    transitions::lost,
};

/// Ends the text with an error where the statement before it changed nothing: `abs` of the smallest integer
/// overflows (<https://sqlite.org/lang_corefunc.html#abs>). What did not happen is then rolled back.
const ONLY_IF_CHANGED: &str = "SELECT CASE WHEN changes() = 0 THEN abs(-9223372036854775807 - 1) END";

/// A statement that changes rows.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// New rows.
    Insert(InsertStatement),
    /// Changed rows.
    Update(UpdateStatement),
}

impl From<InsertStatement> for Change {
    fn from(insert: InsertStatement) -> Self {
        Self::Insert(insert)
    }
}

impl From<UpdateStatement> for Change {
    fn from(update: UpdateStatement) -> Self {
        Self::Update(update)
    }
}

impl StatementBuilder for Change {
    fn build(&self, backend: &sea_orm::DbBackend) -> Statement {
        match self {
            Self::Insert(insert) => StatementBuilder::build(insert, backend),
            Self::Update(update) => StatementBuilder::build(update, backend),
        }
    }
}

impl Store {
    /// Runs `first`, which must have a `RETURNING`, and where that answers a row, `then`. Answers the row, or
    /// `None` when nothing was changed.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub(crate) async fn together(&self, first: impl Into<Change>, then: &[Change]) -> Result<Option<QueryResult>> {
        let first = first.into();
        if then.is_empty() {
            return Ok(self.writer().query_one(&first).await?);
        }
        if self.writer().get_database_backend() == sea_orm::DbBackend::Sqlite {
            return self.at_once(&first, then).await;
        }
        let tx = self.begin().await?;
        let Some(row) = tx.query_one(&first).await? else { return lost(tx, None).await };
        for change in then {
            tx.execute(change).await?;
        }
        tx.commit().await?;
        Ok(Some(row))
    }

    async fn at_once(&self, first: &Change, then: &[Change]) -> Result<Option<QueryResult>> {
        let (text, values) = text_of(first, then);
        let connection = self.writer().get_sqlite_connection_pool().acquire().await.map_err(not_acquired)?;
        let mut batch = Batch { connection: Some(connection) };
        let outcome = batch.run(&text, values).await;
        let Err((decided, error)) = outcome else {
            batch.done();
            return outcome.map_err(|(_, error)| failed(error));
        };
        batch.roll_back().await;
        match decided {
            // It had its chance and changed nothing.
            Some(0) => Ok(None),
            Some(_) | None => Err(failed(error)),
        }
    }
}

/// What goes to the connection as one.
fn text_of(first: &Change, then: &[Change]) -> (String, Values) {
    let mut text = String::from("BEGIN IMMEDIATE; ");
    let mut values = Vec::new();
    for (index, change) in std::iter::once(first).chain(then).enumerate() {
        let statement = change.build(&sea_orm::DbBackend::Sqlite);
        text.push_str(&statement.sql);
        text.push_str("; ");
        values.extend(statement.values.into_iter().flatten());
        if index == 0 {
            text.push_str(ONLY_IF_CHANGED);
            text.push_str("; ");
        }
    }
    text.push_str("COMMIT");
    (text, Values(values))
}

/// A connection with a transaction of its own, which must not be handed on half-way.
struct Batch {
    connection: Option<PoolConnection<Sqlite>>,
}

impl Batch {
    /// Answers the row that the first statement returned. An error comes with the number of those rows, once
    /// that statement is through.
    async fn run(
        &mut self,
        text: &str,
        values: Values,
    ) -> std::result::Result<Option<QueryResult>, (Option<usize>, sqlx::Error)> {
        let Some(connection) = self.connection.as_mut() else { return Ok(None) };
        let query = sqlx::query_with(AssertSqlSafe(text), SqlxValues(values));
        let mut ended = 0;
        let mut row = None;
        let mut returned = 0;
        let mut answers = (&mut **connection).fetch_many(query);
        loop {
            match answers.try_next().await {
                // The first of them is the BEGIN.
                Ok(Some(Either::Left(_))) => ended += 1,
                Ok(Some(Either::Right(found))) => {
                    if ended == 1 {
                        returned += 1;
                        row.get_or_insert_with(|| QueryResult::from(found));
                    }
                }
                Ok(None) => return Ok(row),
                Err(error) => return Err(((ended > 1).then_some(returned), error)),
            }
        }
    }

    /// Gives the connection back after the COMMIT.
    fn done(mut self) {
        self.connection = None;
    }

    /// Ends what was begun. The database may have done so itself, or not have begun: that is no fault here.
    async fn roll_back(mut self) {
        if let Some(connection) = self.connection.take() {
            end(connection).await;
        }
    }
}

/// Whoever stops waiting leaves the connection in the middle of the text.
impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            tokio::spawn(end(connection));
        }
    }
}

async fn end(mut connection: PoolConnection<Sqlite>) {
    if let Err(error) = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await {
        tracing::debug!(error = %error, "nothing to roll back");
    }
}

pub(crate) fn not_acquired(error: sqlx::Error) -> StoreError {
    StoreError::from(match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        other => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(other))),
    })
}

fn failed(error: sqlx::Error) -> StoreError {
    StoreError::from(DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))
}
