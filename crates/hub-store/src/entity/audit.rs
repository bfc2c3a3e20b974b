//! What was done by whom.

use sea_orm::entity::prelude::*;

use hub_core::ids::AuditId;

use crate::{
    audit::AuditEntry,
    decode::Row,
    error::{Result, StoreError},
};

/// One row of `audit_log`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) created_at: i64,
    pub(crate) actor: String,
    pub(crate) act: String,
    pub(crate) subject: Option<String>,
    pub(crate) address: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("audit_log", AuditId::from_uuid(row.id));
        Ok(Self {
            id: AuditId::from_uuid(row.id),
            at: at.time("created_at", row.created_at)?,
            actor: row.actor,
            act: row.act,
            subject: row.subject,
            address: row.address,
        })
    }
}
