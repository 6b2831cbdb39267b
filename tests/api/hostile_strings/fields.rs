//! Texts in the bodies of requests.

use super::{PLAIN, Site, is_taken, texts};
use crate::support::definitions::{step, with, workflow};
use crate::support::executions::fresh_scope;
use crate::support::{Request, Response, Value, json};

/// A request with a text in it: method, path, body.
type Sent = (&'static str, String, Value);

/// A field that takes a text.
struct Field {
    /// As problems name it.
    place: &'static str,
    /// Where the answer shows it; none when no text of these can be right.
    shown: Option<&'static str>,
    sent: fn(&Site, &Value) -> Sent,
}

const fn field(place: &'static str, shown: &'static str, sent: fn(&Site, &Value) -> Sent) -> Field {
    Field { place, shown: Some(shown), sent }
}

const fn refused(place: &'static str, sent: fn(&Site, &Value) -> Sent) -> Field {
    Field { place, shown: None, sent }
}

impl Site {
    fn post(&self, (method, path, body): &Sent) -> Response {
        self.app.send(&Request::new(method, path.as_str()).header("If-Match", "*").json(body))
    }

    /// The law, for each of these fields and every text.
    fn check(&self, fields: &[Field]) {
        for field in fields {
            let mut taken = 0;
            for text in texts() {
                let answer = self.post(&(field.sent)(self, &json!(text)));
                if is_taken(&answer, field.place, &text) {
                    taken += 1;
                    self.assert_shown(field, &answer, &text);
                }
            }
            assert!(field.shown.is_none() || taken > PLAIN.len() / 2, "{}: {taken}", field.place);
            self.check_broken(field);
        }
        self.assert_untouched();
    }

    fn assert_shown(&self, field: &Field, answer: &Response, text: &str) {
        let pointer = field.shown.unwrap_or_else(|| panic!("{} {text:?} is taken: {answer}", field.place));
        assert_eq!(answer.json().pointer(pointer), Some(&json!(text)), "{}: {answer}", field.place);
        if let Some(location) = answer.header("location") {
            let again = self.app.get(location).expect(200).json();
            assert_eq!(again.pointer(pointer), Some(&json!(text)), "{}: {again}", field.place);
        }
    }

    /// What no text is: half of a surrogate pair, NUL in JSON, bytes that are not UTF-8.
    fn check_broken(&self, field: &Field) {
        let (method, path, body) = (field.sent)(self, &json!("MARK"));
        let body = body.to_string();
        for broken in ["a\\ud800b", "\\udc00\\ud800", "\\u0000"] {
            let body = body.replace("MARK", broken);
            let request = Request::new(method, path.as_str()).header("If-Match", "*").body("application/json", body);
            let answer = self.app.send(&request).expect(422);
            assert!(!is_taken(&answer, field.place, broken));
        }
        let (before, behind) = body.split_once("MARK").expect("the body has the text");
        let body = [before.as_bytes(), b"a\xff\xed\xa0\x80", behind.as_bytes()].concat();
        let request = Request::new(method, path).header("If-Match", "*").body("application/json", body);
        self.app.send(&request).problem(422, "invalid_request");
    }
}

fn configuration(site: &Site, body: Value) -> Sent {
    ("POST", format!("/api/v1/workspaces/{}/configurations", site.project.workspace), body)
}

#[test]
fn workspaces_configurations_and_keys_are_called_what_they_are_called() {
    let site = Site::new();
    site.check(&[
        field("name", "/name", |_, text| {
            ("POST", "/api/v1/workspaces".into(), json!({"name": text, "slug": fresh_scope()}))
        }),
        refused("source.template_id", |site, text| {
            configuration(site, json!({"display_name": "x", "source": {"type": "template", "template_id": text}}))
        }),
        refused("source.configuration_id", |site, text| {
            configuration(site, json!({"display_name": "x", "source": {"type": "clone", "configuration_id": text}}))
        }),
        field("display_name", "/display_name", |site, text| {
            configuration(site, json!({"display_name": text, "source": {"type": "template", "template_id": "default"}}))
        }),
        field("name", "/name", |_, text| ("POST", "/api/v1/api-keys".into(), json!({"name": text, "role": "viewer"}))),
        refused("role", |_, text| ("POST", "/api/v1/api-keys".into(), json!({"name": "x", "role": text}))),
        refused("expires_at", |_, text| {
            ("POST", "/api/v1/api-keys".into(), json!({"name": "x", "role": "viewer", "expires_at": text}))
        }),
        refused("workspaces[0]", |_, text| {
            ("POST", "/api/v1/api-keys".into(), json!({"name": "x", "role": "viewer", "workspaces": [text]}))
        }),
        refused("key", |_, text| ("POST", "/api/v1/session".into(), json!({"key": text}))),
        refused("stream", |_, text| ("POST", "/api/v1/stream-tickets".into(), json!({"stream": text}))),
        field("detail", "/detail", |_, text| {
            ("PUT", "/api/v1/system/safe-mode".into(), json!({"enabled": false, "detail": text}))
        }),
    ]);
}

/// A slug is made of what is sent, so that it says nothing but letters and digits.
#[test]
fn a_slug_is_plain_whatever_it_is_made_of() {
    let site = Site::new();
    for text in texts() {
        for body in [json!({"name": "x", "slug": text}), json!({"name": text})] {
            let answer = site.app.post("/api/v1/workspaces", &body);
            let is_other = answer.status() == 409;
            let place = if body["slug"].is_null() { "name" } else { "slug" };
            if !is_other && is_taken(&answer, place, &text) {
                let slug = answer.json()["slug"].as_str().unwrap().to_owned();
                let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                assert!(!slug.is_empty() && slug.chars().all(is_plain), "{text:?}: {slug}");
            }
        }
    }
    site.assert_untouched();
}

/// The body of a document in a scope of its own, with other members than usual.
fn document(site: &Site, members: Value) -> Sent {
    let own = json!({"workspace_id": site.project.workspace, "scope_type": "s", "scope_id": fresh_scope(),
                     "document_type": "d", "title": "t", "content": {}});
    ("POST", "/api/v1/documents".into(), with(own, members))
}

#[test]
fn documents_of_workflows_are_kept_as_they_are() {
    let site = Site::new();
    site.check(&[
        field("scope_type", "/scope_type", |site, text| document(site, json!({"scope_type": text}))),
        field("scope_id", "/scope_id", |site, text| document(site, json!({"scope_id": text}))),
        field("document_type", "/document_type", |site, text| document(site, json!({"document_type": text}))),
        field("title", "/title", |site, text| document(site, json!({"title": text}))),
        field("summary", "/summary", |site, text| document(site, json!({"summary": text}))),
        field("content.t[0]", "/content/t/0", |site, text| document(site, json!({"content": {"t": [text]}}))),
        refused("status", |site, text| document(site, json!({"status": text}))),
        refused("workspace_id", |site, text| document(site, json!({"workspace_id": text}))),
    ]);
}

#[test]
fn versions_of_documents_are_kept_as_they_are() {
    let site = Site::new();
    let path = site.post(&document(&site, json!({}))).expect(201).header("location").unwrap().to_owned();
    for (place, pointer) in [("title", "/title"), ("summary", "/summary"), ("content.t[0]", "/content/t/0")] {
        for text in texts() {
            let member = if pointer.starts_with("/content") { "content" } else { place };
            let body = if member == "content" { json!({"content": {"t": [text]}}) } else { json!({ member: text }) };
            let answer = site.post(&("PUT", path.clone(), body));
            if is_taken(&answer, place, &text) {
                let again = site.app.get(&path).expect(200).json();
                assert_eq!(again.pointer(pointer), Some(&json!(text)), "{place}");
            }
        }
    }
    site.assert_untouched();
}

#[test]
fn keys_of_content_and_metadata_are_kept_as_they_are() {
    let site = Site::new();
    for text in texts() {
        let content: Value = [(text.clone(), json!([{ text.as_str(): "x" }]))].into_iter().collect();
        let answer = site.post(&document(&site, json!({"content": content})));
        if is_taken(&answer, "content", &text) {
            let again = site.app.get(answer.header("location").unwrap()).expect(200).json();
            assert_eq!(again["content"], content, "{text:?}");
        }
        let metadata: Value = [(text.clone(), json!({ text.as_str(): text }))].into_iter().collect();
        let parts = [("metadata", None, metadata.to_string().into_bytes()), ("file", Some("x.csv"), b"x".to_vec())];
        let parts = parts.each_ref().map(|(name, file, content)| (*name, *file, &content[..]));
        let answer = site.app.send(&Request::post(site.project.documents()).form(&parts));
        if is_taken(&answer, "metadata", &text) {
            let again = site.app.get(answer.header("location").unwrap()).expect(200).json();
            assert_eq!(again["metadata"], metadata, "{text:?}");
        }
    }
    site.assert_untouched();
}

/// The places of a definition where a person writes what they like.
const WRITTEN: [(&str, &str); 10] = [
    ("name", "/name"),
    ("description", "/description"),
    ("metadata.tags[0]", "/metadata/tags/0"),
    ("prompts.roles.writer", "/prompts/roles/writer"),
    ("prompts.tasks.only", "/prompts/tasks/only"),
    ("schemas.text.description", "/schemas/text/description"),
    ("steps[0].name", "/steps/0/name"),
    ("steps[0].description", "/steps/0/description"),
    ("steps[0].model", "/steps/0/model"),
    ("steps[0].acceptance.accepted_by[0]", "/steps/0/acceptance/accepted_by/0"),
];

/// Those where something else is named.
const NAMING: [(&str, &str); 6] = [
    ("workflow_id", "/workflow_id"),
    ("steps[0].step_id", "/steps/0/step_id"),
    ("steps[0].role", "/steps/0/role"),
    ("steps[0].output", "/steps/0/output"),
    ("steps[0].output_schema", "/steps/0/output_schema"),
    ("steps[0].inputs[0]", "/steps/0/inputs/0"),
];

fn definition(pointer: &str, text: &str) -> Value {
    let only = json!({"description": "", "inputs": [""], "acceptance": {"required": true, "accepted_by": [""]}});
    let mut definition = workflow(&format!("w{}", fresh_scope()), &[with(step("only", &[], "Write it."), only)]);
    definition["description"] = json!("");
    definition["metadata"] = json!({"tags": [""]});
    definition["schemas"]["text"]["description"] = json!("");
    for pointer in ["/metadata/tags/0", "/steps/0/acceptance/accepted_by/0", "/steps/0/inputs/0"] {
        *definition.pointer_mut(pointer).unwrap() = json!("brief");
    }
    *definition.pointer_mut(pointer).unwrap() = json!(text);
    definition
}

#[test]
fn definitions_of_workflows_are_kept_as_they_are() {
    let site = Site::new();
    let path = format!("/api/v1/workflows?workspace_id={}", site.project.workspace);
    let mut expected = 1;
    for text in texts() {
        for (place, pointer) in WRITTEN {
            let answer = site.app.post(&path, &definition(pointer, &text));
            if is_taken(&answer, place, &text) {
                expected += 1;
                let again = site.app.get(answer.header("location").unwrap()).expect(200).json();
                assert_eq!(again.pointer(pointer), Some(&json!(text)), "{place}");
            }
        }
        for (place, pointer) in NAMING {
            let answer = site.app.post(&path, &definition(pointer, &text));
            let place = if place.starts_with("steps[0].inputs") { "steps[0].inputs" } else { place };
            if is_taken(&answer, place, &text) {
                // Some of the texts are plain words.
                assert!(text.chars().all(|c| c.is_ascii_lowercase()), "{place} {text:?}: {answer}");
                expected += 1;
            }
        }
    }
    assert_eq!(site.app.get(&path).expect(200).json()["total"], expected);
    site.assert_untouched();
}
