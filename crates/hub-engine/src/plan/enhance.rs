//! What an LLM is told when it rewords a prompt, and what must survive its rewording.
//!
//! Pure. Weights `(word:1.2)`, `embedding:name` and `<lora:name:1>` tags have effects that no synonym
//! has, so each is looked for in the answer and appended where it was lost.

use hub_core::catalogue::RenderType;
use serde::{Deserialize, Serialize};

/// Setting under which changed instructions are kept.
pub(crate) const TEMPLATES_SETTING: &str = "enhance_templates";
/// What the LLM starts from when no negative prompt was given.
const STANDARD_NEGATIVE: &str = "ugly, deformed, blurry, low quality, watermark, text";

/// Instructions for the LLM. Each is the whole system prompt, before the render type's guide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnhanceTemplates {
    /// For the prompt.
    pub prompt: String,
    /// For the negative prompt.
    pub negative: String,
}

impl Default for EnhanceTemplates {
    fn default() -> Self {
        Self {
            prompt: "You write prompts for a text-to-image model, and you are very good at it. The user gives you an \
                     idea; you answer with one finished prompt for it.\n\
                     - Answer in English, whatever language the idea is in; translate it faithfully.\n\
                     - Keep every subject, number, name, colour and text in quotes that the user gave. Do not change \
                     what the picture shows.\n\
                     - Copy weights such as (word:1.2), embedding:name and tags such as <lora:name:0.8> letter by \
                     letter.\n\
                     - Add what makes a picture: setting, composition, light, colours, materials, point of view. Be \
                     concrete and stay close to the idea.\n\
                     - Answer with the prompt alone: no introduction, no quotation marks, no explanation, no \
                     alternatives."
                .to_owned(),
            negative: "You write negative prompts for a text-to-image model: short lists of what must not appear in a \
                       picture. The user gives you what to avoid; the prompt of the picture stands below.\n\
                       - Answer in English with one line of comma-separated terms, at most 25 of them.\n\
                       - Keep every term the user gave, unless the prompt asks for it; copy weights such as (word:1.2) \
                       and embedding:name letter by letter.\n\
                       - Add common faults that fit the picture, such as blurry, deformed, low quality, watermark or \
                       text; leave out whatever the prompt asks for.\n\
                       - Answer with the line alone: no introduction, no label, no explanation."
                .to_owned(),
        }
    }
}

impl EnhanceTemplates {
    /// What an LLM is told before a prompt for this render type, whole.
    pub fn told(&self, render_type: &RenderType) -> String {
        instructions(&self.prompt, render_type)
    }
}

/// The instructions with what is known about the model that will draw.
pub(crate) fn instructions(template: &str, render_type: &RenderType) -> String {
    let mut text = template.trim().to_owned();
    if !render_type.prompt_guide.trim().is_empty() {
        text.push_str("\n\nHow this image model wants its prompts: ");
        text.push_str(render_type.prompt_guide.trim());
    }
    if !render_type.prompt_examples.is_empty() {
        text.push_str("\n\nPrompts that worked well with it, as examples of form only:");
        for example in &render_type.prompt_examples {
            text.push_str("\n- ");
            text.push_str(example.trim());
        }
    }
    text
}

/// The instructions for a negative prompt, which must not contradict the prompt, and what is asked.
pub(crate) fn negative_question(template: &str, prompt: &str, negative: Option<&str>) -> (String, String) {
    let instructions = format!("{}\n\nThe prompt of the picture:\n{prompt}", template.trim());
    (instructions, negative.unwrap_or(STANDARD_NEGATIVE).to_owned())
}

/// The reworded text with every weight, embedding and tag of the original that it had lost.
pub(crate) fn restore(original: &str, reworded: &str) -> String {
    let mut text = reworded.trim().trim_end_matches([',', ';']).to_owned();
    for lost in lost_marks(original, reworded) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(lost);
    }
    text
}

/// Marks of the original that are not in the reworded text. A weight whose word was translated counts
/// as kept: another word there has the same weight.
fn lost_marks<'a>(original: &'a str, reworded: &str) -> Vec<&'a str> {
    let lower = reworded.to_lowercase();
    let wanted = marks(original);
    let kept = |mark: &Mark<'_>| match mark.weight {
        Some(_) => lower.contains(&mark.text.to_lowercase()),
        None => reworded.contains(mark.text),
    };
    let known: Vec<String> = wanted.iter().map(|mark| mark.text.to_lowercase()).collect();
    let mut translated: Vec<&str> = marks(reworded)
        .into_iter()
        .filter(|found| !known.contains(&found.text.to_lowercase()))
        .filter_map(|found| found.weight)
        .collect();
    let mut lost: Vec<&'a str> = Vec::new();
    for mark in wanted.iter().filter(|mark| !kept(mark)) {
        let stands_in = mark.weight.and_then(|weight| translated.iter().position(|other| *other == weight));
        match stands_in {
            Some(at) => {
                translated.swap_remove(at);
            }
            None if lost.contains(&mark.text) => {}
            None => lost.push(mark.text),
        }
    }
    lost
}

