//! Question sets, `clarification_question_set.v1`, and the answers to them.
//!
//! Invariant: only what says that it is a question set is one. One that says so and is not is no document either: it is
//! of no use. Answers are taken as a whole or not at all, and every fault of them is named.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::definition::Fault;
use super::schema::Schema;
use crate::domain::progress::Finding;
use crate::domain::question::{AnswerType, Question};

const FORM: &str = include_str!("clarification_question_set.v1.json");
const VERSION: &str = "clarification_question_set.";
/// Of a free text, in bytes; an object may have as many as text.
const MAX_ANSWER: usize = 65_536;

/// The form of every question set, as JSON Schema.
pub fn form() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let source = serde_json::from_str(FORM).expect("the file is JSON");
        Schema::compile(&source).expect("the file is a schema")
    });
    &SCHEMA
}

/// Whether a reply means to ask, right or wrong.
pub fn is_question_set(reply: &Value) -> bool {
    reply["schema_version"].as_str().is_some_and(|version| version.starts_with(VERSION))
}

/// The questions of a set, or all that is wrong with it.
pub fn questions(set: &Value) -> Result<Vec<Question>, Vec<Finding>> {
    let mut findings = form().findings(set);
    if !findings.is_empty() {
        return Err(findings);
    }
    let questions = Vec::<Question>::deserialize(&set["questions"])
        .map_err(|error| vec![Finding::new("question_set", "/questions", error.to_string())])?;
    let mut ids = BTreeSet::new();
    for (number, question) in questions.iter().enumerate() {
        let mut finding = |key: &str, message: &str| {
            findings.push(Finding::new("question_set", format!("/questions/{number}/{key}"), message));
        };
        if !ids.insert(question.id.as_str()) {
            finding("id", "another question has this id");
        }
        if !has_distinct_choices(question) {
            finding("choices", "two choices have the same value");
        }
    }
    let must = set["must_answer_before_proceeding_ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if must.into_iter().any(|id| !ids.contains(id)) {
        findings.push(Finding::new("question_set", "/must_answer_before_proceeding_ids", "there is no such question"));
    }
    if findings.is_empty() { Ok(questions) } else { Err(findings) }
}

/// What is wrong with answers, by question; paths are `answers.<question id>`. Null is no answer.
pub fn answer_faults(questions: &[Question], answers: &Map<String, Value>) -> Vec<Fault> {
    let known = |id: &String| questions.iter().any(|question| question.id == *id);
    let unknown = answers.keys().filter(|id| !known(id));
    let unknown = unknown.map(|id| Fault::new("unknown_question", path(id), "nobody asked this"));
    let asked = questions.iter().filter_map(|question| answer_fault(question, answers.get(&question.id)));
    asked.chain(unknown).collect()
}

/// Answers as they are kept: without those that are null.
pub fn given(mut answers: Map<String, Value>) -> Map<String, Value> {
    answers.retain(|_, answer| !answer.is_null());
    answers
}

/// Whether it only repeats what was said before.
pub fn is_repeat(first: &Map<String, Value>, again: &Map<String, Value>) -> bool {
    let said = |answers: &Map<String, Value>| given(answers.clone());
    said(first) == said(again)
}

fn path(id: &str) -> String {
    format!("answers.{id}")
}

fn has_distinct_choices(question: &Question) -> bool {
    let choices = question.choices.as_deref().unwrap_or_default();
    choices.iter().map(|choice| &choice.value).collect::<BTreeSet<_>>().len() == choices.len()
}

fn answer_fault(question: &Question, answer: Option<&Value>) -> Option<Fault> {
    let fault = |code, message: &str| Some(Fault::new(code, path(&question.id), message));
    let Some(answer) = answer.filter(|answer| !answer.is_null()) else {
        return if question.required { fault("answer_missing", "an answer is required") } else { None };
    };
    if question.required && is_empty(answer) {
        return fault("answer_missing", "the answer says nothing");
    }
    let typed = |is_right: bool, message| if is_right { None } else { fault("answer_type", message) };
    let is_choice = |value: &str| question.choices.iter().flatten().any(|choice| choice.value == value);
    match question.answer_type {
        AnswerType::FreeText => match answer.as_str() {
            None => fault("answer_type", "a text is expected"),
            Some(text) if text.len() > MAX_ANSWER => fault("answer_too_long", "the text is too long"),
            Some(_) => None,
        },
        AnswerType::SingleChoice => match answer.as_str() {
            Some(value) if is_choice(value) => None,
            _ => fault("answer_not_a_choice", "one of the choices is expected"),
        },
        AnswerType::MultiChoice => match distinct_texts(answer) {
            Some(values) if values.iter().all(|value| is_choice(value)) => None,
            _ => fault("answer_not_a_choice", "a list of choices is expected, each at most once"),
        },
        AnswerType::YesNo => typed(answer.is_boolean(), "true or false is expected"),
        AnswerType::Number => typed(answer.is_number(), "a number is expected"),
        AnswerType::Date => typed(answer.as_str().is_some_and(is_date), "a date is expected, as 2026-01-31"),
        AnswerType::Uuid => typed(answer.as_str().is_some_and(is_uuid), "a UUID is expected"),
        AnswerType::JsonObject => match answer {
            Value::Object(_) if answer.to_string().len() > MAX_ANSWER => {
                fault("answer_too_long", "the object is too large")
            }
            Value::Object(_) => None,
            _ => fault("answer_type", "an object is expected"),
        },
    }
}

