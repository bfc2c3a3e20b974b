//! Tables that spreadsheets read and write, as files of a list.
//!
//! An import goes the way of every configuration file: read whole, compared, shown before it is
//! written, and written in one step or not at all, as long as it still does what was shown. What the
//! table does not name stays: whole rows, and of a row what stands in the columns that the table does
//! not have. An empty cell says that there is to be nothing.

use std::{collections::BTreeMap, str::FromStr};

use axum::{extract::Request, response::Response};
use hub_core::error::UserError;
use hub_engine::{ImportMode, ImportOptions, ImportReport};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    form::{Fault, FormFields, as_number, refused, shown},
    see_other,
    shown::ShownReport,
};
use crate::{
    audit::{about_import, nothing_done},
    error::WebError,
    language::apart::sentence,
    render::Page,
    router::App,
    said,
};

/// How spreadsheets know that a file is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// Of a cell that is wrong, at most so much is told.
const TOLD_CHARS: usize = 40;

/// The form of a table.
pub(super) struct Table {
    /// Columns, in their order.
    pub(super) columns: &'static [&'static str],
    /// The first so many must be there.
    pub(super) needed: usize,
}

/// What an import of a table would do.
#[derive(Debug, Serialize)]
pub(super) struct ShownImport {
    /// The file's text, to be sent again when it is to be done.
    table: String,
    /// Stands for the changes that are shown.
    seen: String,
    /// Something else changed since they were shown the last time.
    moved: bool,
    #[serde(flatten)]
    report: ShownReport,
}

#[cfg(test)]
impl ShownImport {
    pub(super) fn sample() -> Self {
        Self {
            table: super::shown::sample::HOSTILE.to_owned(),
            seen: "0".to_owned(),
            moved: true,
            report: ShownReport::sample(),
        }
    }
}

impl Table {
    /// The text of the file.
    pub(super) fn write<R>(&self, rows: impl IntoIterator<Item = R>) -> Result<String, Box<dyn std::error::Error>>
    where
        R: IntoIterator<Item = String>,
    {
        let mut table = ::csv::Writer::from_writer(Vec::new());
        table.write_record(self.columns)?;
        for row in rows {
            table.write_record(row.into_iter().collect::<Vec<_>>())?;
        }
        let bytes = table.into_inner().map_err(|error| error.to_string())?;
        Ok(format!("{BYTE_ORDER_MARK}{}", String::from_utf8(bytes)?))
    }

    /// The rows of a file as entries of a configuration, each made by `entry`.
    pub(super) fn entries<T: Serialize>(
        &self,
        text: &str,
        entry: impl Fn(&Row) -> Result<T, UserError>,
    ) -> Result<Entries, UserError> {
        let mut entries = Entries::default();
        let mut first_of = BTreeMap::new();
        for row in self.read(text)? {
            let mut value = json!(entry(&row)?);
            // A configuration knows things by their names alone.
            if let Value::Object(fields) = &mut value {
                fields.remove("id");
            }
            let name = row.needed("name")?;
            if let Some(first) = first_of.insert(name.to_owned(), row.number) {
                let (row, shown) = (row.number, told(name));
                return Err(refuse(said!("Row {row}: `{shown}` stands in row {first} already.", row, shown, first)));
            }
            entries.values.push(value);
            entries.numbers.push(row.number);
        }
        Ok(entries)
    }

