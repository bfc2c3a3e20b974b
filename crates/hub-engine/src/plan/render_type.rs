//! Which render type a request runs.
//!
//! An explicit choice is never overridden: a style that does not suit it causes a warning. Hidden render
//! types can be named, but are never listed.

use hub_core::{
    catalogue::{Catalogue, Mode, RenderType, Style},
    error::{ErrorCode, UserError},
    suggest,
};

/// The render type for a request and its styles.
///
/// # Errors
/// `unknown_render_type` and `wrong_mode` naming the right ones; `not_configured` when the mode has none.
pub(super) fn choose<'a>(
    catalogue: &'a Catalogue,
    mode: Mode,
    asked: Option<&str>,
    styles: &[&Style],
) -> Result<&'a RenderType, UserError> {
    match asked {
        Some(name) => named(catalogue, mode, name),
        None => preferred(catalogue, mode, styles).or_else(|| default_of(catalogue, mode)).ok_or_else(|| {
            UserError::new(ErrorCode::NotConfigured, format!("This hub has no render type for `{}` yet.", mode.tool()))
                .with_hint("Whoever runs the hub must import a workflow and make a render type of it.")
        }),
    }
}

/// What the caller should know about styles that were not made for the render type.
pub(super) fn warnings(render_type: &RenderType, styles: &[&Style]) -> Vec<String> {
    styles
        .iter()
        .filter(|style| !suits(style, &render_type.name))
        .map(|style| {
            format!(
                "The style `{}` is not made for the render type `{}`, but for {}; it was applied all the same.",
                style.name,
                render_type.name,
                style.render_types.join(", ")
            )
        })
        .collect()
}

fn suits(style: &Style, render_type: &str) -> bool {
    style.render_types.is_empty() || style.render_types.iter().any(|name| name == render_type)
}

fn named<'a>(catalogue: &'a Catalogue, mode: Mode, name: &str) -> Result<&'a RenderType, UserError> {
    let refuse = |code, message: String| {
        let mut error = UserError::new(code, message);
        error.argument = Some("render_type".to_owned());
        error.with_valid(catalogue.visible(mode).map(|valid| valid.name.as_str()))
    };
    match catalogue.render_type(name) {
        Some(found) if found.mode == mode => Ok(found),
        Some(found) => Err(refuse(
            ErrorCode::WrongMode,
            format!("The render type `{name}` is for `{}`, not for `{}`.", found.mode.tool(), mode.tool()),
        )),
        None => {
            let error = refuse(ErrorCode::UnknownRenderType, format!("There is no render type `{name}`."));
            let known = catalogue.visible(mode).map(|known| known.name.as_str());
            Err(match suggest::nearest(name, known) {
                Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
                None => error,
            })
        }
    }
}

/// The first style's preference that exists and fits the mode.
fn preferred<'a>(catalogue: &'a Catalogue, mode: Mode, styles: &[&Style]) -> Option<&'a RenderType> {
    styles
        .iter()
        .filter_map(|style| style.preferred_render_type.as_deref())
        .filter_map(|name| catalogue.render_type(name))
        .find(|render_type| render_type.mode == mode)
}

/// The mode's default; else its only visible one, since then there is nothing to choose.
fn default_of(catalogue: &Catalogue, mode: Mode) -> Option<&RenderType> {
    catalogue.default_for(mode).or_else(|| {
        let mut visible = catalogue.visible(mode);
        visible.next().filter(|_| visible.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::{render_type, style};

    fn catalogue() -> Catalogue {
        let mut generate = render_type("sdxl", Mode::Generate);
        generate.is_default = true;
        let mut hidden = render_type("hidden", Mode::Generate);
        hidden.visible = false;
        Catalogue {
            render_types: vec![
                generate,
                hidden,
                render_type("flux", Mode::Generate),
                render_type("4x", Mode::Upscale),
                render_type("2x", Mode::Upscale),
            ],
            ..Catalogue::default()
        }
    }

    fn tied(to: &str) -> Style {
        Style { render_types: vec![to.to_owned()], preferred_render_type: Some(to.to_owned()), ..style("tied") }
    }

    #[test]
    fn explicit_render_type_is_kept_with_a_warning() {
        let catalogue = catalogue();
        let tied = tied("hidden");
        let chosen = choose(&catalogue, Mode::Generate, Some("flux"), &[&tied]).expect("exists");
        assert_eq!(chosen.name, "flux");
        let warnings = warnings(chosen, &[&tied]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("`tied`") && warnings[0].contains("`flux`"), "{warnings:?}");
    }

    #[test]
    fn a_style_decides_only_when_the_caller_does_not() {
        let catalogue = catalogue();
        assert_eq!(choose(&catalogue, Mode::Generate, None, &[]).expect("default").name, "sdxl");
        assert_eq!(choose(&catalogue, Mode::Generate, None, &[&tied("hidden")]).expect("preferred").name, "hidden");
        let wrong_mode = tied("4x");
        assert_eq!(choose(&catalogue, Mode::Generate, None, &[&wrong_mode]).expect("default").name, "sdxl");
    }

    #[test]
    fn generate_image_with_an_upscale_render_type_is_refused() {
        let error = choose(&catalogue(), Mode::Generate, Some("4x"), &[]).expect_err("wrong mode");
        assert_eq!(error.code, ErrorCode::WrongMode);
        assert_eq!(error.valid_values, ["sdxl", "flux"], "hidden ones are not listed");
        assert!(error.message.contains("upscale_image"));
    }

    #[test]
    fn an_unknown_one_is_told_its_neighbour_and_a_mode_without_any_is_not_configured() {
        let catalogue = catalogue();
        let error = choose(&catalogue, Mode::Generate, Some("sdxk"), &[]).expect_err("unknown");
        assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::UnknownRenderType, Some("Did you mean `sdxl`?")));
        assert_eq!(choose(&catalogue, Mode::Generate, Some("hidden"), &[]).expect("callable").name, "hidden");
        let none = choose(&catalogue, Mode::Edit, None, &[]).expect_err("none");
        assert_eq!(none.code, ErrorCode::NotConfigured);
        let undecided = choose(&catalogue, Mode::Upscale, None, &[]).expect_err("two, no default");
        assert_eq!(undecided.code, ErrorCode::NotConfigured);
    }
}
