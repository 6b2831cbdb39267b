//! JSON Schema 2020-12: schemas that people and models write, so nothing of them is trusted.
//!
//! Invariant: a schema is resolved within itself, never from elsewhere; a pattern takes time linear in the text; a
//! value that would take too long to check, or too deep a stack, is not checked and not valid; what is wrong with a
//! value is told in a bounded number of bounded findings, whatever the value's size.

use std::fmt;
use std::sync::Arc;

use json_schema::{Check, Fault};
use serde_json::Value;

use super::outline::Outline;
use crate::domain::progress::Finding;

/// More than these are of no use to a reader, and every one of them is in the log and in the next prompt.
const MAX_FINDINGS: usize = 20;
const MAX_MESSAGE: usize = 300;
/// Steps of one check: some seconds at worst.
const MAX_STEPS: u64 = 200_000_000;
/// Every fault of a value is collected before the first is told; where there may be more than these, only the first is.
const MAX_COLLECTED: u64 = 300_000;
/// Levels of a value, times the schemas that stand behind each other at each of them: all of them are on the stack.
const MAX_STACK: usize = 2_000;

/// A schema that has been compiled.
#[derive(Clone)]
pub struct Schema {
    source: Arc<Value>,
    check: Arc<Check>,
    outline: Outline,
}

/// The schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSchema(String);

impl Schema {
    pub fn compile(source: &Value) -> Result<Self, InvalidSchema> {
        if !source.is_object() && !source.is_boolean() {
            return Err(InvalidSchema("a schema is an object or a boolean".into()));
        }
        let outline = Outline::of(source).map_err(|why| InvalidSchema(bounded(why)))?;
        match Check::compile(source) {
            Ok(check) => Ok(Self { source: Arc::new(source.clone()), check: Arc::new(check), outline }),
            Err(Fault { path, message, .. }) => {
                let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
                Err(InvalidSchema(bounded(format!("{at}{message}"))))
            }
        }
    }

    pub fn source(&self) -> &Value {
        &self.source
    }

    /// What is wrong with the value, the first of it.
    pub fn findings(&self, value: &Value) -> Vec<Finding> {
        let size = Size::of(value);
        if !self.is_checkable(&size) {
            return vec![Finding::of_reply(
                "too_large",
                "the value is too large or too deep to be checked by its schema",
            )];
        }
        if size.values.saturating_mul(self.outline.cost) > MAX_COLLECTED {
            return self.check.first_fault(value).into_iter().map(finding).collect();
        }
        self.check.faults(value).take(MAX_FINDINGS).map(finding).collect()
    }

    pub fn is_valid(&self, value: &Value) -> bool {
        self.is_checkable(&Size::of(value)) && self.check.is_valid(value)
    }

    fn is_checkable(&self, size: &Size) -> bool {
        let steps = (size.values + size.bytes / 16).saturating_mul(self.outline.cost);
        steps <= MAX_STEPS && size.depth.saturating_mul(self.outline.chain) <= MAX_STACK
    }
}

fn finding(Fault { keyword, path, message }: Fault) -> Finding {
    Finding::new(&keyword, bounded(path), bounded(message))
}

/// How much there is of a value.
#[derive(Default)]
struct Size {
    values: u64,
    /// Of texts and names.
    bytes: u64,
    depth: usize,
}

