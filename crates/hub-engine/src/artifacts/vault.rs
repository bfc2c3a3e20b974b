//! Puts bytes into the object store and rows beside them.
//!
//! Keys are content hashes, so writing the same bytes twice changes nothing and a retried write needs no
//! care. Bytes are stored before the row that names them: a crash leaves an unnamed object, never a row
//! without its file. Outputs are stored untouched, with all text chunks that ComfyUI wrote.

use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use hub_core::{
    artifact::{Artifact, ArtifactRole, MediaKind, object_key},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
    recipe::Recipe,
    request::{ImageSize, PixelBox},
};
use hub_store::{NewArtifact, Store};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    error::VaultError,
    input,
    lanes::Lanes,
    pixels,
    preview::PreviewCache,
    sniff::{Sniffed, decodable, sniff},
    unnamed::{Unnamed, UnnamedObjects},
};
use crate::{
    CrashPoint, crash,
    refusal::{input_image, storage},
};

/// From this size on hashing leaves the async threads, in bytes.
const HASH_INLINE_MAX_BYTES: usize = 256 * 1024;
/// Age up to which a given picture is left to itself when it is used again; far below the least that retention keeps.
const YOUNG: TimeDelta = TimeDelta::hours(1);
/// Pictures decoded at the same time: bounds memory, which is large per decode.
const DECODES_PARALLEL: usize = 4;

/// What belongs to an output besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputMeta<'a> {
    /// The job that made it.
    pub(crate) job: JobId,
    /// Node that wrote it.
    pub(crate) node: Option<&'a str>,
    /// Position among the job's outputs, from 0.
    pub(crate) position: u32,
    /// Seed it was made with.
    pub(crate) seed: Option<u64>,
    /// Written beside the file.
    pub(crate) recipe: &'a Recipe,
}

/// Stored files; cheap to clone.
#[derive(Clone)]
pub(crate) struct Vault {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) store: Store,
    pub(super) previews: Arc<PreviewCache>,
    pub(super) decodes: Arc<Semaphore>,
    pub(super) lanes: Lanes,
    pub(super) unnamed: UnnamedObjects,
}

