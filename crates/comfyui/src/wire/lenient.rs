//! JSON as Python writes it.
//!
//! Python's `json` emits `NaN`, `Infinity` and `-Infinity`, which are not JSON. The strict parser runs first;
//! only when it stumbles are those tokens (outside strings) replaced by `null` and the text parsed again.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

const TOKENS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// Parses JSON, tolerating Python's non-finite numbers.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| match sanitise(bytes) {
        Cow::Owned(clean) => serde_json::from_slice(&clean),
        Cow::Borrowed(_) => Err(error),
    })
}

/// Replaces non-finite number tokens outside strings by `null`; borrows when there are none.
pub(crate) fn sanitise(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let mut in_string = false;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if in_string {
            let step = if byte == b'\\' { 2.min(bytes.len() - at) } else { 1 };
            in_string = byte != b'"';
            if let Some(out) = &mut out {
                out.extend_from_slice(&bytes[at..at + step]);
            }
            at += step;
            continue;
        }
        if let Some(token) = TOKENS.iter().find(|token| bytes[at..].starts_with(token)) {
            out.get_or_insert_with(|| bytes[..at].to_vec()).extend_from_slice(b"null");
            at += token.len();
            continue;
        }
        in_string = byte == b'"';
        if let Some(out) = &mut out {
            out.push(byte);
        }
        at += 1;
    }
    out.map_or(Cow::Borrowed(bytes), Cow::Owned)
}

/// A count of bytes that some versions write as a float, and some as null.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u64),
        Float(f64),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Number>::deserialize(deserializer)? {
        Some(Number::Whole(value)) => Some(value),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be a sane positive number"
        )]
        Some(Number::Float(value)) if value.is_finite() && value >= 0.0 => Some(value as u64),
        Some(Number::Float(_) | Number::Other(_)) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn non_finite_numbers_become_null_outside_strings_only() {
        let text = br#"{"a": NaN, "b": [Infinity, -Infinity, -1], "NaN": "say \"NaN\" and \\", "c": NaN}"#;
        let value: Value = from_slice(text).unwrap();
        assert_eq!(value, json!({"a": null, "b": [null, null, -1], "NaN": "say \"NaN\" and \\", "c": null}));
    }

    #[test]
    fn clean_json_is_not_copied() {
        assert!(matches!(sanitise(br#"{"a":"NaN"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn broken_json_stays_an_error() {
        assert!(from_slice::<Value>(br#"{"a": NaN"#).is_err());
        assert!(from_slice::<Value>(b"\"abc\\").is_err());
    }
}
