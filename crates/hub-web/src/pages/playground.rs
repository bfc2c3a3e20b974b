//! The form from which a person runs a tool.
//!
//! What is typed becomes the tool's arguments and is parsed by the same code as an agent's call; a
//! fault is shown beside its field, with everything else as it was typed.

mod around;
mod form;
mod options;
mod plan;

use axum::{
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    response::{Html, IntoResponse as _, Response},
};
use hub_core::{
    catalogue::{Catalogue, Mode},
    error::UserError,
    job::Job,
    limits,
    request::ToolCall,
};
use serde::{Deserialize, Serialize};

use self::{
    around::Around,
    form::Typed,
    options::{
        Ratio, RenderTypeOption, StyleGroup, StyleOption, prompt_styles, ratios, render_types, shown_type, style_groups,
    },
    plan::ShownPlan,
};
use super::{
    Frame,
    form::{Fault, FormFields},
    html, see_other,
    shown::ShownImage,
};
use crate::{api, asker::Asker, error::WebError, language::Said, presses, problem, render::Page, router::App, said};

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct PlaygroundPage {
    frame: Frame,
    /// The tool whose form is shown.
    tool: &'static str,
    tabs: Vec<Tab>,
    /// Why the tool cannot work, and what to do.
    blocked: Option<Said>,
    typed: Typed,
    fault: Option<Fault>,
    /// Whether the fault belongs to a field that the form shows.
    fault_has_field: bool,
    render_types: Vec<RenderTypeOption>,
    style_groups: Vec<StyleGroup>,
    ratios: Vec<Ratio>,
    can_enhance: bool,
    no_server: bool,
    prompt_max: usize,
    side_min: u32,
    side_max: u32,
    examples: Vec<String>,
    /// Why no part of a picture can be found.
    part_help: Option<Said>,
    pictures_max: u32,
    prompt_styles: Vec<StyleOption>,
    plan: Option<ShownPlan>,
    /// The newest results: to be picked to work on, or compared.
    recent: Vec<ShownImage>,
    /// The newest pictures that somebody gave, to be picked again.
    given: Vec<ShownImage>,
    /// The newest masks, likewise.
    masks: Vec<ShownImage>,
    /// The picture to work on, where it is stored here.
    picked: Option<ShownImage>,
}

#[derive(Debug, Serialize)]
struct Tab {
    tool: &'static str,
    title: Said,
    path: String,
    current: bool,
}

/// Tools with a form, and the mode of those that need a render type.
const TOOLS: [(&str, Said, Option<Mode>); 6] = [
    ("generate_image", said!("Generate"), Some(Mode::Generate)),
    ("edit_image", said!("Edit"), Some(Mode::Edit)),
    ("upscale_image", said!("Upscale"), Some(Mode::Upscale)),
    ("detail_image", said!("Detail"), Some(Mode::Detail)),
    ("describe_image", said!("Describe"), None),
    ("generate_prompt", said!("Prompt"), None),
];

/// Fields that the forms show; a fault of another argument stands at the top.
const FIELDS: [&str; 21] = [
    "prompt",
    "negative_prompt",
    "styles",
    "render_type",
    "aspect_ratio",
    "width",
    "height",
    "seed",
    "enhance",
    "denoise",
    "image",
    "description_type",
    "language",
    "style_names",
    "n",
    "region",
    "mask",
    "part",
    "subject",
    "elements",
    "style",
];

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    #[serde(default)]
    tool: Option<String>,
    /// Job whose settings to take over.
    #[serde(default)]
    from: Option<String>,
    /// Picture to work on.
    #[serde(default)]
    image: Option<String>,
    /// Job whose words are to be drawn: what it described.
    #[serde(default)]
    draw: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let catalogue = app.engine.catalogue();
    let (tool, mut typed) = match &query.from {
        Some(from) => {
            let job = app.engine.view(api::parse_id(from)?).await?.job;
            // What was generated is there to be drawn.
            let tool = if job.generated_prompt().is_some() { TOOLS[0].0 } else { job.request.tool() };
            (Some(tool), Typed::of(&job))
        }
        None => (None, Typed::fresh(&catalogue)),
    };
    if let Some(draw) = &query.draw {
        typed.prompt = app.engine.view(api::parse_id(draw)?).await?.job.text.unwrap_or_default();
    }
    if let Some(image) = query.image {
        typed.image = image;
    }
    let tool = tool.or(query.tool.as_deref()).and_then(known_tool).unwrap_or(TOOLS[0].0);
    html(&app, &page(&catalogue, &Around::load(&app, &typed).await?, tool, typed, None))
}

