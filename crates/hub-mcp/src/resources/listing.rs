//! `resources/list`: overviews, pictures and recipes, then what the catalogue holds; in pages.

use std::{fmt, str::FromStr};

use hub_core::{
    artifact::Artifact,
    caller::Caller,
    catalogue::{Catalogue, Mode},
    job::{Job, JobStateKind},
};
use hub_store::{JobFilter, PageCursor, StoreError};
use rmcp::{
    ErrorData,
    model::{CacheScope, ListResourcesResult, Resource},
};
use serde_json::json;

use super::{JSON_MIME, address::Address};
use crate::{hub::Hub, listing::server_info_meta, result};

/// About as many resources are in one page.
const PAGE: usize = 50;
/// Most store reads for one page: inputs and descriptions fill rows, but are not listed.
const READS_MAX: usize = 4;
/// How long a client may keep the list, in milliseconds. New pictures are announced no more often.
const LIST_TTL_MS: u64 = 5_000;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Images(PageCursor),
    Recipes(Option<PageCursor>),
    /// So many render types and styles were listed.
    Catalogue(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("s"),
            Self::Images(cursor) => write!(f, "i{cursor}"),
            Self::Recipes(None) => f.write_str("r"),
            Self::Recipes(Some(cursor)) => write!(f, "r{cursor}"),
            Self::Catalogue(count) => write!(f, "c{count}"),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.get(1..).ok_or(())?;
        match (text.as_bytes().first(), rest) {
            (Some(b's'), "") => Ok(Self::Start),
            (Some(b'i'), cursor) => cursor.parse().map(Self::Images).map_err(drop),
            (Some(b'r'), "") => Ok(Self::Recipes(None)),
            (Some(b'r'), cursor) => cursor.parse().map(|cursor| Self::Recipes(Some(cursor))).map_err(drop),
            (Some(b'c'), count) => count.parse().map(Self::Catalogue).map_err(drop),
            _ => Err(()),
        }
    }
}

/// One page, and where the next one begins.
///
/// # Errors
/// -32602 for a cursor that was not given out here; -32603 when the store fails.
pub(crate) async fn list(hub: &Hub, cursor: Option<&str>, caller: &Caller) -> Result<ListResourcesResult, ErrorData> {
    let place = cursor.map_or(Ok(Place::Start), str::parse).map_err(|()| {
        ErrorData::invalid_params("This cursor was not given out here.", Some(json!({"cursor": cursor})))
    })?;
    let (resources, next) = page(hub, place, caller).await.map_err(|error| {
        tracing::warn!(%error, "resources cannot be listed");
        ErrorData::internal_error("The resources cannot be listed now.", None)
    })?;
    let mut result =
        ListResourcesResult::with_all_items(resources).with_ttl_ms(LIST_TTL_MS).with_cache_scope(CacheScope::Private);
    result.next_cursor = next.map(|place| place.to_string());
    result.meta = Some(server_info_meta());
    Ok(result)
}

async fn page(hub: &Hub, from: Place, caller: &Caller) -> Result<(Vec<Resource>, Option<Place>), StoreError> {
    let mut resources = Vec::new();
    let mut place = from;
    for _ in 0..READS_MAX {
        let next = match place {
            Place::Start => {
                resources.extend(overviews());
                images(hub, caller, None, &mut resources).await?
            }
            Place::Images(cursor) => images(hub, caller, Some(cursor), &mut resources).await?,
            Place::Recipes(cursor) => recipes(hub, caller, cursor, &mut resources).await?,
            Place::Catalogue(listed) => {
                let all = of_catalogue(&hub.catalogue());
                let room = PAGE.saturating_sub(resources.len()).max(1);
                resources.extend(all.iter().skip(listed).take(room).cloned());
                let next = (listed + room < all.len()).then_some(Place::Catalogue(listed + room));
                return Ok((resources, next));
            }
        };
        place = next;
        if resources.len() >= PAGE {
            break;
        }
    }
    Ok((resources, Some(place)))
}

async fn images(
    hub: &Hub,
    caller: &Caller,
    before: Option<PageCursor>,
    into: &mut Vec<Resource>,
) -> Result<Place, StoreError> {
    let (results, next) = hub.results(caller, rows(), before).await?;
    into.extend(results.iter().map(of_image));
    Ok(next.map_or(Place::Recipes(None), Place::Images))
}

async fn recipes(
    hub: &Hub,
    caller: &Caller,
    before: Option<PageCursor>,
    into: &mut Vec<Resource>,
) -> Result<Place, StoreError> {
    let caller = hub.engine.sees_only(caller);
    let filter = JobFilter { states: vec![JobStateKind::Succeeded], caller, ..JobFilter::default() };
    let page = hub.engine.store().job_list(&filter, before, rows()).await?;
    into.extend(page.jobs.iter().filter(|job| job.recipe.is_some()).map(of_recipe));
    Ok(page.next.map_or(Place::Catalogue(0), |cursor| Place::Recipes(Some(cursor))))
}

fn rows() -> u32 {
    u32::try_from(PAGE).unwrap_or(u32::MAX)
}

fn overviews() -> [Resource; 3] {
    let overview = |address: Address, name: &str, title: &str, text: &str| {
        Resource::new(address.to_string(), name).with_title(title).with_description(text).with_mime_type(JSON_MIME)
    };
    [
        overview(
            Address::Images,
            "images",
            "Newest pictures",
            "The newest pictures, with ids, sizes, seeds and links.",
        ),
        overview(Address::Styles, "styles", "Styles", "All styles, with the words they add to a prompt."),
        overview(
            Address::RenderTypes,
            "render-types",
            "Render types",
            "All render types, with sizes and prompt advice.",
        ),
    ]
}

fn of_image(artifact: &Artifact) -> Resource {
    let seed = artifact.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    let text = format!("{}x{}{seed}", artifact.width_px, artifact.height_px);
    result::link(artifact).with_description(text)
}

fn of_recipe(job: &Job) -> Resource {
    let prompt: String = job.request.prompt().unwrap_or_default().chars().take(120).collect();
    Resource::new(Address::Recipe(job.id).to_string(), format!("recipe of {}", job.id))
        .with_title(format!("Recipe: {}", job.request.tool()))
        .with_description(prompt)
        .with_mime_type(JSON_MIME)
}

fn of_catalogue(catalogue: &Catalogue) -> Vec<Resource> {
    let one = |address: Address, name: &str, title: String, text: &str| {
        Resource::new(address.to_string(), name).with_title(title).with_description(text).with_mime_type(JSON_MIME)
    };
    let render_types = Mode::ALL.into_iter().flat_map(|mode| catalogue.visible(mode)).map(|kind| {
        let title = format!("Render type: {}", kind.title);
        one(Address::RenderType(kind.name.clone()), &kind.name, title, &kind.description)
    });
    let styles = catalogue.enabled_styles().map(|style| {
        one(Address::Style(style.name.clone()), &style.name, format!("Style: {}", style.name), &style.description)
    });
    render_types.chain(styles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_round_trips_and_nonsense_is_refused() {
        let cursor: PageCursor = "1795000000123.0198a3c0000070008000000000000001".parse().expect("a cursor");
        for place in [
            Place::Start,
            Place::Images(cursor),
            Place::Recipes(None),
            Place::Recipes(Some(cursor)),
            Place::Catalogue(7),
        ] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for text in ["", "x", "i", "c", "c-1", "ré", "é", "i1", "s1"] {
            assert_eq!(text.parse::<Place>(), Err(()), "{text}");
        }
    }
}