impl Size {
    /// Of JSON that a parser has read, whose depth is bounded.
    fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value, 1);
        size
    }

    fn add(&mut self, value: &Value, depth: usize) {
        self.values += 1;
        self.depth = self.depth.max(depth);
        match value {
            Value::String(text) => self.bytes += text.len() as u64,
            Value::Array(items) => items.iter().for_each(|item| self.add(item, depth + 1)),
            Value::Object(members) => members.iter().for_each(|(name, member)| {
                self.bytes += name.len() as u64;
                self.add(member, depth + 1);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// Names of members, and texts of schemas, are as long as their authors like.
fn bounded(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        let end = text.floor_char_boundary(MAX_MESSAGE);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(schema: Value) -> String {
        Schema::compile(&schema).unwrap_err().0
    }

    #[test]
    fn every_fault_is_found_with_its_place() {
        let schema = json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {"name": {"type": "string"}, "list": {"type": "array", "items": {"enum": [1, 2]}}},
        });
        let schema = Schema::compile(&schema).unwrap();
        let found = schema.findings(&json!({"list": [1, 3], "more": 1}));
        let mut found: Vec<_> = found.iter().map(|finding| (finding.code.as_str(), finding.path.as_str())).collect();
        found.sort_unstable();
        assert_eq!(found, [("additionalProperties", ""), ("enum", "/list/1"), ("required", "")]);
        assert!(schema.is_valid(&json!({"name": "x", "list": [2]})));
    }

    #[test]
    fn findings_are_few_and_short_whatever_the_value() {
        let schema = Schema::compile(&json!({"items": {"type": "integer"}})).unwrap();
        let value = Value::Array(vec![Value::String("x".repeat(100_000)); 50]);
        let found = schema.findings(&value);
        assert_eq!(found.len(), MAX_FINDINGS);
        assert!(found.iter().all(|finding| finding.message.len() < 400), "{:?}", found[0]);
        let deep = Schema::compile(&json!({"additionalProperties": false})).unwrap();
        let named: Value = [("k".repeat(100_000), Value::Null)].into_iter().collect();
        assert!(deep.findings(&named).iter().all(|finding| finding.message.len() < 400));
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for reference in ["https://example.com/x.json", "file:///etc/passwd", "other.json", "#/$defs/none", "#none"] {
            assert!(refused(json!({"$ref": reference})).contains("leads"), "{reference}");
        }
        assert!(refused(json!({"$defs": {"a": {"$id": "https://example.com/a"}}})).contains("$id"));
    }

    #[test]
    fn what_would_not_end_is_refused() {
        for looping in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$dynamicRef": "#c"}, "c": {"$dynamicAnchor": "c", "$ref": "#/$defs/a"}}}),
            json!({"dependentSchemas": {"x": {"if": {"$ref": "#"}}}}),
        ] {
            assert!(refused(looping.clone()).contains("itself"), "{looping}");
        }
        let mut definitions = serde_json::Map::new();
        for number in 0..14 {
            let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
            definitions.insert(format!("d{number}"), json!({"allOf": [next, next, next, next]}));
        }
        definitions.insert("d14".into(), json!({}));
        assert!(refused(json!({"$ref": "#/$defs/d0", "$defs": definitions})).contains("multiply"));
    }

    /// Schemas that lead from one to the next, each by `link`.
    fn chained(count: usize, link: impl Fn(Value) -> Value) -> Value {
        let mut definitions: serde_json::Map<_, _> =
            (0..count).map(|at| (format!("d{at}"), link(json!({"$ref": format!("#/$defs/d{}", at + 1)})))).collect();
        definitions.insert(format!("d{count}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    }

    #[test]
    fn chains_of_references_are_bounded() {
        assert!(refused(chained(30_000, |next| next)).contains("behind each other"));
        assert!(refused(chained(30_000, |next| json!({"allOf": [next]}))).contains("behind each other"));
        assert!(Schema::compile(&chained(20, |next| next)).is_ok());
        // Each of them holds for a part of what the one before holds for.
        let parts = Schema::compile(&chained(10_000, |next| json!({"properties": {"a": next}}))).unwrap();
        assert!(parts.is_valid(&json!({"a": {"a": {"a": {}}}})));
        let twice = Schema::compile(&chained(100, |next| json!({"properties": {"a": next, "b": next}}))).unwrap();
        assert!(twice.is_valid(&json!({"a": {"b": {}}})));
    }

    #[test]
    fn a_value_that_would_take_too_long_or_too_deep_a_stack_is_not_checked() {
        let names: Vec<_> = (0..50_000).map(|number| format!("n{number}")).collect();
        let slow = Schema::compile(&json!({"items": {"enum": names}})).unwrap();
        let many = Value::Array(vec![json!("none"); 50_000]);
        assert_eq!((slow.findings(&many)[0].code.as_str(), slow.is_valid(&many)), ("too_large", false));
        assert_eq!(slow.findings(&json!(["none"]))[0].code, "enum");

        let mut deep = chained(25, |next| next);
        deep["$defs"]["d25"] = json!({"properties": {"a": {"$ref": "#"}}});
        let deep = Schema::compile(&deep).unwrap();
        let nested = |depth| (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
        assert!(deep.is_valid(&nested(50)) && !deep.is_valid(&nested(120)));
    }

    #[test]
    fn of_a_large_value_only_the_first_fault_is_collected() {
        let schema = Schema::compile(&json!({"items": {"type": "string"}})).unwrap();
        let found = schema.findings(&Value::Array(vec![json!(1); 300_000]));
        assert_eq!((found.len(), found[0].path.as_str()), (1, "/0"));
    }

    #[test]
    fn patterns_are_bounded_in_number_and_size() {
        let many: Vec<_> = (0..300).map(|number| json!({"pattern": format!("a{number}")})).collect();
        assert!(refused(json!({"anyOf": many})).contains("patterns"));
        let named: serde_json::Map<_, _> = (0..300).map(|number| (format!("a{number}"), json!({}))).collect();
        assert!(refused(json!({"patternProperties": named})).contains("patterns"));
        assert!(refused(json!({"patternProperties": {"(((a{100}){100}){100})": {}}})).len() < 500);
        let quadratic = Schema::compile(&json!({"pattern": "^(a+)+$"})).unwrap();
        assert!(!quadratic.is_valid(&json!(format!("{}b", "a".repeat(1_000_000)))));
    }

    #[test]
    fn a_tree_may_be_described() {
        let tree = json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}});
        let tree = Schema::compile(&tree).unwrap();
        assert_eq!(tree.findings(&json!({"children": [{"children": [1]}]}))[0].path, "/children/0/children/0");
    }

    #[test]
    fn names_of_members_are_no_keywords() {
        let schema = json!({"properties": {"$ref": {"type": "string"}, "allOf": {"const": {"$ref": "https://x"}}}});
        assert_eq!(Schema::compile(&schema).map(drop), Ok(()));
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        for wrong in [json!({"type": "text"}), json!({"minLength": -1}), json!({"pattern": "(?=x)"}), json!(3)] {
            assert!(Schema::compile(&wrong).is_err(), "{wrong}");
        }
        assert!(refused(json!({"pattern": "(((a{100}){100}){100})"})).len() < 500);
    }
}
