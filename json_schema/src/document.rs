//! A document that satisfies a schema (JSON Schema 2020-12). Pure.
//!
//! It is written by following the schema, then checked against it by a validator. Where the schema leaves a choice that
//! does not work out, other choices are tried, within bounds; what is left unsatisfied is an error.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::check::{Check, Fault};
use crate::shape::{Book, Shape, list, nodes};
use crate::work::Work;
use crate::{Filling, number, pattern};

/// Choices that are tried, with and without what is optional.
const TURNS: usize = 8;
/// Values in one document; beyond half of these, or of the room, nothing optional is written.
const VALUES: usize = 4_000;
const DEPTH: usize = 24;
/// Deeper than this nothing optional is written.
const OPTIONAL_DEPTH: usize = 6;
/// Items of an array that says nothing of their number.
const ITEMS: usize = 2;
/// Characters of one text.
const LONGEST: usize = 1 << 20;
/// What it takes to compile a pattern.
const COMPILED: usize = 10_000;

/// The first document that is found; the error says why there is none. `room` bounds the bytes of the texts and names
/// in it.
pub fn satisfying(schema: &Value, filling: &dyn Filling, room: usize) -> Result<Value, String> {
    let check = Check::with_formats(schema).map_err(|fault| format!("invalid schema: {}", fault.message))?;
    let (work, patterns) = (Work::new(), Patterns::default());
    let mut reason = None;
    for is_full in [true, false] {
        for turn in 0..TURNS {
            let book = Book::new(schema, &work);
            let (left, room_left) = (Cell::new(VALUES), Cell::new(room));
            let writer = Writer {
                book: &book,
                patterns: &patterns,
                filling,
                is_full,
                turn,
                left: &left,
                room: &room_left,
                whole_room: room,
            };
            let written = writer.value(schema, &mut Vec::new(), 0);
            match written.and_then(|document| checked(&check, document)) {
                Ok(document) => return Ok(document),
                Err(problem) => reason.get_or_insert(problem),
            };
        }
    }
    Err(format!("no document was found for the schema: {}", reason.unwrap_or_default()))
}

/// Patterns for names of members, compiled once; none of one that is no pattern.
#[derive(Default)]
struct Patterns(RefCell<HashMap<String, Option<Check>>>);

impl Patterns {
    fn matches(&self, pattern: &str, name: &str, work: &Work) -> Result<bool, String> {
        let mut known = self.0.borrow_mut();
        if !known.contains_key(pattern) {
            work.spend(COMPILED.saturating_add(pattern.len()))?;
            let compiled = Check::compile(&json!({"pattern": pattern})).ok();
            known.insert(pattern.to_owned(), compiled);
        }
        work.spend(10 + name.len())?;
        let pattern = known.get(pattern).and_then(Option::as_ref);
        Ok(pattern.is_some_and(|pattern| pattern.is_valid(&json!(name))))
    }
}

fn checked(check: &Check, document: Value) -> Result<Value, String> {
    match check.first_fault(&document) {
        Some(Fault { path, message, .. }) => Err(format!("{message} at {path:?}")),
        None => Ok(document),
    }
}

struct Writer<'a> {
    book: &'a Book<'a>,
    patterns: &'a Patterns,
    filling: &'a dyn Filling,
    is_full: bool,
    turn: usize,
    left: &'a Cell<usize>,
    room: &'a Cell<usize>,
    /// All of the room.
    whole_room: usize,
}

/// Where in the document: names of members, numbers of items.
type Path = Vec<String>;

