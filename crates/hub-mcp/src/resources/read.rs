//! `resources/read`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hub_core::{
    artifact::Artifact,
    caller::Caller,
    catalogue::Mode,
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
};
use rmcp::{
    ErrorData,
    model::{CacheScope, ReadResourceResponse, ReadResourceResult, ResourceContents},
};
use serde_json::{Value, json};

use super::{JSON_MIME, address::Address};
use crate::{
    apps,
    delivery::Delivery,
    handler::FIXED_TTL_MS,
    hub::Hub,
    listing::{TTL_MS as CATALOGUE_TTL_MS, server_info_meta},
    result,
    tools::{render_type_record, style_record},
};

/// Most pictures in the list of the newest.
const NEWEST_MAX: u32 = 60;
/// Largest file sent as a resource, in bytes before base64.
const BLOB_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// What was read, and how long it holds, in milliseconds.
struct Read {
    contents: ResourceContents,
    ttl_ms: u64,
}

impl Read {
    fn json(uri: &str, value: &Value, ttl_ms: u64) -> Self {
        Self { contents: ResourceContents::text(value.to_string(), uri).with_mime_type(JSON_MIME), ttl_ms }
    }

    fn blob(uri: &str, bytes: &[u8], mime: &str, ttl_ms: u64) -> Self {
        Self { contents: ResourceContents::blob(STANDARD.encode(bytes), uri).with_mime_type(mime), ttl_ms }
    }
}

/// Reads one resource.
///
/// # Errors
/// Resource not found (with `data.uri`), a file too large to be sent this way, a failing store.
pub(crate) async fn read(hub: &Hub, uri: &str, delivery: &Delivery) -> Result<ReadResourceResponse, ErrorData> {
    let address = Address::parse(uri).ok_or_else(|| not_found(uri))?;
    let fault = |error: UserError| protocol_error(uri, &error);
    let read = match address {
        Address::Image(id) => image(hub, id, uri, delivery).await?,
        Address::Preview(id) => preview(hub, id, uri, delivery).await.map_err(fault)?,
        Address::Job(id) => job(hub, id, uri, delivery).await.map_err(fault)?,
        Address::Recipe(id) => recipe(hub, id, uri, delivery).await?,
        Address::Images => newest(hub, uri, delivery).await.map_err(fault)?,
        Address::Styles | Address::Style(_) | Address::RenderTypes | Address::RenderType(_) => {
            of_catalogue(hub, &address, uri).ok_or_else(|| not_found(uri))?
        }
        Address::View => Read { contents: apps::view(), ttl_ms: FIXED_TTL_MS },
    };
    let mut result =
        ReadResourceResult::new(vec![read.contents]).with_ttl_ms(read.ttl_ms).with_cache_scope(CacheScope::Private);
    result.meta = Some(server_info_meta());
    Ok(result.into())
}

/// Whether there is such a resource.
pub(crate) async fn exists(hub: &Hub, address: &Address, caller: &Caller) -> bool {
    let catalogue = hub.catalogue();
    match address {
        Address::Images | Address::Styles | Address::RenderTypes | Address::View => true,
        Address::Image(id) | Address::Preview(id) => hub.engine.artifact_for(caller, *id).await.is_ok(),
        Address::Job(id) | Address::Recipe(id) => {
            hub.engine.check_job(caller, *id).await.is_ok() && hub.engine.watch(*id).await.is_ok()
        }
        Address::Style(name) => catalogue.style(name).is_some(),
        Address::RenderType(name) => catalogue.render_type(name).is_some_and(|kind| kind.visible),
    }
}

/// The original bytes. Under an id they never change.
async fn image(hub: &Hub, id: ArtifactId, uri: &str, delivery: &Delivery) -> Result<Read, ErrorData> {
    let artifact = hub.engine.artifact_for(&delivery.caller, id).await.map_err(|error| protocol_error(uri, &error))?;
    if artifact.size_bytes > BLOB_MAX_BYTES {
        let url = delivery.url_of(&artifact);
        let message = format!(
            "{uri} has {} bytes; at most {BLOB_MAX_BYTES} are sent as a resource. Fetch it from {}.",
            artifact.size_bytes,
            url.as_deref().unwrap_or("the hub's /outputs/ path"),
        );
        return Err(ErrorData::invalid_params(message, Some(json!({"uri": uri, "url": url}))));
    }
    let bytes = hub.engine.artifact_bytes(&artifact).await.map_err(|error| protocol_error(uri, &error))?;
    Ok(Read::blob(uri, &bytes, &artifact.mime, FIXED_TTL_MS))
}

