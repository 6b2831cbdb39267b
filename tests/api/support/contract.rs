//! Every answer that these tests receive is one that the contract has for its operation: its status, its media type, and
//! each member of its body, no more and no less.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use ade::http::route::all::describe;
use ade_test_support::http::{Request, Response};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::read);

/// Lines and frames of one answer that are looked at.
const MOST_ITEMS: usize = 50;

/// Panics when an answer is not as the contract says.
pub fn check(request: &Request, response: &Response) {
    if let Err(fault) = CONTRACT.check(request, response) {
        let (method, target) = (request.method(), request.target());
        panic!("{method} {target} answers against the contract: {fault}\n{response}");
    }
}

/// Of a target of either form: a path, or what names the host too.
fn path_of(target: &str) -> &str {
    let behind_host = target.split_once("://").filter(|_| !target.starts_with('/')).map(|(_, rest)| rest);
    let target = behind_host.map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    target.split('?').next().unwrap_or_default()
}

struct Contract {
    document: Value,
    /// Of the schemas that were needed so far, by their text.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    fn read() -> Self {
        let mut document = describe();
        let open = document["components"]["schemas"].clone();
        close_all(&mut document, &open);
        Self { document, validators: Mutex::default() }
    }

    fn check(&self, request: &Request, response: &Response) -> Result<(), String> {
        // What is no HTTP is answered before there is a request; and browsers ask for leave before they call.
        if response.header("x-request-id").is_none() || request.method() == "OPTIONS" {
            return Ok(());
        }
        // The console's files are no part of the interface.
        if response.header("cross-origin-opener-policy").is_some() {
            return Ok(());
        }
        let (path, method) = (path_of(request.target()), request.method());
        let name = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
        let Some(operation) = self.item(path).and_then(|item| item.get(name)) else { return refused(response) };
        let answer = operation["responses"].get(response.status().to_string());
        let answer = answer.ok_or_else(|| format!("{} has no such status", operation["operationId"]))?;
        let answer = self.resolved(answer);
        if method == "HEAD" {
            return Ok(());
        }
        let media_type = response.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        match answer.get("content") {
            None if response.body.is_empty() => Ok(()),
            None => Err("a body where there is none".to_owned()),
            Some(content) => {
                match (content.get(media_type), content.get("*/*")) {
                    (Some(content), _) => self.check_body(media_type, content, response),
                    // The bytes of a file, whatever it is.
                    (None, Some(_)) => Ok(()),
                    (None, None) => Err(format!("no media type `{media_type}`")),
                }
            }
        }
    }

    fn check_body(&self, media_type: &str, content: &Value, response: &Response) -> Result<(), String> {
        let of_frame =
            || content.pointer("/schema/properties/data/contentSchema").filter(|_| media_type == "text/event-stream");
        if let Some(item) = content.get("x-item-schema").or_else(of_frame) {
            let text = String::from_utf8_lossy(&response.body);
            let lines = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
            let items = lines.filter(|line| line.starts_with("{\"type\"") || line.starts_with("{\"id\""));
            return items.take(MOST_ITEMS).try_for_each(|line| self.check_json(item, line.as_bytes()));
        }
        let is_json = media_type == "application/json" || media_type.ends_with("+json");
        if is_json { self.check_json(&content["schema"], &response.body) } else { Ok(()) }
    }

    fn check_json(&self, schema: &Value, body: &[u8]) -> Result<(), String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let validator = self.validator(schema);
        let faults = validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path()));
        let faults: Vec<_> = faults.map(|fault| fault.chars().take(600).collect::<String>()).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let text = schema.to_string();
        let mut validators = self.validators.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let made = validators.entry(text).or_insert_with(|| {
            let mut whole = closed(schema.clone(), false, &self.document["components"]["schemas"]);
            whole["components"] = self.document["components"].clone();
            let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
            Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{error}: {schema}")))
        });
        made.clone()
    }

    /// The path that this is, the one with the fewest parameters.
    fn item(&self, path: &str) -> Option<&Value> {
        let asked: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let paths = self.document["paths"].as_object().unwrap().iter();
        let fitting = paths.filter(|(template, _)| fits(template, &asked));
        fitting.min_by_key(|(template, _)| template.matches('{').count()).map(|(_, item)| item)
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let shared = value["$ref"].as_str().and_then(|path| self.document.pointer(path.trim_start_matches('#')));
        shared.unwrap_or(value)
    }
}

/// What is no operation is answered with a problem.
fn refused(response: &Response) -> Result<(), String> {
    let is_problem = matches!(response.header("content-type"), Some("application/problem+json" | "application/json"));
    let is_refused = response.status() >= 400 && (is_problem || response.body.is_empty());
    if is_refused { Ok(()) } else { Err("there is no such operation".to_owned()) }
}

/// A last parameter takes the rest.
fn fits(template: &str, asked: &[&str]) -> bool {
    let parts: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
    let is_open = parts.last().is_some_and(|last| *last == "{path}");
    let is_as_long = asked.len() == parts.len() || is_open && asked.len() >= parts.len();
    is_as_long && parts.iter().zip(asked).all(|(part, asked)| part.starts_with('{') || part == asked)
}

/// Closes every schema: what is answered has no members but those that are named.
fn close_all(document: &mut Value, open: &Value) {
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for schema in schemas.values_mut() {
        *schema = closed(std::mem::take(schema), true, open);
    }
}

/// Members are closed where a schema is used, since one that is used inside of `allOf` knows a part of them only.
fn closed(schema: Value, is_part: bool, open: &Value) -> Value {
    let Value::Object(schema) = schema else { return schema };
    let mut closing = Map::new();
    for (key, value) in schema {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(members)) => {
                members.into_iter().map(|(name, member)| (name, closed(member, false, open))).collect()
            }
            ("items" | "additionalProperties", value) => closed(value, false, open),
            ("allOf", Value::Array(parts)) => parts.into_iter().map(|part| closed(part, true, open)).collect(),
            ("oneOf" | "anyOf", Value::Array(parts)) => {
                parts.into_iter().map(|part| closed(part, is_part, open)).collect()
            }
            // Payloads of events, to which feeds add.
            (_, value) => value,
        };
        closing.insert(key, value);
    }
    let mut schema = Value::Object(closing);
    if !is_part && is_closable(&schema, open) {
        schema["unevaluatedProperties"] = json!(false);
    }
    schema
}

/// Whether all members are named: nothing in it takes any object.
fn is_closable(schema: &Value, open: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        return is_closable(&open[name], open);
    }
    let parts = ["allOf", "oneOf", "anyOf"].iter().filter_map(|key| schema[key].as_array()).flatten();
    let parts: Vec<_> = parts.filter(|part| part.get("if").is_none()).collect();
    if schema.get("properties").is_some() || !parts.is_empty() {
        return schema.get("additionalProperties").is_none() && parts.iter().all(|part| is_closable(part, open));
    }
    schema["type"].is_string() && schema["type"] != "object"
}
