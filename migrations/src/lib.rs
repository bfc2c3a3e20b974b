//! The schema's history, for SQLite and PostgreSQL alike.
//!
//! Forward only: a migration that has shipped is never edited and never undone; a change is a new
//! migration that the previous version of the hub can still run on (expand first, contract a version
//! later). Each runs in one transaction on both databases, so a crash leaves the schema either before
//! or after it. This crate holds no queries on data; those live in `hub-store`.
//!
//! Conventions: ids are UUIDs; times are 64-bit milliseconds since 1970 in UTC, so that they compare
//! the same everywhere; structured values are JSON in text columns; a unique index over a column that
//! people name is called `{table}_{column}_key`, which `hub-store` relies on.

use sea_orm_migration::{
    SchemaManager,
    prelude::{DbErr, MigrationTrait, MigratorTrait},
    sea_orm::{DatabaseConnection, EntityTrait, QueryOrder},
    seaql_migrations,
};

mod m20261121_000001_initial;
mod m20261121_000002_server_reach;
mod m20261121_000003_placement;
mod m20261121_000004_1_job_lists;
mod m20261121_000004_parent;
mod m20261121_000005_parts;
mod m20261121_000006_gpu;
mod m20261121_000007_access;
mod m20261121_000008_counts;
mod m20261122_000001_showcases;
mod m20261122_000002_trace;
mod m20261122_000003_model_loads;
mod m20261122_000004_given;

struct Migrator;

#[sea_orm_migration::async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_initial::Initial),
            Box::new(m20261121_000002_server_reach::ServerReach),
            Box::new(m20261121_000003_placement::Placement),
            Box::new(m20261121_000004_parent::Parent),
            Box::new(m20261121_000004_1_job_lists::JobLists),
            Box::new(m20261121_000005_parts::Parts),
            Box::new(m20261121_000006_gpu::Gpu),
            Box::new(m20261121_000007_access::AccessTables),
            Box::new(m20261121_000008_counts::Counts),
            Box::new(m20261122_000001_showcases::Showcases),
            Box::new(m20261122_000002_trace::Trace),
            Box::new(m20261122_000003_model_loads::ModelLoads),
            Box::new(m20261122_000004_given::Given),
        ]
    }
}

/// Names of all migrations that this program knows, oldest first.
pub fn known() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

/// Names of the migrations that the database has had, oldest first; none for an empty database. Writes
/// nothing.
///
/// # Errors
/// When the database cannot be read.
pub async fn applied(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if !SchemaManager::new(db).has_table("seaql_migrations").await? {
        return Ok(Vec::new());
    }
    let rows = seaql_migrations::Entity::find().order_by_asc(seaql_migrations::Column::Version).all(db).await?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

/// Applies what is missing, each migration in its own transaction.
///
/// # Errors
/// When a migration fails (it then left no trace), or the database has had one that is not known.
pub async fn up(db: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(db, None).await
}

/// Applies the next `steps` migrations only: for tests of databases as they once were.
///
/// # Errors
/// As [`up`].
pub async fn up_by(db: &DatabaseConnection, steps: u32) -> Result<(), DbErr> {
    Migrator::up(db, Some(steps)).await
}
