//! The node catalogue (`/object_info`) and the model folders (`/models`).
//!
//! Owns which classes exist and which files the loaders list. The catalogue file holds placeholders (`"$vae"`) that
//! are replaced by the files of that folder when asked, because uploads and faults change the lists.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::config::{Models, Version};

/// The catalogue as written; placeholders unresolved.
const CATALOGUE: &str = include_str!("../../data/object_info.json");

/// Folder names in the order `/models` lists them.
const FOLDERS: [&str; 16] = [
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "hypernetworks",
    "photomaker",
];

/// Samplers that came after 0.3.64.
const LATER_SAMPLERS: [&str; 2] = ["exp_heun_2_x0", "exp_heun_2_x0_sde"];
/// Classes that came after 0.3.64.
const LATER_CLASSES: [&str; 2] = ["EmptyFlux2LatentImage", "Flux2Scheduler"];

/// One input of a class.
pub(crate) struct InputSpec {
    pub(crate) name: String,
    pub(crate) required: bool,
    /// `INT`, `IMAGE`, … or `COMBO`.
    pub(crate) kind: String,
    /// Options of a combo, unresolved.
    pub(crate) options: Option<Vec<Value>>,
    /// `[type, {..}]` as in `/object_info`.
    pub(crate) config: Value,
}

/// One class.
pub(crate) struct ClassSpec {
    pub(crate) inputs: Vec<InputSpec>,
    pub(crate) outputs: Vec<String>,
    pub(crate) is_output: bool,
    raw: Value,
}

/// All classes.
pub(crate) struct Catalogue {
    classes: HashMap<String, ClassSpec>,
    order: Vec<String>,
}

/// The files that can be listed at this moment.
pub(crate) struct Listing {
    pub(crate) models: Models,
    pub(crate) inputs: Vec<String>,
}

impl Catalogue {
    pub(crate) fn load(version: Version) -> Catalogue {
        let mut all: Map<String, Value> = serde_json::from_str(CATALOGUE).expect("the embedded catalogue is valid");
        if !version.after(0, 3, 64) {
            all.retain(|name, _| !LATER_CLASSES.contains(&name.as_str()));
            all.values_mut().for_each(forget_later_samplers);
        }
        let order = all.keys().cloned().collect();
        let classes = all.into_iter().map(|(name, raw)| (name, ClassSpec::read(raw))).collect();
        Catalogue { classes, order }
    }

    pub(crate) fn class(&self, name: &str) -> Option<&ClassSpec> {
        self.classes.get(name)
    }

    /// The answer of `/object_info` or `/object_info/{class}`.
    pub(crate) fn describe(&self, only: Option<&str>, listing: &Listing) -> Value {
        let mut out = Map::new();
        for name in self.order.iter().filter(|n| only.is_none_or(|o| o == n.as_str())) {
            if let Some(class) = self.classes.get(name) {
                let mut raw = class.raw.clone();
                listing.fill(&mut raw["input"]);
                out.insert(name.clone(), raw);
            }
        }
        Value::Object(out)
    }
}

impl ClassSpec {
    fn read(raw: Value) -> ClassSpec {
        let mut inputs = Vec::new();
        for (section, required) in [("required", true), ("optional", false)] {
            for (name, spec) in raw["input"][section].as_object().into_iter().flatten() {
                inputs.push(InputSpec::read(name, required, spec));
            }
        }
        let outputs = raw["output"]
            .as_array()
            .map(|l| l.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let is_output = raw["output_node"].as_bool().unwrap_or(false);
        ClassSpec { inputs, outputs, is_output, raw }
    }
}

impl InputSpec {
    fn read(name: &str, required: bool, spec: &Value) -> InputSpec {
        let head = &spec[0];
        let details = spec.get(1).cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let options = match head {
            Value::Array(list) => Some(list.clone()),
            Value::String(kind) if kind == "COMBO" => details["options"].as_array().cloned(),
            _ => None,
        };
        InputSpec {
            name: name.to_owned(),
            required,
            kind: head.as_str().unwrap_or("COMBO").to_owned(),
            options,
            config: Value::Array(vec![head.clone(), details]),
        }
    }
}

impl Listing {
    /// Replaces placeholders anywhere in the value.
    pub(crate) fn fill(&self, value: &mut Value) {
        match value {
            Value::Array(list) => {
                if let Some(folder) = placeholder(list) {
                    *list = self.files(folder).into_iter().map(Value::String).collect();
                } else {
                    for value in list {
                        self.fill(value);
                    }
                }
            }
            Value::Object(map) => map.values_mut().for_each(|v| self.fill(v)),
            _ => {}
        }
    }

    /// The options of a combo, resolved.
    pub(crate) fn options(&self, options: &[Value]) -> Vec<Value> {
        match placeholder(options) {
            Some(folder) => self.files(folder).into_iter().map(Value::String).collect(),
            None => options.to_vec(),
        }
    }

    fn files(&self, folder: &str) -> Vec<String> {
        if folder == "input" { self.inputs.clone() } else { self.models.folder(folder).to_vec() }
    }
}

fn forget_later_samplers(value: &mut Value) {
    match value {
        Value::Array(list) => {
            list.retain(|v| v.as_str().is_none_or(|s| !LATER_SAMPLERS.contains(&s)));
            list.iter_mut().for_each(forget_later_samplers);
        }
        Value::Object(map) => map.values_mut().for_each(forget_later_samplers),
        _ => {}
    }
}

fn placeholder(list: &[Value]) -> Option<&str> {
    match list {
        [Value::String(only)] => only.strip_prefix('$'),
        _ => None,
    }
}

/// What `/models` answers.
pub(crate) fn folders() -> &'static [&'static str] {
    &FOLDERS
}
