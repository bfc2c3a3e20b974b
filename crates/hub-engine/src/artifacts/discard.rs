//! Deletes the file of a row that is gone, with what was made from it.

use hub_core::artifact::{Artifact, object_key};
use object_store::{ObjectStoreExt as _, path::Path};

use super::{Vault, VaultError, preview::thumbnail_key};

impl Vault {
    /// Deletes a picture's file, its thumbnail and the recipe beside it. What is not there is no failure.
    pub(crate) async fn discard(&self, artifact: &Artifact) -> Result<(), VaultError> {
        let beside = artifact.job.map(|job| object_key(&format!("{}.{job}", artifact.sha256), "json"));
        for key in [artifact.object_key(), thumbnail_key(artifact)].into_iter().chain(beside) {
            match self.objects.delete(&Path::from(key)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
