//! A schema without its detours: references followed, `allOf` merged, alternatives laid out. Pure.
//!
//! Merging is not exact everywhere (what `not` and two patterns forbid together is left as it is): the user of a
//! shape checks the result against the schema itself.

use serde_json::{Map, Value, json};

use crate::work::Work;

/// Ways to satisfy a schema that are kept.
const VARIANTS: usize = 32;
const DEPTH: usize = 32;

pub type Shape = Map<String, Value>;

/// A schema and what its references mean.
pub struct Book<'a> {
    root: &'a Value,
    pub work: &'a Work,
}

impl<'a> Book<'a> {
    pub fn new(root: &'a Value, work: &'a Work) -> Self {
        Self { root, work }
    }

    /// The ways to satisfy a schema; at least one.
    pub fn variants(&self, schema: &Value) -> Result<Vec<Shape>, String> {
        self.unfold(schema, 0)
    }

    fn unfold(&self, schema: &Value, depth: usize) -> Result<Vec<Shape>, String> {
        self.work.spend(STEP)?;
        if depth > DEPTH {
            return Err("the schema refers to itself".to_owned());
        }
        let schema = match schema {
            Value::Bool(true) => return Ok(vec![Shape::new()]),
            Value::Object(schema) => schema,
            _ => return Err("the schema allows nothing".to_owned()),
        };
        let plain = schema.iter().filter(|(key, _)| !DETOURS.contains(&key.as_str()));
        self.work.spend(plain.clone().map(|(_, value)| nodes(value)).sum())?;
        let mut variants = vec![plain.map(|(key, value)| (key.clone(), value.clone())).collect::<Shape>()];
        if let Some(reference) = schema.get("$ref").or(schema.get("$dynamicRef")) {
            variants = self.product(&variants, &self.unfold(self.resolve(reference)?, depth + 1)?)?;
        }
        for part in list(schema, "allOf") {
            variants = self.product(&variants, &self.unfold(part, depth + 1)?)?;
        }
        for key in ["oneOf", "anyOf"] {
            if schema.contains_key(key) {
                variants = self.product(&variants, &self.alternatives(list(schema, key), depth)?)?;
            }
        }
        if let Some(condition) = schema.get("if") {
            variants = self.product(&variants, &self.conditional(schema, condition, depth)?)?;
        }
        Ok(variants)
    }

    fn alternatives(&self, schemas: &[Value], depth: usize) -> Result<Vec<Shape>, String> {
        let unfolded: Vec<_> = schemas.iter().map(|schema| self.unfold(schema, depth + 1)).collect();
        let reason = unfolded.iter().find_map(|unfolded| unfolded.as_ref().err().cloned());
        let variants: Vec<_> = unfolded.into_iter().flatten().flatten().take(VARIANTS).collect();
        if variants.is_empty() {
            Err(reason.unwrap_or_else(|| "no alternative is given".to_owned()))
        } else {
            Ok(variants)
        }
    }

    /// Either the condition and what follows from it, or what follows from its opposite.
    fn conditional(&self, schema: &Shape, condition: &Value, depth: usize) -> Result<Vec<Shape>, String> {
        let branch = |key| schema.get(key).cloned().unwrap_or(Value::Bool(true));
        let met = json!({"allOf": [condition, branch("then")]});
        self.alternatives(&[met, branch("else")], depth)
    }

    fn product(&self, left: &[Shape], right: &[Shape]) -> Result<Vec<Shape>, String> {
        let size = |shapes: &[Shape]| shapes.iter().flat_map(Map::values).map(nodes).sum::<usize>();
        self.work
            .spend(size(left).saturating_mul(right.len()).saturating_add(size(right).saturating_mul(left.len())))?;
        let pairs = left.iter().flat_map(|left| right.iter().map(move |right| merged(left.clone(), right)));
        let variants: Vec<_> = pairs.flatten().take(VARIANTS).collect();
        if variants.is_empty() { Err("parts of the schema exclude each other".to_owned()) } else { Ok(variants) }
    }

    /// `#`, `#/$defs/x`, `#anchor`, and the same behind the schema's own `$id`.
    fn resolve(&self, reference: &Value) -> Result<&'a Value, String> {
        let reference = reference.as_str().unwrap_or_default();
        let unknown = || format!("the reference {reference} leads nowhere");
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if !address.is_empty() && self.root["$id"].as_str() != Some(address) {
            return Err(unknown());
        }
        if fragment.is_empty() {
            return Ok(self.root);
        }
        if fragment.starts_with('/') {
            return self.root.pointer(&fragment.replace("%25", "%")).ok_or_else(unknown);
        }
        let definitions = self.root["$defs"].as_object().ok_or_else(unknown)?;
        let is_named = |schema: &&Value| schema["$anchor"] == fragment || schema["$dynamicAnchor"] == fragment;
        definitions.values().find(is_named).ok_or_else(unknown)
    }
}

const DETOURS: [&str; 10] =
    ["$ref", "$dynamicRef", "allOf", "oneOf", "anyOf", "if", "then", "else", "$defs", "definitions"];

/// What it takes to look at a schema, at least.
const STEP: usize = 100;

/// Values within a value, itself included.
pub fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(nodes).sum::<usize>(),
        Value::String(text) => 1 + text.len() / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

pub fn list<'a>(schema: &'a Shape, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Both at once; none if they exclude each other.
fn merged(mut left: Shape, right: &Shape) -> Option<Shape> {
    for (key, theirs) in right {
        let both = match left.get(key) {
            None => theirs.clone(),
            Some(ours) if ours == theirs => continue,
            Some(ours) => both(key, ours, theirs)?,
        };
        left.insert(key.clone(), both);
    }
    Some(left)
}

