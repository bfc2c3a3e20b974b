//! What the form offers to choose from: render types, styles, shapes.

use std::collections::BTreeMap;

use hub_core::{
    catalogue::{Catalogue, Mode, RenderType},
    request::AspectRatio,
};
use hub_engine::ShowcaseIndex;
use serde::Serialize;

use crate::pages::shown::ShownShowcase;

#[derive(Debug, Serialize)]
pub(super) struct RenderTypeOption {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) is_default: bool,
    pub(super) chosen: bool,
    pub(super) hidden: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct StyleGroup {
    pub(super) category: String,
    pub(super) styles: Vec<StyleOption>,
}

#[derive(Debug, Serialize)]
pub(super) struct StyleOption {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) chosen: bool,
    /// Address of a small picture of what it looks like.
    pub(super) thumb: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Ratio {
    pub(super) name: &'static str,
    /// Icon in the sprite.
    pub(super) icon: &'static str,
    pub(super) chosen: bool,
}

/// The render type whose examples are shown: the chosen one, else the default.
pub(super) fn shown_type<'a>(catalogue: &'a Catalogue, mode: Mode, chosen: &str) -> Option<&'a RenderType> {
    catalogue.render_type(chosen).filter(|found| found.mode == mode).or_else(|| catalogue.default_for(mode))
}

/// Hidden ones too: the page is for those who set them up.
pub(super) fn render_types(catalogue: &Catalogue, mode: Mode, chosen: &str) -> Vec<RenderTypeOption> {
    catalogue
        .render_types
        .iter()
        .filter(|candidate| candidate.mode == mode)
        .map(|candidate| RenderTypeOption {
            name: candidate.name.clone(),
            title: candidate.title.clone(),
            description: candidate.description.clone(),
            is_default: candidate.is_default,
            chosen: candidate.name == chosen,
            hidden: !candidate.visible,
        })
        .collect()
}

pub(super) fn style_groups(catalogue: &Catalogue, showcases: &ShowcaseIndex, chosen: &[String]) -> Vec<StyleGroup> {
    let mut groups: BTreeMap<&str, Vec<StyleOption>> = BTreeMap::new();
    for style in catalogue.enabled_styles() {
        groups.entry(&style.category).or_default().push(StyleOption {
            name: style.name.clone(),
            description: style.description.clone(),
            chosen: chosen.contains(&style.name),
            thumb: ShownShowcase::of(&showcases.of_style(style)).thumb(),
        });
    }
    groups.into_iter().map(|(category, styles)| StyleGroup { category: category.to_owned(), styles }).collect()
}

pub(super) fn ratios(chosen: &str) -> Vec<Ratio> {
    AspectRatio::ALL
        .into_iter()
        .map(|ratio| Ratio {
            name: ratio.as_str(),
            icon: match ratio {
                AspectRatio::R1x1 => "ratio-1x1",
                AspectRatio::R16x9 => "ratio-16x9",
                AspectRatio::R9x16 => "ratio-9x16",
                AspectRatio::R4x3 => "ratio-4x3",
                AspectRatio::R3x4 => "ratio-3x4",
                AspectRatio::R3x2 => "ratio-3x2",
                AspectRatio::R2x3 => "ratio-2x3",
                AspectRatio::R21x9 => "ratio-21x9",
                AspectRatio::R9x21 => "ratio-9x21",
            },
            chosen: ratio.as_str() == chosen,
        })
        .collect()
}

/// Styles that a generated prompt can be written in.
pub(super) fn prompt_styles(catalogue: &Catalogue, chosen: &str) -> Vec<StyleOption> {
    let option = |name: &String| StyleOption {
        name: name.clone(),
        description: String::new(),
        chosen: *name == chosen,
        thumb: None,
    };
    catalogue.prompt_styles.iter().map(option).collect()
}
