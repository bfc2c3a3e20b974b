//! The first schema.

mod artifacts;
mod catalogue;
mod jobs;
mod servers;

use sea_orm_migration::prelude::*;

/// Creates every table of the first version.
pub(crate) struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &'static str {
        "m20261121_000001_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            servers::servers(),
            servers::llm_servers(),
            servers::llm_assignments(),
            catalogue::workflows(),
            catalogue::render_types(),
            catalogue::styles(),
            catalogue::settings(),
            jobs::jobs(),
            jobs::attempts(),
            artifacts::artifacts(),
        ] {
            manager.create_table(table).await?;
        }
        let indexes = [servers::indexes(), catalogue::indexes(), jobs::indexes(), artifacts::indexes()];
        for index in indexes.into_iter().flatten() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A table whose primary key is the UUID `id`.
fn table_with_id(name: &'static str) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name).col(ColumnDef::new("id").uuid().not_null().primary_key());
    table
}

fn required(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.not_null();
    column
}

fn optional(name: &'static str) -> ColumnDef {
    ColumnDef::new(name)
}

/// A plain index named after its table and purpose.
fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

/// A unique index; its name ends in `_{column}_key` where people name the column.
fn key(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = index(name, table, columns);
    index.unique();
    index
}
