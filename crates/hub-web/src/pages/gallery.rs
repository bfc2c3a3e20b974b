//! The gallery: pictures, newest first, found by what was asked for.
//!
//! A page is a page of jobs that have pictures, so that the pictures of one request stay together.

mod delete;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{Html, Response},
};
use hub_core::{
    artifact::{Artifact, MediaKind},
    ids::ArtifactId,
    job::Job,
};
use hub_store::JobFilter;
use serde::{Deserialize, Serialize};

use super::{
    Flash, Frame,
    form::{Sent, own_page, picture_page, ticked},
    html, see_other,
    shown::{Moment, PROMPT_SHOWN_CHARS, ShownImage, shorten},
};
use crate::{api, archive, asker::Asker, error::WebError, render::Page, router::App, said, undo::Undo};

#[cfg(test)]
pub(crate) use self::delete::DeletePage;
pub(crate) use self::delete::delete;

/// Jobs per page.
const PAGE_JOBS: u32 = 40;
/// Most pictures that one form changes.
const BULK_MAX: usize = 1000;
/// Longest address that is kept to lead back to.
const BACK_MAX_BYTES: usize = 4096;

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct GalleryPage {
    frame: Frame,
    pictures: Vec<Picture>,
    query: String,
    favourites: bool,
    render_types: Vec<Choice>,
    styles: Vec<Choice>,
    filtered: bool,
    next_path: Option<String>,
    first_path: Option<String>,
    /// This very page, to come back to after a change.
    here: String,
}

#[derive(Debug, Serialize)]
struct Choice {
    name: String,
    title: String,
    chosen: bool,
}

/// One picture with what it came from.
#[derive(Debug, Serialize)]
struct Picture {
    image: ShownImage,
    favourite: bool,
    prompt: String,
    render_type: String,
    created: Moment,
    job_path: String,
    reuse_path: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    q: String,
    render_type: String,
    style: String,
    favourites: String,
    cursor: String,
    done: Option<String>,
    undo: Option<u64>,
}

impl ListQuery {
    fn filter(&self) -> JobFilter {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        JobFilter {
            text: given(&self.q),
            render_type: given(&self.render_type),
            style: given(&self.style),
            favourite: ticked(&self.favourites).then_some(true),
            has_images: Some(true),
            ..JobFilter::default()
        }
    }

    fn is_filtered(&self) -> bool {
        self.filter() != Self::default().filter()
    }

    /// Address of the page after `cursor`, with the same filters.
    fn path(&self, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let pairs = [
            ("q", self.q.trim()),
            ("render_type", &self.render_type),
            ("style", &self.style),
            ("favourites", if ticked(&self.favourites) { "on" } else { "" }),
            ("cursor", cursor),
        ];
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        let query = query.finish();
        if query.is_empty() { "/gallery".to_owned() } else { format!("/gallery?{query}") }
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let cursor = if query.cursor.is_empty() { None } else { Some(api::parse_cursor(&query.cursor)?) };
    let found = app.engine.store().job_list(&query.filter(), cursor, PAGE_JOBS).await?;
    let ids: Vec<_> = found.jobs.iter().map(|job| job.id).collect();
    let mut images = app.engine.store().artifacts_of_many(&ids).await?;
    let now = app.engine.store().clock().now();
    let only_favourites = ticked(&query.favourites);
    let mut pictures = Vec::new();
    for job in &found.jobs {
        let of_job = images.remove(&job.id).unwrap_or_default();
        let shown = of_job
            .iter()
            .filter(|artifact| artifact.kind == MediaKind::Image && (artifact.favourite || !only_favourites));
        pictures.extend(shown.map(|artifact| Picture::of(artifact, job, now)));
    }
    let catalogue = app.engine.catalogue();
    let mut frame = Frame::new("gallery", said!("Gallery"));
    frame.flash = Flash::with_undo(query.done.as_deref(), query.undo);
    html(
        &app,
        &GalleryPage {
            frame,
            pictures,
            favourites: only_favourites,
            render_types: catalogue
                .render_types
                .iter()
                .map(|row| Choice::of(&row.name, &row.title, &query.render_type))
                .collect(),
            styles: catalogue.styles.iter().map(|row| Choice::of(&row.name, &row.name, &query.style)).collect(),
            filtered: query.is_filtered(),
            next_path: found.next.map(|cursor| query.path(&cursor.to_string())),
            first_path: (!query.cursor.is_empty()).then(|| query.path("")),
            here: query.path(&query.cursor),
            query: query.q,
        },
    )
}

/// Ticked pictures, and what is to be done with them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Bulk {
    image: Vec<String>,
    favourite: String,
    back: String,
}

