//! Reads JSON bodies and tells what is wrong with them, by field.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use hub_core::error::{ErrorCode, UserError};
use serde::de::DeserializeOwned;

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

/// A body without type is taken for JSON: `curl -d` of older scripts names a form instead, which is
/// refused, since a form on a foreign page could send it.
fn refuse_other_types(headers: &HeaderMap) -> Result<(), WebError> {
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
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() { WebError::User(field_fault(&error.to_string())) } else { malformed(&error) }
    })
}

fn malformed(error: &serde_json::Error) -> WebError {
    WebError::request(StatusCode::BAD_REQUEST, format!("The body is not valid JSON: {error}."))
}

/// serde tells faults as text in which names stand between backticks: `unknown field `x`, expected
/// one of `a`, `b` at line 1 column 3`.
fn field_fault(told: &str) -> UserError {
    let told = told.rsplit_once(" at line ").map_or(told, |(sentence, _)| sentence);
    let mut names = told.split('`').skip(1).step_by(2).map(str::to_owned);
    let mut error = UserError::new(ErrorCode::BadArgument, format!("{}.", capitalise(told)));
    if told.starts_with("unknown field") || told.starts_with("missing field") {
        error.argument = names.next();
    }
    if told.starts_with("unknown field") || told.starts_with("unknown variant") {
        let skipped = usize::from(told.starts_with("unknown variant"));
        error.valid_values = names.skip(skipped).collect();
    }
    error
}

fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[expect(dead_code, reason = "only parsed")]
        name: String,
        #[expect(dead_code, reason = "only parsed")]
        #[serde(default)]
        mode: Option<hub_core::catalogue::Mode>,
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
        assert_eq!(unknown.valid_values, ["name", "mode"]);
        assert_eq!(fault("{}").argument.as_deref(), Some("name"));
        let variant = fault(r#"{"name": "x", "mode": "paint"}"#);
        assert!(variant.valid_values.contains(&"upscale".to_owned()), "{variant:?}");
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
}
