//! From a request to a recipe: everything is decided here, nothing is read or written.
//!
//! Pure functions over one snapshot of the catalogue. Whether and how an LLM rewords the prompt is told
//! to [`plan`] as [`Wording`]; asking the LLM is the planner's work.

pub(crate) mod area;
pub(crate) mod enhance;
mod render_type;
pub(crate) mod seed;
mod size;
pub(crate) mod styles;

#[cfg(test)]
pub(crate) mod fixtures;

use comfyui::workflow::SlotKind;
use hub_core::{
    catalogue::{Catalogue, Mode, RenderType},
    error::{ErrorCode, UserError},
    ids::ArtifactId,
    recipe::Recipe,
    request::{ImageRequest, SizeChoice, StyleChoice},
};

use crate::catalogue::{Runnable, Snapshot};

/// The words that go into the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wording {
    /// The caller's own.
    AsAsked {
        /// Why no LLM reworded them.
        because: String,
    },
    /// An LLM's.
    Enhanced {
        /// Instead of the caller's prompt.
        prompt: String,
        /// Instead of the caller's negative prompt.
        negative: Option<String>,
    },
    /// An earlier job's, styles included.
    Kept(Kept),
}

/// The words of an earlier recipe, as they were rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) prompt: Option<String>,
    pub(crate) negative: Option<String>,
    /// Styles whose words are in both.
    pub(crate) styles: Vec<String>,
    /// Whether an LLM wrote them.
    pub(crate) enhanced: bool,
    /// Why not.
    pub(crate) because: Option<String>,
}

/// A finished plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) recipe: Recipe,
    /// What the caller should know.
    pub(crate) warnings: Vec<String>,
}

/// Whether an LLM is to reword the prompt; else why not.
pub(crate) fn enhancement(catalogue: &Catalogue, request: &ImageRequest) -> Result<(), String> {
    let refuse = |because: &str| Err(because.to_owned());
    match request.enhance {
        Some(false) => refuse("it was switched off for this request"),
        _ if request.prompt.is_none() => refuse("there is no prompt"),
        // Instructions for a given picture mean exactly what they say.
        None if request.mode != Mode::Generate => {
            refuse("prompts for a given picture are used as they are unless `enhance` is true")
        }
        _ if !catalogue.can_enhance => refuse("no LLM is set up for it"),
        _ => Ok(()),
    }
}

/// The words of a plan that is made without asking an LLM, and whether one is to reword them first. Those of an
/// earlier job stay as they are.
pub(crate) fn wording(catalogue: &Catalogue, request: &ImageRequest, kept: Option<Wording>) -> (Wording, bool) {
    if let Some(kept) = kept {
        return (kept, false);
    }
    let because = enhancement(catalogue, request).err();
    let reworded = because.is_none();
    (Wording::AsAsked { because: because.unwrap_or_default() }, reworded)
}

