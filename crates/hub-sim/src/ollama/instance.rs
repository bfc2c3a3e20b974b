//! Makes an instance of a JSON Schema, with the request's own words in it.
//!
//! Understands what a language model's grammar does: types, properties, items, enums, constants, references,
//! combinations, and the limits of numbers, texts and arrays. Not understood and ignored: `pattern`, `not`, conditions.
//! Invariant: ends for every schema, also for those that contain themselves.

use serde_json::{Map, Value, json};

use super::answer::{Material, first_words};

/// What pictures hold beside their subject.
const ELEMENTS: [&str; 16] = [
    "place",
    "light",
    "weather",
    "companion",
    "colours",
    "time of day",
    "season",
    "foreground",
    "background",
    "movement",
    "material",
    "mood",
    "clothing",
    "plants",
    "lettering",
    "sky",
];
/// Ways in which such a thing may be.
const VARIATIONS: [&str; 10] = [
    "half hidden in mist",
    "lit from below",
    "worn by time",
    "freshly painted",
    "covered in snow",
    "glowing faintly",
    "mirrored in water",
    "caught by the wind",
    "made of glass",
    "in deep shadow",
];

/// Depth at which a schema that contains itself is cut off.
const MAX_DEPTH: usize = 24;
/// Most items made for one array, whatever `minItems` asks.
const MAX_ITEMS: u64 = 256;

/// An instance of `schema`.
pub(super) fn of_schema(schema: &Value, material: &Material) -> Value {
    Generator { root: schema, material }.value(schema, "", 0, 0)
}

struct Generator<'a> {
    root: &'a Value,
    material: &'a Material,
}

impl Generator<'_> {
    /// `name` is the property it is for, `index` its place in an array.
    fn value(&self, schema: &Value, name: &str, index: u64, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        if let Some(chosen) = schema.get("const").or_else(|| schema["enum"].as_array().and_then(|list| list.first())) {
            return chosen.clone();
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|path| self.root.pointer(path.trim_start_matches('#'))) {
            return self.value(target, name, index, depth + 1);
        }
        if let Some(choices) = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array()) {
            let choice = choices.iter().find(|choice| choice["type"] != "null").or(choices.first());
            return choice.map_or(Value::Null, |choice| self.value(choice, name, index, depth + 1));
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.value(&merged(schema, parts), name, index, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, index, depth),
            "array" => self.array(schema, name, depth),
            "integer" | "number" => number(schema),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => Value::String(self.text(schema, name, index)),
        }
    }

    /// Objects of one list differ by their place in it.
    fn object(&self, schema: &Value, index: u64, depth: usize) -> Value {
        let mut object = Map::new();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // Optional properties of deep schemas are what makes them endless.
            if depth * 2 > MAX_DEPTH && !required.contains(&name.as_str()) {
                continue;
            }
            object.insert(name.clone(), self.value(property, name, index, depth + 1));
        }
        for name in required {
            if !object.contains_key(name) {
                let extra = &schema["additionalProperties"];
                object.insert(name.to_owned(), self.value(extra, name, index, depth + 1));
            }
        }
        Value::Object(object)
    }

    /// At least one item where the schema allows it: an empty list is valid but of no use to anyone.
    fn array(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let most = schema["maxItems"].as_u64().unwrap_or(MAX_ITEMS).min(MAX_ITEMS);
        let fixed: Vec<&Value> = schema["prefixItems"].as_array().into_iter().flatten().collect();
        let least = schema["minItems"].as_u64().unwrap_or(0).max(1).max(fixed.len() as u64);
        let items = &schema["items"];
        let make = |index: u64| {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            let schema = fixed.get(place).copied().unwrap_or(items);
            // A list of choices without repetition goes through them in order.
            match schema["enum"].as_array().filter(|list| !list.is_empty()) {
                Some(list) => list[place % list.len()].clone(),
                None => self.value(schema, name, index, depth + 1),
            }
        };
        (0..least.min(most)).map(make).collect()
    }

    fn text(&self, schema: &Value, name: &str, index: u64) -> String {
        let name = name.to_lowercase();
        let mut repeats = index > 0;
        let mut listed = |list: &[&str]| {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            repeats = place >= list.len();
            list[place % list.len()].to_owned()
        };
        let mut text = match schema["format"].as_str() {
            Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
            Some("date") => "2026-01-01".to_owned(),
            Some("uri") => "https://example.com/".to_owned(),
            _ if name.starts_with("element") => listed(&ELEMENTS),
            _ if name.starts_with("variation") => listed(&VARIATIONS),
            _ if name.contains("negative") => self.material.negative.clone(),
            _ if ["title", "name", "subject", "label"].iter().any(|word| name.contains(word)) => {
                first_words(&self.material.subject, 6)
            }
            _ => self.material.main.clone(),
        };
        if repeats {
            text = format!("{text}, variation {}", index + 1);
        }
        let least = length(&schema["minLength"]).unwrap_or(0);
        while text.chars().count() < least {
            text.push_str(" and more");
        }
        match length(&schema["maxLength"]) {
            Some(most) => text.chars().take(most).collect(),
            None => text,
        }
    }
}

