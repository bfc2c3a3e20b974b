//! Stored files, as the edges see them.

use bytes::Bytes;
use hub_core::{artifact::Artifact, caller::Caller, error::UserError, ids::ArtifactId};

use super::Engine;
use crate::{Preview, PreviewBudget, callers, refusal::storage};

impl Engine {
    /// The row of a stored file.
    ///
    /// # Errors
    /// `unknown_image`; `storage`.
    pub async fn artifact(&self, id: ArtifactId) -> Result<Artifact, UserError> {
        self.ctx().vault.artifact(id).await
    }

    /// The bytes of a stored file, in one piece.
    ///
    /// # Errors
    /// `unknown_image` when the file is gone; `storage`.
    pub async fn artifact_bytes(&self, artifact: &Artifact) -> Result<Bytes, UserError> {
        Ok(self.ctx().vault.bytes(artifact).await?)
    }

    /// The picture within the budget, JPEG unless the original already fits. Cached in memory (bounded).
    ///
    /// # Errors
    /// `unknown_image` when the file is gone or is no picture; `storage`.
    pub async fn preview(&self, artifact: &Artifact, budget: PreviewBudget) -> Result<Preview, UserError> {
        self.ctx().vault.preview(artifact, budget).await
    }

    /// 384 px thumbnail, made off the hot path, cached in the object store.
    ///
    /// # Errors
    /// As [`Engine::preview`].
    pub async fn thumbnail(&self, artifact: &Artifact) -> Result<Preview, UserError> {
        self.ctx().vault.thumbnail(artifact).await
    }

    /// Stores a picture that `caller` uploads. Content is sniffed and decoded within limits.
    ///
    /// # Errors
    /// `input_image` saying what is wrong with it; `storage`.
    pub async fn store_input(&self, caller: &Caller, bytes: Bytes) -> Result<Artifact, UserError> {
        let artifact = self.ctx().vault.store_input(bytes).await?;
        callers::note_given(self.ctx(), caller, &artifact).await?;
        Ok(artifact)
    }

    /// Marks pictures to be kept by retention whatever their age, or no longer. Answers how many there are.
    ///
    /// # Errors
    /// `storage`.
    pub async fn artifacts_favour(&self, ids: &[ArtifactId], favourite: bool) -> Result<usize, UserError> {
        let mut found = 0;
        for id in ids {
            found += usize::from(self.store().artifact_set_favourite(*id, favourite).await.map_err(storage)?);
            self.background().inner().ended.forget_with(*id);
        }
        Ok(found)
    }
}
