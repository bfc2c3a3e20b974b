//! What callers can choose from, and the settings.

use sea_orm_migration::prelude::*;

use super::{key, optional, required, table_with_id};

/// Versions of workflows; rows never change.
pub(super) fn workflows() -> TableCreateStatement {
    table_with_id("workflows")
        .col(required("name").text())
        .col(required("version").big_integer())
        .col(required("graph").text())
        .col(required("slots").text())
        .col(required("description").text())
        .col(required("created_at").big_integer())
        .take()
}

pub(super) fn render_types() -> TableCreateStatement {
    table_with_id("render_types")
        .col(required("name").text())
        .col(required("title").text())
        .col(required("description").text())
        .col(required("workflow").text())
        .col(optional("workflow_version").big_integer())
        .col(required("mode").text())
        .col(required("visible").boolean())
        .col(required("is_default").boolean())
        .col(required("sizes").text())
        .col(required("limits").text())
        .col(required("defaults").text())
        .col(required("prompt_guide").text())
        .col(required("prompt_examples").text())
        .take()
}

pub(super) fn styles() -> TableCreateStatement {
    table_with_id("styles")
        .col(required("name").text())
        .col(required("category").text())
        .col(required("description").text())
        .col(required("prompt_template").text())
        .col(required("negative_template").text())
        .col(required("render_types").text())
        .col(optional("preferred_render_type").text())
        .col(required("is_default").boolean())
        .col(required("enabled").boolean())
        .take()
}

/// One JSON value per key.
pub(super) fn settings() -> TableCreateStatement {
    Table::create()
        .table("settings")
        .col(required("key").text().primary_key())
        .col(required("value").text())
        .col(required("updated_at").big_integer())
        .take()
}

pub(super) fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        key("workflows_name_version", "workflows", &["name", "version"]),
        key("render_types_name_key", "render_types", &["name"]),
        key("render_types_default", "render_types", &["mode"]).and_where(Expr::col("is_default")).take(),
        key("styles_name_key", "styles", &["name"]),
    ]
}
