//! Answers that several nouns share, and how the document tells them.

use std::{borrow::Cow, marker::PhantomData};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::etag;
use crate::problem::Problem;

/// 201 with the record and where it can be read again.
pub(crate) fn created(location: &str, version: Option<&str>, record: &impl Serialize) -> Response {
    let mut response = (StatusCode::CREATED, Json(record)).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    tag(&mut response, version);
    response
}

/// 200 with the record and its version.
pub(crate) fn versioned(version: &str, record: &impl Serialize) -> Response {
    let mut response = Json(record).into_response();
    tag(&mut response, Some(version));
    response
}

fn tag(response: &mut Response, version: Option<&str>) {
    if let Some(value) = version.and_then(etag::header_value) {
        response.headers_mut().insert(header::ETAG, value);
    }
}

/// The schema of a change (JSON Merge Patch) of a `T`: its fields, none of them required.
pub(crate) struct PatchOf<T>(PhantomData<T>);

impl<T: PartialSchema> PartialSchema for PatchOf<T> {
    fn schema() -> RefOr<Schema> {
        match T::schema() {
            RefOr::T(Schema::Object(mut object)) => {
                object.required.clear();
                object.description = Some("The fields to change; `null` sets one to its default.".to_owned());
                object.into()
            }
            other => other,
        }
    }
}

impl<T: ToSchema> ToSchema for PatchOf<T> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("{}Patch", T::name()))
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

/// Nothing of that id or name.
#[derive(IntoResponses)]
#[response(status = 404, description = "Nothing of that id or name", content_type = "application/problem+json")]
#[expect(dead_code, reason = "only the document has it")]
pub(crate) struct NotFound(Problem);

/// The body or a parameter is wrong.
#[derive(IntoResponses)]
#[response(
    status = 422,
    description = "A field or parameter is wrong: `argument` names it, `valid_values` and `hint` say what would do",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "only the document has it")]
pub(crate) struct Invalid(Problem);

/// It contradicts what is there.
#[derive(IntoResponses)]
#[response(
    status = 409,
    description = "It contradicts what is there, e.g. a name that another has",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "only the document has it")]
pub(crate) struct Conflict(Problem);

/// Somebody else was quicker.
#[derive(IntoResponses)]
#[response(
    status = 412,
    description = "It is not as `If-Match` says: somebody changed it; nothing was written",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "only the document has it")]
pub(crate) struct Changed(Problem);
