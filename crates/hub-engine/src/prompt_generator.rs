//! Prompts from a subject, or from nothing: one call of an LLM, held to a JSON Schema.
//!
//! What is left to chance is drawn here from the seed before the call, and the model is told which of its
//! own proposals to take, so that one call does what a proposal, a choice and a text would need three for. An
//! answer that does not fit is sent back once with what is wrong. Style templates are added here, never by the model.

mod answer;
mod draw;
mod question;
mod settings;

use hub_core::{
    catalogue::{Catalogue, Style},
    error::{ErrorCode, UserError},
    ids::JobId,
    request::{GeneratedPrompt, PromptRequest, PromptStyle},
    server::LlmRole,
    suggest,
};
use ollama::Message;
use tokio::time::Instant;

pub use self::settings::PromptGeneratorSettings;
pub(crate) use self::settings::SETTING;

use self::{answer::Answer, draw::Draw, question::Task};
use crate::{
    context::Context,
    llm::{LlmFailure, Question},
    plan::styles,
    refusal::storage,
};

/// Refuses what the generator cannot do, before a job is made of it.
///
/// # Errors
/// `not_configured`; `unknown_style` with the styles that may be named.
pub(crate) fn check(catalogue: &Catalogue, request: &PromptRequest) -> Result<(), UserError> {
    if !catalogue.can_generate_prompts {
        return Err(UserError::new(ErrorCode::NotConfigured, "No LLM is set up to generate prompts.")
            .with_hint("Whoever runs the hub must give the role `prompt_generator` to an LLM server."));
    }
    match &request.style {
        PromptStyle::Named(name) => named(catalogue, name).map(drop),
        PromptStyle::Fitting | PromptStyle::None => Ok(()),
    }
}

fn named<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a Style, UserError> {
    let allowed = || catalogue.prompt_styles.iter().map(String::as_str);
    if let Some(style) = catalogue.style(name).filter(|_| allowed().any(|known| known == name)) {
        return Ok(style);
    }
    let message = match catalogue.style(name) {
        Some(_) => format!("The style `{name}` is not for generated prompts."),
        None => format!("There is no style `{name}`."),
    };
    let mut error = UserError::new(ErrorCode::UnknownStyle, message);
    error.argument = Some("style".to_owned());
    let error = match suggest::nearest(name, allowed()) {
        Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
        None => error,
    };
    Err(error.with_valid(allowed().chain(["none"])))
}

/// A prompt for the request, whose seed must have been drawn. `tell` is given what is done, as words and as a
/// part of the whole.
///
/// # Errors
/// `not_configured`, `llm_unavailable`, `storage`; `unknown_style` when the style went away meanwhile.
pub(crate) async fn generate(
    ctx: &Context,
    job: JobId,
    request: &PromptRequest,
    tell: impl Fn(&str, f32) + Send + Sync,
) -> Result<GeneratedPrompt, UserError> {
    let settings: PromptGeneratorSettings = ctx.store.setting_get(SETTING).await.map_err(storage)?.unwrap_or_default();
    let catalogue = ctx.catalogue.catalogue();
    let seed = request.seed.unwrap_or_default();
    let draw = Draw::of(seed, &settings, request);
    let offered: Vec<&Style> = match &request.style {
        PromptStyle::Fitting => catalogue.prompt_styles.iter().filter_map(|name| catalogue.style(name)).collect(),
        PromptStyle::None => Vec::new(),
        PromptStyle::Named(name) => vec![named(&catalogue, name)?],
    };
    let task = Task { settings: &settings, request, draw: &draw, styles: &offered };
    let _turn = ctx.llm.turn().await;
    let answer = ask(ctx, job, &task, seed, tell).await.map_err(|failure| {
        tracing::warn!(job = %job, error = %failure, "no prompt was generated");
        failure.to_user("No prompt could be generated")
    })?;
    Ok(compose(&answer, &task, seed))
}

/// The model's answer, asked for at most twice.
async fn ask(
    ctx: &Context,
    job: JobId,
    task: &Task<'_>,
    seed: u64,
    tell: impl Fn(&str, f32) + Send + Sync,
) -> Result<Answer, LlmFailure> {
    let deadline = Instant::now() + ctx.config.prompt_budget;
    let mut question = Question::shaped(task.messages(), task.schema(), seed);
    tell("the LLM writes the prompt", 0.1);
    let first = ctx.llm.ask_shaped(&ctx.store, LlmRole::PromptGenerator, &question, ctx.config.prompt_budget).await?;
    let fault = match Answer::read(&first, task) {
        Ok(answer) => return Ok(answer),
        Err(fault) => fault,
    };
    tracing::info!(job = %job, %fault, "a generated prompt is sent back once");
    tell("the LLM mends its answer", 0.6);
    question.messages.push(Message::assistant(first));
    question
        .messages
        .push(Message::user(format!("{fault} Answer once more, with the whole JSON object and nothing else.")));
    let left = deadline.saturating_duration_since(Instant::now());
    let second = ctx.llm.ask_shaped(&ctx.store, LlmRole::PromptGenerator, &question, left).await?;
    Answer::read(&second, task).map_err(|fault| {
        tracing::info!(job = %job, %fault, "a generated prompt is given up");
        LlmFailure::Useless
    })
}

/// The answer with the drawn proposals named and the style's words added.
fn compose(answer: &Answer, task: &Task<'_>, seed: u64) -> GeneratedPrompt {
    let style = answer.style(task);
    let applied: Vec<&Style> = style.into_iter().collect();
    GeneratedPrompt {
        positive_prompt: styles::apply_to_prompt(Some(&answer.positive_prompt), &applied).unwrap_or_default(),
        negative_prompt: styles::apply_to_negative(Some(&answer.negative_prompt), &applied).unwrap_or_default(),
        subject: answer.subject(task),
        elements: answer.elements(task),
        style: style.map(|style| style.name.clone()),
        seed,
    }
}
