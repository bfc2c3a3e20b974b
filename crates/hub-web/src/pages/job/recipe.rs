//! How a job was made, as its page lists it.

use hub_core::{
    job::Job,
    placement::Placement,
    request::{DescribeRequest, DescriptionKind, ImageRef, JobRequest},
};
use serde::Serialize;

use crate::{
    language::{Said, apart},
    said,
};

/// Longest value that stands in a column of the recipe, in characters.
const COLUMN_CHARS: usize = 14;

/// One line of it.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    name: Said,
    value: String,
    /// Too long for a column.
    wide: bool,
}

/// How the job was made, as far as it is known, part by part.
pub(super) fn facts(job: &Job) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name, value: Option<String>| {
        if let Some(value) = value {
            let wide = value.chars().count() > COLUMN_CHARS;
            facts.push(Fact { name, value, wide });
        }
    };
    if let Some(recipe) = &job.recipe {
        add(said!("Render type"), Some(recipe.render_type.clone()));
        add(
            said!("Workflow"),
            Some(said!(
                "{workflow} · version {version}",
                workflow = recipe.workflow,
                version = recipe.workflow_version
            )),
        );
        add(said!("Seed"), Some(recipe.seed.to_string()));
        add(said!("Size"), recipe.size.map(|size| format!("{} × {} px", size.width_px, size.height_px)));
        add(said!("Styles"), (!recipe.styles.is_empty()).then(|| apart::list(&recipe.styles, ", ")));
        add(said!("Steps"), recipe.steps.map(|steps| steps.to_string()));
        add(said!("Guidance"), recipe.cfg.map(|cfg| cfg.to_string()));
        add(said!("Denoise"), recipe.denoise.map(|denoise| denoise.to_string()));
        let reason = recipe.not_enhanced_because.as_ref().map(|reason| said!("no: {reason}", reason));
        let enhanced =
            if recipe.enhanced { said!("yes").to_string() } else { reason.unwrap_or_else(|| said!("no").to_string()) };
        add(said!("Prompt enhanced"), Some(enhanced));
    }
    if let JobRequest::Describe(request) = &job.request {
        let kind = match request.kind {
            DescriptionKind::Natural => said!("prose"),
            DescriptionKind::Optimized => said!("keywords"),
        };
        add(said!("Form"), Some(kind.to_string()));
        add(said!("Language"), Some(request.language.clone()));
    }
    if let Some(prompt) = job.generated_prompt() {
        add(said!("Subject"), Some(prompt.subject));
        add(said!("Elements"), (!prompt.elements.is_empty()).then(|| apart::list(&prompt.elements, "; ")));
        add(said!("Style"), prompt.style);
        add(said!("Seed"), Some(prompt.seed.to_string()));
    }
    add(said!("Priority"), (job.priority != 0).then(|| job.priority.to_string()));
    add(
        said!("Pinned to"),
        match &job.placement {
            Placement::Anywhere => None,
            Placement::Server(server) => Some(server.to_string()),
            Placement::Group(name) => Some(said!("group {name}", name)),
        },
    );
    facts
}

/// Path of the picture the job works on, when it is stored here.
pub(super) fn input(job: &Job) -> Option<String> {
    let asked = match &job.request {
        JobRequest::Image(request) => request.input.as_ref(),
        JobRequest::Describe(DescribeRequest { image, .. }) => Some(image),
        JobRequest::Prompt(_) => None,
    };
    let stored = match asked {
        Some(ImageRef::Artifact(id)) => Some(*id),
        _ => None,
    };
    job.recipe.as_ref().and_then(|recipe| recipe.input).or(stored).map(|id| id.to_string())
}
