//! Showing or hiding a render type, or making it the default of its tool, in its row of the list.

use axum::{
    extract::{Path, State},
    response::Response,
};
use hub_core::catalogue::RenderType;
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
    visible: Option<String>,
    is_default: Option<String>,
}

pub(crate) async fn set_flags(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<Flags>,
) -> Result<Response, WebError> {
    let known = lookup::render_type(&app, &id)?;
    let (visible, is_default) = (form.visible.as_deref().map(ticked), form.is_default.as_deref().map(ticked));
    // A tool has one default: the one before is to come back.
    let default_before = app.engine.catalogue().default_for(known.mode).map(|row| row.id);
    // What was not pressed stays as it is by now.
    let edit = |now: &RenderType| {
        let (visible, is_default) = (visible.unwrap_or(now.visible), is_default.unwrap_or(now.is_default));
        Ok(RenderType { visible, is_default, ..now.clone() })
    };
    app.engine.render_type_edit(known.id, edit).await?;
    let (done, state) = match visible {
        Some(true) => ("render-type-shown", "shown"),
        Some(false) => ("render-type-hidden", "hidden"),
        None => ("render-type-default", "default"),
    };
    let changed = visible.is_some_and(|on| on != known.visible) || is_default.is_some_and(|on| on != known.is_default);
    let (was_visible, was_default) = (visible.map(|on| !on), is_default.map(|on| !on));
    let undo = Undo::RenderTypeFlags {
        row: known.id,
        visible: was_visible,
        is_default: was_default,
        default_before: default_before.filter(|before| *before != known.id && is_default == Some(true)),
    };
    // All but the default before, which a second press no longer finds.
    let same = |kept: &Undo| match kept {
        Undo::RenderTypeFlags { row, visible, is_default, .. } => {
            (*row, *visible, *is_default) == (known.id, was_visible, was_default)
        }
        _ => false,
    };
    let back = Back::page("/render-types");
    let number = app.undos.keep_once(undo, changed, same, &back);
    Ok(about(see_other(&back.with_undo(done, number)), format!("{}: {state}", known.name)))
}
