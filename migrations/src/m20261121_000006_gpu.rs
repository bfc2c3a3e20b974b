//! Which ComfyUI servers and LLM servers share a GPU.

use sea_orm_migration::prelude::*;

/// Adds `servers.gpu` and `llm_servers.gpu`.
pub(crate) struct Gpu;

impl MigrationName for Gpu {
    fn name(&self) -> &'static str {
        "m20261121_000006_gpu"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Gpu {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["servers", "llm_servers"] {
            let mut gpu = ColumnDef::new("gpu");
            manager.alter_table(Table::alter().table(table).add_column(gpu.text()).take()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
