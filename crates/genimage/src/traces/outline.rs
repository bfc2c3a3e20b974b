//! What of a job's life becomes a span: pure.

use chrono::{DateTime, Utc};
use hub_core::job::{Job, JobState};
use hub_engine::{AttemptView, JobHistory, JobView};

/// A stretch of time with a name, and what lies within it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub(super) name: String,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) attributes: Vec<(&'static str, String)>,
    /// Why it went wrong.
    pub(super) error: Option<&'static str>,
    pub(super) within: Vec<Self>,
}

impl Stretch {
    fn new(name: impl Into<String>, from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        // Clocks are set back now and then; a span that ends before it begins is refused by collectors.
        let to = to.max(from);
        Self { name: name.into(), from, to, attributes: Vec::new(), error: None, within: Vec::new() }
    }
}

/// The life of a job that has ended; `None` for one that goes on.
pub(super) fn of(view: &JobView, history: &JobHistory) -> Option<Stretch> {
    let job = &view.job;
    let end = job.times.finished_at?;
    let mut life = Stretch::new(job.request.tool(), job.times.created_at, end);
    life.attributes = attributes(job, view.artifacts.len());
    if let JobState::Failed(error) = &job.state {
        life.attributes.push(("error.type", error.code.as_str().to_owned()));
        life.error = Some(error.code.as_str());
    }
    if let Some(queued) = job.times.queued_at {
        life.within.push(Stretch::new("plan", job.times.created_at, queued));
    }
    for (index, attempt) in history.attempts.iter().enumerate() {
        let before = history.attempts[..index].iter().rev().find(|earlier| earlier.part == attempt.part);
        let waits_from = before.and_then(|earlier| earlier.ended_at).or(job.times.queued_at);
        if let Some(from) = waits_from {
            life.within.push(Stretch::new("wait", from, attempt.assigned_at));
        }
        let newest = index + 1 == history.attempts.len() && !job.is_whole();
        life.within.push(of_attempt(attempt, end, job.times.started_at.filter(|_| newest)));
    }
    Some(life)
}

fn attributes(job: &Job, files: usize) -> Vec<(&'static str, String)> {
    let mut attributes = vec![
        ("genimage.job.id", job.id.to_string()),
        ("genimage.job.state", job.state.kind().to_string()),
        ("genimage.caller", job.caller.as_str().to_owned()),
        ("genimage.job.attempts", job.attempts.to_string()),
        ("genimage.job.files", files.to_string()),
    ];
    if let Some(recipe) = &job.recipe {
        attributes.push(("genimage.render_type", recipe.render_type.clone()));
    }
    attributes
}

/// One attempt; within it, where that is known, what the server ran.
fn of_attempt(attempt: &AttemptView, end: DateTime<Utc>, started: Option<DateTime<Utc>>) -> Stretch {
    let to = attempt.ended_at.unwrap_or(end);
    let mut stretch = Stretch::new(format!("attempt {}", attempt.number), attempt.assigned_at, to);
    let server = attempt.server.clone().unwrap_or_else(|| attempt.server_id.to_string());
    stretch.attributes = vec![("genimage.server", server), ("genimage.prompt.id", attempt.prompt_id.clone())];
    stretch.attributes.extend(attempt.part.map(|part| ("genimage.part", part.to_string())));
    stretch.attributes.extend(attempt.outcome.clone().map(|outcome| ("genimage.attempt.outcome", outcome)));
    stretch.error = attempt.error.as_ref().map(|error| error.code.as_str());
    stretch.within.extend(started.map(|started| Stretch::new("run", started, to)));
    stretch
}
