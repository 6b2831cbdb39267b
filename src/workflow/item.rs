//! The items of a step that runs once for each.
//!
//! Invariant: an item has one key, which is part of the scope of its documents (`WorkScope::of_item`). Items go by
//! their `id` when every one of them has one that can stand in a scope and no two have the same; otherwise all of them
//! go by their place, from 0.

use std::collections::BTreeSet;

use serde_json::Value;

use super::definition::ForEach;
use crate::domain::progress::{StepError, StepErrorCode};

/// More than these are not started.
pub const MAX_ITEMS: usize = 1000;
const MAX_KEY: usize = 64;

/// One item of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<'a> {
    pub key: String,
    pub value: &'a Value,
}

/// The items of a document, in its order.
pub fn items<'a>(for_each: &ForEach, content: &'a Value) -> Result<Vec<Item<'a>>, StepError> {
    let ForEach { document_type, collection } = for_each;
    let invalid = |what: String| StepError::new(StepErrorCode::CollectionInvalid, what);
    let list = content.get(collection).and_then(Value::as_array);
    let list = list.ok_or_else(|| invalid(format!("the document {document_type} has no list {collection:?}")))?;
    if list.len() > MAX_ITEMS {
        return Err(invalid(format!("{collection:?} has {} items, at most {MAX_ITEMS} are allowed", list.len())));
    }
    let keys = ids(list).unwrap_or_else(|| (0..list.len()).map(|place| place.to_string()).collect());
    Ok(keys.into_iter().zip(list).map(|(key, value)| Item { key, value }).collect())
}

fn ids(list: &[Value]) -> Option<Vec<String>> {
    let keys: Vec<_> = list.iter().map(id).collect::<Option<_>>()?;
    let distinct: BTreeSet<_> = keys.iter().collect();
    (distinct.len() == keys.len()).then_some(keys)
}

fn id(item: &Value) -> Option<String> {
    let id = match &item["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) if id.is_u64() => id.to_string(),
        _ => return None,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    // Neither empty nor a way up, in whatever treats a scope as a path.
    let fits = !id.is_empty() && id.len() <= MAX_KEY && !id.starts_with('.') && id.bytes().all(is_plain);
    fits.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(list: Value) -> Vec<String> {
        let for_each = ForEach { document_type: "d".into(), collection: "list".into() };
        let content = json!({"list": list});
        items(&for_each, &content).unwrap().into_iter().map(|item| item.key).collect()
    }

    #[test]
    fn items_go_by_their_ids_or_all_by_their_places() {
        assert_eq!(keys(json!([{"id": "R-1"}, {"id": 7}])), ["R-1", "7"]);
        assert_eq!(keys(json!(["a", "b"])), ["0", "1"]);
        assert_eq!(keys(json!([])), [""; 0]);
        for odd in [json!("a/b"), json!(".."), json!(""), json!("x".repeat(65)), json!(1.5), json!(null), json!("a")] {
            assert_eq!(keys(json!([{"id": "a"}, {"id": odd}])), ["0", "1"], "{odd}");
        }
    }

    #[test]
    fn a_document_without_the_list_is_told() {
        let for_each = ForEach { document_type: "d".into(), collection: "list".into() };
        for content in [json!({}), json!({"list": {"a": 1}}), json!([1]), json!({"list": vec![0; MAX_ITEMS + 1]})] {
            assert_eq!(items(&for_each, &content).unwrap_err().code, StepErrorCode::CollectionInvalid);
        }
    }
}
