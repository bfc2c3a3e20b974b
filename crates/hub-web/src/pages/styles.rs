//! Styles: the list by category, found by text.

mod csv;
mod edit;
mod flags;
mod picture;

#[cfg(test)]
pub(crate) use self::edit::{StylePage, StylePreviewLive};
pub(crate) use self::{
    csv::{download, upload},
    edit::{add, create, preview, preview_new, remove, save, show as show_one},
    flags::set_flags,
    picture::{make as make_picture, make_missing as make_pictures, set_scene},
};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Html,
};
use hub_core::catalogue::Style;
use hub_engine::ShowcaseIndex;
use serde::{Deserialize, Serialize};

use super::{
    Flash, Frame,
    form::Fault,
    html,
    shown::{ShownShowcase, shorten},
    table::ShownImport,
};
use crate::{error::WebError, render::Page, router::App, said};

/// Longest template in the list, in characters.
const TEMPLATE_SHOWN_CHARS: usize = 140;
/// Styles per page.
const PAGE_STYLES: usize = 200;

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct StylesPage {
    frame: Frame,
    total: usize,
    groups: Vec<Group>,
    /// The pages of the list when it has several.
    pager: Option<Pager>,
    categories: Vec<Category>,
    query: String,
    filtered: bool,
    /// This very list, to come back to after a change.
    here: String,
    fault: Option<Fault>,
    report: Option<ShownImport>,
    scene: Scene,
    scene_fault: Option<Fault>,
    /// Enabled styles without a picture, with one that is out of date, and with one on its way.
    missing: usize,
    stale: usize,
    pending: usize,
}

/// What is drawn to show a style, as typed.
#[derive(Debug, Serialize)]
struct Scene {
    prompt: String,
    seed: String,
    /// Not called `version`: that is the program's.
    read_version: String,
}

#[derive(Debug, Serialize)]
struct Group {
    category: String,
    /// Of all pages.
    count: usize,
    styles: Vec<ShownStyle>,
}

/// Where a page of styles lies among the others.
#[derive(Debug, Serialize)]
struct Pager {
    /// Places of its first and its last style, from 1.
    first: usize,
    last: usize,
    /// Styles of all pages.
    of: usize,
    before_path: Option<String>,
    after_path: Option<String>,
}

