//! Nodes of classes that the server runs as others: written as those, as far as their values can be told apart.
//!
//! A node that stays what it was is named later as one whose class is missing.

use serde_json::{Map, Value, json};

use crate::wire::{NewInput, ObjectInfo, Replacement};

/// The document with its replaced nodes; `None` when it has none.
pub(super) fn as_replaced(ui: &Value, info: &ObjectInfo) -> Option<Value> {
    if info.replaced.is_empty() {
        return None;
    }
    let mut document = ui.clone();
    let definitions = document.pointer("/definitions/subgraphs").and_then(Value::as_array).map_or(0, Vec::len);
    let mut any = replace_in(&mut document, info);
    for at in 0..definitions {
        let scope = document.pointer_mut(&format!("/definitions/subgraphs/{at}"));
        any |= scope.is_some_and(|scope| replace_in(scope, info));
    }
    any.then_some(document)
}

/// The nodes of one level, and the links that start at them.
fn replace_in(scope: &mut Value, info: &ObjectInfo) -> bool {
    let mut moved: Vec<(Value, &Replacement)> = Vec::new();
    for node in scope.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(class) = node.get("type").and_then(Value::as_str) else { continue };
        let way = info.replaced.get(class).filter(|way| !info.has_class(class) && info.has_class(&way.class));
        if let Some(way) = way
            && replace(node, way)
        {
            moved.push((node.get("id").cloned().unwrap_or_default(), way));
        }
    }
    for link in scope.get_mut("links").and_then(Value::as_array_mut).into_iter().flatten() {
        let origin = link.get(1).or_else(|| link.get("origin_id")).cloned().unwrap_or_default();
        let slot = link.get(2).or_else(|| link.get("origin_slot")).and_then(Value::as_u64);
        let Some((_, way)) = moved.iter().find(|(id, _)| *id == origin) else { continue };
        let Some((_, new)) = way.outputs.iter().find(|(old, _)| u64::try_from(*old).ok() == slot) else { continue };
        match link {
            Value::Array(parts) => parts[2] = json!(new),
            link => link["origin_slot"] = json!(new),
        }
    }
    !moved.is_empty()
}

/// Makes a node one of the class that runs it; false when its values cannot be told apart, and then it stays.
fn replace(node: &mut Value, way: &Replacement) -> bool {
    if let Some(inputs) = &way.inputs {
        let Some(values) = old_values(node, way, inputs) else { return false };
        let mut new_values = Map::new();
        let mut slots = Vec::new();
        for (name, from) in inputs {
            match from {
                NewInput::Value(value) => drop(new_values.insert(name.clone(), value.clone())),
                NewInput::Old(old) => {
                    let known = node.get("inputs").and_then(Value::as_array).into_iter().flatten();
                    if let Some(slot) = known.into_iter().find(|slot| slot["name"] == *old) {
                        let mut slot = slot.clone();
                        slot["name"] = json!(name);
                        slots.push(slot);
                    }
                    if let Some(value) = values.get(old) {
                        new_values.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        node["inputs"] = slots.into();
        node["widgets_values"] = new_values.into();
    }
    node["type"] = json!(way.class);
    true
}

/// The values of the old node's widgets, by name.
fn old_values(node: &Value, way: &Replacement, inputs: &[(String, NewInput)]) -> Option<Map<String, Value>> {
    let values = match node.get("widgets_values") {
        Some(Value::Object(named)) => return Some(named.clone()),
        Some(Value::Array(values)) => values.as_slice(),
        _ => &[],
    };
    let is_slot = |name: &str| {
        let slots = node.get("inputs").and_then(Value::as_array).into_iter().flatten();
        slots.filter(|slot| slot.get("widget").is_none()).any(|slot| slot["name"] == name)
    };
    let names: Vec<&str> = if let Some(names) = &way.old_widgets {
        names.iter().map(String::as_str).collect()
    } else {
        // The server does not tell: there is nothing to mix up where there are as many values as inputs for them.
        let old = inputs.iter().filter_map(|(_, from)| match from {
            NewInput::Old(old) => Some(old.as_str()),
            NewInput::Value(_) => None,
        });
        old.filter(|name| !is_slot(name)).collect()
    };
    let certain = names.len() == values.len() || (way.old_widgets.is_some() && names.len() >= values.len());
    certain.then(|| names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}
