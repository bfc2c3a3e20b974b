//! What LLMs are told in their roles: instructions that can be changed, previewed and reset.

use std::sync::{Mutex, PoisonError};

use axum::{
    extract::{Path, Request, State},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Response},
};
use hub_core::{catalogue::RenderType, error::UserError};
use hub_engine::{DescribeTemplates, EnhanceTemplates, PromptGeneratorSettings};
use serde::Serialize;

use super::super::{
    Frame,
    back::Back,
    form::{Done, Fault, FormFields, lines, number, refused, shown},
    html, see_other,
};
use crate::{
    api,
    audit::nothing_done,
    error::WebError,
    language::Said,
    render::Page,
    router::App,
    said,
    undo::{Instructions, Undo},
};

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct InstructionsPage {
    frame: Frame,
    groups: Vec<Group>,
    render_types: Vec<Choice>,
    preview: String,
}

/// What an LLM is told in one role.
#[derive(Debug, Serialize)]
struct Group {
    name: &'static str,
    title: Said,
    about: Said,
    version: String,
    numbers: Vec<Entry>,
    texts: Vec<Entry>,
    fault: Option<Fault>,
    changed: bool,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    label: Said,
    help: Option<Said>,
    value: String,
    rows: u32,
}

/// The part that follows what is typed.
#[derive(Debug, Serialize)]
pub(crate) struct InstructionsPreview {
    preview: String,
}

#[derive(Debug, Serialize)]
struct Choice {
    name: String,
    title: String,
    chosen: bool,
}

