//! The configuration as a file: its shape, version 1, and how it is read.
//!
//! Everything is named by its name: ids are a hub's own. A section that is left out is left alone by an
//! import. What cannot be read is told by its JSON path; faults never quote what may be a secret.

use std::collections::BTreeMap;

use hub_core::{
    caller::CallerWeights,
    catalogue::{Mode, RenderDefaults, SizeLimits},
    error::{ErrorCode, UserError},
    faults,
    request::{AspectRatio, ImageSize},
    server::{
        BaseUrl, CaSource, DEFAULT_MAX_IN_FLIGHT, DEFAULT_RUN_LIMIT_S, DEFAULT_STALL_LIMIT_S, DEFAULT_WEIGHT,
        LlmDialect, LlmRole, SecretSource,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::sealed::Sealed;
use crate::{DescribeTemplates, EnhanceTemplates, PromptGeneratorSettings};

/// What every file says that it is.
pub(crate) const FORMAT: &str = "genimage-config";
/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;
/// Largest file, in bytes.
pub(crate) const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Most things of one kind.
const MAX_ENTRIES: usize = 10_000;

/// A configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) format: String,
    pub(crate) version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) servers: Option<Vec<ServerEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) llm_servers: Option<Vec<LlmServerEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) llm_roles: Option<BTreeMap<LlmRole, RoleEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workflows: Option<Vec<WorkflowEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) render_types: Option<Vec<RenderTypeEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) styles: Option<Vec<StyleEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settings: Option<SettingsEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secrets: Option<Sealed>,
}

/// A ComfyUI server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerEntry {
    pub(crate) name: String,
    pub(crate) base_url: BaseUrl,
    #[serde(default)]
    pub(crate) auth: AuthEntry,
    #[serde(default)]
    pub(crate) origin: Option<String>,
    #[serde(default)]
    pub(crate) ca: Option<CaSource>,
    #[serde(default = "weight")]
    pub(crate) weight: f64,
    #[serde(default)]
    pub(crate) group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gpu: Option<String>,
    #[serde(default = "max_in_flight")]
    pub(crate) max_in_flight: u32,
    #[serde(default = "run_limit_s")]
    pub(crate) run_limit_s: u32,
    #[serde(default = "stall_limit_s")]
    pub(crate) stall_limit_s: u32,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) draining: bool,
    /// What was said by hand: whether it can run a workflow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) workflows: BTreeMap<String, bool>,
}

/// Proof of identity. A secret is left out when it is encrypted or not exported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AuthEntry {
    #[default]
    None,
    Basic {
        user: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<SecretSource>,
    },
    Bearer {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<SecretSource>,
    },
    ApiKey {
        header: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<SecretSource>,
    },
    Headers {
        headers: Vec<HeaderEntry>,
    },
}

/// One header that proves identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderEntry {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<SecretSource>,
}

/// An LLM server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmServerEntry {
    pub(crate) name: String,
    pub(crate) base_url: BaseUrl,
    pub(crate) dialect: LlmDialect,
    /// Whether it wants a key; the key itself is left out when it is encrypted or not exported.
    #[serde(default)]
    pub(crate) needs_api_key: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key: Option<SecretSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gpu: Option<String>,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

/// Who plays a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleEntry {
    /// LLM server by name.
    pub(crate) server: String,
    #[serde(default)]
    pub(crate) model: Option<String>,
}

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkflowEntry {
    pub(crate) name: String,
    #[serde(default = "one")]
    pub(crate) version: u32,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) graph: Value,
    /// Detected anew when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<Value>,
}

/// A render type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenderTypeEntry {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) workflow: String,
    #[serde(default)]
    pub(crate) workflow_version: Option<u32>,
    pub(crate) mode: Mode,
    #[serde(default = "yes")]
    pub(crate) visible: bool,
    #[serde(default)]
    pub(crate) is_default: bool,
    #[serde(default)]
    pub(crate) sizes: BTreeMap<AspectRatio, ImageSize>,
    #[serde(default)]
    pub(crate) limits: SizeLimits,
    #[serde(default)]
    pub(crate) defaults: RenderDefaults,
    #[serde(default)]
    pub(crate) prompt_guide: String,
    #[serde(default)]
    pub(crate) prompt_examples: Vec<String>,
}

/// A style.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StyleEntry {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) category: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) prompt_template: String,
    #[serde(default)]
    pub(crate) negative_template: String,
    #[serde(default)]
    pub(crate) render_types: Vec<String>,
    #[serde(default)]
    pub(crate) preferred_render_type: Option<String>,
    #[serde(default)]
    pub(crate) is_default: bool,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

