//! `filters`, `joinOperator` and `status`: which records.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::domain::list::{Comparison, Field, Filter, Kind, Operator, Pattern, Schema, Test, Value};
use crate::domain::time::{Timestamp, orderable};
use crate::domain::{ConfigurationId, DocumentId, ExecutionId};
use crate::http::problem::Problem;
use crate::http::query::flag_of;

pub const MAX_ITEMS: usize = 25;
const MAX_BYTES: usize = 8 << 10;
/// Characters; longer than any name that is kept.
pub const MAX_TEXT: usize = 1000;

/// How the items belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    And,
    Or,
}

pub fn join(text: Option<&str>) -> Result<Join, Problem> {
    match text {
        None | Some("and") => Ok(Join::And),
        Some("or") => Ok(Join::Or),
        Some(_) => Err(Problem::invalid_query("joinOperator", "and or or")),
    }
}

/// One of these statuses; nothing when none is given.
pub fn of_statuses(texts: &[String], schema: &Schema) -> Result<Option<Filter>, Problem> {
    let one_of = || Problem::invalid_query("status", format!("one of {}", schema.statuses.join(", ")));
    let known = |text: &String| schema.statuses.contains(&text.as_str()).then(|| Value::Text(text.clone()));
    let values = texts.iter().map(|text| known(text).ok_or_else(one_of)).collect::<Result<Vec<_>, _>>()?;
    Ok((!values.is_empty()).then_some(Filter::Test(Field::Status, Test::In(values))))
}

/// One of these values of a field that has a parameter of its own.
pub fn of_parameter(name: &str, field: Field, texts: &[String], schema: &Schema) -> Result<Filter, Problem> {
    let place = Place { path: name.to_owned(), schema };
    let values = texts.iter().map(|text| place.read(field, &Json::from(text.as_str())));
    let values = values.collect::<Option<Vec<_>>>();
    let values = values.ok_or_else(|| Problem::invalid_query(name, place.values_of(field)))?;
    match (field.kind(), values.as_slice()) {
        (Kind::Flag, [flag]) => Ok(Filter::Test(field, Test::Compare(Comparison::Eq, flag.clone()))),
        (Kind::Flag, _) => Err(Problem::invalid_query(name, "given once")),
        _ => Ok(Filter::Test(field, Test::In(values))),
    }
}

pub fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| field.as_str()).collect::<Vec<_>>().join(", ")
}

/// The field of this name, in either spelling.
pub fn field(name: &str, among: &[Field]) -> Option<Field> {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    among.iter().copied().find(|field| field.as_str() == snake)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: String,
    operator: String,
    #[serde(default)]
    value: Json,
}

pub fn parse(text: &str, join: Join, schema: &Schema) -> Result<Filter, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::invalid_query("filters", format!("at most {MAX_BYTES} bytes")));
    }
    let items: Vec<Json> = serde_json::from_str(text)
        .map_err(|_| Problem::invalid_query("filters", "a JSON array of {\"id\", \"operator\", \"value\"}"))?;
    if items.len() > MAX_ITEMS {
        return Err(Problem::invalid_query("filters", format!("at most {MAX_ITEMS} items")));
    }
    let parse = |(index, item)| Place { path: format!("filters[{index}]"), schema }.item(item);
    let tests = items.into_iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(match join {
        Join::Or if !tests.is_empty() => Filter::Any(tests),
        Join::Or | Join::And => Filter::All(tests),
    })
}

/// Where in the parameter something is read.
struct Place<'a> {
    path: String,
    schema: &'a Schema,
}