    fn read(&self, text: &str) -> Result<Vec<Row>, UserError> {
        if text.is_empty() {
            return Err(refuse(said!("Choose a CSV file first.")));
        }
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        if text.contains('\u{fffd}') {
            return Err(refuse(said!("The file is not UTF-8 text; save it as “CSV UTF-8”.")));
        }
        // Spreadsheets of half the world write semicolons.
        let head = text.lines().next().unwrap_or("");
        let delimiter = if head.contains(';') && !head.contains(',') { b';' } else { b',' };
        let mut table = ::csv::ReaderBuilder::new().delimiter(delimiter).flexible(false).from_reader(text.as_bytes());
        let heads = table.headers().map_err(|error| unreadable(&error))?.clone();
        if let Some(unknown) = heads.iter().find(|head| !self.columns.contains(&head.trim())) {
            let shown = told(unknown);
            return Err(refuse(said!("The table has a column `{shown}`.", shown)).with_valid(self.columns.to_vec()));
        }
        for needed in &self.columns[..self.needed] {
            if !heads.iter().any(|head| head.trim() == *needed) {
                let fault = refuse(said!("The table has no column `{needed}`.", needed));
                return Err(fault.with_valid(self.columns.to_vec()));
            }
        }
        let rows = table.records().enumerate().map(|(index, row)| {
            let row = row.map_err(|error| unreadable(&error))?;
            let cells = heads.iter().zip(row.iter());
            let cells = cells.map(|(head, cell)| (head.trim().to_owned(), cell.to_owned())).collect();
            Ok(Row { number: index + 2, cells })
        });
        rows.collect()
    }
}

/// What a table says, as a configuration says it.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) values: Vec<Value>,
    /// The number of each one's row.
    numbers: Vec<usize>,
}

/// A row, with a cell for each column of the head.
///
/// What puts something in a place leaves the place as it is when the table does not have that column.
pub(super) struct Row {
    /// As spreadsheets count, the head being the first.
    number: usize,
    cells: Vec<(String, String)>,
}

impl Row {
    /// What stands in a cell; `None` when the table does not have that column.
    fn whole(&self, column: &str) -> Option<&str> {
        self.cells.iter().find(|(name, _)| name == column).map(|(_, cell)| cell.as_str())
    }

    /// The same without the white space around it.
    pub(super) fn cell(&self, column: &str) -> Option<&str> {
        self.whole(column).map(str::trim)
    }

    /// What a cell must hold.
    pub(super) fn needed(&self, column: &str) -> Result<&str, UserError> {
        let filled = self.cell(column).filter(|cell| !cell.is_empty());
        filled.ok_or_else(|| refuse(said!("Row {row} has nothing in `{column}`.", row = self.number, column)))
    }

    /// Puts a text there with the white space around it. What differs in its line ends alone stays as it is: a table
    /// has them of one kind.
    pub(super) fn text(&self, column: &str, place: &mut String) {
        if let Some(cell) = self.whole(column)
            && cell != of_one_kind(place)
        {
            (if cell.trim().is_empty() { "" } else { cell }).clone_into(place);
        }
    }

    /// Puts a text there without the white space around it. What differs in that alone stays as it is.
    pub(super) fn words(&self, column: &str, place: &mut String) {
        if let Some(cell) = self.cell(column)
            && cell != of_one_kind(place).trim()
        {
            cell.clone_into(place);
        }
    }

    /// Puts there whether a cell says yes, or `standard` when it is empty.
    pub(super) fn flag(&self, column: &str, place: &mut bool, standard: bool) -> Result<(), UserError> {
        let Some(cell) = self.cell(column) else { return Ok(()) };
        *place = match cell.to_lowercase().as_str() {
            "" => standard,
            "yes" | "true" | "1" | "x" => true,
            "no" | "false" | "0" => false,
            _ => return Err(self.wrong(column).with_valid(["yes", "no"])),
        };
        Ok(())
    }

    /// Puts the number of a cell there, or `None` when it is empty.
    pub(super) fn number<T: FromStr>(&self, column: &str, place: &mut Option<T>) -> Result<(), UserError> {
        let Some(cell) = self.cell(column) else { return Ok(()) };
        *place = if cell.is_empty() { None } else { Some(as_number(cell).ok_or_else(|| self.wrong(column))?) };
        Ok(())
    }

    /// That a cell holds none of what it may.
    pub(super) fn wrong(&self, column: &str) -> UserError {
        let (row, shown) = (self.number, told(self.cell(column).unwrap_or_default()));
        refuse(said!("Row {row}: `{shown}` in `{column}`.", row, shown, column))
    }
}

/// `yes` or `no`, as [`Row::flag`] reads it.
pub(super) fn yes_or_no(is: bool) -> String {
    (if is { "yes" } else { "no" }).to_owned()
}

