//! Questions that a step asks a person before it goes on.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::status::text_enum;

text_enum! {
    AnswerType {
        FreeText = "free_text", SingleChoice = "single_choice", MultiChoice = "multi_choice", YesNo = "yes_no",
        Number = "number", Date = "date", Uuid = "uuid", JsonObject = "json_object",
    }
}

text_enum! {
    Priority { Must = "must", Should = "should", Could = "could" }
}

/// One question of a set; `required` is what counts, the rest helps the person who answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    pub id: String,
    pub text: String,
    pub intent: String,
    pub priority: Priority,
    pub answer_type: AnswerType,
    pub required: bool,
    #[serde(default)]
    pub choices: Option<Vec<Choice>>,
    #[serde(default)]
    pub default: Value,
    #[serde(default = "yes")]
    pub blocking: bool,
    #[serde(default)]
    pub references: Option<Vec<Reference>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Choice {
    pub value: String,
    pub label: String,
}

/// What a question speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    pub kind: String,
    #[serde(rename = "ref")]
    pub target: String,
}

fn yes() -> bool {
    true
}
