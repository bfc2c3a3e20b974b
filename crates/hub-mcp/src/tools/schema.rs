//! Input schemas, by hand: plain types, live choices, the limits that are enforced. Clients differ in
//! what they bear, so there is no `format`, no `null`, no union, and an object at the root.

use std::collections::BTreeSet;

use hub_core::{
    catalogue::{Catalogue, Mode, RenderType},
    limits,
    request::AspectRatio,
};
use serde_json::{Map, Value, json};

/// The properties of one tool's arguments.
pub(super) struct Schema {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

impl Schema {
    pub(super) fn new() -> Self {
        Self { properties: Map::new(), required: Vec::new() }
    }

    pub(super) fn with(mut self, name: &str, property: Value) -> Self {
        self.properties.insert(name.to_owned(), property);
        self
    }

    pub(super) fn with_required(mut self, name: &'static str, property: Value) -> Self {
        self.required.push(name);
        self.with(name, property)
    }

    /// What to avoid, styles, render type, seed, enhancement: what every picture tool takes.
    pub(super) fn with_picture_choices(self, catalogue: &Catalogue, mode: Mode) -> Self {
        // What means the same everywhere is explained once, where pictures begin.
        let negative = match mode {
            Mode::Generate => json!({"type": "string", "description": "What to avoid"}),
            _ => json!({"type": "string"}),
        };
        self.with("negative_prompt", negative)
            .with("styles", styles(catalogue, mode))
            .with("render_type", render_type(catalogue, mode))
            .with("seed", if mode == Mode::Generate { seed() } else { json!({"type": "integer"}) })
            .with("enhance", enhance(catalogue, mode))
    }

    /// Either an aspect ratio or both sides.
    pub(super) fn with_size(self, catalogue: &Catalogue, mode: Mode) -> Self {
        let (min, max) = sides(catalogue, mode);
        let side = json!({"type": "integer", "minimum": min, "maximum": max});
        let mut ratio = json!({"type": "string", "enum": aspect_ratios(catalogue, mode)});
        if mode == Mode::Generate {
            ratio["description"] = json!("Or width and height in px");
        }
        self.with("aspect_ratio", ratio).with("width", side.clone()).with("height", side)
    }

    /// How many pictures, for tools that may make several.
    pub(super) fn with_pictures(self, mode: Mode) -> Self {
        let mut property = json!({"type": "integer", "minimum": 1, "maximum": limits::PICTURES_MAX});
        if mode == Mode::Generate {
            property["description"] = json!("How many");
        }
        self.with("n", property)
    }

    /// A job to start from, and how to answer: what every tool that makes pictures takes.
    pub(super) fn with_answer_options(self, mode: Mode, wait_default_s: u32) -> Self {
        let with = if mode == Mode::Generate {
            self.with("from_job", json!({"type": "string", "description": "job_… to vary: what is not given is as there, with a new seed"}))
                .with("plan_only", json!({"type": "boolean", "description": "Tell the plan, make nothing"}))
                .with("inline", inline())
        } else {
            self.with("from_job", json!({"type": "string"}))
                .with("plan_only", json!({"type": "boolean"}))
                .with("inline", json!({"type": "string", "enum": INLINE}))
        };
        with.with_handle_options(mode == Mode::Generate, wait_default_s)
    }

    /// How long to wait for the answer, and the key under which a repeated call finds its job.
    pub(super) fn with_handle_options(self, explained: bool, wait_default_s: u32) -> Self {
        let (wait, key) = if explained {
            (wait_s(wait_default_s), json!({"type": "string", "description": "Same key, same job"}))
        } else {
            (json!({"type": "integer"}), json!({"type": "string"}))
        };
        self.with("wait_s", wait).with("idempotency_key", key)
    }

    pub(super) fn build(self) -> Map<String, Value> {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!("object"));
        schema.insert("properties".to_owned(), Value::Object(self.properties));
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), json!(self.required));
        }
        schema.insert("additionalProperties".to_owned(), json!(false));
        schema
    }
}

