//! What people say to work that goes on: options, reasons, answers, comments; and what files are called.

use super::{MOST_OF_A_PATH, Site, is_taken, percent, texts};
use crate::support::definitions::{step, with, workflow};
use crate::support::tools::{files_of, zip_of};
use crate::support::{Request, Response, TestApp, json, wait_until};

#[test]
fn options_and_reasons_reach_the_log_as_they_are() {
    let site = Site::new();
    let (app, project) = (&site.app, &site.project);
    // Whatever is created below waits behind these.
    let held: Vec<_> = (0..4).map(|_| app.held_run(project)).collect();
    let document = app.upload(project, "steps.json", b"[]");
    let create = |place: &str, text: &str| {
        let mut options = json!({"document_ids": [document]});
        match place {
            "options.metadata.k" => options["metadata"] = json!({"k": text}),
            "options.metadata" => options["metadata"] = json!({ text: "v" }),
            "options.input_sheet_names[0]" => options["input_sheet_names"] = json!([text]),
            "options.document_ids[0]" => options["document_ids"] = json!([text]),
            place => options[place.trim_start_matches("options.")] = json!(text),
        }
        app.post(&project.runs(), &json!({"options": options}))
    };
    for text in texts() {
        let mut runs = Vec::new();
        for (place, pointer) in [
            ("options.metadata.k", "/payload/options/metadata/k"),
            ("options.metadata", ""),
            ("options.input_sheet_names[0]", "/payload/options/input_sheet_names/0"),
            ("options.input_sheet_name", "/payload/options/input_sheet_names/0"),
        ] {
            let answer = create(place, &text);
            if is_taken(&answer, place, &text) {
                let run = answer.json()["id"].as_str().unwrap().to_owned();
                let queued = &app.run_events(&run)[0];
                match pointer {
                    "" => assert_eq!(queued["payload"]["options"]["metadata"], json!({ text.as_str(): "v" })),
                    pointer => assert_eq!(queued.pointer(pointer), Some(&json!(text)), "{place}"),
                }
                runs.push(run);
            }
        }
        for place in ["options.document_ids[0]", "options.input_document_id", "options.log_level"] {
            assert!(!is_taken(&create(place, &text), place, &text), "{place} {text:?}");
        }
        for run in runs {
            let cancel = Request::post(format!("/api/v1/runs/{run}/cancel"));
            if is_taken(&app.send(&cancel.clone().json(&json!({"reason": text}))), "reason", &text) {
                assert_eq!(app.finish_run(&run)["failure_message"], text);
            } else {
                app.send(&cancel).expect(202);
                app.finish_run(&run);
            }
        }
    }
    app.touch("go");
    held.iter().for_each(|run| drop(app.finish_run(run)));
    site.assert_untouched();
}

#[test]
fn executions_are_told_apart_by_whatever_their_scope_is_called() {
    let site = Site::new();
    let app = &site.app;
    let writes = workflow("writes", &[step("only", &["brief"], "Write it.")]);
    app.post(&format!("/api/v1/workflows?workspace_id={}", site.project.workspace), &writes).expect(201);
    let body = |scope: &str, text: &str| {
        let own = json!({"workspace_id": site.project.workspace, "workflow_id": "writes", "scope_type": "said",
                         "scope_id": scope, "input": {"brief": {"text": "x"}}});
        with(own, serde_json::from_str(text).unwrap())
    };
    let mut scopes = Vec::new();
    for (number, text) in texts().into_iter().enumerate() {
        let at_scope = app.post("/api/v1/executions", &body(&text, "{}"));
        if is_taken(&at_scope, "scope_id", &text) {
            assert_eq!(at_scope.json()["scope_id"], text);
            scopes.push(text.clone());
        }
        let own = format!("own-{number}");
        let of_type = app.post("/api/v1/executions", &body(&own, &json!({"scope_type": text}).to_string()));
        if is_taken(&of_type, "scope_type", &text) {
            assert_eq!(of_type.json()["scope_type"], text);
        }
        let given = json!({"input": {"brief": {"text": text}}}).to_string();
        let given = app.post("/api/v1/executions", &body(&own, &given));
        is_taken(&given, "input.brief.text", &text);
        for place in ["workflow_id", "workspace_id"] {
            let named = app.post("/api/v1/executions", &body(&own, &json!({ place: text }).to_string()));
            assert!(!is_taken(&named, place, &text), "{place} {text:?}");
        }
        let unknown = json!({"input": {"brief": {}, text.as_str(): {}}}).to_string();
        let unknown = app.post("/api/v1/executions", &body(&own, &unknown));
        assert!(!is_taken(&unknown, "input", &text), "{text:?}");
    }
    let active = format!("/api/v1/executions?workspace_id={}&active=true", site.project.workspace);
    wait_until("every execution has ended", || app.get(&active).expect(200).json()["total"] == 0);
    for scope in &scopes {
        for path in ["executions", "documents"] {
            let query = format!("workspace_id={}&scope_type=said&scope_id={}", site.project.workspace, percent(scope));
            let listed = app.get(&format!("/api/v1/{path}?{query}")).expect(200).json();
            let items = listed["items"].as_array().unwrap();
            assert!(!items.is_empty(), "{scope:?}");
            assert!(items.iter().all(|item| item["scope_id"] == scope.as_str()), "{scope:?} {listed}");
        }
    }
    site.assert_untouched();
}

