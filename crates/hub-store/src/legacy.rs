//! Reading the database of the older system, MCP_GenImage: SQLite, written by SQLAlchemy, in any of its nine schemas
//! (<https://github.com/grokuku/MCP_GenImage>, `app/database/models.py` and `app/alembic/versions`).
//!
//! The file is only read, and not trusted: known tables and columns alone, a limit on rows, texts and numbers as JSON.

use std::{collections::BTreeMap, path::Path};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Map, Value};

use crate::{
    error::{Result, StoreError},
    snapshot::{connect_reading, one},
};

/// Rows of the history that are read, newest first; of other tables, all there may be.
pub const LEGACY_ROWS_MAX: u32 = 100_000;

/// Known tables with their known columns; later schemas renamed some.
const TABLES: [(&str, &[&str]); 12] = [
    (
        "render_types",
        &[
            "id",
            "name",
            "workflow_filename",
            "prompt_examples",
            "is_default",
            "is_visible",
            "generation_mode",
            "is_default_for_generation",
            "is_default_for_upscale",
        ],
    ),
    (
        "styles",
        &[
            "id",
            "name",
            "category",
            "prompt_template",
            "negative_prompt_template",
            "is_active",
            "is_default",
            "recommended_render_type_id",
            "default_render_type_id",
        ],
    ),
    ("style_render_type_association", &["style_id", "render_type_id"]),
    ("comfyui_instances", &["id", "name", "base_url", "is_active"]),
    ("comfyui_render_type_association", &["comfyui_instance_id", "render_type_id"]),
    ("ollama_instances", &["id", "name", "base_url", "is_active"]),
    (
        "description_settings",
        &[
            "ollama_instance_id",
            "model_name",
            "natural_prompt_template_en",
            "optimized_prompt_template_en",
            "natural_prompt_template_fr",
            "optimized_prompt_template_fr",
        ],
    ),
    (
        "prompt_generator_settings",
        &["subjects_to_propose", "elements_to_propose", "elements_to_select", "variations_to_propose"],
    ),
    ("prompt_generator_allowed_styles", &["style_id"]),
    ("settings", &["key", "value"]),
    (
        "generation_logs",
        &[
            "id",
            "timestamp",
            "positive_prompt",
            "negative_prompt",
            "render_type_name",
            "style_names",
            "aspect_ratio",
            "seed",
            "llm_enhanced",
            "image_filename",
            "duration_ms",
            "status",
            "error_message",
            "comfyui_instance_id",
        ],
    ),
    ("alembic_version", &["version_num"]),
];
/// Tables that every schema had; a file without them is something else.
const ALWAYS: [&str; 5] = ["render_types", "styles", "comfyui_instances", "settings", "generation_logs"];

/// Rows by table; each row by column. Tables and columns that its schema did not have are missing.
pub type LegacyRows = BTreeMap<&'static str, Vec<Map<String, Value>>>;

/// Reads everything that is known of such a file.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is damaged or something else.
pub async fn legacy_read(path: &Path) -> Result<LegacyRows> {
    let db = connect_reading(path).await?;
    let read = read(&db).await;
    db.close().await?;
    read.map_err(|error| match error {
        // A value that is neither text nor number, a column that is not what it should be.
        StoreError::Database(error) => StoreError::Corrupt { detail: error.to_string() },
        other => other,
    })
}

async fn read(db: &DatabaseConnection) -> Result<LegacyRows> {
    let found: String = one(db, "PRAGMA quick_check(1)").await?;
    if found != "ok" {
        return Err(StoreError::Corrupt { detail: found });
    }
    let mut tables = Vec::with_capacity(TABLES.len());
    for (table, known) in TABLES {
        let columns = columns(db, table).await?;
        if columns.is_empty() && ALWAYS.contains(&table) {
            let detail = format!("it is no database of MCP_GenImage: it has no table `{table}`");
            return Err(StoreError::Corrupt { detail });
        }
        tables.push((table, known, columns));
    }
    let mut rows = LegacyRows::new();
    for (table, known, columns) in tables.into_iter().filter(|(.., columns)| !columns.is_empty()) {
        let pairs: Vec<String> = known
            .iter()
            .filter(|column| columns.iter().any(|there| there == *column))
            .map(|column| format!("'{column}', \"{column}\""))
            .collect();
        let sql = format!(
            "SELECT json_object({}) AS told FROM \"{table}\" ORDER BY rowid DESC LIMIT {LEGACY_ROWS_MAX}",
            pairs.join(", ")
        );
        let mut of_table = Vec::new();
        for row in db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await? {
            let text: String = row.try_get("", "told")?;
            let value = serde_json::from_str(&text)
                .map_err(|error| StoreError::Corrupt { detail: format!("a row of `{table}`: {error}") })?;
            of_table.push(value);
        }
        of_table.reverse();
        rows.insert(table, of_table);
    }
    Ok(rows)
}

async fn columns(db: &DatabaseConnection, table: &'static str) -> Result<Vec<String>> {
    // Of tables alone: a view could hold anything.
    let sql = format!(
        "SELECT c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name = '{table}'"
    );
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    rows.iter().map(|row| Ok(row.try_get("", "name")?)).collect()
}
