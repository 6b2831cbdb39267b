//! Lists: pages, cursors, orders, filters and search, and what is refused.

use crate::support::{Project, Request, TestApp, Value, json};

/// A query parameter as browsers and `curl --data-urlencode` send it.
fn encoded(name: &str, value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("{name}={}", value.bytes().map(byte).collect::<String>())
}

fn filters(items: Value) -> String {
    encoded("filters", &items.to_string())
}

fn one(id: &str, operator: &str, value: Value) -> String {
    filters(json!([{"id": id, "operator": operator, "value": value}]))
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// A project with four runs, oldest first: succeeded with an output, failed, only validated, cancelled.
struct Site {
    app: TestApp,
    project: Project,
    runs: Vec<Value>,
}

impl Site {
    fn new() -> Self {
        let app = TestApp::start();
        let project = app.project();
        let mut runs =
            vec![app.run(&project, &json!([["output", "x.csv", "1"]])), app.run(&project, &json!([["exit", 1]]))];
        let validated = app.post(&project.runs(), &json!({"options": {"validate_only": true}})).expect(201).json();
        runs.push(app.finish_run(validated["id"].as_str().unwrap()));
        let held = app.held_run(&project);
        app.cancel_run(&held).expect(202);
        runs.push(app.finish_run(&held));
        let statuses: Vec<_> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["succeeded", "failed", "succeeded", "cancelled"]);
        Self { app, project, runs }
    }

    fn of_workspace(&self) -> String {
        format!("/api/v1/workspaces/{}/runs", self.project.workspace)
    }

    fn get(&self, query: &str) -> Value {
        self.app.get(&format!("{}?{query}", self.of_workspace())).expect(200).json()
    }

    fn refused(&self, query: &str, code: &str) -> Value {
        self.app.get(&format!("{}?{query}", self.of_workspace())).problem(422, code)
    }

    /// Which runs, by their index, oldest first.
    fn found(&self, query: &str) -> Vec<usize> {
        let list = self.get(query);
        let mut found: Vec<_> = ids(&list).iter().map(|id| self.index(id)).collect();
        assert_eq!(list["total"], found.len(), "{query}: {list}");
        found.sort_unstable();
        found
    }

    /// In the order of the answer.
    fn ordered(&self, query: &str) -> Vec<usize> {
        ids(&self.get(query)).iter().map(|id| self.index(id)).collect()
    }

    fn index(&self, id: &str) -> usize {
        self.runs.iter().position(|run| run["id"] == id).expect("a run of this site")
    }
}

