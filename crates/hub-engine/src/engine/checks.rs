//! Checks of what administrators give, before it is stored. Pure.

use hub_core::{
    catalogue::{RenderType, Style},
    error::UserError,
    limits,
    server::Server,
};

/// Longest template, guide or description, in characters.
const TEXT_MAX_CHARS: usize = limits::PROMPT_MAX_CHARS;
/// Prompts of ours that may be on one server at once, at most.
const IN_FLIGHT_MAX: u32 = 64;
/// Largest weight of a server against its peers.
const WEIGHT_MAX: f64 = 1000.0;

/// A unique name, as callers will write it.
pub(super) fn name(name: &str) -> Result<String, UserError> {
    let trimmed = name.trim();
    let chars = trimmed.chars().count();
    let fits = (1..=limits::NAME_MAX_CHARS).contains(&chars) && !trimmed.chars().any(char::is_control);
    if fits {
        return Ok(trimmed.to_owned());
    }
    Err(UserError::argument(
        "name",
        format!("`name` must have 1 to {} characters and no control characters.", limits::NAME_MAX_CHARS),
    ))
}

pub(super) fn in_flight(max_in_flight: u32) -> Result<(), UserError> {
    if (1..=IN_FLIGHT_MAX).contains(&max_in_flight) {
        return Ok(());
    }
    Err(UserError::argument(
        "max_in_flight",
        format!("`max_in_flight` is {max_in_flight}, but must lie between 1 and {IN_FLIGHT_MAX}."),
    ))
}

pub(super) fn server(server: &Server) -> Result<(), UserError> {
    in_flight(server.max_in_flight)?;
    if !(server.weight.is_finite() && server.weight > 0.0 && server.weight <= WEIGHT_MAX) {
        return Err(UserError::argument("weight", format!("`weight` must be above 0 and at most {WEIGHT_MAX}.")));
    }
    if server.run_limit_s == 0 || server.stall_limit_s == 0 {
        return Err(UserError::argument("run_limit_s", "`run_limit_s` and `stall_limit_s` must be above 0."));
    }
    Ok(())
}

pub(super) fn style(style: &Style) -> Result<(), UserError> {
    text("prompt_template", &style.prompt_template)?;
    text("negative_template", &style.negative_template)
}

pub(super) fn render_type(row: &RenderType) -> Result<(), UserError> {
    text("prompt_guide", &row.prompt_guide)?;
    let bounds = row.limits;
    let possible = limits::SIDE_MIN_PX..=limits::SIDE_MAX_PX;
    if !possible.contains(&bounds.min_side_px)
        || !possible.contains(&bounds.max_side_px)
        || bounds.min_side_px > bounds.max_side_px
        || bounds.side_multiple_px == 0
        || bounds.side_multiple_px > bounds.max_side_px
    {
        return Err(UserError::argument(
            "limits",
            format!(
                "`limits` must be ordered, lie between {} and {} pixels, and hold a multiple.",
                limits::SIDE_MIN_PX,
                limits::SIDE_MAX_PX
            ),
        ));
    }
    if let Some((aspect, size)) =
        row.sizes.iter().find(|(_, size)| !possible.contains(&size.width_px) || !possible.contains(&size.height_px))
    {
        return Err(UserError::argument(
            "sizes",
            format!("The size {size} for {aspect} lies outside what is possible."),
        ));
    }
    if let Some(aspect) = row.defaults.aspect.filter(|aspect| !row.sizes.contains_key(aspect)) {
        return Err(UserError::argument("defaults", format!("The default aspect ratio {aspect} has no size."))
            .with_valid(row.sizes.keys().map(|known| known.as_str())));
    }
    if row.defaults.denoise.is_some_and(|denoise| !(0.0..=1.0).contains(&denoise)) {
        return Err(UserError::argument("defaults", "The default denoise strength must lie between 0 and 1."));
    }
    Ok(())
}

fn text(argument: &str, text: &str) -> Result<(), UserError> {
    let chars = text.chars().count();
    if chars <= TEXT_MAX_CHARS {
        return Ok(());
    }
    Err(UserError::argument(
        argument,
        format!("`{argument}` has {chars} characters; at most {TEXT_MAX_CHARS} are allowed."),
    ))
}

#[cfg(test)]
mod tests {
    use hub_core::catalogue::{Mode, SizeLimits};

    use super::*;
    use crate::plan::fixtures;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name(" sdxl ").as_deref(), Ok("sdxl"));
        for bad in ["", "  ", "a\nb", &"x".repeat(limits::NAME_MAX_CHARS + 1)] {
            assert_eq!(name(bad).expect_err("refused").argument.as_deref(), Some("name"));
        }
    }

    #[test]
    fn a_render_type_that_no_request_could_use_is_refused() {
        let good = fixtures::render_type("x", Mode::Generate);
        assert_eq!(render_type(&good), Ok(()));
        let mut crossed = good.clone();
        crossed.limits = SizeLimits { min_side_px: 512, max_side_px: 256, side_multiple_px: 8 };
        assert!(render_type(&crossed).is_err());
        let mut sizeless = good;
        sizeless.sizes.clear();
        sizeless.defaults.aspect = Some(hub_core::request::AspectRatio::R1x1);
        assert!(render_type(&sizeless).is_err());
    }
}
