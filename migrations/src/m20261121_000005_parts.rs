//! Jobs that are parts of others.

use sea_orm_migration::prelude::*;

/// Adds `jobs.part_of` and `jobs.part`.
pub(crate) struct Parts;

impl MigrationName for Parts {
    fn name(&self) -> &'static str {
        "m20261121_000005_parts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Parts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Written out: SQLite takes a foreign key with a new column, but not afterwards.
        let part_of = ColumnDef::new("part_of").uuid().extra("REFERENCES jobs (id) ON DELETE CASCADE").to_owned();
        for column in [part_of, ColumnDef::new("part").integer().to_owned()] {
            manager.alter_table(Table::alter().table("jobs").add_column(column).take()).await?;
        }
        let index = Index::create()
            .name("jobs_part")
            .table("jobs")
            .col("part_of")
            .col("part")
            .unique()
            .and_where(Expr::col("part_of").is_not_null())
            .take();
        manager.create_index(index).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