/// Settings that were changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) describe_templates: Option<DescribeTemplates>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) enhance_templates: Option<EnhanceTemplates>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caller_weights: Option<CallerWeights>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_generator: Option<PromptGeneratorSettings>,
    /// Limits and policies by key. `null`: there is a value that is encrypted or not exported, since it may hold a
    /// secret. Files of before do not have them, and leave them alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<BTreeMap<String, Value>>,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn weight() -> f64 {
    DEFAULT_WEIGHT
}

fn max_in_flight() -> u32 {
    DEFAULT_MAX_IN_FLIGHT
}

fn run_limit_s() -> u32 {
    DEFAULT_RUN_LIMIT_S
}

fn stall_limit_s() -> u32 {
    DEFAULT_STALL_LIMIT_S
}

/// What tells the kinds of files apart.
#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    format: Option<Value>,
    #[serde(default)]
    version: Option<Value>,
    #[serde(default)]
    servers: Option<Value>,
    #[serde(default, rename = "serverUrl")]
    server_url: Option<Value>,
}

/// What a file is.
pub(crate) enum Kind {
    /// Ours.
    Ours,
    /// The older system's list of servers.
    OlderServers,
    /// The older system's settings of one server.
    OlderServer,
}

/// Tells what a file is.
///
/// # Errors
/// `bad_argument` when it is too large, no JSON, of another version, or something else.
pub(crate) fn kind(bytes: &[u8]) -> Result<Kind, UserError> {
    if bytes.len() > MAX_BYTES {
        return Err(UserError::new(
            ErrorCode::BadArgument,
            format!("The file has {} bytes; at most {MAX_BYTES} are read.", bytes.len()),
        ));
    }
    let probe: Probe = parse(bytes)?;
    match (&probe.format, &probe.servers, &probe.server_url) {
        (Some(Value::String(format)), ..) if format == FORMAT => match probe.version.as_ref().and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => Ok(Kind::Ours),
            _ => {
                let told = probe.version.map_or_else(|| "none".to_owned(), |version| cut(&version.to_string()));
                Err(UserError::argument("version", format!("The file is of version {told}; this hub reads {VERSION}."))
                    .with_hint("Export it anew with a hub of the same version as this one."))
            }
        },
        (Some(other), ..) => {
            let told = cut(&other.to_string());
            Err(UserError::argument("format", format!("`format` is {told}, but must be \"{FORMAT}\".")))
        }
        (None, Some(_), _) => match &probe.version {
            Some(Value::String(version)) if version == "1.0" => Ok(Kind::OlderServers),
            other => {
                let told = other.as_ref().map_or_else(|| "none".to_owned(), |version| cut(&version.to_string()));
                Err(UserError::argument("version", format!("This list of servers is of version {told}."))
                    .with_hint("Lists of version \"1.0\" are read, and files with \"format\": \"genimage-config\"."))
            }
        },
        (None, None, Some(_)) => Ok(Kind::OlderServer),
        (None, None, None) => Err(UserError::argument("format", "This is no configuration: `format` is missing.")
            .with_hint("Give a file that `genimage config export` wrote.")),
    }
}

/// Reads a file of ours.
///
/// # Errors
/// `bad_argument` by JSON path.
pub(crate) fn read(bytes: &[u8]) -> Result<Document, UserError> {
    let document: Document = parse(bytes)?;
    let lengths = [
        ("servers", document.servers.as_ref().map(Vec::len)),
        ("llm_servers", document.llm_servers.as_ref().map(Vec::len)),
        ("workflows", document.workflows.as_ref().map(Vec::len)),
        ("render_types", document.render_types.as_ref().map(Vec::len)),
        ("styles", document.styles.as_ref().map(Vec::len)),
    ];
    for (section, length) in lengths {
        let length = length.unwrap_or_default();
        if length > MAX_ENTRIES {
            return Err(UserError::argument(
                section,
                format!("`{section}` has {length} entries; at most {MAX_ENTRIES} are read."),
            ));
        }
    }
    Ok(document)
}

/// Parses JSON, telling faults by their path.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, UserError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return malformed(&error);
        }
        let told = error.to_string();
        let fault = faults::field(&path, &told);
        // Sentences about a wrong value quote it.
        let names_a_field = told.starts_with("unknown field") || told.starts_with("missing field");
        let secret = ["auth", "api_key", "secrets", "password", "token"].iter().any(|word| path.contains(word));
        if secret && !names_a_field {
            return UserError::argument(&path, format!("`{path}` is not of the form that is expected there."));
        }
        fault
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(parsed)
}

fn malformed(error: &serde_json::Error) -> UserError {
    let error = if error.is_eof() {
        format!("The file is cut off: it is not whole JSON ({error}).")
    } else {
        format!("The file is not valid JSON: {error}.")
    };
    UserError::new(ErrorCode::BadArgument, error)
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}
