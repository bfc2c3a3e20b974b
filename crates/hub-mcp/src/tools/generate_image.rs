//! `generate_image`: text to picture.

use hub_core::catalogue::{Catalogue, Mode};
use rmcp::model::Tool;

use super::{
    Effect, can_render,
    schema::{Schema, prompt},
    tool,
};

pub(super) const NAME: &str = "generate_image";

const DESCRIPTION: &str = "Make a picture from a text prompt. Answers a preview, the seed, and an id and URL of the \
full picture. If the answer says status: running, call get_job with its job id.";

pub(super) fn definition(catalogue: &Catalogue, wait_default_s: u32) -> Option<Tool> {
    if !can_render(catalogue, Mode::Generate) {
        return None;
    }
    let schema = Schema::new()
        .with("prompt", prompt("What to show: subject, setting, light, composition"))
        .with_picture_choices(catalogue, Mode::Generate)
        .with_size(catalogue, Mode::Generate)
        .with_pictures(Mode::Generate)
        .with_answer_options(Mode::Generate, wait_default_s);
    Some(tool(NAME, "Generate image", DESCRIPTION.to_owned(), schema.build(), Effect::Adds))
}
