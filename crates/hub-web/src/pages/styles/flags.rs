//! Switching a style on or off, or making it a default, in its row of the list.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;

use super::super::{
    back::Back,
    form::{Sent, ticked},
    see_other,
};
use crate::{
    audit::about,
    error::WebError,
    lookup,
    router::App,
    undo::{Switches, Undo},
};

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
    let (listed, is_default) = (form.enabled.as_deref().map(ticked), form.is_default.as_deref().map(ticked));
    let switches = Switches { listed, is_default };
    app.engine.style_edit(known.id, |now| Ok(switches.of_style(now))).await?;
    let (done, state) = match (listed, is_default) {
        (Some(true), _) => ("style-on", "on"),
        (Some(false), _) => ("style-off", "off"),
        (None, Some(true)) => ("style-default", "default"),
        (None, _) => ("style-no-default", "no default"),
    };
    let undo = Undo::StyleFlags { style: known.id, switches: switches.inverse() };
    let (changed, same) = (switches.of_style(&known) != known, undo.clone());
    let back = Back::to(&form.back, "/styles");
    let number = app.undos.keep_once(undo, changed, |kept| *kept == same, &back);
    Ok(about(see_other(&back.with_undo(done, number)), format!("{}: {state}", known.name)))
}
