//! `describe_image`: picture to words.

use hub_core::{catalogue::Catalogue, limits};
use rmcp::model::Tool;
use serde_json::json;

use super::{
    Effect,
    schema::{IMAGE_FORMS, Schema, image},
    tool,
};

pub(super) const NAME: &str = "describe_image";

const DESCRIPTION: &str = "Have a vision model describe a picture, as prose or as a prompt that would make it.";

pub(super) fn definition(catalogue: &Catalogue, wait_default_s: u32) -> Option<Tool> {
    if !catalogue.can_describe {
        return None;
    }
    let kinds = json!({"type": "string", "enum": ["natural", "optimized"], "default": "optimized"});
    let language = json!({"type": "string", "maxLength": limits::NAME_MAX_CHARS, "default": "en"});
    let schema = Schema::new()
        .with_required("image", image(IMAGE_FORMS))
        .with("description_type", kinds)
        .with("language", language)
        .with_handle_options(false, wait_default_s);
    Some(tool(NAME, "Describe image", DESCRIPTION.to_owned(), schema.build(), Effect::Adds))
}
