//! What a tool would do, without doing it.

use crate::{
    language::{Said, apart},
    said,
};
use hub_engine::PlanView;
use serde::Serialize;

/// The plan, for people.
#[derive(Debug, Serialize)]
pub(super) struct ShownPlan {
    facts: Vec<(Said, String)>,
    prompt: Option<String>,
    negative: Option<String>,
    would_enhance: bool,
    warnings: Vec<String>,
    servers: Vec<Place>,
}

/// A server, and why it would not be taken.
#[derive(Debug, Serialize)]
struct Place {
    name: String,
    why_not: Option<String>,
}

impl ShownPlan {
    pub(super) fn of(plan: &PlanView) -> Self {
        let recipe = &plan.recipe;
        let mut facts = vec![
            (said!("Render type"), recipe.render_type.clone()),
            (
                said!("Workflow"),
                said!("{workflow} · version {version}", workflow = recipe.workflow, version = recipe.workflow_version),
            ),
            (said!("Seed"), recipe.seed.to_string()),
        ];
        let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        add(said!("Size"), recipe.size.map(|size| format!("{} × {} px", size.width_px, size.height_px)));
        add(said!("Styles"), Some(apart::list(&recipe.styles, ", ")).filter(|styles| !styles.is_empty()));
        add(said!("Steps"), recipe.steps.map(|steps| steps.to_string()));
        add(said!("Guidance"), recipe.cfg.map(|cfg| cfg.to_string()));
        add(said!("Denoise"), recipe.denoise.map(|denoise| denoise.to_string()));
        Self {
            facts,
            prompt: recipe.prompt.clone(),
            negative: recipe.negative_prompt.clone(),
            would_enhance: plan.would_enhance,
            warnings: apart::sentences(&plan.warnings),
            servers: plan
                .servers
                .iter()
                .map(|server| Place {
                    name: server.name.clone(),
                    why_not: server.why_not.as_deref().map(|why| apart::sentence(why).into_owned()),
                })
                .collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn sample() -> Self {
        use crate::pages::shown::sample::{HOSTILE, view};
        let job = view(hub_core::job::JobState::Queued).job;
        Self::of(&PlanView {
            recipe: job.recipe.expect("the sample has one"),
            would_enhance: true,
            warnings: vec![HOSTILE.to_owned()],
            servers: vec![hub_engine::PlannedServer { name: HOSTILE.to_owned(), why_not: Some(HOSTILE.to_owned()) }],
        })
    }
}
