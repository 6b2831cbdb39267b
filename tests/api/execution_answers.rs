//! Executions that wait for a person: questions and their answers, documents and their acceptance.

use crate::sign_in::{make_key, with_key};
use crate::support::definitions::{by_server, question_set, step, with, workflow};
use crate::support::executions::{EXECUTIONS, Watched};
use crate::support::model::{ModelServer, Turn, user_text};
use crate::support::{Request, Response, TestApp, Value, json, laws, wait_until};

const EVERY_KIND: &str = "Write it.
builtin: ask What?
builtin: ask(single_choice: red, green)? Which colour?
builtin: ask(multi_choice: north, south)? Which sides?
builtin: ask(yes_no)? Really?
builtin: ask(number)? How many?
builtin: ask(date)? When?
builtin: ask(uuid)? Which one?
builtin: ask(json_object)? How?";

fn faults(answer: Response) -> Vec<String> {
    let problem = answer.problem(422, "invalid_answers");
    let errors = problem["errors"].as_array().unwrap().iter();
    let mut paths: Vec<_> = errors.map(|error| error["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}

/// The prompts that a server was asked, in order.
fn prompts(server: &ModelServer) -> Vec<String> {
    server.requests().iter().map(user_text).collect()
}

#[test]
fn every_invalid_answer_is_named_and_none_is_stored() {
    let app = TestApp::start();
    let mut it = app.execute_new(&workflow("ask", &[step("note", &[], EVERY_KIND)]));
    let asked = it.until_type("clarification_needed");
    assert_eq!(asked["payload"]["questions"].as_array().unwrap().len(), 8);
    let wrong = json!({
        "Q_1": "  ", "Q_2": "blue", "Q_3": ["north", "east"], "Q_4": "yes", "Q_5": "3", "Q_6": "2026-02-30",
        "Q_7": "no-uuid", "Q_8": [1], "Q_9": 1,
    });
    let expected: Vec<_> = (1..=9).map(|number| format!("answers.Q_{number}")).collect();
    assert_eq!(faults(it.answer("note", &json!({"answers": wrong}))), expected);
    assert_eq!(faults(it.answer("note", &json!({"answers": {}}))), ["answers.Q_1"]);
    assert_eq!(faults(it.answer("note", &json!({"answers": {"Q_1": null, "Q_2": "red"}}))), ["answers.Q_1"]);
    for body in [json!({}), json!({"answers": []}), json!({"answers": "x"})] {
        assert_eq!(it.answer("note", &body).status(), 422, "{body}");
    }
    it.shows_pending("clarification_id", &asked["payload"]["clarification_id"]);
    let right = json!({
        "Q_1": "this", "Q_2": "red", "Q_3": ["south", "north"], "Q_4": false, "Q_5": 2.5, "Q_6": "2024-02-29",
        "Q_7": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "Q_8": {"a": []},
    });
    it.answer("note", &json!({"answers": right})).expect(200);
    it.ends("completed");
    let said = laws::of_kind(&it.seen, "clarification_answered");
    assert_eq!((said.len(), &said[0]["payload"]["answers"]), (1, &right), "nothing of what was refused is there");
    assert_eq!(said[0]["payload"]["clarification_id"], asked["payload"]["clarification_id"]);
}

#[test]
fn answers_are_accepted_once_and_may_be_repeated() {
    let app = TestApp::start();
    let task = "Write it.\nbuiltin: ask What?\nbuiltin: ask? Why?";
    let mut it = app.execute_new(&workflow(
        "ask",
        &[
            step("note", &[], &task.replace("ask?", "ask(free_text)?")),
            step("end", &["note"], "End it.\nbuiltin: ask What else?"),
        ],
    ));
    it.until_type("clarification_needed");
    it.answer("end", &json!({"answers": {"Q_1": "x"}})).problem(409, "not_waiting");
    it.answer("nothing", &json!({"answers": {"Q_1": "x"}})).problem(404, "not_found");
    let elsewhere = format!("{EXECUTIONS}/exec_01J00000000000000000000000/steps/note/clarification");
    app.post(&elsewhere, &json!({"answers": {"Q_1": "x"}})).problem(404, "not_found");
    let answers = json!({"answers": {"Q_1": "this"}});
    let answered = it.answer("note", &answers).expect(200).json();
    assert_eq!(answered["execution_id"], it.id.as_str());
    for again in [&answers, &json!({"answers": {"Q_1": "this", "Q_2": null}})] {
        it.answer("note", again).expect(200);
    }
    it.answer("note", &json!({"answers": {"Q_1": "that"}})).problem(409, "clarification_answered");
    it.answer("note", &json!({"answers": {"Q_1": "this", "Q_2": "more"}})).problem(409, "clarification_answered");
    let asked = it.until_step("clarification_needed", "end");
    it.answer("note", &answers).expect(200);
    let mut named = json!({"answers": {"Q_1": "enough"}});
    named["clarification_id"] = asked["payload"]["clarification_id"].clone();
    it.answer("end", &named).expect(200);
    it.ends("completed");
    it.answer("end", &named).expect(200);
    it.answer("end", &json!({"answers": {"Q_1": "too late"}})).problem(409, "clarification_answered");
    assert_eq!(laws::of_kind(&it.seen, "clarification_answered").len(), 2, "a repeat is no event");
    assert_eq!(it.show()["last_sequence"], it.seen.len());
}

#[test]
fn of_twenty_concurrent_answers_the_first_wins() {
    let app = TestApp::start();
    let mut it = app.execute_new(&workflow("ask", &[step("note", &[], "Write it.\nbuiltin: ask What?")]));
    it.until_type("clarification_needed");
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let it = &it.id;
        let threads: Vec<_> = (0..20)
            .map(|number| {
                let app = &app;
                scope.spawn(move || {
                    let answers = json!({"answers": {"Q_1": format!("answer {number}")}});
                    app.post(&format!("{EXECUTIONS}/{it}/steps/note/clarification"), &answers).status()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|told| **told == status).count();
    assert_eq!((count(200), count(409)), (1, 19), "{statuses:?}");
    it.ends("completed");
    assert_eq!(laws::of_kind(&it.seen, "clarification_answered").len(), 1);
}

#[test]
fn all_answers_go_into_the_next_call_and_a_step_asks_three_times_at_most() {
    let turns = ["What?", "How?", "When?", "Why?"].map(|text| Turn::Says(question_set(text).to_string()));
    let document = Turn::Says(json!({"title": "Done", "text": "It is."}).to_string());
    let server = ModelServer::scripted(turns.into_iter().chain([document]).collect());
    let app = TestApp::with(&[("ADE_OPENAI_BASE_URL", &server.url())]);
    let mut it = app.execute_new(&workflow("ask", &[by_server(step("note", &[], "Write it."))]));
    let mut first = Value::Null;
    for (round, answer) in ["a walnut", "by hand", "in May"].iter().enumerate() {
        let asked = it.until_type("clarification_needed");
        let id = asked["payload"]["clarification_id"].clone();
        assert_ne!(id, first, "each set has an id of its own");
        if round == 1 {
            // Who is late repeats what was said to the first set, and it is not taken for an answer to the second.
            it.answer("note", &json!({"answers": {"Q_1": "a walnut"}, "clarification_id": first})).expect(200);
            it.shows_pending("clarification_id", &id);
        }
        first = if round == 0 { id.clone() } else { first };
        it.answer("note", &json!({"answers": {"Q_1": answer}, "clarification_id": id})).expect(200);
    }
    it.ends("completed");
    let retried = laws::of_kind(&it.seen, "step_retrying");
    assert_eq!(
        (retried.len(), &retried[0]["payload"]["reason"]),
        (1, &json!("validation")),
        "the fourth set is of no use"
    );
    let prompts = prompts(&server);
    assert_eq!(prompts.len(), 5);
    assert!(!prompts[0].contains("a walnut"));
    for (prompt, known) in prompts[1..].iter().zip([1, 2, 3, 3]) {
        let told = ["a walnut", "by hand", "in May"].iter().filter(|answer| prompt.contains(**answer)).count();
        assert_eq!(told, known, "{prompt}");
    }
    it.assert_costs();
}

/// A step on a server, whose document a person accepts.
fn accepted_by_a_person(max_attempts: u32) -> Value {
    let note =
        with(step("note", &[], "Write it."), json!({"acceptance": {"required": true}, "max_attempts": max_attempts}));
    workflow("accept", &[by_server(note), step("end", &["note"], "End it.")])
}

#[test]
fn a_document_is_decided_on_by_whom_the_workflow_names() {
    let server = ModelServer::scripted(versions(&["First"]));
    let app = TestApp::with(&[("ADE_AUTH", "on"), ("ADE_OPENAI_BASE_URL", &server.url())]);
    let acceptance = json!({"acceptance": {"required": true, "accepted_by": ["board"]}});
    let note = by_server(with(step("note", &[], "Write it."), acceptance));
    let mut it = app.execute_new(&workflow("accept", &[note, step("end", &["note"], "End it.")]));
    assert_eq!(it.until_type("acceptance_needed")["payload"]["accepted_by"], json!(["board"]));
    wait_until("it waits", || it.show()["status"] == "waiting_acceptance");
    let decide = |name: &str| {
        let (_, key) = make_key(&app, &json!({"name": name, "role": "operator"}));
        let request = Request::post(format!("{EXECUTIONS}/{}/steps/note/acceptance", it.id));
        app.send(&with_key(request.json(&json!({"accepted": true})), &key))
    };
    assert_eq!(decide("others").problem(403, "not_among_accepters")["accepted_by"], json!(["board"]));
    decide("board").expect(200);
    assert_eq!(it.until_type("acceptance_given")["payload"]["decided_by"]["name"], "board");
    it.ends("completed");
}

fn versions(texts: &[&str]) -> Vec<Turn> {
    texts.iter().map(|text| Turn::Says(json!({"title": text, "text": text}).to_string())).collect()
}

#[test]
fn a_document_is_used_once_it_is_accepted() {
    let server = ModelServer::scripted(versions(&["First", "Second"]));
    let app = TestApp::with(&[("ADE_OPENAI_BASE_URL", &server.url())]);
    let mut it = app.execute_new(&accepted_by_a_person(2));
    let needed = it.until_type("acceptance_needed");
    let document = |it: &Watched<'_>| it.show()["pending"][0]["document"].clone();
    wait_until("it waits", || it.show()["status"] == "waiting_acceptance");
    assert_eq!(
        (&document(&it)["document_id"], &document(&it)["version"]),
        (&needed["payload"]["document_id"], &json!(1))
    );
    assert_eq!(it.show()["pending"][0]["kind"], "acceptance");
    assert_eq!(it.content("", "note")["title"], "First", "the version is stored before anybody is asked");
    it.answer("note", &json!({"answers": {}})).problem(409, "not_waiting");
    it.decide("end", &json!({"accepted": true})).problem(409, "not_waiting");
    it.decide("nothing", &json!({"accepted": true})).problem(404, "not_found");
    assert_eq!(it.decide("note", &json!({"accepted": "yes"})).status(), 422);
    it.decide("note", &json!({"accepted": false, "comment": "it forgets the river"})).expect(200);

    let retrying = it.until_type("step_retrying");
    assert_eq!((&retrying["payload"]["reason"], &retrying["payload"]["attempt"]), (&json!("rejection"), &json!(2)));
    assert!(retrying["payload"]["findings"][0]["message"].as_str().unwrap().contains("it forgets the river"));
    let again = it.until_type("acceptance_needed");
    assert_eq!(
        (&again["payload"]["document_id"], &again["payload"]["version"]),
        (&needed["payload"]["document_id"], &json!(2))
    );
    assert!(prompts(&server)[1].contains("it forgets the river"), "the finding is in the next prompt");
    assert_eq!(laws::of_kind(&it.seen, "step_completed").len(), 0);
    it.decide("note", &json!({"accepted": true, "comment": "good"})).expect(200);
    let end = it.ends("completed");
    it.decide("note", &json!({"accepted": true, "comment": "good"})).expect(200);
    assert_eq!(it.decide("note", &json!({"accepted": false})).status(), 409);
    let given: Vec<_> =
        laws::of_kind(&it.seen, "acceptance_given").iter().map(|event| event["payload"]["accepted"].clone()).collect();
    assert_eq!(given, [false, true]);
    let note = end["payload"]["documents"].as_array().unwrap().iter().find(|one| one["step_id"] == "note").unwrap();
    assert_eq!((&note["version"], &it.content("", "note")["title"]), (&json!(2), &json!("Second")));
    let completed = laws::of_kind(&it.seen, "step_completed");
    assert_eq!(completed[0]["payload"]["version"], 2);
    assert_eq!(server.requests().len(), 2, "what was accepted is not asked for again");
    assert_eq!(it.show()["last_sequence"], it.seen.len(), "a repeat is no event");
}

#[test]
fn rejecting_the_last_attempt_fails_the_step() {
    let server = ModelServer::scripted(versions(&["First", "Second"]));
    let app = TestApp::with(&[("ADE_OPENAI_BASE_URL", &server.url())]);
    let mut it = app.execute_new(&accepted_by_a_person(2));
    for comment in [json!({"accepted": false}), json!({"accepted": false, "comment": "still not"})] {
        it.until_type("acceptance_needed");
        it.decide("note", &comment).expect(200);
    }
    let end = it.ends("failed");
    assert_eq!(
        (&end["payload"]["failure"]["code"], &end["payload"]["failure"]["step_id"]),
        (&json!("step_failed"), &json!("note"))
    );
    let failed = laws::of_kind(&it.seen, "step_failed")[0];
    assert_eq!(
        (&failed["payload"]["error"]["code"], &it.step("note", None)["error"]["code"]),
        (&json!("rejected"), &json!("rejected"))
    );
    assert!(failed["payload"]["error"]["findings"].to_string().contains("still not"), "{failed}");
    assert_eq!(it.step("end", None)["status"], "skipped");
    assert_eq!(end["payload"]["documents"], json!([]), "nothing was accepted");
    assert_eq!(it.decide("note", &json!({"accepted": true})).status(), 409);
}

#[test]
fn items_ask_and_are_accepted_independently() {
    let app = TestApp::start();
    let each = with(
        step("part", &["list"], "Write one.\nbuiltin: ask What?"),
        json!({"for_each": {"document_type": "list", "collection": "items"}, "acceptance": {"required": true}}),
    );
    app.add_workflow(&workflow("parts", &[each, step("whole", &["part"], "Sum up.")]));
    let mut it = app.execute("parts", &json!({"list": {"items": [{"id": "a"}, {"id": "b"}]}}));
    let both = |it: &mut Watched<'_>, name: &str| {
        let (mut open, before) = (vec!["a", "b"], it.seen.len());
        while !open.is_empty() {
            let event = it.until_type(name);
            open.retain(|item| event["item"] != *item);
            assert!(it.seen.len() > before);
        }
    };
    both(&mut it, "clarification_needed");
    wait_until("both wait", || it.show()["pending"].as_array().unwrap().len() == 2);
    let nobody = it.answer("part", &json!({"answers": {"Q_1": "x"}, "item": "c"}));
    assert!([404, 409].contains(&nobody.status()), "{nobody}");
    for item in ["b", "a"] {
        it.answer("part", &json!({"answers": {"Q_1": format!("of {item}")}, "item": item})).expect(200);
    }
    both(&mut it, "acceptance_needed");
    for item in ["a", "b"] {
        it.decide("part", &json!({"accepted": true, "item": item})).expect(200);
    }
    it.ends("completed");
    for answered in laws::of_kind(&it.seen, "clarification_answered") {
        assert_eq!(answered["payload"]["answers"]["Q_1"], format!("of {}", answered["item"].as_str().unwrap()));
    }
}

#[test]
fn an_execution_waiting_for_a_person_is_cancelled_at_once() {
    let app = TestApp::start();
    let accept = with(step("note", &[], "Write it."), json!({"acceptance": {"required": true}}));
    for (definition, wait) in [
        (workflow("ask", &[step("note", &[], "Write it.\nbuiltin: ask What?")]), "clarification_needed"),
        (workflow("accept", &[accept]), "acceptance_needed"),
    ] {
        let mut it = app.execute_new(&definition);
        it.until_type(wait);
        it.cancel().expect(202);
        let end = it.ends("cancelled");
        assert_eq!(end["payload"]["failure"]["code"], "execution_cancelled", "{end}");
        let cancelled = laws::of_kind(&it.seen, "step_cancelled");
        assert_eq!((cancelled.len(), &cancelled[0]["payload"]["reason"]), (1, &json!("execution_cancelled")));
        assert_eq!(it.cancel().expect(200).json()["status"], "cancelled");
        it.answer("note", &json!({"answers": {"Q_1": "x"}})).problem(409, "not_waiting");
        it.decide("note", &json!({"accepted": true})).problem(409, "not_waiting");
        assert_eq!(it.step("note", None)["status"], "cancelled");
        assert!(laws::micro(&it.show()["totals"]["cost_usd"]) > 0, "what it has cost is told");
        it.assert_costs();
    }
}

#[test]
fn questions_not_answered_in_time_fail_the_step() {
    let app = TestApp::with(&[("ADE_CLARIFICATION_TIMEOUT", "1s")]);
    let mut it = app.execute_new(&workflow(
        "ask",
        &[step("note", &[], "Write it.\nbuiltin: ask What?"), step("end", &["note"], "End it.")],
    ));
    let asked = it.until_type("clarification_needed");
    let time = |text: &Value| text.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let (from, deadline) = (time(&asked["created_at"]), time(&asked["payload"]["deadline"]));
    let wait = (deadline - from).num_milliseconds();
    assert!((0..=1_000).contains(&wait), "{wait} ms: {asked}");
    let end = it.ends("failed");
    assert!(time(&end["created_at"]) >= deadline, "{end}");
    assert_eq!(
        (&end["payload"]["failure"]["code"], &end["payload"]["failure"]["step_id"]),
        (&json!("step_failed"), &json!("note"))
    );
    assert_eq!(it.step("note", None)["error"]["code"], "clarification_expired");
    it.answer("note", &json!({"answers": {"Q_1": "too late"}})).problem(409, "not_waiting");
    // Who is answered in time has no deadline any more.
    let mut next = app.execute("ask", &json!({}));
    next.until_type("clarification_needed");
    next.answer("note", &json!({"answers": {"Q_1": "in time"}})).expect(200);
    next.ends("completed");
}
