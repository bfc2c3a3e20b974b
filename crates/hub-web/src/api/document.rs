//! The OpenAPI document: its frame, and what every operation has in common. The rest comes from the
//! handlers.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use utoipa::{
    Modify as _, OpenApi, PartialSchema as _, ToSchema as _,
    openapi::{
        Content, ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder, Schema,
        path::Operation,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::config::ImportModeBody;
use crate::{problem::Problem, router::App};

/// The document before any route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "GenImage Hub",
        description = "The JSON API of GenImage Hub. Faults are problem documents (RFC 9457) with a stable `code`. \
                       On a loopback address without any configured credential the API is open.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "jobs", description = "Submit, follow, list and cancel"),
        (name = "images", description = "Stored pictures"),
        (name = "servers", description = "ComfyUI servers"),
        (name = "workflows", description = "Graphs and their versions"),
        (name = "catalogue", description = "Render types and styles"),
        (name = "llm", description = "LLM servers and their roles"),
        (name = "access", description = "Keys, and what admins did"),
        (name = "hub", description = "The hub itself"),
    )
)]
struct Frame;

/// See [`Frame`].
pub(super) fn frame() -> Document {
    Frame::openapi()
}

/// Adds what every operation has in common: who may ask, and how any other fault is told.
pub(super) fn finished(mut document: Document) -> Document {
    Common.modify(&mut document);
    document
}

struct Common;

impl utoipa::Modify for Common {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        components.schemas.insert(Problem::name().into_owned(), Problem::schema());
        components.schemas.insert(ImportModeBody::name().into_owned(), ImportModeBody::schema());
        open_parts(&mut components.schemas);
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let header = ApiKeyValue::with_description("X-API-Key", "The same key in a header of its own");
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(header)));
        let schemes = ["bearer", "api_key"];
        let mut ways: Vec<SecurityRequirement> =
            schemes.map(|name| SecurityRequirement::new::<_, _, &str>(name, [])).into();
        ways.push(SecurityRequirement::default());
        document.security = Some(ways);
        let problem = ResponseBuilder::new()
            .description("Any other fault")
            .content("application/problem+json", problem_content())
            .build();
        for item in document.paths.paths.values_mut() {
            let operations: [&mut Option<Operation>; 5] =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.clone()));
            }
        }
    }
}

/// What is part of a larger schema must not refuse the other part's fields: `additionalProperties` of a part sees only
/// its own.
fn open_parts(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let of_all = |schema: &RefOr<Schema>| match schema {
        RefOr::T(Schema::AllOf(all)) => all.items.clone(),
        _ => Vec::new(),
    };
    let parts: Vec<RefOr<Schema>> = schemas.values().flat_map(of_all).collect();
    for part in parts {
        if let RefOr::Ref(part) = part
            && let Some((_, name)) = part.ref_location.rsplit_once('/')
            && let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name)
        {
            object.additional_properties = None;
        }
    }
}

fn problem_content() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build()
}

/// Tells this document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "hub", operation_id = "get_openapi",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object)))]
pub(crate) async fn show(State(app): State<App>) -> Response {
    let text = app.openapi.get_or_init(|| {
        let text = super::document().to_json().expect("the document has string keys and finite numbers");
        text.into()
    });
    ([(header::CONTENT_TYPE, "application/json")], text.clone()).into_response()
}
