//! Showing or hiding a render type, or making it the default of its tool, in its row of the list.

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
    visible: Option<String>,
    is_default: Option<String>,
}

pub(crate) async fn set_flags(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<Flags>,
) -> Result<Response, WebError> {
    let known = lookup::render_type(&app, &id)?;
    let (listed, is_default) = (form.visible.as_deref().map(ticked), form.is_default.as_deref().map(ticked));
    let switches = Switches { listed, is_default };
    // A tool has one default: the one before is to come back.
    let default_before = app.engine.catalogue().default_for(known.mode).map(|row| row.id);
    app.engine.render_type_edit(known.id, |now| Ok(switches.of_render_type(now))).await?;
    let (done, state) = match listed {
        Some(true) => ("render-type-shown", "shown"),
        Some(false) => ("render-type-hidden", "hidden"),
        None => ("render-type-default", "default"),
    };
    let (changed, inverse) = (switches.of_render_type(&known) != known, switches.inverse());
    let undo = Undo::RenderTypeFlags {
        row: known.id,
        switches: inverse,
        default_before: default_before.filter(|before| *before != known.id && is_default == Some(true)),
    };
    // All but the default before, which a second press no longer finds.
    let same = |kept: &Undo| match kept {
        Undo::RenderTypeFlags { row, switches, .. } => (*row, *switches) == (known.id, inverse),
        _ => false,
    };
    let back = Back::page("/render-types");
    let number = app.undos.keep_once(undo, changed, same, &back);
    Ok(about(see_other(&back.with_undo(done, number)), format!("{}: {state}", known.name)))
}
