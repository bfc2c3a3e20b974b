//! Arguments of the tools that make no job. Those that do are parsed by `hub-core`.

use hub_core::{error::UserError, ids::JobId, limits, request::Inline, suggest};
use serde_json::{Map, Value};

/// Refuses arguments beyond `known`.
pub(super) fn refuse_unknown(
    tool: &str,
    arguments: &Map<String, Value>,
    known: &[&'static str],
) -> Result<(), UserError> {
    let Some(unknown) = arguments.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let shown: String = unknown.chars().filter(|c| !c.is_control()).take(60).collect();
    let error = UserError::argument(&shown, format!("`{tool}` has no argument `{shown}`."));
    let error = match suggest::nearest(unknown, known.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
        None => error,
    };
    Err(error.with_valid(known.iter().copied()))
}

fn given<'a>(arguments: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    arguments.get(name).filter(|value| !value.is_null())
}

/// The required `job_id`.
pub(super) fn job_id(arguments: &Map<String, Value>) -> Result<JobId, UserError> {
    let value = given(arguments, "job_id").ok_or_else(|| {
        UserError::argument("job_id", "`job_id` is required: give the id of a job, job_….".to_owned())
    })?;
    let text =
        value.as_str().ok_or_else(|| UserError::argument("job_id", "`job_id` must be a text, job_….".to_owned()))?;
    text.trim().parse().map_err(|error| UserError::argument("job_id", format!("{error}.")))
}

/// The optional `wait_s`.
pub(super) fn wait_s(arguments: &Map<String, Value>) -> Result<Option<u32>, UserError> {
    let Some(value) = given(arguments, "wait_s") else { return Ok(None) };
    let seconds = value
        .as_f64()
        .filter(|seconds| seconds.fract() == 0.0)
        .filter(|seconds| (0.0..=f64::from(limits::WAIT_MAX_S)).contains(seconds));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within the range")]
    seconds.map(|seconds| Some(seconds as u32)).ok_or_else(|| {
        UserError::argument("wait_s", format!("`wait_s` must be a whole number from 0 to {}.", limits::WAIT_MAX_S))
    })
}

/// The optional `inline`.
pub(super) fn inline(arguments: &Map<String, Value>) -> Result<Option<Inline>, UserError> {
    let Some(value) = given(arguments, "inline") else { return Ok(None) };
    match value.as_str() {
        Some("none") => Ok(Some(Inline::None)),
        Some("preview") => Ok(Some(Inline::Preview)),
        Some("full") => Ok(Some(Inline::Full)),
        _ => {
            Err(UserError::argument("inline", "`inline` is none of its values.")
                .with_valid(["none", "preview", "full"]))
        }
    }
}