/// The recipe for a request.
///
/// # Errors
/// The caller's faults by argument, with the valid values; `not_configured`; `no_server`.
pub(crate) fn plan(
    snapshot: &Snapshot,
    request: &ImageRequest,
    input: Option<ArtifactId>,
    drawn_seed: u64,
    wording: &Wording,
) -> Result<Plan, UserError> {
    let catalogue = &*snapshot.catalogue;
    let styles = match (&request.styles, request.mode) {
        // Their words are in the prompt already.
        _ if matches!(wording, Wording::Kept(_)) => Vec::new(),
        // Default styles are for new pictures; what is done to a given picture gets only what was named.
        (StyleChoice::Defaults, mode) if mode != Mode::Generate => Vec::new(),
        (choice, _) => styles::choose(catalogue, choice)?,
    };
    let render_type = area::render_type(snapshot, request)
        .map_or_else(|| render_type::choose(catalogue, request.mode, request.render_type.as_deref(), &styles), Ok)?;
    let (size, rounded) = size::choose(render_type, request.size)?;
    let runnable = snapshot.runnable(render_type).ok_or_else(|| no_workflow(render_type))?;
    if catalogue.enabled_servers == 0 {
        return Err(UserError::new(ErrorCode::NoServer, "This hub has no ComfyUI server that is switched on.")
            .with_hint("Whoever runs the hub must add a ComfyUI server."));
    }
    let part = area::check(snapshot, render_type, runnable, request)?;
    let (prompt, negative, because) = match wording {
        Wording::AsAsked { because } => {
            let prompt = request.prompt.as_deref().or(part.map(area::words));
            (prompt, request.negative_prompt.as_deref(), Some(because.clone()))
        }
        Wording::Kept(kept) => (kept.prompt.as_deref(), kept.negative.as_deref(), kept.because.clone()),
        Wording::Enhanced { prompt, negative } => {
            (Some(prompt.as_str()), negative.as_deref().or(request.negative_prompt.as_deref()), None)
        }
    };
    let mut warnings = render_type::warnings(render_type, &styles);
    warnings.extend(rounded);
    warnings.extend(ignored(request, runnable, render_type));
    let defaults = &render_type.defaults;
    let recipe = Recipe {
        mode: request.mode,
        render_type: render_type.name.clone(),
        workflow: runnable.workflow.name.clone(),
        workflow_version: runnable.workflow.version,
        workflow_id: runnable.workflow.id,
        prompt_asked: request.prompt.clone(),
        prompt: styles::apply_to_prompt(prompt, &styles),
        negative_prompt: styles::apply_to_negative(negative, &styles),
        styles: match wording {
            Wording::Kept(kept) => kept.styles.clone(),
            _ => styles.iter().map(|style| style.name.clone()).collect(),
        },
        enhanced: match wording {
            Wording::Kept(kept) => kept.enhanced,
            _ => because.is_none(),
        },
        not_enhanced_because: because,
        seed: request.seed.unwrap_or(drawn_seed),
        size,
        steps: defaults.steps,
        cfg: defaults.cfg,
        denoise: request.denoise.or(defaults.denoise),
        input,
        mask: area::mask(request),
        part,
    };
    Ok(Plan { recipe, warnings })
}

fn no_workflow(render_type: &RenderType) -> UserError {
    let version = render_type.workflow_version.map(|version| format!(" version {version}")).unwrap_or_default();
    UserError::new(
        ErrorCode::NotConfigured,
        format!(
            "The render type `{}` runs the workflow `{}`{version}, which this hub does not have.",
            render_type.name, render_type.workflow
        ),
    )
    .with_hint("Choose another render type; whoever runs the hub must import the workflow.")
}

