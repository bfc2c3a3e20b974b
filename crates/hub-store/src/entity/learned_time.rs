//! What was learned of run and load times.

use hub_core::ids::ServerId;
use sea_orm::entity::prelude::*;

use crate::{
    decode::Row,
    error::{Result, StoreError},
    learned_times::LearnedTime,
};

/// One row of `learned_times`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "learned_times")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) what: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) subject: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) server_id: Uuid,
    pub(crate) value: f64,
    pub(crate) samples: i64,
    pub(crate) updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for LearnedTime {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let server = ServerId::from_uuid(row.server_id);
        let at = Row::new("learned_times", format!("{}/{}/{server}", row.what, row.subject));
        Ok(Self {
            samples: at.number("samples", row.samples)?,
            value: row.value,
            what: row.what,
            subject: row.subject,
            server,
        })
    }
}
