//! Words about a picture: what the vision model is told, and the asking itself.

use hub_core::{
    error::UserError,
    ids::JobId,
    request::{DescribeRequest, DescriptionKind, ImageRef},
    server::LlmRole,
};
use ollama::Message;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    context::Context,
    engine::checks,
    refusal::{input_image, storage},
};

/// Setting under which changed instructions are kept. A setting of its own, so that deleting an LLM
/// server never touches it.
pub(crate) const TEMPLATES_SETTING: &str = "describe_templates";
/// Stands for the language of the answer.
const LANGUAGE: &str = "{language}";
/// Stands for the picture's width in pixels, as it was given.
const WIDTH: &str = "{width}";
/// Stands for the picture's height in pixels, as it was given.
const HEIGHT: &str = "{height}";

/// Instructions for the vision model. In each, `{language}` stands for the language of the answer, `{width}` and
/// `{height}` for the picture's size in pixels; other braces are literal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DescribeTemplates {
    /// For prose, in English and every language without instructions of its own.
    pub natural: String,
    /// For one line of keywords, fit to be a prompt, in English and every language without instructions of its own.
    pub optimized: String,
    /// For prose in French.
    pub natural_fr: String,
    /// For one line of keywords in French.
    pub optimized_fr: String,
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
            natural_fr: "Décris cette image en français (French), en phrases complètes, afin qu'une personne qui ne la \
                         voit pas puisse se la représenter exactement. Commence par ce qu'elle montre dans son ensemble, \
                         puis nomme les personnes, les animaux et les objets avec leur apparence, leur pose et leur \
                         place, puis le décor, la lumière, les couleurs, le point de vue et la technique. Cite les \
                         inscriptions telles qu'elles sont écrites. Ne dis que ce qui se voit, en termes neutres, et \
                         n'omets rien parce que c'est délicat. Réponds par la description seule."
                .to_owned(),
            optimized_fr: "Écris en français (French) le prompt avec lequel un modèle de génération d'images dessinerait \
                           de nouveau cette image : une seule ligne de mots-clés et de courtes expressions séparés par \
                           des virgules, dans cet ordre : sujet principal avec son apparence et sa pose, technique et \
                           style, composition et point de vue, lumière et couleurs, arrière-plan et détails, qualité. Ne \
                           dis que ce qui se voit. Réponds par la ligne seule : sans introduction, sans guillemets, sans \
                           point final."
                .to_owned(),
        }
    }
}

impl DescribeTemplates {
    /// The instructions for one request about a picture of that size.
    fn instructions(&self, kind: DescriptionKind, language: &str, width_px: u32, height_px: u32) -> String {
        let name = language_name(language);
        let template = match (kind, name) {
            (DescriptionKind::Natural, "French") => &self.natural_fr,
            (DescriptionKind::Natural, _) => &self.natural,
            (DescriptionKind::Optimized, "French") => &self.optimized_fr,
            (DescriptionKind::Optimized, _) => &self.optimized,
        };
        // The caller's own words last, so that none of them is taken for a variable.
        template.replace(WIDTH, &width_px.to_string()).replace(HEIGHT, &height_px.to_string()).replace(LANGUAGE, name)
    }

    /// # Errors
    /// `bad_argument` naming the template that is empty or too long.
    pub(crate) fn check(&self) -> Result<(), UserError> {
        for (name, text) in [
            ("natural", &self.natural),
            ("optimized", &self.optimized),
            ("natural_fr", &self.natural_fr),
            ("optimized_fr", &self.optimized_fr),
        ] {
            if text.trim().is_empty() {
                return Err(UserError::argument(name, format!("`{name}` must not be empty.")));
            }
            checks::text(name, text)?;
        }
        Ok(())
    }
}

/// The description of a stored picture.
///
/// # Errors
/// `not_configured`, `llm_unavailable`, `input_image`, `unknown_image`, `storage`.
pub(crate) async fn describe(ctx: &Context, job: JobId, request: &DescribeRequest) -> Result<String, UserError> {
    let ImageRef::Artifact(id) = &request.image else {
        return Err(input_image("The picture was not stored before its description was asked for."));
    };
    let (artifact, bytes) = ctx.vault.input(*id).await?;
    let small = ctx.vault.model_version(&artifact, bytes).await?;
    let templates: DescribeTemplates =
        ctx.store.setting_get(TEMPLATES_SETTING).await.map_err(storage)?.unwrap_or_default();
    let question = templates.instructions(request.kind, &request.language, artifact.width_px, artifact.height_px);
    let messages = vec![Message::user(question).with_images(vec![small])];
    let _turn = ctx.llm.turn().await;
    ctx.llm.ask(&ctx.store, LlmRole::Describe, messages, ctx.settings.now().describe_budget).await.map_err(|failure| {
        tracing::warn!(job = %job, error = %failure, "a description failed");
        failure.to_user("The picture cannot be described")
    })
}

/// Models follow a language's name better than its code; whatever else the caller wrote is passed on.
fn language_name(given: &str) -> &str {
    let code = given.split(['-', '_']).next().unwrap_or(given).to_lowercase();
    match code.as_str() {
        "en" | "english" => "English",
        "fr" | "french" | "français" => "French",
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
        for (given, named) in [("fr", "French"), ("pt-BR", "Portuguese"), ("Occitan", "Occitan"), ("EN", "English")] {
            for kind in [DescriptionKind::Natural, DescriptionKind::Optimized] {
                let text = templates.instructions(kind, given, 8, 8);
                assert!(text.contains(named) && !text.contains(LANGUAGE), "{text}");
            }
        }
        assert!(templates.instructions(DescriptionKind::Optimized, "en", 8, 8).contains("comma-separated"));
    }

    #[test]
    fn french_has_instructions_of_its_own() {
        let templates = DescribeTemplates::default();
        for given in ["fr", "fr-CA", "Français", "french"] {
            let text = templates.instructions(DescriptionKind::Natural, given, 8, 8);
            assert!(text.starts_with("Décris"), "{given}: {text}");
        }
    }

    #[test]
    fn variables_are_replaced_once_and_other_braces_stay() {
        let natural = "{width}x{height} {x} in {language}".to_owned();
        let templates = DescribeTemplates { natural, ..DescribeTemplates::default() };
        let text = templates.instructions(DescriptionKind::Natural, "{width}", 640, 480);
        assert_eq!(text, "640x480 {x} in {width}");
    }

    #[test]
    fn templates_that_say_nothing_are_refused_by_name() {
        let templates = DescribeTemplates { optimized_fr: " ".to_owned(), ..DescribeTemplates::default() };
        assert_eq!(templates.check().expect_err("empty").argument.as_deref(), Some("optimized_fr"));
    }
}