pub(super) fn prompt(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn seed() -> Value {
    json!({"type": "integer", "minimum": 0, "description": "Omit for a random one"})
}

/// A picture; its forms are explained once.
pub(super) fn image(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// How a picture can be named.
pub(super) const IMAGE_FORMS: &str = "img_… or job_… id, http(s) URL or data: URI";
/// How much of a picture can be in an answer.
pub(super) const INLINE: [&str; 3] = ["none", "preview", "full"];

pub(super) fn denoise() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": 1, "description": "How much may change"})
}

pub(super) fn job_id() -> Value {
    json!({"type": "string", "description": "job_… id from an earlier answer"})
}

fn wait_s(default: u32) -> Value {
    json!({"type": "integer", "maximum": limits::WAIT_MAX_S, "default": default, "description": "Seconds, then a job id is answered"})
}

pub(super) fn inline() -> Value {
    json!({"type": "string", "enum": INLINE, "default": "preview", "description": "Picture data in the answer"})
}

/// The names of all styles, in full in the first tool that takes them. The others refer to it, since every model
/// pays for the list in each conversation.
fn styles(catalogue: &Catalogue, mode: Mode) -> Value {
    let names: Vec<&str> = catalogue.enabled_styles().map(|style| style.name.as_str()).collect();
    let first = Mode::ALL.into_iter().find(|other| catalogue.visible(*other).next().is_some());
    if mode == Mode::Detail && first != Some(mode) {
        return json!({"type": "array", "items": {"type": "string"}});
    }
    if let Some(first) = first.filter(|first| *first != mode) {
        let description = format!("As in {}", first.tool());
        return json!({"type": "array", "items": {"type": "string"}, "description": description});
    }
    let defaults: Vec<&str> =
        catalogue.enabled_styles().filter(|style| style.is_default).map(|style| style.name.as_str()).collect();
    let description = if defaults.is_empty() {
        "Looks to apply".to_owned()
    } else {
        format!("Looks to apply; omitted: {}; []: none", defaults.join(", "))
    };
    // An empty enum would forbid everything, and some clients refuse the whole list for it.
    let items = if names.is_empty() { json!({"type": "string"}) } else { json!({"type": "string", "enum": names}) };
    json!({"type": "array", "items": items, "maxItems": limits::STYLES_MAX, "description": description})
}

fn render_type(catalogue: &Catalogue, mode: Mode) -> Value {
    let names: Vec<&str> = catalogue.visible(mode).map(|kind| kind.name.as_str()).collect();
    let mut property = match mode {
        Mode::Generate => json!({"type": "string", "enum": names, "description": "Model; see list_options"}),
        _ => json!({"type": "string", "enum": names}),
    };
    let default = catalogue.default_for(mode).filter(|kind| kind.visible);
    if let (Some(default), Some(property)) = (default, property.as_object_mut()) {
        property.insert("default".to_owned(), json!(default.name));
    }
    property
}

/// Only what generates is enhanced unless asked for.
fn enhance(catalogue: &Catalogue, mode: Mode) -> Value {
    if mode != Mode::Generate {
        return json!({"type": "boolean"});
    }
    let description = if catalogue.can_enhance { "Have an LLM enrich the prompt" } else { "No LLM is set up now" };
    json!({"type": "boolean", "default": catalogue.can_enhance, "description": description})
}

/// Ratios that some visible render type has a size for; all, where none has a table.
fn aspect_ratios(catalogue: &Catalogue, mode: Mode) -> Vec<&'static str> {
    let offered: BTreeSet<AspectRatio> =
        catalogue.visible(mode).flat_map(|kind: &RenderType| kind.sizes.keys().copied()).collect();
    AspectRatio::ALL
        .into_iter()
        .filter(|ratio| offered.is_empty() || offered.contains(ratio))
        .map(AspectRatio::as_str)
        .collect()
}

/// Smallest and largest side that some visible render type takes, within what is taken at all.
fn sides(catalogue: &Catalogue, mode: Mode) -> (u32, u32) {
    let min = catalogue.visible(mode).map(|kind| kind.limits.min_side_px).min();
    let max = catalogue.visible(mode).map(|kind| kind.limits.max_side_px).max();
    (
        min.unwrap_or(limits::SIDE_MIN_PX).max(limits::SIDE_MIN_PX),
        max.unwrap_or(limits::SIDE_MAX_PX).min(limits::SIDE_MAX_PX),
    )
}