impl Place<'_> {
    fn invalid(&self, member: &str, allowed: impl Into<String>) -> Problem {
        Problem::invalid_query(format!("{}{member}", self.path), allowed)
    }

    fn item(&self, item: Json) -> Result<Filter, Problem> {
        let item: Item = serde_json::from_value(item)
            .map_err(|error| self.invalid("", format!("an object of id, operator and value: {error}")))?;
        let field = field(&item.id, self.schema.filters)
            .ok_or_else(|| self.invalid(".id", format!("one of {}", names(self.schema.filters))))?;
        let fitting = field.kind().operators();
        let operator = Operator::parse(&item.operator).filter(|operator| fitting.contains(operator));
        let operator = operator.ok_or_else(|| {
            let words: Vec<_> = fitting.iter().map(|operator| operator.as_str()).collect();
            self.invalid(".operator", format!("one of {} for {field}", words.join(", ")))
        })?;
        let test = self.test(field, operator, &item.value)?;
        Ok(Filter::Test(field, self.schema.positively(field, test)))
    }

    fn test(&self, field: Field, operator: Operator, value: &Json) -> Result<Test, Problem> {
        let compare = |how| Ok(Test::Compare(how, self.value(field, value)?));
        match operator {
            Operator::Eq => compare(Comparison::Eq),
            Operator::Ne => compare(Comparison::Ne),
            Operator::Lt => compare(Comparison::Lt),
            Operator::Lte => compare(Comparison::Lte),
            Operator::Gt => compare(Comparison::Gt),
            Operator::Gte => compare(Comparison::Gte),
            Operator::ILike => self.pattern(value).map(Test::Like),
            Operator::NotILike => self.pattern(value).map(Test::NotLike),
            Operator::In => self.values(field, value).map(Test::In),
            Operator::NotIn => self.values(field, value).map(Test::NotIn),
            Operator::Between => match self.values(field, value)?.as_slice() {
                [low, high] => Ok(Test::Between(low.clone(), high.clone())),
                _ => Err(self.invalid(".value", "an array of two values")),
            },
            Operator::IsEmpty => self.nothing(value).map(|()| Test::Empty),
            Operator::IsNotEmpty => self.nothing(value).map(|()| Test::NotEmpty),
        }
    }

    fn nothing(&self, value: &Json) -> Result<(), Problem> {
        value.is_null().then_some(()).ok_or_else(|| self.invalid(".value", "left out, or null"))
    }

    fn pattern(&self, value: &Json) -> Result<Pattern, Problem> {
        let text = value.as_str().filter(|text| !text.contains('\0'));
        text.map(Pattern::parse).ok_or_else(|| self.invalid(".value", "a text without NUL"))
    }

    fn values(&self, field: Field, value: &Json) -> Result<Vec<Value>, Problem> {
        let values = value.as_array().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| self.invalid(".value", "an array that is not empty"))?;
        values.iter().map(|value| self.value(field, value)).collect()
    }

    fn value(&self, field: Field, value: &Json) -> Result<Value, Problem> {
        self.read(field, value).ok_or_else(|| self.invalid(".value", self.values_of(field)))
    }

    fn read(&self, field: Field, value: &Json) -> Option<Value> {
        let text = value.as_str();
        match field.kind() {
            Kind::Word => text.filter(|text| self.schema.statuses.contains(text)).map(|text| Value::Text(text.into())),
            Kind::Id => text.filter(|text| is_id(field, text)).map(|text| Value::Text(text.into())),
            Kind::Text => text.filter(|text| is_name(text)).map(|text| Value::Text(text.into())),
            Kind::Time => text.and_then(time).map(Value::Time),
            Kind::Flag => value.as_bool().or_else(|| flag_of(text?)).map(Value::Flag),
        }
    }

    fn values_of(&self, field: Field) -> String {
        match field.kind() {
            Kind::Word => format!("one of {}", self.schema.statuses.join(", ")),
            Kind::Id => format!("a {field}"),
            Kind::Text => format!("a text of 1 to {MAX_TEXT} characters without NUL"),
            Kind::Time => "a time such as 2026-01-31T12:00:00Z, or a day".into(),
            Kind::Flag => "true or false".into(),
        }
    }
}

fn is_id(field: Field, text: &str) -> bool {
    match field {
        Field::ConfigurationId => ConfigurationId::parse(text).is_ok(),
        Field::ExecutionId => ExecutionId::parse(text).is_ok(),
        _ => DocumentId::parse(text).is_ok(),
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.chars().count()) && !text.contains('\0')
}

