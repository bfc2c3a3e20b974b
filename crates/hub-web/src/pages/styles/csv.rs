//! The list of styles as a table that spreadsheets read and write.
//!
//! An import goes the way of every configuration file: read whole, compared, shown before it is
//! written, and written in one step or not at all. Styles that the table does not name stay.

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use hub_core::{catalogue::Style, error::UserError};
use hub_engine::{ImportMode, ImportOptions, ImportReport};
use serde_json::{Map, Value, json};

use super::{
    super::{
        form::{Fault, FormFields, refused, shown},
        see_other,
        shown::ShownReport,
    },
    ListQuery, ShownImport, page,
};
use crate::{error::WebError, router::App, said};

/// Columns, in their order. Only the first two must be there.
const COLUMNS: [&str; 9] = [
    "name",
    "prompt_template",
    "negative_template",
    "category",
    "description",
    "render_types",
    "preferred_render_type",
    "is_default",
    "enabled",
];
/// Between the names of several render types in one cell.
const LIST_SEPARATOR: char = ';';
/// How spreadsheets know that a file is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// All styles as a file.
pub(crate) async fn download(State(app): State<App>) -> Result<Response, WebError> {
    let table = write(&app.engine.catalogue().styles).map_err(|error| WebError::internal(&error))?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"styles.csv\""),
    ];
    Ok((headers, table).into_response())
}

/// Shows what a table would change, or changes it.
pub(crate) async fn upload(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let form = FormFields::read(request, &app).await?;
    let dry_run = form.first("step") != "import";
    match import(&app, &form, dry_run).await {
        Ok(report) if dry_run => {
            let mut page = page(&app, &ListQuery::default()).await?;
            page.report = Some(ShownImport { table: table_of(&form), report: ShownReport::of(report) });
            shown(&app, &page)
        }
        Ok(_) => Ok(see_other("/styles?done=styles-imported")),
        Err(error) => {
            let mut page = page(&app, &ListQuery::default()).await?;
            page.fault = Some(Fault::of(&error));
            refused(&app, &error, &page)
        }
    }
}

async fn import(app: &App, form: &FormFields, dry_run: bool) -> Result<ImportReport, UserError> {
    let table = table_of(form);
    if table.is_empty() {
        return Err(refuse(said!("Choose a CSV file first.")));
    }
    let document = json!({"format": "genimage-config", "version": 1, "styles": read(&table)?});
    let options = ImportOptions { mode: ImportMode::Merge, dry_run, passphrase: None };
    app.engine.config_import(document.to_string().as_bytes(), &options).await
}

/// The file, or the text of one that was shown already.
fn table_of(form: &FormFields) -> String {
    let file = form.file("file").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    file.unwrap_or_else(|| form.first("table"))
}

fn write(styles: &[Style]) -> Result<String, Box<dyn std::error::Error>> {
    let mut table = ::csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    for style in styles {
        let render_types = style.render_types.join(&LIST_SEPARATOR.to_string());
        table.write_record([
            style.name.as_str(),
            &style.prompt_template,
            &style.negative_template,
            &style.category,
            &style.description,
            &render_types,
            style.preferred_render_type.as_deref().unwrap_or(""),
            if style.is_default { "yes" } else { "no" },
            if style.enabled { "yes" } else { "no" },
        ])?;
    }
    let bytes = table.into_inner().map_err(|error| error.to_string())?;
    Ok(format!("{BYTE_ORDER_MARK}{}", String::from_utf8(bytes)?))
}

/// The rows as styles of a configuration file.
fn read(text: &str) -> Result<Vec<Value>, UserError> {
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    if text.contains('\u{fffd}') {
        return Err(refuse(said!("The file is not UTF-8 text; save it as “CSV UTF-8”.")));
    }
    // Spreadsheets of half the world write semicolons.
    let head = text.lines().next().unwrap_or("");
    let delimiter = if head.contains(';') && !head.contains(',') { b';' } else { b',' };
    let mut table = ::csv::ReaderBuilder::new().delimiter(delimiter).flexible(false).from_reader(text.as_bytes());
    let heads = table.headers().map_err(|error| unreadable(&error))?.clone();
    if let Some(unknown) = heads.iter().find(|head| !COLUMNS.contains(&head.trim())) {
        let shown: String = unknown.chars().take(40).collect();
        return Err(refuse(said!("The table has a column `{shown}`.", shown)).with_valid(COLUMNS));
    }
    for needed in &COLUMNS[..2] {
        if !heads.iter().any(|head| head.trim() == *needed) {
            return Err(refuse(said!("The table has no column `{needed}`.", needed)).with_valid(COLUMNS));
        }
    }
    let rows = table.records().enumerate().map(|(index, row)| {
        let row = row.map_err(|error| unreadable(&error))?;
        let cells = heads.iter().zip(row.iter()).filter(|(_, cell)| !cell.trim().is_empty());
        cells.map(|(head, cell)| Ok((head.trim().to_owned(), value(head.trim(), cell, index + 2)?))).collect()
    });
    rows.collect::<Result<Vec<Map<String, Value>>, UserError>>().map(|rows| {
        rows.into_iter()
            .map(|mut row| {
                // Said by leaving the cell empty.
                row.entry("prompt_template").or_insert_with(|| Value::from(""));
                Value::Object(row)
            })
            .collect()
    })
}

fn value(column: &str, cell: &str, line: usize) -> Result<Value, UserError> {
    Ok(match column {
        "render_types" => cell.split(LIST_SEPARATOR).map(str::trim).filter(|name| !name.is_empty()).collect(),
        "is_default" | "enabled" => match cell.trim().to_lowercase().as_str() {
            "yes" | "true" | "1" | "x" => Value::Bool(true),
            "no" | "false" | "0" => Value::Bool(false),
            other => {
                let shown: String = other.chars().take(40).collect();
                return Err(refuse(said!("Row {line}: `{shown}` in `{column}`.", line, shown, column))
                    .with_valid(["yes", "no"]));
            }
        },
        "name" | "category" | "preferred_render_type" => Value::from(cell.trim()),
        _ => Value::from(cell),
    })
}

fn refuse(message: impl Into<String>) -> UserError {
    UserError::argument("file", message.into())
}

fn unreadable(error: &::csv::Error) -> UserError {
    let place = error.position().map(|at| format!(" at line {}", at.line())).unwrap_or_default();
    let why = match error.kind() {
        ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("a row has {len} cells where the head has {expected_len}")
        }
        _ => "it is no CSV".to_owned(),
    };
    refuse(said!("The table cannot be read{place}: {why}.", place, why))
}

#[cfg(test)]
mod tests {
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
