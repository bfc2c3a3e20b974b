//! The list of styles as a table.

use axum::{
    extract::{Request, State},
    response::Response,
};
use hub_core::{catalogue::Style, error::UserError};
use serde_json::{Map, Value};

use super::{
    super::{
        form::{Fault, refused, shown},
        see_other,
        table::{Import, Row, Table, yes_or_no},
    },
    ListQuery, page,
};
use crate::{
    attachment,
    audit::{about_import, nothing_done},
    error::WebError,
    router::App,
};

const TABLE: Table = Table {
    columns: &[
        "name",
        "prompt_template",
        "negative_template",
        "category",
        "description",
        "render_types",
        "preferred_render_type",
        "is_default",
        "enabled",
    ],
    needed: 2,
};
/// Between the names of several render types in one cell.
const LIST_SEPARATOR: char = ';';

/// All styles as a file.
pub(crate) async fn download(State(app): State<App>) -> Result<Response, WebError> {
    let table = write(&app.engine.catalogue().styles).map_err(|error| WebError::internal(&error))?;
    Ok(attachment::answer("styles.csv", "text/csv; charset=utf-8", table))
}

/// Shows what a table would change, or changes it.
pub(crate) async fn upload(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    match Import::of(&app, request, "styles", read).await? {
        Import::Done(report) => Ok(about_import(see_other("/styles?done=styles-imported"), &report)),
        Import::Shown(report) => {
            let mut page = page(&app, &ListQuery::default()).await?;
            page.report = Some(report);
            shown(&app, &page).map(nothing_done)
        }
        Import::Refused(error) => {
            let mut page = page(&app, &ListQuery::default()).await?;
            page.fault = Some(Fault::of(&error));
            refused(&app, &error, &page)
        }
    }
}

fn write(styles: &[Style]) -> Result<String, Box<dyn std::error::Error>> {
    TABLE.write(styles.iter().map(|style| {
        [
            style.name.clone(),
            style.prompt_template.clone(),
            style.negative_template.clone(),
            style.category.clone(),
            style.description.clone(),
            style.render_types.join(&LIST_SEPARATOR.to_string()),
            style.preferred_render_type.clone().unwrap_or_default(),
            yes_or_no(style.is_default),
            yes_or_no(style.enabled),
        ]
    }))
}

/// The rows as styles of a configuration file.
fn read(text: &str) -> Result<Vec<Value>, UserError> {
    TABLE.read(text)?.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<Value, UserError> {
    let mut entry = Map::new();
    for (column, cell) in row.cells() {
        let value = match column {
            "render_types" => cell.split(LIST_SEPARATOR).map(str::trim).filter(|name| !name.is_empty()).collect(),
            "is_default" | "enabled" => row.flag(column)?.into(),
            "name" | "category" | "preferred_render_type" => cell.trim().into(),
            _ => cell.into(),
        };
        entry.insert(column.to_owned(), value);
    }
    // Said by leaving the cell empty.
    entry.entry("prompt_template").or_insert_with(|| Value::from(""));
    Ok(entry.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same_styles() {
        let mut style = Style::new("a, \"quoted\" 🦊", "line\nbreak");
        style.prompt_template = "{prompt}, x; y\nz".to_owned();
        style.render_types = vec!["sdxl".to_owned(), "flux".to_owned()];
        style.enabled = false;
        let rows = read(&write(&[style.clone(), Style::new("plain", "x")]).unwrap()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["name"], "a, \"quoted\" 🦊");
        assert_eq!(rows[0]["prompt_template"], style.prompt_template);
        assert_eq!(rows[0]["render_types"], json!(["sdxl", "flux"]));
        assert_eq!((&rows[0]["enabled"], &rows[1]["enabled"]), (&json!(false), &json!(true)));
    }

    #[test]
    fn a_table_that_is_none_is_told_by_row_and_column() {
        for (table, said) in [
            ("name,prompt\na,b", "column `prompt`"),
            ("name\na", "no column `prompt_template`"),
            ("name,prompt_template\na,b,c", "a row has 3 cells where the head has 2"),
            ("name,prompt_template,enabled\na,b,perhaps", "Row 2: `perhaps` in `enabled`"),
        ] {
            let error = read(table).unwrap_err();
            assert!(error.message.contains(said), "{table}: {}", error.message);
            assert_eq!(error.argument.as_deref(), Some("file"));
        }
        assert!(read(&String::from_utf8_lossy(b"\xff\xfe")).unwrap_err().message.contains("UTF-8"));
        assert_eq!(read("name;prompt_template\na;b, c").unwrap()[0]["prompt_template"], "b, c");
    }
}
