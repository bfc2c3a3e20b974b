//! Showing or hiding a render type, or making it the default of its tool, in its row of the list.

use axum::{
    extract::{Path, State},
    response::Response,
};
use hub_core::catalogue::RenderType;
use serde::Deserialize;

use super::super::{
    form::{Sent, ticked},
    see_other,
};
use crate::{error::WebError, lookup, router::App, undo::Undo};

/// The button that was pressed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Flags {
    visible: Option<String>,
    is_default: Option<String>,
}

pub(crate) async fn set_flags(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<Flags>,
) -> Result<Response, WebError> {
    let known = lookup::render_type(&app, &id)?;
    let visible = form.visible.as_deref().map_or(known.visible, ticked);
    let is_default = form.is_default.as_deref().map_or(known.is_default, ticked);
    // A tool has one default: the one before is to come back.
    let default_before = app.engine.catalogue().default_for(known.mode).map(|row| row.id);
    app.engine.render_type_edit(known.id, |row| Ok(RenderType { visible, is_default, ..row.clone() })).await?;
    let done = match (&form.visible, visible) {
        (Some(_), true) => "render-type-shown",
        (Some(_), false) => "render-type-hidden",
        (None, _) => "render-type-default",
    };
    let changed = (known.visible, known.is_default) != (visible, is_default);
    // A second press changes nothing, and can be taken back as the first one can.
    let same = |kept: &Undo| matches!(kept, Undo::RenderTypeFlags { row, .. } if *row == known.id);
    let again = if changed { None } else { app.undos.find(same) };
    let undo = Undo::RenderTypeFlags {
        row: known.id,
        visible: known.visible,
        is_default: known.is_default,
        default_before: default_before.filter(|before| *before != known.id && is_default),
    };
    let number = again.unwrap_or_else(|| app.undos.keep(undo, "/render-types"));
    Ok(see_other(&format!("/render-types?done={done}&undo={number}")))
}
