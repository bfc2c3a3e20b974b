//! Words about a picture: what the vision model is told, and the asking itself.

use hub_core::{
    error::UserError,
    request::{DescribeRequest, DescriptionKind, ImageRef},
    server::LlmRole,
};
use ollama::Message;
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    refusal::{input_image, storage},
};

/// Setting under which changed instructions are kept. A setting of its own, so that deleting an LLM
/// server never touches it.
pub(crate) const TEMPLATES_SETTING: &str = "describe_templates";
/// Stands for the language of the answer.
const LANGUAGE: &str = "{language}";

/// Instructions for the vision model; `{language}` stands for the language of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DescribeTemplates {
    /// For prose.
    pub natural: String,
    /// For one line of keywords, fit to be a prompt.
    pub optimized: String,
}

impl Default for DescribeTemplates {
    fn default() -> Self {
        Self {
            natural: "Describe this picture in {language}, in full sentences, so that someone who cannot see it can \
                      imagine it exactly. Begin with what it shows as a whole, then name people, animals and objects \
                      with their looks, poses and places, then the setting, the light, the colours, the point of view \
                      and the technique or medium. Quote lettering as it is written. Tell only what can be seen, in \
                      neutral words, and leave nothing out because it is delicate. Answer with the description alone."
                .to_owned(),
            optimized: "Write, in {language}, the prompt with which a text-to-image model would draw this picture \
                        again: one line of comma-separated keywords and short phrases, in this order: main subject \
                        with its looks and pose, medium and style, composition and point of view, light and colours, \
                        background and details, quality. Tell only what can be seen. Answer with the line alone: no \
                        introduction, no quotation marks, no full stop."
                .to_owned(),
        }
    }
}

impl DescribeTemplates {
    /// The instructions for one request.
    fn instructions(&self, kind: DescriptionKind, language: &str) -> String {
        let template = match kind {
            DescriptionKind::Natural => &self.natural,
            DescriptionKind::Optimized => &self.optimized,
        };
        template.replace(LANGUAGE, language_name(language))
    }
}

/// The description of a stored picture.
///
/// # Errors
/// `not_configured`, `llm_unavailable`, `input_image`, `unknown_image`, `storage`.
pub(crate) async fn describe(ctx: &Context, request: &DescribeRequest) -> Result<String, UserError> {
    let ImageRef::Artifact(id) = &request.image else {
        return Err(input_image("The picture was not stored before its description was asked for."));
    };
    let (artifact, bytes) = ctx.vault.input(*id).await?;
    let small = ctx.vault.model_version(&artifact, bytes).await?;
    let templates: DescribeTemplates =
        ctx.store.setting_get(TEMPLATES_SETTING).await.map_err(storage)?.unwrap_or_default();
    let question = templates.instructions(request.kind, &request.language);
    let messages = vec![Message::user(question).with_images(vec![small])];
    let _turn = ctx.llm.turn().await;
    ctx.llm.ask(&ctx.store, LlmRole::Describe, messages, ctx.settings.now().describe_budget).await.map_err(|failure| {
        tracing::warn!(error = %failure, "a description failed");
        failure.to_user()
    })
}

/// Models follow a language's name better than its code; whatever else the caller wrote is passed on.
fn language_name(given: &str) -> &str {
    let code = given.split(['-', '_']).next().unwrap_or(given).to_ascii_lowercase();
    match code.as_str() {
        "en" => "English",
        "fr" => "French",
        "de" => "German",
        "es" => "Spanish",
        "it" => "Italian",
        "pt" => "Portuguese",
        "nl" => "Dutch",
        "pl" => "Polish",
        "sv" => "Swedish",
        "ru" => "Russian",
        "uk" => "Ukrainian",
        "tr" => "Turkish",
        "ar" => "Arabic",
        "hi" => "Hindi",
        "ja" => "Japanese",
        "ko" => "Korean",
        "zh" => "Chinese",
        _ => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_name_the_language_in_words() {
        let templates = DescribeTemplates::default();
        for (given, named) in [("fr", "French"), ("pt-BR", "Portuguese"), ("Occitan", "Occitan")] {
            let text = templates.instructions(DescriptionKind::Natural, given);
            assert!(text.contains(named) && !text.contains(LANGUAGE), "{text}");
        }
        assert!(templates.instructions(DescriptionKind::Optimized, "en").contains("comma-separated"));
    }
}
