//! Artifacts: the rows of stored files. The bytes are the engine's business.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hub_core::{
    artifact::{Artifact, ArtifactRole, MediaKind},
    ids::{ArtifactId, JobId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    prelude::Uuid,
    sea_query::{Expr, Query},
};

use crate::{
    cursor::{PageCursor, after},
    decode::cut,
    entity::{artifact, job},
    error::Result,
    jobs::PAGE_MAX_ROWS,
    pool::Store,
    together::Change,
};

/// Rows per INSERT and ids per list in a WHERE: below the number of parameters that the databases
/// allow in one statement (32 766 and 65 535), at 15 columns per row.
pub(crate) const CHUNK: usize = 1000;

/// A file that has been put into the object store and is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// Its id.
    pub id: ArtifactId,
    /// Kind by content.
    pub kind: MediaKind,
    /// MIME type by content.
    pub mime: String,
    /// Extension without the dot.
    pub extension: String,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Width in pixels; 0 where the kind has none.
    pub width_px: u32,
    /// Height in pixels; 0 where the kind has none.
    pub height_px: u32,
    /// Seed of the job that made it.
    pub seed: Option<u64>,
    /// Position among the job's outputs, from 0.
    pub position: u32,
    /// Node of the workflow that wrote it.
    pub node: Option<String>,
}

impl NewArtifact {
    /// The artifact as it will be read again.
    pub(crate) fn stored(&self, role: ArtifactRole, job: Option<JobId>, at: DateTime<Utc>) -> Artifact {
        Artifact {
            id: self.id,
            job,
            role,
            kind: self.kind,
            mime: self.mime.clone(),
            extension: self.extension.clone(),
            sha256: self.sha256.clone(),
            size_bytes: self.size_bytes,
            width_px: self.width_px,
            height_px: self.height_px,
            seed: self.seed,
            position: self.position,
            node: self.node.clone(),
            favourite: false,
            created_at: cut(at),
        }
    }
}

/// One page of artifacts.
#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactPage {
    /// Newest first, results and inputs.
    pub artifacts: Vec<Artifact>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<PageCursor>,
}