impl Writer<'_> {
    fn value(&self, schema: &Value, path: &mut Path, depth: usize) -> Result<Value, String> {
        if depth > DEPTH || self.left.get() == 0 {
            return Err(format!("the document has no end at {}", path.join("/")));
        }
        self.left.set(self.left.get() - 1);
        let mut variants = self.book.variants(schema)?;
        let first = self.turn % variants.len();
        variants.rotate_left(first);
        if depth > OPTIONAL_DEPTH {
            // What has an end first.
            variants.sort_by_key(|shape| matches!(kind(shape), "object" | "array"));
        }
        let mut reason = String::new();
        for shape in variants {
            match self.shaped(&shape, path, depth) {
                Ok(value) => return Ok(value),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    fn shaped(&self, shape: &Shape, path: &mut Path, depth: usize) -> Result<Value, String> {
        let values = list(shape, "enum");
        let given = shape.get("const").or_else(|| values.get((self.turn + item(path)) % values.len().max(1)));
        if let Some(value) = given {
            self.book.work.spend(nodes(value))?;
            self.take(weight(value), path)?;
            return Ok(value.clone());
        }
        match kind(shape) {
            "object" => self.object(shape, path, depth),
            "array" => self.array(shape, path, depth),
            "integer" => number::integer(shape, self.preferred(path)),
            "number" => number::number(shape, self.preferred(path)),
            "boolean" => Ok(Value::Bool((self.turn + item(path)).is_multiple_of(2))),
            "null" => Ok(Value::Null),
            _ => {
                let text = self.string(shape, path)?;
                self.take(text.len(), path)?;
                Ok(Value::String(text))
            }
        }
    }

    /// Room for so many bytes more.
    fn take(&self, bytes: usize, path: &Path) -> Result<(), String> {
        let left = self.room.get().checked_sub(bytes);
        self.room.set(
            left.ok_or_else(|| format!("the document is larger than {} bytes at {}", self.whole_room, path.join("/")))?,
        );
        Ok(())
    }

    fn is_sparing(&self, depth: usize) -> bool {
        !self.is_full || depth > OPTIONAL_DEPTH || self.left.get() < VALUES / 2 || self.room.get() < self.whole_room / 2
    }

    fn object(&self, shape: &Shape, path: &mut Path, depth: usize) -> Result<Value, String> {
        let properties = shape.get("properties").and_then(Value::as_object);
        let required: BTreeSet<_> = list(shape, "required").iter().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for name in &required {
            self.member(&mut object, name, shape, path, depth)?;
        }
        let optional = properties.into_iter().flat_map(Map::keys).filter(|name| !required.contains(name.as_str()));
        for name in optional {
            if self.is_sparing(depth) || object.len() >= bound(shape, "maxProperties").unwrap_or(usize::MAX) {
                break;
            }
            // What cannot be written may be left out.
            let _ = self.member(&mut object, name, shape, path, depth);
        }
        self.fill(&mut object, shape, path, depth)?;
        Ok(Value::Object(object))
    }

    fn member(
        &self,
        object: &mut Map<String, Value>,
        name: &str,
        shape: &Shape,
        path: &mut Path,
        depth: usize,
    ) -> Result<(), String> {
        self.take(name.len(), path)?;
        let schema = match shape.get("properties").and_then(|properties| properties.get(name)) {
            Some(schema) => schema,
            None => self.other(shape, name)?,
        };
        path.push(name.to_owned());
        let value = self.value(schema, path, depth + 1);
        path.pop();
        object.insert(name.to_owned(), value?);
        Ok(())
    }

    /// The schema of a member that is not among the properties.
    fn other<'s>(&self, shape: &'s Shape, name: &str) -> Result<&'s Value, String> {
        for (pattern, schema) in shape.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
            if self.patterns.matches(pattern, name, self.book.work)? {
                return Ok(schema);
            }
        }
        Ok(shape.get("additionalProperties").unwrap_or(&Value::Bool(true)))
    }

    /// Members that others bring with them, then as many more as there must be.
    fn fill(
        &self,
        object: &mut Map<String, Value>,
        shape: &Shape,
        path: &mut Path,
        depth: usize,
    ) -> Result<(), String> {
        while let Some(name) = dependent(object, shape, self.book.work)? {
            self.member(object, &name, shape, path, depth)?;
        }
        let least = bound(shape, "minProperties").unwrap_or(0);
        let known = shape.get("properties").and_then(Value::as_object).map_or(0, Map::len);
        self.book.work.spend(least.min(VALUES).saturating_mul(known))?;
        if least > VALUES {
            return Err(format!("{least} members are too many at {}", path.join("/")));
        }
        for number in 0..2 * least {
            if object.len() >= least {
                break;
            }
            let name = self.name(shape, number)?;
            if !object.contains_key(&name) {
                self.member(object, &name, shape, path, depth)?;
            }
        }
        Ok(())
    }

    /// A name for a member without one.
    fn name(&self, shape: &Shape, number: usize) -> Result<String, String> {
        let known = shape.get("properties").and_then(Value::as_object).and_then(|known| known.keys().nth(number));
        if let Some(name) = known {
            return Ok(name.clone());
        }
        let of_names = shape.get("propertyNames").and_then(|names| names["pattern"].as_str());
        let patterns = shape.get("patternProperties").and_then(Value::as_object).and_then(|all| all.keys().next());
        match of_names.or(patterns.map(String::as_str)) {
            Some(pattern) => pattern::matching(pattern, 1, 64, number, self.book.work),
            None => Ok(format!("item_{}", number + 1)),
        }
    }

    fn array(&self, shape: &Shape, path: &mut Path, depth: usize) -> Result<Value, String> {
        let least = bound(shape, "minItems").unwrap_or(0).max(contained(shape));
        let prefix = list(shape, "prefixItems");
        let usual = if self.is_sparing(depth) {
            least
        } else {
            least.max(prefix.len()).max(if least == 0 { ITEMS } else { 0 })
        };
        let wanted = usual.min(bound(shape, "maxItems").unwrap_or(usize::MAX)).max(least);
        let is_unique = shape.get("uniqueItems") == Some(&Value::Bool(true));
        let mut items = Vec::new();
        for number in 0..wanted {
            let schema = item_schema(shape, prefix, number);
            path.push(number.to_string());
            let item = self.item(&schema, &items, is_unique, path, depth);
            path.pop();
            match item {
                Ok(item) => items.push(item),
                Err(_) if number >= least => break,
                Err(reason) => return Err(reason),
            }
        }
        Ok(Value::Array(items))
    }

    fn item(
        &self,
        schema: &Value,
        before: &[Value],
        is_unique: bool,
        path: &mut Path,
        depth: usize,
    ) -> Result<Value, String> {
        let tries = if is_unique { before.len() + 1 } else { 1 };
        for turn in 0..tries {
            let writer = Writer { turn: self.turn + turn, ..*self };
            let item = writer.value(schema, path, depth + 1)?;
            if !is_unique || !before.contains(&item) {
                return Ok(item);
            }
        }
        Err(format!("too few different items at {}", path.join("/")))
    }

    fn string(&self, shape: &Shape, path: &Path) -> Result<String, String> {
        let min = bound(shape, "minLength").unwrap_or(0);
        let max = bound(shape, "maxLength").unwrap_or(usize::MAX);
        if min > max.min(LONGEST) {
            return Err(format!("no text has at least {min} and at most {} characters", max.min(LONGEST)));
        }
        self.book.work.spend(min)?;
        let format = shape.get("format").and_then(Value::as_str).and_then(|format| self.formatted(format, path));
        if let Some(text) = format {
            return Ok(text);
        }
        if let Some(pattern) = shape.get("pattern").and_then(Value::as_str) {
            return pattern::matching(pattern, min, max, self.turn + item(path), self.book.work);
        }
        Ok(fitted(&self.filling.text(path), min, max))
    }

    fn formatted(&self, format: &str, path: &Path) -> Option<String> {
        let number = self.preferred(path).rem_euclid(200) + 1;
        let days = chrono::Days::new(number.unsigned_abs());
        let date = chrono::NaiveDate::from_ymd_opt(2026, 1, 1)?.checked_add_days(days)?;
        Some(match format {
            "date" => date.to_string(),
            "date-time" => format!("{date}T09:00:00Z"),
            "time" => "09:00:00Z".to_owned(),
            "duration" => format!("P{number}D"),
            "email" | "idn-email" => format!("person.{number}@example.org"),
            "hostname" | "idn-hostname" => format!("host-{number}.example.org"),
            "ipv4" => format!("192.0.2.{number}"),
            "ipv6" => format!("2001:db8::{number}"),
            "uri" | "iri" | "uri-reference" | "iri-reference" => format!("https://example.org/{number}"),
            "uri-template" => format!("https://example.org/{number}/{{id}}"),
            "uuid" => self.filling.uuid(path),
            "json-pointer" => format!("/{number}"),
            "relative-json-pointer" => format!("{number}/x"),
            "regex" => "^[a-z]+$".to_owned(),
            _ => return None,
        })
    }

    /// A small number; those of items go up.
    fn preferred(&self, path: &Path) -> i64 {
        let of_path =
            self.filling.number(&path.iter().filter(|part| part.parse::<u64>().is_err()).cloned().collect::<String>());
        let chance = i64::try_from(of_path % 9).expect("less than nine");
        chance + i64::try_from(item(path) + self.turn).unwrap_or_default() + 1
    }
}

