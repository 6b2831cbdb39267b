//! Cursors: a place in an order, as text that only this list and these parameters take.
//!
//! A digest over the place and the whole query comes first, so that a cursor of another list, another order or other
//! filters is recognised, and so is one that was changed. It is no secret: who forges one sees nothing but what the
//! same query shows anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::filters;
use crate::domain::list::{Field, Kind, Place, Query, Schema, Value};
use crate::domain::time;
use crate::http::problem::{Code, FieldError, Problem};

const DIGEST: usize = 12;

pub fn write(schema: &Schema, query: &Query, place: &Place) -> String {
    let values: Vec<Json> = place.iter().map(|value| value.as_ref().map_or(Json::Null, json)).collect();
    let values = Json::from(values).to_string().into_bytes();
    BASE64.encode([&digest(schema, query, &values)[..], &values].concat())
}

pub fn read(schema: &Schema, query: &Query, token: &str) -> Result<Place, Problem> {
    let place = || {
        let bytes = BASE64.decode(token).ok()?;
        let (claimed, values) = bytes.split_at_checked(DIGEST)?;
        if claimed != digest(schema, query, values) {
            return None;
        }
        let values: Vec<Json> = serde_json::from_slice(values).ok()?;
        let keys = query.order.keys();
        if values.len() != keys.len() {
            return None;
        }
        keys.iter().zip(values).map(|(key, json)| value(key.field, json)).collect()
    };
    place().ok_or_else(|| {
        Problem::new(Code::InvalidCursor, "`cursor` does not belong to this list, its order and its filters")
            .error(FieldError::new("cursor", "invalid", "empty, or the last answer's `next_cursor`"))
    })
}

fn digest(schema: &Schema, query: &Query, values: &[u8]) -> [u8; DIGEST] {
    let query = serde_json::to_vec(query).expect("a query is plain data");
    let mut digest = Sha256::new();
    for part in [b"ade list cursor 1", schema.name.as_bytes(), &query, values] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let whole: [u8; 32] = digest.finalize().into();
    std::array::from_fn(|index| whole[index])
}

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) => text.clone().into(),
        Value::Time(time) => time::format(*time).into(),
        Value::Flag(flag) => (*flag).into(),
    }
}

/// None inside when the record had none; none outside when this is no value of the field.
fn value(field: Field, json: Json) -> Option<Option<Value>> {
    match (field.kind(), json) {
        (_, Json::Null) => field.may_be_missing().then_some(None),
        (Kind::Time, Json::String(text)) => Some(Some(Value::Time(filters::time(&text)?))),
        // Whoever makes a cursor up may put in what no record has, and PostgreSQL cannot even compare with.
        (Kind::Word | Kind::Id | Kind::Text, Json::String(text)) if !text.contains('\0') => {
            Some(Some(Value::Text(text)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WorkspaceId;
    use crate::domain::list::{BUILDS, RUNS, Within};
    use crate::http::list::ListRequest;
    use crate::http::query::RawQuery;

    fn query(text: &str, within: Within) -> Query {
        ListRequest::read(RawQuery::parse(text).unwrap(), &RUNS, within).unwrap().query
    }

    #[test]
    fn a_cursor_is_taken_back_by_its_own_list_only() {
        let within = Within { workspace_id: Some(WorkspaceId::generate()), ..Within::default() };
        let own = query("sort=started_at,-status&q=x", within);
        let moment = filters::time("2026-01-02T03:04:05.000006Z").unwrap();
        let rest = ["failed", "run_1"].map(|text| Some(Value::Text(text.into())));
        for first in [Some(Value::Time(moment)), None] {
            let place: Place = [vec![first], rest.to_vec()].concat();
            let token = write(&RUNS, &own, &place);
            assert_eq!(read(&RUNS, &own, &token).unwrap(), place);
            assert!(read(&BUILDS, &own, &token).is_err());
            for (text, within) in [
                ("sort=started_at,-status&q=x", Within::default()),
                ("sort=-started_at,-status&q=x", within),
                ("sort=started_at,-status&q=y", within),
                ("sort=started_at,-status&q=x&status=failed", within),
            ] {
                assert!(read(&RUNS, &query(text, within), &token).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let own = query("", Within::default());
        let values = [Value::Time(filters::time("2026-01-02").unwrap()), Value::Text("run_1".into())];
        let token = write(&RUNS, &own, &values.map(Some).to_vec());
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(read(&RUNS, &own, str::from_utf8(&changed).unwrap()).is_err(), "{index}");
        }
        for nonsense in ["x", "????", "ä", &token[1..], &token[..token.len() - 4], &format!("{token}AAAA")] {
            assert!(read(&RUNS, &own, nonsense).is_err(), "{nonsense}");
        }
        // A well-made digest over values that the order cannot have.
        for values in
            [&b"[]"[..], b"[null,\"x\"]", b"[\"soon\",\"x\"]", b"[true,\"x\"]", b"{}", b"[\"2026-01-02\",\"a\\u0000\"]"]
        {
            let token = BASE64.encode([&digest(&RUNS, &own, values)[..], values].concat());
            assert!(read(&RUNS, &own, &token).is_err());
        }
    }
}