impl Store {
    /// The artifact of that id.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn artifact_get(&self, id: ArtifactId) -> Result<Option<Artifact>> {
        artifact::Entity::find_by_id(id.as_uuid()).one(self.reader()).await?.map(Artifact::try_from).transpose()
    }

    /// The results of a job, by position.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn artifacts_of(&self, job: JobId) -> Result<Vec<Artifact>> {
        Ok(self.artifacts_of_many(&[job]).await?.remove(&job).unwrap_or_default())
    }

    /// The results of each of these jobs, by position; jobs without any are left out.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn artifacts_of_many(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, Vec<Artifact>>> {
        let mut of: BTreeMap<JobId, Vec<Artifact>> = BTreeMap::new();
        for chunk in jobs.chunks(CHUNK) {
            let rows = artifact::Entity::find()
                .filter(artifact::Column::JobId.is_in(chunk.iter().map(|job| job.as_uuid())))
                .order_by_asc(artifact::Column::JobId)
                .order_by_asc(artifact::Column::Position)
                .order_by_asc(artifact::Column::Id)
                .all(self.reader())
                .await?;
            for row in rows {
                let artifact = Artifact::try_from(row)?;
                if let Some(job) = artifact.job {
                    of.entry(job).or_default().push(artifact);
                }
            }
        }
        Ok(of)
    }

    /// Records a picture that a caller gave.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn artifact_insert_input(&self, new: &NewArtifact) -> Result<Artifact> {
        self.insert_given(new, ArtifactRole::Input).await
    }

    /// Records a mask that nobody has stored yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn artifact_insert_mask(&self, new: &NewArtifact) -> Result<Artifact> {
        self.insert_given(new, ArtifactRole::Mask).await
    }

    async fn insert_given(&self, new: &NewArtifact, role: ArtifactRole) -> Result<Artifact> {
        let artifact = new.stored(role, None, self.clock().now());
        for insert in insert_all(std::slice::from_ref(&artifact))? {
            self.writer().execute(&insert).await?;
        }
        Ok(artifact)
    }

    /// The newest picture that a caller gave with these bytes.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn artifact_find_input(&self, sha256: &str) -> Result<Option<Artifact>> {
        artifact::Entity::find()
            .filter(artifact::Column::Sha256.eq(sha256))
            .filter(artifact::Column::JobId.is_null())
            .order_by_desc(artifact::Column::CreatedAt)
            .one(self.reader())
            .await?
            .map(Artifact::try_from)
            .transpose()
    }

    /// Whether any row names this object.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn object_is_named(&self, sha256: &str, extension: &str) -> Result<bool> {
        let found = artifact::Entity::find()
            .select_only()
            .column(artifact::Column::Id)
            .filter(artifact::Column::Sha256.eq(sha256))
            .filter(artifact::Column::Extension.eq(extension))
            .limit(1)
            .into_tuple::<Uuid>()
            .one(self.writer())
            .await?;
        Ok(found.is_some())
    }

    /// All artifacts whose hash begins with these hexadecimal digits, in no order. With two digits that is
    /// one of the folders of the object store.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn artifacts_under(&self, digits: &str) -> Result<Vec<Artifact>> {
        // `g` follows the last digit.
        artifact::Entity::find()
            .filter(artifact::Column::Sha256.between(digits.to_owned(), format!("{digits}g")))
            .all(self.reader())
            .await?
            .into_iter()
            .map(Artifact::try_from)
            .collect()
    }

    /// One page of artifacts, newest first, after the cursor. `limit` is taken as 1–500.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn artifact_list(&self, limit: u32, before: Option<PageCursor>) -> Result<ArtifactPage> {
        let limit = limit.clamp(1, PAGE_MAX_ROWS);
        let mut query = artifact::Entity::find();
        if let Some(cursor) = before {
            query = query.filter(after(cursor, artifact::Column::CreatedAt, artifact::Column::Id));
        }
        let mut rows = query
            .order_by_desc(artifact::Column::CreatedAt)
            .order_by_desc(artifact::Column::Id)
            .limit(u64::from(limit) + 1)
            .all(self.reader())
            .await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().map(|row| PageCursor { created_at_ms: row.created_at, id: row.id });
        let artifacts = rows.into_iter().map(Artifact::try_from).collect::<Result<_>>()?;
        Ok(ArtifactPage { artifacts, next: last.filter(|_| more) })
    }

    /// Marks an artifact to be kept by retention whatever its age, or no longer. Answers whether it
    /// exists.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn artifact_set_favourite(&self, id: ArtifactId, favourite: bool) -> Result<bool> {
        let update = Query::update()
            .table(artifact::Entity)
            .value(artifact::Column::Favourite, favourite)
            .and_where(Expr::col(artifact::Column::Id).eq(id.as_uuid()))
            .returning(Query::returning().column(artifact::Column::JobId))
            .take();
        let tx = self.begin().await?;
        let Some(row) = tx.query_one(&update).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        if let Some(job) = row.try_get::<Option<Uuid>>("", "job_id")? {
            // The job's lists tell whether it has one. Its row is locked first, so that of two who mark
            // results of one job the later one counts what the earlier one did.
            job::Entity::find_by_id(job).lock_exclusive().one(&tx).await?;
            let others = artifact::Entity::find()
                .filter(artifact::Column::JobId.eq(job))
                .filter(artifact::Column::Favourite.eq(true))
                .count(&tx)
                .await?;
            let update = Query::update()
                .table(job::Entity)
                .value(job::Column::Favourite, others > 0)
                .and_where(Expr::col(job::Column::Id).eq(job))
                .take();
            tx.execute(&update).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Records artifacts, all columns as given.
pub(crate) fn insert_all(artifacts: &[Artifact]) -> Result<Vec<Change>> {
    let of_chunk = |chunk: &[Artifact]| {
        let rows = chunk
            .iter()
            .map(|artifact| Ok(artifact::Model::of(artifact)?.into_active_model().reset_all()))
            .collect::<Result<Vec<_>>>()?;
        Ok(artifact::Entity::insert_many(rows).into_query().into())
    };
    artifacts.chunks(CHUNK).map(of_chunk).collect()
}