impl Vault {
    /// Files in `objects`, rows in `store`.
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, store: Store) -> Self {
        Self {
            objects,
            store,
            previews: Arc::new(PreviewCache::default()),
            decodes: Arc::new(Semaphore::new(DECODES_PARALLEL)),
            lanes: Lanes::default(),
            unnamed: UnnamedObjects::default(),
        }
    }

    /// Where the bytes lie.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// Stores an output's bytes and its recipe. The row is the caller's to write, with the job's end; what is answered
    /// beside it is to be held until then.
    ///
    /// A recipe that cannot be written is logged, not fatal: the row has it too.
    pub(crate) async fn store_output(
        &self,
        bytes: Bytes,
        meta: OutputMeta<'_>,
    ) -> Result<(NewArtifact, Unnamed), VaultError> {
        let sniffed = sniff(&bytes);
        let size_bytes = bytes.len() as u64;
        let sha256 = sha256_hex(bytes.clone()).await?;
        let beside = sidecar_key(&sha256, meta.job);
        let note = json!({ "job": meta.job, "node": meta.node, "position": meta.position, "recipe": meta.recipe });
        let key = object_key(&sha256, sniffed.extension);
        let unnamed = self.unnamed.note(&key);
        let stored = crash::around(CrashPoint::OutputObject, self.put(&key, bytes.clone()));
        let (stored, noted) = tokio::join!(stored, self.put(&beside, Bytes::from(note.to_string())),);
        stored?;
        if let Err(error) = noted {
            tracing::warn!(job = %meta.job, error = %error, "the recipe could not be written beside its picture");
        }
        self.previews.keep_original(&sha256, &sniffed, &bytes);
        let mut new = describe(&sniffed, sha256, size_bytes);
        new.seed = meta.seed;
        new.position = meta.position;
        new.node = meta.node.map(str::to_owned);
        Ok((new, unnamed))
    }

    /// Checks and stores a picture that a caller gave.
    ///
    /// # Errors
    /// `input_image` saying what is wrong with it; `storage`.
    pub(crate) async fn store_input(&self, bytes: Bytes) -> Result<Artifact, UserError> {
        self.take_in(bytes).await.map(|(artifact, _)| artifact)
    }

    /// A black picture of `size` with a white box, as a mask from the first: nobody ever picks it to work on.
    ///
    /// # Errors
    /// `storage`.
    pub(crate) async fn store_box_mask(&self, size: ImageSize, white: PixelBox) -> Result<Artifact, UserError> {
        let png = self.decoding(move || pixels::box_mask(size, white)).await?.map_err(|error| {
            tracing::error!(error = %error, "a mask cannot be encoded");
            UserError::new(ErrorCode::Internal, "The hub could not make the mask.")
        })?;
        let accepted = self.decoding(move || input::accept(&Bytes::from(png))).await??;
        self.keep_input(accepted, ArtifactRole::Mask).await
    }

    /// Has a given picture count as a mask from now on, which nobody wants to pick as a picture to work on, or as one to
    /// work on. A result stays one.
    ///
    /// # Errors
    /// `storage`.
    pub(crate) async fn mark(&self, picture: &Artifact, is_mask: bool) -> Result<(), UserError> {
        let role = if is_mask { ArtifactRole::Mask } else { ArtifactRole::Input };
        if picture.role == ArtifactRole::Output || picture.role == role {
            return Ok(());
        }
        self.store.input_set_mask(picture.id, is_mask).await.map_err(storage)
    }

    /// Whether a stored picture is wholly black.
    ///
    /// # Errors
    /// `unknown_image`; `input_image` when it is none; `storage`.
    pub(crate) async fn is_black(&self, id: ArtifactId) -> Result<bool, UserError> {
        let (artifact, bytes) = self.input(id).await?;
        let Some(format) = decodable(&artifact.mime) else { return Ok(false) };
        let black = self.decoding(move || pixels::decode(&bytes, format).map(|picture| pixels::is_black(&picture)));
        black.await?.map_err(|error| input_image(format!("The picture {id} is not accepted: {error}.")))
    }

    /// Checks and stores a picture that a caller gave. Answers what the caller should know about it, too.
    ///
    /// # Errors
    /// `input_image` saying what is wrong with it; `storage`.
    pub(crate) async fn take_in(&self, bytes: Bytes) -> Result<(Artifact, Vec<String>), UserError> {
        let accepted = self.decoding(move || input::accept(&bytes)).await??;
        let notes = accepted.notes.iter().map(|note| (*note).to_owned()).collect();
        self.keep_input(accepted, ArtifactRole::Input).await.map(|artifact| (artifact, notes))
    }

    /// The same bytes that were given before keep their row and what they count as.
    async fn keep_input(&self, accepted: input::Accepted, role: ArtifactRole) -> Result<Artifact, UserError> {
        let size_bytes = accepted.bytes.len() as u64;
        let sha256 = sha256_hex(accepted.bytes.clone()).await.map_err(VaultError::from)?;
        let key = object_key(&sha256, accepted.sniffed.extension);
        let _unnamed = self.unnamed.note(&key);
        crash::around(CrashPoint::InputObject, self.put(&key, accepted.bytes)).await?;
        // The same picture again, by a caller who repeats a call or uses it for several.
        if let Some(known) = self.store.artifact_find_input(&sha256).await.map_err(storage)?
            && self.keep_young(&known).await?
        {
            return Ok(known);
        }
        let new = describe(&accepted.sniffed, sha256, size_bytes);
        let insert = async {
            match role {
                ArtifactRole::Mask => self.store.artifact_insert_mask(&new).await,
                _ => self.store.artifact_insert_input(&new).await,
            }
        };
        crash::around(CrashPoint::InputRow, insert).await.map_err(storage)
    }

    /// Marks a given picture as used just now, so that retention, which goes by that, leaves it to the job that is
    /// about to be stored. False when it is gone already.
    ///
    /// # Errors
    /// `storage`.
    pub(crate) async fn keep_young(&self, artifact: &Artifact) -> Result<bool, UserError> {
        let now = self.store.clock().now();
        if artifact.role == ArtifactRole::Output || (now - artifact.created_at).abs() < YOUNG {
            return Ok(true);
        }
        self.store.input_used(artifact.id).await.map_err(storage)
    }

    /// The row of a stored file.
    ///
    /// # Errors
    /// `unknown_image`; `storage`.
    pub(crate) async fn artifact(&self, id: ArtifactId) -> Result<Artifact, UserError> {
        self.store
            .artifact_get(id)
            .await
            .map_err(storage)?
            .ok_or_else(|| UserError::new(ErrorCode::UnknownImage, format!("There is no stored picture {id}.")))
    }

    /// A stored picture with its bytes, to be sent to a server.
    ///
    /// # Errors
    /// `unknown_image`; `input_image` when it is a video or sound; `storage`.
    pub(crate) async fn input(&self, id: ArtifactId) -> Result<(Artifact, Bytes), UserError> {
        let artifact = self.artifact(id).await?;
        if artifact.kind != MediaKind::Image {
            return Err(input_image(format!("{id} is {}, not a picture.", artifact.mime)));
        }
        let bytes = self.bytes(&artifact).await?;
        Ok((artifact, bytes))
    }

    /// The bytes of a stored file, in one piece.
    pub(crate) async fn bytes(&self, artifact: &Artifact) -> Result<Bytes, VaultError> {
        self.get(&artifact.object_key()).await
    }

    /// Writes, reads and deletes a small object.
    pub(crate) async fn probe(&self) -> Result<(), VaultError> {
        let key = format!("probe/{}", ArtifactId::new());
        self.put(&key, Bytes::from_static(b"probe")).await?;
        self.get(&key).await?;
        self.objects.delete(&Path::from(key)).await?;
        Ok(())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Bytes, VaultError> {
        Ok(self.objects.get(&Path::from(key)).await?.bytes().await?)
    }

    pub(super) async fn put(&self, key: &str, bytes: Bytes) -> Result<(), VaultError> {
        let _writing = self.lanes.of(key).read().await;
        self.objects.put(&Path::from(key), PutPayload::from_bytes(bytes)).await?;
        Ok(())
    }

    /// Runs work on pixels off the async threads, a few at a time.
    pub(super) async fn decoding<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, VaultError> {
        let permit = self.decodes.clone().acquire_owned().await.expect("nobody closes this semaphore");
        Ok(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await?)
    }
}

fn describe(sniffed: &Sniffed, sha256: String, size_bytes: u64) -> NewArtifact {
    NewArtifact {
        id: ArtifactId::new(),
        kind: sniffed.kind,
        mime: sniffed.mime.to_owned(),
        extension: sniffed.extension.to_owned(),
        sha256,
        size_bytes,
        width_px: sniffed.width_px,
        height_px: sniffed.height_px,
        seed: None,
        position: 0,
        node: None,
    }
}

/// Key of the recipe beside a file: one file may be the output of several jobs.
pub(super) fn sidecar_key(sha256: &str, job: JobId) -> String {
    object_key(&format!("{sha256}.{job}"), "json")
}

async fn sha256_hex(bytes: Bytes) -> Result<String, tokio::task::JoinError> {
    if bytes.len() <= HASH_INLINE_MAX_BYTES {
        return Ok(hex(&bytes));
    }
    tokio::task::spawn_blocking(move || hex(&bytes)).await
}

fn hex(bytes: &[u8]) -> String {
    crate::submit::hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
