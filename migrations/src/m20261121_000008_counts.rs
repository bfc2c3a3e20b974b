//! Counting jobs by state from an index alone.

use sea_orm_migration::prelude::*;

/// Has the index `jobs_state` hold `part_of` too: parts are not counted, and without it every job's row would
/// have to be looked at to tell.
pub(crate) struct Counts;

impl MigrationName for Counts {
    fn name(&self) -> &'static str {
        "m20261121_000008_counts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Counts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("jobs_state").table("jobs").to_owned()).await?;
        let index = Index::create()
            .name("jobs_state")
            .table("jobs")
            .col("state")
            .col("created_at")
            .col("id")
            .col("part_of")
            .take();
        manager.create_index(index).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
