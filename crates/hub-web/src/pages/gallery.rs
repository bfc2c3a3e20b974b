//! The gallery: pictures, newest first, found by what was asked for.
//!
//! A page is a page of jobs that have pictures, so that the pictures of one request stay together.

mod delete;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use hub_core::{
    artifact::{Artifact, MediaKind},
    error::UserError,
    ids::ArtifactId,
    job::Job,
};
use hub_store::{JobFilter, PageCursor};
use serde::{Deserialize, Serialize};

use super::{
    Flash, Frame,
    back::Back,
    form::{Fault, Sent, refused, ticked},
    html,
    jobs::filter::{Choices, ListQuery as Typed, fault_of},
    see_other,
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

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct GalleryPage {
    frame: Frame,
    pictures: Vec<Picture>,
    typed: Typed,
    favourites: bool,
    #[serde(flatten)]
    choices: Choices,
    fault: Option<Fault>,
    filtered: bool,
    next_path: Option<String>,
    /// How far back was looked, when the search's time was over before the page was full.
    searched_to: Option<Moment>,
    first_path: Option<String>,
    /// This very page, to come back to after a change.
    here: String,
    /// The same with all pictures ticked, or none.
    tick_path: String,
    ticked: bool,
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
    /// The form that makes another picture of this one.
    edit_path: String,
    retry_path: String,
}

/// What a gallery is asked for beside what a list of jobs is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    favourites: String,
    /// Tick all pictures of the page.
    all: String,
    done: Option<String>,
    undo: Option<u64>,
}

impl Asked {
    async fn filter(&self, app: &App, typed: &Typed) -> Result<JobFilter, WebError> {
        let favourite = ticked(&self.favourites).then_some(true);
        Ok(JobFilter { favourite, has_images: Some(true), ..typed.filter(app).await? })
    }

    fn is_filtered(&self, typed: &Typed) -> bool {
        typed.is_narrowed() || ticked(&self.favourites)
    }

    /// Address of the page after `cursor`, with the same filters.
    fn path(&self, typed: &Typed, cursor: &str) -> String {
        let kept = if ticked(&self.favourites) { "favourites=on" } else { "" };
        let query = typed.query_at("", cursor);
        let parts: Vec<&str> = [query.as_str(), kept].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { "/gallery".to_owned() } else { format!("/gallery?{}", parts.join("&")) }
    }
}

/// A page of pictures.
#[derive(Default)]
struct Found {
    pictures: Vec<Picture>,
    next: Option<PageCursor>,
    searched_to: Option<Moment>,
}

