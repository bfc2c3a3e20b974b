//! Reads what the model answered. Models behind other servers may ignore the schema, so nothing is trusted.

use hub_core::{catalogue::Style, limits};
use serde::Deserialize;

use super::question::Task;

/// An answer that can be used.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    details: Vec<Detail>,
    #[serde(default)]
    style: Option<String>,
    pub(super) positive_prompt: String,
    #[serde(default)]
    pub(super) negative_prompt: String,
}

#[derive(Debug, Deserialize)]
struct Detail {
    element: String,
    #[serde(default)]
    variations: Vec<String>,
}

impl Answer {
    /// Reads an answer, or says in one sentence what is wrong with it.
    pub(super) fn read(text: &str, task: &Task<'_>) -> Result<Self, String> {
        let value = ollama::extract_json(text).map_err(|_| "Your answer is not a JSON object.".to_owned())?;
        let answer: Self =
            serde_json::from_value(value).map_err(|error| format!("Your answer does not fit the schema: {error}."))?;
        let chars = answer.positive_prompt.chars().count();
        if answer.positive_prompt.trim().is_empty() {
            return Err("`positive_prompt` is empty.".to_owned());
        }
        if chars > limits::PROMPT_MAX_CHARS || answer.negative_prompt.chars().count() > limits::PROMPT_MAX_CHARS {
            return Err("The prompts are far too long.".to_owned());
        }
        if answer.details.len() < task.details() {
            let (has, wanted) = (answer.details.len(), task.details());
            return Err(format!("`details` has {has} entries, but {wanted} were asked for."));
        }
        Ok(Self {
            positive_prompt: answer.positive_prompt.trim().to_owned(),
            negative_prompt: answer.negative_prompt.trim().to_owned(),
            ..answer
        })
    }

    /// The subject that was drawn.
    pub(super) fn subject(&self, task: &Task<'_>) -> String {
        let given = || task.request.subject.clone().unwrap_or_else(|| task.draw.theme.to_owned());
        drawn(&self.subjects, task.draw.subject).map_or_else(given, str::to_owned)
    }

    /// The elements, each in the variation that was drawn.
    pub(super) fn elements(&self, task: &Task<'_>) -> Vec<String> {
        let varied = self.details.iter().zip(&task.draw.variations);
        varied.map(|(detail, at)| drawn(&detail.variations, *at).unwrap_or(&detail.element).to_owned()).collect()
    }

    /// The style that the model chose among those offered; one of them by chance when it chose none.
    pub(super) fn style<'a>(&self, task: &Task<'a>) -> Option<&'a Style> {
        let chosen = self.style.as_deref().and_then(|name| task.styles.iter().find(|style| style.name == name));
        let by_chance = || task.styles.get(task.draw.style as usize % task.styles.len().max(1));
        chosen.or_else(by_chance).copied()
    }
}

/// The drawn one of a list that may be shorter than was asked for.
fn drawn(list: &[String], at: usize) -> Option<&str> {
    list.get(at).or(list.last()).map(|text| text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use hub_core::request::PromptRequest;
    use serde_json::json;

    use super::{
        super::{PromptGeneratorSettings, draw::Draw},
        *,
    };
    use crate::plan::fixtures::style;

    fn with_task(check: impl FnOnce(&Task<'_>)) {
        let settings = PromptGeneratorSettings::default();
        let request = PromptRequest { elements: vec!["hat".to_owned()], ..PromptRequest::default() };
        let draw = Draw { theme: "t", subject: 1, elements: Vec::new(), variations: vec![2], style: 5 };
        let (ink, oil) = (style("ink"), style("oil"));
        check(&Task { settings: &settings, request: &request, draw: &draw, styles: &[&ink, &oil] });
    }

    #[test]
    fn the_drawn_proposals_are_named_and_short_lists_bear_it() {
        with_task(|task| {
            let text = json!({
                "subjects": ["a", "b", "c"], "details": [{"element": "hat", "variations": ["x", "y"]}],
                "style": "ink", "positive_prompt": " b with y ", "negative_prompt": "blur",
            });
            let answer = Answer::read(&format!("Here:\n```json\n{text}\n```"), task).expect("fits");
            assert_eq!((answer.subject(task), answer.elements(task)), ("b".to_owned(), vec!["y".to_owned()]));
            assert_eq!(answer.style(task).map(|style| style.name.as_str()), Some("ink"));
            assert_eq!(answer.positive_prompt, "b with y");
        });
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence() {
        with_task(|task| {
            let detail = json!([{"element": "hat", "variations": []}]);
            for (answer, said) in [
                ("no JSON at all".to_owned(), "not a JSON object"),
                (json!({"details": detail}).to_string(), "positive_prompt"),
                (json!({"details": detail, "positive_prompt": " "}).to_string(), "is empty"),
                (json!({"positive_prompt": "x"}).to_string(), "0 entries"),
                (json!({"details": detail, "positive_prompt": "x".repeat(30_000)}).to_string(), "too long"),
            ] {
                let fault = Answer::read(&answer, task).expect_err("refused");
                assert!(fault.contains(said), "{fault}");
            }
        });
    }

    #[test]
    fn a_style_that_was_not_offered_is_replaced_by_chance() {
        with_task(|task| {
            let text = json!({
                "style": "baroque", "positive_prompt": "x", "details": [{"element": "hat"}],
            });
            let answer = Answer::read(&text.to_string(), task).expect("fits");
            assert_eq!(answer.style(task).map(|style| style.name.as_str()), Some("oil"), "5 of 2");
            assert_eq!(answer.elements(task), ["hat"], "without variations the element itself");
        });
    }
}
