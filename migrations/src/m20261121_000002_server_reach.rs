//! Certificates that a server is trusted by, and what administrators say about servers and workflows.

use sea_orm_migration::prelude::*;

/// Adds `servers.ca` and the table `server_overrides`.
pub(crate) struct ServerReach;

impl MigrationName for ServerReach {
    fn name(&self) -> &'static str {
        "m20261121_000002_server_reach"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ServerReach {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut ca = ColumnDef::new("ca");
        manager.alter_table(Table::alter().table("servers").add_column(ca.text()).take()).await?;
        let overrides = Table::create()
            .table("server_overrides")
            .col(ColumnDef::new("server_id").uuid().not_null())
            .col(ColumnDef::new("workflow").text().not_null())
            .col(ColumnDef::new("compatible").boolean().not_null())
            .primary_key(Index::create().col("server_id").col("workflow"))
            .foreign_key(
                ForeignKey::create()
                    .name("server_overrides_server")
                    .from("server_overrides", "server_id")
                    .to("servers", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(overrides).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
