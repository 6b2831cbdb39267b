//! Sets of clarification questions, in the form `clarification_question_set.v1`.

use serde_json::{Value, json};

use super::text::{Material, uuid};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub text: String,
    pub answer: AnswerType,
    pub is_required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerType {
    FreeText,
    YesNo,
    Number,
    Date,
    Uuid,
    JsonObject,
    SingleChoice(Vec<String>),
    MultiChoice(Vec<String>),
}

impl AnswerType {
    /// `number`, or `single_choice: a, b`.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, choices) = text.split_once(':').unwrap_or((text, ""));
        let choices: Vec<_> = choices.split(',').map(str::trim).filter(|choice| !choice.is_empty()).collect();
        if choices.iter().any(|choice| choice.chars().count() > 80) {
            return None;
        }
        let owned = || choices.iter().map(|&choice| choice.to_owned()).collect();
        Some(match (word.trim(), choices.is_empty()) {
            ("free_text", true) => Self::FreeText,
            ("yes_no", true) => Self::YesNo,
            ("number", true) => Self::Number,
            ("date", true) => Self::Date,
            ("uuid", true) => Self::Uuid,
            ("json_object", true) => Self::JsonObject,
            ("single_choice", false) => Self::SingleChoice(owned()),
            ("multi_choice", false) => Self::MultiChoice(owned()),
            _ => return None,
        })
    }

    fn word(&self) -> &'static str {
        match self {
            Self::FreeText => "free_text",
            Self::YesNo => "yes_no",
            Self::Number => "number",
            Self::Date => "date",
            Self::Uuid => "uuid",
            Self::JsonObject => "json_object",
            Self::SingleChoice(_) => "single_choice",
            Self::MultiChoice(_) => "multi_choice",
        }
    }

    fn choices(&self) -> Value {
        match self {
            Self::SingleChoice(choices) | Self::MultiChoice(choices) => {
                choices.iter().map(|choice| json!({"value": choice, "label": choice})).collect()
            }
            _ => Value::Null,
        }
    }
}

/// The default question.
pub fn any() -> Vec<Question> {
    let text = "What else should be taken into account?".to_owned();
    vec![Question { text, answer: AnswerType::FreeText, is_required: true }]
}

/// A question set as it is sent.
pub fn set(questions: &[Question], material: &Material) -> Value {
    let asked: Vec<_> = questions.iter().enumerate().map(|(at, question)| asked(at + 1, question)).collect();
    let wanted = questions.iter().map(|question| question.text.as_str()).collect::<Vec<_>>().join("\n");
    json!({
        "schema_version": "clarification_question_set.v1",
        "mode": "questions_only",
        "correlation_id": uuid(&format!("{}\n{wanted}", material.subject())),
        "question_set_kind": "other",
        "questions": asked,
        "qa": {
            "non_question_line_count": 0,
            "declarative_sentence_count": 0,
            "answer_leadin_count": 0,
            "all_questions_end_with_qmark": true,
        },
    })
}

fn asked(number: usize, question: &Question) -> Value {
    let text = question.text.trim_end_matches('?');
    json!({
        "id": format!("Q_{number}"),
        "text": format!("{}?", text.chars().take(290).collect::<String>()),
        "intent": format!("To know: {}", text.chars().take(200).collect::<String>()),
        "priority": if question.is_required { "must" } else { "could" },
        "answer_type": question.answer.word(),
        "required": question.is_required,
        "blocking": question.is_required,
        "choices": question.answer.choices(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::builtin::directive::Directives;
    use crate::llm::{Context, Request};

    /// The form of a set, `clarification_question_set.v1`.
    fn schema() -> Value {
        let choice = json!({
            "type": "object", "required": ["value", "label"], "additionalProperties": false,
            "properties": {
                "value": {"type": "string", "minLength": 1, "maxLength": 80},
                "label": {"type": "string", "minLength": 1, "maxLength": 120},
            },
        });
        let is_choice = json!({"properties": {"answer_type": {"enum": ["single_choice", "multi_choice"]}}});
        let question = json!({
            "type": "object", "additionalProperties": false,
            "required": ["id", "text", "intent", "priority", "answer_type", "required"],
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Z0-9_-]{3,64}$"},
                "text": {"type": "string", "minLength": 3, "maxLength": 300, "pattern": "\\?$"},
                "intent": {"type": "string", "minLength": 3, "maxLength": 240},
                "priority": {"enum": ["must", "should", "could"]},
                "answer_type": {"enum": ["free_text", "single_choice", "multi_choice", "yes_no", "number", "date", "uuid", "json_object"]},
                "required": {"type": "boolean"},
                "blocking": {"type": "boolean"},
                "choices": {"type": ["array", "null"], "minItems": 1, "items": choice},
            },
            "if": is_choice,
            "then": {"required": ["choices"], "properties": {"choices": {"type": "array"}}},
            "else": {"properties": {"choices": {"type": "null"}}},
        });
        json!({
            "type": "object", "additionalProperties": false,
            "required": ["schema_version", "mode", "correlation_id", "question_set_kind", "questions", "qa"],
            "properties": {
                "schema_version": {"const": "clarification_question_set.v1"},
                "mode": {"const": "questions_only"},
                "correlation_id": {"type": "string", "format": "uuid"},
                "question_set_kind": {"const": "other"},
                "questions": {"type": "array", "minItems": 1, "maxItems": 12, "items": question},
                "qa": {"const": {
                    "non_question_line_count": 0, "declarative_sentence_count": 0, "answer_leadin_count": 0,
                    "all_questions_end_with_qmark": true,
                }},
            },
        })
    }

    fn asked(task: &str) -> Value {
        let request = Request {
            system: String::new(),
            messages: vec![],
            model: String::new(),
            max_tokens: 1,
            temperature: None,
            timeout: None,
            context: Context { task: task.to_owned(), ..Context::default() },
        };
        set(&Directives::parse(task).unwrap().questions, &Material::of(&request))
    }

    #[test]
    fn a_set_has_its_form_whatever_is_asked() {
        let check = json_schema::Check::with_formats(&schema()).unwrap();
        for task in [
            "builtin: ask Why?",
            "builtin: ask It",
            "builtin: ask(number)? How many",
            "builtin: ask(yes_no) Really???",
            "builtin: ask(date) When?\nbuiltin: ask(uuid) Which?\nbuiltin: ask(json_object) What?",
            "builtin: ask(single_choice: red) Which?\nbuiltin: ask(multi_choice: a b, c) Which?",
            &format!("builtin: ask {}?", "long ".repeat(200)),
        ] {
            let set = asked(task);
            let problem = check.faults(&set).next();
            assert_eq!(problem, None, "{set}");
        }
    }

    #[test]
    fn sets_of_different_questions_are_told_apart() {
        let id = |task| asked(task)["correlation_id"].clone();
        assert_eq!(id("builtin: ask Why?"), id("builtin: ask Why?"));
        assert_ne!(id("builtin: ask Why?"), id("builtin: ask When?"));
    }
}
