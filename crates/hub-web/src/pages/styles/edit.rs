//! One style: its form, and what its templates make of a prompt while they are typed.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Response},
};
use hub_core::{catalogue::Style, error::UserError, ids::StyleId, limits};
use serde::{Deserialize, Serialize};

use super::super::{
    Frame,
    back::Back,
    form::{Begin, Done, Fault, Sent, refused, shown, ticked},
    html, see_other,
    shown::ShownShowcase,
};
use crate::{api, audit::about, error::WebError, lookup, render::Page, router::App, said, undo::Undo};

/// What is tried when nothing was typed.
const SAMPLE_PROMPT: &str = "a red fox in fresh snow";
/// Fields that a fault can stand beside.
const FIELDS: [&str; 6] =
    ["name", "category", "description", "prompt_template", "negative_template", "preferred_render_type"];

/// The page of one style, stored or not yet.
#[derive(Debug, Serialize)]
pub(crate) struct StylePage {
    frame: Frame,
    /// Where the form goes.
    action: String,
    preview_action: String,
    delete_path: Option<String>,
    typed: Typed,
    fault: Option<Fault>,
    categories: Vec<String>,
    render_types: Vec<Choice>,
    text_max: usize,
    preview: Preview,
    /// Its picture; none of a style that is not stored yet.
    showcase: Option<ShownShowcase>,
    picture_action: String,
}

/// The part that follows what is typed.
#[derive(Debug, Serialize)]
pub(crate) struct StylePreviewLive {
    preview: Preview,
}

#[derive(Debug, Serialize)]
struct Preview {
    prompt: String,
    negative: String,
}

#[derive(Debug, Serialize)]
struct Choice {
    name: String,
    title: String,
    chosen: bool,
    preferred: bool,
}

/// The form as typed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    prompt_template: String,
    #[serde(default)]
    negative_template: String,
    #[serde(default)]
    render_types: Vec<String>,
    #[serde(default)]
    preferred_render_type: String,
    #[serde(default)]
    is_default: String,
    #[serde(default)]
    enabled: String,
    /// Version that was read, so that nobody's change is overwritten unseen.
    #[serde(default)]
    version: String,
    /// What the preview is made for.
    #[serde(default)]
    sample: String,
}

impl Typed {
    fn of(style: &Style, version: String) -> Self {
        let on = |is: bool| if is { "on".to_owned() } else { String::new() };
        Self {
            name: style.name.clone(),
            category: style.category.clone(),
            description: style.description.clone(),
            prompt_template: style.prompt_template.clone(),
            negative_template: style.negative_template.clone(),
            render_types: style.render_types.clone(),
            preferred_render_type: style.preferred_render_type.clone().unwrap_or_default(),
            is_default: on(style.is_default),
            enabled: on(style.enabled),
            version,
            sample: SAMPLE_PROMPT.to_owned(),
        }
    }

    fn style(&self, id: StyleId) -> Result<Style, UserError> {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let category = one_line(&self.category);
        Ok(Style {
            id,
            name: api::parse_name(&self.name)?,
            category: if category.is_empty() { api::OTHER_CATEGORY.to_owned() } else { category },
            ..self.templates(id, one_line(&self.description))
        })
    }

    /// What the preview needs, whatever the rest of the form holds.
    fn templates(&self, id: StyleId, description: String) -> Style {
        let text = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
        Style {
            id,
            description,
            prompt_template: text(&self.prompt_template),
            negative_template: text(&self.negative_template),
            render_types: self.render_types.clone(),
            preferred_render_type: Some(self.preferred_render_type.clone()).filter(|name| !name.is_empty()),
            is_default: ticked(&self.is_default),
            enabled: ticked(&self.enabled),
            ..Style::new("", "")
        }
    }

