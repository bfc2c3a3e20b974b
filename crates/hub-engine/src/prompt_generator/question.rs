//! What the model is told, and the shape its answer must have.

use std::fmt::Write as _;

use hub_core::{catalogue::Style, request::PromptRequest};
use ollama::Message;
use serde_json::{Map, Value, json};

use super::{PromptGeneratorSettings, draw::Draw};

/// One prompt to be generated.
pub(super) struct Task<'a> {
    pub(super) settings: &'a PromptGeneratorSettings,
    pub(super) request: &'a PromptRequest,
    pub(super) draw: &'a Draw,
    /// Styles to choose from; none means that no style is wanted.
    pub(super) styles: &'a [&'a Style],
}

impl Task<'_> {
    /// How many elements the prompt has.
    pub(super) fn details(&self) -> usize {
        self.draw.variations.len()
    }

    /// JSON Schema of the answer. The fields stand in the order in which they are to be written: the prompt after
    /// what it is made of.
    pub(super) fn schema(&self) -> Value {
        let texts =
            |count: usize| json!({"type": "array", "items": {"type": "string"}, "minItems": count, "maxItems": count});
        let mut properties = Map::new();
        properties.insert("subjects".to_owned(), texts(self.settings.subjects_to_propose as usize));
        if self.request.elements.is_empty() {
            properties.insert("elements".to_owned(), texts(self.settings.elements_to_propose as usize));
        }
        let detail = json!({
            "type": "object",
            "properties": {
                "element": {"type": "string"},
                "variations": texts(self.settings.variations_to_propose as usize),
            },
            "required": ["element", "variations"],
            "additionalProperties": false,
        });
        let count = self.details();
        properties.insert(
            "details".to_owned(),
            json!({"type": "array", "items": detail, "minItems": count, "maxItems": count}),
        );
        if self.styles.len() > 1 {
            let names: Vec<&str> = self.styles.iter().map(|style| style.name.as_str()).collect();
            properties.insert("style".to_owned(), json!({"type": "string", "enum": names}));
        }
        properties.insert("positive_prompt".to_owned(), json!({"type": "string"}));
        properties.insert("negative_prompt".to_owned(), json!({"type": "string"}));
        let required: Vec<String> = properties.keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    /// Instructions and task.
    pub(super) fn messages(&self) -> Vec<Message> {
        let mut system = self.settings.instructions.trim().to_owned();
        // Without a word about JSON in the prompt, some models emit blanks until their limit.
        system.push_str("\nAnswer with one JSON object and nothing else. It must fit this JSON Schema:\n");
        system.push_str(&self.schema().to_string());
        vec![Message::system(system), Message::user(self.words())]
    }

    fn words(&self) -> String {
        let (settings, draw) = (self.settings, self.draw);
        let mut text = String::from("Fill the fields in this order:\n");
        let mut say = |line: &str| writeln!(text, "- {line}").expect("a String takes everything");
        let count = settings.subjects_to_propose;
        match &self.request.subject {
            Some(subject) => say(&format!(
                "`subjects`: {count} variations of this subject, each of which keeps its core: <subject>{subject}</subject>"
            )),
            None => say(&format!(
                "`subjects`: {count} different subjects for a picture, of this theme: <subject>{}</subject>",
                draw.theme
            )),
        }
        let count = settings.variations_to_propose;
        let which = if self.request.elements.is_empty() {
            say(&format!(
                "`elements`: {} kinds of things that such a picture may hold beside its subject, such as a place, a \
                 light or a companion, in one to three words each.",
                settings.elements_to_propose
            ));
            format!("the elements number {}", numbers(&draw.elements))
        } else {
            format!("each of these elements: {}", self.request.elements.join("; "))
        };
        say(&format!(
            "`details`: for {which}, in this order, the element and {count} different variations of it, short phrases \
             that fit the subject number {}.",
            draw.subject + 1
        ));
        match self.styles {
            [] => {}
            [style] => {
                say(&format!("The picture will have the style `{}`; do not name it in the prompts.", style.name));
            }
            _ => say("`style`: the style that fits the picture best; do not name it in the prompts."),
        }
        say(&format!(
            "`positive_prompt`: the finished prompt of one picture. It shows the subject number {} with, for the entries \
             of `details` in turn, their variations number {}, bound together by place, composition, light and colours.",
            draw.subject + 1,
            numbers(&draw.variations)
        ));
        say(
            "`negative_prompt`: one line of comma-separated terms for what must not appear in the picture, such as common \
             faults; nothing that the prompt asks for.",
        );
        text
    }
}

/// Counted from 1, as people and models do.
fn numbers(from_zero: &[usize]) -> String {
    from_zero.iter().map(|number| (number + 1).to_string()).collect::<Vec<_>>().join(", ")
}
