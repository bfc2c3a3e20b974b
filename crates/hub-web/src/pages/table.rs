//! Tables that spreadsheets read and write, as files of a list.
//!
//! An import goes the way of every configuration file: read whole, compared, shown before it is
//! written, and written in one step or not at all. What the table does not name stays.

use std::str::FromStr;

use axum::extract::Request;
use hub_core::error::UserError;
use hub_engine::{ImportMode, ImportOptions, ImportReport};
use serde::Serialize;
use serde_json::{Value, json};

use super::{form::FormFields, shown::ShownReport};
use crate::{error::WebError, router::App, said};

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
    #[serde(flatten)]
    report: ShownReport,
}

#[cfg(test)]
impl ShownImport {
    pub(super) fn sample() -> Self {
        Self { table: super::shown::sample::HOSTILE.to_owned(), report: ShownReport::sample() }
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

    /// The rows of a file.
    pub(super) fn read(&self, text: &str) -> Result<Vec<Row>, UserError> {
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
            let filled = heads.iter().zip(row.iter()).filter(|(_, cell)| !cell.trim().is_empty());
            let cells = filled.map(|(head, cell)| (head.trim().to_owned(), cell.to_owned())).collect();
            Ok(Row { number: index + 2, cells })
        });
        rows.collect()
    }
}

/// A row, with the cells that hold something.
pub(super) struct Row {
    /// As spreadsheets count, the head being the first.
    number: usize,
    cells: Vec<(String, String)>,
}

impl Row {
    /// Each column with what its cell holds.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cells.iter().map(|(column, cell)| (column.as_str(), cell.as_str()))
    }

    /// What a cell holds; empty when it holds nothing.
    pub(super) fn cell(&self, column: &str) -> &str {
        self.cells().find(|(name, _)| *name == column).map_or("", |(_, cell)| cell)
    }

    /// What a cell must hold.
    pub(super) fn needed(&self, column: &str) -> Result<&str, UserError> {
        match self.cell(column).trim() {
            "" => Err(refuse(said!("Row {row} has nothing in `{column}`.", row = self.number, column))),
            cell => Ok(cell),
        }
    }

    /// Whether a cell says yes; `None` when it is empty.
    pub(super) fn flag(&self, column: &str) -> Result<Option<bool>, UserError> {
        match self.cell(column).trim().to_lowercase().as_str() {
            "" => Ok(None),
            "yes" | "true" | "1" | "x" => Ok(Some(true)),
            "no" | "false" | "0" => Ok(Some(false)),
            _ => Err(self.wrong(column).with_valid(["yes", "no"])),
        }
    }

    /// The number of a cell; `None` when it is empty.
    pub(super) fn number<T: FromStr>(&self, column: &str) -> Result<Option<T>, UserError> {
        match self.cell(column).trim() {
            "" => Ok(None),
            cell => cell.parse().map(Some).map_err(|_| self.wrong(column)),
        }
    }

    /// That a cell holds none of what it may.
    pub(super) fn wrong(&self, column: &str) -> UserError {
        let (row, shown) = (self.number, told(self.cell(column).trim()));
        refuse(said!("Row {row}: `{shown}` in `{column}`.", row, shown, column))
    }
}

/// `yes` or `no`, as [`Row::flag`] reads it.
pub(super) fn yes_or_no(is: bool) -> String {
    (if is { "yes" } else { "no" }).to_owned()
}

/// What a form with a table comes to.
pub(super) enum Import {
    /// What it would change, to be shown first.
    Shown(ShownImport),
    /// What it changed.
    Done(ImportReport),
    Refused(UserError),
}

impl Import {
    /// Imports the table as that section of a configuration, once its changes were shown and the form means it.
    pub(super) async fn of(
        app: &App,
        request: Request,
        section: &str,
        read: impl Fn(&str) -> Result<Vec<Value>, UserError>,
    ) -> Result<Self, WebError> {
        let form = FormFields::read(request, app).await?;
        let file = form.file("file").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        let table = file.unwrap_or_else(|| form.first("table"));
        let dry_run = form.first("step") != "import";
        let rows = if table.is_empty() { Err(refuse(said!("Choose a CSV file first."))) } else { read(&table) };
        let imported = match rows {
            Ok(rows) => {
                let document = json!({"format": "genimage-config", "version": 1, section: rows});
                let options = ImportOptions { mode: ImportMode::Merge, dry_run, passphrase: None };
                app.engine.config_import(document.to_string().as_bytes(), &options).await
            }
            Err(error) => Err(error),
        };
        Ok(match imported {
            Ok(report) if dry_run => Self::Shown(ShownImport { table, report: ShownReport::of(report) }),
            Ok(report) => Self::Done(report),
            Err(error) => Self::Refused(error),
        })
    }
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
