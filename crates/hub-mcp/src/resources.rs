//! Stored pictures as MCP resources.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hub_core::{
    artifact::{Artifact, ArtifactRole},
    error::{ErrorCode, UserError},
    ids::ArtifactId,
};
use rmcp::{
    ErrorData,
    model::{
        CacheScope, ListResourceTemplatesResult, ListResourcesResult, ReadResourceResponse, ReadResourceResult,
        Resource, ResourceContents, ResourceTemplate,
    },
};
use serde_json::json;

use crate::{
    delivery::Delivery, handler::FIXED_TTL_MS, hub::Hub, listing::server_info_meta, names::IMAGE_URI_PREFIX, result,
};

/// Most pictures listed: the newest ones. Others are read by their URI.
const LISTED_MAX: u32 = 50;
/// How long a client may keep the list, in milliseconds.
const LIST_TTL_MS: u64 = 5_000;
/// Largest file sent as a resource, in bytes before base64.
const BLOB_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// `resources/templates/list`.
pub(crate) fn templates() -> ListResourceTemplatesResult {
    let template = ResourceTemplate::new(format!("{IMAGE_URI_PREFIX}{{id}}"), "image")
        .with_title("A stored picture")
        .with_description("A picture by its id (img_…), as tool results name it.");
    let mut result = ListResourceTemplatesResult::with_all_items(vec![template])
        .with_ttl_ms(FIXED_TTL_MS)
        .with_cache_scope(CacheScope::Public);
    result.meta = Some(server_info_meta());
    result
}

/// `resources/list`: the newest results.
///
/// # Errors
/// -32603 when the store fails.
pub(crate) async fn list(hub: &Hub) -> Result<ListResourcesResult, ErrorData> {
    let newest = newest(hub).await.map_err(|error| {
        tracing::warn!(%error, "pictures cannot be listed");
        ErrorData::internal_error("The pictures cannot be listed now.", None)
    })?;
    let mut result = ListResourcesResult::with_all_items(newest.iter().map(describe).collect())
        .with_ttl_ms(LIST_TTL_MS)
        .with_cache_scope(CacheScope::Private);
    result.meta = Some(server_info_meta());
    Ok(result)
}

async fn newest(hub: &Hub) -> Result<Vec<Artifact>, hub_store::StoreError> {
    let page = hub.engine.store().artifact_list(LISTED_MAX, None).await?;
    Ok(page.artifacts.into_iter().filter(|artifact| artifact.role == ArtifactRole::Output).collect())
}

fn describe(artifact: &Artifact) -> Resource {
    let seed = artifact.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    let text = format!("{}x{}{seed}", artifact.width_px, artifact.height_px);
    result::link(artifact).with_description(text)
}

/// `resources/read`: the original bytes.
///
/// # Errors
/// Resource not found (with `data.uri`), a file too large to be sent this way, a failing store.
pub(crate) async fn read(hub: &Hub, uri: &str, delivery: &Delivery) -> Result<ReadResourceResponse, ErrorData> {
    let id = parse(uri).ok_or_else(|| not_found(uri))?;
    let artifact = hub.engine.artifact(id).await.map_err(|error| protocol_error(uri, &error))?;
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
    let contents = ResourceContents::blob(STANDARD.encode(&bytes), uri).with_mime_type(artifact.mime);
    // Bytes under an id never change.
    let mut result =
        ReadResourceResult::new(vec![contents]).with_ttl_ms(FIXED_TTL_MS).with_cache_scope(CacheScope::Private);
    result.meta = Some(server_info_meta());
    Ok(result.into())
}

fn parse(uri: &str) -> Option<ArtifactId> {
    uri.strip_prefix(IMAGE_URI_PREFIX)?.parse().ok()
}

fn not_found(uri: &str) -> ErrorData {
    let shown: String = uri.chars().take(200).collect();
    ErrorData::resource_not_found("Resource not found.", Some(json!({"uri": shown})))
}

fn protocol_error(uri: &str, error: &UserError) -> ErrorData {
    match error.code {
        ErrorCode::UnknownImage => not_found(uri),
        _ => ErrorData::internal_error(error.explain(), Some(result::error_record(error))),
    }
}
