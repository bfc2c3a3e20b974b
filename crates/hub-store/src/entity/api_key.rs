//! Keys of programs.

use sea_orm::entity::prelude::*;

use hub_core::{access::ApiKey, ids::KeyId};

use crate::{
    decode::Row,
    error::{Result, StoreError},
};

/// One row of `api_keys`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) hash: String,
    pub(crate) rights: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for ApiKey {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("api_keys", KeyId::from_uuid(row.id));
        Ok(Self {
            id: KeyId::from_uuid(row.id),
            rights: at.json("rights", &row.rights)?,
            created_at: at.time("created_at", row.created_at)?,
            expires_at: at.time_opt("expires_at", row.expires_at)?,
            last_used_at: at.time_opt("last_used_at", row.last_used_at)?,
            revoked_at: at.time_opt("revoked_at", row.revoked_at)?,
            name: row.name,
            prefix: row.prefix,
        })
    }
}
