//! Versions of workflows.

use sea_orm::entity::prelude::*;

use hub_core::{catalogue::Workflow, ids::WorkflowId};

use crate::{
    decode::Row,
    error::{Result, StoreError},
};

/// One row of `workflows`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "workflows")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) graph: String,
    pub(crate) slots: String,
    pub(crate) description: String,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Workflow {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("workflows", WorkflowId::from_uuid(row.id));
        Ok(Self {
            id: WorkflowId::from_uuid(row.id),
            version: at.number("version", row.version)?,
            graph: at.json("graph", &row.graph)?,
            slots: at.json("slots", &row.slots)?,
            name: row.name,
            description: row.description,
        })
    }
}
