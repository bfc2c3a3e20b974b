//! What people upload, unwrapped to a graph.
//!
//! Accepts API format, the wrappers it travels in (requests, history entries, `{"output", "workflow"}`), and
//! pictures that carry it (PNG text chunks, WebP EXIF). The editor's own format is recognised in the same
//! places and handed back as it is: converting it needs a server's node list, see [`super::convert`]. It never
//! guesses: what is not a workflow is an error that names the place.

mod picture;

use serde_json::{Map, Value};

use super::{Graph, WorkflowError};
use crate::wire::sanitise;

/// Largest file looked at, in bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;
/// Wrappers inside wrappers.
const MAX_DEPTH: usize = 5;

/// A graph and where it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Unwrapped {
    /// The graph.
    pub graph: Graph,
    /// The editor's version of it, when it came along; worth keeping so that pictures can carry it.
    pub ui: Option<Map<String, Value>>,
    /// Where the graph was found.
    pub source: Source,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A graph.
    Api(Unwrapped),
    /// A workflow in the editor's format, which [`super::to_api`] converts.
    Ui(Value),
}

impl Found {
    fn into_api(self) -> Result<Unwrapped, WorkflowError> {
        match self {
            Self::Api(unwrapped) => Ok(unwrapped),
            Self::Ui(_) => Err(WorkflowError::UiFormat),
        }
    }
}

/// Where a graph was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A plain API-format file.
    Api,
    /// Inside a request, a history entry or another wrapper.
    Wrapped,
    /// Inside a picture.
    Picture,
}

/// Finds the graph in the bytes of a file; the editor's format is refused.
///
/// # Errors
/// [`WorkflowError`]; its text tells a person what to do.
pub fn detect_and_unwrap(bytes: &[u8]) -> Result<Unwrapped, WorkflowError> {
    find(bytes)?.into_api()
}

/// Finds the workflow in the bytes of a file.
///
/// # Errors
/// [`WorkflowError`]; its text tells a person what to do.
pub fn find(bytes: &[u8]) -> Result<Found, WorkflowError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(WorkflowError::TooLarge(format!("{} bytes, at most {MAX_FILE_BYTES} are read", bytes.len())));
    }
    if let Some(metadata) = picture::metadata(bytes)? {
        return from_picture(metadata);
    }
    find_in_value(parse_json(bytes)?)
}

/// Finds the graph in a JSON value; the editor's format is refused.
///
/// # Errors
/// [`WorkflowError`]; its text tells a person what to do.
pub fn unwrap_value(value: Value) -> Result<Unwrapped, WorkflowError> {
    find_in_value(value)?.into_api()
}

/// Finds the workflow in a JSON value.
///
/// # Errors
/// [`WorkflowError`]; its text tells a person what to do.
pub fn find_in_value(value: Value) -> Result<Found, WorkflowError> {
    unwrap_at(value, 0)
}

fn from_picture(metadata: picture::Metadata) -> Result<Found, WorkflowError> {
    let ui = metadata.workflow.and_then(|text| match parse_json(&text) {
        Ok(Value::Object(ui)) => Some(ui),
        _ => None,
    });
    let Some(prompt) = metadata.prompt else {
        let none = || WorkflowError::NoMetadata("it has no 'prompt' entry".to_owned());
        return ui.map(|ui| Found::Ui(Value::Object(ui))).ok_or_else(none);
    };
    Ok(match find_in_value(parse_json(&prompt)?)? {
        Found::Api(found) => Found::Api(Unwrapped { graph: found.graph, ui: ui.or(found.ui), source: Source::Picture }),
        other @ Found::Ui(_) => other,
    })
}

fn parse_json(bytes: &[u8]) -> Result<Value, WorkflowError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Files written by Python may hold NaN; positions in error messages still refer to the cleaned text, which
    // only differs behind such a token.
    serde_json::from_slice(&sanitise(bytes)).map_err(|error| {
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or_default().to_owned();
        WorkflowError::Json { message, line: error.line(), column: error.column() }
    })
}

fn unwrap_at(value: Value, depth: usize) -> Result<Found, WorkflowError> {
    let not = |why: &str| Err(WorkflowError::NotAWorkflow(why.to_owned()));
    if depth > MAX_DEPTH {
        return not("it is wrapped too deep");
    }
    match value {
        Value::Object(object) => unwrap_object(object, depth),
        // A queue or history tuple: [number, prompt_id, graph, extra_data, outputs].
        Value::Array(mut items) if items.len() >= 3 && items[0].is_number() && items[1].is_string() => {
            let ui =
                items.get_mut(3).and_then(|extra| extra.get_mut("extra_pnginfo")?.get_mut("workflow")).map(Value::take);
            let found = unwrap_at(items.swap_remove(2), depth + 1)?;
            Ok(with_ui(found, ui))
        }
        // Picture viewers show metadata as text, which people then paste.
        Value::String(text) => unwrap_at(parse_json(text.as_bytes())?, depth + 1),
        Value::Array(_) => not("it is a list"),
        _ => not("it is not a JSON object"),
    }
}

fn unwrap_object(mut object: Map<String, Value>, depth: usize) -> Result<Found, WorkflowError> {
    if object.get("nodes").is_some_and(Value::is_array) {
        return Ok(Found::Ui(Value::Object(object)));
    }
    if object.values().any(|node| node.get("class_type").is_some()) {
        let source = if depth == 0 { Source::Api } else { Source::Wrapped };
        return Ok(Found::Api(Unwrapped { graph: Graph::from_object(object)?, ui: None, source }));
    }
    for key in ["prompt", "output"] {
        if object.get(key).is_some_and(|inner| inner.is_object() || inner.is_array() || inner.is_string()) {
            let inner = object.shift_remove(key).unwrap_or_default();
            let mut ui = object.shift_remove("workflow");
            if ui.is_none() {
                ui = object
                    .get_mut("extra_data")
                    .and_then(|extra| extra.get_mut("extra_pnginfo")?.get_mut("workflow"))
                    .map(Value::take);
            }
            return Ok(with_ui(unwrap_at(inner, depth + 1)?, ui));
        }
    }
    if let Some(workflow) = object.shift_remove("workflow") {
        return unwrap_at(workflow, depth + 1);
    }
    // The answer of /history/{id}: one entry under its id.
    if object.len() == 1
        && let Some((_, entry @ Value::Object(_))) = object.into_iter().next()
        && (entry.get("prompt").is_some() || entry.get("nodes").is_some())
    {
        return unwrap_at(entry, depth + 1);
    }
    Err(WorkflowError::NotAWorkflow("no node with a class_type was found".to_owned()))
}

/// A graph inside a wrapper, with the editor's version of it that the wrapper holds.
fn with_ui(found: Found, ui: Option<Value>) -> Found {
    let Found::Api(found) = found else { return found };
    let ui = match ui {
        Some(Value::Object(ui)) => Some(ui),
        _ => None,
    };
    Found::Api(Unwrapped { ui: ui.or(found.ui), source: Source::Wrapped, ..found })
}
