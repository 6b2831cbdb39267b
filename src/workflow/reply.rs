//! What a model has replied: questions, a document, or something of no use.
//!
//! Law: a reply is JSON, plain or in exactly one fenced block, and nothing is guessed. Whatever it is, it is judged in
//! time and space that grow with its length only.

use serde_json::Value;

use super::clarification;
use super::schema::Schema;
use crate::domain::progress::Finding;
use crate::domain::question::Question;

/// A longer reply is of no use.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How a provider says that a reply ends where the limit of tokens was.
pub const STOP_LENGTH: &str = "length";

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Questions(Vec<Question>),
    /// Satisfies the schema.
    Document(Value),
    /// Of no use, and why.
    Findings(Vec<Finding>),
}

pub fn judge(content: &str, stop_reason: Option<&str>, schema: &Schema, may_ask: bool) -> Verdict {
    if stop_reason == Some(STOP_LENGTH) {
        return useless("length", "the reply was cut off at the limit of tokens; it must be shorter");
    }
    if content.len() > MAX_BYTES {
        return useless("too_large", format!("the reply has {} bytes, at most {MAX_BYTES} are allowed", content.len()));
    }
    match json(content) {
        Err(finding) => Verdict::Findings(vec![finding]),
        Ok(reply) if clarification::is_question_set(&reply) => {
            if !may_ask {
                return useless("questions_not_allowed", "questions are not allowed here; the document is expected");
            }
            clarification::questions(&reply).map_or_else(Verdict::Findings, Verdict::Questions)
        }
        Ok(document) => match schema.findings(&document) {
            findings if findings.is_empty() => Verdict::Document(document),
            findings => Verdict::Findings(findings),
        },
    }
}

fn useless(code: &str, message: impl Into<String>) -> Verdict {
    Verdict::Findings(vec![Finding::of_reply(code, message)])
}

/// The one JSON value of a reply.
fn json(content: &str) -> Result<Value, Finding> {
    let content = content.trim().trim_start_matches('\u{feff}');
    if content.is_empty() {
        return Err(Finding::of_reply("json_invalid", "the reply is empty"));
    }
    let invalid = |error: serde_json::Error| Finding::of_reply("json_invalid", format!("no JSON: {error}"));
    match serde_json::from_str(content) {
        Ok(value) => Ok(value),
        Err(error) => match fenced(content)? {
            Some(block) => serde_json::from_str(block).map_err(invalid),
            None => Err(invalid(error)),
        },
    }
}

/// What is in the fenced block, if there is one. No line within JSON begins with a fence, since strings have no line
/// breaks.
fn fenced(content: &str) -> Result<Option<&str>, Finding> {
    let mut fences = Vec::new();
    let mut offset = 0;
    for line in content.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            fences.push((offset, offset + line.len()));
        }
        offset += line.len();
        if fences.len() > 2 {
            return Err(Finding::of_reply("several_blocks", "the reply has more than one fenced block"));
        }
    }
    match *fences.as_slice() {
        [] => Ok(None),
        [(_, from), (to, _)] => Ok(Some(&content[from..to])),
        _ => Err(Finding::of_reply("json_invalid", "the fenced block is not closed")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::clarification::tests::set;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::compile(&json!({"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}))
            .unwrap()
    }

    fn codes(content: &str, stop_reason: Option<&str>) -> Vec<String> {
        match judge(content, stop_reason, &schema(), false) {
            Verdict::Findings(findings) => findings.into_iter().map(|finding| finding.code).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_document_is_plain_or_in_one_block() {
        let document = Verdict::Document(json!({"title": "a ``` b"}));
        for content in [
            r#"  {"title": "a ``` b"}  "#,
            "\u{feff}{\"title\": \"a ``` b\"}",
            "```json\n{\"title\": \"a ``` b\"}\n```",
            "Here it is:\n\n```\n{\n\"title\": \"a ``` b\"\n}\n  ```\nDone.",
        ] {
            assert_eq!(judge(content, Some("end"), &schema(), false), document, "{content}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_told() {
        for (content, expected) in [
            ("", "json_invalid"),
            ("I would rather not.", "json_invalid"),
            ("{\"title\": ", "json_invalid"),
            ("{\"title\": \"a\"} and more", "json_invalid"),
            ("```json\n{\"title\": \"a\"}", "json_invalid"),
            ("```json\n{\"title\": \n```", "json_invalid"),
            ("```\n{\"title\": \"a\"}\n```\n```\n{\"title\": \"b\"}\n```", "several_blocks"),
            ("[]", "type"),
            ("{}", "required"),
            ("{\"title\": 1}", "type"),
        ] {
            assert_eq!(codes(content, None), [expected], "{content}");
        }
        assert_eq!(codes("{\"title\": \"a\"}", Some("length")), ["length"], "even when it could be read");
    }

    #[test]
    fn questions_are_told_from_documents() {
        let asked = set(&[("Q_1", "yes_no", true, Value::Null)]);
        let judged = |content: &Value, may_ask| judge(&content.to_string(), None, &schema(), may_ask);
        assert!(matches!(judged(&asked, true), Verdict::Questions(questions) if questions.len() == 1));
        assert_eq!(codes(&asked.to_string(), None), ["questions_not_allowed"]);
        let mut broken = asked;
        broken["questions"] = json!([]);
        assert!(matches!(judged(&broken, true), Verdict::Findings(findings) if findings[0].path == "/questions"));
        let about = json!({"title": "What is not specified?", "questions": ["Which?"]});
        assert_eq!(judged(&about, true), Verdict::Document(about));
    }

    #[test]
    fn large_and_deep_replies_end_well() {
        let large = format!(r#"{{"title": "{}"}}"#, "x".repeat(5_000_000));
        assert_eq!(codes(&large, None), ["too_large"]);
        assert_eq!(codes(&"[".repeat(4_000_000), None), ["json_invalid"]);
        assert_eq!(codes(&"{\"a\":".repeat(700_000), None), ["json_invalid"]);
        assert_eq!(codes(&"```\n".repeat(1_000_000), None), ["several_blocks"]);
        let wide = format!("[{}1]", "1,".repeat(2_000_000));
        assert_eq!(codes(&wide, None), ["type"]);
    }

    proptest! {
        #[test]
        fn any_text_has_a_verdict(content in "\\PC{0,200}|[`\\n{}\\[\\]\",:a ]{0,60}") {
            if let Verdict::Document(document) = judge(&content, None, &schema(), true) {
                prop_assert!(schema().is_valid(&document));
            }
        }
    }
}
