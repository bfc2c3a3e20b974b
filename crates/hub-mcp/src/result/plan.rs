//! What a call with `plan_only` is answered: the recipe, and who could run it.

use std::fmt::Write as _;

use hub_engine::PlanView;
use rmcp::model::CallToolResult;
use serde_json::json;

use super::of_data;
use crate::{delivery::Delivery, names::RESULT_META_KEY};

/// The answer about a plan.
pub(crate) fn of_plan(plan: &PlanView, delivery: &Delivery) -> CallToolResult {
    let recipe = &plan.recipe;
    let record = json!({"status": "planned", "tool": recipe.mode.tool(), "seed": recipe.seed, "plan": plan});
    of_data(words(plan), RESULT_META_KEY, record, delivery)
}

fn words(plan: &PlanView) -> String {
    let recipe = &plan.recipe;
    let mut text = String::from("status: planned; nothing was made\n");
    let mut line = |name: &str, value: &str| writeln!(text, "{name}: {value}").expect("a String takes everything");
    line("render_type", &format!("{} (workflow {}@{})", recipe.render_type, recipe.workflow, recipe.workflow_version));
    line("prompt", recipe.prompt.as_deref().unwrap_or("the workflow's own"));
    if let Some(negative) = &recipe.negative_prompt {
        line("negative_prompt", negative);
    }
    if !recipe.styles.is_empty() {
        line("styles", &recipe.styles.join(", "));
    }
    match &recipe.not_enhanced_because {
        _ if plan.would_enhance => {
            line("enhance", "an LLM would reword the prompt first; this is the prompt before it");
        }
        Some(why) => line("enhance", &format!("no: {why}")),
        None => line("enhance", "the prompt is kept as an LLM wrote it"),
    }
    line("size", &recipe.size.map_or_else(|| "the workflow's own".to_owned(), |size| size.to_string()));
    line("seed", &recipe.seed.to_string());
    let servers: Vec<String> = plan
        .servers
        .iter()
        .map(|server| match &server.why_not {
            None => format!("{} can", server.name),
            Some(why) => format!("{} {why}", server.name),
        })
        .collect();
    line("servers", &if servers.is_empty() { "none".to_owned() } else { servers.join("; ") });
    for warning in &plan.warnings {
        line("Warning", warning);
    }
    text.truncate(text.trim_end().len());
    text
}
