//! Deletes the file of a row that is gone, with what was made from it.

use hub_core::artifact::Artifact;
use object_store::{ObjectStoreExt as _, path::Path};

use super::{Vault, VaultError};

impl Vault {
    /// Deletes a picture's file, its thumbnail and the recipe beside it. What is not there is no failure.
    pub(crate) async fn discard(&self, artifact: &Artifact) -> Result<(), VaultError> {
        self.previews.forget(&artifact.sha256);
        for key in Self::keys_of(artifact) {
            match self.objects.delete(&Path::from(key)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
