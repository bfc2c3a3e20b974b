//! Who may come in, and what was done by whom.

use sea_orm_migration::prelude::*;

/// Adds `admins`, `sessions`, `api_keys`, `artifact_owners` and `audit_log`.
pub(crate) struct AccessTables;

impl MigrationName for AccessTables {
    fn name(&self) -> &'static str {
        "m20261121_000007_access"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AccessTables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [admins(), sessions(), api_keys(), artifact_owners(), audit_log()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn required(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.not_null();
    column
}

/// People who run the hub. Of a password only its argon2 hash is kept.
fn admins() -> TableCreateStatement {
    Table::create()
        .table("admins")
        .col(required("id").uuid().primary_key())
        .col(required("name").text())
        .col(required("password").text())
        .col(required("created_at").big_integer())
        .col(required("updated_at").big_integer())
        .take()
}

/// Who is logged in. Of a token only its hash is kept.
fn sessions() -> TableCreateStatement {
    Table::create()
        .table("sessions")
        .col(required("token_hash").text().primary_key())
        .col(required("admin_id").uuid())
        .col(required("created_at").big_integer())
        .col(required("seen_at").big_integer())
        .foreign_key(
            ForeignKey::create()
                .name("sessions_admin")
                .from("sessions", "admin_id")
                .to("admins", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

/// Keys of programs. Of a key only its hash and its first characters are kept.
fn api_keys() -> TableCreateStatement {
    Table::create()
        .table("api_keys")
        .col(required("id").uuid().primary_key())
        .col(required("name").text())
        .col(required("prefix").text())
        .col(required("hash").text())
        .col(required("rights").text())
        .col(required("created_at").big_integer())
        .col(ColumnDef::new("expires_at").big_integer())
        .col(ColumnDef::new("last_used_at").big_integer())
        .col(ColumnDef::new("revoked_at").big_integer())
        .take()
}

/// Who gave an input picture; the same bytes may have been given by several.
fn artifact_owners() -> TableCreateStatement {
    Table::create()
        .table("artifact_owners")
        .col(required("artifact_id").uuid())
        .col(required("caller").text())
        .primary_key(Index::create().col("artifact_id").col("caller"))
        .foreign_key(
            ForeignKey::create()
                .name("artifact_owners_artifact")
                .from("artifact_owners", "artifact_id")
                .to("artifacts", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

/// What people and admins' keys did.
fn audit_log() -> TableCreateStatement {
    Table::create()
        .table("audit_log")
        .col(required("id").uuid().primary_key())
        .col(required("created_at").big_integer())
        .col(required("actor").text())
        .col(required("act").text())
        .col(ColumnDef::new("subject").text())
        .col(ColumnDef::new("address").text())
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let unique = |name: &'static str, table: &'static str, column: &'static str| {
        Index::create().name(name).table(table).col(column).unique().take()
    };
    vec![
        unique("admins_name_key", "admins", "name"),
        unique("api_keys_hash_key", "api_keys", "hash"),
        unique("api_keys_name_key", "api_keys", "name").and_where(Expr::col("revoked_at").is_null()).take(),
        Index::create().name("audit_log_created_at").table("audit_log").col("created_at").col("id").take(),
    ]
}
