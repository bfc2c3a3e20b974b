//! Where the trace of a job's caller goes on.

use sea_orm_migration::prelude::*;

/// Adds `jobs.trace_parent`.
pub(crate) struct Trace;

impl MigrationName for Trace {
    fn name(&self) -> &'static str {
        "m20261122_000002_trace"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Trace {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut parent = ColumnDef::new("trace_parent");
        manager.alter_table(Table::alter().table("jobs").add_column(parent.text()).take()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
