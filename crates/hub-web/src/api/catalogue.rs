//! What a caller can choose from, in one answer.

use axum::{Json, extract::State};
use hub_core::{catalogue::Mode, limits, request::AspectRatio};
use serde_json::{Value, json};

use super::{render_types::RenderTypeRecord, styles::StyleRecord};
use crate::router::App;

pub(crate) async fn show(State(app): State<App>) -> Json<Value> {
    let catalogue = app.engine.catalogue();
    let mut tools: Vec<&str> = [Mode::Generate, Mode::Upscale, Mode::Edit]
        .into_iter()
        .filter(|mode| catalogue.render_types.iter().any(|render_type| render_type.mode == *mode))
        .map(Mode::tool)
        .collect();
    if catalogue.can_describe {
        tools.push("describe_image");
    }
    let render_types: Vec<RenderTypeRecord> =
        catalogue.render_types.iter().filter(|render_type| render_type.visible).map(RenderTypeRecord::of).collect();
    let styles: Vec<StyleRecord> = catalogue.enabled_styles().map(StyleRecord::of).collect();
    Json(json!({
        "version": catalogue.version,
        "tools": tools,
        "render_types": render_types,
        "styles": styles,
        "aspect_ratios": AspectRatio::ALL.map(AspectRatio::as_str),
        "can_enhance": catalogue.can_enhance,
        "can_describe": catalogue.can_describe,
        "enabled_servers": catalogue.enabled_servers,
        "limits": {
            "prompt_max_chars": limits::PROMPT_MAX_CHARS,
            "styles_max": limits::STYLES_MAX,
            "side_min": limits::SIDE_MIN_PX,
            "side_max": limits::SIDE_MAX_PX,
            "seed_max": u64::MAX,
        },
    }))
}
