//! LLM servers.

use sea_orm::entity::prelude::*;

use hub_core::{
    ids::LlmServerId,
    server::{LlmServer, SecretSource},
};

use crate::{
    decode::Row,
    error::{Result, StoreError},
};

/// One row of `llm_servers`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "llm_servers")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) dialect: String,
    pub(crate) api_key: Option<String>,
    pub(crate) gpu: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for LlmServer {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("llm_servers", LlmServerId::from_uuid(row.id));
        Ok(Self {
            id: LlmServerId::from_uuid(row.id),
            base_url: at.name("base_url", &row.base_url)?,
            dialect: at.name("dialect", &row.dialect)?,
            api_key: row.api_key.map(SecretSource::from),
            gpu: row.gpu,
            name: row.name,
            enabled: row.enabled,
        })
    }
}
