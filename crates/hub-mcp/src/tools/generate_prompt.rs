//! `generate_prompt`: a subject, or nothing, to a prompt.

use hub_core::{catalogue::Catalogue, limits};
use rmcp::model::Tool;
use serde_json::json;

use super::{
    Effect,
    schema::{Schema, prompt},
    tool,
};

pub(crate) const NAME: &str = "generate_prompt";

const DESCRIPTION: &str = "Have an LLM invent a prompt and negative prompt for generate_image. Omit what is left to \
chance.";

pub(super) fn definition(catalogue: &Catalogue, wait_default_s: u32) -> Option<Tool> {
    if !catalogue.can_generate_prompts {
        return None;
    }
    let elements = json!({"type": "array", "items": {"type": "string"}, "maxItems": limits::STYLES_MAX, "description": "What else it holds"});
    let style = json!({"type": "string", "description": "A style's name, or none; its words come in the prompt"});
    let schema = Schema::new()
        .with("subject", prompt("What the picture shows"))
        .with("elements", elements)
        .with("style", style)
        .with("seed", json!({"type": "integer"}))
        .with_handle_options(false, wait_default_s);
    Some(tool(NAME, "Generate prompt", DESCRIPTION.to_owned(), schema.build(), Effect::Adds))
}
