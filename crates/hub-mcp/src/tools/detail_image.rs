//! `detail_image`: part of a picture anew.

use hub_core::{
    catalogue::{Catalogue, Mode},
    request::Part,
};
use rmcp::model::Tool;
use serde_json::json;

use super::{Effect, can_render, schema::Schema, tool};

pub(super) const NAME: &str = "detail_image";

const DESCRIPTION: &str = "Redraw only part of a picture, e.g. a face, a hand or an object; the rest is kept.";

pub(super) fn definition(catalogue: &Catalogue, wait_default_s: u32) -> Option<Tool> {
    if !can_render(catalogue, Mode::Detail) {
        return None;
    }
    let region = json!({"type": "array", "items": {"type": "number"}, "description": "[x,y,width,height] in px, or 0–1 of each side"});
    let mut schema = Schema::new()
        .with("image", json!({"type": "string"}))
        .with("prompt", json!({"type": "string", "description": "What that part shall show"}))
        .with("region", region)
        .with("mask", json!({"type": "string", "description": "Picture, white where to redraw"}));
    if catalogue.finds_parts {
        let parts = Part::ALL.map(Part::as_str);
        schema = schema.with("part", json!({"type": "string", "enum": parts, "description": "Found by itself"}));
    }
    let schema = schema
        .with_picture_choices(catalogue, Mode::Detail)
        .with("denoise", json!({"type": "number", "minimum": 0, "maximum": 1}))
        .with_pictures(Mode::Detail)
        .with_answer_options(Mode::Detail, wait_default_s);
    Some(tool(NAME, "Detail image", DESCRIPTION.to_owned(), schema.build(), Effect::Adds))
}