pub(crate) async fn show(
    State(app): State<App>,
    typed: Result<Query<Typed>, QueryRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, WebError> {
    let (Query(mut typed), Query(asked)) = (typed?, asked?);
    // No field of this page: it would narrow unseen.
    typed.state.clear();
    match load(&app, &typed, &asked).await {
        Ok(found) => Ok(html(&app, &page(&app, typed, &asked, found, None))?.into_response()),
        // What is wrong with a filter stands beside it or above all; a cursor is no filter.
        Err(WebError::User(error)) if error.argument.as_deref().is_some_and(|argument| argument != "cursor") => {
            refused(&app, &error, &page(&app, typed, &asked, Found::default(), Some(&error)))
        }
        Err(error) => Err(error),
    }
}

async fn load(app: &App, typed: &Typed, asked: &Asked) -> Result<Found, WebError> {
    let cursor = if typed.cursor.is_empty() { None } else { Some(api::parse_cursor(&typed.cursor)?) };
    let filter = asked.filter(app, typed).await?;
    let found = app.engine.store().job_search(&filter, cursor, PAGE_JOBS, app.config.search).await?;
    let ids: Vec<_> = found.jobs.iter().map(|job| job.id).collect();
    let mut images = app.engine.store().artifacts_of_many(&ids).await?;
    let now = app.engine.store().clock().now();
    let only_favourites = ticked(&asked.favourites);
    let mut pictures = Vec::new();
    for job in &found.jobs {
        let of_job = images.remove(&job.id).unwrap_or_default();
        let shown = of_job
            .iter()
            .filter(|artifact| artifact.kind == MediaKind::Image && (artifact.favourite || !only_favourites));
        pictures.extend(shown.map(|artifact| Picture::of(artifact, job, now)));
    }
    Ok(Found { pictures, next: found.next, searched_to: found.searched_to.map(|time| Moment::of(time, now)) })
}

fn page(app: &App, typed: Typed, asked: &Asked, found: Found, error: Option<&UserError>) -> GalleryPage {
    let mut frame = Frame::new("gallery", said!("Gallery"));
    frame.flash = Flash::with_undo(asked.done.as_deref(), asked.undo);
    let here = asked.path(&typed, &typed.cursor);
    let all = ticked(&asked.all);
    let tick = format!("{here}{}all=on#pictures", if here.contains('?') { '&' } else { '?' });
    GalleryPage {
        frame,
        pictures: found.pictures,
        favourites: ticked(&asked.favourites),
        choices: Choices::of(app, &typed),
        fault: error.map(fault_of),
        filtered: asked.is_filtered(&typed),
        next_path: found.next.map(|cursor| asked.path(&typed, &cursor.to_string())),
        searched_to: found.searched_to,
        first_path: (!typed.cursor.is_empty()).then(|| asked.path(&typed, "")),
        tick_path: if all { format!("{here}#pictures") } else { tick },
        ticked: all,
        here,
        typed,
    }
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
    let back = Back::to_pictures(&form.back);
    if app.engine.artifacts_favour(&ids, keep).await? == 0 {
        return Ok(see_other(&back.with("none-chosen")));
    }
    let done = if keep { "favoured" } else { "unfavoured" };
    let number = if others.is_empty() {
        // A second press changes nothing, and can be taken back as the first one can.
        let same = |kept: &Undo| matches!(kept, Undo::Favour { pictures, favourite } if *favourite != keep && pictures.iter().all(|id| ids.contains(id)));
        app.undos.find(same)
    } else {
        Some(app.undos.keep(Undo::Favour { pictures: others, favourite: !keep }, &back))
    };
    Ok(see_other(&back.with_undo(done, number)))
}

/// The ticked pictures as one file.
pub(crate) async fn download(
    State(app): State<App>,
    Asker(caller): Asker,
    Sent(form): Sent<Bulk>,
) -> Result<Response, WebError> {
    let ids = archive::parse_ids(&form.image)?;
    if ids.is_empty() {
        return Ok(see_other(&Back::to(&form.back, "/gallery").with("none-chosen")));
    }
    Ok(archive::answer(&app, archive::pictures(&app, &caller, &ids).await?))
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
            edit_path: format!("/playground?tool=edit_image&image={}", artifact.id),
            retry_path: format!("/jobs/{}/retry", job.id),
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
            typed: Typed { q: text(), caller: text(), from: text(), to: text(), ..Typed::default() },
            favourites: true,
            choices: Choices::sample(),
            fault: Some(Fault { field: "caller".to_owned(), text: text(), changed: false }),
            filtered: true,
            next_path: Some("/gallery?cursor=1".to_owned()),
            searched_to: Some(Moment::of(sample::now(), sample::now())),
            first_path: Some("/gallery".to_owned()),
            here: "/gallery?cursor=0".to_owned(),
            tick_path: "/gallery?cursor=0&all=on".to_owned(),
            ticked: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_stay_on_the_way_through_the_pages() {
        let typed = Typed { q: " a fox & hen ".to_owned(), ..Typed::default() };
        let asked = Asked { favourites: "on".to_owned(), ..Asked::default() };
        assert_eq!(asked.path(&typed, "7.x"), "/gallery?q=a+fox+%26+hen&cursor=7.x&favourites=on");
        assert!(asked.is_filtered(&Typed::default()) && Asked::default().is_filtered(&typed));
        assert_eq!(Asked::default().path(&Typed::default(), ""), "/gallery");
        assert!(!Asked::default().is_filtered(&Typed::default()));
    }
}