/// ISO 8601. Without an offset it is UTC, without a time of day midnight; beyond microseconds it is cut.
pub fn time(text: &str) -> Option<Timestamp> {
    let with_offset = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc));
    let plain = || {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
    };
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    let time = with_offset().or_else(|| plain().or_else(day).map(|time| time.and_utc()))?;
    orderable(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::list::{BUILDS, EXECUTIONS, RUNS, WORKFLOW_DOCUMENTS};

    #[test]
    fn every_operator_that_fits_a_field_is_read_and_no_other() {
        let document = DocumentId::generate().to_string();
        let configuration = ConfigurationId::generate().to_string();
        let execution = ExecutionId::generate().to_string();
        let fields = [&RUNS, &EXECUTIONS, &WORKFLOW_DOCUMENTS]
            .into_iter()
            .flat_map(|schema| schema.filters.iter().map(move |field| (schema, *field)));
        for (schema, field) in fields {
            let value = match field {
                Field::InputDocumentId => json!(document),
                Field::ConfigurationId => json!(configuration),
                Field::ExecutionId => json!(execution),
                Field::Status => json!(schema.statuses[0]),
                other if other.kind() == Kind::Flag => json!(true),
                other if other.kind() == Kind::Text => json!("any text"),
                _ => json!("2026-01-02T03:04:05Z"),
            };
            for &operator in Operator::ALL {
                let value = match operator {
                    Operator::In | Operator::NotIn | Operator::Between => json!([value, value]),
                    Operator::IsEmpty | Operator::IsNotEmpty => Json::Null,
                    _ => value.clone(),
                };
                let item = json!([{"id": field.as_str(), "operator": operator.as_str(), "value": value}]);
                let read = parse(&item.to_string(), Join::And, schema);
                assert_eq!(read.is_ok(), field.kind().operators().contains(&operator), "{field} {operator}: {read:?}");
                if let Err(problem) = read {
                    assert_eq!(problem.errors[0].path, "filters[0].operator");
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, path, allowed) in [
            ("x", "filters", "JSON array"),
            ("{}", "filters", "JSON array"),
            ("[1]", "filters[0]", "object"),
            (r#"[{"id":"status"}]"#, "filters[0]", "operator"),
            (r#"[{"id":"status","operator":"eq","value":"failed","x":1}]"#, "filters[0]", "unknown field"),
            (r#"[{"id":"colour","operator":"eq","value":1}]"#, "filters[0].id", "has_output"),
            (r#"[{"id":"status","operator":"is","value":1}]"#, "filters[0].operator", "iLike"),
            (r#"[{"id":"status","operator":"eq","value":"lost"}]"#, "filters[0].value", "cancelled"),
            (r#"[{"id":"status","operator":"eq","value":null}]"#, "filters[0].value", "cancelled"),
            (r#"[{"id":"status","operator":"eq"}]"#, "filters[0].value", "cancelled"),
            (r#"[{"id":"status","operator":"in","value":"failed"}]"#, "filters[0].value", "array"),
            (r#"[{"id":"status","operator":"in","value":[]}]"#, "filters[0].value", "array"),
            (r#"[{"id":"status","operator":"iLike","value":"a\u0000"}]"#, "filters[0].value", "NUL"),
            (r#"[{"id":"createdAt","operator":"lt","value":"soon"}]"#, "filters[0].value", "a time"),
            (r#"[{"id":"createdAt","operator":"lt","value":5}]"#, "filters[0].value", "a time"),
            (r#"[{"id":"createdAt","operator":"between","value":["2026-01-01"]}]"#, "filters[0].value", "two"),
            (r#"[{"id":"startedAt","operator":"isEmpty","value":false}]"#, "filters[0].value", "left out"),
            (r#"[{"id":"hasOutput","operator":"eq","value":1}]"#, "filters[0].value", "true or false"),
            (r#"[{"id":"configurationId","operator":"eq","value":"cfg_1"}]"#, "filters[0].value", "configuration_id"),
        ] {
            let problem = parse(text, Join::And, &RUNS).unwrap_err();
            assert_eq!(problem.errors[0].path, path, "{text}");
            assert!(problem.errors[0].message.contains(allowed), "{text}: {:?}", problem.errors);
        }
        let many = vec![json!({"id": "status", "operator": "isEmpty"}); 26];
        assert!(parse(&json!(many).to_string(), Join::And, &RUNS).is_err());
        assert!(parse(&json!(many[..25]).to_string(), Join::And, &RUNS).is_ok());
        assert!(parse(&format!("[{}]", " ".repeat(8191)), Join::And, &RUNS).is_err());
        assert!(parse(&format!("[{}]", " ".repeat(8190)), Join::And, &RUNS).is_ok());
        let foreign = json!([{"id": "has_output", "operator": "eq", "value": true}]).to_string();
        assert!(parse(&foreign, Join::And, &BUILDS).is_err());
    }

    #[test]
    fn times_are_read_in_every_usual_form() {
        let noon = time("2026-03-04T12:00:00Z").unwrap();
        for text in ["2026-03-04T13:00:00+01:00", "2026-03-04T12:00:00", "2026-03-04 12:00:00.0", "2026-03-04T12:00"] {
            assert_eq!(time(text), Some(noon), "{text}");
        }
        assert_eq!(time("2026-03-04"), Some(noon - chrono::TimeDelta::hours(12)));
        assert_eq!(time("2026-03-04T12:00:00.0000009Z"), Some(noon), "cut to microseconds");
        for text in ["", "12:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+10:00", "2026-13-01", "yesterday"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn any_of_nothing_is_everything() {
        assert_eq!(parse("[]", Join::Or, &RUNS).unwrap(), Filter::everything());
    }
}
