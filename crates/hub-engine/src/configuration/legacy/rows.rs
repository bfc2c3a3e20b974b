//! Rows of the older database, with the looseness of SQLite taken out.

use std::collections::BTreeMap;

use hub_core::error::{ErrorCode, UserError};
use hub_store::{LEGACY_ROWS_MAX, LegacyRows};
use serde_json::{Map, Value};

/// All rows.
pub(super) struct Rows {
    tables: BTreeMap<&'static str, Vec<Row>>,
    settings: BTreeMap<String, String>,
}

/// One row.
pub(super) struct Row {
    table: &'static str,
    values: Map<String, Value>,
}

impl Rows {
    /// # Errors
    /// `bad_argument` when a setting has no key.
    pub(super) fn new(read: LegacyRows) -> Result<Self, UserError> {
        let tables: BTreeMap<_, Vec<Row>> = read
            .into_iter()
            .map(|(table, rows)| (table, rows.into_iter().map(|values| Row { table, values }).collect()))
            .collect();
        let mut settings = BTreeMap::new();
        for row in tables.get("settings").into_iter().flatten() {
            settings.insert(row.text("key")?.to_owned(), row.text_opt("value").unwrap_or_default().to_owned());
        }
        Ok(Self { tables, settings })
    }

    /// What is to be said of tables that may have had more rows than are read.
    pub(super) fn left_out(&self) -> Vec<String> {
        let full = |(table, rows): (&&str, &Vec<Row>)| {
            (rows.len() >= LEGACY_ROWS_MAX as usize).then(|| {
                format!(
                    "Of `{table}` the newest {LEGACY_ROWS_MAX} rows are taken; what is older, if anything, is left out."
                )
            })
        };
        self.tables.iter().filter_map(full).collect()
    }

    /// Whether its schema has the table.
    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// The rows of a table; none where its schema did not have it.
    pub(super) fn of(&self, table: &str) -> &[Row] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }

    /// A setting.
    pub(super) fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// Names by id.
    pub(super) fn names(&self, table: &str) -> Result<BTreeMap<i64, String>, UserError> {
        self.of(table).iter().map(|row| Ok((row.id()?, row.text("name")?.trim().to_owned()))).collect()
    }

    /// Which row belongs to which.
    pub(super) fn pairs(&self, table: &str, from: &str, to: &str) -> Result<Vec<(i64, i64)>, UserError> {
        self.of(table)
            .iter()
            .map(|row| match (row.number(from), row.number(to)) {
                (Some(from), Some(to)) => Ok((from, to)),
                _ => Err(row.wrong(from)),
            })
            .collect()
    }
}

impl Row {
    /// A text that must be there.
    pub(super) fn text(&self, column: &str) -> Result<&str, UserError> {
        self.text_opt(column).ok_or_else(|| self.wrong(column))
    }

    /// A text.
    pub(super) fn text_opt(&self, column: &str) -> Option<&str> {
        self.values.get(column).and_then(Value::as_str)
    }

    /// A number, written as one or as text.
    pub(super) fn number(&self, column: &str) -> Option<i64> {
        match self.values.get(column)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A yes or no; `default` where the schema did not have it.
    pub(super) fn flag(&self, column: &str, default: bool) -> bool {
        match self.values.get(column) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(number)) => number.as_i64() != Some(0),
            _ => default,
        }
    }

    /// The row's id.
    pub(super) fn id(&self) -> Result<i64, UserError> {
        self.number("id").ok_or_else(|| self.wrong("id"))
    }

    /// The row as one text, the same for the same row.
    pub(super) fn written(&self) -> String {
        let sorted: BTreeMap<_, _> = self.values.iter().collect();
        serde_json::to_string(&sorted).unwrap_or_default()
    }

    /// The error for a value that cannot be.
    pub(super) fn wrong(&self, column: &str) -> UserError {
        let row =
            self.values.get("id").or_else(|| self.values.get("key")).map_or_else(String::new, |id| format!(" {id}"));
        UserError::new(
            ErrorCode::BadArgument,
            format!("The file is damaged: `{}.{column}` of the row{row} is missing or of the wrong kind.", self.table),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_read_in_part_is_told() {
        let rows = |count| vec![Map::new(); count];
        let most = LEGACY_ROWS_MAX as usize;
        let read = LegacyRows::from([("generation_logs", rows(most)), ("styles", rows(most - 1))]);
        let told = Rows::new(read).expect("rows").left_out();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("`generation_logs` the newest 100000 rows"), "{told:?}");
    }
}
