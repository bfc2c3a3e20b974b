//! The recipe: everything needed to make the same picture again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    catalogue::Mode,
    ids::{ArtifactId, WorkflowId},
    request::{ImageSize, Part},
};

/// The plan of a job as resolved: what runs, with which values. Stored with the job and beside each
/// picture; never holds a secret or a server path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recipe {
    /// Which tool's work it is.
    pub mode: Mode,
    /// Render type by name.
    pub render_type: String,
    /// Workflow by name.
    pub workflow: String,
    /// Version of it.
    pub workflow_version: u32,
    /// Id of that version.
    pub workflow_id: WorkflowId,
    /// The prompt as the caller gave it.
    pub prompt_asked: Option<String>,
    /// The prompt as rendered: enhanced, with styles.
    pub prompt: Option<String>,
    /// The negative prompt as rendered; `None` leaves the workflow's own.
    pub negative_prompt: Option<String>,
    /// Styles applied, defaults included, by name.
    pub styles: Vec<String>,
    /// Whether an LLM rewrote the prompt.
    pub enhanced: bool,
    /// Why not, when it was wanted or possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_enhanced_because: Option<String>,
    /// Seed.
    pub seed: u64,
    /// Size; `None` leaves the workflow's own.
    pub size: Option<ImageSize>,
    /// Sampling steps; `None` leaves the workflow's own.
    pub steps: Option<u32>,
    /// Guidance; `None` leaves the workflow's own.
    pub cfg: Option<f64>,
    /// Denoise strength, 0–1; `None` leaves the workflow's own.
    pub denoise: Option<f64>,
    /// Input picture.
    pub input: Option<ArtifactId>,
    /// What is white in it is redrawn, the rest is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<ArtifactId>,
    /// What is looked for and redrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}
