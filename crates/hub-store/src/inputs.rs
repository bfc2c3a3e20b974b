//! Pictures that callers gave: which of them nothing needs any more.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use hub_core::{
    artifact::{Artifact, ArtifactRole},
    ids::ArtifactId,
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::Uuid, sea_query::Expr,
};

use crate::{
    decode::{Row, ms, name},
    entity::{artifact, job},
    error::Result,
    pool::Store,
};

/// Tools whose jobs work on no picture.
pub(crate) const WITHOUT_PICTURE: [&str; 2] = ["generate_image", "generate_prompt"];

impl Store {
    /// All stored pictures that any job works or worked on, as long as it is known. Reads the requests of all jobs
    /// with pictures: some 100 ms where there are 100 000.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn artifacts_worked_on(&self) -> Result<HashSet<ArtifactId>> {
        let mut rows = job::Entity::find()
            .select_only()
            .columns([job::Column::Id, job::Column::Request])
            .filter(job::Column::Tool.is_not_in(WITHOUT_PICTURE))
            .filter(job::Column::PartOf.is_null())
            .into_tuple::<(Uuid, String)>()
            .stream(self.reader())
            .await?;
        let mut found = HashSet::new();
        while let Some((id, request)) = rows.try_next().await? {
            found.extend(job::read_request(&Row::new("jobs", id), &request)?.works_on());
        }
        Ok(found)
    }

    /// The newest pictures that callers gave to work on, or as masks; newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn inputs_newest(&self, role: ArtifactRole, limit: u32) -> Result<Vec<Artifact>> {
        let rows = artifact::Entity::find()
            // As the index `artifacts_given` has it: inputs have no job.
            .filter(artifact::Column::JobId.is_null())
            .filter(artifact::Column::Role.eq(name("role", &role)?))
            .order_by_desc(artifact::Column::CreatedAt)
            .order_by_desc(artifact::Column::Id)
            .limit(u64::from(limit))
            .all(self.reader())
            .await?;
        rows.into_iter().map(Artifact::try_from).collect()
    }

    /// Pictures that callers gave before `before` and that are no favourites, oldest first, after `after`; at most
    /// `limit`.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn inputs_before(
        &self,
        before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, ArtifactId)>,
        limit: u32,
    ) -> Result<Vec<Artifact>> {
        // As the index `artifacts_given` has it.
        let mut query = artifact::Entity::find()
            .filter(artifact::Column::JobId.is_null())
            .filter(artifact::Column::CreatedAt.lt(ms(before)))
            .filter(artifact::Column::Favourite.eq(false));
        if let Some((at, id)) = after {
            let same =
                Condition::all().add(artifact::Column::CreatedAt.eq(ms(at))).add(artifact::Column::Id.gt(id.as_uuid()));
            query = query.filter(Condition::any().add(artifact::Column::CreatedAt.gt(ms(at))).add(same));
        }
        let rows = query
            .order_by_asc(artifact::Column::CreatedAt)
            .order_by_asc(artifact::Column::Id)
            .limit(u64::from(limit))
            .all(self.reader())
            .await?;
        rows.into_iter().map(Artifact::try_from).collect()
    }

    /// Has a given picture count as a mask, or as one to work on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn input_set_mask(&self, id: ArtifactId, is_mask: bool) -> Result<()> {
        let role = if is_mask { ArtifactRole::Mask } else { ArtifactRole::Input };
        artifact::Entity::update_many()
            .col_expr(artifact::Column::Role, Expr::value(name("role", &role)?))
            .filter(artifact::Column::Id.eq(id.as_uuid()))
            .filter(artifact::Column::JobId.is_null())
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Has a given picture count as given just now. False when it is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn input_used(&self, id: ArtifactId) -> Result<bool> {
        let updated = artifact::Entity::update_many()
            .col_expr(artifact::Column::CreatedAt, Expr::value(ms(self.clock().now())))
            .filter(artifact::Column::Id.eq(id.as_uuid()))
            .filter(artifact::Column::JobId.is_null())
            .exec(self.writer())
            .await?;
        Ok(updated.rows_affected > 0)
    }
}
