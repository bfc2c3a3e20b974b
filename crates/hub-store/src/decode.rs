//! Between Rust values and columns, in both directions, the same on both databases.
//!
//! Times are milliseconds since 1970; unsigned numbers are signed 64-bit columns; enums are their
//! printed names; structured values are JSON text. Decoding names the row and column that failed, but
//! never quotes the value, which may be a secret or a prompt.

use std::{borrow::Cow, fmt::Display};

use chrono::{DateTime, Utc};
use serde::{
    Serialize,
    de::{DeserializeOwned, IntoDeserializer, value},
};

use crate::error::{Result, StoreError};

/// The address of a row that is being decoded.
pub(crate) struct Row {
    pub(crate) table: &'static str,
    pub(crate) id: String,
}

impl Row {
    /// The row with that id.
    pub(crate) fn new(table: &'static str, id: impl Display) -> Self {
        Self { table, id: id.to_string() }
    }

    /// The error for a column that does not decode.
    pub(crate) fn wrong(&self, column: &'static str, reason: impl Into<String>) -> StoreError {
        StoreError::Inconsistency { table: self.table, column, row: self.id.clone(), reason: reason.into() }
    }

    /// JSON text. Of serde's message only the place is kept, since the rest quotes the value.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|error| {
            let (what, at) = (error.classify(), error.column());
            self.wrong(column, format!("not the expected JSON ({what:?} error at character {at})"))
        })
    }

    /// JSON text that may be missing.
    pub(crate) fn json_opt<T: DeserializeOwned>(&self, column: &'static str, text: Option<&str>) -> Result<Option<T>> {
        text.map(|text| self.json(column, text)).transpose()
    }

    /// The printed name of an enum's value.
    pub(crate) fn name<T: DeserializeOwned>(&self, column: &'static str, text: &str) -> Result<T> {
        let deserializer: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
        T::deserialize(deserializer).map_err(|_| self.wrong(column, "not one of the names known"))
    }

    /// An unsigned number.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: &'static str, value: i64) -> Result<T> {
        T::try_from(value).map_err(|_| self.wrong(column, "out of range"))
    }

    /// A time.
    pub(crate) fn time(&self, column: &'static str, ms: i64) -> Result<DateTime<Utc>> {
        DateTime::from_timestamp_millis(ms).ok_or_else(|| self.wrong(column, "no time"))
    }

    /// A time that may be missing.
    pub(crate) fn time_opt(&self, column: &'static str, ms: Option<i64>) -> Result<Option<DateTime<Utc>>> {
        ms.map(|ms| self.time(column, ms)).transpose()
    }
}

/// The time as stored.
pub(crate) fn ms(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// The time as it will be read again: cut to milliseconds.
pub(crate) fn cut(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms(time)).expect("a time stays one when it loses its microseconds")
}

/// A value as JSON text.
pub(crate) fn json<T: Serialize + ?Sized>(column: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Unstorable { column, reason: error.to_string() })
}

/// The printed name of an enum's value.
pub(crate) fn name<T: Serialize>(column: &'static str, value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        Ok(_) => Err(StoreError::Unstorable { column, reason: "it has no name".to_owned() }),
        Err(error) => Err(StoreError::Unstorable { column, reason: error.to_string() }),
    }
}

/// A size in bytes as stored. No file has 2^63 bytes.
pub(crate) fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Text for a plain column. PostgreSQL refuses NUL in text, and what an LLM answers is not ours to
/// trust, so NUL becomes the replacement character on both databases.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
