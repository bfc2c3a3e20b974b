//! Switching a style on or off, or making it a default, in its row of the list.

use axum::{
    extract::{Path, State},
    response::Response,
};
use hub_core::catalogue::Style;
use serde::Deserialize;

use super::super::{
    form::{Sent, own_back, own_page, ticked},
    see_other,
};
use crate::{error::WebError, lookup, router::App, undo::Undo};

/// The button that was pressed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Flags {
    enabled: Option<String>,
    is_default: Option<String>,
    /// The list as it was found.
    back: String,
}

pub(crate) async fn set_flags(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<Flags>,
) -> Result<Response, WebError> {
    let known = lookup::style(&app, &id)?;
    let enabled = form.enabled.as_deref().map_or(known.enabled, ticked);
    let is_default = form.is_default.as_deref().map_or(known.is_default, ticked);
    app.engine.style_edit(known.id, |style| Ok(Style { enabled, is_default, ..style.clone() })).await?;
    let done = match (&form.enabled, enabled, is_default) {
        (Some(_), true, _) => "style-on",
        (Some(_), false, _) => "style-off",
        (None, _, true) => "style-default",
        (None, _, false) => "style-no-default",
    };
    let changed = (known.enabled, known.is_default) != (enabled, is_default);
    // A second press changes nothing, and can be taken back as the first one can.
    let same = |kept: &Undo| matches!(kept, Undo::StyleFlags { style, .. } if *style == known.id);
    let again = if changed { None } else { app.undos.find(same) };
    let undo = Undo::StyleFlags { style: known.id, enabled: known.enabled, is_default: known.is_default };
    let number = again.unwrap_or_else(|| app.undos.keep(undo, own_back(&form.back, "/styles")));
    Ok(see_other(&own_page(&form.back, "/styles", "/styles", &format!("{done}&undo={number}"))))
}
