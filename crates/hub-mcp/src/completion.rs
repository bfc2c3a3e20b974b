//! Completion of arguments: of prompts, and of the variables in resource templates.

use hub_core::{
    caller::Caller,
    catalogue::{Catalogue, Mode},
    request::AspectRatio,
};
use hub_store::{JobFilter, StoreError};
use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference},
};

use crate::hub::Hub;

/// So many of the newest pictures or jobs are offered.
const NEWEST_MAX: u32 = 50;

/// `completion/complete`: styles, render types, sizes, ids of pictures and jobs. What is not known has no
/// completions.
///
/// # Errors
/// -32603 when the store fails.
pub(crate) async fn complete(
    hub: &Hub,
    request: &CompleteRequestParams,
    caller: &Caller,
) -> Result<CompleteResult, ErrorData> {
    let candidates = candidates(hub, request, caller).await.map_err(|error| {
        tracing::warn!(%error, "nothing can be completed");
        ErrorData::internal_error("The store failed.", None)
    })?;
    let typed = request.argument.value.to_lowercase();
    let mut found: Vec<String> = candidates.into_iter().filter(|name| name.to_lowercase().contains(&typed)).collect();
    // What begins as typed is likelier meant than what merely holds it; the sort keeps the order else.
    found.sort_by_key(|name| !name.to_lowercase().starts_with(&typed));
    let total = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let more = found.len() > CompletionInfo::MAX_VALUES;
    found.truncate(CompletionInfo::MAX_VALUES);
    CompletionInfo::with_pagination(found, Some(total), more)
        .map(CompleteResult::new)
        .map_err(|error| ErrorData::internal_error(error, None))
}

async fn candidates(hub: &Hub, request: &CompleteRequestParams, caller: &Caller) -> Result<Vec<String>, StoreError> {
    let catalogue = hub.catalogue();
    let argument = request.argument.name.as_str();
    let template = match &request.r#ref {
        Reference::Resource(reference) => Some(reference.uri.as_str()),
        _ => None,
    };
    match (template, argument) {
        (Some("genimage://styles/{name}"), "name") | (None, "style" | "styles") => Ok(styles(&catalogue)),
        (Some("genimage://render-types/{name}"), "name") => {
            let visible = Mode::ALL.into_iter().flat_map(|mode| catalogue.visible(mode));
            Ok(visible.map(|kind| kind.name.clone()).collect())
        }
        (Some("genimage://images/{id}" | "genimage://previews/{id}"), "id") | (None, "image") => {
            images(hub, caller).await
        }
        (Some("genimage://jobs/{id}" | "genimage://recipes/{id}"), "id") | (None, "job" | "job_id") => {
            jobs(hub, caller).await
        }
        (None, "render_type") => Ok(catalogue.visible(Mode::Generate).map(|kind| kind.name.clone()).collect()),
        (None, "size" | "aspect_ratio") => {
            let chosen = request.context.as_ref().and_then(|context| context.get_argument("render_type"));
            Ok(sizes(&catalogue, chosen.map(String::as_str)))
        }
        _ => Ok(Vec::new()),
    }
}

fn styles(catalogue: &Catalogue) -> Vec<String> {
    catalogue.enabled_styles().map(|style| style.name.clone()).collect()
}

/// Aspect ratios of the render type that was chosen before, else of any.
fn sizes(catalogue: &Catalogue, render_type: Option<&str>) -> Vec<String> {
    let offers = |ratio: &AspectRatio| {
        catalogue
            .visible(Mode::Generate)
            .filter(|kind| render_type.is_none_or(|chosen| kind.name == chosen))
            .any(|kind| kind.sizes.is_empty() || kind.sizes.contains_key(ratio))
    };
    AspectRatio::ALL.iter().filter(|ratio| offers(ratio)).map(ToString::to_string).collect()
}

async fn images(hub: &Hub, caller: &Caller) -> Result<Vec<String>, StoreError> {
    let (results, _) = hub.results(caller, NEWEST_MAX, None).await?;
    Ok(results.iter().map(|artifact| artifact.id.to_string()).collect())
}

async fn jobs(hub: &Hub, caller: &Caller) -> Result<Vec<String>, StoreError> {
    let filter = JobFilter { caller: hub.engine.sees_only(caller), ..JobFilter::default() };
    let page = hub.engine.store().job_list(&filter, None, NEWEST_MAX).await?;
    Ok(page.jobs.iter().map(|job| job.id.to_string()).collect())
}
