//! Typed text as the value that a question asks for. Pure.
//!
//! Invariant: what the service would refuse is refused here, by the same rules and in the same words.

use serde_json::{Map, Number, Value};

use crate::domain::question::{AnswerType, Choice, Question};
use crate::workflow::clarification::answer_faults;

/// The value; none when an optional question is left unanswered. An empty text means the default.
pub fn answer(question: &Question, text: &str) -> Result<Option<Value>, String> {
    let text = text.trim();
    let value = match text {
        "" => question.default.clone(),
        text => read(question, text)?,
    };
    let said = (!value.is_null()).then_some(value);
    let answers: Map<_, _> = said.clone().map(|value| (question.id.clone(), value)).into_iter().collect();
    match answer_faults(std::slice::from_ref(question), &answers).into_iter().next() {
        Some(fault) => Err(fault.message),
        None => Ok(said),
    }
}

/// A value as a person would type it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What picks each of the choices: its number, or its value where numbers could be taken for values.
pub fn keys(choices: &[Choice]) -> Vec<String> {
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
    let is_numeric = choices.iter().any(|choice| is_number(&choice.value) || is_number(&choice.label));
    let key = |(number, choice): (usize, &Choice)| if is_numeric { choice.value.clone() } else { number.to_string() };
    (1..).zip(choices).map(key).collect()
}

fn read(question: &Question, text: &str) -> Result<Value, String> {
    let choices = question.choices.as_deref().unwrap_or_default();
    match question.answer_type {
        AnswerType::FreeText | AnswerType::Date | AnswerType::Uuid => Ok(text.into()),
        AnswerType::SingleChoice => chosen(choices, text),
        AnswerType::MultiChoice => all_chosen(choices, text),
        AnswerType::YesNo => yes_or_no(text).map(Value::Bool).ok_or_else(|| "yes or no is expected".to_owned()),
        AnswerType::Number => number(text).map(Value::Number).ok_or_else(|| "a number is expected".to_owned()),
        AnswerType::JsonObject => {
            serde_json::from_str(text).map_err(|error| format!("a JSON object is expected: {error}"))
        }
    }
}

pub fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "y" | "yes" | "true" => Some(true),
        "n" | "no" | "false" => Some(false),
        _ => None,
    }
}

fn chosen(choices: &[Choice], text: &str) -> Result<Value, String> {
    let keys = keys(choices);
    let text = text.trim();
    let is_meant = |(key, choice): &(&String, &Choice)| {
        *key == text || choice.value == text || choice.label.to_lowercase() == text.to_lowercase()
    };
    // A value is meant before a label or a number that looks like it.
    let exact = choices.iter().find(|choice| choice.value == text);
    let found = exact.or_else(|| keys.iter().zip(choices).find(is_meant).map(|(_, choice)| choice));
    found.map(|choice| Value::from(choice.value.as_str())).ok_or_else(|| format!("{text:?} is none of the choices"))
}

/// Separated by commas; a choice may have some itself when it is the only one.
fn all_chosen(choices: &[Choice], text: &str) -> Result<Value, String> {
    if let Ok(one) = chosen(choices, text) {
        return Ok(Value::from(vec![one]));
    }
    let mut values = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let value = chosen(choices, part)?;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Ok(values.into())
}

