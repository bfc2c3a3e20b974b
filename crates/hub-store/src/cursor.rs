//! Where a page of a newest-first list ended.

use std::{fmt, str::FromStr};

use sea_orm::{ColumnTrait, ExprTrait, sea_query::Expr};
use uuid::Uuid;

/// The last row of a page, as opaque text for callers: the next page begins after it. Rows that are
/// added or removed meanwhile neither repeat nor hide others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCursor {
    /// Time of that row, in milliseconds since 1970.
    pub(crate) created_at_ms: i64,
    /// Its id, which orders rows of one millisecond.
    pub(crate) id: Uuid,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no page cursor; give the `next` of an earlier page, or none for the first page")]
pub struct InvalidCursor;

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at_ms, self.id.simple())
    }
}

impl FromStr for PageCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (time, id) = text.split_once('.').ok_or(InvalidCursor)?;
        Ok(Self {
            created_at_ms: time.parse().map_err(|_| InvalidCursor)?,
            id: Uuid::try_parse(id).map_err(|_| InvalidCursor)?,
        })
    }
}

/// The condition that rows lie after a cursor in a newest-first list.
pub(crate) fn after<C: ColumnTrait>(cursor: PageCursor, created_at: C, id: C) -> Expr {
    Expr::tuple([Expr::col(created_at.as_column_ref()), Expr::col(id.as_column_ref())])
        .lt(Expr::tuple([Expr::value(cursor.created_at_ms), Expr::value(cursor.id)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_and_nonsense_is_refused() {
        let cursor = PageCursor { created_at_ms: 1_795_000_000_123, id: Uuid::now_v7() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", ".", "1.", "x.0198", "1795000000123", "1.zz"] {
            assert_eq!(text.parse::<PageCursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
