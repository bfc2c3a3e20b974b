//! One render type: its form.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{Html, Response},
};
use hub_core::{
    catalogue::{Mode, RenderDefaults, RenderType, SizeLimits},
    error::UserError,
    ids::RenderTypeId,
    limits,
    request::{AspectRatio, ImageSize},
};
use serde::{Deserialize, Serialize};

use super::super::{
    Frame,
    back::Back,
    form::{Begin, Done, Fault, Sent, lines, number, refused, ticked},
    html, see_other,
    shown::{ShownShowcase, tool_title},
};
use crate::{
    api, asker::Asker, audit::about, error::WebError, language::Said, lookup, render::Page, router::App, said,
    undo::Undo,
};

/// Fields that a fault can stand beside.
const FIELDS: [&str; 13] = [
    "name",
    "title",
    "description",
    "workflow",
    "workflow_version",
    "mode",
    "sizes",
    "limits",
    "aspect",
    "steps",
    "cfg",
    "denoise",
    "prompt_guide",
];
/// Arguments that are typed into fields of other names.
const TYPED_INTO: [(&str, &str); 2] = [("defaults.aspect", "aspect"), ("defaults.denoise", "denoise")];

/// The page of one render type, stored or not yet.
#[derive(Debug, Serialize)]
pub(crate) struct RenderTypePage {
    frame: Frame,
    /// Where the form goes.
    action: String,
    delete_path: Option<String>,
    typed: Typed,
    fault: Option<Fault>,
    workflows: Vec<String>,
    modes: Vec<Choice>,
    ratios: Vec<Ratio>,
    text_max: usize,
    /// Its picture, where it can have one.
    showcase: Option<ShownShowcase>,
    picture_action: String,
}

#[derive(Debug, Serialize)]
struct Choice {
    name: &'static str,
    title: Said,
    chosen: bool,
}

/// An aspect ratio with its size as typed.
#[derive(Debug, Serialize)]
struct Ratio {
    name: &'static str,
    size: String,
    is_default: bool,
}

/// The form as typed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    name: String,
    title: String,
    description: String,
    workflow: String,
    workflow_version: String,
    mode: String,
    visible: String,
    is_default: String,
    /// Of the same length as `size`.
    ratio: Vec<String>,
    /// `1024×768`, or empty for a ratio that is not offered.
    size: Vec<String>,
    aspect: String,
    min_side_px: String,
    max_side_px: String,
    side_multiple_px: String,
    steps: String,
    cfg: String,
    denoise: String,
    prompt_guide: String,
    prompt_examples: String,
    /// Version that was read, so that nobody's change is overwritten unseen.
    version: String,
}

pub(super) fn text_of<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl Typed {
    fn of(row: &RenderType, version: String) -> Self {
        let on = |is: bool| if is { "on".to_owned() } else { String::new() };
        Self {
            name: row.name.clone(),
            title: row.title.clone(),
            description: row.description.clone(),
            workflow: row.workflow.clone(),
            workflow_version: text_of(row.workflow_version),
            mode: row.mode.as_str().to_owned(),
            visible: on(row.visible),
            is_default: on(row.is_default),
            ratio: AspectRatio::ALL.iter().map(|ratio| ratio.as_str().to_owned()).collect(),
            size: AspectRatio::ALL
                .iter()
                .map(|ratio| row.sizes.get(ratio).map(|size| format!("{}×{}", size.width_px, size.height_px)))
                .map(Option::unwrap_or_default)
                .collect(),
            aspect: row.defaults.aspect.map(|aspect| aspect.as_str().to_owned()).unwrap_or_default(),
            min_side_px: row.limits.min_side_px.to_string(),
            max_side_px: row.limits.max_side_px.to_string(),
            side_multiple_px: row.limits.side_multiple_px.to_string(),
            steps: text_of(row.defaults.steps),
            cfg: text_of(row.defaults.cfg),
            denoise: text_of(row.defaults.denoise),
            prompt_guide: row.prompt_guide.clone(),
            prompt_examples: row.prompt_examples.join("\n"),
            version,
        }
    }

    fn render_type(&self, id: RenderTypeId) -> Result<RenderType, UserError> {
        let name = api::parse_name(&self.name)?;
        let title = self.title.trim();
        Ok(RenderType {
            id,
            title: if title.is_empty() { name.clone() } else { title.to_owned() },
            name,
            description: self.description.split_whitespace().collect::<Vec<_>>().join(" "),
            workflow: self.workflow.trim().to_owned(),
            workflow_version: number("workflow_version", &self.workflow_version, said!("version number"))?,
            mode: mode_of(&self.mode)?,
            visible: ticked(&self.visible),
            is_default: ticked(&self.is_default),
            sizes: self.sizes()?,
            limits: self.limits()?,
            defaults: RenderDefaults {
                aspect: if self.aspect.is_empty() { None } else { Some(ratio_of("aspect", &self.aspect)?) },
                steps: number("steps", &self.steps, said!("whole number"))?,
                cfg: number("cfg", &self.cfg, said!("number"))?,
                denoise: number("denoise", &self.denoise, said!("number from 0 to 1"))?,
            },
            prompt_guide: self.prompt_guide.replace("\r\n", "\n").trim().to_owned(),
            prompt_examples: lines(&self.prompt_examples),
        })
    }

    fn sizes(&self) -> Result<BTreeMap<AspectRatio, ImageSize>, UserError> {
        let given = self.ratio.iter().zip(&self.size).filter(|(_, size)| !size.trim().is_empty());
        given.map(|(ratio, size)| Ok((ratio_of("sizes", ratio)?, size_of(ratio, size)?))).collect()
    }

    fn limits(&self) -> Result<SizeLimits, UserError> {
        let standard = SizeLimits::default();
        let side = |text: &str, default: u32| {
            Ok::<_, UserError>(number("limits", text, said!("whole number of pixels"))?.unwrap_or(default))
        };
        Ok(SizeLimits {
            min_side_px: side(&self.min_side_px, standard.min_side_px)?,
            max_side_px: side(&self.max_side_px, standard.max_side_px)?,
            side_multiple_px: side(&self.side_multiple_px, standard.side_multiple_px)?,
        })
    }
}

