//! What administrators can set.

use hub_core::{catalogue::Catalogue, error::UserError, suggest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::checks;

/// Setting under which changed values are kept.
pub(crate) const SETTING: &str = "prompt_generator";
/// Most proposals of one kind.
const PROPOSALS_MAX: u32 = 40;
/// Most variations in all: a model writes each of them before the prompt.
const VARIATIONS_MAX: u32 = 120;

/// How prompts are generated. More proposals make prompts more varied and slower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptGeneratorSettings {
    /// Subjects of which one is drawn, 1–40. Default 5.
    pub subjects_to_propose: u32,
    /// Kinds of elements of which some are drawn, 1–40. Default 15.
    pub elements_to_propose: u32,
    /// How many elements are drawn, 1 to [`Self::elements_to_propose`]. Default 5.
    pub elements_to_select: u32,
    /// Variations of each drawn element, of which one is drawn, 1–40; with all elements at most 120. Default 10.
    pub variations_to_propose: u32,
    /// Styles that may be named or chosen; `None` allows every one that is enabled.
    pub allowed_styles: Option<Vec<String>>,
    /// What the LLM is told before the task itself.
    pub instructions: String,
}

impl Default for PromptGeneratorSettings {
    fn default() -> Self {
        Self {
            subjects_to_propose: 5,
            elements_to_propose: 15,
            elements_to_select: 5,
            variations_to_propose: 10,
            allowed_styles: None,
            instructions: "You invent pictures and write prompts for a text-to-image model, and you are very good at \
                           both. Write in English, whatever language you are given, and translate faithfully. Be \
                           concrete and surprising rather than general; no two proposals of one list may be alike. \
                           Keep names, numbers and text in quotes as they are given, and copy weights such as \
                           (word:1.2), embedding:name and <lora:name:0.8> letter by letter."
                .to_owned(),
        }
    }
}

impl PromptGeneratorSettings {
    /// The enabled styles that may be used, by name, in the catalogue's order.
    pub(crate) fn styles_of(&self, catalogue: &Catalogue) -> Vec<String> {
        let allowed = |name: &String| self.allowed_styles.as_ref().is_none_or(|names| names.contains(name));
        catalogue.enabled_styles().map(|style| style.name.clone()).filter(allowed).collect()
    }

    /// # Errors
    /// `bad_argument` naming the setting and what it may be.
    pub(crate) fn check(&self, catalogue: &Catalogue) -> Result<(), UserError> {
        for (name, value) in [
            ("subjects_to_propose", self.subjects_to_propose),
            ("elements_to_propose", self.elements_to_propose),
            ("elements_to_select", self.elements_to_select),
            ("variations_to_propose", self.variations_to_propose),
        ] {
            if !(1..=PROPOSALS_MAX).contains(&value) {
                let message = format!("`{name}` is {value}, but must lie between 1 and {PROPOSALS_MAX}.");
                return Err(UserError::argument(name, message));
            }
        }
        if self.elements_to_select > self.elements_to_propose {
            let message = format!(
                "`elements_to_select` is {}, but only {} are proposed.",
                self.elements_to_select, self.elements_to_propose
            );
            return Err(UserError::argument("elements_to_select", message));
        }
        let variations = self.elements_to_select * self.variations_to_propose;
        if variations > VARIATIONS_MAX {
            let message = format!(
                "{} elements with {} variations each are {variations} variations; at most {VARIATIONS_MAX} are allowed.",
                self.elements_to_select, self.variations_to_propose
            );
            return Err(UserError::argument("variations_to_propose", message));
        }
        if self.instructions.trim().is_empty() {
            return Err(UserError::argument("instructions", "`instructions` must not be empty."));
        }
        checks::text("instructions", &self.instructions)?;
        let allowed = self.allowed_styles.as_deref().unwrap_or_default();
        for (at, name) in allowed.iter().enumerate() {
            known_style(catalogue, name)?;
            if allowed[..at].contains(name) {
                return Err(UserError::argument("allowed_styles", format!("`allowed_styles` names `{name}` twice.")));
            }
        }
        Ok(())
    }
}

fn known_style(catalogue: &Catalogue, name: &str) -> Result<(), UserError> {
    if catalogue.styles.iter().any(|style| style.name == name) {
        return Ok(());
    }
    let known = || catalogue.styles.iter().map(|style| style.name.as_str());
    let error = UserError::argument("allowed_styles", format!("`allowed_styles`: there is no style `{name}`."));
    let error = match suggest::nearest(name, known()) {
        Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
        None => error,
    };
    Err(error.with_valid(known()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::style;

    #[test]
    fn each_setting_has_its_bounds() {
        let catalogue = Catalogue { styles: vec![style("ink"), style("oil")], ..Catalogue::default() };
        let given = |change: &dyn Fn(&mut PromptGeneratorSettings)| {
            let mut settings = PromptGeneratorSettings::default();
            change(&mut settings);
            settings.check(&catalogue).map_err(|error| error.argument.unwrap_or_default())
        };
        assert_eq!(given(&|_| {}), Ok(()));
        assert_eq!(given(&|settings| settings.allowed_styles = Some(vec!["ink".to_owned()])), Ok(()));
        assert_eq!(given(&|settings| settings.subjects_to_propose = 0), Err("subjects_to_propose".to_owned()));
        assert_eq!(given(&|settings| settings.elements_to_propose = 41), Err("elements_to_propose".to_owned()));
        assert_eq!(given(&|settings| settings.elements_to_select = 16), Err("elements_to_select".to_owned()));
        assert_eq!(given(&|settings| settings.variations_to_propose = 25), Err("variations_to_propose".to_owned()));
        assert_eq!(given(&|settings| settings.instructions = " ".to_owned()), Err("instructions".to_owned()));
        let twice = given(&|settings| settings.allowed_styles = Some(vec!["ink".to_owned(), "ink".to_owned()]));
        assert_eq!(twice, Err("allowed_styles".to_owned()));
        let unknown = given(&|settings| settings.allowed_styles = Some(vec!["inc".to_owned()]));
        assert_eq!(unknown, Err("allowed_styles".to_owned()));
    }
}
