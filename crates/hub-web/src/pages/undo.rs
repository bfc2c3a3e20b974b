//! Takes back what was just done.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use super::{
    form::{Sent, own_page, picture_page},
    see_other,
};
use crate::{audit::Subject, error::WebError, router::App, said};

/// Pages with changes that can be taken back, besides those with pictures.
const PAGES: [&str; 3] = ["/servers", "/styles", "/render-types"];

/// Which change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    number: String,
}

pub(crate) async fn apply(State(app): State<App>, Sent(which): Sent<Which>) -> Result<Response, WebError> {
    let found = which.number.parse().ok().and_then(|number| Some((number, app.undos.take(number)?)));
    let Some((number, (undo, back))) = found else {
        return Err(WebError::request(
            StatusCode::CONFLICT,
            String::from(said!(
                "That can no longer be taken back by a click: it was taken back already, or it is too long ago."
            )),
        ));
    };
    if let Err(error) = undo.apply(&app.engine).await {
        // What it brings back may be nowhere else.
        app.undos.put_back(number, undo, back);
        return Err(error.into());
    }
    // Where it was done is a page with what is shown there, or nothing that a browser may be sent to.
    let to = match PAGES.into_iter().find(|page| back.starts_with(page)) {
        Some(base) => own_page(&back, base, base, "undone"),
        None => picture_page(&back, "undone"),
    };
    let mut response = see_other(&to);
    response.extensions_mut().insert(Subject(undo.subject()));
    Ok(response)
}