pub(super) fn mode_of(text: &str) -> Result<Mode, UserError> {
    let known = Mode::ALL.into_iter().find(|mode| mode.as_str() == text);
    known.ok_or_else(|| {
        UserError::argument("mode", said!("`mode` is none of its values.")).with_valid(Mode::ALL.map(Mode::as_str))
    })
}

/// Spreadsheets take `16:9` for a time and write `16:09` or `16:09:00`.
pub(super) fn ratio_of(field: &str, text: &str) -> Result<AspectRatio, UserError> {
    let sides: Vec<Option<u32>> = text.split(':').map(|side| side.trim().parse().ok()).collect();
    let known: Option<AspectRatio> = match sides[..] {
        [Some(width), Some(height)] | [Some(width), Some(height), Some(0)] => format!("{width}:{height}").parse().ok(),
        _ => None,
    };
    known.ok_or_else(|| {
        UserError::argument(field, said!("There is no such aspect ratio."))
            .with_valid(AspectRatio::ALL.map(AspectRatio::as_str))
    })
}

/// `1024×768`, `1024x768` or `1024 768`.
pub(super) fn size_of(ratio: &str, text: &str) -> Result<ImageSize, UserError> {
    let sides: Vec<Option<u32>> =
        text.split(['×', 'x', 'X', '*', ' ']).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect();
    if let [Some(width_px), Some(height_px)] = sides[..] {
        return Ok(ImageSize { width_px, height_px });
    }
    let shown: String = text.chars().take(40).collect();
    Err(UserError::argument("sizes", said!("The size for {ratio}, `{shown}`, is no size.", ratio, shown))
        .with_hint(said!("Write width × height in pixels, as in 1024×768.")))
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>, done: Done) -> Result<Html<String>, WebError> {
    let row = lookup::render_type(&app, &id)?;
    let mut page = page(&app, Some(row.id), Typed::of(&row, app.versions.of(&row)), None).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// The empty form, or one filled from another render type.
pub(crate) async fn create(
    State(app): State<App>,
    query: Result<Query<Begin>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let typed = match &query.from {
        Some(id) => {
            let mut typed = Typed::of(&lookup::render_type(&app, id)?, String::new());
            typed.name = format!("{} copy", typed.name);
            typed.is_default.clear();
            typed
        }
        None => Typed::of(&RenderType::new("", query.workflow.unwrap_or_default(), Mode::Generate), String::new()),
    };
    html(&app, &page(&app, None, typed, None).await?)
}

pub(crate) async fn add(State(app): State<App>, Sent(typed): Sent<Typed>) -> Result<Response, WebError> {
    let saved = match typed.render_type(RenderTypeId::new()) {
        Ok(row) => app.engine.render_type_save(row).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(row) => Ok(about(see_other("/render-types?done=render-type-added"), row.name)),
        Err(error) => refused(&app, &error, &page(&app, None, typed, Some(&error)).await?),
    }
}

pub(crate) async fn save(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(mut typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let known = lookup::render_type(&app, &id)?;
    let saved = app.engine.render_type_edit(known.id, |row| {
        api::same_version(&typed.version, &app.versions.of(row))?;
        typed.render_type(row.id)
    });
    match saved.await {
        Ok(row) => Ok(see_other(&format!("/render-types/{}?done=render-type-saved", row.id))),
        Err(error) => {
            // What is typed stays; sending it again then overwrites knowingly.
            typed.version = app.versions.of(&lookup::render_type(&app, &id)?);
            refused(&app, &error, &page(&app, Some(known.id), typed, Some(&error)).await?)
        }
    }
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let known = lookup::render_type(&app, &id)?;
    app.engine.render_type_delete(known.id).await?;
    let back = Back::page("/render-types");
    let number = app.undos.keep(Undo::RenderType(Box::new(known)), &back);
    Ok(see_other(&back.with_undo("render-type-deleted", number)))
}

/// Has its picture made.
pub(crate) async fn make_picture(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let row = lookup::render_type(&app, &id)?;
    app.engine.showcase_render_type(&caller, &row).await?;
    Ok(see_other(&format!("/render-types/{}?done=picture-asked", row.id)))
}

async fn page(
    app: &App,
    id: Option<RenderTypeId>,
    typed: Typed,
    error: Option<&UserError>,
) -> Result<RenderTypePage, WebError> {
    let workflows = app.engine.store().workflow_list().await?;
    let action = id.map_or_else(|| "/render-types/new".to_owned(), |id| format!("/render-types/{id}"));
    let title = if id.is_some() {
        said!("Render type {name}", name = typed.name)
    } else {
        said!("New render type").to_string()
    };
    let size = |ratio: AspectRatio| {
        let place = typed.ratio.iter().position(|name| name == ratio.as_str());
        place.and_then(|place| typed.size.get(place)).cloned().unwrap_or_default()
    };
    let catalogue = app.engine.catalogue();
    let stored = catalogue.render_types.iter().find(|row| Some(row.id) == id);
    let showcase = match stored {
        Some(row) => Some(ShownShowcase::of(&app.engine.showcases().await?.of_render_type(row))),
        None => None,
    };
    Ok(RenderTypePage {
        showcase,
        picture_action: format!("{action}/picture"),
        frame: Frame::new("render_types", title),
        delete_path: id.map(|_| format!("{action}/delete")),
        action,
        fault: error.map(|error| Fault::of(error).typed_into(&TYPED_INTO).elsewhere(&FIELDS)),
        workflows: workflows.into_iter().map(|workflow| workflow.name).collect(),
        modes: Mode::ALL.map(|mode| choice(mode, &typed.mode)).into(),
        ratios: AspectRatio::ALL
            .into_iter()
            .map(|ratio| Ratio { name: ratio.as_str(), size: size(ratio), is_default: typed.aspect == ratio.as_str() })
            .collect(),
        text_max: limits::PROMPT_MAX_CHARS,
        typed,
    })
}

fn choice(mode: Mode, chosen: &str) -> Choice {
    Choice { name: mode.as_str(), title: tool_title(mode.tool()), chosen: mode.as_str() == chosen }
}

impl Page for RenderTypePage {
    const TEMPLATE: &'static str = "pages/render_type.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        let row = RenderType {
            description: text(),
            prompt_guide: text(),
            prompt_examples: vec![text()],
            ..RenderType::new(text(), text(), Mode::Generate)
        };
        Self {
            frame: Frame::new("render_types", text()),
            action: "/render-types/rt_1".to_owned(),
            delete_path: Some("/render-types/rt_1/delete".to_owned()),
            typed: Typed::of(&row, "0".to_owned()),
            fault: Some(Fault { field: "sizes".to_owned(), text: text(), changed: false }),
            workflows: vec![text()],
            modes: vec![choice(Mode::Generate, "generate")],
            ratios: vec![Ratio { name: "1:1", size: text(), is_default: true }],
            text_max: 10,
            showcase: Some(ShownShowcase::sample()),
            picture_action: "/render-types/rt_1/picture".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_filled_from_a_render_type_stands_for_it() {
        let mut row = RenderType::new("sdxl", "txt2img", Mode::Generate);
        row.sizes.insert(AspectRatio::ALL[1], ImageSize { width_px: 1344, height_px: 768 });
        row.defaults =
            RenderDefaults { aspect: Some(AspectRatio::ALL[0]), steps: Some(20), cfg: Some(6.5), denoise: None };
        row.prompt_examples = vec!["a fox".to_owned(), "a hen".to_owned()];
        row.workflow_version = Some(3);
        assert_eq!(Typed::of(&row, String::new()).render_type(row.id).expect("as it was"), row);
    }

    #[test]
    fn what_is_no_size_or_number_is_told_by_its_field() {
        let row = RenderType::new("sdxl", "txt2img", Mode::Generate);
        let wrong = |change: fn(&mut Typed)| {
            let mut typed = Typed::of(&row, String::new());
            change(&mut typed);
            typed.render_type(row.id).expect_err("wrong").argument
        };
        assert_eq!(wrong(|typed| typed.size[0] = "big".to_owned()).as_deref(), Some("sizes"));
        assert_eq!(wrong(|typed| typed.steps = "-1".to_owned()).as_deref(), Some("steps"));
        assert_eq!(wrong(|typed| typed.mode = "draw".to_owned()).as_deref(), Some("mode"));
        assert_eq!(wrong(|typed| typed.min_side_px = "x".to_owned()).as_deref(), Some("limits"));
    }
}
