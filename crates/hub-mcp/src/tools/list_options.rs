//! `list_options`: what can be chosen, with the words that help to choose.

use std::fmt::Write as _;

use hub_core::{
    catalogue::{Catalogue, Mode, RenderType, Style},
    error::UserError,
};
use rmcp::model::{CallToolResult, Tool};
use serde_json::{Map, Value, json};

use super::{Effect, arguments, schema::Schema, tool};
use crate::{delivery::Delivery, names::OPTIONS_META_KEY, result};

pub(super) const NAME: &str = "list_options";

const DESCRIPTION: &str = "List render types (models), styles and sizes with descriptions and prompt advice.";

pub(super) fn definition() -> Tool {
    tool(NAME, "List options", DESCRIPTION.to_owned(), Schema::new().build(), Effect::Reads)
}

/// Answers the options as text and as a record.
///
/// # Errors
/// `bad_argument` when anything is given.
pub(crate) fn list_options(
    catalogue: &Catalogue,
    given: &Map<String, Value>,
    delivery: &Delivery,
) -> Result<CallToolResult, UserError> {
    arguments::refuse_unknown(NAME, given, &[])?;
    Ok(result::of_data(text(catalogue), OPTIONS_META_KEY, record(catalogue), delivery))
}

fn shown(catalogue: &Catalogue) -> impl Iterator<Item = (Mode, &RenderType)> {
    Mode::ALL.into_iter().flat_map(|mode| catalogue.visible(mode).map(move |kind| (mode, kind)))
}

fn text(catalogue: &Catalogue) -> String {
    let mut text = String::from("Render types:\n");
    for (mode, kind) in shown(catalogue) {
        let default = if kind.is_default { ", default" } else { "" };
        write_line(&mut text, &format!("- {} ({}{default}): {}", kind.name, mode.tool(), kind.description));
        if !kind.sizes.is_empty() {
            let sizes: Vec<String> = kind.sizes.iter().map(|(ratio, size)| format!("{ratio} = {size}")).collect();
            write_line(&mut text, &format!("  sizes: {}", sizes.join(", ")));
        }
        if !kind.prompt_guide.is_empty() {
            write_line(&mut text, &format!("  prompts: {}", kind.prompt_guide));
        }
    }
    write_line(&mut text, "Styles:");
    for style in catalogue.enabled_styles() {
        let default = if style.is_default { ", default" } else { "" };
        let words = if style.description.is_empty() { &style.prompt_template } else { &style.description };
        write_line(&mut text, &format!("- {} ({}{default}): {words}", style.name, style.category));
    }
    let enhancing = if catalogue.can_enhance { "available" } else { "not set up" };
    write_line(&mut text, &format!("Prompt enhancement: {enhancing}"));
    text.truncate(text.trim_end().len());
    text
}

fn write_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

fn record(catalogue: &Catalogue) -> Value {
    let render_types: Vec<Value> = shown(catalogue).map(|(_, kind)| render_type_record(kind)).collect();
    let styles: Vec<Value> = catalogue.enabled_styles().map(style_record).collect();
    json!({
        "render_types": render_types,
        "styles": styles,
        "can_enhance": catalogue.can_enhance,
        "can_describe": catalogue.can_describe,
        "can_generate_prompts": catalogue.can_generate_prompts,
    })
}

/// A render type for programs.
pub(crate) fn render_type_record(kind: &RenderType) -> Value {
    let sizes = kind.sizes.iter().map(|(ratio, size)| (ratio.to_string(), json!([size.width_px, size.height_px])));
    json!({
        "name": kind.name,
        "title": kind.title,
        "description": kind.description,
        "tool": kind.mode.tool(),
        "default": kind.is_default,
        "sizes": sizes.collect::<Map<String, Value>>(),
        "min_side": kind.limits.min_side_px,
        "max_side": kind.limits.max_side_px,
        "prompt_guide": kind.prompt_guide,
        "prompt_examples": kind.prompt_examples,
    })
}

/// A style for programs.
pub(crate) fn style_record(style: &Style) -> Value {
    json!({
        "name": style.name,
        "category": style.category,
        "description": style.description,
        "prompt_template": style.prompt_template,
        "negative_template": style.negative_template,
        "default": style.is_default,
        "render_types": style.render_types,
    })
}
