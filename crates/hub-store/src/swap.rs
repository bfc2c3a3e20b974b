//! Changes that expect a row as it was read: of two editors one wins and the other is told.

use sea_orm::DatabaseTransaction;

use crate::error::Result;

/// What a change that expects the earlier row came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// It is stored.
    Done,
    /// Nothing was written: the row is another than expected.
    Changed,
    /// Nothing was written: there is no such row.
    Gone,
}

/// Writes and commits when the row that was found (and locked) in `tx` is the expected one.
pub(crate) async fn swapped<T: PartialEq>(
    tx: DatabaseTransaction,
    found: Option<&T>,
    expected: &T,
    write: impl AsyncFnOnce(&DatabaseTransaction) -> Result<()>,
) -> Result<Swapped> {
    match found {
        None => return Ok(Swapped::Gone),
        Some(found) if found != expected => return Ok(Swapped::Changed),
        Some(_) => {}
    }
    write(&tx).await?;
    tx.commit().await?;
    Ok(Swapped::Done)
}
