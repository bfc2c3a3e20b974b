//! What is asked of the prompt generator, and what it answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which style a generated prompt has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// One that fits, chosen by the LLM among those the settings allow.
    #[default]
    Fitting,
    /// None.
    None,
    /// This one.
    Named(String),
}

/// A request for a prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptRequest {
    /// What the picture is to show; `None` leaves it to chance.
    pub subject: Option<String>,
    /// What it is to hold beside the subject; empty leaves it to chance.
    pub elements: Vec<String>,
    /// Style.
    pub style: PromptStyle,
    /// Decides what is left to chance; `None` = random.
    pub seed: Option<u64>,
}

/// A prompt that was generated. Stored as JSON in the text of its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GeneratedPrompt {
    /// What to draw, the style's words included.
    pub positive_prompt: String,
    /// What to avoid, the style's words included; may be empty.
    pub negative_prompt: String,
    /// The subject that was taken.
    pub subject: String,
    /// The elements that were taken, each in the variation that was drawn.
    pub elements: Vec<String>,
    /// The style, by name; its words are in both prompts already.
    pub style: Option<String>,
    /// The seed with which the same model makes much the same prompt again.
    pub seed: u64,
}

impl GeneratedPrompt {
    /// The prompts in words, for people.
    pub fn explain(&self) -> String {
        let mut text = self.positive_prompt.clone();
        if !self.negative_prompt.is_empty() {
            text.push_str("\n\nNegative prompt: ");
            text.push_str(&self.negative_prompt);
        }
        text
    }
}
