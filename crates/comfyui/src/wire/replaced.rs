//! `/node_replacements` (since 0.13): classes that a server no longer has, and which ones it runs for them.
//!
//! The server does it by itself for what is posted. A saved workflow has to be converted before, which needs
//! the inputs that the old class had. Reading never fails: what is misshapen is left out.

use indexmap::IndexMap;
use serde_json::Value;

/// How nodes of an old class are run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replacement {
    /// The class that runs them.
    pub class: String,
    /// Names of the old class's widgets, in order; `None` where the server does not tell.
    pub old_widgets: Option<Vec<String>>,
    /// Where the inputs of the new class come from; `None`: both have the same.
    pub inputs: Option<Vec<(String, NewInput)>>,
    /// Outputs that have another place: old and new. Others keep theirs.
    pub outputs: Vec<(usize, usize)>,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum NewInput {
    /// What the old node had at this input.
    Old(String),
    /// This value.
    Value(Value),
}

impl Replacement {
    /// By old class; of several for one class the first, as the server takes it.
    ///
    /// Takes the answer of `GET /node_replacements`.
    pub fn all(answer: &Value) -> IndexMap<String, Self> {
        let listed = answer.as_object().into_iter().flatten();
        listed.filter_map(|(class, ways)| Some((class.clone(), Self::read(ways.get(0)?)?))).collect()
    }

    fn read(way: &Value) -> Option<Self> {
        let list = |key: &str| way.get(key).and_then(Value::as_array);
        let input = |one: &Value| {
            let name = one.get("new_id")?.as_str()?.to_owned();
            let from = match (one.get("set_value"), one.get("old_id").and_then(Value::as_str)) {
                (Some(value), _) => NewInput::Value(value.clone()),
                (None, Some(old)) => NewInput::Old(old.to_owned()),
                (None, None) => return None,
            };
            Some((name, from))
        };
        let place = |one: &Value, key: &str| usize::try_from(one.get(key)?.as_u64()?).ok();
        let output = |one: &Value| Some((place(one, "old_idx")?, place(one, "new_idx")?));
        let names = |widgets: &Vec<Value>| widgets.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Some(Self {
            class: way.get("new_node_id")?.as_str()?.to_owned(),
            old_widgets: list("old_widget_ids").map(names),
            inputs: list("input_mapping").map(|inputs| inputs.iter().filter_map(input).collect()),
            outputs: list("output_mapping").into_iter().flatten().filter_map(output).collect(),
        })
    }
}
