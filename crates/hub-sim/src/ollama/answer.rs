//! Makes the text of an answer from the request alone: the same request, the same text.
//!
//! Owns the demo's prose. Never waits and never fails: what cannot be understood is treated as plain text.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    image_facts::ImageFacts,
    instance,
    request::{Asked, Turn},
};

const LIGHT: [&str; 6] = [
    "soft golden-hour light",
    "dramatic rim lighting",
    "gentle morning mist",
    "warm candle glow",
    "crisp northern daylight",
    "moody twilight ambience",
];
const LENS: [&str; 5] = [
    "shallow depth of field",
    "wide-angle perspective",
    "balanced rule-of-thirds composition",
    "intimate close-up framing",
    "sweeping panoramic view",
];
const SURFACE: [&str; 5] =
    ["intricate textures", "fine surface detail", "delicate brushwork", "rich material detail", "crisp edges"];
const COLOUR: [&str; 5] =
    ["vivid colours", "harmonious earthy palette", "deep jewel tones", "subtle pastel gradients", "bold contrast"];
/// How much of the instructions says what the task is, in characters.
const TASK_CHARS: usize = 160;
/// What a tidied negative prompt always holds.
const NEGATIVE: [&str; 6] = ["ugly", "deformed", "blurry", "low quality", "watermark", "text"];

/// The whole answer's text.
pub(super) fn text(asked: &Asked, sees: bool, replies: &[(String, String)]) -> String {
    if let Some(reply) = scripted(&asked.messages, replies) {
        return reply;
    }
    let material = Material::read(asked, sees);
    match &asked.format {
        Some(schema @ Value::Object(_)) => instance::of_schema(schema, &material).to_string(),
        Some(_) => serde_json::json!({ "text": material.main }).to_string(),
        None => material.main,
    }
}

/// What a thinking model thinks before such an answer.
pub(super) fn thinking(asked: &Asked) -> String {
    let prompt = asked.messages.last().map(|turn| prompt_of(&turn.content)).unwrap_or_default();
    format!(
        "The request is about “{}”. I keep its words and add light, composition and texture.",
        first_words(prompt, 8)
    )
}

/// The texts an answer is put together from.
pub(super) struct Material {
    /// The prompt as given.
    pub(super) subject: String,
    /// The best single text: description, tidied negative prompt or enhanced prompt.
    pub(super) main: String,
    /// A negative prompt.
    pub(super) negative: String,
}

impl Material {
    fn read(asked: &Asked, sees: bool) -> Self {
        let last = asked.messages.iter().rfind(|turn| turn.role == "user").or(asked.messages.last());
        let content = last.map(|turn| turn.content.as_str()).unwrap_or_default();
        let instructions = instructions(&asked.messages);
        let subject = prompt_of(content).to_owned();
        let images: Vec<&Vec<u8>> = asked.messages.iter().flat_map(|turn| &turn.images).collect();
        let main = if sees && !images.is_empty() {
            describe(&images, &format!("{instructions} {}", content.to_lowercase()))
        } else if is_about_negatives(&instructions) {
            tidy_negative(&subject)
        } else {
            enhance(&subject)
        };
        let negative = NEGATIVE.join(", ");
        Self { subject, main, negative }
    }
}

/// What is asked for stands at the head of the instructions; further down, advice on how a model wants its prompts may
/// mention negative ones in passing.
fn is_about_negatives(instructions: &str) -> bool {
    let head: String = instructions.chars().take(TASK_CHARS).collect();
    head.contains("negative prompt") && !head.contains("positive prompt")
}

fn scripted(messages: &[Turn], replies: &[(String, String)]) -> Option<String> {
    let said: Vec<String> = messages.iter().map(|turn| turn.content.to_lowercase()).collect();
    let found = replies.iter().find(|(contains, _)| said.iter().any(|text| text.contains(&contains.to_lowercase())));
    found.map(|(_, reply)| reply.clone())
}

