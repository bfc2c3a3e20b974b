//! `/object_info`: which node classes a server has, and which values their inputs take.
//!
//! Choice lists come in two shapes, `[["a","b"],{…}]` and `["COMBO",{"options":["a","b"]}]`; both end as
//! [`InputKind::Choice`]. A full answer is megabytes large, so only what capability checks need is kept.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Node classes by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectInfo {
    /// Classes by name.
    pub nodes: IndexMap<String, NodeInfo>,
}

impl ObjectInfo {
    /// The class, if the server has it.
    pub fn node(&self, class: &str) -> Option<&NodeInfo> {
        self.nodes.get(class)
    }

    /// Whether the server has the class.
    pub fn has_class(&self, class: &str) -> bool {
        self.nodes.contains_key(class)
    }

    /// Class names, in the server's order.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The choices of one input of one class, such as the checkpoints of `CheckpointLoaderSimple.ckpt_name`.
    pub fn choices(&self, class: &str, input: &str) -> Option<&[String]> {
        self.node(class)?.input(input)?.choices()
    }
}

/// One node class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Inputs by name.
    #[serde(default)]
    pub input: NodeInputs,
    /// Types of its output slots.
    #[serde(default, deserialize_with = "type_names")]
    pub output: Vec<String>,
    /// Name people see.
    #[serde(default)]
    pub display_name: String,
    /// Whether running it produces a result.
    #[serde(default)]
    pub output_node: bool,
    /// Where it comes from: `nodes`, `comfy_extras.…` or `custom_nodes.…`.
    #[serde(default)]
    pub python_module: String,
    /// Whether it calls a paid service.
    #[serde(default)]
    pub api_node: bool,
    /// Whether it is deprecated.
    #[serde(default)]
    pub deprecated: bool,
}

impl NodeInfo {
    /// One input, required or optional.
    pub fn input(&self, name: &str) -> Option<&InputSpec> {
        self.input.required.get(name).or_else(|| self.input.optional.get(name))
    }
}

/// Inputs of a class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeInputs {
    /// Those a graph must give.
    #[serde(default)]
    pub required: IndexMap<String, InputSpec>,
    /// Those a graph may give.
    #[serde(default)]
    pub optional: IndexMap<String, InputSpec>,
}

/// One input of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputSpec {
    /// What it takes.
    pub kind: InputKind,
    /// Value used when a person does not choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Lower bound of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Upper bound of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
}

impl InputSpec {
    /// Its choices, when it is a choice.
    pub fn choices(&self) -> Option<&[String]> {
        match &self.kind {
            InputKind::Choice(choices) => Some(choices),
            InputKind::Type(_) => None,
        }
    }
}

/// What an input takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// One of these texts.
    Choice(Vec<String>),
    /// A value or link of this type: `INT`, `STRING`, `MODEL`, …
    Type(String),
}

impl<'de> Deserialize<'de> for InputSpec {
    /// Accepts the server's arrays and this type's own serialised form, so that it can be stored.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_object() {
            #[derive(Deserialize)]
            struct Own {
                kind: InputKind,
                #[serde(default)]
                default: Option<Value>,
                #[serde(default)]
                min: Option<Value>,
                #[serde(default)]
                max: Option<Value>,
            }
            let own: Own = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
            return Ok(Self { kind: own.kind, default: own.default, min: own.min, max: own.max });
        }
        let options = value.get(1);
        let option = |name: &str| options.and_then(|o| o.get(name)).filter(|v| !v.is_null()).cloned();
        let kind = match value.get(0) {
            Some(Value::Array(choices)) => InputKind::Choice(choice_names(choices)),
            Some(Value::String(name)) => match options.and_then(|o| o.get("options")).and_then(Value::as_array) {
                Some(choices) if name == "COMBO" => InputKind::Choice(choice_names(choices)),
                _ => InputKind::Type(name.clone()),
            },
            // A bare string is seen under `hidden` and in some custom nodes.
            _ => InputKind::Type(value.as_str().unwrap_or("*").to_owned()),
        };
        Ok(Self { kind, default: option("default"), min: option("min"), max: option("max") })
    }
}

fn choice_names(choices: &[Value]) -> Vec<String> {
    choices.iter().map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned)).collect()
}

/// Output types are names, but a choice list stands there for combo outputs.
fn type_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let names = value.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(names.iter().map(|name| name.as_str().unwrap_or("COMBO").to_owned()).collect())
}
