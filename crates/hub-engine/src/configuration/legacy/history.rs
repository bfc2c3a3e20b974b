//! What the older system wrote down of its jobs.
//!
//! It kept the final prompts, not what was asked; not the tool, which its render type tells; and of pictures the file's
//! name. Describing and generating prompts it did not write down.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use hub_core::{
    caller::Caller,
    catalogue::Mode,
    error::{ErrorCode, UserError},
    ids::{JobId, ServerId, WorkflowId},
    placement::Placement,
    recipe::Recipe,
    request::{AspectRatio, ImageRequest, ImageSize, JobRequest, SizeChoice, StyleChoice},
};
use hub_store::{NewJob, PastJob};
use sha2::{Digest as _, Sha256};

use super::{
    mode_of,
    rows::{Row, Rows},
    stem,
};
use crate::submit::hex;

/// Who is said to have asked.
const CALLER: &str = "mcp-genimage";
/// How times are written: as SQLite's `CURRENT_TIMESTAMP`, and by SQLAlchemy; both in UTC.
const TIMES: [&str; 2] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
/// Longest text of an error that is kept, in characters.
const ERROR_MAX_CHARS: usize = 500;

/// Who is said to have asked.
pub(super) fn caller() -> Caller {
    Caller::named(CALLER)
}

/// The older system's sizes.
pub(super) fn sizes(mode: Mode) -> BTreeMap<AspectRatio, ImageSize> {
    if mode != Mode::Generate {
        return BTreeMap::new();
    }
    let size = |width_px, height_px| ImageSize { width_px, height_px };
    BTreeMap::from([
        (AspectRatio::R1x1, size(1024, 1024)),
        (AspectRatio::R16x9, size(1344, 768)),
        (AspectRatio::R9x16, size(768, 1344)),
        (AspectRatio::R4x3, size(1152, 896)),
        (AspectRatio::R3x4, size(896, 1152)),
    ])
}

/// The jobs, oldest first. `servers` by name.
pub(super) fn jobs(rows: &Rows, servers: &BTreeMap<&str, ServerId>) -> Result<Vec<PastJob>, UserError> {
    let names = rows.names("comfyui_instances")?;
    let mut kinds = BTreeMap::new();
    for row in rows.of("render_types") {
        kinds.insert(row.text("name")?, (mode_of(row)?, stem(row.text("workflow_filename")?)));
    }
    rows.of("generation_logs")
        .iter()
        .map(|row| {
            let server = row.number("comfyui_instance_id").and_then(|id| names.get(&id));
            let render_type = row.text_opt("render_type_name");
            let known = render_type.and_then(|name| kinds.get(name).cloned());
            let (mode, workflow) = known.unwrap_or_else(|| (Mode::Generate, String::new()));
            job(row, mode, workflow, server.and_then(|name| servers.get(name.as_str())).copied())
        })
        .collect()
}

fn job(row: &Row, mode: Mode, workflow: String, server: Option<ServerId>) -> Result<PastJob, UserError> {
    let finished_at = time(row)?;
    let took = TimeDelta::try_milliseconds(row.number("duration_ms").unwrap_or(0).max(0)).unwrap_or_default();
    let created_at = finished_at.checked_sub_signed(took).unwrap_or(finished_at);
    let text = |column: &str| row.text_opt(column).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let styles = styles_of(row);
    // A 64-bit number of either sign.
    let seed = row.number("seed").map(i64::cast_unsigned);
    let aspect = row.text_opt("aspect_ratio").and_then(|text| text.parse().ok());
    let (prompt, negative_prompt) = (text("positive_prompt"), text("negative_prompt"));
    let render_type = text("render_type_name").unwrap_or_default();
    let request = ImageRequest {
        mode,
        prompt: prompt.clone(),
        negative_prompt: negative_prompt.clone(),
        styles: StyleChoice::Named(styles.clone()),
        render_type: Some(render_type.clone()).filter(|name| !name.is_empty()),
        size: aspect.map_or(SizeChoice::Default, SizeChoice::Aspect),
        seed,
        enhance: Some(false),
        ..ImageRequest::generate(prompt.clone().unwrap_or_default())
    };
    let recipe = Recipe {
        mode,
        render_type,
        workflow,
        workflow_version: 0,
        workflow_id: WorkflowId::from_uuid(uuid::Uuid::nil()),
        prompt_asked: None,
        prompt,
        negative_prompt,
        styles,
        enhanced: row.flag("llm_enhanced", false),
        not_enhanced_because: None,
        seed: seed.unwrap_or(0),
        size: aspect.and_then(|ratio| sizes(mode).get(&ratio).copied()),
        steps: None,
        cfg: None,
        denoise: None,
        input: None,
        mask: None,
        part: None,
    };
    let digest = hex(&Sha256::digest(row.written()));
    let mut warnings =
        vec!["Made by MCP_GenImage; the prompt is the final one, what was asked is not known.".to_owned()];
    warnings.extend(text("image_filename").map(|file| format!("Its picture was the file {file} there.")));
    Ok(PastJob {
        error: (row.text("status")? != "SUCCESS").then(|| failure(row)),
        server,
        created_at,
        finished_at,
        new: NewJob {
            id: JobId::new(),
            caller: caller(),
            request: JobRequest::Image(request),
            // Of the row, not of arguments: no call ever repeats it.
            request_digest: digest.clone(),
            recipe: Some(recipe),
            warnings,
            priority: 0,
            placement: Placement::Anywhere,
            idempotency_key: Some(format!("mcp-genimage-{digest}")),
            parent: None,
            trace: None,
        },
    })
}

fn styles_of(row: &Row) -> Vec<String> {
    let names = row.text_opt("style_names").unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn failure(row: &Row) -> UserError {
    let told: String = row.text_opt("error_message").unwrap_or("It failed.").chars().take(ERROR_MAX_CHARS).collect();
    UserError::new(ErrorCode::NodeFailed, told)
}

fn time(row: &Row) -> Result<DateTime<Utc>, UserError> {
    let Some(text) = row.text_opt("timestamp") else { return Ok(DateTime::UNIX_EPOCH) };
    let plain = TIMES.iter().find_map(|form| NaiveDateTime::parse_from_str(text.trim(), form).ok());
    let zoned = || DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.to_utc());
    plain.map(|time| time.and_utc()).or_else(zoned).ok_or_else(|| row.wrong("timestamp"))
}
