//! Pictures that show what a style or a render type looks like.

use sea_orm_migration::prelude::*;

/// Adds `showcases`.
pub(crate) struct Showcases;

impl MigrationName for Showcases {
    fn name(&self) -> &'static str {
        "m20261122_000001_showcases"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Showcases {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let required = |name: &'static str| ColumnDef::new(name).not_null().take();
        // `subject` is the id of a style or of a render type; ids of the two never meet.
        let table = Table::create()
            .table("showcases")
            .col(required("job_id").uuid().primary_key())
            .col(required("subject").uuid())
            .col(required("look").text())
            .col(required("created_at").big_integer())
            .foreign_key(
                ForeignKey::create()
                    .name("showcases_job")
                    .from("showcases", "job_id")
                    .to("jobs", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index = Index::create().name("showcases_subject").table("showcases").col("subject").take();
        manager.create_index(index).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
