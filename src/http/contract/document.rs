//! The document, made of what has been mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::operation::{Named, Operation};
use super::{events, problems};
use crate::access::shown::SESSION_COOKIE;
use crate::domain::principal::Role;

/// The document as it is served.
#[derive(Debug, Clone)]
pub struct Document {
    pub json: Bytes,
    pub page: Bytes,
    /// Of the JSON.
    pub etag: String,
}

/// Made when it is asked for first, once for the whole process.
pub type SharedDocument = &'static LazyLock<Document>;

impl Document {
    pub fn of(document: &Value) -> Self {
        let json = text(document);
        let etag = format!("\"{:x}\"", Sha256::digest(&json));
        Self { page: super::page(document).into(), json: json.into(), etag }
    }
}

/// As it is printed, and kept in `docs/openapi.json`.
pub fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

const DESCRIPTION: &str = "Runs long work and streams its history.\n\n\
    Whatever can be read with `GET` answers `HEAD` too: the same head, without a body. Every answer has `X-Request-ID`. \
    Every error is a problem (RFC 9457) with a `code`, as `application/problem+json`, or as `application/json` for a \
    client that accepts JSON and no problems. Members may be added to answers and events; a client passes over those \
    that it does not know. What is sent must have no member but those that are named here.";

/// The groups of operations, in their order.
const TAGS: &[(&str, &str)] = &[
    ("sign-in", "Who gets in."),
    ("workspaces", "Whose everything is."),
    ("configurations", "Packages that tell an engine how to normalize."),
    ("documents", "Files to be normalized."),
    ("runs", "The work of an engine on documents."),
    ("builds", "The work that makes an environment for a configuration."),
    ("workflows", "Definitions of steps that write documents with language models."),
    ("executions", "The work of going through a workflow's steps."),
    ("workflow documents", "What steps have written, version by version."),
    ("events", "The history of work, live and later."),
    ("telemetry", "What language models took and cost."),
    ("system", "The service itself."),
];

/// The whole document.
pub fn document(operations: Vec<Operation>) -> Value {
    let mut schemas: Vec<Named> = events::payloads();
    schemas.push((Role::name().into_owned(), Role::schema()));
    schemas.extend(operations.iter().flat_map(|operation| operation.schemas.iter().cloned()));
    let mut schemas: BTreeMap<String, Value> =
        schemas.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
    let mut responses = BTreeMap::new();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut answered = BTreeSet::new();
    for operation in &operations {
        operation.answers.values().for_each(|answer| references(&json!(answer), &mut answered));
        let method = operation.method.as_str().to_ascii_lowercase();
        paths.entry(operation.path.clone()).or_default().insert(method, described(operation, &mut responses));
    }
    complete(&mut schemas, answered);
    let parameters = share_parameters(&mut paths);
    schemas.extend(events::schemas());
    schemas.extend(problems::schemas());
    let used: BTreeSet<_> = operations.iter().map(|operation| operation.tag).collect();
    let tags = TAGS.iter().filter(|(name, _)| used.contains(name));
    let tags: Vec<_> = tags.map(|(name, what)| json!({"name": name, "description": what})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ADE",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {"schemas": schemas, "parameters": parameters, "responses": responses, "securitySchemes": security_schemes()},
    })
}

fn described(operation: &Operation, shared: &mut BTreeMap<String, Value>) -> Value {
    let mut answers: BTreeMap<String, Value> =
        operation.answers.iter().map(|(status, answer)| (status.to_string(), json!(answer))).collect();
    for problems::Answer { status, name, response } in problems::answers(&operation.codes, operation.shows_pages) {
        answers.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
        shared.insert(name, response);
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": answers,
    });
    let mut put = |name: &str, value: Value| described[name] = value;
    if let Some(notes) = &operation.notes {
        put("description", notes.as_str().into());
    }
    if !operation.parameters.is_empty() {
        put("parameters", json!(operation.parameters));
    }
    if let Some(body) = &operation.body {
        put("requestBody", json!(body));
    }
    if operation.deprecated {
        put("deprecated", true.into());
    }
    put("security", security(operation));
    if let Some(role) = operation.role {
        put("x-ade-role", role.as_str().into());
    }
    described
}

