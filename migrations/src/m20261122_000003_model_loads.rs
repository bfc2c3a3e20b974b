//! Whether an attempt had its server load models.

use sea_orm_migration::prelude::*;

/// Adds `attempts.loaded`.
pub(crate) struct ModelLoads;

impl MigrationName for ModelLoads {
    fn name(&self) -> &'static str {
        "m20261122_000003_model_loads"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ModelLoads {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut loaded = ColumnDef::new("loaded");
        manager.alter_table(Table::alter().table("attempts").add_column(loaded.boolean()).take()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
