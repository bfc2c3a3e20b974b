//! Who gave an input picture.

use sea_orm::entity::prelude::*;

/// One row of `artifact_owners`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "artifact_owners")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) artifact_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) caller: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
