//! The shape of a tool's result: what every client can use, and nothing that makes one drop the
//! pictures. Text first, then pictures, then links; the record for programs is in `_meta`.

mod plan;
mod record;
mod text;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hub_core::{
    artifact::{Artifact, MediaKind},
    error::{ErrorCode, UserError},
    job::{Job, JobState},
};
use hub_engine::JobView;
use rmcp::model::{Annotations, CallToolResult, ContentBlock, MetaObject, Resource, Role};
use serde_json::{Map, Value, json};

use crate::{
    budget::Pictures,
    delivery::Delivery,
    names::{ERROR_META_KEY, RESULT_META_KEY},
};

pub(crate) use plan::of_plan;
pub(crate) use record::{file, record, running_record};

/// What becomes of a job whose result is asked for.
pub(crate) fn of_ended(view: &JobView, pictures: &Pictures, delivery: &Delivery) -> CallToolResult {
    match &view.job.state {
        JobState::Succeeded => of_success(view, pictures, delivery),
        JobState::Failed(error) => of_failure(&view.job, error),
        JobState::Cancelled => of_failure(&view.job, &UserError::new(ErrorCode::Cancelled, "The job was cancelled.")),
        JobState::Expired => of_failure(
            &view.job,
            &UserError::new(ErrorCode::TimedOut, "The job waited in the queue for too long and was given up.")
                .with_hint("Try again later, or ask whoever runs the hub for more servers."),
        ),
        JobState::Planning
        | JobState::Queued
        | JobState::Assigned(_)
        | JobState::Running(_)
        | JobState::InParts
        | JobState::Collecting(_) => of_running(view, delivery, hub_core::limits::WAIT_DEFAULT_S),
    }
}

fn of_success(view: &JobView, pictures: &Pictures, delivery: &Delivery) -> CallToolResult {
    let mut blocks = vec![ContentBlock::text(text::success(view, pictures, delivery))];
    blocks.extend(
        pictures.shown.iter().map(|picture| ContentBlock::image(STANDARD.encode(&picture.bytes), picture.mime.clone())),
    );
    if delivery.links {
        blocks.extend(view.artifacts.iter().map(|artifact| ContentBlock::resource_link(link(artifact))));
    }
    finish(CallToolResult::success(blocks), RESULT_META_KEY, record(view, delivery), delivery)
}

/// The handle that is answered when the wait is over before the job is.
pub(crate) fn of_running(view: &JobView, delivery: &Delivery, wait_s: u32) -> CallToolResult {
    let text = text::running(view, wait_s);
    let result = CallToolResult::success(vec![ContentBlock::text(text)]);
    finish(result, RESULT_META_KEY, running_record(view), delivery)
}

/// A job that ended without a result.
fn of_failure(job: &Job, error: &UserError) -> CallToolResult {
    let mut result = of_error(error);
    let record = json!({"job": job.id.to_string(), "status": job.state.kind().as_str(), "tool": job.request.tool()});
    meta_of(&mut result).insert(RESULT_META_KEY.to_owned(), record);
    if let Some(ContentBlock::Text(text)) = result.content.first_mut() {
        text.text = format!("{} (job {})", text.text, job.id);
    }
    result
}

/// The record of a job, whatever became of it.
pub(crate) fn job_record(view: &JobView, delivery: &Delivery) -> Value {
    match &view.job.state {
        JobState::Succeeded => record(view, delivery),
        state if !state.kind().is_terminal() => running_record(view),
        ended => {
            let mut record = json!({"job": view.job.id.to_string(), "status": ended.kind().as_str(), "tool": view.job.request.tool()});
            if let JobState::Failed(error) = ended {
                record["error"] = error_record(error);
            }
            record
        }
    }
}

/// A refusal or failure in words, with the same for programs.
pub(crate) fn of_error(error: &UserError) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(error.explain())]);
    meta_of(&mut result).insert(ERROR_META_KEY.to_owned(), error_record(error));
    result
}

/// The error for programs: code, message, recoverable, hint, argument, valid values, retry time.
pub(crate) fn error_record(error: &UserError) -> Value {
    let mut record = Map::new();
    record.insert("code".to_owned(), json!(error.code.as_str()));
    record.insert("message".to_owned(), json!(error.message));
    record.insert("recoverable".to_owned(), json!(error.code.recoverable()));
    if let Some(hint) = &error.hint {
        record.insert("hint".to_owned(), json!(hint));
    }
    if let Some(argument) = &error.argument {
        record.insert("argument".to_owned(), json!(argument));
    }
    if !error.valid_values.is_empty() {
        record.insert("valid_values".to_owned(), json!(error.valid_values));
    }
    if let Some(seconds) = error.retry_after_s {
        record.insert("retry_after_s".to_owned(), json!(seconds));
    }
    Value::Object(record)
}

/// A result made of text and a record.
pub(crate) fn of_data(text: String, key: &str, record: Value, delivery: &Delivery) -> CallToolResult {
    finish(CallToolResult::success(vec![ContentBlock::text(text)]), key, record, delivery)
}

fn finish(mut result: CallToolResult, key: &str, record: Value, delivery: &Delivery) -> CallToolResult {
    if delivery.structured {
        result.structured_content = Some(record.clone());
    }
    meta_of(&mut result).insert(key.to_owned(), record);
    result
}

fn meta_of(result: &mut CallToolResult) -> &mut MetaObject {
    result.meta.get_or_insert_default()
}

/// The link to one output: for the user, since a client that read it for the model would pay twice.
pub(crate) fn link(artifact: &Artifact) -> Resource {
    Resource::new(artifact.resource_uri(), artifact.file_name())
        .with_mime_type(artifact.mime.clone())
        .with_size(artifact.size_bytes)
        .with_annotations(Annotations::default().with_audience(vec![Role::User]))
}

/// The kind of a file, in a word.
fn noun(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio => "sound",
        MediaKind::Other => "file",
    }
}

#[cfg(test)]
mod tests;
