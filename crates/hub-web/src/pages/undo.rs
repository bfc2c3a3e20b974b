//! Takes back what was just done.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use super::{form::Sent, see_other};
use crate::{
    audit::{about, nothing_done},
    error::WebError,
    router::App,
    said,
    undo::Undo,
};

/// Which change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    number: String,
}

pub(crate) async fn apply(State(app): State<App>, Sent(which): Sent<Which>) -> Result<Response, WebError> {
    let Some(entry) = which.number.parse().ok().and_then(|number| app.undos.take(number)) else {
        return Err(WebError::request(
            StatusCode::CONFLICT,
            String::from(said!(
                "That can no longer be taken back by a click: it was taken back already, or it is too long ago."
            )),
        ));
    };
    if let Err(error) = entry.undo.apply(&app.engine).await {
        // What it brings back may be nowhere else.
        app.undos.put_back(entry);
        return Err(error.into());
    }
    let response = see_other(&entry.back.with("undone"));
    // What is not written down when it is done is not when it is taken back.
    let is_work = matches!(entry.undo, Undo::Move(_) | Undo::Favour { .. });
    Ok(if is_work { nothing_done(response) } else { about(response, entry.undo.subject(&app.engine)) })
}
