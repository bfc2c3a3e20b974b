//! `/object_info`: which node classes a server has, and which values their inputs take.
//!
//! Choice lists come in two shapes, `[["a","b"],{…}]` and `["COMBO",{"options":["a","b"]}]`; both end as
//! [`InputKind::Choice`]. A full answer is megabytes large, so only what capability checks and the conversion
//! of saved workflows need is kept. Custom nodes describe themselves in odd ways: one class that cannot be
//! read is noted in [`ObjectInfo::odd`], and the rest is used.

mod input;

use std::fmt;

use indexmap::IndexMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::replaced::Replacement;

pub use input::{InputKind, InputSpec, NodeInputs, Variant, WidgetHints};

/// Node classes by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ObjectInfo {
    /// Classes by name.
    pub nodes: IndexMap<String, NodeInfo>,
    /// Names of classes whose description is no object, and which are therefore left out of `nodes`.
    #[serde(skip)]
    pub odd: Vec<String>,
    /// Classes that the server does not have and runs as others, by old class.
    #[serde(skip)]
    pub replaced: IndexMap<String, Replacement>,
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

impl<'de> Deserialize<'de> for ObjectInfo {
    /// Reads class by class, so that a full answer is never held twice and an odd class costs only itself.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Classes;

        impl<'de> Visitor<'de> for Classes {
            type Value = ObjectInfo;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("node classes by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ObjectInfo, A::Error> {
                let mut info = ObjectInfo::default();
                while let Some((class, value)) = map.next_entry::<String, Value>()? {
                    match NodeInfo::from_value(&value) {
                        Some(node) => {
                            info.nodes.insert(class, node);
                        }
                        None => info.odd.push(class),
                    }
                }
                Ok(info)
            }
        }

        deserializer.deserialize_map(Classes)
    }
}

/// One node class.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NodeInfo {
    /// Inputs by name.
    pub input: NodeInputs,
    /// Types of its output slots.
    pub output: Vec<String>,
    /// Name people see.
    pub display_name: String,
    /// Whether running it produces a result.
    pub output_node: bool,
    /// Where it comes from: `nodes`, `comfy_extras.…` or `custom_nodes.…`.
    pub python_module: String,
    /// Whether it calls a paid service.
    pub api_node: bool,
    /// Whether it is deprecated.
    pub deprecated: bool,
}

impl NodeInfo {
    /// One input, required or optional.
    pub fn input(&self, name: &str) -> Option<&InputSpec> {
        self.input.required.get(name).or_else(|| self.input.optional.get(name))
    }

    /// `None` when the description is no object; every other oddity becomes that part's default.
    fn from_value(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |key: &str| object.get(key).and_then(Value::as_bool).unwrap_or_default();
        let mut input = object.get("input").map(NodeInputs::from_value).unwrap_or_default();
        if let Some(order) = object.get("input_order") {
            input.sort_by(order);
        }
        Some(Self {
            input,
            output: object.get("output").map(type_names).unwrap_or_default(),
            display_name: text("display_name"),
            output_node: flag("output_node"),
            python_module: text("python_module"),
            api_node: flag("api_node"),
            deprecated: flag("deprecated"),
        })
    }
}

impl<'de> Deserialize<'de> for NodeInfo {
    /// Accepts the server's form and this type's own serialised form, so that it can be stored.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).ok_or_else(|| serde::de::Error::custom("a node class is described by an object"))
    }
}

/// Output types are names, but a choice list stands there for combo outputs.
fn type_names(value: &Value) -> Vec<String> {
    let names = value.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().map(|name| name.as_str().unwrap_or("COMBO").to_owned()).collect()
}
