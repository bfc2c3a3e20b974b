//! Checks of one literal input: Python's conversions, ranges and lists.

use serde_json::{Number, Value, json};

use super::super::object_info::{InputSpec, Listing};
use super::super::pyjson;
use super::error;

/// Lists longer than this are not spelled out in errors.
const LONGEST_SHOWN_LIST: usize = 20;

/// Checks a literal. `Ok(Some)` is the coerced value to store; `own_check` skips range and list.
pub(super) fn check_value(
    input: &InputSpec,
    value: &Value,
    listing: &Listing,
    own_check: bool,
) -> Result<Option<Value>, Value> {
    let wrapped = value.get("__value__");
    let value = wrapped.unwrap_or(value);
    let coerced = match convert(&input.kind, value) {
        Ok(coerced) => coerced,
        Err(text) => {
            let message = format!("Failed to convert an input value to a {} value", input.kind);
            let details = format!("{}, {}, {text}", input.name, python_text(value));
            let extra = json!({"input_name": input.name, "input_config": config(input, listing), "received_value": value, "exception_message": text});
            return Err(error("invalid_input_type", &message, &details, &extra));
        }
    };
    if !own_check {
        check_range(input, &coerced, listing)?;
        check_list(input, &coerced, listing)?;
    }
    let changed = wrapped.is_some() || coerced != *value;
    Ok(changed.then_some(coerced))
}

fn check_range(input: &InputSpec, value: &Value, listing: &Listing) -> Result<(), Value> {
    let Some(number) = as_number(value) else { return Ok(()) };
    let bound = |name: &str| input.config[1].get(name).and_then(|b| Some((b, as_number(b)?)));
    let wrong = |kind: &str, message: String| {
        let extra = json!({"input_name": input.name, "input_config": config(input, listing), "received_value": value});
        error(kind, &message, &input.name, &extra)
    };
    if let Some((shown, min)) = bound("min")
        && number < min
    {
        let message = format!("Value {} smaller than min of {}", python_text(value), python_text(shown));
        return Err(wrong("value_smaller_than_min", message));
    }
    if let Some((shown, max)) = bound("max")
        && number > max
    {
        let message = format!("Value {} bigger than max of {}", python_text(value), python_text(shown));
        return Err(wrong("value_bigger_than_max", message));
    }
    Ok(())
}

fn check_list(input: &InputSpec, value: &Value, listing: &Listing) -> Result<(), Value> {
    let Some(options) = &input.options else { return Ok(()) };
    let options = listing.options(options);
    if options.contains(value) {
        return Ok(());
    }
    let long = options.len() > LONGEST_SHOWN_LIST;
    let shown = if long { format!("(list of length {})", options.len()) } else { repr(&Value::Array(options)) };
    let details = format!("{}: {} not in {shown}", input.name, repr(value));
    let config = if long { Value::Null } else { config(input, listing) };
    let extra = json!({"input_name": input.name, "input_config": config, "received_value": value});
    Err(error("value_not_in_list", "Value not in list", &details, &extra))
}

fn config(input: &InputSpec, listing: &Listing) -> Value {
    let mut config = input.config.clone();
    listing.fill(&mut config);
    config
}

/// Python's `int()`, `float()`, `str()` or `bool()` of the value, or the text of the exception.
fn convert(kind: &str, value: &Value) -> Result<Value, String> {
    match kind {
        "INT" => to_int(value),
        "FLOAT" => to_float(value),
        "STRING" => Ok(Value::String(value.as_str().map_or_else(|| python_text(value), str::to_owned))),
        "BOOLEAN" => Ok(Value::Bool(truth(value))),
        _ => Ok(value.clone()),
    }
}

fn to_int(value: &Value) -> Result<Value, String> {
    match value {
        Value::Number(n) if n.is_f64() => Ok(n.as_f64().map_or_else(|| value.clone(), int_of_float)),
        Value::Number(_) => Ok(value.clone()),
        Value::Bool(b) => Ok(json!(i64::from(*b))),
        Value::String(text) => match pyjson::token(text) {
            Some("NaN") => Err("cannot convert float NaN to integer".to_owned()),
            Some("Infinity" | "-Infinity") => Err("cannot convert float infinity to integer".to_owned()),
            Some(_) => Ok(value.clone()),
            None => parse_int(text).ok_or_else(|| format!("invalid literal for int() with base 10: {}", repr(value))),
        },
        other => Err(format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}'",
            type_name(other)
        )),
    }
}

fn parse_int(text: &str) -> Option<Value> {
    let text = text.trim();
    text.parse::<u64>().map(|n| json!(n)).or_else(|_| text.parse::<i64>().map(|n| json!(n))).ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range is checked first")]
fn int_of_float(number: f64) -> Value {
    let whole = number.trunc();
    if (0.0..18_446_744_073_709_551_616.0).contains(&whole) { json!(whole as u64) } else { json!(whole as i64) }
}

fn to_float(value: &Value) -> Result<Value, String> {
    match value {
        Value::Number(n) => Ok(n.as_f64().and_then(Number::from_f64).map_or_else(|| value.clone(), Value::Number)),
        Value::Bool(b) => Ok(json!(f64::from(u8::from(*b)))),
        Value::String(text) if pyjson::token(text).is_some() => Ok(value.clone()),
        Value::String(text) => text
            .trim()
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| format!("could not convert string to float: {}", repr(value))),
        other => Err(format!("float() argument must be a string or a real number, not '{}'", type_name(other))),
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(l) => !l.is_empty(),
        Value::Object(m) => !m.is_empty(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// A number for comparison; exact for all 64-bit integers.
#[derive(PartialEq, Clone, Copy)]
enum Amount {
    Whole(i128),
    Real(f64),
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Amount) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Amount::Whole(a), Amount::Whole(b)) => a.partial_cmp(b),
            (a, b) => a.real().partial_cmp(&b.real()),
        }
    }
}

impl Amount {
    fn real(self) -> f64 {
        match self {
            Amount::Whole(n) => n as f64,
            Amount::Real(x) => x,
        }
    }
}

fn as_number(value: &Value) -> Option<Amount> {
    match value {
        Value::Number(n) => n
            .as_u64()
            .map(|u| Amount::Whole(i128::from(u)))
            .or_else(|| n.as_i64().map(|i| Amount::Whole(i128::from(i))))
            .or_else(|| n.as_f64().map(Amount::Real)),
        Value::String(text) => pyjson::token(text)?.parse().ok().map(Amount::Whole),
        _ => None,
    }
}

/// Python's `str()`.
pub(super) fn python_text(value: &Value) -> String {
    match value {
        Value::String(text) => match pyjson::token(text) {
            Some("NaN") => "nan".to_owned(),
            Some("Infinity") => "inf".to_owned(),
            Some(token) => token.to_owned(),
            None => text.clone(),
        },
        other => repr(other),
    }
}

/// Python's `repr()`.
pub(super) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(n) => n.to_string(),
        Value::String(text) if pyjson::token(text).is_some() => python_text(value),
        Value::String(text) => {
            let text = text.replace('\\', "\\\\").replace('\n', "\\n");
            if text.contains('\'') && !text.contains('"') {
                format!("\"{text}\"")
            } else {
                format!("'{}'", text.replace('\'', "\\'"))
            }
        }
        Value::Array(list) => format!("[{}]", list.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(k, v)| format!("{}: {}", repr(&Value::String(k.clone())), repr(v))).collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}
