//! What an administrator says about a server and a workflow.

use sea_orm::entity::prelude::*;

/// One row of `server_overrides`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "server_overrides")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) server_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) workflow: String,
    pub(crate) compatible: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
