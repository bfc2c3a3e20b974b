//! Finding the pictures that callers gave among all that were made.

use sea_orm_migration::prelude::*;

/// Adds `artifacts_given`.
pub(crate) struct Given;

impl MigrationName for Given {
    fn name(&self) -> &'static str {
        "m20261122_000004_given"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Given {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::create()
            .name("artifacts_given")
            .table("artifacts")
            .col("created_at")
            .col("id")
            .and_where(Expr::col("job_id").is_null())
            .take();
        manager.create_index(index).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