/// The number of the item that a place is in; 0 outside of any.
fn item(path: &Path) -> usize {
    path.iter().rev().find_map(|part| part.parse().ok()).unwrap_or(0)
}

/// The type, or what other keywords make of it.
fn kind(shape: &Shape) -> &str {
    const HINTS: [(&str, &[&str]); 3] = [
        (
            "object",
            &["properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"],
        ),
        ("array", &["items", "prefixItems", "minItems", "contains", "uniqueItems"]),
        ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ];
    match shape.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let mut names = kinds.iter().filter_map(Value::as_str);
            names.find(|name| *name != "null").unwrap_or("null")
        }
        _ => {
            let hint = HINTS.iter().find(|(_, keys)| keys.iter().any(|key| shape.contains_key(*key)));
            hint.map_or("string", |(kind, _)| kind)
        }
    }
}

fn bound(shape: &Shape, key: &str) -> Option<usize> {
    shape.get(key).and_then(Value::as_f64).map(|bound| bound.clamp(0.0, 1e9) as usize)
}

/// A member that one of those that are there asks for.
fn dependent(object: &Map<String, Value>, shape: &Shape, work: &Work) -> Result<Option<String>, String> {
    let Some(rules) = shape.get("dependentRequired").and_then(Value::as_object) else { return Ok(None) };
    work.spend(rules.values().map(nodes).sum())?;
    let asked = rules.iter().filter(|(name, _)| object.contains_key(*name)).filter_map(|(_, names)| names.as_array());
    Ok(asked.flatten().filter_map(Value::as_str).find(|name| !object.contains_key(*name)).map(str::to_owned))
}

