//! Cells of a row into values of the domain, each with a name to blame when it cannot be.

use std::str::FromStr;

use sea_orm::entity::prelude::Json;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, Iterable, Value};
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

    /// Of a column that is only empty beside others that are.
    pub fn required<T>(&self, column: &'static str, value: Option<T>) -> Result<T, StoreError> {
        value.ok_or_else(|| self.unreadable(column))
    }

    pub fn json<T: DeserializeOwned>(&self, column: &'static str, value: Json) -> Result<T, StoreError> {
        serde_json::from_value(value).map_err(|_| self.unreadable(column))
    }
}

/// Databases count in signed numbers; nothing here is ever counted beyond them.
pub fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A row as every database can keep it: PostgreSQL has no NUL in texts, so U+FFFD stands in its place, on SQLite too.
pub fn storable<A: ActiveModelTrait>(mut row: A) -> A {
    for column in <A::Entity as EntityTrait>::Column::iter() {
        if let Set(value) = row.take(column) {
            row.set(column, without_nul(value));
        }
    }
    row
}

/// As [`storable`], of one value.
pub fn storable_json(json: Json) -> Json {
    if has_nul(&json) { replaced(json) } else { json }
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(Some(text)) if text.contains('\0') => plain(&text).into(),
        Value::Json(Some(json)) if has_nul(&json) => replaced(*json).into(),
        other => other,
    }
}

/// As [`storable`], of one text.
pub fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn has_nul(json: &Json) -> bool {
    match json {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_nul),
        Json::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

fn replaced(json: Json) -> Json {
    match json {
        Json::String(text) => plain(&text).into(),
        Json::Array(items) => items.into_iter().map(replaced).collect(),
        Json::Object(members) => members.into_iter().map(|(name, value)| (plain(&name), replaced(value))).collect(),
        other => other,
    }
}

/// For values whose shape is always one of JSON: texts, numbers, lists, and maps with text keys.
pub fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).expect("only shapes that JSON has")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::principal::Scope;
    use crate::domain::run::Run;
    use crate::store::fixture::{TestStore, document, run};

    #[tokio::test]
    async fn a_nul_in_what_somebody_wrote_is_kept_as_a_replacement() {
        let (store, configuration) = TestStore::furnished().await;
        let mut document = document(configuration.workspace_id);
        document.name = "a\0b".into();
        document.metadata = json!({"k\0": ["v\0", 1.5, null, true, {"deep": "\0"}]});
        store.insert_document(&document).await.unwrap();
        let found = store.find_document(&Scope::All, document.id).await.unwrap().unwrap();
        assert_eq!(found.name, "a\u{fffd}b");
        let kept = json!({"k\u{fffd}": ["v\u{fffd}", 1.5, null, true, {"deep": "\u{fffd}"}]});
        assert_eq!(found.metadata, kept);

        let mut run = run(&configuration);
        store.insert(&run, None).await.unwrap();
        run.state.max_validation_severity = Some("\0".into());
        run.state.output_paths = vec!["output/\0".into()];
        assert!(store.save_state::<Run>(run.workspace_id, run.id, &run.state, 1).await.unwrap());
        let found: Run = store.find::<Run>(&Scope::All, run.id).await.unwrap().unwrap();
        assert_eq!(found.state.max_validation_severity.as_deref(), Some("\u{fffd}"));
        assert_eq!(found.state.output_paths, ["output/\u{fffd}"]);
    }
}