const ENHANCE: (&str, Said, Said) = (
    "enhance",
    said!("Enhance prompts"),
    said!("Told to the model that rewrites prompts. The render type’s guide and examples follow by themselves."),
);
const DESCRIBE: (&str, Said, Said) = (
    "describe",
    said!("Describe pictures"),
    said!("{language} stands for the language asked for, {width} and {height} for the picture’s size."),
);
const GENERATOR: (&str, Said, Said) =
    ("generator", said!("Generate prompts"), said!("More proposals make prompts more varied and slower."));

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = load(&app).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// Saves, resets or previews one group.
pub(crate) async fn act(
    State(app): State<App>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, WebError> {
    let fields = FormFields::read(request, &app).await?;
    if kind == "preview" {
        return preview(&app, &headers, &fields).await;
    }
    let reset = !fields.first("reset").is_empty();
    let saved = match kind.as_str() {
        "enhance" => save_enhance(&app, &fields, reset).await,
        "describe" => save_describe(&app, &fields, reset).await,
        "generator" => save_generator(&app, &fields, reset).await,
        _ => return Err(WebError::missing_among("kind of instructions", &kind, ["enhance", "describe", "generator"])),
    };
    match saved {
        Ok(before) if reset => Ok(was_reset(&app, before)),
        Ok(_) => Ok(see_other("/settings/instructions?done=instructions-saved")),
        Err(error) => {
            let mut page = load(&app).await?;
            page.keep(&kind, &fields, &error);
            refused(&app, &error, &page)
        }
    }
}

/// After a reset, with what was there `before`, which can be brought back.
fn was_reset(app: &App, before: Instructions) -> Response {
    let (back, done) = (Back::page("/settings/instructions"), "instructions-reset");
    if before.are_shipped() {
        // A second press changes nothing, and can be taken back as the first one can.
        let role = before.role();
        let first = app.undos.find(|kept| matches!(kept, Undo::Instructions(first) if first.role() == role));
        return nothing_done(see_other(&back.with_undo(done, first)));
    }
    see_other(&back.with_undo(done, app.undos.keep(Undo::Instructions(before), &back)))
}

/// What is stored is written only when it is still what the form was filled from. Answers what was there before.
async fn save_enhance(app: &App, fields: &FormFields, reset: bool) -> Result<Instructions, UserError> {
    let typed = if reset { EnhanceTemplates::default() } else { enhance_of(fields) };
    for (name, text) in [("prompt", &typed.prompt), ("negative", &typed.negative)] {
        if text.is_empty() {
            return Err(UserError::argument(name, said!("These instructions must not be empty.")));
        }
    }
    let before = Mutex::default();
    let edit = |now: &EnhanceTemplates| unchanged(app, fields, now, &before).map(|()| typed.clone());
    app.engine.enhance_templates_edit(edit).await?;
    Ok(Instructions::Enhance(before.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

async fn save_describe(app: &App, fields: &FormFields, reset: bool) -> Result<Instructions, UserError> {
    let text = |name| text(fields, name);
    let typed = if reset {
        DescribeTemplates::default()
    } else {
        DescribeTemplates {
            natural: text("natural"),
            optimized: text("optimized"),
            natural_fr: text("natural_fr"),
            optimized_fr: text("optimized_fr"),
        }
    };
    let before = Mutex::default();
    let edit = |now: &DescribeTemplates| unchanged(app, fields, now, &before).map(|()| typed.clone());
    app.engine.describe_templates_edit(edit).await?;
    Ok(Instructions::Describe(before.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

async fn save_generator(app: &App, fields: &FormFields, reset: bool) -> Result<Instructions, UserError> {
    let typed = if reset { PromptGeneratorSettings::default() } else { generator_of(fields)? };
    let before = Mutex::default();
    let edit = |now: &PromptGeneratorSettings| unchanged(app, fields, now, &before).map(|()| typed.clone());
    app.engine.prompt_generator_edit(edit).await?;
    Ok(Instructions::Generator(before.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Keeps what is there `now` as `before`: an edit may look several times, and what it saw last is what it replaces.
fn unchanged<T: Clone + Serialize>(
    app: &App,
    fields: &FormFields,
    now: &T,
    before: &Mutex<T>,
) -> Result<(), UserError> {
    before.lock().unwrap_or_else(PoisonError::into_inner).clone_from(now);
    api::same_version(&fields.first("version"), &app.versions.of(now))
}

fn text(fields: &FormFields, name: &str) -> String {
    fields.first(name).replace("\r\n", "\n").trim().to_owned()
}

fn enhance_of(fields: &FormFields) -> EnhanceTemplates {
    EnhanceTemplates { prompt: text(fields, "prompt"), negative: text(fields, "negative") }
}

fn generator_of(fields: &FormFields) -> Result<PromptGeneratorSettings, UserError> {
    let standard = PromptGeneratorSettings::default();
    let count = |name: &str, default: u32| {
        Ok::<_, UserError>(number(name, &fields.first(name), said!("whole number"))?.unwrap_or(default))
    };
    let styles = lines(&fields.first("allowed_styles"));
    Ok(PromptGeneratorSettings {
        subjects_to_propose: count("subjects_to_propose", standard.subjects_to_propose)?,
        elements_to_propose: count("elements_to_propose", standard.elements_to_propose)?,
        elements_to_select: count("elements_to_select", standard.elements_to_select)?,
        variations_to_propose: count("variations_to_propose", standard.variations_to_propose)?,
        allowed_styles: if styles.is_empty() { None } else { Some(styles) },
        instructions: text(fields, "instructions"),
    })
}

/// What the model that enhances would be told, with what is typed.
async fn preview(app: &App, headers: &HeaderMap, fields: &FormFields) -> Result<Response, WebError> {
    let chosen = fields.first("render_type");
    let preview = told(app, &enhance_of(fields), &chosen);
    if headers.contains_key("hx-request") {
        return Ok(Html(app.renderer.render(&InstructionsPreview { preview })?).into_response());
    }
    let mut page = load(app).await?;
    page.preview = preview;
    page.fill("enhance", fields);
    for choice in &mut page.render_types {
        choice.chosen = choice.name == chosen;
    }
    shown(app, &page)
}

fn told(app: &App, templates: &EnhanceTemplates, render_type: &str) -> String {
    let catalogue = app.engine.catalogue();
    let bare = RenderType::new("", "", hub_core::catalogue::Mode::Generate);
    templates.told(catalogue.render_type(render_type).unwrap_or(&bare))
}

async fn load(app: &App) -> Result<InstructionsPage, WebError> {
    let enhance = app.engine.enhance_templates().await?;
    let describe = app.engine.describe_templates().await?;
    let generator = app.engine.prompt_generator().await?;
    let catalogue = app.engine.catalogue();
    let first = catalogue.render_types.first().map(|row| row.name.clone()).unwrap_or_default();
    Ok(InstructionsPage {
        preview: told(app, &enhance, &first),
        render_types: catalogue
            .render_types
            .iter()
            .map(|row| Choice { chosen: row.name == first, name: row.name.clone(), title: row.title.clone() })
            .collect(),
        ..page(
            (&enhance, app.versions.of(&enhance)),
            (&describe, app.versions.of(&describe)),
            (&generator, app.versions.of(&generator)),
        )
    })
}

fn page(
    (enhance, enhance_version): (&EnhanceTemplates, String),
    (describe, describe_version): (&DescribeTemplates, String),
    (generator, generator_version): (&PromptGeneratorSettings, String),
) -> InstructionsPage {
    InstructionsPage {
        frame: Frame::new("settings", said!("Instructions for LLMs")),
        groups: vec![
            enhance_group(enhance, enhance_version),
            describe_group(describe, describe_version),
            generator_group(generator, generator_version),
        ],
        render_types: Vec::new(),
        preview: String::new(),
    }
}

fn enhance_group(enhance: &EnhanceTemplates, version: String) -> Group {
    let texts = vec![
        Entry::text("prompt", said!("For the prompt"), None, &enhance.prompt, 12),
        Entry::text("negative", said!("For the negative prompt"), None, &enhance.negative, 8),
    ];
    Group { changed: *enhance != EnhanceTemplates::default(), texts, ..Group::of(ENHANCE, version) }
}

fn describe_group(describe: &DescribeTemplates, version: String) -> Group {
    let others = Some(said!("Every language without its own."));
    let texts = vec![
        Entry::text("natural", said!("Prose"), others, &describe.natural, 6),
        Entry::text("optimized", said!("Keywords"), others, &describe.optimized, 6),
        Entry::text("natural_fr", said!("Prose, French"), None, &describe.natural_fr, 6),
        Entry::text("optimized_fr", said!("Keywords, French"), None, &describe.optimized_fr, 6),
    ];
    Group { changed: *describe != DescribeTemplates::default(), texts, ..Group::of(DESCRIBE, version) }
}

fn generator_group(generator: &PromptGeneratorSettings, version: String) -> Group {
    let numbers = vec![
        Entry::count("subjects_to_propose", said!("Subjects proposed"), generator.subjects_to_propose),
        Entry::count("elements_to_propose", said!("Elements proposed"), generator.elements_to_propose),
        Entry::count("elements_to_select", said!("Elements drawn"), generator.elements_to_select),
        Entry::count("variations_to_propose", said!("Variations each"), generator.variations_to_propose),
    ];
    let styles = generator.allowed_styles.clone().unwrap_or_default().join("\n");
    let texts = vec![
        Entry::text(
            "instructions",
            said!("Instructions"),
            Some(said!("Told before the task itself.")),
            &generator.instructions,
            6,
        ),
        Entry::text(
            "allowed_styles",
            said!("Styles it may use"),
            Some(said!("One a line; none = every enabled one.")),
            &styles,
            3,
        ),
    ];
    let changed = *generator != PromptGeneratorSettings::default();
    Group { numbers, texts, changed, ..Group::of(GENERATOR, version) }
}

impl Group {
    /// A group without entries, as nobody has changed it.
    fn of((name, title, about): (&'static str, Said, Said), version: String) -> Self {
        Self { name, title, about, version, numbers: Vec::new(), texts: Vec::new(), fault: None, changed: false }
    }
}

impl Entry {
    fn text(name: &'static str, label: Said, help: Option<Said>, value: &str, rows: u32) -> Self {
        Self { name, label, help, value: value.to_owned(), rows }
    }

    fn count(name: &'static str, label: Said, value: u32) -> Self {
        Self { name, label, help: None, value: value.to_string(), rows: 0 }
    }
}

impl InstructionsPage {
    /// What was typed stays, with what is wrong with it.
    fn keep(&mut self, kind: &str, fields: &FormFields, error: &UserError) {
        self.fill(kind, fields);
        if let Some(group) = self.groups.iter_mut().find(|group| group.name == kind) {
            let names: Vec<&str> = group.numbers.iter().chain(&group.texts).map(|entry| entry.name).collect();
            group.fault = Some(Fault::of(error).elsewhere(&names));
        }
    }

    fn fill(&mut self, kind: &str, fields: &FormFields) {
        let entries = self.groups.iter_mut().filter(|group| group.name == kind);
        for entry in entries.flat_map(|group| group.numbers.iter_mut().chain(&mut group.texts)) {
            entry.value = fields.first(entry.name);
        }
    }
}

impl Page for InstructionsPage {
    const TEMPLATE: &'static str = "pages/instructions.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        let enhance = EnhanceTemplates { prompt: text(), negative: text() };
        let describe = DescribeTemplates { natural: text(), ..DescribeTemplates::default() };
        let generator =
            PromptGeneratorSettings { allowed_styles: Some(vec![text()]), ..PromptGeneratorSettings::default() };
        let version = || "0".to_owned();
        let mut page = page((&enhance, version()), (&describe, version()), (&generator, version()));
        page.groups[0].fault = Some(Fault { field: "prompt".to_owned(), text: text(), changed: false });
        page.render_types = vec![Choice { name: text(), title: text(), chosen: true }];
        page.preview = text();
        page
    }
}

impl Page for InstructionsPreview {
    const TEMPLATE: &'static str = "pages/instructions_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { preview: super::super::shown::sample::HOSTILE.to_owned() }
    }
}