#[derive(Debug, Serialize)]
struct Category {
    name: String,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct ShownStyle {
    name: String,
    path: String,
    description: String,
    prompt_template: String,
    negative_template: String,
    render_types: Vec<String>,
    preferred: Option<String>,
    is_default: bool,
    enabled: bool,
    showcase: ShownShowcase,
}

impl ShownStyle {
    fn of(style: &Style, showcases: &ShowcaseIndex) -> Self {
        Self {
            name: style.name.clone(),
            path: format!("/styles/{}", style.id),
            description: style.description.clone(),
            prompt_template: shorten(&style.prompt_template, TEMPLATE_SHOWN_CHARS),
            negative_template: shorten(&style.negative_template, TEMPLATE_SHOWN_CHARS),
            render_types: style.render_types.clone(),
            preferred: style.preferred_render_type.clone(),
            is_default: style.is_default,
            enabled: style.enabled,
            showcase: ShownShowcase::of(&showcases.of_style(style)),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    category: String,
    /// Number of the page from 1; what is none means the first.
    #[serde(default)]
    page: String,
    #[serde(default)]
    done: Option<String>,
    #[serde(default)]
    undo: Option<u64>,
}

impl ListQuery {
    /// Address of a page of the list, without what was done.
    fn path(&self, page: usize) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        let given = [("q", self.q.trim()), ("category", self.category.as_str()), ("page", page.as_str())];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(given.into_iter().filter(|(_, value)| !value.is_empty()));
        let query = query.finish();
        if query.is_empty() { "/styles".to_owned() } else { format!("/styles?{query}") }
    }

    fn takes(&self, style: &Style) -> bool {
        let words = self.q.trim().to_lowercase();
        let found = |text: &str| text.to_lowercase().contains(&words);
        (self.category.is_empty() || style.category == self.category)
            && (words.is_empty() || found(&style.name) || found(&style.description) || found(&style.prompt_template))
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    html(&app, &page(&app, &query).await?)
}

async fn page(app: &App, query: &ListQuery) -> Result<StylesPage, WebError> {
    let showcases = app.engine.showcases().await?;
    let catalogue = app.engine.catalogue();
    let mut frame = Frame::new("styles", said!("Styles"));
    frame.flash = Flash::with_undo(query.done.as_deref(), query.undo);
    let found: Vec<&Style> = catalogue.styles.iter().filter(|style| query.takes(style)).collect();
    let pages = found.len().div_ceil(PAGE_STYLES).max(1);
    // A page that is no more, of a bookmark or after a deletion, is the last one.
    let number = query.page.parse().unwrap_or(1).clamp(1, pages);
    let enabled: Vec<_> = catalogue.enabled_styles().map(|style| showcases.of_style(style)).collect();
    Ok(StylesPage {
        scene_fault: None,
        scene: Scene {
            prompt: showcases.scene().prompt.clone(),
            seed: showcases.scene().seed.to_string(),
            read_version: app.versions.of(showcases.scene()),
        },
        missing: enabled.iter().filter(|view| view.picture.is_none() && view.pending.is_none()).count(),
        stale: enabled.iter().filter(|view| view.stale && view.pending.is_none()).count(),
        pending: enabled.iter().filter(|view| view.pending.is_some()).count(),
        frame,
        total: catalogue.styles.len(),
        pager: (pages > 1).then(|| pager(query, number, found.len())),
        groups: groups(&found, number, &showcases),
        categories: categories(app).into_iter().map(|name| Category { chosen: name == query.category, name }).collect(),
        query: query.q.clone(),
        here: query.path(number),
        filtered: !query.q.trim().is_empty() || !query.category.is_empty(),
        fault: None,
        report: None,
    })
}

/// The styles of a page by category: `found` is in the order of category and name.
fn groups(found: &[&Style], number: usize, showcases: &ShowcaseIndex) -> Vec<Group> {
    let page = found.chunks(PAGE_STYLES).nth(number - 1).unwrap_or_default();
    let of_one = page.chunk_by(|one, other| one.category == other.category);
    of_one
        .filter_map(|styles| {
            let category = styles.first()?.category.clone();
            let count = found.iter().filter(|style| style.category == category).count();
            let styles = styles.iter().map(|style| ShownStyle::of(style, showcases)).collect();
            Some(Group { category, count, styles })
        })
        .collect()
}

fn pager(query: &ListQuery, number: usize, of: usize) -> Pager {
    let last = (number * PAGE_STYLES).min(of);
    Pager {
        first: (number - 1) * PAGE_STYLES + 1,
        last,
        of,
        before_path: (number > 1).then(|| query.path(number - 1)),
        after_path: (last < of).then(|| query.path(number + 1)),
    }
}

/// Every category, once, in order.
fn categories(app: &App) -> Vec<String> {
    let mut names: Vec<String> = app.engine.catalogue().styles.iter().map(|style| style.category.clone()).collect();
    names.dedup();
    names
}

impl Page for StylesPage {
    const TEMPLATE: &'static str = "pages/styles.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::shown::sample::HOSTILE.to_owned();
        let style = ShownStyle {
            name: text(),
            path: "/styles/style_1".to_owned(),
            description: text(),
            prompt_template: text(),
            negative_template: text(),
            render_types: vec![text()],
            preferred: Some(text()),
            is_default: true,
            enabled: false,
            showcase: ShownShowcase::sample(),
        };
        Self {
            frame: Frame::new("styles", said!("Styles")),
            total: 1,
            groups: vec![Group { category: text(), count: 201, styles: vec![style] }],
            pager: Some(Pager {
                first: 201,
                last: 400,
                of: 401,
                before_path: Some(format!("/styles?q={}", super::shown::sample::HOSTILE)),
                after_path: Some("/styles?page=3".to_owned()),
            }),
            categories: vec![Category { name: text(), chosen: true }],
            query: text(),
            filtered: true,
            here: format!("/styles?q={}", super::shown::sample::HOSTILE),
            fault: Some(Fault { field: "file".to_owned(), text: text(), changed: false }),
            scene: Scene { prompt: text(), seed: text(), read_version: "0".to_owned() },
            scene_fault: Some(Fault { field: "seed".to_owned(), text: text(), changed: false }),
            missing: 2,
            stale: 1,
            pending: 1,
            report: Some(ShownImport::sample()),
        }
    }
}