/// Parameters that many operations have are written once, under their name, and with a number when others have it too.
fn share_parameters(paths: &mut BTreeMap<String, Map<String, Value>>) -> BTreeMap<String, Value> {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    each_parameter(paths, |parameter| *uses.entry(parameter.to_string()).or_default() += 1);
    let mut shared: BTreeMap<String, Value> = BTreeMap::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    each_parameter(paths, |parameter| {
        let text = parameter.to_string();
        if uses[&text] < OFTEN {
            return;
        }
        let name = names.entry(text).or_insert_with(|| {
            let plain = parameter["name"].as_str().unwrap_or_default();
            let numbered = (2..).map(|number| format!("{plain}_{number}"));
            let mut free = std::iter::once(plain.to_owned()).chain(numbered).filter(|name| !shared.contains_key(name));
            let name = free.next().unwrap_or_default();
            shared.insert(name.clone(), parameter.clone());
            name
        });
        *parameter = json!({"$ref": format!("#/components/parameters/{name}")});
    });
    shared
}

/// Parameters of so many operations are shared.
const OFTEN: usize = 3;

fn each_parameter(paths: &mut BTreeMap<String, Map<String, Value>>, mut visit: impl FnMut(&mut Value)) {
    let operations = paths.values_mut().flat_map(|item| item.values_mut());
    operations.filter_map(|operation| operation.get_mut("parameters")?.as_array_mut()).flatten().for_each(&mut visit);
}

/// Each of these lets a caller in. Who comes with a cookie shows that its page made the request, where that changes something.
fn security(operation: &Operation) -> Value {
    let changes = !operation.method.is_safe();
    match operation.role {
        None if operation.may_know_its_caller => json!([{}, {"bearer": []}, {"api_key": []}, {"session": []}]),
        None => json!([]),
        Some(_) if changes => json!([{"bearer": []}, {"api_key": []}, {"session": [], "csrf": []}]),
        Some(_) if operation.is_open_to_tickets => {
            json!([{"bearer": []}, {"api_key": []}, {"session": []}, {"ticket": []}])
        }
        Some(_) => json!([{"bearer": []}, {"api_key": []}, {"session": []}]),
    }
}

fn security_schemes() -> Value {
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "ade_<id>_<secret>"},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
        "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
        "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
    })
}

/// The names of the schemas that this refers to.
fn references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            names.extend(own.and_then(|own| own.strip_prefix("#/components/schemas/")).map(str::to_owned));
            members.values().for_each(|member| references(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

/// What is answered has every member, nulls included, so all of them can be counted on.
fn complete(schemas: &mut BTreeMap<String, Value>, answered: BTreeSet<String>) {
    let mut waiting: Vec<String> = answered.into_iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        let Some(schema) = schemas.get_mut(&name).filter(|_| seen.insert(name)) else { continue };
        require_all(schema);
        let mut below = BTreeSet::new();
        references(schema, &mut below);
        waiting.extend(below);
    }
}

fn require_all(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let names = members.get("properties").and_then(Value::as_object);
            let names: Option<Vec<Value>> = names.map(|own| own.keys().map(|name| name.as_str().into()).collect());
            if let Some(names) = names.filter(|names| !names.is_empty()) {
                members.insert("required".to_owned(), names.into());
            }
            members.values_mut().for_each(require_all);
        }
        Value::Array(items) => items.iter_mut().for_each(require_all),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_has_every_member() {
        let own = json!({"type": "object", "properties": {"a": {"$ref": "#/components/schemas/B"}, "b": {}}});
        let other = json!({"allOf": [{"type": "object", "required": ["c"], "properties": {"c": {}, "d": {}}}]});
        let mut schemas: BTreeMap<String, Value> =
            [("A", own.clone()), ("B", other), ("C", own.clone())].map(|(name, own)| (name.to_owned(), own)).into();
        complete(&mut schemas, BTreeSet::from(["A".to_owned()]));
        assert_eq!(schemas["A"]["required"], json!(["a", "b"]));
        assert_eq!(schemas["B"]["allOf"][0]["required"], json!(["c", "d"]));
        assert_eq!(schemas["C"], own, "nobody is answered with it");
    }
}