#[test]
fn runs_are_filtered_by_everything_that_the_list_offers() {
    let site = Site::new();
    let text = |index: usize, key: &str| site.runs[index][key].as_str().unwrap().to_owned();
    let failed = one("status", "eq", json!("failed"));
    let page = site.get(&format!("perPage=20&{failed}"));
    assert_eq!(ids(&page), [text(1, "id")]);
    let told = (&page["page"], &page["perPage"], &page["pageCount"], &page["total"]);
    assert_eq!(told, (&json!(1), &json!(20), &json!(1), &json!(1)));
    assert_eq!(page["items"][0], site.runs[1], "an item is the resource");

    let document = site.runs[0]["input"]["document_ids"][0].clone();
    let configuration = json!(site.project.configuration);
    let nobody = json!("cfg_01J00000000000000000000000");
    for (query, expected) in [
        (String::new(), &[0, 1, 2, 3][..]),
        ("status=failed&status=cancelled".into(), &[1, 3]),
        (one("status", "ne", json!("succeeded")), &[1, 3]),
        (one("status", "in", json!(["succeeded", "failed"])), &[0, 1, 2]),
        (one("status", "notIn", json!(["succeeded", "failed"])), &[3]),
        (one("status", "iLike", json!("ED")), &[0, 1, 2, 3]),
        (one("status", "iLike", json!("Fail%")), &[1]),
        (one("status", "notILike", json!("%ed%")), &[]),
        (one("configurationId", "eq", configuration.clone()), &[0, 1, 2, 3]),
        (one("configuration_id", "eq", nobody.clone()), &[]),
        (one("configuration_id", "notIn", json!([nobody])), &[0, 1, 2, 3]),
        (one("inputDocumentId", "eq", document.clone()), &[0]),
        (one("input_document_id", "ne", document.clone()), &[1, 3]),
        (one("input_document_id", "notIn", json!([document])), &[1, 3]),
        (one("input_document_id", "isEmpty", Value::Null), &[2]),
        (filters(json!([{"id": "input_document_id", "operator": "isNotEmpty"}])), &[0, 1, 3]),
        (one("hasOutput", "eq", json!(true)), &[0]),
        (one("has_output", "ne", json!(true)), &[1, 2, 3]),
        (one("createdAt", "gt", json!(text(1, "created_at"))), &[2, 3]),
        (one("created_at", "gte", json!(text(1, "created_at"))), &[1, 2, 3]),
        (one("created_at", "lt", json!(text(1, "created_at"))), &[0]),
        (one("created_at", "lte", json!(text(1, "created_at"))), &[0, 1]),
        (one("created_at", "eq", json!(text(1, "created_at"))), &[1]),
        (one("created_at", "between", json!([text(1, "created_at"), text(2, "created_at")])), &[1, 2]),
        (one("started_at", "lt", json!("2026-01-01")), &[]),
        (one("completedAt", "isNotEmpty", Value::Null), &[0, 1, 2, 3]),
        (one("completed_at", "gt", json!(text(2, "completed_at"))), &[3]),
        (encoded("q", &text(1, "id")[10..].to_lowercase()), &[1]),
        (encoded("q", "STEPS"), &[0, 1, 3]),
        (encoded("q", "steps canc"), &[3]),
        (encoded("q", "steps%"), &[]),
        (encoded("q", "  "), &[0, 1, 2, 3]),
    ] {
        assert_eq!(site.found(&query), expected, "{query}");
    }
    let mixed = json!([
        {"id": "status", "operator": "eq", "value": "failed"},
        {"id": "hasOutput", "operator": "eq", "value": true},
    ]);
    assert_eq!(site.found(&filters(mixed.clone())), [0; 0]);
    assert_eq!(site.found(&format!("joinOperator=and&{}", filters(mixed.clone()))), [0; 0]);
    assert_eq!(site.found(&format!("joinOperator=or&{}", filters(mixed.clone()))), [0, 1]);
    assert_eq!(site.found(&format!("status=failed&joinOperator=or&{}", filters(mixed))), [1]);
    let of_configuration = site.app.get(&format!("{}?{failed}", site.project.runs())).expect(200).json();
    assert_eq!(ids(&of_configuration), [text(1, "id")]);
}

#[test]
fn runs_are_sorted_paged_and_followed_by_cursor() {
    let site = Site::new();
    assert_eq!(site.ordered(""), [3, 2, 1, 0]);
    assert_eq!(site.ordered("sort=createdAt"), [0, 1, 2, 3]);
    assert_eq!(site.ordered("sort=-started_at"), [3, 2, 1, 0]);
    assert_eq!(site.ordered("sort=status,-created_at"), [3, 1, 2, 0]);
    assert_eq!(site.ordered("sort=-status,completedAt,id"), [0, 2, 1, 3]);
    assert_eq!(site.ordered("sort=id"), [0, 1, 2, 3]);
    assert_eq!(site.ordered("perPage=3&page=2"), [0]);
    assert_eq!(site.ordered("perPage=3&page=3"), [0; 0]);
    assert_eq!(site.get("perPage=3")["pageCount"], 2);

    for sort in ["", "sort=started_at", "sort=-status,created_at", "sort=-completed_at"] {
        for per_page in [1, 3, 4, 5] {
            let (mut cursor, mut followed) = (String::new(), Vec::new());
            loop {
                let query = format!("perPage={per_page}&{}&{sort}", encoded("cursor", &cursor));
                let slice = site.get(query.trim_end_matches('&'));
                assert_eq!(slice.as_object().unwrap().keys().collect::<Vec<_>>(), ["items", "next_cursor"]);
                followed.extend(ids(&slice).iter().map(|id| site.index(id)));
                match slice["next_cursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
                assert!(followed.len() < 4, "it ends");
            }
            assert_eq!(followed, site.ordered(sort), "{sort} {per_page}");
        }
    }
}

#[test]
fn a_run_that_has_not_started_sorts_last_in_both_directions() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let held = app.held_run(&project);
    let waiting = app.create_run(&project, &json!([]));
    let expected = [held.clone(), waiting.clone()];
    for sort in ["started_at", "-started_at"] {
        let list = format!("{}?sort={sort}", project.runs());
        assert_eq!(ids(&app.get(&list).expect(200).json()), expected);
        let first = app.get(&format!("{list}&perPage=1&cursor=")).expect(200).json();
        assert_eq!(ids(&first), expected[..1]);
        let next = first["next_cursor"].as_str().unwrap();
        let second = app.get(&format!("{list}&perPage=1&cursor={next}")).expect(200).json();
        assert_eq!((ids(&second), &second["next_cursor"]), (expected[1..].to_vec(), &Value::Null));
    }
    for (operator, value) in [("ne", json!("2026-01-01")), ("notIn", json!(["2026-01-01"]))] {
        let list = format!("{}?{}", project.runs(), one("started_at", operator, value));
        assert_eq!(ids(&app.get(&list).expect(200).json()), [held.as_str()], "null matches no comparison");
    }
    let list = format!("{}?{}", project.runs(), one("startedAt", "isEmpty", Value::Null));
    assert_eq!(ids(&app.get(&list).expect(200).json()), [waiting.as_str()]);
    app.touch("go");
    app.finish_run(&held);
    app.finish_run(&waiting);
}

