//! One input of a node class: what it takes, and how the editor shows it.
//!
//! The hints are what the conversion of saved workflows needs to know which value belongs to which input.
//! Reading never fails: what is missing or misshapen becomes a plain input of any type.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Inputs of a class, in the order in which the editor shows them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NodeInputs {
    /// Those a graph must give.
    pub required: IndexMap<String, InputSpec>,
    /// Those a graph may give.
    pub optional: IndexMap<String, InputSpec>,
}

impl NodeInputs {
    /// All inputs: first the required ones.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &InputSpec)> {
        self.required.iter().chain(&self.optional).map(|(name, spec)| (name.as_str(), spec))
    }

    pub(super) fn from_value(value: &Value) -> Self {
        let section = |key: &str| {
            let inputs = value.get(key).and_then(Value::as_object);
            inputs.into_iter().flatten().map(|(name, spec)| (name.clone(), InputSpec::from_value(spec))).collect()
        };
        Self { required: section("required"), optional: section("optional") }
    }

    /// Puts the inputs in the order a class declares beside them; what it does not name follows.
    pub(super) fn sort_by(&mut self, order: &Value) {
        for (key, section) in [("required", &mut self.required), ("optional", &mut self.optional)] {
            let names: Vec<&str> =
                order.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            let place = |name: &str| names.iter().position(|known| *known == name).unwrap_or(names.len());
            section.sort_by(|a, _, b, _| place(a).cmp(&place(b)));
        }
    }
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
    /// How the editor shows it.
    #[serde(skip_serializing_if = "WidgetHints::is_plain")]
    pub widget: WidgetHints,
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

/// How the editor shows an input; everything is off for most inputs.
#[expect(clippy::struct_excessive_bools, reason = "they are independent flags of the wire format")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WidgetHints {
    /// Only a link feeds it, whatever its type.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force_input: bool,
    /// No link can feed it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub socketless: bool,
    /// Whether a control like "randomize" follows it, where the class says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<bool>,
    /// Whether an upload button follows the inputs of its node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub upload: bool,
    /// Whether its text may hold comments and `{a|b}` alternatives.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dynamic_prompts: bool,
    /// The type of its widget, where it differs from what links carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// For a choice that brings further inputs with it: those, by choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// One choice of an input that brings further inputs with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// The choice.
    pub key: String,
    /// Its inputs; in a graph their names start with the name of the choosing input and a dot.
    pub inputs: NodeInputs,
}

impl<'de> Deserialize<'de> for Variant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).ok_or_else(|| serde::de::Error::custom("a choice has no key"))
    }
}

impl Variant {
    fn from_value(value: &Value) -> Option<Self> {
        let key = value.get("key")?;
        let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        Some(Self { key, inputs: value.get("inputs").map(NodeInputs::from_value).unwrap_or_default() })
    }
}

impl WidgetHints {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    fn from_options(options: &Map<String, Value>) -> Self {
        // A custom node may write a text or a number where a flag is meant; what Python takes as true is true.
        let truthy = |key: &str| match options.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(_) => true,
        };
        let control = options.get("control_after_generate").filter(|value| !value.is_null());
        let uploads = ["image_upload", "animated_image_upload", "video_upload", "audio_upload", "file_upload"];
        Self {
            force_input: truthy("forceInput"),
            socketless: truthy("socketless"),
            control: control.map(|_| truthy("control_after_generate")),
            upload: uploads.iter().any(|key| truthy(key)),
            dynamic_prompts: options.get("dynamicPrompts") == Some(&Value::Bool(true)),
            type_name: options.get("widgetType").and_then(Value::as_str).map(str::to_owned),
            variants: Vec::new(),
        }
    }
}

impl InputSpec {
    /// Its choices, when it is a choice.
    pub fn choices(&self) -> Option<&[String]> {
        match &self.kind {
            InputKind::Choice(choices) => Some(choices),
            InputKind::Type(_) => None,
        }
    }

    fn from_value(value: &Value) -> Self {
        if let Some(own) = value.as_object() {
            return Self::from_own(own);
        }
        let nothing = Map::new();
        let options = value.get(1).and_then(Value::as_object).unwrap_or(&nothing);
        let option = |name: &str| options.get(name).filter(|v| !v.is_null()).cloned();
        let mut widget = WidgetHints::from_options(options);
        let listed = options.get("options").and_then(Value::as_array);
        let kind = match (value.get(0), listed) {
            (Some(Value::Array(choices)), _) => InputKind::Choice(choice_names(choices)),
            (Some(Value::String(name)), Some(choices)) if name == "COMBO" => InputKind::Choice(choice_names(choices)),
            (Some(Value::String(name)), Some(choices)) if name == "COMFY_DYNAMICCOMBO_V3" => {
                widget.variants = choices.iter().filter_map(Variant::from_value).collect();
                InputKind::Type(name.clone())
            }
            (Some(Value::String(name)), _) => InputKind::Type(name.clone()),
            // A bare string is seen under `hidden` and in some custom nodes.
            _ => InputKind::Type(value.as_str().unwrap_or("*").to_owned()),
        };
        Self { kind, default: option("default"), min: option("min"), max: option("max"), widget }
    }

    /// This type's own serialised form.
    fn from_own(own: &Map<String, Value>) -> Self {
        let read = |key: &str| own.get(key).cloned();
        let kind = read("kind").and_then(|kind| serde_json::from_value(kind).ok());
        Self {
            kind: kind.unwrap_or_else(|| InputKind::Type("*".to_owned())),
            default: read("default"),
            min: read("min"),
            max: read("max"),
            widget: read("widget").and_then(|hints| serde_json::from_value(hints).ok()).unwrap_or_default(),
        }
    }
}

impl<'de> Deserialize<'de> for InputSpec {
    /// Accepts the server's arrays and this type's own serialised form, so that it can be stored.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_value(&Value::deserialize(deserializer)?))
    }
}

fn choice_names(choices: &[Value]) -> Vec<String> {
    choices.iter().map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned)).collect()
}