#[test]
fn answers_and_comments_reach_the_log_as_they_are() {
    let app = TestApp::start();
    let accepted = json!({"acceptance": {"required": true}});
    app.add_workflow(&workflow("asks", &[with(step("note", &[], "Write it.\nbuiltin: ask What?"), accepted)]));
    for text in texts() {
        let mut it = app.execute("asks", &json!({}));
        it.until_type("clarification_needed");
        let id = json!({"answers": {"Q_1": "x"}, "clarification_id": text});
        assert!(!is_taken(&it.answer("note", &id), "clarification_id", &text));
        assert!(!is_taken(&it.answer("note", &json!({"answers": {"Q_1": "x"}, "item": text})), "item", &text));
        assert!(!is_taken(&it.answer("note", &json!({"answers": { text.as_str(): "x" }})), "answers", &text));
        if text.len() < MOST_OF_A_PATH {
            assert!(!is_taken(&it.answer(&percent(&text), &json!({"answers": {"Q_1": "x"}})), "step", &text));
        }
        let answer = it.answer("note", &json!({"answers": {"Q_1": text}}));
        if is_taken(&answer, "answers.Q_1", &text) {
            assert_eq!(it.until_type("clarification_answered")["payload"]["answers"]["Q_1"], text);
        } else {
            it.answer("note", &json!({"answers": {"Q_1": "x"}})).expect(200);
        }
        it.until_type("acceptance_needed");
        let decision = it.decide("note", &json!({"accepted": true, "comment": text}));
        if is_taken(&decision, "comment", &text) {
            assert_eq!(it.until_type("acceptance_given")["payload"]["comment"], text);
        } else {
            it.decide("note", &json!({"accepted": true})).expect(200);
        }
        it.ends("completed");
    }
}

/// The names of the headers of an answer, in order.
fn heads(answer: &Response) -> Vec<String> {
    let mut names: Vec<_> = answer.head.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names
}

