//! Who is logged in. Rows are found by a token's hash; the token itself is never here.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter};

use crate::{
    admins::AdminId,
    decode::{Row, ms},
    entity::session,
    error::Result,
    pool::Store,
};

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Account that is logged in.
    pub admin: AdminId,
    /// When it logged in.
    pub created_at: DateTime<Utc>,
    /// When it last asked for something.
    pub seen_at: DateTime<Utc>,
}

impl Store {
    /// Begins a session.
    ///
    /// # Errors
    /// When the database fails, or the account is gone.
    pub async fn session_insert(&self, token_hash: &str, admin: AdminId) -> Result<()> {
        let now = self.now_ms();
        let row = session::ActiveModel {
            token_hash: Set(token_hash.to_owned()),
            admin_id: Set(admin.0),
            created_at: Set(now),
            seen_at: Set(now),
        };
        session::Entity::insert(row).exec_without_returning(self.writer()).await?;
        Ok(())
    }

    /// The session of a token.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn session_get(&self, token_hash: &str) -> Result<Option<SessionRow>> {
        let Some(row) = session::Entity::find_by_id(token_hash).one(self.reader()).await? else { return Ok(None) };
        // The hash is no secret, but nothing that is worth printing either.
        let at = Row::new("sessions", row.admin_id);
        Ok(Some(SessionRow {
            admin: AdminId(row.admin_id),
            created_at: at.time("created_at", row.created_at)?,
            seen_at: at.time("seen_at", row.seen_at)?,
        }))
    }

    /// Notes that a session asked for something now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_seen(&self, token_hash: &str) -> Result<()> {
        let change =
            session::ActiveModel { seen_at: Set(self.now_ms()), ..<session::ActiveModel as Default>::default() };
        session::Entity::update_many()
            .set(change)
            .filter(session::Column::TokenHash.eq(token_hash))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_delete(&self, token_hash: &str) -> Result<()> {
        session::Entity::delete_by_id(token_hash).exec(self.writer()).await?;
        Ok(())
    }

    /// Forgets sessions that began before `begun` or asked for nothing since `seen`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions_forget(&self, begun: DateTime<Utc>, seen: DateTime<Utc>) -> Result<()> {
        let old = session::Column::CreatedAt.lt(ms(begun)).or(session::Column::SeenAt.lt(ms(seen)));
        session::Entity::delete_many().filter(old).exec(self.writer()).await?;
        Ok(())
    }
}
