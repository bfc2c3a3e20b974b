//! The list of tools, made once per version of the catalogue and answered from memory.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use hub_core::catalogue::Catalogue;
use rmcp::model::{CacheScope, Implementation, ListToolsResult, MetaObject, Tool};
use serde_json::json;

use crate::{
    apps,
    names::{SERVER_INFO_META_KEY, SERVER_NAME, SERVER_VERSION},
    tools,
};

/// How long a client may keep the list, in milliseconds: short, since servers come and go.
pub(crate) const TTL_MS: u64 = 10_000;

/// The tools of one version of the catalogue, in the forms in which they are answered.
#[derive(Debug)]
pub(crate) struct Listing {
    version: u64,
    wait_default_s: u32,
    /// For 2026-07-28.
    current: Shapes,
    /// For the revisions before.
    older: Shapes,
    /// `{"tools": […]}` as text, for plain JSON-RPC.
    pub(crate) plain: Bytes,
}

/// One list for clients that show pages of servers, and one for those that do not.
#[derive(Debug)]
struct Shapes {
    bare: ListToolsResult,
    with_view: ListToolsResult,
}

impl Shapes {
    fn of(bare: ListToolsResult) -> Self {
        let mut with_view = bare.clone();
        with_view.tools.iter_mut().for_each(apps::link);
        Self { bare, with_view }
    }
}

impl Listing {
    pub(crate) fn of(catalogue: &Catalogue, wait_default_s: u32) -> Self {
        let tools = tools::list(catalogue, wait_default_s);
        let plain = Bytes::from(json!({"tools": &tools}).to_string());
        let older = ListToolsResult::with_all_items(tools);
        let mut current = older.clone().with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Private);
        current.meta = Some(server_info_meta());
        Self {
            version: catalogue.version,
            wait_default_s,
            current: Shapes::of(current),
            older: Shapes::of(older),
            plain,
        }
    }

    /// The list as an MCP client gets it.
    pub(crate) fn answer(&self, current_era: bool, shows_views: bool) -> ListToolsResult {
        let shapes = if current_era { &self.current } else { &self.older };
        if shows_views { shapes.with_view.clone() } else { shapes.bare.clone() }
    }

    /// The tools themselves.
    pub(crate) fn tools(&self) -> &[Tool] {
        &self.older.bare.tools
    }
}

/// Who we are.
pub(crate) fn implementation() -> Implementation {
    Implementation::new(SERVER_NAME, SERVER_VERSION)
}

/// `_meta` that says who we are, as every result of 2026-07-28 should.
pub(crate) fn server_info_meta() -> MetaObject {
    let mut meta = MetaObject::new();
    meta.insert(SERVER_INFO_META_KEY.to_owned(), json!({"name": SERVER_NAME, "version": SERVER_VERSION}));
    meta
}

/// Holds the newest listing.
#[derive(Debug, Default)]
pub(crate) struct ListingCache(RwLock<Option<Arc<Listing>>>);

impl ListingCache {
    /// The listing of `catalogue`; made anew only when its version differs from the last one's.
    pub(crate) fn of(&self, catalogue: &Catalogue, wait_default_s: u32) -> Arc<Listing> {
        let fits = |held: &Arc<Listing>| held.version == catalogue.version && held.wait_default_s == wait_default_s;
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(held) = held.filter(fits) {
            return held;
        }
        let made = Arc::new(Listing::of(catalogue, wait_default_s));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_made_once_per_version() {
        let cache = ListingCache::default();
        let mut catalogue = Catalogue::default();
        let first = cache.of(&catalogue, 45);
        assert!(Arc::ptr_eq(&first, &cache.of(&catalogue, 45)));
        catalogue.version += 1;
        assert!(!Arc::ptr_eq(&first, &cache.of(&catalogue, 45)));
    }
}
