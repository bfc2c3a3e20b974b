//! What was done by whom. Rows are added and read, never changed.

use chrono::{DateTime, Utc};
use hub_core::ids::AuditId;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{decode::plain, entity::audit, error::Result, pool::Store};

/// Most entries of one page.
const PAGE_MAX_ROWS: u32 = 500;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id; later acts have greater ones.
    pub id: AuditId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What, e.g. `POST /api/v1/servers`.
    pub act: String,
    /// On what, by its name.
    pub subject: Option<String>,
    /// From which address.
    pub address: Option<String>,
}

/// One page of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Entries before this one are on the next page; `None` on the last one.
    pub next: Option<AuditId>,
}

impl Store {
    /// Writes an act down, as of now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_add(&self, actor: &str, act: &str, subject: Option<&str>, address: Option<&str>) -> Result<()> {
        let text = |text: &str| plain(text).into_owned();
        let row = audit::ActiveModel {
            id: Set(AuditId::new().as_uuid()),
            created_at: Set(self.now_ms()),
            actor: Set(text(actor)),
            act: Set(text(act)),
            subject: Set(subject.map(text)),
            address: Set(address.map(text)),
        };
        audit::Entity::insert(row).exec_without_returning(self.writer()).await?;
        Ok(())
    }

    /// A page of the log, newest first, before an entry or from the newest on.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn audit_list(&self, limit: u32, before: Option<AuditId>) -> Result<AuditPage> {
        let limit = limit.clamp(1, PAGE_MAX_ROWS);
        let mut query = audit::Entity::find();
        if let Some(before) = before {
            // Ids are ordered by the time of their making.
            query = query.filter(audit::Column::Id.lt(before.as_uuid()));
        }
        let rows = query.order_by_desc(audit::Column::Id).limit(u64::from(limit) + 1).all(self.reader()).await?;
        let mut entries = rows.into_iter().map(AuditEntry::try_from).collect::<Result<Vec<_>>>()?;
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let next = entries.last().map(|entry| entry.id).filter(|_| more);
        Ok(AuditPage { entries, next })
    }
}
