//! Render types.

use sea_orm::entity::prelude::*;

use hub_core::{catalogue::RenderType, ids::RenderTypeId};

use crate::{
    decode::{Row, json},
    error::{Result, StoreError},
};

/// One row of `render_types`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "render_types")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) workflow: String,
    pub(crate) workflow_version: Option<i64>,
    pub(crate) mode: String,
    pub(crate) visible: bool,
    pub(crate) is_default: bool,
    pub(crate) sizes: String,
    pub(crate) limits: String,
    pub(crate) defaults: String,
    pub(crate) prompt_guide: String,
    pub(crate) prompt_examples: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for RenderType {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("render_types", RenderTypeId::from_uuid(row.id));
        Ok(Self {
            id: RenderTypeId::from_uuid(row.id),
            workflow_version: row.workflow_version.map(|n| at.number("workflow_version", n)).transpose()?,
            mode: at.name("mode", &row.mode)?,
            sizes: at.json("sizes", &row.sizes)?,
            limits: at.json("limits", &row.limits)?,
            defaults: at.json("defaults", &row.defaults)?,
            prompt_examples: at.json("prompt_examples", &row.prompt_examples)?,
            name: row.name,
            title: row.title,
            description: row.description,
            workflow: row.workflow,
            visible: row.visible,
            is_default: row.is_default,
            prompt_guide: row.prompt_guide,
        })
    }
}

impl Model {
    /// The row of a render type.
    pub(crate) fn of(render_type: &RenderType) -> Result<Self> {
        Ok(Self {
            id: render_type.id.as_uuid(),
            name: render_type.name.clone(),
            title: render_type.title.clone(),
            description: render_type.description.clone(),
            workflow: render_type.workflow.clone(),
            workflow_version: render_type.workflow_version.map(i64::from),
            mode: render_type.mode.as_str().to_owned(),
            visible: render_type.visible,
            is_default: render_type.is_default,
            sizes: json("sizes", &render_type.sizes)?,
            limits: json("limits", &render_type.limits)?,
            defaults: json("defaults", &render_type.defaults)?,
            prompt_guide: render_type.prompt_guide.clone(),
            prompt_examples: json("prompt_examples", &render_type.prompt_examples)?,
        })
    }
}