/// Keeps pictures, or no longer. What can be taken back are those that it changed.
pub(crate) async fn favour(State(app): State<App>, Sent(form): Sent<Bulk>) -> Result<Response, WebError> {
    let ids = archive::parse_ids(&form.image[..form.image.len().min(BULK_MAX)])?;
    let keep = ticked(&form.favourite);
    let mut others: Vec<ArtifactId> = Vec::new();
    for id in &ids {
        let known = app.engine.store().artifact_get(*id).await?;
        others.extend(known.filter(|picture| picture.favourite != keep).map(|picture| picture.id));
    }
    let to = |done: &str| picture_page(&form.back, done);
    if app.engine.artifacts_favour(&ids, keep).await? == 0 {
        return Ok(see_other(&to("none-chosen")));
    }
    let done = if keep { "favoured" } else { "unfavoured" };
    let number = if others.is_empty() {
        // A second press changes nothing, and can be taken back as the first one can.
        let same = |kept: &Undo| matches!(kept, Undo::Favour { pictures, favourite } if *favourite != keep && pictures.iter().all(|id| ids.contains(id)));
        app.undos.find(same)
    } else {
        let back = if form.back.len() <= BACK_MAX_BYTES { form.back.as_str() } else { "/gallery" };
        Some(app.undos.keep(Undo::Favour { pictures: others, favourite: !keep }, back))
    };
    Ok(see_other(&to(&number.map_or_else(|| done.to_owned(), |number| format!("{done}&undo={number}")))))
}

/// The ticked pictures as one file.
pub(crate) async fn download(
    State(app): State<App>,
    Asker(caller): Asker,
    Sent(form): Sent<Bulk>,
) -> Result<Response, WebError> {
    let ids = archive::parse_ids(&form.image)?;
    if ids.is_empty() {
        return Ok(see_other(&own_page(&form.back, "/gallery", "/gallery", "none-chosen")));
    }
    Ok(archive::answer(&app, archive::pictures(&app, &caller, &ids).await?))
}

impl Choice {
    fn of(name: &str, title: &str, chosen: &str) -> Self {
        Self { name: name.to_owned(), title: title.to_owned(), chosen: name == chosen }
    }
}

impl Picture {
    fn of(artifact: &Artifact, job: &Job, now: chrono::DateTime<chrono::Utc>) -> Self {
        let prompt = job.request.prompt();
        Self {
            image: ShownImage::of(artifact, prompt),
            favourite: artifact.favourite,
            prompt: prompt.map(|prompt| shorten(prompt, PROMPT_SHOWN_CHARS)).unwrap_or_default(),
            render_type: job.recipe.as_ref().map(|recipe| recipe.render_type.clone()).unwrap_or_default(),
            created: Moment::of(job.times.created_at, now),
            job_path: format!("/jobs/{}", job.id),
            reuse_path: format!("/playground?from={}", job.id),
        }
    }
}

impl Page for GalleryPage {
    const TEMPLATE: &'static str = "pages/gallery.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample;
        let view = sample::view(hub_core::job::JobState::Succeeded);
        let text = || sample::HOSTILE.to_owned();
        Self {
            frame: Frame::new("gallery", said!("Gallery")),
            pictures: vec![Picture::of(&sample::artifact(), &view.job, sample::now())],
            query: text(),
            favourites: true,
            render_types: vec![Choice { name: text(), title: text(), chosen: true }],
            styles: vec![Choice { name: text(), title: text(), chosen: true }],
            filtered: true,
            next_path: Some("/gallery?cursor=1".to_owned()),
            first_path: Some("/gallery".to_owned()),
            here: "/gallery?cursor=0".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_stay_on_the_way_through_the_pages() {
        let query = ListQuery { q: " a fox & hen ".to_owned(), favourites: "on".to_owned(), ..ListQuery::default() };
        assert_eq!(query.path("7.x"), "/gallery?q=a+fox+%26+hen&favourites=on&cursor=7.x");
        assert!(query.is_filtered());
        assert_eq!(ListQuery::default().path(""), "/gallery");
        assert!(!ListQuery::default().is_filtered());
    }
}
