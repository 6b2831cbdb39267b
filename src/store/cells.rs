//! Cells of a row into values of the domain, each with a name to blame when it cannot be.

use std::str::FromStr;

use sea_orm::entity::prelude::Json;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// The row being read.
pub struct Cells<'a> {
    pub table: &'static str,
    pub id: &'a str,
}

impl Cells<'_> {
    pub fn unreadable(&self, column: &'static str) -> StoreError {
        StoreError::Unreadable { table: self.table, id: self.id.to_owned(), column }
    }

    pub fn id<T: FromStr>(&self, column: &'static str, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|_| self.unreadable(column))
    }

    pub fn id_option<T: FromStr>(&self, column: &'static str, text: Option<&str>) -> Result<Option<T>, StoreError> {
        text.map(|text| self.id(column, text)).transpose()
    }

    /// A word of a closed list.
    pub fn word<T>(&self, column: &'static str, parse: fn(&str) -> Option<T>, text: &str) -> Result<T, StoreError> {
        parse(text).ok_or_else(|| self.unreadable(column))
    }

    pub fn count<T: TryFrom<i64>>(&self, column: &'static str, number: i64) -> Result<T, StoreError> {
        T::try_from(number).map_err(|_| self.unreadable(column))
    }

    pub fn count_option<T: TryFrom<i64>>(
        &self,
        column: &'static str,
        number: Option<i64>,
    ) -> Result<Option<T>, StoreError> {
        number.map(|number| self.count(column, number)).transpose()
    }

    pub fn json<T: DeserializeOwned>(&self, column: &'static str, value: Json) -> Result<T, StoreError> {
        serde_json::from_value(value).map_err(|_| self.unreadable(column))
    }
}

/// Databases count in signed numbers; nothing here is ever counted beyond them.
pub fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// For values whose shape is always one of JSON: texts, numbers, lists, and maps with text keys.
pub fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).expect("only shapes that JSON has")
}