/// Every route that answers with a list: pages of rows, pages of events, and those that are whole.
struct Lists {
    of_rows: Vec<String>,
    of_events: Vec<String>,
    whole: Vec<String>,
}

impl Lists {
    fn of(app: &TestApp) -> Self {
        let project = app.project();
        let run = app.run(&project, &json!([]))["id"].as_str().unwrap().to_owned();
        let document = json!({"scope_type": "s", "scope_id": "1", "document_type": "d", "content": 1});
        let document = app.post("/api/v1/documents", &document).expect(201).json();
        let [workspace, own_runs] = ["", "/runs"].map(|rest| format!("/api/v1/workspaces/{}{rest}", project.workspace));
        let run = format!("/api/v1/runs/{run}");
        Self {
            of_rows: vec![
                "/api/v1/workspaces".into(),
                format!("{workspace}/configurations"),
                project.documents(),
                project.runs(),
                own_runs,
                format!("{workspace}/configurations/{}/runs", project.configuration),
                project.builds(),
                "/api/v1/executions".into(),
                "/api/v1/documents".into(),
                format!("/api/v1/documents/{}/versions", document["document_id"].as_str().unwrap()),
            ],
            of_events: vec![format!("{run}/events"), format!("{run}/logs"), format!("{workspace}/events")],
            whole: vec![
                "/api/v1/workflows".into(),
                format!("{run}/outputs"),
                "/api/v1/executions/exec_01J00000000000000000000000/steps".into(),
            ],
        }
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.of_rows.iter().chain(&self.of_events).chain(&self.whole)
    }
}

#[test]
fn a_class_of_error_has_one_code_on_every_list() {
    let app = TestApp::start();
    let lists = Lists::of(&app);
    let refused = |target: &str, query: &str, place: &str| {
        let problem = app.get(&format!("{target}?{query}")).problem(400, "invalid_query");
        assert_eq!(problem["errors"][0]["path"], place, "{target}?{query}: {problem}");
    };
    for target in lists.all() {
        for (query, place) in [
            ("colour=red", "colour"),
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("sort=colour", "sort"),
            ("%FF=1", "\u{fffd}"),
        ] {
            refused(target, query, place);
        }
    }
    for target in &lists.of_rows {
        app.get(target).expect(200);
        for query in ["perPage=0", "perPage=201", "perPage=-1", "perPage=1&perPage=1", "perPage=", "perPage=a%00"] {
            refused(target, query, "perPage");
        }
        for query in ["sort=colour,id", "sort=id,id,id,id", "sort=--id", "sort=id&sort=id"] {
            refused(target, query, "sort");
        }
        let foreign = "cnVuXzAxSjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA";
        for cursor in ["x", "%25", "a%20b", "AAAA", foreign] {
            let problem = app.get(&format!("{target}?cursor={cursor}")).problem(422, "invalid_cursor");
            assert_eq!(problem["errors"][0]["path"], "cursor", "{target}");
        }
        refused(target, "cursor=&cursor=", "cursor");
        refused(target, "cursor=&page=1", "page");
    }
    for target in &lists.of_events {
        app.get(target).expect(200);
        refused(target, "limit=1001", "limit");
        refused(target, "cursor=x", "cursor");
    }
    for target in &lists.whole {
        refused(target, "cursor=x", "cursor");
        refused(target, "perPage=1", "perPage");
    }
}