/// A table as a form brings it.
pub(super) struct SentTable {
    /// With line ends of one kind: what a file has as `\n` comes as `\r\n` when the form that showed its changes sends
    /// it back, since browsers write every line end of a field so.
    pub(super) text: String,
    /// Stands for the changes that were shown and are meant; empty before.
    agreed: String,
}

impl SentTable {
    pub(super) async fn read(request: Request, app: &App) -> Result<Self, WebError> {
        let form = FormFields::read(request, app).await?;
        let file = form.file("file").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        let text = of_one_kind(&file.unwrap_or_else(|| form.first("table")));
        Ok(Self { text, agreed: form.first("seen") })
    }
}

/// What a form with a table comes to.
pub(super) enum Import {
    /// What it would change, to be shown first.
    Shown(ShownImport),
    /// What it changed.
    Done(ImportReport),
}

impl Import {
    /// Imports the entries of a table as that section of a configuration, once the form agrees to their changes as they
    /// are now.
    pub(super) async fn of(
        app: &App,
        section: &str,
        sent: SentTable,
        entries: Result<Entries, UserError>,
    ) -> Result<Self, UserError> {
        let Entries { values, numbers } = entries?;
        let document = json!({"format": "genimage-config", "version": 1, section: values}).to_string();
        let by_row = |error: UserError| told_by_row(section, &numbers, error);
        let would = import(app, &document, true).await.map_err(by_row)?;
        let seen = app.versions.of(&would.changes);
        if sent.agreed == seen {
            return import(app, &document, false).await.map(Self::Done).map_err(by_row);
        }
        let moved = !sent.agreed.is_empty();
        Ok(Self::Shown(ShownImport { table: sent.text, seen, moved, report: ShownReport::of(would) }))
    }
}

async fn import(app: &App, document: &str, dry_run: bool) -> Result<ImportReport, UserError> {
    let options = ImportOptions { mode: ImportMode::Merge, dry_run, passphrase: None };
    app.engine.config_import(document.as_bytes(), &options).await
}

/// A page from which a table is imported.
pub(super) trait ImportPage: Page {
    /// Where it shows what an import would change, and what is wrong with one.
    fn places(&mut self) -> (&mut Option<ShownImport>, &mut Option<Fault>);
}

/// The answer to a form with a table: on to `done`, or its page again.
pub(super) async fn answer<P: ImportPage>(
    app: &App,
    imported: Result<Import, UserError>,
    done: &str,
    page: impl Future<Output = Result<P, WebError>>,
) -> Result<Response, WebError> {
    match imported {
        Ok(Import::Done(report)) => Ok(about_import(see_other(done), &report)),
        Ok(Import::Shown(report)) => {
            let mut page = page.await?;
            *page.places().0 = Some(report);
            shown(app, &page).map(nothing_done)
        }
        Err(error) => {
            let mut page = page.await?;
            *page.places().1 = Some(Fault::of(&error));
            refused(app, &error, &page)
        }
    }
}

/// An error about an entry, told by its row and column.
fn told_by_row(section: &str, numbers: &[usize], error: UserError) -> UserError {
    let place = error.argument.as_deref().and_then(|argument| place_of(section, numbers, argument));
    let Some((row, column)) = place else { return error };
    let fault = sentence(&error.message);
    let message = if column.is_empty() {
        said!("Row {row}: {fault}", row, fault)
    } else {
        said!("Row {row}, `{column}`: {fault}", row, column, fault)
    };
    UserError { code: error.code, hint: error.hint, valid_values: error.valid_values, ..refuse(message) }
}

/// Row and column of what stands at `render_types[41].defaults.denoise`. A fault that is no column's alone has none.
fn place_of<'a>(section: &str, numbers: &[usize], argument: &'a str) -> Option<(usize, &'a str)> {
    let (index, fields) = argument.strip_prefix(section)?.strip_prefix('[')?.split_once(']')?;
    let row = numbers.get(index.parse::<usize>().ok()?)?;
    Some((*row, fields.rsplit('.').next().unwrap_or_default()))
}

/// The text with `\n` for every line end.
fn of_one_kind(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn told(cell: &str) -> String {
    cell.chars().take(TOLD_CHARS).collect()
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