pub(crate) async fn submit(
    State(app): State<App>,
    Path(tool): Path<String>,
    Asker(caller): Asker,
    request: Request,
) -> Result<Response, WebError> {
    let tool = known_tool(&tool).ok_or_else(|| WebError::missing("tool", &tool))?;
    let fields = FormFields::read(request, &app).await?;
    let mut typed = Typed::read(&fields);
    let result = async {
        typed.take_pictures(&app, &caller, &fields).await?;
        let arguments = typed.arguments(tool);
        let mut call = ToolCall::parse(tool, &arguments)?;
        call.options.idempotency_key = Some(presses::wish());
        app.engine.submit(&caller, call).await
    }
    .await;
    match result {
        Ok(submitted) => Ok(see_other(&format!("/jobs/{}", submitted.job.id))),
        Err(error) => {
            let catalogue = app.engine.catalogue();
            let page = page(&catalogue, &Around::load(&app, &typed).await?, tool, typed, Some(&error));
            Ok((problem::status_of(error.code), html(&app, &page)?).into_response())
        }
    }
}

/// Tells what the tool would do, and makes nothing.
pub(crate) async fn plan(
    State(app): State<App>,
    Path(tool): Path<String>,
    Asker(caller): Asker,
    request: Request,
) -> Result<Response, WebError> {
    let tool = known_tool(&tool).filter(|tool| can_plan(tool)).ok_or_else(|| WebError::missing("plan", &tool))?;
    let fields = FormFields::read(request, &app).await?;
    let mut typed = Typed::read(&fields);
    let planned = async {
        typed.take_pictures(&app, &caller, &fields).await?;
        let mut call = ToolCall::parse(tool, &typed.arguments(tool))?;
        call.options.plan_only = true;
        app.engine.plan(&caller, call).await
    }
    .await;
    let catalogue = app.engine.catalogue();
    match planned {
        Ok(plan) => {
            let mut page = page(&catalogue, &Around::load(&app, &typed).await?, tool, typed, None);
            page.plan = Some(ShownPlan::of(&plan));
            Ok(html(&app, &page)?.into_response())
        }
        Err(error) => {
            let page = page(&catalogue, &Around::load(&app, &typed).await?, tool, typed, Some(&error));
            Ok((problem::status_of(error.code), html(&app, &page)?).into_response())
        }
    }
}

fn can_plan(tool: &str) -> bool {
    !matches!(tool, "describe_image" | "generate_prompt")
}

/// Tools that work on a picture and that something serves now: name and title.
pub(crate) fn tools_for_pictures(catalogue: &Catalogue) -> Vec<(&'static str, Said)> {
    let serves = |mode: Option<Mode>| match mode {
        Some(Mode::Generate) => false,
        Some(mode) => catalogue.render_types.iter().any(|row| row.mode == mode),
        None => catalogue.can_describe,
    };
    let tools = TOOLS.iter().filter(|(name, _, mode)| *name != "generate_prompt" && serves(*mode));
    tools.map(|(name, title, _)| (*name, *title)).collect()
}

/// The arguments with which a tool makes this job again, as far as a form knows them.
pub(crate) fn arguments_of(job: &Job) -> serde_json::Map<String, serde_json::Value> {
    Typed::of(job).arguments(job.request.tool())
}

fn known_tool(given: &str) -> Option<&'static str> {
    TOOLS.iter().find(|(name, ..)| *name == given).map(|(name, ..)| *name)
}

