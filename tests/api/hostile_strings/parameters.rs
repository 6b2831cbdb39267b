//! Texts in queries and paths.

use super::{CONTROLS, MOST_OF_A_PATH, PLAIN, Site, is_taken, is_tried, percent, texts};
use crate::every_route::{Operation, operations};
use crate::support::executions::fresh_scope;
use crate::support::{Project, Request, Value, json};

const LIST: &[&str] = &["page", "perPage", "cursor", "sort", "q"];
const WORK: &[&str] = &["status", "filters", "joinOperator"];
const SCOPED: &[&str] = &["workspace_id", "scope_type", "scope_id"];
const EVENTS: &[&str] = &[
    "after_sequence",
    "from_sequence",
    "last_event_id",
    "tail",
    "stream",
    "format",
    "event_names",
    "types",
    "scope",
    "level",
    "limit",
    "wait",
    "follow",
    "ticket",
];

fn all(groups: &[&[&'static str]]) -> Vec<&'static str> {
    groups.concat()
}

impl Site {
    /// Every path that takes parameters, with them.
    fn asked(&self) -> Vec<(String, Vec<&'static str>)> {
        let (workspace, configuration) = (&self.project.workspace, &self.project.configuration);
        let execution = &self.execution;
        let build = self.app.build(&self.project, &json!({}))["id"].as_str().unwrap().to_owned();
        let written = self.bystanders.iter().map(|(path, _)| path).find(|path| path.starts_with("/api/v1/documents/"));
        let written = written.unwrap().trim_start_matches("/api/v1/");
        let paths: [(String, Vec<&str>); 20] = [
            ("workspaces".into(), all(&[LIST])),
            (format!("workspaces/{workspace}/configurations"), all(&[LIST])),
            (format!("workspaces/{workspace}/documents"), all(&[LIST])),
            (format!("workspaces/{workspace}/runs"), all(&[LIST, WORK])),
            (format!("configurations/{configuration}/runs"), all(&[LIST, WORK])),
            (format!("workspaces/{workspace}/configurations/{configuration}/builds"), all(&[LIST, WORK])),
            ("executions".into(), all(&[LIST, WORK, SCOPED, &["workflow_id", "active"]])),
            ("documents".into(), all(&[LIST, WORK, SCOPED, &["document_type", "execution_id", "latest"]])),
            (format!("{written}/versions"), all(&[LIST])),
            (written.to_owned(), all(&[&["version"]])),
            ("workflows".into(), all(&[&["workspace_id"]])),
            ("workflows/bystander".into(), all(&[&["workspace_id"]])),
            ("workflows/bystander/schema/only".into(), all(&[&["workspace_id"]])),
            ("telemetry/summary".into(), all(&[&["workspace_id", "start", "end"]])),
            ("telemetry/workflows/bystander/stats".into(), all(&[&["workspace_id"]])),
            (format!("executions/{execution}/events"), all(&[EVENTS])),
            (format!("workspaces/{workspace}/events"), all(&[&["last_event_id", "types", "limit"]])),
            (
                format!("events/stream?stream={execution}"),
                all(&[&["stream", "last_event_id", "tail", "event_names", "types"]]),
            ),
            (format!("builds/{build}/logs"), all(&[&["after_id", "limit"]])),
            ("audit".into(), all(&[&["after_sequence", "limit"]])),
        ];
        paths.into_iter().map(|(path, names)| (format!("/api/v1/{path}"), names)).collect()
    }
}

#[test]
fn a_parameter_is_read_or_refused_by_its_name() {
    let site = Site::new();
    for (path, names) in site.asked() {
        let start = if path.contains('?') { '&' } else { '?' };
        for (count, text) in texts().iter().filter(|text| text.len() < 10_000).enumerate() {
            let value = percent(text);
            for (_, name) in names.iter().enumerate().filter(|(index, _)| is_tried(count + index)) {
                is_taken(&site.app.get(&format!("{path}{start}{name}={value}")), name, text);
            }
            let unknown = site.app.get(&format!("{path}{start}{value}=1"));
            assert!(!is_taken(&unknown, text, text), "{path} {text:?}");
        }
    }
    site.assert_untouched();
}

/// The names of what is listed, or its ids.
fn listed(list: &Value, member: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    assert_eq!(list["total"], items.len(), "{list}");
    let mut all: Vec<_> = items.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// SQLite's LIKE takes what is no character, such as U+FFFF, for U+FFFD.
fn characters() -> Vec<&'static str> {
    PLAIN.iter().copied().filter(|text| !text.contains('\u{ffff}')).collect()
}

#[test]
fn a_search_takes_every_character_for_itself() {
    let site = Site::new();
    let path = site.project.documents();
    let upload = |name: &&str| {
        let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''";
        let form = format!("{head}{}\r\n\r\nx\r\n--b--\r\n", percent(name));
        let body = Request::post(path.as_str()).body("multipart/form-data; boundary=b", form);
        let document = site.app.send(&body).expect(201).json();
        ["id", "name"].map(|member| document[member].as_str().unwrap().to_owned())
    };
    let bystander = site.app.get(&path).expect(200).json()["items"][0].clone();
    let bystander = ["id", "name"].map(|member| bystander[member].as_str().unwrap().to_owned());
    let plain = characters();
    let documents: Vec<_> = plain.iter().map(upload).chain([bystander]).collect();
    for text in &plain {
        let has = |texts: &[String; 2], word: &str| texts.iter().any(|it| folded(it).contains(&folded(word)));
        let fits = |texts: &&[String; 2]| text.split_whitespace().all(|word| has(texts, word));
        let mut expected: Vec<_> = documents.iter().filter(fits).map(|[id, _]| id.clone()).collect();
        expected.sort();
        let found = site.app.get(&format!("{path}?perPage=200&q={}", percent(text))).expect(200).json();
        assert_eq!(listed(&found, "id"), expected, "{text:?}");
    }
}

#[test]
fn a_filter_compares_every_character_with_itself() {
    let site = Site::new();
    let workspace = &site.project.workspace;
    let plain = characters();
    for text in &plain {
        let body = json!({"workspace_id": workspace, "scope_type": "f", "scope_id": text, "document_type": fresh_scope(),
                          "content": {}});
        site.app.post("/api/v1/documents", &body).expect(201);
    }
    let ask = |operator: &str, value: Value| {
        let items = json!([{"id": "scope_type", "operator": "eq", "value": "f"},
                           {"id": "scope_id", "operator": operator, "value": value}]);
        let query = format!("workspace_id={workspace}&perPage=200&filters={}", percent(&items.to_string()));
        listed(&site.app.get(&format!("/api/v1/documents?{query}")).expect(200).json(), "scope_id")
    };
    for text in &plain {
        let chosen = |fits: &dyn Fn(&str) -> bool| {
            let mut chosen: Vec<_> = plain.iter().filter(|it| fits(it)).map(|it| (*it).to_owned()).collect();
            chosen.sort();
            chosen
        };
        assert_eq!(ask("eq", json!(text)), chosen(&|it| it == *text));
        assert_eq!(ask("ne", json!(text)), chosen(&|it| it != *text));
        assert_eq!(ask("in", json!([text, "none"])), chosen(&|it| it == *text));
        let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
        assert_eq!(ask("iLike", json!(escaped)), chosen(&|it| folded(it).contains(&folded(text))));
        assert_eq!(ask("notILike", json!(escaped)), chosen(&|it| !folded(it).contains(&folded(text))));
    }
}

/// A path with the text in place of its last parameter, or of all of them.
fn with_text(site: &Site, template: &str, text: &str, only_last: bool) -> String {
    let (mut path, mut rest) = (String::new(), template);
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').expect("a parameter has an end");
        let own = match name {
            "workspace" => site.project.workspace.as_str(),
            "configuration" => site.project.configuration.as_str(),
            "execution" => site.execution.as_str(),
            "workflow" => "bystander",
            _ => text,
        };
        let value = if only_last && behind.contains('{') { own } else { text };
        path += &format!("{before}{}", percent(value));
        rest = behind;
    }
    path + rest
}

#[test]
fn a_path_leads_nowhere_else() {
    let site = Site::new();
    let makes = |it: &Operation| it.method == "PUT" && it.path.ends_with("/directories/{path}");
    let others = operations(&site.app).into_iter().filter(|it| it.path.contains('{') && !makes(it));
    for (index, Operation { method, path: template, .. }) in others.enumerate() {
        let texts = PLAIN.iter().chain(CONTROLS).enumerate();
        for (_, text) in texts.filter(|(count, _)| is_tried(count + index)) {
            for only_last in [true, false] {
                let path = with_text(&site, &template, text, only_last);
                let request = Request::new(&method, path.as_str()).header("If-Match", "*");
                let request = if method == "GET" { request } else { request.json(&json!({})) };
                let answer = site.app.send(&request);
                assert!((400..500).contains(&answer.status()), "{method} {template} {text:?}: {answer}");
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/problem+json"),
                    "{method} {path}: {answer}"
                );
                assert_eq!(answer.header("location"), None);
            }
        }
    }
    site.assert_untouched();
}

#[test]
fn a_directory_is_called_what_its_maker_calls_it() {
    let site = Site::new();
    let Project { workspace, configuration, .. } = &site.project;
    let package = format!("/api/v1/workspaces/{workspace}/configurations/{configuration}");
    for text in texts().into_iter().filter(|text| text.len() < MOST_OF_A_PATH) {
        let directory = format!("{package}/directories/{}", percent(&text));
        let answer = site.app.send(&Request::new("PUT", directory.as_str()));
        if is_taken(&answer, "path", &text) {
            assert_eq!(answer.json(), json!({"path": text, "created": true}));
            let listed = site.app.get(&format!("{package}/files?prefix={}", percent(&text))).expect(200).json();
            let entries = listed["entries"].as_array().unwrap();
            assert!(entries.iter().any(|entry| entry["path"] == text.as_str()), "{text:?}: {listed}");
            site.app.send(&Request::new("DELETE", directory.as_str())).expect(204);
        }
    }
}
