//! The raw shape of a refused prompt; `error::Rejection` is what callers see.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RejectionBody {
    /// A string from some proxies and forks, an object from ComfyUI.
    #[serde(default, deserialize_with = "error_or_text")]
    pub error: Option<RejectionError>,
    #[serde(default, deserialize_with = "map_or_nothing")]
    pub node_errors: IndexMap<String, RawNodeError>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RejectionError {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub details: String,
    #[serde(default)]
    pub extra_info: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RawNodeError {
    #[serde(default)]
    pub errors: Vec<RejectionError>,
    #[serde(default)]
    pub class_type: Option<String>,
}

fn error_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RejectionError>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => None,
        Some(Value::String(message)) => Some(RejectionError { message, ..RejectionError::default() }),
        Some(other) => Some(serde_json::from_value(other).map_err(serde::de::Error::custom)?),
    })
}

/// `node_errors` is an object, but an empty array on some forks.
fn map_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, RawNodeError>, D::Error> {
    match Value::deserialize(deserializer)? {
        map @ Value::Object(_) => serde_json::from_value(map).map_err(serde::de::Error::custom),
        _ => Ok(IndexMap::new()),
    }
}