fn instructions(messages: &[Turn]) -> String {
    let system = messages.iter().filter(|turn| turn.role == "system").map(|turn| turn.content.to_lowercase());
    system.collect::<Vec<_>>().join(" ")
}

/// The part of a message that is the prompt itself: marked by `<prompt>`, `<subject>` or a `Prompt:` line, else all of
/// it.
fn prompt_of(content: &str) -> &str {
    for (open, close) in [("<prompt>", "</prompt>"), ("<subject>", "</subject>")] {
        if let Some((_, rest)) = content.split_once(open) {
            return rest.split(close).next().unwrap_or(rest).trim();
        }
    }
    let marked = content.lines().find_map(|line| {
        let (label, rest) = line.split_once(':')?;
        let label = label.trim().to_lowercase();
        (label == "prompt" || label.ends_with(" prompt")).then_some(rest.trim()).filter(|rest| !rest.is_empty())
    });
    marked.unwrap_or(content).trim()
}

fn enhance(prompt: &str) -> String {
    if prompt.is_empty() {
        return "a quiet scene".to_owned();
    }
    let digest = Sha256::digest(prompt.as_bytes());
    let pick = |list: &[&'static str], byte: usize| list[usize::from(digest[byte]) % list.len()];
    let details = [pick(&LIGHT, 0), pick(&LENS, 1), pick(&SURFACE, 2), pick(&COLOUR, 3)];
    let lower = prompt.to_lowercase();
    let new = details.into_iter().filter(|detail| !lower.contains(detail));
    std::iter::once(prompt.trim_end_matches(['.', ',', ' '])).chain(new).collect::<Vec<_>>().join(", ")
}

fn tidy_negative(prompt: &str) -> String {
    let mut terms: Vec<&str> = Vec::new();
    for term in prompt.split([',', '\n']).map(str::trim).chain(NEGATIVE) {
        if !term.is_empty() && !terms.iter().any(|known| known.eq_ignore_ascii_case(term)) {
            terms.push(term);
        }
    }
    terms.join(", ")
}

fn describe(images: &[&Vec<u8>], wishes: &str) -> String {
    let keywords = wishes.contains("keyword") || wishes.contains("comma-separated") || wishes.contains("mots-clés");
    let french = wishes.contains("french") || wishes.contains("français");
    let facts = images.iter().map(|bytes| match (ImageFacts::read(bytes), french) {
        (Some(facts), false) if keywords => facts.keywords(),
        (Some(facts), true) if keywords => facts.keywords_in_french(),
        (Some(facts), false) => facts.sentence(),
        (Some(facts), true) => facts.sentence_in_french(),
        (None, false) => "The image cannot be read.".to_owned(),
        (None, true) => "L'image est illisible.".to_owned(),
    });
    facts.collect::<Vec<_>>().join(if keywords { ", " } else { " " })
}

/// The first so many words, for titles.
pub(super) fn first_words(text: &str, count: usize) -> String {
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ").trim_end_matches([',', '.', ';']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhancement_keeps_the_prompt_and_adds_to_it() {
        let text = enhance("a (red:1.2) fox.");
        assert!(text.starts_with("a (red:1.2) fox, "), "{text}");
        assert_eq!(text.split(", ").count(), 5, "{text}");
        assert_eq!(text, enhance("a (red:1.2) fox."));
    }

    #[test]
    fn the_marked_part_of_a_message_is_the_prompt() {
        assert_eq!(prompt_of("Enhance.\n<prompt>a fox:\nred</prompt> now"), "a fox:\nred");
        assert_eq!(prompt_of("Style: oil\nUser prompt: a fox\n"), "a fox");
        assert_eq!(prompt_of(" a fox (x:1.2) "), "a fox (x:1.2)");
    }

    #[test]
    fn negative_terms_are_merged_once() {
        assert_eq!(
            tidy_negative("Blurry, hands,, hands"),
            "Blurry, hands, ugly, deformed, low quality, watermark, text"
        );
    }
}
