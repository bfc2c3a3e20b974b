//! What people do about what has piled up: delete pictures, see what would be forgotten, compare files and rows.

use std::collections::HashSet;

use hub_core::{
    error::UserError,
    ids::{ArtifactId, JobId},
};
use hub_store::FileDeletion;

use super::Engine;
use crate::{
    RetentionPlan, RetentionPolicy,
    reconcile::{FileCheck, orphans, retention},
    refusal::storage,
};

impl Engine {
    /// Deletes stored pictures with their files; their jobs stay. Favourites go only `with_favourites`. What a job
    /// that has not ended makes or works on stays. Ids of nothing are passed over.
    ///
    /// # Errors
    /// `storage`; then some may be deleted and some not.
    pub async fn artifacts_delete(&self, ids: &[ArtifactId], with_favourites: bool) -> Result<FileDeletion, UserError> {
        let outcome = self.store().artifacts_delete(ids, with_favourites).await.map_err(storage)?;
        let jobs: HashSet<JobId> = outcome.deleted.iter().filter_map(|artifact| artifact.job).collect();
        for job in jobs {
            self.background().inner().ended.forget(job);
        }
        retention::discard(self.ctx(), &outcome.unnamed).await;
        if !outcome.deleted.is_empty() {
            self.ctx().pictures_gone.send_modify(|count| *count += 1);
        }
        Ok(outcome)
    }

    /// What a policy would delete now; deletes nothing.
    ///
    /// # Errors
    /// `storage`.
    pub async fn retention_plan(&self, policy: RetentionPolicy) -> Result<RetentionPlan, UserError> {
        retention::plan(self.ctx(), policy).await
    }

    /// Compares the stored files with the rows that name them; changes nothing. Reads every folder.
    ///
    /// # Errors
    /// `storage`.
    pub async fn files_check(&self) -> Result<FileCheck, UserError> {
        orphans::check(self.ctx()).await
    }
}