/// How many items must be of the kind that is contained.
fn contained(shape: &Shape) -> usize {
    if shape.contains_key("contains") { bound(shape, "minContains").unwrap_or(1) } else { 0 }
}

fn item_schema(shape: &Shape, prefix: &[Value], number: usize) -> Value {
    let own = prefix.get(number).or_else(|| shape.get("items")).cloned().unwrap_or(Value::Bool(true));
    match shape.get("contains").filter(|_| number < contained(shape)) {
        Some(contains) => json!({"allOf": [own, contains]}),
        None => own,
    }
}

/// Bytes of texts and names.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(members) => members.iter().map(|(name, member)| name.len() + weight(member)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// A text of so many characters: cut, or said again.
fn fitted(text: &str, min: usize, max: usize) -> String {
    let again = if text.is_empty() { "x" } else { text };
    let (mut fitted, mut length) = (text.to_owned(), text.chars().count());
    while length < min {
        fitted.push(' ');
        fitted.push_str(again);
        length += 1 + again.chars().count();
    }
    if let Some((end, _)) = fitted.char_indices().nth(max) {
        fitted.truncate(end);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Speaks of the place that a text is for.
    struct Places;

    impl Filling for Places {
        fn text(&self, path: &[String]) -> String {
            format!("Text of {}", path.join("/"))
        }

        fn number(&self, of: &str) -> u64 {
            of.bytes().fold(7, |number, byte| number.wrapping_mul(31).wrapping_add(u64::from(byte)))
        }

        fn uuid(&self, path: &[String]) -> String {
            let hex = format!("{:032x}", u128::from(self.number(&path.join("/"))));
            format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
        }
    }

    const ROOM: usize = 8 << 20;

    fn write(schema: &Value) -> Result<Value, String> {
        satisfying(schema, &Places, ROOM)
    }

    /// Not by the code that is tested.
    fn is_valid(schema: &Value, document: &Value) -> bool {
        jsonschema::options().should_validate_formats(true).build(schema).unwrap().is_valid(document)
    }

    #[test]
    fn schemas_of_every_kind_are_satisfied() {
        for schema in [
            json!(true),
            json!({}),
            json!({"const": {"a": [1, null]}}),
            json!({"enum": ["low", "high"]}),
            json!({"type": ["null", "string"], "minLength": 3}),
            json!({"type": "null"}),
            json!({"type": "string", "minLength": 700, "maxLength": 700}),
            json!({"type": "string", "minLength": 1_000_000}),
            json!({"type": "string", "maxLength": 0}),
            json!({"type": "string", "pattern": "^[A-Z]{2}-\\d+$", "minLength": 6}),
            json!({"type": "integer", "minimum": 10, "maximum": 20, "multipleOf": 7}),
            json!({"type": "integer", "exclusiveMinimum": -4, "exclusiveMaximum": -2}),
            json!({"type": "integer", "minimum": 0.5, "maximum": 1.5}),
            json!({"type": "integer", "multipleOf": 1.5}),
            json!({"type": "integer", "multipleOf": 0.0001, "minimum": 3}),
            json!({"type": "integer", "multipleOf": 2.0000001, "minimum": 1}),
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001}),
            json!({"type": "number", "minimum": 2.5, "maximum": 2.5}),
            json!({"type": "number", "multipleOf": 0.25, "minimum": 100.1}),
            json!({"minimum": 3}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 3}),
            json!({"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": true}),
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": true}),
            json!({"type": "array", "maxItems": 0}),
            json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false}),
            json!({"type": "array", "contains": {"const": 7}, "minContains": 2, "items": {"type": "integer"}}),
            json!({"type": "object", "minProperties": 3}),
            json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}, "propertyNames": {"pattern": "^x-[a-z]+$"}}),
            json!({"type": "object", "patternProperties": {"^n_": {"type": "number"}}, "required": ["n_1"], "additionalProperties": false}),
            json!({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["c"], "maxProperties": 2}),
            json!({"type": "object", "properties": {"a": {"const": 1}}, "dependentRequired": {"a": ["b"]}}),
            json!({"type": "object", "properties": {"impossible": false, "title": {"type": "string"}}, "required": ["title"]}),
            json!({"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"a": {"minLength": 30}}}]}),
            json!({"oneOf": [{"type": "integer", "minimum": 5, "maximum": 4}, {"type": "string"}]}),
            json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}),
            json!({"type": "object", "properties": {"kind": {"enum": ["x", "y"]}}, "required": ["kind"],
                "if": {"properties": {"kind": {"const": "x"}}}, "then": {"required": ["ex"]}, "else": {"required": ["why"]}}),
            json!({"type": "string", "not": {"const": "Bridge repair"}, "enum": ["Bridge repair", "other"]}),
            json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["name"], "additionalProperties": false,
                "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}}),
            json!({"type": "object", "required": ["left"], "properties": {"left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}),
        ] {
            let document = write(&schema).unwrap_or_else(|reason| panic!("{schema}: {reason}"));
            assert!(is_valid(&schema, &document), "{schema}: {document}");
        }
    }

    #[test]
    fn every_format_is_what_it_is_called() {
        for format in [
            "date",
            "date-time",
            "time",
            "duration",
            "email",
            "idn-email",
            "hostname",
            "idn-hostname",
            "ipv4",
            "ipv6",
            "uri",
            "uri-reference",
            "iri",
            "iri-reference",
            "uri-template",
            "uuid",
            "json-pointer",
            "relative-json-pointer",
            "regex",
            "of-ones-own",
        ] {
            let schema = json!({"type": "array", "minItems": 3, "items": {"type": "string", "format": format}});
            let document = write(&schema).unwrap_or_else(|reason| panic!("{format}: {reason}"));
            assert!(is_valid(&schema, &document), "{format}: {document}");
        }
    }

    #[test]
    fn what_cannot_be_satisfied_is_said() {
        for schema in [
            json!(false),
            json!({"type": "integer", "minimum": 5, "maximum": 4}),
            json!({"type": "integer", "minimum": 8, "maximum": 13, "multipleOf": 7}),
            json!({"type": "string", "minLength": 4, "maxLength": 3}),
            json!({"type": "string", "minLength": 100_000_000}),
            json!({"type": "string", "pattern": "^(?!a)b$"}),
            json!({"required": ["a"], "properties": {"a": false}}),
            json!({"type": "object", "required": ["self"], "properties": {"self": {"$ref": "#"}}}),
            json!({"type": "array", "minItems": 5, "uniqueItems": true, "items": {"type": "boolean"}}),
            json!({"type": "array", "minItems": 1_000_000, "items": {"type": "string"}}),
            json!({"type": "object", "minProperties": 1_000_000_000, "propertyNames": {"pattern": "^a$"}}),
            json!({"type": "object", "minProperties": 2, "propertyNames": {"pattern": "^a$"}}),
            json!({"type": "array", "minItems": 20, "items": {"type": "string", "minLength": 500_000}}),
            json!({"type": "array", "minItems": 100, "items": {"const": "x".repeat(100_000)}}),
            json!({"type": "wrong"}),
            json!({"$ref": "#/$defs/missing"}),
            json!({"$ref": "https://example.org/elsewhere.json"}),
        ] {
            assert!(write(&schema).is_err(), "{schema}: {:?}", write(&schema));
        }
    }

    #[test]
    fn what_a_stranger_asks_for_ends() {
        let hard = json!({"type": "integer", "multipleOf": 1.000_000_000_000_1});
        let pattern = "^(((a{30}){30}){30}){0,1}b{3}$";
        let many = |schema: &Value, count: usize| -> Map<String, Value> {
            (0..count).map(|number| (format!("p{number}"), schema.clone())).collect()
        };
        let wide = many(&json!(true), 20_000);
        let names: Vec<_> = (0..2_000).map(|number| format!("p{number}")).collect();
        for schema in [
            json!({"type": "array", "minItems": 2_000, "items": hard}),
            json!({"type": "object", "properties": many(&hard, 2_000), "required": names}),
            json!({"type": "array", "minItems": 2_000, "items": {"type": "string", "pattern": pattern, "minLength": 9_000}}),
            json!({"type": "array", "minItems": 3_000, "items": {"$ref": "#/$defs/wide"}, "$defs": {"wide": {"type": "object", "properties": wide}}}),
            json!({"type": "object", "minProperties": 3_000, "patternProperties": many(&json!(true), 3_000)}),
            json!({"type": "array", "minItems": 3_000, "items": {"type": "string", "minLength": 1_000_000}}),
            json!({"type": "object", "minProperties": 3_000, "propertyNames": {"pattern": "^((((a{0}){1000}){1000}){1000})b$"}}),
            json!({"type": "object", "patternProperties": {"^(a+)+$": {"type": "string"}}, "required": [format!("{}b", "a".repeat(200))]}),
        ] {
            // Whatever comes of it.
            let _ = write(&schema);
        }
    }

    #[test]
    fn a_wide_schema_that_refers_to_itself_stays_small() {
        let properties: Map<_, _> = (0..20).map(|number| (format!("p{number}"), json!({"$ref": "#"}))).collect();
        let document = write(&json!({"type": "object", "properties": properties})).unwrap();
        assert!(document.to_string().len() < 1_000_000);
    }

    fn schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (0_usize..40, 0_usize..40)
                .prop_map(|(min, more)| json!({"type": "string", "minLength": min, "maxLength": min + more})),
            (-50_i64..50, 0_i64..50)
                .prop_map(|(min, more)| json!({"type": "integer", "minimum": min, "maximum": min + more})),
            (-50_i64..50, 1_i64..50)
                .prop_map(|(min, more)| json!({"type": "number", "exclusiveMinimum": min, "maximum": min + more})),
            Just(json!({"type": "boolean"})),
            Just(json!({"enum": ["a", 1, null]})),
            Just(json!({"type": "string", "format": "date-time"})),
            Just(json!({"type": "string", "pattern": "^[a-z]{2,5}$"})),
            Just(json!({"$ref": "#/$defs/named"})),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let members = proptest::collection::btree_map("[a-e]", (inner.clone(), any::<bool>()), 0..5);
            prop_oneof![
                (inner.clone(), 0_usize..4, 0_usize..3).prop_map(|(items, min, more)| {
                    json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})
                }),
                members.prop_map(|members| {
                    let required: Vec<_> = members.iter().filter(|(_, (_, needed))| *needed).map(|(name, _)| name.clone()).collect();
                    let properties: Map<_, _> = members.into_iter().map(|(name, (schema, _))| (name, schema)).collect();
                    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
                }),
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|schemas| json!({"anyOf": schemas})),
                inner.prop_map(|schema| json!({"allOf": [schema, {"title": "both"}]})),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn whatever_is_asked_is_satisfied(schema in schema()) {
            let mut schema = schema;
            schema["$defs"] = json!({"named": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}});
            let document = write(&schema);
            prop_assert!(document.is_ok(), "{schema}: {document:?}");
            prop_assert!(is_valid(&schema, &document.unwrap()));
        }
    }
}
