//! `upscale_image`: picture to larger picture.

use hub_core::catalogue::{Catalogue, Mode};
use rmcp::model::Tool;

use super::{
    Effect, can_render,
    schema::{IMAGE_FORMS, Schema, denoise, image, prompt},
    tool,
};

pub(super) const NAME: &str = "upscale_image";

const DESCRIPTION: &str = "Make a larger, finer version of a picture. Answers like generate_image.";

pub(super) fn definition(catalogue: &Catalogue, wait_default_s: u32) -> Option<Tool> {
    if !can_render(catalogue, Mode::Upscale) {
        return None;
    }
    let schema = Schema::new()
        .with("image", image(IMAGE_FORMS))
        .with("prompt", prompt("What the picture shows"))
        .with_picture_choices(catalogue, Mode::Upscale)
        .with("denoise", denoise())
        .with_answer_options(Mode::Upscale, wait_default_s);
    Some(tool(NAME, "Upscale image", DESCRIPTION.to_owned(), schema.build(), Effect::Adds))
}
