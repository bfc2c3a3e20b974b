//! Deleting pictures: first shown once more, then done.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use hub_core::ids::ArtifactId;
use serde::{Deserialize, Serialize};

use super::super::{
    Frame,
    back::Back,
    form::{Sent, ticked},
    html, see_other,
    shown::ShownImage,
};
use crate::{
    audit::{about_some, nothing_done},
    error::WebError,
    render::Page,
    router::App,
    said,
};

/// Pictures shown before they go; of more only the number is told.
const SHOWN_MAX: usize = 24;

/// What is asked before anything goes.
#[derive(Debug, Serialize)]
pub(crate) struct DeletePage {
    frame: Frame,
    shown: Vec<ShownImage>,
    more: usize,
    ids: Vec<String>,
    favourites: usize,
    /// Where it leads back to, whether anything is deleted or not.
    leave_path: String,
}

/// The ticked pictures, once, then with `sure`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Doomed {
    image: Vec<String>,
    back: String,
    sure: String,
    /// Favourites as well.
    favourites: String,
}

pub(crate) async fn delete(State(app): State<App>, Sent(form): Sent<Doomed>) -> Result<Response, WebError> {
    let mut ids: Vec<ArtifactId> = Vec::new();
    for image in form.image.iter().take(super::BULK_MAX) {
        ids.push(image.parse().map_err(|_| WebError::missing("picture", image))?);
    }
    let back = Back::to_pictures(&form.back);
    if ids.is_empty() {
        return Ok(nothing_done(see_other(&back.with("none-chosen"))));
    }
    if !ticked(&form.sure) {
        return Ok(nothing_done(html(&app, &ask(&app, &ids, &back).await?)?.into_response()));
    }
    let outcome = app.engine.artifacts_delete(&ids, ticked(&form.favourites)).await?;
    let stayed = !outcome.favourites.is_empty() || !outcome.in_use.is_empty();
    let done = match (outcome.deleted.is_empty(), stayed) {
        (true, _) => "pictures-stay",
        (false, true) => "pictures-deleted-some",
        (false, false) => "pictures-deleted",
    };
    Ok(about_some(see_other(&back.with(done)), outcome.deleted.len(), "picture"))
}

async fn ask(app: &App, ids: &[ArtifactId], back: &Back) -> Result<DeletePage, WebError> {
    let (mut shown, mut favourites, mut found) = (Vec::new(), 0, Vec::new());
    for id in ids {
        // What is gone already needs no asking.
        let Some(artifact) = app.engine.store().artifact_get(*id).await? else { continue };
        favourites += usize::from(artifact.favourite);
        if shown.len() < SHOWN_MAX {
            shown.push(ShownImage::of(&artifact, None));
        }
        found.push(id.to_string());
    }
    Ok(DeletePage {
        frame: Frame::new("gallery", said!("Delete pictures")),
        more: found.len() - shown.len(),
        shown,
        ids: found,
        favourites,
        leave_path: back.path().to_owned(),
    })
}

impl Page for DeletePage {
    const TEMPLATE: &'static str = "pages/delete_pictures.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::super::shown::sample;
        Self {
            frame: Frame::new("gallery", said!("Delete pictures")),
            shown: vec![ShownImage::of(&sample::artifact(), Some(sample::HOSTILE))],
            more: 2,
            ids: vec!["img_1".to_owned()],
            favourites: 1,
            leave_path: format!("/gallery?q={}", sample::HOSTILE),
        }
    }
}
