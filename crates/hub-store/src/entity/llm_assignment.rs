//! Which LLM server serves a role.

use sea_orm::entity::prelude::*;

use hub_core::{ids::LlmServerId, server::LlmAssignment};

/// One row of `llm_assignments`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "llm_assignments")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) role: String,
    pub(crate) server_id: Uuid,
    /// The model. (A field `model` of a struct that must be called `Model` reads badly.)
    #[sea_orm(column_name = "model")]
    pub(crate) llm: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for LlmAssignment {
    fn from(row: Model) -> Self {
        Self { server: LlmServerId::from_uuid(row.server_id), model: row.llm }
    }
}