#[test]
fn the_workspace_of_a_list_is_read_like_every_parameter() {
    let app = TestApp::start();
    let project = app.project();
    let encoded = project.workspace.replace('_', "%5F");
    for target in ["/api/v1/executions", "/api/v1/documents", "/api/v1/workflows"] {
        for name in ["workspace_id", "workspace%5Fid"] {
            app.get(&format!("{target}?{name}={encoded}")).expect(200);
            app.get(&format!("{target}?{name}=ws%20x")).problem(422, "invalid_id");
        }
        let twice = app.get(&format!("{target}?workspace_id={encoded}&workspace%5Fid={encoded}"));
        assert_eq!(twice.problem(400, "invalid_query")["errors"][0]["path"], "workspace_id");
    }
}

#[test]
fn unsupported_list_parameters_are_rejected_and_named() {
    let app = TestApp::start();
    let project = app.project();
    let many = vec![json!({"id": "status", "operator": "isEmpty"}); 26];
    for target in [project.runs(), format!("/api/v1/workspaces/{}/runs", project.workspace), project.builds()] {
        for (query, path, allowed) in [
            ("colour=red".to_owned(), "colour", "perPage"),
            ("per_page=20".into(), "per_page", "perPage"),
            ("page=0".into(), "page", "from 1"),
            ("page=two".into(), "page", "from 1"),
            ("perPage=0".into(), "perPage", "1 to 200"),
            ("perPage=201".into(), "perPage", "1 to 200"),
            ("status=lost".into(), "status", "queued"),
            ("sort=colour".into(), "sort", "started_at"),
            ("sort=id,status,created_at,-started_at".into(), "sort", "at most 3"),
            ("joinOperator=xor".into(), "joinOperator", "and or or"),
            ("page=1&page=1".into(), "page", "once"),
            ("page=2&cursor=".into(), "page", "cursor"),
            (encoded("q", &"x".repeat(201)), "q", "200"),
            (encoded("q", "a\0b"), "q", "NUL"),
            (encoded("filters", "[{"), "filters", "JSON array"),
            (encoded("filters", &format!("[{}]", " ".repeat(8200))), "filters", "8192 bytes"),
            (filters(json!(many)), "filters", "25 items"),
            (one("colour", "eq", json!(1)), "filters[0].id", "completed_at"),
            (one("status", "lt", json!("failed")), "filters[0].operator", "notIn"),
            (one("createdAt", "iLike", json!("2026")), "filters[0].operator", "between"),
            (one("status", "eq", json!("lost")), "filters[0].value", "cancelled"),
            (one("status", "in", json!([])), "filters[0].value", "array"),
            (one("created_at", "eq", json!("tomorrow")), "filters[0].value", "a time"),
            (one("created_at", "between", json!(["2026-01-01"])), "filters[0].value", "two"),
            (one("started_at", "isEmpty", json!(true)), "filters[0].value", "left out"),
        ] {
            let problem = app.get(&format!("{target}?{query}")).problem(400, "invalid_query");
            assert_eq!(problem["errors"][0]["path"], path, "{query}");
            let message = problem["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains(allowed), "{query}: {message}");
        }
    }
    let of_runs = [one("hasOutput", "lt", json!(true)), one("configuration_id", "eq", json!("cfg_1"))];
    for query in of_runs {
        app.get(&format!("{}?{query}", project.runs())).problem(400, "invalid_query");
    }
    let foreign = one("has_output", "eq", json!(true));
    app.get(&format!("{}?{foreign}", project.builds())).problem(400, "invalid_query");
}

#[test]
fn a_cursor_belongs_to_its_list_its_order_and_its_filters() {
    let site = Site::new();
    let slice = site.get("perPage=1&cursor=&sort=-created_at");
    let next = slice["next_cursor"].as_str().unwrap();
    site.get(&format!("perPage=2&cursor={next}"));
    let tampered = format!("{}{}", if next.starts_with('A') { "B" } else { "A" }, &next[1..]);
    for query in [
        format!("cursor={tampered}"),
        format!("cursor={}", &next[..next.len() - 2]),
        "cursor=abc".into(),
        encoded("cursor", "ü/+"),
        format!("cursor={next}&sort=created_at"),
        format!("cursor={next}&status=failed"),
        format!("cursor={next}&q=x"),
        format!("cursor={next}&{}", one("status", "eq", json!("failed"))),
    ] {
        let problem = site.refused(&query, "invalid_cursor");
        assert_eq!(problem["errors"][0]["path"], "cursor");
    }
    let elsewhere = format!("{}?cursor={next}", site.project.runs());
    site.app.get(&elsewhere).problem(422, "invalid_cursor");
}

#[test]
fn a_cursor_stays_valid_when_newer_runs_arrive() {
    let site = Site::new();
    let first = site.get("perPage=2&cursor=");
    assert_eq!(ids(&first).iter().map(|id| site.index(id)).collect::<Vec<_>>(), [3, 2]);
    site.app.run(&site.project, &json!([]));
    let next = first["next_cursor"].as_str().unwrap();
    assert_eq!(site.ordered(&format!("perPage=2&cursor={next}")), [1, 0]);
}

#[test]
fn builds_support_the_same_list_parameters() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.build(&project, &json!({}));
    let forced = app.build(&project, &json!({"force": true}));
    let get = |query: &str| app.get(&format!("{}?{query}", project.builds())).expect(200).json();
    let (old, new) = (first["id"].as_str().unwrap().to_owned(), forced["id"].as_str().unwrap().to_owned());
    assert_eq!(ids(&get("")), [new.clone(), old.clone()]);
    assert_eq!(ids(&get("sort=completedAt")), [old.clone(), new.clone()]);
    assert_eq!(ids(&get("status=active&perPage=1&page=2")), [old.as_str()]);
    assert_eq!(ids(&get(&one("status", "notIn", json!(["active"])))), [""; 0]);
    assert_eq!(ids(&get(&one("createdAt", "gt", first["created_at"].clone()))), [new.as_str()]);
    assert_eq!(ids(&get(&encoded("q", &old))), [old.as_str()]);
    let slice = get("cursor=&perPage=1");
    assert_eq!(ids(&slice), [new]);
    let next = slice["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&get(&format!("cursor={next}&perPage=1"))), [old]);
}

#[test]
fn every_other_list_is_paged_searched_and_sorted_too() {
    let app = TestApp::start();
    let project = app.project();
    let other = app.create_workspace("Other");
    for name in ["a.csv", "B.csv", "c.txt"] {
        app.upload(&project, name, b"1");
    }
    let get = |target: &str, query: &str| app.get(&format!("{target}?{query}")).expect(200).json();
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let documents = project.documents();
    assert_eq!(names(&get(&documents, "")), ["a.csv", "B.csv", "c.txt"]);
    let second = get(&documents, "perPage=2&page=2");
    assert_eq!((names(&second), &second["pageCount"], &second["total"]), (vec!["c.txt".into()], &json!(2), &json!(3)));
    assert_eq!(names(&get(&documents, "q=CSV&sort=-created_at")), ["B.csv", "a.csv"]);
    let slice = get(&documents, "perPage=2&cursor=");
    let next = slice["next_cursor"].as_str().unwrap();
    assert_eq!(names(&get(&documents, &format!("perPage=2&cursor={next}"))), ["c.txt"]);

    let workspaces = "/api/v1/workspaces";
    assert_eq!(ids(&get(workspaces, "perPage=1&page=3")), [other.as_str()]);
    assert_eq!(ids(&get(workspaces, "q=oTHER")), [other]);
    let configurations = format!("{workspaces}/{}/configurations", project.workspace);
    assert_eq!(ids(&get(&configurations, "q=imported")), [project.configuration]);
    for target in [workspaces, &configurations, &documents] {
        for query in ["perPage=201", "page=0", "status=active", "sort=name", "colour=red"] {
            app.get(&format!("{target}?{query}")).problem(400, "invalid_query");
        }
        if target != documents {
            app.get(&format!("{target}?filters=%5B%5D")).problem(400, "invalid_query");
        }
        app.get(&format!("{target}?cursor={next}x")).problem(422, "invalid_cursor");
    }
}

#[test]
fn the_list_of_an_unknown_or_foreign_resource_is_404() {
    let app = TestApp::start();
    for target in [
        "/api/v1/workspaces/ws_01J00000000000000000000000/runs",
        "/api/v1/configurations/cfg_01J00000000000000000000000/runs",
    ] {
        app.send(&Request::get(target)).problem(404, "not_found");
    }
}
