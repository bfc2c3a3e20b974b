//! ComfyUI servers.

use sea_orm::entity::prelude::*;

use hub_core::{ids::ServerId, server::Server};

use crate::{
    decode::{Row, json, ms},
    error::{Result, StoreError},
};

/// One row of `servers`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "servers")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) auth: String,
    pub(crate) origin: Option<String>,
    pub(crate) ca: Option<String>,
    pub(crate) weight: f64,
    pub(crate) group_name: Option<String>,
    pub(crate) gpu: Option<String>,
    pub(crate) max_in_flight: i64,
    pub(crate) run_limit_s: i64,
    pub(crate) stall_limit_s: i64,
    pub(crate) enabled: bool,
    pub(crate) draining: bool,
    pub(crate) created_at: i64,
    pub(crate) deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Server {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("servers", ServerId::from_uuid(row.id));
        Ok(Self {
            id: ServerId::from_uuid(row.id),
            base_url: at.name("base_url", &row.base_url)?,
            auth: at.json("auth", &row.auth)?,
            max_in_flight: at.number("max_in_flight", row.max_in_flight)?,
            run_limit_s: at.number("run_limit_s", row.run_limit_s)?,
            stall_limit_s: at.number("stall_limit_s", row.stall_limit_s)?,
            ca: row.ca.map(|ca| at.name("ca", &ca)).transpose()?,
            created_at: at.time("created_at", row.created_at)?,
            name: row.name,
            origin: row.origin,
            weight: row.weight,
            group: row.group_name,
            gpu: row.gpu,
            enabled: row.enabled,
            draining: row.draining,
        })
    }
}

impl Model {
    /// The row of a server that is not deleted.
    pub(crate) fn of(server: &Server) -> Result<Self> {
        Ok(Self {
            id: server.id.as_uuid(),
            name: server.name.clone(),
            base_url: server.base_url.to_string(),
            auth: json("auth", &server.auth)?,
            origin: server.origin.clone(),
            ca: server.ca.clone().map(String::from),
            weight: server.weight,
            group_name: server.group.clone(),
            gpu: server.gpu.clone(),
            max_in_flight: server.max_in_flight.into(),
            run_limit_s: server.run_limit_s.into(),
            stall_limit_s: server.stall_limit_s.into(),
            enabled: server.enabled,
            draining: server.draining,
            created_at: ms(server.created_at),
            deleted_at: None,
        })
    }
}
