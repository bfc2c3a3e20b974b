//! Which styles apply, and how their templates join with the prompts.
//!
//! Templates are text, not a language: `{prompt}` is the one placeholder, every other brace is literal.

use hub_core::{
    catalogue::{Catalogue, Style},
    error::{ErrorCode, UserError},
    request::StyleChoice,
    suggest,
};

/// The one placeholder of a template.
const PLACEHOLDER: &str = "{prompt}";
/// Between the parts of a prompt.
const SEPARATOR: &str = ", ";

/// The styles that a choice means, in their order of application.
///
/// # Errors
/// `unknown_style` naming the nearest and all valid ones.
pub(super) fn choose<'a>(catalogue: &'a Catalogue, choice: &StyleChoice) -> Result<Vec<&'a Style>, UserError> {
    match choice {
        StyleChoice::Defaults => Ok(catalogue.enabled_styles().filter(|style| style.is_default).collect()),
        StyleChoice::Named(names) => names.iter().map(|name| find(catalogue, name)).collect(),
    }
}

fn find<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a Style, UserError> {
    catalogue.style(name).ok_or_else(|| {
        let mut error = UserError::new(ErrorCode::UnknownStyle, format!("There is no style `{name}`."));
        error.argument = Some("styles".to_owned());
        let known = || catalogue.enabled_styles().map(|style| style.name.as_str());
        let error = match suggest::nearest(name, known()) {
            Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
            None if known().next().is_none() => error.with_hint("This hub has no styles; leave them out."),
            None => error,
        };
        error.with_valid(known())
    })
}

/// Prompt and negative prompt as they are with these styles, each applied to the result of the one before:
/// what planning makes of them, for pages that show it before anything is stored.
pub fn combined(prompt: Option<&str>, negative: Option<&str>, styles: &[&Style]) -> (Option<String>, Option<String>) {
    (apply_to_prompt(prompt, styles), apply_to_negative(negative, styles))
}

/// The prompt within the styles' templates, each applied to the result of the one before.
pub(crate) fn apply_to_prompt(prompt: Option<&str>, styles: &[&Style]) -> Option<String> {
    let given = prompt.unwrap_or_default().trim().to_owned();
    let joined = styles.iter().fold(given, |so_far, style| apply(&style.prompt_template, &so_far));
    Some(joined).filter(|joined| !joined.is_empty())
}

/// The negative prompt with the styles' own; `None` when there is nothing to say, which leaves the
/// workflow's text.
pub(crate) fn apply_to_negative(negative: Option<&str>, styles: &[&Style]) -> Option<String> {
    let given = negative.unwrap_or_default().trim().to_owned();
    let joined = styles.iter().fold(given, |so_far, style| apply(&style.negative_template, &so_far));
    Some(joined).filter(|joined| !joined.is_empty())
}

fn apply(template: &str, prompt: &str) -> String {
    let template = template.trim();
    match (template.is_empty(), prompt.is_empty()) {
        (true, _) => prompt.to_owned(),
        (false, _) if template.contains(PLACEHOLDER) => template.replace(PLACEHOLDER, prompt).trim().to_owned(),
        (false, true) => template.to_owned(),
        (false, false) => format!("{prompt}{SEPARATOR}{template}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::fixtures::style;

    #[test]
    fn style_template_with_braces_is_kept_literally() {
        let mut odd = style("odd");
        odd.prompt_template = "{x} {{y}} { } {prompt} {0}".to_owned();
        odd.negative_template = "{x:1.2}".to_owned();
        assert_eq!(apply_to_prompt(Some("a {fox}"), &[&odd]).as_deref(), Some("{x} {{y}} { } a {fox} {0}"));
        assert_eq!(apply_to_negative(None, &[&odd]).as_deref(), Some("{x:1.2}"));
    }

    #[test]
    fn templates_apply_in_order_and_empty_parts_leave_no_commas() {
        let mut suffix = style("suffix");
        suffix.prompt_template = "oil painting".to_owned();
        let mut wrap = style("wrap");
        wrap.prompt_template = "poster of {prompt}, framed".to_owned();
        let empty = style("empty");
        assert_eq!(
            apply_to_prompt(Some("a fox"), &[&suffix, &empty, &wrap]).as_deref(),
            Some("poster of a fox, oil painting, framed")
        );
        assert_eq!(apply_to_prompt(None, &[&suffix]).as_deref(), Some("oil painting"));
        assert_eq!(apply_to_prompt(None, &[&empty]), None);
        assert_eq!(apply_to_negative(None, &[&empty]), None);
    }

    #[test]
    fn unknown_style_is_refused_naming_valid_values() {
        let catalogue = Catalogue {
            styles: vec![style("cinematic"), style("anime"), Style { enabled: false, ..style("cinematic-old") }],
            ..Catalogue::default()
        };
        let error = choose(&catalogue, &StyleChoice::Named(vec!["cinematik".into()])).expect_err("unknown");
        assert_eq!(error.code, ErrorCode::UnknownStyle);
        assert_eq!(error.hint.as_deref(), Some("Did you mean `cinematic`?"));
        assert_eq!(error.valid_values, ["cinematic", "anime"]);
        assert!(choose(&catalogue, &StyleChoice::Named(vec!["cinematic-old".into()])).is_err(), "disabled");
    }

    proptest! {
        #[test]
        fn every_brace_but_the_placeholder_survives(template in "[a-z{} ]{0,30}", prompt in "[a-z{}]{1,20}") {
            let mut odd = style("odd");
            odd.prompt_template.clone_from(&template);
            let joined = apply_to_prompt(Some(&prompt), &[&odd]).expect("not empty");
            let braces = |text: &str| text.matches(['{', '}']).count();
            let placeholders = template.matches(PLACEHOLDER).count();
            let copies = placeholders.max(1);
            prop_assert_eq!(braces(&joined), braces(&template) - 2 * placeholders + copies * braces(&prompt));
            prop_assert!(joined.contains(&prompt));
        }
    }
}
