//! The schemas within a schema: how they hold together, and what it costs to check a value by them.
//!
//! Invariant: references stay within the schema and lead to something, none leads back to itself, and neither their
//! chains nor their number nor that of the patterns is without bound.

use std::collections::HashMap;

use serde_json::Value;

/// Steps of checking one value, references followed: a few schemas that refer to each other twice would otherwise take
/// for ever.
const MAX_COST: u64 = 100_000;
/// Schemas that hold for one and the same value, each by way of the one before.
const MAX_CHAIN: usize = 32;
/// Each may take a megabyte.
const MAX_PATTERNS: usize = 200;

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

/// What is to be known of a schema before values are checked by it.
#[derive(Debug, Clone, Copy)]
pub struct Outline {
    /// The most steps that one value takes.
    pub cost: u64,
    /// The most schemas that hold for one value, each by way of the one before.
    pub chain: usize,
}

impl Outline {
    /// Or why the schema cannot be used.
    pub fn of(root: &Value) -> Result<Self, String> {
        let mut walk = Walk { root, schemas: Vec::new(), anchors: HashMap::new(), patterns: 0 };
        walk.collect(root)?;
        if walk.patterns > MAX_PATTERNS {
            return Err(format!("it has {} patterns, at most {MAX_PATTERNS} are allowed", walk.patterns));
        }
        let mut known = HashMap::new();
        let mut whole = Self { cost: 1, chain: 1 };
        for schema in &walk.schemas {
            let one = walk.outline(schema, 1, &mut known)?;
            whole = Self { cost: whole.cost.max(one.cost), chain: whole.chain.max(one.chain) };
        }
        Ok(whole)
    }
}

/// Every schema within a schema, and where their references lead.
struct Walk<'a> {
    root: &'a Value,
    schemas: Vec<&'a Value>,
    anchors: HashMap<&'a str, &'a Value>,
    patterns: usize,
}

impl<'a> Walk<'a> {
    fn collect(&mut self, schema: &'a Value) -> Result<(), String> {
        if schema.get("$id").is_some() && !std::ptr::eq(schema, self.root) {
            return Err("only the whole schema may have an $id".into());
        }
        for key in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = schema[key].as_str() {
                self.anchors.insert(name, schema);
            }
        }
        let of_names = schema["patternProperties"].as_object().map_or(0, |patterns| patterns.len());
        self.patterns += of_names + usize::from(schema.get("pattern").is_some());
        self.schemas.push(schema);
        same(schema).chain(parts(schema)).try_for_each(|inner| self.collect(inner))
    }

    /// `place` is the number of the schema in its chain.
    fn outline(
        &self,
        schema: &'a Value,
        place: usize,
        known: &mut HashMap<*const Value, Option<Outline>>,
    ) -> Result<Outline, String> {
        let too_many = || format!("more than {MAX_CHAIN} schemas stand behind each other for one value");
        if place > MAX_CHAIN {
            return Err(too_many());
        }
        match known.insert(schema, None) {
            Some(Some(outline)) => {
                known.insert(schema, Some(outline));
                return Ok(outline);
            }
            Some(None) => return Err("a reference leads back to itself".into()),
            None => {}
        }
        let mut outline = Outline { cost: own_cost(schema), chain: 1 };
        let references = REFERENCES.iter().filter_map(|key| schema[*key].as_str());
        let referred: Vec<_> = references.map(|reference| self.resolve(reference)).collect::<Result<_, _>>()?;
        for inner in same(schema).chain(referred) {
            let inner = self.outline(inner, place + 1, known)?;
            outline.cost = outline.cost.saturating_add(inner.cost);
            outline.chain = outline.chain.max(1 + inner.chain);
        }
        if outline.chain > MAX_CHAIN {
            return Err(too_many());
        }
        if outline.cost > MAX_COST {
            return Err("the references multiply beyond what can be checked".into());
        }
        known.insert(schema, Some(outline));
        Ok(outline)
    }

    fn resolve(&self, reference: &str) -> Result<&'a Value, String> {
        let nowhere = |why: &str| format!("the reference {reference} {why}");
        let fragment = reference.strip_prefix('#').ok_or_else(|| nowhere("leads out of the schema"))?;
        let target = match fragment {
            "" => Some(self.root),
            pointer if pointer.starts_with('/') => self.root.pointer(pointer),
            anchor => self.anchors.get(anchor).copied(),
        };
        target.ok_or_else(|| nowhere("leads nowhere"))
    }
}

/// Values of an `enum`, names that are required, members that are described: one step for each.
fn own_cost(schema: &Value) -> u64 {
    let members =
        schema.as_object().into_iter().flatten().filter(|(key, _)| !["$defs", "definitions"].contains(&key.as_str()));
    let entries = members.map(|(_, value)| match value {
        Value::Array(list) => list.len() as u64,
        Value::Object(map) => map.len() as u64,
        _ => 0,
    });
    1 + entries.sum::<u64>()
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
