//! JSON Schema 2020-12: schemas that people and models write, so nothing of them is trusted.
//!
//! Law: a schema is resolved within itself, never from elsewhere; a pattern takes time linear in the text; what is wrong
//! with a value is told in a bounded number of bounded findings, whatever the value's size.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::domain::progress::Finding;

/// More than these nobody reads, and every one of them is in the log and in the next prompt.
const MAX_FINDINGS: usize = 20;
const MAX_MESSAGE: usize = 300;
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Schemas that hold for one and the same value, references followed: a few that refer to each other twice would
/// otherwise take for ever.
const MAX_APPLIED: u64 = 100_000;

/// A schema that has been compiled.
#[derive(Clone)]
pub struct Schema {
    source: Value,
    validator: Arc<Validator>,
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
        Outline::of(source)?.check()?;
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(
                PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES),
            )
            .offline();
        match options.build(source) {
            Ok(validator) => Ok(Self { source: source.clone(), validator: Arc::new(validator) }),
            Err(error) => {
                let path = error.instance_path().as_str();
                let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
                Err(InvalidSchema(bounded(format!("{at}{}", error.masked()))))
            }
        }
    }

    pub fn source(&self) -> &Value {
        &self.source
    }

    /// What is wrong with the value, the first of it.
    pub fn findings(&self, value: &Value) -> Vec<Finding> {
        let errors = self.validator.iter_errors(value).take(MAX_FINDINGS);
        errors
            .map(|error| {
                let message = bounded(error.masked().to_string());
                Finding::new(error.kind().keyword(), bounded(error.instance_path().as_str().to_owned()), message)
            })
            .collect()
    }

    pub fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
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

/// What holds for the same value as a schema itself, and what for its parts.
const SAME_LIST: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const SAME_ONE: [&str; 4] = ["not", "if", "then", "else"];
const SAME_MAP: [&str; 1] = ["dependentSchemas"];
const PART_LIST: [&str; 1] = ["prefixItems"];
const PART_ONE: [&str; 7] = [
    "items",
    "additionalProperties",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
const PART_MAP: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
const REFERENCES: [&str; 2] = ["$ref", "$dynamicRef"];

/// Every schema within a schema, and where their references lead.
struct Outline<'a> {
    root: &'a Value,
    schemas: Vec<&'a Value>,
    anchors: HashMap<&'a str, &'a Value>,
}

impl<'a> Outline<'a> {
    fn of(root: &'a Value) -> Result<Self, InvalidSchema> {
        let mut outline = Self { root, schemas: Vec::new(), anchors: HashMap::new() };
        outline.walk(root)?;
        Ok(outline)
    }

    fn walk(&mut self, schema: &'a Value) -> Result<(), InvalidSchema> {
        if schema.get("$id").is_some() && !std::ptr::eq(schema, self.root) {
            return Err(InvalidSchema("only the whole schema may have an $id".into()));
        }
        for key in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = schema[key].as_str() {
                self.anchors.insert(name, schema);
            }
        }
        self.schemas.push(schema);
        same(schema).chain(parts(schema)).try_for_each(|inner| self.walk(inner))
    }

    /// No schema applies to a value by way of itself, nor so many that nobody could wait for them.
    fn check(&self) -> Result<(), InvalidSchema> {
        let mut weights = HashMap::new();
        self.schemas.iter().try_for_each(|schema| self.weight(schema, &mut weights).map(drop))
    }

    /// How many schemas are tried when this one is.
    fn weight(
        &self,
        schema: &'a Value,
        weights: &mut HashMap<*const Value, Option<u64>>,
    ) -> Result<u64, InvalidSchema> {
        match weights.insert(schema, None) {
            Some(Some(known)) => {
                weights.insert(schema, Some(known));
                return Ok(known);
            }
            Some(None) => return Err(InvalidSchema("a reference leads back to itself".into())),
            None => {}
        }
        let mut weight = 1u64;
        for inner in same(schema) {
            weight = weight.saturating_add(self.weight(inner, weights)?);
        }
        for reference in REFERENCES.iter().filter_map(|key| schema[*key].as_str()) {
            weight = weight.saturating_add(self.weight(self.resolve(reference)?, weights)?);
        }
        if weight > MAX_APPLIED {
            return Err(InvalidSchema("the references multiply beyond what can be checked".into()));
        }
        weights.insert(schema, Some(weight));
        Ok(weight)
    }

    fn resolve(&self, reference: &str) -> Result<&'a Value, InvalidSchema> {
        let nowhere = |why: &str| InvalidSchema(bounded(format!("the reference {reference} {why}")));
        let fragment = reference.strip_prefix('#').ok_or_else(|| nowhere("leads out of the schema"))?;
        let target = match fragment {
            "" => Some(self.root),
            pointer if pointer.starts_with('/') => self.root.pointer(pointer),
            anchor => self.anchors.get(anchor).copied(),
        };
        target.ok_or_else(|| nowhere("leads nowhere"))
    }
}

fn same(schema: &Value) -> impl Iterator<Item = &Value> {
    inner(schema, &SAME_LIST, &SAME_ONE, &SAME_MAP)
}

fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    inner(schema, &PART_LIST, &PART_ONE, &PART_MAP)
}

fn inner<'a>(
    schema: &'a Value,
    lists: &'static [&str],
    ones: &'static [&str],
    maps: &'static [&str],
) -> impl Iterator<Item = &'a Value> {
    let lists = lists.iter().filter_map(|key| schema[*key].as_array()).flatten();
    let ones = ones.iter().filter_map(|key| schema.get(*key));
    let maps = maps.iter().filter_map(|key| schema[*key].as_object()).flat_map(|map| map.values());
    lists.chain(ones).chain(maps)
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
        for number in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
            definitions.insert(format!("d{number}"), json!({"allOf": [next, next]}));
        }
        definitions.insert("d40".into(), json!({}));
        assert!(refused(json!({"$ref": "#/$defs/d0", "$defs": definitions})).contains("multiply"));
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
