//! What lists are asked.

use super::filters::{self, Join};
use super::token;
use super::{ListRequest, Part};
use crate::domain::list::{
    BUILDS, CONFIGURATIONS, EXECUTIONS, Filter, Kind, Pattern, Place, RUNS, Schema, Test, Value,
    WORKFLOW_DOCUMENT_VERSIONS, WORKFLOW_DOCUMENTS, Within,
};
use crate::fuzzing::first_byte;
use crate::http::query::RawQuery;

const SCHEMAS: [&Schema; 6] =
    [&RUNS, &BUILDS, &EXECUTIONS, &WORKFLOW_DOCUMENTS, &WORKFLOW_DOCUMENT_VERSIONS, &CONFIGURATIONS];

/// A whole query. A cursor of its order is read as it was written, and by no other order.
pub fn list_queries(bytes: &[u8]) {
    let (which, bytes) = first_byte(bytes);
    let schema = SCHEMAS[which % SCHEMAS.len()];
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || RawQuery::parse(text).and_then(|query| ListRequest::read(query, schema, Within::default()));
    let Ok(request) = read() else { return };
    assert_eq!(read().ok().as_ref(), Some(&request));
    assert!((1..=200).contains(&request.per_page));
    assert!(!matches!(request.part, Part::Page(0)));
    assert_bounded(&request.query.filter);
    let value = |kind| match kind {
        Kind::Time => filters::time("2026-01-02T03:04:05.000006Z").map(Value::Time),
        Kind::Flag => Some(Value::Flag(true)),
        Kind::Word | Kind::Id | Kind::Text => Some(Value::Text(text.chars().take(20).collect())),
    };
    let keys = request.query.order.keys();
    let place: Place = keys.iter().map(|key| value(key.field.kind())).collect();
    let cursor = token::write(schema, &request.query, &place);
    assert_eq!(token::read(schema, &request.query, &cursor).ok(), Some(place));
    assert!(token::read(&RUNS, &request.query, &cursor).is_err() || schema.name == RUNS.name);
}

/// The JSON of `filters`, beside what makes it a query.
pub fn list_filters(bytes: &[u8]) {
    let (how, bytes) = first_byte(bytes);
    let schema = SCHEMAS[how / 2 % SCHEMAS.len()];
    let join = if how % 2 == 0 { Join::And } else { Join::Or };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match filters::parse(text, join, schema) {
        Ok(filter) => assert_bounded(&filter),
        Err(problem) => assert!(problem.errors[0].path.starts_with("filters"), "{problem:?}"),
    }
}

fn assert_bounded(filter: &Filter) {
    match filter {
        Filter::All(parts) | Filter::Any(parts) => {
            assert!(parts.len() <= 50);
            parts.iter().for_each(assert_bounded);
        }
        Filter::Word(word) => assert!(!word.contains(char::is_whitespace) && !word.contains('\0')),
        Filter::Test(_, Test::Like(pattern) | Test::NotLike(pattern)) => {
            assert_eq!(&Pattern::parse(&pattern.to_like()), pattern);
        }
        Filter::Test(_, Test::In(values) | Test::NotIn(values)) => values.iter().for_each(assert_plain),
        Filter::Test(_, Test::Compare(_, value)) => assert_plain(value),
        Filter::Test(_, Test::Between(low, high)) => [low, high].into_iter().for_each(assert_plain),
        Filter::Test(_, Test::Empty | Test::NotEmpty) => {}
    }
}

/// Every database has it.
fn assert_plain(value: &Value) {
    match value {
        Value::Text(text) => assert!(!text.contains('\0')),
        Value::Time(time) => assert_eq!(filters::time(&crate::domain::time::format(*time)), Some(*time)),
        Value::Flag(_) => {}
    }
}
