//! Which size a request renders at.

use hub_core::{
    catalogue::{RenderType, SizeLimits},
    error::UserError,
    request::{AspectRatio, ImageSize, SizeChoice},
};

/// The size, and a warning when it is not exactly what was asked. `None` leaves the workflow's own.
///
/// # Errors
/// `bad_argument` naming the ratios or bounds that are valid.
pub(super) fn choose(
    render_type: &RenderType,
    choice: SizeChoice,
) -> Result<(Option<ImageSize>, Option<String>), UserError> {
    match choice {
        SizeChoice::Default => {
            let size = render_type.defaults.aspect.and_then(|aspect| render_type.sizes.get(&aspect).copied());
            Ok((size, None))
        }
        SizeChoice::Aspect(aspect) => of_aspect(render_type, aspect).map(|size| (Some(size), None)),
        SizeChoice::Exact(asked) => {
            let size = within(render_type, asked)?;
            let warning = (size != asked).then(|| {
                format!(
                    "{asked} was rounded to {size}: `{}` takes multiples of {} pixels.",
                    render_type.name, render_type.limits.side_multiple_px
                )
            });
            Ok((Some(size), warning))
        }
    }
}

fn of_aspect(render_type: &RenderType, aspect: AspectRatio) -> Result<ImageSize, UserError> {
    render_type.sizes.get(&aspect).copied().ok_or_else(|| {
        let error = UserError::argument(
            "aspect_ratio",
            format!("The render type `{}` has no size for the aspect ratio {aspect}.", render_type.name),
        );
        if render_type.sizes.is_empty() {
            return error.with_hint("It has one size only: leave out `aspect_ratio`, or give `width` and `height`.");
        }
        error.with_valid(render_type.sizes.keys().map(|valid| valid.as_str()))
    })
}

fn within(render_type: &RenderType, asked: ImageSize) -> Result<ImageSize, UserError> {
    let limits = render_type.limits;
    let side = |name: &str, side_px: u32| {
        round(side_px, limits).ok_or_else(|| {
            UserError::argument(
                name,
                format!(
                    "`{name}` is {side_px}, but the render type `{}` takes {} to {} pixels.",
                    render_type.name, limits.min_side_px, limits.max_side_px
                ),
            )
        })
    };
    Ok(ImageSize { width_px: side("width", asked.width_px)?, height_px: side("height", asked.height_px)? })
}

/// The nearest multiple within the limits; `None` when the side itself lies outside them.
fn round(side_px: u32, limits: SizeLimits) -> Option<u32> {
    if !(limits.min_side_px..=limits.max_side_px).contains(&side_px) {
        return None;
    }
    let multiple = limits.side_multiple_px.max(1);
    let nearest = (side_px + multiple / 2) / multiple * multiple;
    let lowest = limits.min_side_px.div_ceil(multiple) * multiple;
    let highest = limits.max_side_px / multiple * multiple;
    (lowest <= highest).then(|| nearest.clamp(lowest, highest))
}

#[cfg(test)]
mod tests {
    use hub_core::catalogue::Mode;
    use proptest::prelude::*;

    use super::*;
    use crate::plan::fixtures::render_type;

    const fn size(width_px: u32, height_px: u32) -> ImageSize {
        ImageSize { width_px, height_px }
    }

    #[test]
    fn aspect_ratios_come_from_the_table_and_others_are_refused_naming_valid_values() {
        let sdxl = render_type("sdxl", Mode::Generate);
        assert_eq!(
            choose(&sdxl, SizeChoice::Aspect(AspectRatio::R16x9)).expect("in the table").0,
            Some(size(1344, 768))
        );
        let error = choose(&sdxl, SizeChoice::Aspect(AspectRatio::R21x9)).expect_err("not in the table");
        assert_eq!(error.argument.as_deref(), Some("aspect_ratio"));
        assert_eq!(error.valid_values, ["1:1", "16:9"]);
    }

    #[test]
    fn no_choice_takes_the_default_ratio_or_leaves_the_workflows_own() {
        let mut sdxl = render_type("sdxl", Mode::Generate);
        assert_eq!(choose(&sdxl, SizeChoice::Default).expect("always"), (None, None));
        sdxl.defaults.aspect = Some(AspectRatio::R1x1);
        assert_eq!(choose(&sdxl, SizeChoice::Default).expect("always"), (Some(size(1024, 1024)), None));
    }

    #[test]
    fn exact_sizes_are_rounded_with_a_warning_and_bounded() {
        let sdxl = render_type("sdxl", Mode::Generate);
        let exact = |width, height| choose(&sdxl, SizeChoice::Exact(size(width, height)));
        assert_eq!(exact(512, 768).expect("fits"), (Some(size(512, 768)), None));
        let (rounded, warning) = exact(515, 766).expect("fits");
        assert_eq!(rounded, Some(size(512, 768)));
        assert!(warning.expect("rounded").contains("515x766"));
        let error = exact(512, 4096).expect_err("too high");
        assert_eq!(error.argument.as_deref(), Some("height"));
        assert!(error.message.contains("64 to 2048"), "{}", error.message);
    }

    proptest! {
        #[test]
        fn rounding_stays_within_the_limits_and_half_a_multiple(
            side in 1..9000_u32, min in 1..2000_u32, span in 0..8000_u32, multiple in 1..129_u32,
        ) {
            let limits = SizeLimits { min_side_px: min, max_side_px: min + span, side_multiple_px: multiple };
            if let Some(rounded) = round(side, limits) {
                prop_assert_eq!(rounded % multiple, 0);
                prop_assert!((min..=min + span).contains(&rounded));
                prop_assert!(rounded.abs_diff(side) < multiple);
            } else {
                let no_multiple = min.div_ceil(multiple) > (min + span) / multiple;
                prop_assert!(no_multiple || !(min..=min + span).contains(&side));
            }
        }
    }
}
