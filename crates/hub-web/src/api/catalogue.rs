//! What a caller can choose from, in one answer.

use axum::{Json, extract::State, http::HeaderMap};
use hub_core::{catalogue::Mode, limits, request::AspectRatio};
use serde::Serialize;
use utoipa::ToSchema;

use super::{render_types::RenderTypeRecord, showcases::Previews, styles::StyleRecord};
use crate::{error::WebError, router::App};

/// What a caller can choose from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Catalogue)]
pub(crate) struct CatalogueRecord {
    /// Raised by one with every change.
    version: u64,
    /// Tools that can work now.
    tools: Vec<&'static str>,
    /// Those that are shown to callers.
    render_types: Vec<RenderTypeRecord>,
    /// Those that are enabled.
    styles: Vec<StyleRecord>,
    aspect_ratios: Vec<AspectRatio>,
    /// Whether an LLM is assigned to rewrite prompts.
    can_enhance: bool,
    /// Whether an LLM is assigned to describe pictures.
    can_describe: bool,
    /// Whether an LLM is assigned to generate prompts.
    can_generate_prompts: bool,
    enabled_servers: usize,
    limits: LimitsRecord,
}

/// Bounds on what a caller may ask.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
struct LimitsRecord {
    prompt_max_chars: usize,
    styles_max: usize,
    /// In pixels.
    side_min: u32,
    /// In pixels.
    side_max: u32,
    seed_max: u64,
}

/// Tells what a caller can choose from.
#[utoipa::path(get, path = "/api/v1/catalogue", tag = "catalogue", operation_id = "get_catalogue",
    responses((status = 200, body = CatalogueRecord)))]
pub(crate) async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Json<CatalogueRecord>, WebError> {
    let previews = Previews::load(&app, &headers).await?;
    let catalogue = app.engine.catalogue();
    let mut tools: Vec<&str> = Mode::ALL
        .into_iter()
        .filter(|mode| catalogue.render_types.iter().any(|render_type| render_type.mode == *mode))
        .map(Mode::tool)
        .collect();
    if catalogue.can_describe {
        tools.push("describe_image");
    }
    if catalogue.can_generate_prompts {
        tools.push("generate_prompt");
    }
    let visible = catalogue.render_types.iter().filter(|render_type| render_type.visible);
    Ok(Json(CatalogueRecord {
        version: catalogue.version,
        tools,
        render_types: visible.map(|render_type| RenderTypeRecord::of(render_type, &app, &previews)).collect(),
        styles: catalogue.enabled_styles().map(|style| StyleRecord::of(style, &app, &previews)).collect(),
        aspect_ratios: AspectRatio::ALL.to_vec(),
        can_enhance: catalogue.can_enhance,
        can_describe: catalogue.can_describe,
        can_generate_prompts: catalogue.can_generate_prompts,
        enabled_servers: catalogue.enabled_servers,
        limits: LimitsRecord {
            prompt_max_chars: limits::PROMPT_MAX_CHARS,
            styles_max: limits::STYLES_MAX,
            side_min: limits::SIDE_MIN_PX,
            side_max: limits::SIDE_MAX_PX,
            seed_max: u64::MAX,
        },
    }))
}
