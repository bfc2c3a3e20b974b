//! Reads what callers send, as JSON or in the query, and tells what is wrong with it, by field.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use hub_core::{error::UserError, faults};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::error::WebError;

/// A JSON body of the shape `T`.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        refuse_other_types(request.headers())?;
        let bytes = Bytes::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// Query parameters of the shape `T`; unknown ones are refused as fields are.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let told = rejection.body_text();
                let told = told.rsplit_once("query string: ").map_or(told.as_str(), |(_, fault)| fault);
                // `limit: invalid digit found in string`: the parameter stands before the fault.
                let (path, fault) = told.split_once(": ").unwrap_or(("", told));
                let (path, fault) = if path.contains(' ') { ("", told) } else { (path, fault) };
                Err(WebError::User(faults::field(path, fault)))
            }
        }
    }
}

/// A body without type is taken for JSON: `curl -d` of older scripts names a form instead, which is
/// refused, since a form on a foreign page could send it.
pub(super) fn refuse_other_types(headers: &HeaderMap) -> Result<(), WebError> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let given = given.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if given == "application/json" || (given.starts_with("application/") && given.ends_with("+json")) {
        return Ok(());
    }
    let shown: String = given.chars().take(80).collect();
    Err(WebError::Request {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        detail: format!("The body is `{shown}`, but must be JSON."),
        hint: Some("Send the header `Content-Type: application/json`.".to_owned()),
    })
}

/// Parses a body.
///
/// # Errors
/// 400 when it is no JSON, 422 naming the field when it is other JSON than wanted.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WebError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() { WebError::User(faults::field(&path, &error.to_string())) } else { malformed(&error) }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(parsed)
}

/// Lays `patch` over `current` (JSON Merge Patch, RFC 7396: `null` removes, what is not named stays)
/// and parses the whole. Fields of `read_only` are told but not taken: they may be sent back.
///
/// # Errors
/// 422 naming the field.
pub(crate) fn patched<T: DeserializeOwned>(
    current: &impl Serialize,
    patch: &Map<String, Value>,
    read_only: &[&str],
) -> Result<T, UserError> {
    let mut whole = serde_json::to_value(current).unwrap_or_default();
    merge(&mut whole, &Value::Object(patch.clone()));
    let Value::Object(mut fields) = whole else { return Err(faults::field("", "the body must be an object")) };
    fields.retain(|name, _| !read_only.contains(&name.as_str()));
    parse_fields(fields)
}

/// Parses an object whose read-only fields are ignored, so that what was read can be written back.
///
/// # Errors
/// 422 naming the field.
pub(crate) fn parse_whole<T: DeserializeOwned>(
    mut fields: Map<String, Value>,
    read_only: &[&str],
) -> Result<T, UserError> {
    fields.retain(|name, _| !read_only.contains(&name.as_str()));
    parse_fields(fields)
}

fn parse_fields<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, UserError> {
    serde_path_to_error::deserialize(Value::Object(fields))
        .map_err(|error| faults::field(&error.path().to_string(), &error.inner().to_string()))
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        patch.clone_into(target);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in patch {
        if change.is_null() {
            fields.shift_remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

fn malformed(error: &serde_json::Error) -> WebError {
    WebError::request(StatusCode::BAD_REQUEST, format!("The body is not valid JSON: {error}."))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[expect(dead_code, reason = "only parsed")]
        name: String,
        #[expect(dead_code, reason = "only parsed")]
        #[serde(default)]
        mode: Option<hub_core::catalogue::Mode>,
        #[expect(dead_code, reason = "only parsed")]
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        #[expect(dead_code, reason = "only parsed")]
        width: u32,
    }

    fn fault(body: &str) -> UserError {
        match parse::<Shape>(body.as_bytes()) {
            Err(WebError::User(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fault_names_its_field_and_what_is_valid() {
        let unknown = fault(r#"{"name": "x", "nmae": 1}"#);
        assert_eq!(unknown.argument.as_deref(), Some("nmae"));
        assert_eq!(unknown.valid_values, ["name", "mode", "parts"]);
        assert_eq!(fault(r#"{"name": "x", "mod": 1}"#).hint.as_deref(), Some("Did you mean `mode`?"));
        assert_eq!(fault("{}").argument.as_deref(), Some("name"));
        let variant = fault(r#"{"name": "x", "mode": "upscael"}"#);
        assert_eq!(variant.argument.as_deref(), Some("mode"));
        assert!(variant.valid_values.contains(&"upscale".to_owned()), "{variant:?}");
        assert_eq!(variant.hint.as_deref(), Some("Did you mean `upscale`?"));
    }

    #[test]
    fn a_fault_inside_names_the_way_to_it() {
        assert_eq!(fault(r#"{"name": "x", "parts": [{"width": -1}]}"#).argument.as_deref(), Some("parts[0].width"));
        assert_eq!(fault(r#"{"name": "x", "parts": [{}]}"#).argument.as_deref(), Some("parts[0].width"));
        let unknown = fault(r#"{"name": "x", "parts": [{"width": 1}, {"widht": 1}]}"#);
        assert_eq!(unknown.argument.as_deref(), Some("parts[1].widht"));
    }

    #[test]
    fn what_is_no_json_is_a_bad_request() {
        for body in ["", "{", "nul", "{\"name\": \"x\"} trailing", "\u{0}"] {
            let error = parse::<Shape>(body.as_bytes()).expect_err(body);
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{body}");
        }
    }

    #[test]
    fn a_form_is_not_taken_for_json() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().expect("a value"))]);
        assert!(refuse_other_types(&with("application/json; charset=utf-8")).is_ok());
        assert!(refuse_other_types(&with("application/merge-patch+json")).is_ok());
        assert!(refuse_other_types(&HeaderMap::new()).is_ok());
        for foreign in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let error = refuse_other_types(&with(foreign)).expect_err(foreign);
            assert_eq!(error.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{foreign}");
        }
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name_and_null_removes() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        merge(&mut target, &json!({"a": {"b": null, "e": {"f": null, "g": 3}}, "d": [9]}));
        assert_eq!(target, json!({"a": {"c": 2, "e": {"g": 3}}, "d": [9]}));
    }
}