fn length(limit: &Value) -> Option<usize> {
    // Longer texts than this are not worth making.
    limit.as_u64().and_then(|limit| usize::try_from(limit.min(1 << 20)).ok())
}

/// The type, or what its keywords imply.
fn kind(schema: &Value) -> &str {
    let named = match &schema["type"] {
        Value::String(kind) => Some(kind.as_str()),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").or(Some("null")),
        _ => None,
    };
    named.unwrap_or(match schema {
        Value::Object(fields) if fields.contains_key("properties") => "object",
        Value::Object(fields) if fields.contains_key("items") || fields.contains_key("prefixItems") => "array",
        _ => "string",
    })
}

/// The least number allowed, or zero where zero is allowed.
fn number(schema: &Value) -> Value {
    let step = schema["multipleOf"].as_f64().filter(|step| *step > 0.0);
    let limit = |name: &str| schema[name].as_f64();
    let upper = limit("maximum").or(limit("exclusiveMaximum"));
    // Just above an open limit: the next step, the next whole number, or half-way to the other limit.
    let gap = |lower: f64| match (step, upper) {
        (Some(step), _) => step,
        (None, Some(upper)) if kind(schema) == "number" => (upper - lower) / 2.0,
        (None, _) => 1.0,
    };
    let least = limit("minimum").or(limit("exclusiveMinimum").map(|lower| lower + gap(lower)));
    let most = limit("maximum").or(limit("exclusiveMaximum").map(|upper| upper - step.unwrap_or(1.0)));
    let chosen = least.unwrap_or_else(|| most.map_or(0.0, |most| most.min(0.0)));
    let chosen = step.map_or(chosen, |step| (chosen / step).ceil() * step);
    if chosen.fract() == 0.0 && chosen.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return json!(chosen as i64);
    }
    json!(chosen)
}

fn merged(schema: &Value, parts: &[Value]) -> Value {
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.remove("allOf");
    for (key, value) in parts.iter().filter_map(Value::as_object).flatten() {
        match (whole.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.iter().cloned()),
            _ => {
                whole.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(schema: &Value) -> Value {
        let material = Material {
            subject: "a red fox".to_owned(),
            main: "a red fox, vivid".to_owned(),
            negative: "blurry".to_owned(),
        };
        of_schema(schema, &material)
    }

    #[test]
    fn every_keyword_is_honoured() {
        let schema = json!({
            "type": "object",
            "properties": {
                "positive": {"type": "string", "maxLength": 9},
                "negative_prompt": {"type": "string"},
                "title": {"type": ["null", "string"]},
                "score": {"type": "integer", "minimum": 1, "maximum": 10},
                "weight": {"type": "number", "exclusiveMinimum": 0.5, "multipleOf": 0.25},
                "open": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "ok": {"type": "boolean"},
                "style": {"enum": ["oil", "ink"]},
                "kind": {"const": "x"},
                "list": {"type": "array", "items": {"$ref": "#/$defs/word"}, "minItems": 3},
                "picks": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": true},
                "none": {"type": "array", "maxItems": 0},
                "either": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
                "both": {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
            },
            "required": ["positive", "unlisted"],
            "$defs": {"word": {"type": "string"}},
        });
        assert_eq!(
            of(&schema),
            json!({
                "positive": "a red fox", "negative_prompt": "blurry", "title": "a red fox", "score": 1, "weight": 0.75, "open": 0.5,
                "ok": true, "style": "oil", "kind": "x",
                "list": ["a red fox, vivid", "a red fox, vivid, variation 2", "a red fox, vivid, variation 3"],
                "picks": ["a", "b"], "none": [], "either": 0, "both": {"a": 1, "b": 2}, "unlisted": "a red fox, vivid",
            })
        );
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}, "also": {"$ref": "#"}}});
        assert!(of(&schema).is_object());
    }
}