fn is_empty(answer: &Value) -> bool {
    match answer {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn distinct_texts(answer: &Value) -> Option<BTreeSet<&str>> {
    let list = answer.as_array()?;
    let texts: BTreeSet<_> = list.iter().map(Value::as_str).collect::<Option<_>>()?;
    (texts.len() == list.len()).then_some(texts)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A set of questions, each an id, a type, whether it is required, and its choices.
    pub fn set(questions: &[(&str, &str, bool, Value)]) -> Value {
        let questions: Vec<_> = questions
            .iter()
            .map(|(id, answer_type, required, choices)| {
                json!({"id": id, "text": "What is it?", "intent": "To know it", "priority": "must",
                    "answer_type": answer_type, "required": required, "choices": choices})
            })
            .collect();
        json!({
            "schema_version": "clarification_question_set.v1", "mode": "questions_only",
            "correlation_id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "question_set_kind": "other",
            "questions": questions,
            "qa": {"non_question_line_count": 0, "declarative_sentence_count": 0, "answer_leadin_count": 0,
                "all_questions_end_with_qmark": true},
        })
    }

    fn choices() -> Value {
        json!([{"value": "a", "label": "A"}, {"value": "b", "label": "B"}])
    }

    fn asked() -> Vec<Question> {
        let kinds = [
            ("TEXT", "free_text", true, Value::Null),
            ("ONE", "single_choice", false, choices()),
            ("SOME", "multi_choice", false, choices()),
            ("YES", "yes_no", false, Value::Null),
            ("NUMBER", "number", false, Value::Null),
            ("DATE", "date", false, Value::Null),
            ("UUID", "uuid", false, Value::Null),
            ("OBJECT", "json_object", false, Value::Null),
        ];
        questions(&set(&kinds)).unwrap()
    }

    fn faults(answers: Value) -> Vec<(String, String)> {
        let faults = answer_faults(&asked(), answers.as_object().unwrap());
        faults.into_iter().map(|fault| (fault.code, fault.path)).collect()
    }

    #[test]
    fn answers_of_the_right_types_are_taken() {
        let all = json!({"TEXT": "x", "ONE": "a", "SOME": ["b", "a"], "YES": false, "NUMBER": 1.5, "DATE": "2024-02-29",
            "UUID": "3F2504E0-4f89-41d3-9a0c-0305e82c3301", "OBJECT": {"a": []}});
        assert_eq!(faults(all), []);
        assert_eq!(faults(json!({"TEXT": "x", "ONE": null, "SOME": []})), []);
    }

    #[test]
    fn every_fault_of_answers_is_named() {
        let wrong = json!({"TEXT": "  ", "ONE": "c", "SOME": ["a", "a"], "YES": "yes", "NUMBER": "1",
            "DATE": "2023-02-29", "UUID": "3f2504e04f8941d39a0c0305e82c3301", "OBJECT": [], "MORE": 1});
        let expected = [
            ("answer_missing", "TEXT"),
            ("answer_not_a_choice", "ONE"),
            ("answer_not_a_choice", "SOME"),
            ("answer_type", "YES"),
            ("answer_type", "NUMBER"),
            ("answer_type", "DATE"),
            ("answer_type", "UUID"),
            ("answer_type", "OBJECT"),
            ("unknown_question", "MORE"),
        ];
        assert_eq!(faults(wrong), expected.map(|(code, id)| (code.to_owned(), path(id))));
        for none in [json!({}), json!({"TEXT": null})] {
            assert_eq!(faults(none), [("answer_missing".to_owned(), path("TEXT"))]);
        }
        let long = json!({"TEXT": "x".repeat(MAX_ANSWER + 1), "OBJECT": {"a": "x".repeat(MAX_ANSWER)}});
        let codes: Vec<_> = faults(long).into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, ["answer_too_long", "answer_too_long"]);
    }

    #[test]
    fn saying_it_again_is_a_repeat() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let first = map(json!({"TEXT": "x", "SOME": ["a"]}));
        assert!(is_repeat(&first, &map(json!({"SOME": ["a"], "TEXT": "x", "ONE": null}))));
        assert!(!is_repeat(&first, &map(json!({"TEXT": "x"}))));
        assert!(!is_repeat(&first, &map(json!({"TEXT": "y", "SOME": ["a"]}))));
    }

    #[test]
    fn a_set_that_is_not_right_is_told_why() {
        let good = set(&[("Q_1", "free_text", true, Value::Null)]);
        assert!(is_question_set(&good) && !is_question_set(&json!({"questions": []})));
        let with = |pointer: &str, value: Value| {
            let mut set = good.clone();
            *set.pointer_mut(pointer).unwrap() = value;
            let findings = questions(&set).unwrap_err();
            findings.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
        };
        assert_eq!(with("/questions/0/text", json!("Say it.")), ["/questions/0/text"]);
        assert_eq!(with("/questions/0/choices", choices()), ["/questions/0/choices"]);
        assert_eq!(with("/questions", json!([])), ["/questions"]);
        assert_eq!(with("/qa/all_questions_end_with_qmark", json!(false)), ["/qa/all_questions_end_with_qmark"]);
        assert_eq!(with("/correlation_id", json!("none")), ["/correlation_id"]);
        let twice = set(&[("Q_1", "free_text", true, Value::Null), ("Q_1", "yes_no", true, Value::Null)]);
        assert_eq!(questions(&twice).unwrap_err()[0].path, "/questions/1/id");
        let same = json!([{"value": "a", "label": "A"}, {"value": "a", "label": "B"}]);
        let same = set(&[("Q_1", "single_choice", true, same)]);
        assert_eq!(questions(&same).unwrap_err()[0].path, "/questions/0/choices");
        let mut must = good.clone();
        must["must_answer_before_proceeding_ids"] = json!(["Q_2"]);
        assert_eq!(questions(&must).unwrap_err()[0].path, "/must_answer_before_proceeding_ids");
    }
}
