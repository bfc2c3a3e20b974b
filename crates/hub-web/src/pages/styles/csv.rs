//! The list of styles as a table.

use axum::{
    extract::{Request, State},
    response::Response,
};
use hub_core::{catalogue::Style, error::UserError};

use super::{
    super::{
        form::Fault,
        table::{Entries, Import, ImportPage, Row, SentTable, ShownImport, Table, answer, yes_or_no},
    },
    ListQuery, StylesPage, page,
};
use crate::{attachment, error::WebError, router::App};

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
    let sent = SentTable::read(request, &app).await?;
    let entries = read(&sent.text, &app.engine.catalogue().styles);
    let imported = Import::of(&app, "styles", sent, entries).await;
    answer(&app, imported, "/styles?done=styles-imported", page(&app, &ListQuery::default())).await
}

impl ImportPage for StylesPage {
    fn places(&mut self) -> (&mut Option<ShownImport>, &mut Option<Fault>) {
        (&mut self.report, &mut self.fault)
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

/// The rows as styles of a configuration file, where `known` are stored.
fn read(text: &str, known: &[Style]) -> Result<Entries, UserError> {
    TABLE.entries(text, |row| entry(row, known))
}

fn entry(row: &Row, known: &[Style]) -> Result<Style, UserError> {
    let name = row.needed("name")?;
    let known = known.iter().find(|style| style.name == name).cloned();
    let mut style = known.unwrap_or_else(|| Style::new(name, ""));
    row.text("prompt_template", &mut style.prompt_template);
    row.text("negative_template", &mut style.negative_template);
    row.words("category", &mut style.category);
    row.text("description", &mut style.description);
    if let Some(cell) = row.cell("render_types") {
        let names = cell.split(LIST_SEPARATOR).map(str::trim).filter(|name| !name.is_empty());
        style.render_types = names.map(str::to_owned).collect();
    }
    if let Some(cell) = row.cell("preferred_render_type") {
        style.preferred_render_type = Some(cell).filter(|name| !name.is_empty()).map(str::to_owned);
    }
    row.flag("is_default", &mut style.is_default, false)?;
    row.flag("enabled", &mut style.enabled, true)?;
    Ok(style)
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
        let rows = read(&write(&[style.clone(), Style::new("plain", "x")]).unwrap(), &[]).unwrap().values;
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["name"], "a, \"quoted\" 🦊");
        assert_eq!(rows[0]["prompt_template"], style.prompt_template);
        assert_eq!(rows[0]["render_types"], json!(["sdxl", "flux"]));
        assert_eq!((&rows[0]["enabled"], &rows[1]["enabled"]), (&json!(false), &json!(true)));
    }

    #[test]
    fn a_table_that_is_none_is_told_by_row_and_column() {
        for (table, said) in [
            ("", "Choose a CSV file first"),
            ("name,prompt\na,b", "column `prompt`"),
            ("name\na", "no column `prompt_template`"),
            ("name,prompt_template\na,b,c", "a row has 3 cells where the head has 2"),
            ("name,prompt_template,enabled\na,b,perhaps", "Row 2: `perhaps` in `enabled`"),
            ("name,prompt_template\na,b\n ,c", "Row 3 has nothing in `name`"),
            ("name,prompt_template\na,b\nb,\"c\nd\"\na ,e", "Row 4: `a` stands in row 2 already"),
        ] {
            let error = read(table, &[]).unwrap_err();
            assert!(error.message.contains(said), "{table}: {}", error.message);
            assert_eq!(error.argument.as_deref(), Some("file"));
        }
        assert!(read(&String::from_utf8_lossy(b"\xff\xfe"), &[]).unwrap_err().message.contains("UTF-8"));
        assert_eq!(read("name;prompt_template\na;b, c", &[]).unwrap().values[0]["prompt_template"], "b, c");
    }

    #[test]
    fn a_column_that_is_missing_keeps_what_is_stored_and_an_empty_cell_empties() {
        let mut known = Style::new("ink", "drawing");
        known.prompt_template = "ink,\r\n{prompt}".to_owned();
        known.negative_template = "photo".to_owned();
        known.render_types = vec!["sdxl".to_owned()];
        known.preferred_render_type = Some("sdxl".to_owned());
        known.is_default = true;
        known.enabled = false;
        let entry = |table: &str| {
            let mut values = read(table, std::slice::from_ref(&known)).unwrap().values;
            values[0]["id"] = json!(known.id);
            serde_json::from_value::<Style>(values.remove(0)).unwrap()
        };
        let changed = Style { prompt_template: "new".to_owned(), ..known.clone() };
        assert_eq!(entry("name,prompt_template\nink,new"), changed);
        let unchanged = entry("name,prompt_template\nink,\"ink,\n{prompt}\"");
        assert_eq!(unchanged, known, "a table tells no kind of line end");
        let emptied = entry(
            "name,prompt_template,negative_template,category,render_types,preferred_render_type,is_default,enabled\n\
             ink,,,,,,,",
        );
        assert_eq!(emptied, Style { id: known.id, ..Style::new("ink", "") });
    }
}
