//! Sizes and aspect ratios.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, schema::ObjectBuilder, schema::Type},
};

/// A picture's size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct ImageSize {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width_px, self.height_px)
    }
}

/// Width to height, as callers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum AspectRatio {
    /// Square.
    R1x1,
    /// Wide screen.
    R16x9,
    /// Tall screen.
    R9x16,
    /// Landscape.
    R4x3,
    /// Portrait.
    R3x4,
    /// Landscape photo.
    R3x2,
    /// Portrait photo.
    R2x3,
    /// Cinema.
    R21x9,
    /// Tall banner.
    R9x21,
}

impl AspectRatio {
    /// All ratios.
    pub const ALL: [Self; 9] = [
        Self::R1x1,
        Self::R16x9,
        Self::R9x16,
        Self::R4x3,
        Self::R3x4,
        Self::R3x2,
        Self::R2x3,
        Self::R21x9,
        Self::R9x21,
    ];

    /// `w:h`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R1x1 => "1:1",
            Self::R16x9 => "16:9",
            Self::R9x16 => "9:16",
            Self::R4x3 => "4:3",
            Self::R3x4 => "3:4",
            Self::R3x2 => "3:2",
            Self::R2x3 => "2:3",
            Self::R21x9 => "21:9",
            Self::R9x21 => "9:21",
        }
    }
}

impl fmt::Display for AspectRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no aspect ratio.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an aspect ratio; valid: 1:1, 16:9, 9:16, 4:3, 3:4, 3:2, 2:3, 21:9, 9:21")]
pub struct InvalidAspectRatio(String);

impl FromStr for AspectRatio {
    type Err = InvalidAspectRatio;

    fn from_str(text: &str) -> Result<Self, InvalidAspectRatio> {
        Self::ALL
            .into_iter()
            .find(|ratio| ratio.as_str() == text)
            .ok_or_else(|| InvalidAspectRatio(text.chars().take(20).collect()))
    }
}

impl TryFrom<String> for AspectRatio {
    type Error = InvalidAspectRatio;

    fn try_from(text: String) -> Result<Self, InvalidAspectRatio> {
        text.parse()
    }
}

impl PartialSchema for AspectRatio {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Self::ALL.map(Self::as_str))).into()
    }
}

impl ToSchema for AspectRatio {}

impl From<AspectRatio> for &'static str {
    fn from(ratio: AspectRatio) -> Self {
        ratio.as_str()
    }
}

/// Which size a caller wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeChoice {
    /// The render type's own.
    #[default]
    Default,
    /// A ratio from the render type's table.
    Aspect(AspectRatio),
    /// Exactly this, within the render type's limits.
    Exact(ImageSize),
}
