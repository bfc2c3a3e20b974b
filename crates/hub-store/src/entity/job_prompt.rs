//! What was asked, for searches.

use sea_orm::entity::prelude::*;

/// One row of `job_prompts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job_prompts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) created_at: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) job_id: Uuid,
    /// In lower case.
    pub(crate) prompt: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
