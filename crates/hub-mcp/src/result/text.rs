//! The words of a result: read by models, so ids and URLs are on lines of their own and nothing is
//! said that the model could mistake for an instruction of the user.

use std::fmt::Write as _;

use hub_core::{
    artifact::Artifact,
    recipe::Recipe,
    request::{GeneratedPrompt, JobRequest},
};
use hub_engine::JobView;

use super::noun;
use crate::{budget::Pictures, delivery::Delivery};

/// Longest prompt that is repeated, in characters; the record holds all of it.
const PROMPT_SHOWN_MAX_CHARS: usize = 600;

/// Appends one line. Writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($part:tt)*) => {{
        writeln!($text, $($part)*).expect("a String takes everything");
    }};
}

pub(super) fn success(view: &JobView, pictures: &Pictures, delivery: &Delivery) -> String {
    let job = &view.job;
    let mut text = String::new();
    if let Some(prompt) = job.generated_prompt() {
        add_prompt(&mut text, &prompt);
        line!(text, "(job {})", job.id);
    } else if let Some(description) = &job.text {
        line!(text, "{description}");
        line!(text, "(job {})", job.id);
    }
    if !view.artifacts.is_empty() || matches!(job.request, JobRequest::Image(_)) {
        let count = view.artifacts.len();
        line!(text, "status: succeeded, {count} {} (job {})", if count == 1 { "output" } else { "outputs" }, job.id);
    }
    for artifact in &view.artifacts {
        line!(text, "- {}", describe(artifact, delivery));
    }
    if let Some(recipe) = &job.recipe {
        add_recipe(&mut text, recipe, view);
    }
    for warning in &job.warnings {
        line!(text, "Warning: {warning}");
    }
    if pictures.left_out > 0 {
        line!(text, "{} of the pictures are not shown here; open their URLs.", pictures.left_out);
    }
    for problem in &pictures.problems {
        line!(text, "Warning: a preview could not be made: {problem}");
    }
    text.truncate(text.trim_end().len());
    text
}

fn add_prompt(text: &mut String, prompt: &GeneratedPrompt) {
    line!(text, "prompt: {}", prompt.positive_prompt);
    if !prompt.negative_prompt.is_empty() {
        line!(text, "negative_prompt: {}", prompt.negative_prompt);
    }
    // The words of the style are in the prompt: applied once more they would count twice.
    match &prompt.style {
        Some(style) => {
            line!(text, "The words of the style {style} are in it: give generate_image styles: [], enhance: false.");
        }
        None => line!(text, "Give generate_image enhance: false to have it drawn as it is."),
    }
    line!(text, "Drawn with seed {} for the subject: {}", prompt.seed, prompt.subject);
}

fn describe(artifact: &Artifact, delivery: &Delivery) -> String {
    let mut text = format!("{} {}", noun(artifact.kind), artifact.id);
    if artifact.width_px > 0 {
        write!(text, ", {}x{}", artifact.width_px, artifact.height_px).expect("a String takes everything");
    }
    if let Some(seed) = artifact.seed {
        write!(text, ", seed {seed}").expect("a String takes everything");
    }
    let place = delivery.url_of(artifact).unwrap_or_else(|| artifact.resource_uri());
    write!(text, ": {place}").expect("a String takes everything");
    text
}

fn add_recipe(text: &mut String, recipe: &Recipe, view: &JobView) {
    let mut how = format!("Render type {}", recipe.render_type);
    if let Some(server) = &view.server {
        how.push_str(" on ");
        how.push_str(server);
    }
    if let Some(took) = view.job.times.finished_at.map(|end| end - view.job.times.created_at) {
        write!(how, ", {:.1} s", took.num_milliseconds().max(0) as f64 / 1000.0).expect("a String takes everything");
    }
    if !recipe.styles.is_empty() {
        how.push_str("; styles: ");
        how.push_str(&recipe.styles.join(", "));
    }
    line!(text, "{how}");
    match (&recipe.not_enhanced_because, recipe.enhanced) {
        (_, true) => line!(text, "The prompt was enhanced."),
        (Some(why), false) => line!(text, "The prompt was not enhanced: {why}"),
        (None, false) => {}
    }
    if let Some(prompt) = recipe.prompt.as_ref().filter(|prompt| Some(*prompt) != recipe.prompt_asked.as_ref()) {
        line!(text, "Prompt as rendered: {}", shorten(prompt));
    }
}

fn shorten(prompt: &str) -> String {
    match prompt.char_indices().nth(PROMPT_SHOWN_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &prompt[..end]),
        None => prompt.to_owned(),
    }
}

pub(super) fn running(view: &JobView, wait_s: u32) -> String {
    let job = &view.job;
    let at =
        view.progress.as_ref().map_or_else(|| job.state.kind().as_str().to_owned(), hub_engine::JobProgress::describe);
    let mut text = String::new();
    line!(text, "status: running ({at})");
    line!(text, "job: {}", job.id);
    line!(
        text,
        "The result is not ready yet. Call get_job with {{\"job_id\": \"{}\", \"wait_s\": {wait_s}}} to wait for it; \
         do not call {} again for the same picture.",
        job.id,
        job.request.tool()
    );
    for warning in &job.warnings {
        line!(text, "Warning: {warning}");
    }
    text.truncate(text.trim_end().len());
    text
}
