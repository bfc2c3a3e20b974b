//! Attempts.

use sea_orm::entity::prelude::*;

use hub_core::{
    ids::{JobId, PromptId, ServerId},
    job::Attempt,
};

use crate::{
    attempts::AttemptRow,
    decode::Row,
    error::{Result, StoreError},
};

/// One row of `attempts`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) job_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) number: i64,
    pub(crate) server_id: Uuid,
    pub(crate) prompt_id: Uuid,
    pub(crate) created_at: i64,
    pub(crate) ended_at: Option<i64>,
    pub(crate) outcome: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) loaded: Option<bool>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for AttemptRow {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("attempts", format!("{}/{}", JobId::from_uuid(row.job_id), row.number));
        Ok(Self {
            attempt: Attempt {
                number: at.number("number", row.number)?,
                server: ServerId::from_uuid(row.server_id),
                prompt_id: PromptId::from_uuid(row.prompt_id),
            },
            created_at: at.time("created_at", row.created_at)?,
            ended_at: at.time_opt("ended_at", row.ended_at)?,
            error: at.json_opt("error", row.error.as_deref())?,
            outcome: row.outcome,
            loaded: row.loaded,
        })
    }
}
