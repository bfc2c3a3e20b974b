//! The record for programs: one JSON object per job.

use chrono::{DateTime, Utc};
use hub_core::{
    artifact::{Artifact, MediaKind},
    job::Job,
    recipe::Recipe,
};
use hub_engine::JobView;
use serde_json::{Map, Value, json};

use crate::delivery::Delivery;

/// The record of a job that succeeded.
pub(crate) fn record(view: &JobView, delivery: &Delivery) -> Value {
    let job = &view.job;
    let mut record = head(job);
    let (images, files): (Vec<&Artifact>, Vec<&Artifact>) =
        view.artifacts.iter().partition(|artifact| artifact.kind == MediaKind::Image);
    let list = |artifacts: Vec<&Artifact>| artifacts.into_iter().map(|one| file(one, delivery)).collect::<Vec<_>>();
    record.insert("images".to_owned(), json!(list(images)));
    if !files.is_empty() {
        record.insert("files".to_owned(), json!(list(files)));
    }
    if let Some(prompt) = job.generated_prompt() {
        record.insert("prompt".to_owned(), json!(prompt));
    } else if let Some(text) = &job.text {
        record.insert("description".to_owned(), json!(text));
    }
    if let Some(recipe) = &job.recipe {
        add_recipe(&mut record, recipe);
    }
    record.insert("server".to_owned(), json!(view.server));
    record.insert("timings".to_owned(), timings(job));
    record.insert("warnings".to_owned(), json!(job.warnings));
    Value::Object(record)
}

/// The record of a job that goes on.
pub(crate) fn running_record(view: &JobView) -> Value {
    let mut record = head(&view.job);
    record.insert("status".to_owned(), json!("running"));
    record.insert("state".to_owned(), json!(view.job.state.kind().as_str()));
    if let Some(progress) = &view.progress {
        record.insert("progress".to_owned(), json!(f64::from((progress.fraction * 1000.0).round()) / 1000.0));
        record.insert("queue_position".to_owned(), json!(progress.queue_position));
        record.insert("message".to_owned(), json!(progress.describe()));
    }
    record.insert("server".to_owned(), json!(view.server));
    record.insert("warnings".to_owned(), json!(view.job.warnings));
    Value::Object(record)
}

fn head(job: &Job) -> Map<String, Value> {
    let mut record = Map::new();
    record.insert("job".to_owned(), json!(job.id.to_string()));
    record.insert("status".to_owned(), json!(job.state.kind().as_str()));
    record.insert("tool".to_owned(), json!(job.request.tool()));
    record
}

/// One stored file.
pub(crate) fn file(artifact: &Artifact, delivery: &Delivery) -> Value {
    json!({
        "id": artifact.id.to_string(),
        "url": delivery.url_of(artifact),
        "uri": artifact.resource_uri(),
        "width": artifact.width_px,
        "height": artifact.height_px,
        "mime": artifact.mime,
        "bytes": artifact.size_bytes,
        "seed": artifact.seed,
    })
}

fn add_recipe(record: &mut Map<String, Value>, recipe: &Recipe) {
    let prompts = json!({
        "asked": recipe.prompt_asked,
        "final": recipe.prompt,
        "negative": recipe.negative_prompt,
    });
    record.insert("prompts".to_owned(), prompts);
    record.insert("seed".to_owned(), json!(recipe.seed));
    record.insert("render_type".to_owned(), json!(recipe.render_type));
    record.insert("workflow".to_owned(), json!(format!("{}@{}", recipe.workflow, recipe.workflow_version)));
    record.insert("styles".to_owned(), json!(recipe.styles));
    record.insert("enhanced".to_owned(), json!(recipe.enhanced));
    if let Some(why) = &recipe.not_enhanced_because {
        record.insert("not_enhanced_because".to_owned(), json!(why));
    }
}

fn timings(job: &Job) -> Value {
    let times = &job.times;
    let between = |from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>| {
        from.zip(to).map(|(from, to)| (to - from).num_milliseconds().max(0))
    };
    json!({
        "created_at": times.created_at.to_rfc3339(),
        "finished_at": times.finished_at.map(|at| at.to_rfc3339()),
        "wait_ms": between(Some(times.created_at), times.started_at),
        "run_ms": between(times.started_at, times.finished_at),
        "total_ms": between(Some(times.created_at), times.finished_at),
    })
}
