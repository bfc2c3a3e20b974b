//! Where a job is pinned to, and what was learned of run and load times.

use sea_orm_migration::prelude::*;

/// Adds `jobs.pinned_server_id`, `jobs.pinned_group` and the table `learned_times`.
pub(crate) struct Placement;

impl MigrationName for Placement {
    fn name(&self) -> &'static str {
        "m20261121_000003_placement"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Placement {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in
            [ColumnDef::new("pinned_server_id").uuid().to_owned(), ColumnDef::new("pinned_group").text().to_owned()]
        {
            manager.alter_table(Table::alter().table("jobs").add_column(column).take()).await?;
        }
        // What a row is about is the scheduler's business; servers that are gone leave theirs to be forgotten.
        let learned = Table::create()
            .table("learned_times")
            .col(ColumnDef::new("what").text().not_null())
            .col(ColumnDef::new("subject").text().not_null())
            .col(ColumnDef::new("server_id").uuid().not_null())
            .col(ColumnDef::new("value").double().not_null())
            .col(ColumnDef::new("samples").big_integer().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .primary_key(Index::create().col("what").col("subject").col("server_id"))
            .take();
        manager.create_table(learned).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
