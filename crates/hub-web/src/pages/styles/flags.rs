//! Switching a style on or off, or making it a default, in its row of the list.

use axum::{
    extract::{Path, State},
    response::Response,
};
use hub_core::catalogue::Style;
use serde::Deserialize;

use super::super::{
    back::Back,
    form::{Sent, ticked},
    see_other,
};
use crate::{audit::about, error::WebError, lookup, router::App, undo::Undo};

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
    let (enabled, is_default) = (form.enabled.as_deref().map(ticked), form.is_default.as_deref().map(ticked));
    // What was not pressed stays as it is by now.
    let edit = |now: &Style| {
        let (enabled, is_default) = (enabled.unwrap_or(now.enabled), is_default.unwrap_or(now.is_default));
        Ok(Style { enabled, is_default, ..now.clone() })
    };
    app.engine.style_edit(known.id, edit).await?;
    let (done, state) = match (enabled, is_default) {
        (Some(true), _) => ("style-on", "on"),
        (Some(false), _) => ("style-off", "off"),
        (None, Some(true)) => ("style-default", "default"),
        (None, _) => ("style-no-default", "no default"),
    };
    let changed = enabled.is_some_and(|on| on != known.enabled) || is_default.is_some_and(|on| on != known.is_default);
    let undo =
        Undo::StyleFlags { style: known.id, enabled: enabled.map(|on| !on), is_default: is_default.map(|on| !on) };
    let same = undo.clone();
    let back = Back::to(&form.back, "/styles");
    let number = app.undos.keep_once(undo, changed, |kept| *kept == same, &back);
    Ok(about(see_other(&back.with_undo(done, number)), format!("{}: {state}", known.name)))
}