async fn preview(hub: &Hub, id: ArtifactId, uri: &str, delivery: &Delivery) -> Result<Read, UserError> {
    let artifact = hub.engine.artifact_for(&delivery.caller, id).await?;
    let small = hub.engine.thumbnail(&artifact).await?;
    Ok(Read::blob(uri, &small.bytes, &small.mime, FIXED_TTL_MS))
}

async fn job(hub: &Hub, id: JobId, uri: &str, delivery: &Delivery) -> Result<Read, UserError> {
    let view = hub.engine.view_for(&delivery.caller, id).await?;
    // What has ended stays as it is.
    let ttl_ms = if view.job.state.kind().is_terminal() { FIXED_TTL_MS } else { 0 };
    Ok(Read::json(uri, &result::job_record(&view, delivery), ttl_ms))
}

async fn recipe(hub: &Hub, id: JobId, uri: &str, delivery: &Delivery) -> Result<Read, ErrorData> {
    let view = hub.engine.view_for(&delivery.caller, id).await.map_err(|error| protocol_error(uri, &error))?;
    let job = &view.job;
    if job.recipe.is_none() && job.state.kind().is_terminal() {
        return Err(not_found(uri));
    }
    let value = json!({"job": id.to_string(), "tool": job.request.tool(), "asked": job.request, "recipe": job.recipe});
    let ttl_ms = if job.recipe.is_some() { FIXED_TTL_MS } else { 0 };
    Ok(Read::json(uri, &value, ttl_ms))
}

async fn newest(hub: &Hub, uri: &str, delivery: &Delivery) -> Result<Read, UserError> {
    let (results, _) = hub.results(&delivery.caller, NEWEST_MAX, None).await.map_err(|error| {
        tracing::warn!(%error, "pictures cannot be listed");
        UserError::new(ErrorCode::Storage, "The pictures cannot be listed now.")
    })?;
    let images: Vec<Value> = results.iter().map(|artifact| listed(artifact, delivery)).collect();
    Ok(Read::json(uri, &json!({"images": images}), 0))
}

fn listed(artifact: &Artifact, delivery: &Delivery) -> Value {
    let mut value = result::file(artifact, delivery);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("preview".to_owned(), json!(Address::Preview(artifact.id).to_string()));
        fields.insert("job".to_owned(), json!(artifact.job.map(|job| job.to_string())));
        fields.insert("created_at".to_owned(), json!(artifact.created_at.to_rfc3339()));
    }
    value
}

fn of_catalogue(hub: &Hub, address: &Address, uri: &str) -> Option<Read> {
    let catalogue = hub.catalogue();
    let value = match address {
        Address::Style(name) => style_record(catalogue.style(name)?),
        Address::RenderType(name) => render_type_record(catalogue.render_type(name).filter(|kind| kind.visible)?),
        Address::Styles => json!({"styles": catalogue.enabled_styles().map(style_record).collect::<Vec<_>>()}),
        _ => {
            let visible = Mode::ALL.into_iter().flat_map(|mode| catalogue.visible(mode));
            json!({"render_types": visible.map(render_type_record).collect::<Vec<_>>()})
        }
    };
    Some(Read::json(uri, &value, CATALOGUE_TTL_MS))
}

/// The error for a URI that leads nowhere.
pub(crate) fn not_found(uri: &str) -> ErrorData {
    let shown: String = uri.chars().take(200).collect();
    ErrorData::resource_not_found("Resource not found.", Some(json!({"uri": shown})))
}

fn protocol_error(uri: &str, error: &UserError) -> ErrorData {
    match error.code {
        ErrorCode::UnknownImage | ErrorCode::UnknownJob => not_found(uri),
        _ => ErrorData::internal_error(error.explain(), Some(result::error_record(error))),
    }
}