fn page(
    catalogue: &Catalogue,
    around: &Around,
    tool: &'static str,
    typed: Typed,
    error: Option<&UserError>,
) -> PlaygroundPage {
    let mode = TOOLS.iter().find(|(name, ..)| *name == tool).and_then(|(_, _, mode)| *mode);
    let works = |name: &str, mode: Option<Mode>| match mode {
        Some(mode) => catalogue.render_types.iter().any(|render_type| render_type.mode == mode),
        None if name == "generate_prompt" => catalogue.can_generate_prompts,
        None => catalogue.can_describe,
    };
    let tabs = TOOLS
        .iter()
        .filter(|(name, _, mode)| *name == tool || *name == TOOLS[0].0 || works(name, *mode))
        .map(|(name, title, _)| Tab {
            tool: name,
            title: *title,
            path: format!("/playground?tool={name}"),
            current: *name == tool,
        })
        .collect();
    let blocked = match mode {
        Some(_) if !works(tool, mode) => {
            Some(said!("No render type serves this tool yet. Import a workflow and name it first."))
        }
        None if !works(tool, mode) && tool == "generate_prompt" => {
            Some(said!("No LLM server has the role “generate prompts” yet."))
        }
        None if !works(tool, mode) => Some(said!("No LLM server has the role “describe” yet.")),
        _ => None,
    };
    let fault = error.map(Fault::of);
    let field = error.and_then(|error| error.argument.as_deref());
    let shown_type = mode.and_then(|mode| shown_type(catalogue, mode, &typed.render_type));
    PlaygroundPage {
        frame: Frame::new("playground", said!("Playground")),
        tool,
        tabs,
        blocked,
        fault,
        fault_has_field: field.is_some_and(|field| FIELDS.contains(&field)),
        render_types: mode.map(|mode| render_types(catalogue, mode, &typed.render_type)).unwrap_or_default(),
        style_groups: style_groups(catalogue, &around.showcases, &typed.styles),
        ratios: ratios(&typed.aspect_ratio),
        can_enhance: catalogue.can_enhance,
        no_server: mode.is_some() && catalogue.enabled_servers == 0,
        prompt_max: limits::PROMPT_MAX_CHARS,
        side_min: limits::SIDE_MIN_PX,
        side_max: limits::SIDE_MAX_PX,
        examples: shown_type.map(|shown| shown.prompt_examples.iter().take(3).cloned().collect()).unwrap_or_default(),
        part_help: (!catalogue.finds_parts).then_some(said!("Needs a render type with a detector.")),
        pictures_max: limits::PICTURES_MAX,
        prompt_styles: prompt_styles(catalogue, &typed.style),
        plan: None,
        recent: around.recent.clone(),
        given: around.given.clone(),
        masks: around.masks.clone(),
        picked: around.picked.clone(),
        typed,
    }
}

impl Page for PlaygroundPage {
    const TEMPLATE: &'static str = "pages/playground.html";

    #[cfg(test)]
    fn sample() -> Self {
        let error = UserError::argument("prompt", super::shown::sample::HOSTILE);
        let page =
            page(&form::sample_catalogue(), &Around::default(), "generate_image", form::sample_typed(), Some(&error));
        Self { plan: Some(ShownPlan::sample()), ..with_pictures(page) }
    }
}

/// With a picture wherever the form offers some.
#[cfg(test)]
fn with_pictures(page: PlaygroundPage) -> PlaygroundPage {
    let picture = ShownImage::of(&super::shown::sample::artifact(), Some(super::shown::sample::HOSTILE));
    PlaygroundPage {
        recent: vec![picture.clone(), picture.clone()],
        picked: Some(picture.clone()),
        masks: vec![picture.clone()],
        given: vec![picture],
        ..page
    }
}

#[cfg(test)]
pub(crate) fn sample_of(tool: &'static str) -> PlaygroundPage {
    with_pictures(page(&form::sample_catalogue(), &Around::default(), tool, form::sample_typed(), None))
}
