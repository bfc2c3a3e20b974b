//! Deletes the file of a row that is gone, with what was made from it.

use hub_core::artifact::Artifact;
use object_store::{ObjectStoreExt as _, path::Path};

use super::{Vault, VaultError};
use crate::refusal::storage;

impl Vault {
    /// Deletes a picture's file, its thumbnail and the recipe beside it. What is not there is no failure. Files that
    /// another row names by now, or is about to, stay.
    pub(crate) async fn discard(&self, artifact: &Artifact) -> Result<(), VaultError> {
        // Nobody writes it meanwhile. Whoever wrote the same bytes before is noted, or has written the row.
        let key = artifact.object_key();
        let _alone = self.lanes.of(&key).write().await;
        let shared = self.unnamed.holds(&key) || self.is_named(artifact).await;
        if !shared {
            self.previews.forget(&artifact.sha256);
        }
        let keys = if shared { Self::own_keys_of(artifact) } else { Self::keys_of(artifact) };
        for key in keys {
            match self.objects.delete(&Path::from(key)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether a row names the same bytes. Where nobody knows they stay, until they are found without a row.
    async fn is_named(&self, artifact: &Artifact) -> bool {
        match self.store.object_is_named(&artifact.sha256, &artifact.extension).await {
            Ok(named) => named,
            Err(error) => {
                storage(error);
                true
            }
        }
    }
}
