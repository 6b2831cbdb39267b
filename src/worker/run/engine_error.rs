//! An error in an engine's stderr_tail.
//!
//! Invariant: whatever an engine calls its error reaches people, within bounds. A code that is no identifier, or that
//! only the service may give, is reported among the details.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::rewrite::{Names, RawObject};
use crate::domain::failure::{Label, RunFailure, RunFailureCode, Stage};
use crate::domain::text::clipped;

/// Bytes of a code or a stage, of a message, and of the JSON of details.
const WORD: usize = 200;
const MESSAGE: usize = 4000;
const DETAILS: usize = 16 << 10;

/// `error` of a result, or the payload of a `run.error`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineError {
    pub code: Option<String>,
    pub stage: Option<String>,
    pub message: Option<String>,
    pub details: Option<Value>,
}

impl EngineError {
    /// From an object, of which every part may be missing, or from a plain text. Null is no error.
    pub fn read(raw: &RawValue, names: &Names) -> Option<Self> {
        if raw.get() == "null" {
            return None;
        }
        let Some(object) = RawObject::parse(raw.get()) else {
            let message = serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
            return Some(Self { message: Some(clipped(&names.message(&message), MESSAGE)), ..Self::default() });
        };
        let text = |key: &str, bytes: usize| {
            let value = object.get(key).map(RawValue::get).filter(|value| *value != "null")?;
            let text = serde_json::from_str(value).unwrap_or_else(|_| value.to_owned());
            Some(clipped(&names.message(&text), bytes))
        };
        Some(Self {
            code: text("code", WORD),
            stage: text("stage", WORD),
            message: text("message", MESSAGE),
            details: object.get("details").and_then(|details| reported_details(details.get(), names)),
        })
    }

    /// The failure of a run that ended with this error.
    pub fn failure(&self) -> RunFailure {
        let code = self.code.as_deref().and_then(Label::code_of_engine);
        let stage = self.stage.as_deref().and_then(Label::stage_of_engine);
        let message = self.message.clone().or_else(|| self.code.clone());
        RunFailure {
            code: code.unwrap_or(RunFailureCode::EngineError.into()),
            stage: stage.unwrap_or(Stage::Run.into()),
            message: message.unwrap_or_else(|| "the engine names an error and does not say what it is".into()),
        }
    }

    /// What the failure does not say.
    pub fn further(&self) -> Option<Value> {
        let code = self.code.as_ref().filter(|code| Label::code_of_engine(code).is_none());
        let stage = self.stage.as_ref().filter(|stage| Label::stage_of_engine(stage).is_none());
        let mut further = Map::new();
        further.extend(code.map(|code| ("engine_code".to_owned(), json!(code))));
        further.extend(stage.map(|stage| ("engine_stage".to_owned(), json!(stage))));
        match self.details.clone() {
            details if further.is_empty() => return details,
            Some(Value::Object(details)) => further.extend(details),
            Some(other) => further.extend([("details".to_owned(), other)]),
            None => {}
        }
        Some(Value::Object(further))
    }
}

/// Details with the names of the outside in their texts; of too many only the first are reported.
fn reported_details(raw: &str, names: &Names) -> Option<Value> {
    if raw.len() > DETAILS {
        return Some(json!({"truncated": true, "beginning": clipped(&names.message(raw), MESSAGE)}));
    }
    let mut details: Value = serde_json::from_str(raw).ok()?;
    rename(&mut details, names);
    Some(details).filter(|details| !details.is_null())
}

/// A line that is an event is not nested deep.
fn rename(value: &mut Value, names: &Names) {
    match value {
        Value::String(text) => *text = names.message(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(members) => members.values_mut().for_each(|member| rename(member, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<EngineError> {
        let names = Names::new(["/data/run".into()], [("doc_1.csv".to_owned(), "people.csv".to_owned())].into());
        EngineError::read(&RawValue::from_string(json.to_owned()).unwrap(), &names)
    }

    fn shape(json: &str) -> (String, String, String, Option<Value>) {
        let error = read(json).unwrap();
        let failure = error.failure();
        (failure.code.as_str().to_owned(), failure.stage.as_str().to_owned(), failure.message, error.further())
    }

    #[test]
    fn the_engines_words_arrive() {
        let json = r#"{"code":"hook_error","stage":"extracting","message":"in /data/run/input/doc_1.csv",
            "details":{"hook":"on_run_end","file":"doc_1.csv","rows":[1,2]}}"#;
        let details = json!({"hook": "on_run_end", "file": "people.csv", "rows": [1, 2]});
        assert_eq!(shape(json), ("hook_error".into(), "extracting".into(), "in people.csv".into(), Some(details)));
        assert_eq!(read("null"), None);
        assert_eq!(shape(r#""boom""#), ("engine_error".into(), "run".into(), "boom".into(), None));
        assert_eq!(shape(r#"{"code":"only_code"}"#).2, "only_code");
    }

    #[test]
    fn a_code_that_is_none_is_told_among_the_details() {
        let odd = json!({"engine_code": "run_cancelled", "engine_stage": "two words", "a": 1});
        let json = r#"{"code":"run_cancelled","stage":"two words","message":"m","details":{"a":1}}"#;
        assert_eq!(shape(json), ("engine_error".into(), "run".into(), "m".into(), Some(odd)));
        assert_eq!(shape(r#"{"code":404,"message":"m"}"#).3, Some(json!({"engine_code": "404"})));
        let list = json!({"engine_code": "a b", "details": [1]});
        assert_eq!(shape(r#"{"code":"a b","message":"m","details":[1]}"#).3, Some(list));
    }

    #[test]
    fn an_endless_error_is_cut() {
        let long = "\u{e4}".repeat(1 << 20);
        let json = json!({"code": long, "stage": long, "message": long, "details": {"text": long}}).to_string();
        let error = read(&json).unwrap();
        assert!(error.message.as_ref().unwrap().len() <= MESSAGE && error.code.as_ref().unwrap().len() <= WORD);
        let details = error.further().unwrap();
        assert_eq!(details["truncated"], true);
        assert!(details.to_string().len() < 2 * MESSAGE);
    }
}
