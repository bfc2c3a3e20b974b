//! `edit_image`: picture and instruction to picture.

use hub_core::catalogue::{Catalogue, Mode};
use rmcp::model::Tool;
use serde_json::json;

use super::{
    Effect, can_render,
    schema::{IMAGE_FORMS, Schema, image, prompt},
    tool,
};

pub(super) const NAME: &str = "edit_image";

const DESCRIPTION: &str = "Change a picture as the prompt says. Answers like generate_image; the original is kept.";

pub(super) fn definition(catalogue: &Catalogue, wait_default_s: u32) -> Option<Tool> {
    if !can_render(catalogue, Mode::Edit) {
        return None;
    }
    // Every model pays for the list in each conversation: how a picture is named is told once.
    let told = can_render(catalogue, Mode::Upscale);
    let picture = if told { json!({"type": "string"}) } else { image(IMAGE_FORMS) };
    let schema = Schema::new()
        .with("image", picture)
        .with("prompt", prompt("What to change"))
        .with_picture_choices(catalogue, Mode::Edit)
        .with_size(catalogue, Mode::Edit)
        .with_pictures(Mode::Edit)
        .with("denoise", json!({"type": "number", "minimum": 0, "maximum": 1}))
        .with_answer_options(Mode::Edit, wait_default_s);
    Some(tool(NAME, "Edit image", DESCRIPTION.to_owned(), schema.build(), Effect::Adds))
}
