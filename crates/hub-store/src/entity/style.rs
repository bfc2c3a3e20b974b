//! Styles.

use sea_orm::entity::prelude::*;

use hub_core::{catalogue::Style, ids::StyleId};

use crate::{
    decode::{Row, json},
    error::{Result, StoreError},
};

/// One row of `styles`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "styles")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) description: String,
    pub(crate) prompt_template: String,
    pub(crate) negative_template: String,
    pub(crate) render_types: String,
    pub(crate) preferred_render_type: Option<String>,
    pub(crate) is_default: bool,
    pub(crate) enabled: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Style {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self> {
        let at = Row::new("styles", StyleId::from_uuid(row.id));
        Ok(Self {
            id: StyleId::from_uuid(row.id),
            render_types: at.json("render_types", &row.render_types)?,
            name: row.name,
            category: row.category,
            description: row.description,
            prompt_template: row.prompt_template,
            negative_template: row.negative_template,
            preferred_render_type: row.preferred_render_type,
            is_default: row.is_default,
            enabled: row.enabled,
        })
    }
}

impl Model {
    /// The row of a style.
    pub(crate) fn of(style: &Style) -> Result<Self> {
        Ok(Self {
            id: style.id.as_uuid(),
            name: style.name.clone(),
            category: style.category.clone(),
            description: style.description.clone(),
            prompt_template: style.prompt_template.clone(),
            negative_template: style.negative_template.clone(),
            render_types: json("render_types", &style.render_types)?,
            preferred_render_type: style.preferred_render_type.clone(),
            is_default: style.is_default,
            enabled: style.enabled,
        })
    }
}