    fn preview(&self) -> Preview {
        let style = self.templates(StyleId::new(), String::new());
        let (prompt, negative) = hub_engine::combined(Some(&self.sample), None, &[&style]);
        Preview { prompt: prompt.unwrap_or_default(), negative: negative.unwrap_or_default() }
    }
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>, done: Done) -> Result<Html<String>, WebError> {
    let style = lookup::style(&app, &id)?;
    let mut page = page(&app, Some(style.id), Typed::of(&style, app.versions.of(&style)), None).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// The empty form, or one filled from another style.
pub(crate) async fn create(
    State(app): State<App>,
    query: Result<Query<Begin>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let mut typed = match &query.from {
        Some(id) => Typed::of(&lookup::style(&app, id)?, String::new()),
        None => Typed::of(&Style::new("", ""), String::new()),
    };
    if !typed.name.is_empty() {
        typed.name = format!("{} copy", typed.name);
        typed.is_default.clear();
    }
    html(&app, &page(&app, None, typed, None).await?)
}

pub(crate) async fn add(State(app): State<App>, Sent(typed): Sent<Typed>) -> Result<Response, WebError> {
    let saved = match typed.style(StyleId::new()) {
        Ok(style) => app.engine.style_save(style).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(style) => Ok(about(see_other("/styles?done=style-added"), style.name)),
        Err(error) => refused(&app, &error, &page(&app, None, typed, Some(&error)).await?),
    }
}

pub(crate) async fn save(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(mut typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let known = lookup::style(&app, &id)?;
    let saved = app.engine.style_edit(known.id, |style| {
        api::same_version(&typed.version, &app.versions.of(style))?;
        typed.style(style.id)
    });
    match saved.await {
        Ok(style) => Ok(see_other(&format!("/styles/{}?done=style-saved", style.id))),
        Err(error) => {
            // What is typed stays; sending it again then overwrites knowingly.
            typed.version = app.versions.of(&lookup::style(&app, &id)?);
            refused(&app, &error, &page(&app, Some(known.id), typed, Some(&error)).await?)
        }
    }
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let known = lookup::style(&app, &id)?;
    app.engine.style_delete(known.id).await?;
    let back = Back::page("/styles");
    let number = app.undos.keep(Undo::Style(known), &back);
    Ok(see_other(&back.with_undo("style-deleted", number)))
}

/// The form again with its preview; nothing is stored. Scripts get the preview alone.
pub(crate) async fn preview(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Sent(typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let known = lookup::style(&app, &id)?;
    previewed(&app, Some(known.id), &headers, typed).await
}

/// Same, for a style that is not stored yet.
pub(crate) async fn preview_new(
    State(app): State<App>,
    headers: HeaderMap,
    Sent(typed): Sent<Typed>,
) -> Result<Response, WebError> {
    previewed(&app, None, &headers, typed).await
}

async fn previewed(app: &App, id: Option<StyleId>, headers: &HeaderMap, typed: Typed) -> Result<Response, WebError> {
    if headers.contains_key("hx-request") {
        let part = StylePreviewLive { preview: typed.preview() };
        return Ok(Html(app.renderer.render(&part)?).into_response());
    }
    shown(app, &page(app, id, typed, None).await?)
}

async fn page(app: &App, id: Option<StyleId>, typed: Typed, error: Option<&UserError>) -> Result<StylePage, WebError> {
    let catalogue = app.engine.catalogue();
    // As it is stored: what is typed has no picture yet.
    let stored = catalogue.styles.iter().find(|style| Some(style.id) == id);
    let showcase = match stored {
        Some(style) => Some(ShownShowcase::of(&app.engine.showcases().await?.of_style(style))),
        None => None,
    };
    let base = id.map_or_else(|| "/styles/new".to_owned(), |id| format!("/styles/{id}"));
    let title = if id.is_some() { said!("Style {name}", name = typed.name) } else { said!("New style").to_string() };
    Ok(StylePage {
        showcase,
        picture_action: format!("{base}/picture"),
        frame: Frame::new("styles", title),
        preview_action: format!("{base}/preview"),
        delete_path: id.map(|_| format!("{base}/delete")),
        action: base,
        fault: error.map(|error| Fault::of(error).elsewhere(&FIELDS)),
        categories: super::categories(app),
        render_types: catalogue
            .render_types
            .iter()
            .map(|kind| Choice {
                name: kind.name.clone(),
                title: kind.title.clone(),
                chosen: typed.render_types.contains(&kind.name),
                preferred: typed.preferred_render_type == kind.name,
            })
            .collect(),
        text_max: limits::PROMPT_MAX_CHARS,
        preview: typed.preview(),
        typed,
    })
}

impl Page for StylePage {
    const TEMPLATE: &'static str = "pages/style.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        let style = Style {
            description: text(),
            prompt_template: text(),
            negative_template: text(),
            ..Style::new(text(), text())
        };
        Self {
            frame: Frame::new("styles", text()),
            action: "/styles/style_1".to_owned(),
            preview_action: "/styles/style_1/preview".to_owned(),
            delete_path: Some("/styles/style_1/delete".to_owned()),
            showcase: Some(ShownShowcase::sample()),
            picture_action: "/styles/style_1/picture".to_owned(),
            typed: Typed::of(&style, "0".to_owned()),
            fault: Some(Fault { field: "name".to_owned(), text: text(), changed: true }),
            categories: vec![text()],
            render_types: vec![Choice { name: text(), title: text(), chosen: true, preferred: true }],
            text_max: 10,
            preview: Preview { prompt: text(), negative: text() },
        }
    }
}

impl Page for StylePreviewLive {
    const TEMPLATE: &'static str = "components/style_preview.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        Self { preview: Preview { prompt: text(), negative: text() } }
    }
}
