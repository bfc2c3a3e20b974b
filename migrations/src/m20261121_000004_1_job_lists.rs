//! What lists of jobs are filtered by, each with an index that yields newest first.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend},
};

/// Adds `jobs.has_images` and `jobs.favourite`, the tables `job_prompts` and `job_styles`, and indexes; fills
/// them from what is there.
pub(crate) struct JobLists;

impl MigrationName for JobLists {
    fn name(&self) -> &'static str {
        "m20261121_000004_1_job_lists"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for JobLists {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["has_images", "favourite"] {
            let column = ColumnDef::new(name).boolean().not_null().default(false).to_owned();
            manager.alter_table(Table::alter().table("jobs").add_column(column).take()).await?;
        }
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        for mut table in [prompts(), styles()] {
            if sqlite {
                // Its rows then lie in the order of its key, and a search reads nothing else.
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let each_style = if sqlite {
            "SELECT jobs.id, each.value, jobs.created_at FROM jobs, json_each(jobs.recipe, '$.styles') AS each \
             WHERE jobs.recipe IS NOT NULL"
        } else {
            "SELECT jobs.id, each.value, jobs.created_at FROM jobs, \
             json_array_elements_text(jobs.recipe::json -> 'styles') AS each(value) WHERE jobs.recipe IS NOT NULL"
        };
        let fill_styles =
            format!("INSERT INTO job_styles (job_id, style, created_at) {each_style} ON CONFLICT DO NOTHING");
        for statement in [
            "INSERT INTO job_prompts (created_at, job_id, prompt) \
             SELECT created_at, id, lower(prompt) FROM jobs WHERE prompt IS NOT NULL",
            "UPDATE jobs SET has_images = TRUE WHERE id IN (SELECT job_id FROM artifacts WHERE kind = 'image')",
            "UPDATE jobs SET favourite = TRUE WHERE id IN (SELECT job_id FROM artifacts WHERE favourite)",
            fill_styles.as_str(),
        ] {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// What was asked, in lower case, apart from the wide rows of the jobs: a search reads all of it.
fn prompts() -> TableCreateStatement {
    Table::create()
        .table("job_prompts")
        .col(ColumnDef::new("created_at").big_integer().not_null())
        .col(ColumnDef::new("job_id").uuid().not_null())
        .col(ColumnDef::new("prompt").text().not_null())
        .primary_key(Index::create().name("job_prompts_created_job").col("created_at").col("job_id"))
        .foreign_key(&mut of_job("job_prompts"))
        .take()
}

/// The styles that were applied.
fn styles() -> TableCreateStatement {
    Table::create()
        .table("job_styles")
        .col(ColumnDef::new("job_id").uuid().not_null())
        .col(ColumnDef::new("style").text().not_null())
        .col(ColumnDef::new("created_at").big_integer().not_null())
        .primary_key(Index::create().name("job_styles_job_style").col("job_id").col("style"))
        .foreign_key(&mut of_job("job_styles"))
        .take()
}

fn of_job(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_job"))
        .from(table, "job_id")
        .to("jobs", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let newest_of = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.name(name).table(table);
        for column in columns {
            index.col(*column);
        }
        index
    };
    vec![
        newest_of("jobs_server", "jobs", &["server_id", "created_at", "id"]),
        newest_of("jobs_render_type", "jobs", &["render_type", "created_at", "id"]),
        newest_of("jobs_has_images", "jobs", &["has_images", "created_at", "id"]),
        newest_of("jobs_favourite", "jobs", &["favourite", "created_at", "id"]),
        newest_of("job_styles_style", "job_styles", &["style", "created_at", "job_id"]),
        // For the deletion of a job.
        newest_of("job_prompts_job", "job_prompts", &["job_id"]),
    ]
}
