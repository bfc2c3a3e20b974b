//! Which part of a picture is to be redrawn.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ImageRef, ImageSize};
use crate::error::UserError;

/// A part that a detector can find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Every face.
    Face,
    /// Every hand.
    Hand,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 2] = [Self::Face, Self::Hand];

    /// The part as it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Face => "face",
            Self::Hand => "hand",
        }
    }
}

/// What of a picture is redrawn; the rest is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// What is white in this picture.
    Mask(ImageRef),
    /// A box.
    Region(Region),
    /// What a detector finds.
    Part(Part),
}

/// A box in a picture, from its top left corner. Sides are above zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Region {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// A box in whole pixels, inside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelBox {
    /// From the left edge, in pixels.
    pub left_px: u32,
    /// From the top edge, in pixels.
    pub top_px: u32,
    /// Width in pixels, at least 1.
    pub width_px: u32,
    /// Height in pixels, at least 1.
    pub height_px: u32,
}

impl Region {
    /// The middle half of a picture, whatever its size.
    pub fn middle() -> Self {
        Self { left: 0.25, top: 0.25, width: 0.5, height: 0.5 }
    }

    /// Reads `[x, y, width, height]`: pixels, or parts of the picture's sides when all four are at most 1.
    ///
    /// # Errors
    /// `bad_argument` saying what is wrong with the numbers.
    pub fn new([left, top, width, height]: [f64; 4]) -> Result<Self, UserError> {
        let refuse = |why: &str| Err(UserError::argument("region", format!("`region` {why}.")));
        if ![left, top, width, height].iter().all(|number| number.is_finite()) {
            return refuse("must hold four finite numbers");
        }
        if left < 0.0 || top < 0.0 {
            return refuse("begins outside of the picture: x and y must be 0 or more");
        }
        if width <= 0.0 || height <= 0.0 {
            return refuse("is empty: width and height must be above 0");
        }
        let region = Self { left, top, width, height };
        if region.is_fraction() && (left + width > 1.0 + ROUNDING || top + height > 1.0 + ROUNDING) {
            return refuse("reaches beyond the picture: as parts of it, x + width and y + height are at most 1");
        }
        Ok(region)
    }

    /// Whether the numbers are parts of the picture's sides.
    fn is_fraction(&self) -> bool {
        [self.left, self.top, self.width, self.height].iter().all(|number| *number <= 1.0)
    }

    /// The box in a picture of that size, rounded outwards.
    ///
    /// # Errors
    /// `bad_argument` naming the picture's size when the box reaches beyond it.
    pub fn within(&self, size: ImageSize) -> Result<PixelBox, UserError> {
        let (across, down) = (f64::from(size.width_px), f64::from(size.height_px));
        let (per_x, per_y) = if self.is_fraction() { (across, down) } else { (1.0, 1.0) };
        let (left, top) = ((self.left * per_x).floor(), (self.top * per_y).floor());
        let right = ((self.left + self.width) * per_x - ROUNDING).ceil();
        let bottom = ((self.top + self.height) * per_y - ROUNDING).ceil();
        if right > across || bottom > down {
            return Err(UserError::argument(
                "region",
                format!("`region` reaches to {right},{bottom}, but the picture is {size}."),
            )
            .with_hint("Give [x, y, width, height] in its pixels, or all four as parts of it from 0 to 1."));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within the picture")]
        let px = |number: f64| number as u32;
        Ok(PixelBox {
            left_px: px(left),
            top_px: px(top),
            width_px: px(right - left).max(1),
            height_px: px(bottom - top).max(1),
        })
    }
}

/// What sums of fractions may miss by.
const ROUNDING: f64 = 1e-6;

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}, {}, {}]", self.left, self.top, self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: ImageSize = ImageSize { width_px: 100, height_px: 50 };

    fn within(numbers: [f64; 4]) -> Result<(u32, u32, u32, u32), String> {
        let placed = Region::new(numbers).and_then(|region| region.within(SIZE)).map_err(|error| error.message)?;
        Ok((placed.left_px, placed.top_px, placed.width_px, placed.height_px))
    }

    #[test]
    fn numbers_up_to_one_are_parts_of_the_picture_and_others_are_pixels() {
        assert_eq!(within([10.0, 20.0, 30.0, 5.0]), Ok((10, 20, 30, 5)));
        assert_eq!(within([0.1, 0.2, 0.3, 0.4]), Ok((10, 10, 30, 20)));
        assert_eq!(within([0.0, 0.0, 1.0, 1.0]), Ok((0, 0, 100, 50)), "the whole picture");
        assert_eq!(within([0.0, 0.0, 2.0, 1.0]), Ok((0, 0, 2, 1)));
    }

    #[test]
    fn boxes_outside_of_the_picture_are_refused_naming_its_size() {
        assert!(within([90.0, 0.0, 20.0, 5.0]).unwrap_err().contains("100x50"));
        for bad in [[-1.0, 0.0, 5.0, 5.0], [0.0, 0.0, 0.0, 5.0], [0.5, 0.0, 0.6, 0.1], [f64::NAN, 0.0, 1.0, 1.0]] {
            assert!(Region::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_box_lies_in_the_picture(x in 0.0..1.0_f64, y in 0.0..1.0_f64, w in 0.001..1.0_f64, h in 0.001..1.0_f64,
            width_px in 1..5000_u32, height_px in 1..5000_u32) {
            if let Ok(region) = Region::new([x, y, w, h]) {
                let placed = region.within(ImageSize { width_px, height_px }).expect("fits");
                prop_assert!(placed.left_px + placed.width_px <= width_px);
                prop_assert!(placed.top_px + placed.height_px <= height_px);
                prop_assert!(placed.width_px >= 1 && placed.height_px >= 1);
            }
        }
    }
}
