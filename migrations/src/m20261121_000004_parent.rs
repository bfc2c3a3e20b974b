//! Which job a job was made from.

use sea_orm_migration::prelude::*;

/// Adds `jobs.parent_id`.
pub(crate) struct Parent;

impl MigrationName for Parent {
    fn name(&self) -> &'static str {
        "m20261121_000004_parent"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Parent {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign key: a job outlives the one it was made from, and still says which that was.
        let mut parent = ColumnDef::new("parent_id");
        manager.alter_table(Table::alter().table("jobs").add_column(parent.uuid()).take()).await?;
        let of_parent = Index::create()
            .name("jobs_parent")
            .table("jobs")
            .col("parent_id")
            .col("created_at")
            .and_where(Expr::col("parent_id").is_not_null())
            .take();
        manager.create_index(of_parent).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
