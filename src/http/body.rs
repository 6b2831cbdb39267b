//! JSON bodies: every fault at its place, and nothing taken otherwise than it was sent.
//!
//! Invariant: a body that a parser would change without a word is refused: a number that it rounds, a key that it
//! drops, text that no database keeps ([`json::check`]).

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::problem::{Code, FieldError, Problem};
use crate::domain::json::{self, Fault, FaultKind};

/// A JSON object.
pub fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    json::check(body).map_err(|fault| refused(of_fault(fault)))?;
    // Else the elements of an array would be taken for the fields, by position.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(refused(FieldError::new("", "invalid_value", "a JSON object is expected")));
    }
    let mut body = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut body).map_err(|error| refused(of_type(&error)))
}

fn refused(error: FieldError) -> Problem {
    let place = if error.path.is_empty() { String::new() } else { format!("`{}`: ", error.path) };
    Problem::new(Code::InvalidRequest, format!("invalid body: {place}{}", error.message)).error(error)
}

/// In the words of all who take JSON.
pub fn of_fault(fault: Fault) -> FieldError {
    let code = match &fault.kind {
        FaultKind::Syntax(_) | FaultKind::Surrogate | FaultKind::TooDeep => "invalid_json",
        FaultKind::Number(_) => "number_inexact",
        FaultKind::DuplicateKey => "duplicate_key",
        FaultKind::Nul => "nul_character",
    };
    FieldError::new(fault.path, code, fault.kind.to_string())
}

/// What serde says; of a field that is missing or unknown it says the name, and not its place.
fn of_type(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let message = error.inner().to_string();
    let named = |phrase: &str| message.strip_prefix(phrase).and_then(|rest| rest.split('`').next());
    let mut path: Vec<Segment> = error.path().iter().cloned().collect();
    let code = match (named("missing field `"), named("unknown field `")) {
        (Some(name), _) => {
            path.push(Segment::Map { key: name.to_owned() });
            "missing_field"
        }
        (_, Some(name)) => {
            // Depending on the type the name is the end of the path already.
            if path.last().is_none_or(|last| last.to_string() != name) {
                path.push(Segment::Map { key: name.to_owned() });
            }
            "unknown_field"
        }
        _ => "invalid_value",
    };
    FieldError::new(written(&path), code, message)
}

/// As in `options.document_ids[0]`.
fn written(path: &[Segment]) -> String {
    path.iter().fold(String::new(), |path, segment| match segment {
        Segment::Seq { index } => format!("{path}[{index}]"),
        Segment::Map { key } | Segment::Enum { variant: key } if path.is_empty() => key.clone(),
        Segment::Map { key } | Segment::Enum { variant: key } => format!("{path}.{key}"),
        Segment::Unknown => path,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Body {
        options: Options,
        #[serde(default)]
        content: Value,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Options {
        ids: Vec<String>,
        #[serde(default)]
        metadata: BTreeMap<String, String>,
    }

    fn fault(body: &str) -> (String, String) {
        let problem = object::<Body>(body.as_bytes()).unwrap_err();
        assert_eq!((problem.code, problem.errors.len()), (Code::InvalidRequest, 1));
        (problem.errors[0].path.clone(), problem.errors[0].code.clone())
    }

    #[test]
    fn a_fault_names_its_place() {
        for (body, path, code) in [
            (r#"{"options":{"ids":["a",1]}}"#, "options.ids[1]", "invalid_value"),
            (r#"{"options":{"ids":[],"metadata":{"a b":1}}}"#, "options.metadata.a b", "invalid_value"),
            (r#"{"options":{"ids":[],"colour":1}}"#, "options.colour", "unknown_field"),
            (r#"{"options":{"ids":[]},"colour":1}"#, "colour", "unknown_field"),
            (r#"{"options":{}}"#, "options.ids", "missing_field"),
            (r#"{}"#, "options", "missing_field"),
            (r#"{"options":3}"#, "options", "invalid_value"),
            (r#"{"options":{"ids":[],"ids":[]}}"#, "options.ids", "duplicate_key"),
            (
                r#"{"options":{"ids":[]},"content":{"rows":[1,{"n":12345678901234567890123}]}}"#,
                "content.rows[1].n",
                "number_inexact",
            ),
            (r#"{"options":{"ids":["\u0000"]}}"#, "options.ids[0]", "nul_character"),
            (r#"{"options":{"ids":["\ud800"]}}"#, "options.ids[0]", "invalid_json"),
            ("[]", "", "invalid_value"),
            ("{", "", "invalid_json"),
        ] {
            assert_eq!(fault(body), (path.to_owned(), code.to_owned()), "{body}");
        }
        let good = object::<Body>(br#"{"options":{"ids":["a"]},"content":1.50}"#).unwrap();
        assert_eq!((good.options.ids.len(), good.content), (1, serde_json::json!(1.5)));
    }
}