/// The name that a reader of RFC 6266 keeps a download under.
fn kept_as(answer: &Response) -> String {
    let header = answer.header("content-disposition").expect("a download has a name");
    let rest = header.strip_prefix("attachment; filename=\"").unwrap_or_else(|| panic!("{header}"));
    let (plain, rest) = rest.split_once('"').unwrap_or_else(|| panic!("{header}"));
    assert!(plain.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{header}");
    assert!(!plain.contains(['/', '\\', '%']), "{header}");
    let Some(encoded) = rest.strip_prefix("; filename*=UTF-8''") else {
        assert_eq!(rest, "", "{header}");
        return plain.to_owned();
    };
    assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-_.~!#$&+^`|".contains(&byte)), "{header}");
    let mut bytes = encoded.bytes();
    let mut digit = || bytes.next().map(|byte| (byte, char::from(byte).to_digit(16).unwrap_or(0) as u8));
    let mut name = Vec::new();
    while let Some((byte, _)) = digit() {
        name.push(if byte == b'%' { digit().unwrap().1 << 4 | digit().unwrap().1 } else { byte });
    }
    String::from_utf8(name).unwrap()
}

/// What a file is kept as that is called this: what separates directories, or is no character, is replaced.
fn as_file(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect()
}

/// The form of an upload whose part says its name in this way.
fn named(parameter: &str) -> Vec<u8> {
    let head =
        format!("--b\r\nContent-Disposition: form-data; name=\"file\"; {parameter}\r\nContent-Type: text/csv\r\n");
    [head.as_bytes(), b"\r\nx\r\n--b--\r\n"].concat()
}

#[test]
fn a_document_is_called_what_its_sender_calls_it_and_no_name_adds_a_header() {
    let site = Site::new();
    let path = site.project.documents();
    let plain = site.app.upload(&site.project, "plain.csv", b"x");
    let usual = heads(&site.app.get(&format!("{path}/{plain}/download")).expect(200));
    for text in texts() {
        let quoted = format!("filename=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let extended = format!("filename=\"plain\"; filename*=UTF-8''{}", percent(&text));
        let is_line = !text.chars().any(|c| matches!(c, '\r' | '\n' | '\0'));
        for parameter in [Some(extended), is_line.then_some(quoted)].into_iter().flatten() {
            let form = named(&parameter);
            let answer = site.app.send(&Request::post(path.as_str()).body("multipart/form-data; boundary=b", form));
            // A head that no form has is no head, whatever is in it.
            if answer.status() == 400 || !is_taken(&answer, "file", &text) {
                continue;
            }
            let shown = site.app.get(answer.header("location").unwrap()).expect(200).json();
            assert_eq!(shown["name"], text, "{parameter}");
            let download = site.app.get(shown["links"]["download"].as_str().unwrap()).expect(200);
            assert_eq!((heads(&download), kept_as(&download)), (usual.clone(), as_file(&text)), "{parameter}");
            assert_eq!(download.text(), "x");
        }
    }
    site.assert_untouched();
}

#[test]
fn an_imported_configuration_is_called_what_its_sender_calls_it() {
    let site = Site::new();
    let workspace = &site.project.workspace;
    let zip = zip_of(&files_of("configuration"));
    for text in texts() {
        let parts = [("display_name", None, text.as_bytes()), ("file", Some("package.zip"), &zip[..])];
        let import = format!("/api/v1/workspaces/{workspace}/configurations/import");
        let answer = site.app.send(&Request::post(import).form(&parts));
        if is_taken(&answer, "display_name", &text) {
            let again = site.app.get(answer.header("location").unwrap()).expect(200).json();
            assert_eq!(again["display_name"], text);
        }
    }
    site.assert_untouched();
}

#[test]
fn the_type_of_a_document_is_one_or_is_refused() {
    let site = Site::new();
    let path = site.project.documents();
    for text in texts().iter().filter(|text| !text.contains(['\r', '\n'])) {
        for value in
            [text.clone(), format!("text/{text}"), format!("text/csv; {text}"), format!("text/csv; a=\"{text}\"")]
        {
            let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\nContent-Type: ";
            let form = format!("{head}{value}\r\n\r\nx\r\n--b--\r\n");
            let answer = site.app.send(&Request::post(path.as_str()).body("multipart/form-data; boundary=b", form));
            assert!(answer.status() < 500, "{value:?}: {answer}");
            if answer.status() == 201 {
                let document = answer.json();
                let download = site.app.get(document["links"]["download"].as_str().unwrap()).expect(200);
                assert_eq!(download.header("content-type"), document["content_type"].as_str(), "{value:?}");
                assert_eq!(download.text(), "x");
            }
        }
    }
    site.assert_untouched();
}

#[test]
fn outputs_are_called_what_the_engine_calls_them_and_no_name_adds_a_header() {
    let site = Site::new();
    let is_file =
        |name: &String| !name.contains(['/', '\0']) && name.len() <= 255 && ![".", ".."].contains(&name.as_str());
    let names: Vec<String> = texts().into_iter().filter(is_file).collect();
    let steps: Vec<_> = names.iter().map(|name| json!(["output", name, "x"])).collect();
    let run = site.app.run(&site.project, &json!(steps));
    assert_eq!(run["status"], "succeeded", "{run}");
    let outputs = format!("/api/v1/runs/{}/outputs", run["id"].as_str().unwrap());
    let listed = site.app.get(&outputs).expect(200).json();
    let files = listed["files"].as_array().unwrap();
    assert!(files.len() > names.len() / 2, "{listed}");
    for file in files {
        let name = file["name"].as_str().unwrap();
        assert!(names.iter().any(|own| own == name), "{name:?}");
        let download = site.app.get(file["download_url"].as_str().unwrap()).expect(200);
        assert_eq!((download.text(), kept_as(&download)), ("x", as_file(name)));
        assert_eq!(download.header("set-cookie"), None);
    }
    for text in texts().into_iter().filter(|text| text.len() < MOST_OF_A_PATH) {
        let answer = site.app.get(&format!("{outputs}/{}", percent(&text)));
        let is_there = answer.status() == 200 && answer.text() == "x";
        assert!(is_there || answer.status() == 404, "{text:?}: {answer}");
    }
    site.assert_untouched();
}
