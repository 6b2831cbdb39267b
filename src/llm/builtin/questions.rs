//! Sets of clarification questions, in the form `clarification_question_set.v1`.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::text::Material;

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

/// A set when nobody said what to ask.
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

/// A UUID that is made of a text (version 8: of a form of one's own).
pub fn uuid(text: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
