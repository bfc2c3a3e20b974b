//! What all parts of the edge share.

use std::sync::Arc;

use hub_core::{
    artifact::{Artifact, ArtifactRole},
    caller::Caller,
    catalogue::Catalogue,
    error::UserError,
};
use hub_engine::{AnswerPolicy, Engine};
use hub_store::{JobFilter, PageCursor, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    config::McpConfig,
    listing::{Listing, ListingCache},
    resources::NewPictures,
};

/// The engine, the settings, the cached list of tools. One per edge, behind an [`Arc`].
pub(crate) struct Hub {
    pub(crate) engine: Engine,
    pub(crate) config: McpConfig,
    /// Cancelled when the hub shuts down. Calls that end for this reason leave their jobs alone.
    pub(crate) closing: CancellationToken,
    pub(crate) new_pictures: NewPictures,
    listing: ListingCache,
}

impl Hub {
    pub(crate) fn new(engine: Engine, config: McpConfig) -> Self {
        Self {
            engine,
            config,
            closing: CancellationToken::new(),
            new_pictures: NewPictures::default(),
            listing: ListingCache::default(),
        }
    }

    /// The tools that can work now.
    pub(crate) fn listing(&self) -> Arc<Listing> {
        self.listing.of(&self.engine.catalogue(), self.answers().wait_s)
    }

    /// How answers are bounded now.
    pub(crate) fn answers(&self) -> AnswerPolicy {
        self.engine.settings().answers
    }

    /// A page of the results that the caller sees, newest first, and where the next one begins.
    pub(crate) async fn results(
        &self,
        caller: &Caller,
        rows: u32,
        before: Option<PageCursor>,
    ) -> Result<(Vec<Artifact>, Option<PageCursor>), StoreError> {
        let store = self.engine.store();
        let Some(only) = self.engine.sees_only(caller) else {
            let mut page = store.artifact_list(rows, before).await?;
            page.artifacts.retain(|artifact| artifact.role == ArtifactRole::Output);
            return Ok((page.artifacts, page.next));
        };
        let filter = JobFilter { caller: Some(only), has_images: Some(true), ..JobFilter::default() };
        let page = store.job_list(&filter, before, rows).await?;
        let jobs: Vec<_> = page.jobs.iter().map(|job| job.id).collect();
        let mut of = store.artifacts_of_many(&jobs).await?;
        Ok((jobs.iter().filter_map(|job| of.remove(job)).flatten().collect(), page.next))
    }

    /// What callers can choose from now.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.engine.catalogue()
    }
}

/// Logs an error that is the hub's or a server's fault; a caller's own fault is only answered.
pub(crate) fn log_failure(what: &str, error: &UserError) {
    if error.code.is_callers() {
        tracing::debug!(code = %error.code, error = %error, "{what} refused");
    } else {
        tracing::info!(code = %error.code, error = %error, "{what} failed");
    }
}