fn number(text: &str) -> Option<Number> {
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    whole.ok().or_else(|| Number::from_f64(text.parse().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub fn question(answer_type: &str, required: bool, default: Value, choices: &[(&str, &str)]) -> Question {
        let choices: Vec<_> = choices.iter().map(|(value, label)| json!({"value": value, "label": label})).collect();
        let choices = if choices.is_empty() { Value::Null } else { choices.into() };
        serde_json::from_value(json!({
            "id": "Q_1", "text": "What is it?", "intent": "To know it", "priority": "must", "answer_type": answer_type,
            "required": required, "default": default, "choices": choices,
        }))
        .unwrap()
    }

    const COLOURS: [(&str, &str); 3] = [("r", "Red"), ("g", "Green"), ("b", "Blue, or nearly")];

    fn required(answer_type: &str) -> Question {
        let choices = if answer_type.ends_with("choice") { &COLOURS[..] } else { &[] };
        question(answer_type, true, Value::Null, choices)
    }

    #[test]
    fn what_is_typed_becomes_a_value_of_the_type() {
        let object = r#"{"a": [1]}"#;
        for (answer_type, text, expected) in [
            ("free_text", "  some words, 1 \n", json!("some words, 1")),
            ("free_text", "7", json!("7")),
            ("single_choice", "g", json!("g")),
            ("single_choice", "2", json!("g")),
            ("single_choice", " green ", json!("g")),
            ("multi_choice", "1, g,,1", json!(["r", "g"])),
            ("multi_choice", "blue, or nearly", json!(["b"])),
            ("multi_choice", "3", json!(["b"])),
            ("yes_no", "Y", json!(true)),
            ("yes_no", "false", json!(false)),
            ("number", "-7", json!(-7)),
            ("number", "18446744073709551615", json!(u64::MAX)),
            ("number", "1.5e3", json!(1500.0)),
            ("date", "2024-02-29", json!("2024-02-29")),
            ("uuid", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", json!("3f2504e0-4f89-41d3-9a0c-0305e82c3301")),
            ("json_object", object, json!({"a": [1]})),
        ] {
            assert_eq!(answer(&required(answer_type), text), Ok(Some(expected)), "{answer_type} {text}");
        }
    }

    #[test]
    fn a_refused_value_has_a_reason() {
        for (answer_type, text, why) in [
            ("free_text", "  ", "required"),
            ("single_choice", "4", "\"4\" is none of the choices"),
            ("single_choice", "r, g", "none of the choices"),
            ("multi_choice", "r, x", "\"x\" is none of the choices"),
            ("multi_choice", ",", "says nothing"),
            ("yes_no", "perhaps", "yes or no"),
            ("number", "many", "a number"),
            ("number", "inf", "a number"),
            ("date", "2023-02-29", "a date"),
            ("date", "29.2.2024", "a date"),
            ("uuid", "3f2504e04f8941d39a0c0305e82c3301", "UUID"),
            ("json_object", "{", "JSON object"),
            ("json_object", "[1]", "object is expected"),
        ] {
            let error = answer(&required(answer_type), text).unwrap_err();
            assert!(error.contains(why), "{answer_type} {text}: {error}");
        }
    }

    #[test]
    fn saying_nothing_is_the_default_or_no_answer() {
        assert_eq!(answer(&question("number", true, json!(3), &[]), ""), Ok(Some(json!(3))));
        assert_eq!(answer(&question("number", false, Value::Null, &[]), " "), Ok(None));
        assert_eq!(answer(&question("multi_choice", false, json!(["g"]), &COLOURS), ""), Ok(Some(json!(["g"]))));
        assert!(answer(&question("number", true, json!("three"), &[]), "").is_err(), "a default that does not fit");
    }

    #[test]
    fn choices_that_are_numbers_are_picked_by_value() {
        let question = question("single_choice", true, Value::Null, &[("2", "two"), ("1", "one")]);
        let choices = question.choices.as_deref().unwrap();
        assert_eq!(keys(choices), ["2", "1"]);
        assert_eq!(answer(&question, "1"), Ok(Some(json!("1"))));
        assert_eq!(keys(required("single_choice").choices.as_deref().unwrap()), ["1", "2", "3"]);
    }

    #[test]
    fn a_default_is_shown_as_it_would_be_typed() {
        for value in [json!("x y"), json!(true), json!(["r", "g"]), json!(1.5), json!({"a": 1})] {
            let answer_type = match &value {
                Value::String(_) => "free_text",
                Value::Bool(_) => "yes_no",
                Value::Array(_) => "multi_choice",
                Value::Number(_) => "number",
                _ => "json_object",
            };
            assert_eq!(answer(&required(answer_type), &shown(&value)), Ok(Some(value)));
        }
    }
}