/// What the caller asked for and the workflow has no place for.
fn ignored(request: &ImageRequest, runnable: &Runnable, render_type: &RenderType) -> Vec<String> {
    let slots = &runnable.slots;
    let asked = [
        ("negative prompt", request.negative_prompt.is_some(), slots.has(SlotKind::Negative)),
        ("seed", request.seed.is_some(), slots.has(SlotKind::Seed)),
        ("denoise strength", request.denoise.is_some(), slots.has(SlotKind::Denoise)),
        ("size", request.size != SizeChoice::Default, slots.has(SlotKind::Width) && slots.has(SlotKind::Height)),
        ("prompt", request.prompt.is_some(), slots.has(SlotKind::Prompt)),
    ];
    asked
        .into_iter()
        .filter(|(_, given, has_place)| *given && !*has_place)
        .map(|(what, ..)| format!("The render type `{}` takes no {what}; it was ignored.", render_type.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use hub_core::request::{AspectRatio, ImageSize};

    use super::*;
    use crate::plan::fixtures::{snapshot, style};

    fn as_asked() -> Wording {
        Wording::AsAsked { because: "test".to_owned() }
    }

    #[test]
    fn a_bare_prompt_takes_the_defaults() {
        let snapshot = snapshot();
        let plan = plan(&snapshot, &ImageRequest::generate("a fox"), None, 42, &as_asked()).expect("plans");
        let recipe = plan.recipe;
        assert_eq!(recipe.render_type, "sdxl");
        assert_eq!(recipe.seed, 42);
        assert_eq!(recipe.prompt.as_deref(), Some("a fox"));
        assert_eq!(recipe.negative_prompt, None, "the workflow keeps its own text");
        assert_eq!((recipe.size, recipe.denoise), (None, None));
        assert!(!recipe.enhanced);
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }

    #[test]
    fn seed_ratio_style_and_enhancement_meet_in_the_recipe() {
        let mut snapshot = snapshot();
        let mut cinematic = style("cinematic");
        cinematic.prompt_template = "cinematic".to_owned();
        cinematic.negative_template = "blurry".to_owned();
        let mut catalogue = (*snapshot.catalogue).clone();
        catalogue.styles.push(cinematic);
        snapshot.catalogue = catalogue.into();
        let mut request = ImageRequest::generate("un renard");
        request.seed = Some(0);
        request.size = SizeChoice::Aspect(AspectRatio::R16x9);
        request.styles = StyleChoice::Named(vec!["cinematic".to_owned()]);
        let wording =
            Wording::Enhanced { prompt: "enhanced text".to_owned(), negative: Some("enhanced text".to_owned()) };
        let recipe = plan(&snapshot, &request, None, 42, &wording).expect("plans").recipe;
        assert_eq!(recipe.prompt.as_deref(), Some("enhanced text, cinematic"));
        assert_eq!(recipe.negative_prompt.as_deref(), Some("enhanced text, blurry"));
        assert_eq!(recipe.prompt_asked.as_deref(), Some("un renard"));
        assert_eq!(recipe.size, Some(ImageSize { width_px: 1344, height_px: 768 }));
        assert_eq!(recipe.seed, 0, "zero is a seed like any other");
        assert!(recipe.enhanced && recipe.not_enhanced_because.is_none());
    }

    #[test]
    fn default_styles_apply_to_new_pictures_only_and_an_empty_list_means_none() {
        let mut snapshot = snapshot();
        let mut catalogue = (*snapshot.catalogue).clone();
        catalogue.styles.push(hub_core::catalogue::Style {
            is_default: true,
            prompt_template: "sharp".to_owned(),
            ..style("sharp")
        });
        snapshot.catalogue = catalogue.into();
        let mut request = ImageRequest::generate("a fox");
        let planned = |request: &ImageRequest| plan(&snapshot, request, None, 1, &as_asked()).expect("plans").recipe;
        assert_eq!(planned(&request).styles, ["sharp"]);
        assert_eq!(planned(&request).prompt.as_deref(), Some("a fox, sharp"));
        request.styles = StyleChoice::Named(Vec::new());
        assert!(planned(&request).styles.is_empty());
        request.styles = StyleChoice::Defaults;
        request.mode = Mode::Upscale;
        assert!(planned(&request).styles.is_empty());
    }

    #[test]
    fn what_the_workflow_has_no_place_for_is_told() {
        let snapshot = snapshot();
        let mut request = ImageRequest::generate("sharper");
        request.mode = Mode::Upscale;
        request.denoise = Some(0.3);
        let warnings = plan(&snapshot, &request, None, 1, &as_asked()).expect("plans").warnings;
        assert!(warnings.iter().any(|warning| warning.contains("denoise strength")), "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("no prompt")), "{warnings:?}");
    }

    #[test]
    fn without_servers_or_workflow_the_refusal_says_so() {
        let mut without_server = snapshot();
        let mut catalogue = (*without_server.catalogue).clone();
        catalogue.enabled_servers = 0;
        without_server.catalogue = catalogue.clone().into();
        let request = ImageRequest::generate("a fox");
        let error = plan(&without_server, &request, None, 1, &as_asked()).expect_err("no server");
        assert_eq!(error.code, ErrorCode::NoServer);
        let without_workflow = Snapshot::new(catalogue, std::collections::HashMap::new());
        let error = plan(&without_workflow, &request, None, 1, &as_asked()).expect_err("no workflow");
        assert_eq!(error.code, ErrorCode::NotConfigured);
    }

    #[test]
    fn enhancement_is_on_for_new_pictures_when_an_llm_is_there() {
        let with = Catalogue { can_enhance: true, ..Catalogue::default() };
        let without = Catalogue::default();
        let mut request = ImageRequest::generate("a fox");
        assert!(enhancement(&with, &request).is_ok());
        assert!(enhancement(&without, &request).expect_err("no LLM").contains("no LLM"));
        request.enhance = Some(false);
        assert!(enhancement(&with, &request).is_err());
        request.enhance = None;
        request.mode = Mode::Edit;
        assert!(enhancement(&with, &request).is_err());
        request.enhance = Some(true);
        assert!(enhancement(&with, &request).is_ok());
        request.prompt = None;
        assert!(enhancement(&with, &request).is_err());
    }
}