fn both(key: &str, ours: &Value, theirs: &Value) -> Option<Value> {
    Some(match key {
        "const" => return None,
        "type" => types(ours, theirs)?,
        "enum" => common(ours, theirs)?,
        "required" => union(ours, theirs),
        "properties" | "patternProperties" => members(ours, theirs),
        "items" | "contains" | "additionalProperties" | "propertyNames" => json!({"allOf": [ours, theirs]}),
        "not" => json!({"anyOf": [ours, theirs]}),
        "uniqueItems" => Value::Bool(true),
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => tighter(ours, theirs, true),
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => tighter(ours, theirs, false),
        _ => ours.clone(),
    })
}

fn types(ours: &Value, theirs: &Value) -> Option<Value> {
    let names = |value: &Value| match value {
        Value::Array(names) => names.clone(),
        name => vec![name.clone()],
    };
    let (ours, theirs) = (names(ours), names(theirs));
    let narrowed = ours.iter().filter_map(|name| match name.as_str() {
        _ if theirs.contains(name) => Some(name.clone()),
        Some("number") if theirs.contains(&json!("integer")) => Some(json!("integer")),
        Some("integer") if theirs.contains(&json!("number")) => Some(json!("integer")),
        _ => None,
    });
    let narrowed: Vec<_> = narrowed.collect();
    (!narrowed.is_empty()).then_some(Value::Array(narrowed))
}

fn common(ours: &Value, theirs: &Value) -> Option<Value> {
    let theirs = theirs.as_array()?;
    let values: Vec<_> = ours.as_array()?.iter().filter(|value| theirs.contains(value)).cloned().collect();
    (!values.is_empty()).then_some(Value::Array(values))
}

fn union(ours: &Value, theirs: &Value) -> Value {
    let (ours, theirs) = (ours.as_array().cloned().unwrap_or_default(), theirs.as_array().cloned().unwrap_or_default());
    let more: Vec<_> = theirs.into_iter().filter(|value| !ours.contains(value)).collect();
    Value::Array(ours.into_iter().chain(more).collect())
}

fn members(ours: &Value, theirs: &Value) -> Value {
    let mut members = ours.as_object().cloned().unwrap_or_default();
    for (name, schema) in theirs.as_object().into_iter().flatten() {
        let both = members.get(name).map_or_else(|| schema.clone(), |ours| json!({"allOf": [ours, schema]}));
        members.insert(name.clone(), both);
    }
    Value::Object(members)
}

fn tighter(ours: &Value, theirs: &Value, larger: bool) -> Value {
    let is_larger = theirs.as_f64() > ours.as_f64();
    if is_larger == larger { theirs.clone() } else { ours.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants(schema: Value) -> Result<Vec<Value>, String> {
        Book::new(&schema, &Work::new()).variants(&schema).map(|shapes| shapes.into_iter().map(Value::Object).collect())
    }

    #[test]
    fn references_are_followed() {
        let schema = json!({"$ref": "#/$defs/a~1b", "minLength": 2, "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": {"type": "string"}}});
        assert_eq!(variants(schema), Ok(vec![json!({"type": "string", "minLength": 2})]));
        let anchored = json!({"$ref": "#here", "$defs": {"x": {"$anchor": "here", "const": 1}}});
        assert_eq!(variants(anchored).unwrap()[0]["const"], 1);
        assert!(variants(json!({"$ref": "#"})).unwrap_err().contains("itself"));
        assert!(variants(json!({"$ref": "https://elsewhere/x"})).unwrap_err().contains("nowhere"));
    }

    #[test]
    fn what_must_hold_together_is_merged() {
        let schema = json!({
            "type": ["string", "number"], "minimum": 1, "required": ["a"], "enum": [1, 2, 3],
            "allOf": [
                {"type": ["integer", "null"], "minimum": 5, "maximum": 9, "required": ["b", "a"], "enum": [3, 2]},
                {"maximum": 7, "properties": {"a": {"const": 1}}},
            ],
        });
        let expected = json!({
            "type": ["integer"], "minimum": 5, "maximum": 7, "required": ["a", "b"], "enum": [2, 3],
            "properties": {"a": {"const": 1}},
        });
        assert_eq!(variants(schema), Ok(vec![expected]));
    }

    #[test]
    fn alternatives_are_laid_out() {
        let schema = json!({"oneOf": [{"const": 1}, {"const": 2}], "anyOf": [{"const": 2}, {"type": "string"}]});
        let consts: Vec<_> = variants(schema).unwrap().iter().map(|shape| shape["const"].clone()).collect();
        assert_eq!(consts, [1, 2, 2]);
        let conditional = json!({"if": {"const": 1}, "then": {"title": "t"}, "else": {"title": "e"}});
        let titles: Vec<_> = variants(conditional).unwrap().iter().map(|shape| shape["title"].clone()).collect();
        assert_eq!(titles, ["t", "e"]);
    }

    #[test]
    fn references_that_multiply_are_given_up() {
        let level = |number: usize| json!({"allOf": [{"$ref": format!("#/$defs/{number}")}, {"$ref": format!("#/$defs/{number}")}]});
        let mut definitions: Shape = (0..25).map(|number| (number.to_string(), level(number + 1))).collect();
        definitions.insert("25".to_owned(), json!({"type": "string"}));
        let error = variants(json!({"$ref": "#/$defs/0", "$defs": definitions})).unwrap_err();
        assert!(error.contains("work") || error.contains("itself"), "{error}");
    }

    #[test]
    fn what_excludes_itself_is_said() {
        assert!(variants(json!({"type": "string", "allOf": [{"type": "number"}]})).is_err());
        assert!(variants(json!({"const": 1, "allOf": [{"const": 2}]})).is_err());
        assert!(variants(json!({"anyOf": [false]})).is_err());
        assert!(variants(json!(false)).is_err());
    }
}