/// A piece of a prompt that is syntax rather than words.
struct Mark<'a> {
    text: &'a str,
    /// The number of a weight, as written.
    weight: Option<&'a str>,
}

fn marks(text: &str) -> Vec<Mark<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else { break };
        let mark = match first {
            '(' => weight(rest),
            '<' => tag(rest),
            'e' => embedding(rest),
            _ => None,
        };
        match mark {
            Some(mark) => {
                at += mark.text.len();
                found.push(mark);
            }
            None => at += first.len_utf8(),
        }
    }
    found
}

/// `(words:1.2)`, at the start of the text; may hold other parentheses.
fn weight(text: &str) -> Option<Mark<'_>> {
    let mut depth = 0_usize;
    let end = text.char_indices().find_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    let (words, number) = text.get(1..end)?.rsplit_once(':')?;
    let number = number.trim();
    let is_number = !number.is_empty() && number.parse::<f64>().is_ok_and(f64::is_finite);
    (is_number && !words.trim().is_empty()).then(|| Mark { text: &text[..=end], weight: Some(number) })
}

/// `<kind:name:1>`, at the start of the text.
fn tag(text: &str) -> Option<Mark<'_>> {
    let end = text.find('>')?;
    let inner = &text[1..end];
    let kind = inner.split(':').next()?;
    let is_tag = inner.contains(':')
        && !inner.contains(['<', '\n'])
        && !kind.is_empty()
        && kind.chars().all(|c| c.is_ascii_alphanumeric());
    is_tag.then(|| Mark { text: &text[..=end], weight: None })
}

/// `embedding:name`, at the start of the text.
fn embedding(text: &str) -> Option<Mark<'_>> {
    const PREFIX: &str = "embedding:";
    let name = text.strip_prefix(PREFIX)?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || "_-./\\".contains(c))).unwrap_or(name.len());
    (end > 0).then(|| Mark { text: text[..PREFIX.len() + end].trim_end_matches('.'), weight: None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lost_weights_embeddings_and_tags_are_appended() {
        let original = "a (red fox:1.2), embedding:easy_neg, <lora:detail:0.8> in snow";
        assert_eq!(
            restore(original, "A crimson fox stands in snow,"),
            "A crimson fox stands in snow, (red fox:1.2), embedding:easy_neg, <lora:detail:0.8>"
        );
    }

    #[test]
    fn marks_that_survived_are_not_repeated() {
        let original = "a (red fox:1.2), embedding:easy, <lora:detail:0.8>, ((soft) light:0.9)";
        let reworded = "<lora:detail:0.8> a (Red Fox:1.2) with embedding:easy, ((soft) light:0.9)";
        assert_eq!(restore(original, reworded), reworded);
    }

    #[test]
    fn a_translated_weight_counts_as_kept() {
        assert_eq!(restore("un (renard:1.3)", "a (fox:1.3) in the snow"), "a (fox:1.3) in the snow");
        assert_eq!(restore("un (renard:1.3)", "a (fox:1.1)"), "a (fox:1.1), (renard:1.3)");
    }

    #[test]
    fn ordinary_punctuation_is_no_mark() {
        for text in ["a fox (sitting)", "a <b> tag", "3 < 4 > 2", "time (12:xx)", "an embedding: none", "(:1)", "((("] {
            assert!(marks(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_guide_and_examples_follow_the_instructions() {
        let mut render_type = crate::plan::fixtures::render_type("flux", hub_core::catalogue::Mode::Generate);
        render_type.prompt_guide = "Plain sentences.".to_owned();
        render_type.prompt_examples = vec!["A heron.".to_owned()];
        let text = instructions("Write.", &render_type);
        assert!(text.starts_with("Write.") && text.contains("Plain sentences.") && text.ends_with("- A heron."));
    }

    proptest! {
        #[test]
        fn whatever_the_answer_every_mark_is_in_the_result(
            word in "[a-z]{1,8}", tenths in 1..30_u32, answer in "[a-z (),:<>0-9.]{0,60}",
        ) {
            let lora = format!("<lora:{word}:1>");
            let embedding = format!("embedding:{word}");
            let restored = restore(&format!("x {lora} ({word}:{}.{}) {embedding}", tenths / 10, tenths % 10), &answer);
            prop_assert!(restored.contains(&lora));
            prop_assert!(restored.contains(&embedding));
        }

        #[test]
        fn no_text_breaks_the_reading(text in "\\PC{0,80}") {
            let _ = marks(&text);
        }
    }
}
