//! Texts that something on their way could take for more than text: SQL, paths, templates, ends of headers.
//!
//! Law: in every field, parameter, path and header such a text is refused with a problem that names its place, or it
//! comes back as it was sent. No other row changes, and none is listed that was not asked for.

mod fields;
mod headers;
mod parameters;
mod said;
mod targets;

use crate::sign_in::{app, make_key};
use crate::support::definitions::{step, workflow};
use crate::support::executions::id_of;
use crate::support::{Project, Request, Response, TestApp, Value, json};

/// Nothing about these keeps them from being names.
const PLAIN: &[&str] = &[
    // SQL and its wildcards.
    "'",
    "\"",
    "`",
    "\\",
    "%",
    "_",
    "%_%",
    "50%_\\",
    "\\%",
    "a\\",
    "';--",
    "'; DROP TABLE workspaces;--",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "1); DELETE FROM documents; /*",
    "*/",
    "$1",
    "?1",
    ":id",
    "E'\\x41'",
    "$$x$$",
    "NULL",
    // Paths, shells and templates.
    "..",
    ".",
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "/etc/passwd",
    "a/../b",
    "%2e%2e%2f",
    "%00",
    "%0d%0a",
    "C:\\x",
    "~root",
    "-rf",
    "--help",
    "$(id)",
    "`id`",
    "|id",
    "&& id",
    "{{7*7}}",
    "${jndi:ldap://x/y}",
    "%s%n",
    // Markup, queries, headers and forms.
    "<script>alert(1)</script>",
    "\"><img src=x onerror=y>",
    "a;b=c",
    "a,b",
    "a&b=c#d?e",
    "a; filename=b",
    "x\"; y=\"z",
    "UTF-8''a",
    "=?utf-8?q?a?=",
    "=1+1",
    "null",
    "undefined",
    "NaN",
    "true",
    "0",
    "-1",
    "1e999",
    "{}",
    "[]",
    "{\"a\":1}",
    // Characters that are not what they seem.
    "a\u{202e}gpj.exe",
    "a\u{200b}b",
    "\u{feff}a",
    "e\u{301}",
    "\u{e9}",
    "\u{130}\u{131}",
    "\u{df}\u{1e9e}",
    "\u{fb01}",
    "\u{2028}a",
    "\u{ff0f}\u{ff1a}",
    "\u{1f600}",
    "\u{1f469}\u{200d}\u{1f680}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10ffff}",
];

/// These are no names, and may be texts.
const CONTROLS: &[&str] = &[
    "a\0b",
    "a\r\nSet-Cookie: x=1",
    "a\r\n\r\n<html>",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\u{1b}[31mb",
    "a\u{7f}b",
    "a\u{85}b",
];

/// Every text at every place, with `ADE_HOSTILE_FULL=1`. Otherwise each at a quarter of them, and each place with a quarter of
/// the texts: `number` is the sum of what counts both.
fn is_tried(number: usize) -> bool {
    number.is_multiple_of(4) || std::env::var_os("ADE_HOSTILE_FULL").is_some()
}

/// Bytes of a text; in a longer one, percent-encoded, the HTTP machinery sees no request at all.
const MOST_OF_A_PATH: usize = 6_000;

/// All of them, and long ones.
fn texts() -> Vec<String> {
    let long = [("x", 300), ("x", 100_000), ("\u{1f600}", 255), ("'", 5_000), ("%", 5_000)];
    let long = long.map(|(text, times)| text.repeat(times));
    PLAIN.iter().chain(CONTROLS).map(|text| (*text).to_owned()).chain(long).collect()
}

/// As browsers write it in queries and paths.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// A service with one of everything that must stay as it is.
struct Site {
    app: TestApp,
    project: Project,
    execution: String,
    bystanders: Vec<(String, Value)>,
}

impl Site {
    fn new() -> Self {
        let app = app();
        let project = app.project();
        let (workspace, configuration) = (&project.workspace, &project.configuration);
        let document = app.upload(&project, "bystander.csv", b"a");
        let definition = workflow("bystander", &[step("only", &[], "Write it.")]);
        app.post(&format!("/api/v1/workflows?workspace_id={workspace}"), &definition).expect(201);
        let mut body = json!({"workspace_id": workspace, "scope_type": "by", "scope_id": "stander"});
        body["workflow_id"] = json!("bystander");
        let execution = id_of(&app.post("/api/v1/executions", &body).expect(201).json());
        app.stream(&Request::get(format!("/api/v1/executions/{execution}/events/stream"))).until_type("complete");
        body.as_object_mut().unwrap().remove("workflow_id");
        body["document_type"] = json!("brief");
        body["content"] = json!({});
        let written = app.post("/api/v1/documents", &body).expect(201).json()["document_id"].clone();
        let key = make_key(&app, &json!({"name": "bystander", "role": "viewer"})).0;
        let paths = [
            format!("workspaces/{workspace}"),
            format!("workspaces/{workspace}/configurations/{configuration}"),
            format!("workspaces/{workspace}/documents/{document}"),
            format!("workflows/bystander?workspace_id={workspace}"),
            format!("executions/{execution}"),
            format!("documents/{}", written.as_str().unwrap()),
            format!("api-keys/{key}"),
        ];
        let shown = |path: String| {
            let path = format!("/api/v1/{path}");
            (path.clone(), app.get(&path).expect(200).json())
        };
        let bystanders = paths.into_iter().map(shown).collect();
        Self { app, project, execution, bystanders }
    }

    /// But for the build that the configuration's first run has started.
    fn assert_untouched(&self) {
        let without_build = |mut resource: Value| {
            resource.as_object_mut().expect("an object").remove("active_build_id");
            resource
        };
        for (path, before) in &self.bystanders {
            let now = self.app.get(path).expect(200).json();
            assert_eq!(without_build(now), without_build(before.clone()), "{path}");
        }
    }
}

/// Whether the text was taken; a refusal is a problem that names the place.
#[track_caller]
fn is_taken(answer: &Response, place: &str, text: &str) -> bool {
    let text = text.chars().take(50).collect::<String>();
    if (200..300).contains(&answer.status()) {
        return true;
    }
    assert!((400..500).contains(&answer.status()), "{place} {text:?}: {answer}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{place} {text:?}: {answer}");
    assert!(is_named(&answer.json(), place), "{place} {text:?}: {answer}");
    false
}

/// What is not there, or not waiting, has no place that would be wrong; nor does a secret say what is wrong with it, and a
/// path is named by the code itself.
fn is_named(problem: &Value, place: &str) -> bool {
    let is_it = |path: &str| {
        path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
    };
    let errors = problem["errors"].as_array().expect("a list");
    errors.iter().any(|error| error["path"].as_str().is_some_and(is_it))
        || ["not_found", "not_waiting", "credentials_refused", "path_not_allowed"]
            .contains(&problem["code"].as_str().unwrap())
}
