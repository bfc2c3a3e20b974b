//! Takes back what was just done.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use super::{
    form::{Sent, own_page},
    see_other,
};
use crate::{error::WebError, router::App};

/// Pages with changes that can be taken back.
const PAGES: [&str; 4] = ["/gallery", "/servers", "/styles", "/render-types"];

/// Which change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    number: String,
}

pub(crate) async fn apply(State(app): State<App>, Sent(which): Sent<Which>) -> Result<Response, WebError> {
    let found = which.number.parse().ok().and_then(|number| app.undos.take(number));
    let Some((undo, back)) = found else {
        return Err(WebError::request(
            StatusCode::CONFLICT,
            "That can no longer be taken back by a click: it was taken back already, or it is too long ago.",
        ));
    };
    undo.apply(&app.engine).await?;
    // Where it was done is a page with what is shown there, or nothing that a browser may be sent to.
    let base = PAGES.into_iter().find(|page| back.starts_with(page)).unwrap_or(PAGES[0]);
    Ok(see_other(&own_page(&back, base, base, "undone")))
}
