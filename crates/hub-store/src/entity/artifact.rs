//! Stored files.

use sea_orm::entity::prelude::*;

use hub_core::{
    artifact::Artifact,
    ids::{ArtifactId, JobId},
};

use crate::{
    decode::{Row, bytes, ms, name},
    error::{Result, StoreError},
};

/// One row of `artifacts`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "artifacts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) job_id: Option<Uuid>,
    pub(crate) role: String,
    pub(crate) kind: String,
    pub(crate) mime: String,
    pub(crate) extension: String,
    pub(crate) sha256: String,
    pub(crate) size_bytes: i64,
    pub(crate) width_px: i64,
    pub(crate) height_px: i64,
    pub(crate) seed: Option<i64>,
    pub(crate) position: i64,
    pub(crate) node: Option<String>,
    pub(crate) favourite: bool,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Artifact {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("artifacts", ArtifactId::from_uuid(row.id));
        Ok(Self {
            id: ArtifactId::from_uuid(row.id),
            job: row.job_id.map(JobId::from_uuid),
            role: at.name("role", &row.role)?,
            kind: at.name("kind", &row.kind)?,
            size_bytes: at.number("size_bytes", row.size_bytes)?,
            width_px: at.number("width_px", row.width_px)?,
            height_px: at.number("height_px", row.height_px)?,
            seed: row.seed.map(i64::cast_unsigned),
            position: at.number("position", row.position)?,
            favourite: row.favourite,
            created_at: at.time("created_at", row.created_at)?,
            mime: row.mime,
            extension: row.extension,
            sha256: row.sha256,
            node: row.node,
        })
    }
}

impl Model {
    /// The row of an artifact. A seed keeps its 64 bits and only changes its sign.
    pub(crate) fn of(artifact: &Artifact) -> Result<Self> {
        Ok(Self {
            id: artifact.id.as_uuid(),
            job_id: artifact.job.map(JobId::as_uuid),
            role: name("role", &artifact.role)?,
            kind: name("kind", &artifact.kind)?,
            mime: artifact.mime.clone(),
            extension: artifact.extension.clone(),
            sha256: artifact.sha256.clone(),
            size_bytes: bytes(artifact.size_bytes),
            width_px: artifact.width_px.into(),
            height_px: artifact.height_px.into(),
            seed: artifact.seed.map(u64::cast_signed),
            position: artifact.position.into(),
            node: artifact.node.clone(),
            favourite: artifact.favourite,
            created_at: ms(artifact.created_at),
        })
    }
}
