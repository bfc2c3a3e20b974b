//! The catalogue: what a caller can choose from. A snapshot is held in memory by the engine and
//! replaced as a whole when a row changes; planning and tool schemas read only the snapshot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{RenderTypeId, StyleId, WorkflowId},
    request::{AspectRatio, ImageSize},
};

/// What a render type is for: which tool may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Text to picture.
    Generate,
    /// Picture to larger picture.
    Upscale,
    /// Picture and instruction to picture.
    Edit,
    /// Part of a picture anew.
    Detail,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Generate, Self::Upscale, Self::Edit, Self::Detail];

    /// The mode as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Upscale => "upscale",
            Self::Edit => "edit",
            Self::Detail => "detail",
        }
    }

    /// The tool that uses render types of this mode.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Generate => "generate_image",
            Self::Upscale => "upscale_image",
            Self::Edit => "edit_image",
            Self::Detail => "detail_image",
        }
    }

    /// Whether a request of this mode must bring a picture.
    pub fn needs_input(self) -> bool {
        self != Self::Generate
    }
}

/// One version of a workflow. Immutable: a change is a new version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// Id of this version.
    pub id: WorkflowId,
    /// Name, shared by all versions.
    pub name: String,
    /// 1, 2, 3 … within the name.
    pub version: u32,
    /// The graph in ComfyUI's API format.
    pub graph: serde_json::Value,
    /// Slots as detected and confirmed, in the shape of the `comfyui` crate.
    pub slots: serde_json::Value,
    /// One line for people.
    pub description: String,
}

/// Bounds on the sizes a render type accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SizeLimits {
    /// Smallest side, in pixels.
    pub min_side_px: u32,
    /// Largest side, in pixels.
    pub max_side_px: u32,
    /// Sides are rounded to a multiple of this, in pixels.
    pub side_multiple_px: u32,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self { min_side_px: 64, max_side_px: 2048, side_multiple_px: 8 }
    }
}

/// Values a render type sets in its workflow; `None` leaves the workflow's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RenderDefaults {
    /// Aspect ratio when the caller names no size; `None` leaves the workflow's own size.
    pub aspect: Option<AspectRatio>,
    /// Sampling steps.
    pub steps: Option<u32>,
    /// Guidance.
    pub cfg: Option<f64>,
    /// Denoise strength, 0–1.
    pub denoise: Option<f64>,
}

/// A public name for a way to render.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderType {
    /// Its id.
    pub id: RenderTypeId,
    /// Unique name, as callers give it.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// One line that helps an agent choose.
    pub description: String,
    /// Name of the workflow; its newest version runs unless `workflow_version` pins one.
    pub workflow: String,
    /// Pinned version.
    pub workflow_version: Option<u32>,
    /// Which tool may use it.
    pub mode: Mode,
    /// Listed to callers. A hidden one can still be named.
    pub visible: bool,
    /// The one used when none is named; at most one per mode.
    pub is_default: bool,
    /// Size for each aspect ratio it supports.
    pub sizes: BTreeMap<AspectRatio, ImageSize>,
    /// Bounds on explicit sizes.
    pub limits: SizeLimits,
    /// Values set in the workflow.
    pub defaults: RenderDefaults,
    /// How to write prompts for this model, for the enhancer and for agents.
    pub prompt_guide: String,
    /// Example prompts.
    pub prompt_examples: Vec<String>,
}

impl RenderType {
    /// A listed render type without sizes, defaults or texts of its own; its title is its name.
    pub fn new(name: impl Into<String>, workflow: impl Into<String>, mode: Mode) -> Self {
        let name = name.into();
        Self {
            id: RenderTypeId::new(),
            title: name.clone(),
            name,
            description: String::new(),
            workflow: workflow.into(),
            workflow_version: None,
            mode,
            visible: true,
            is_default: false,
            sizes: BTreeMap::new(),
            limits: SizeLimits::default(),
            defaults: RenderDefaults::default(),
            prompt_guide: String::new(),
            prompt_examples: Vec::new(),
        }
    }
}

/// A named pair of prompt templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Style {
    /// Its id.
    pub id: StyleId,
    /// Unique name, as callers give it.
    pub name: String,
    /// Category, for grouping.
    pub category: String,
    /// One line that helps an agent choose.
    pub description: String,
    /// Appended to the prompt, or wrapped around it where it holds `{prompt}`.
    pub prompt_template: String,
    /// Appended to the negative prompt.
    pub negative_template: String,
    /// Render types it suits, by name; empty means all.
    pub render_types: Vec<String>,
    /// Render type to take when the caller names none.
    pub preferred_render_type: Option<String>,
    /// Applied when the caller names no styles.
    pub is_default: bool,
    /// Off: neither listed nor accepted.
    pub enabled: bool,
}

impl Style {
    /// An enabled style that suits every render type and changes nothing yet.
    pub fn new(name: impl Into<String>, category: impl Into<String>) -> Self {
        Self {
            id: StyleId::new(),
            name: name.into(),
            category: category.into(),
            description: String::new(),
            prompt_template: String::new(),
            negative_template: String::new(),
            render_types: Vec::new(),
            preferred_render_type: None,
            is_default: false,
            enabled: true,
        }
    }
}

/// A snapshot of everything a caller can choose from.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct Catalogue {
    /// Raised by one with every change.
    pub version: u64,
    /// In the order of their names.
    pub render_types: Vec<RenderType>,
    /// In the order of category and name.
    pub styles: Vec<Style>,
    /// Whether an LLM is assigned to rewrite prompts.
    pub can_enhance: bool,
    /// Whether an LLM is assigned to describe pictures.
    pub can_describe: bool,
    /// Whether an LLM is assigned to generate prompts.
    pub can_generate_prompts: bool,
    /// Names of the styles that generated prompts may have, in the order of `styles`.
    pub prompt_styles: Vec<String>,
    /// Whether some visible render type finds the parts to redraw by itself.
    pub finds_parts: bool,
    /// How many ComfyUI servers are enabled.
    pub enabled_servers: usize,
}

impl Catalogue {
    /// The render type of that name, hidden ones included.
    pub fn render_type(&self, name: &str) -> Option<&RenderType> {
        self.render_types.iter().find(|candidate| candidate.name == name)
    }

    /// The default render type of a mode.
    pub fn default_for(&self, mode: Mode) -> Option<&RenderType> {
        self.render_types.iter().find(|candidate| candidate.mode == mode && candidate.is_default)
    }

    /// Render types of a mode that are shown to callers.
    pub fn visible(&self, mode: Mode) -> impl Iterator<Item = &RenderType> {
        self.render_types.iter().filter(move |candidate| candidate.mode == mode && candidate.visible)
    }

    /// The enabled style of that name.
    pub fn style(&self, name: &str) -> Option<&Style> {
        self.enabled_styles().find(|candidate| candidate.name == name)
    }

    /// Styles that callers may use.
    pub fn enabled_styles(&self) -> impl Iterator<Item = &Style> {
        self.styles.iter().filter(|candidate| candidate.enabled)
    }
}
