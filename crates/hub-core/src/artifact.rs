//! Stored files: results of jobs and pictures that callers gave.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{ArtifactId, JobId};

/// What a stored file is, by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A still or animated picture that a page or client can show.
    Image,
    /// A video.
    Video,
    /// Sound.
    Audio,
    /// Anything else (latents, 3D, text files).
    Other,
}

/// Why the file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactRole {
    /// A job made it.
    Output,
    /// A caller gave it.
    Input,
    /// A caller gave it to say what of another picture is redrawn, or the hub made it of a box.
    Mask,
}

/// One stored file. The bytes lie in the object store under [`Artifact::object_key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its id; `genimage://images/{id}` and `/outputs/{id}.{extension}` lead to it.
    pub id: ArtifactId,
    /// The job that made it; none for inputs.
    pub job: Option<JobId>,
    /// Result or input.
    pub role: ArtifactRole,
    /// Kind by content.
    pub kind: MediaKind,
    /// MIME type by content, e.g. `image/png`.
    pub mime: String,
    /// Extension without the dot, e.g. `png`.
    pub extension: String,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Width in pixels; 0 where the kind has none.
    pub width_px: u32,
    /// Height in pixels; 0 where the kind has none.
    pub height_px: u32,
    /// Seed of the job that made it.
    pub seed: Option<u64>,
    /// Position among the job's outputs, from 0; 0 is the primary one.
    pub position: u32,
    /// Node of the workflow that wrote it.
    pub node: Option<String>,
    /// Kept by retention whatever its age.
    pub favourite: bool,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

impl Artifact {
    /// Key of the bytes in the object store: by content hash, so equal files are stored once.
    pub fn object_key(&self) -> String {
        object_key(&self.sha256, &self.extension)
    }

    /// Name under `/outputs/`.
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.id, self.extension)
    }

    /// MCP resource URI.
    pub fn resource_uri(&self) -> String {
        format!("genimage://images/{}", self.id)
    }
}

/// Key of an object by content: `ab/abcdef….png`, fanned out over 256 folders.
pub fn object_key(sha256: &str, extension: &str) -> String {
    let fan = sha256.get(..2).unwrap_or("00");
    format!("{fan}/{sha256}.{extension}")
}
