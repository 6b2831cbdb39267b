//! What a model has replied: questions, a document, or something of no use.
//!
//! Invariant: a reply is JSON, plain or in exactly one fenced block, and nothing is guessed. What a model thinks before
//! it replies is no reply: it ends with a closing tag, and what stands behind the last one that has JSON behind it
//! counts. Whatever a reply is, it is judged in time and space that grow with its length only.

use serde_json::Value;

use super::clarification;
use super::schema::Schema;
use crate::domain::json::{self, Fault, FaultKind};
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
    match value(content).and_then(|(reply, text)| kept(text).map(|()| reply)) {
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

/// Whether the reply is kept as it is written: no number is rounded, and nothing is left out or replaced.
fn kept(text: &str) -> Result<(), Finding> {
    if let Err(Fault { path, kind }) = json::check(text.as_bytes()) {
        let code = match kind {
            FaultKind::Number(_) => "number_inexact",
            FaultKind::DuplicateKey => "duplicate_key",
            FaultKind::Nul => "nul_character",
            FaultKind::Syntax(_) | FaultKind::Surrogate | FaultKind::TooDeep => "json_invalid",
        };
        let place = if path.is_empty() { path } else { format!("{path}: ") };
        return Err(Finding::of_reply(code, format!("{place}{kind}")));
    }
    Ok(())
}

/// The one JSON value of a reply, and its text.
fn value(content: &str) -> Result<(Value, &str), Finding> {
    let content = content.trim().trim_start_matches('\u{feff}').trim();
    if content.is_empty() {
        return Err(Finding::of_reply("json_invalid", "the reply is empty"));
    }
    // A document may speak of tags, so it is looked for as it is first.
    if let Ok(value) = serde_json::from_str(content) {
        return Ok((value, content));
    }
    let replies = behind_thoughts(content);
    if replies.is_empty() && begins_to_think(content) {
        return Err(Finding::of_reply("json_invalid", "the reply is a thought without an end"));
    }
    let mut found = replies.into_iter().chain([content]).map(plain_or_fenced);
    let first = found.next().unwrap_or_else(|| plain_or_fenced(content));
    first.or_else(|finding| found.find_map(Result::ok).ok_or(finding))
}

fn plain_or_fenced(content: &str) -> Result<(Value, &str), Finding> {
    let invalid = |error: serde_json::Error| Finding::of_reply("json_invalid", format!("no JSON: {error}"));
    match serde_json::from_str(content) {
        Ok(value) => Ok((value, content)),
        Err(error) => match fenced(content)? {
            Some(block) => serde_json::from_str(block).map(|value| (value, block)).map_err(invalid),
            None => Err(invalid(error)),
        },
    }
}

/// Names of tags between which models think, in lower case.
const THOUGHTS: [&str; 6] = ["think", "thinking", "thought", "thoughts", "reasoning", "seed:think"];
/// A document that speaks of tags hides the one before it; behind so many of them it is not looked for.
const MAX_ENDS: usize = 8;

/// What stands behind the ends of thoughts, the last first.
fn behind_thoughts(content: &str) -> Vec<&str> {
    let marks = memchr::memrchr2_iter(b'<', b'[', content.as_bytes());
    marks.filter_map(|at| behind_tag(&content[at..], "/")).take(MAX_ENDS).collect()
}

fn begins_to_think(content: &str) -> bool {
    behind_tag(content, "").is_some()
}

/// What stands behind a tag of thoughts: `<think>`, `</think>`, `[THINK]`.
fn behind_tag<'a>(content: &'a str, slash: &str) -> Option<&'a str> {
    let inner = content.strip_prefix(['<', '['])?.strip_prefix(slash)?;
    let close = if content.starts_with('<') { '>' } else { ']' };
    let longest = THOUGHTS.iter().map(|name| name.len()).max()?;
    let end = inner.char_indices().take(longest + 1).find(|(_, character)| *character == close)?.0;
    let is_thought = THOUGHTS.iter().any(|name| inner[..end].eq_ignore_ascii_case(name));
    is_thought.then(|| inner[end + 1..].trim())
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
    fn thoughts_before_a_reply_are_no_part_of_it() {
        for content in [
            "<think>\nThe user wants {\"a\":1} json.\n</think>\n\n{\"title\": \"T\"}",
            "<think></think>{\"title\": \"T\"}",
            "Only the end.\n</think>\n{\"title\": \"T\"}",
            "<THINK>hm</THINK>{\"title\": \"T\"}",
            "<thinking>hm</thinking> {\"title\": \"T\"}",
            "<thought>hm</thought>{\"title\": \"T\"}",
            "[THINK]hm[/THINK]{\"title\": \"T\"}",
            "<seed:think>hm</seed:think>{\"title\": \"T\"}",
            "<think>like ```json\n{}\n``` maybe\n</think>\n```json\n{\"title\": \"T\"}\n```",
            "<think>like\n```json\n{}\n```\nmaybe\n</think>\n```json\n{\"title\": \"T\"}\n```",
            "<think>a</think><think>b </think>{\"title\": \"T\"}",
            "<think>not </thinking> yet, nor {\"title\": \"x\"}</think>\nHere:\n```\n{\"title\": \"T\"}\n```",
            "```json\n<think>hm</think>\n{\"title\": \"T\"}",
        ] {
            assert_eq!(
                judge(content, Some("end"), &schema(), false),
                Verdict::Document(json!({"title": "T"})),
                "{content}"
            );
        }
    }

    #[test]
    fn a_document_that_speaks_of_tags_keeps_them() {
        for title in ["a </think> b", "</think>", "<think>", "<think>{\"title\": 1}</think> {\"title\": 2}"] {
            let document = json!({"title": title});
            for content in [
                document.to_string(),
                format!("```json\n{document}\n```"),
                format!("<think>hm</think>{document}"),
                format!("<think>about </think> and {{}}</think>\n```json\n{document}\n```"),
            ] {
                assert_eq!(judge(&content, None, &schema(), false), Verdict::Document(document.clone()), "{content}");
            }
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
            ("<think>I begin\n```json\n{\"title\": \"a\"}\n```", "json_invalid"),
            ("<think>{\"title\": \"a\"}", "json_invalid"),
            ("<think>hm</think>", "json_invalid"),
            ("<think>hm</think>I would rather not.", "json_invalid"),
            ("{\"title\": \"a\"}</think>", "json_invalid"),
            ("<think>hm</think>{}", "required"),
            ("[]", "type"),
            ("{}", "required"),
            ("{\"title\": 1}", "type"),
        ] {
            assert_eq!(codes(content, None), [expected], "{content}");
        }
        assert_eq!(codes("{\"title\": \"a\"}", Some("length")), ["length"], "even when it could be read");
    }

    #[test]
    fn what_would_not_be_kept_as_it_is_written_is_of_no_use() {
        for (member, code) in [
            ("12345678901234567890123", "number_inexact"),
            ("[0.10000000000000000555]", "number_inexact"),
            ("{\"x\": 1, \"x\": 2}", "duplicate_key"),
            ("\"a\\u0000b\"", "nul_character"),
            ("\"\\ud83d\"", "json_invalid"),
        ] {
            for content in [
                format!("{{\"title\": \"a\", \"n\": {member}}}"),
                format!("<think>7</think>\n```json\n{{\"title\": \"a\", \"n\": {member}}}\n```"),
            ] {
                assert_eq!(codes(&content, None), [code], "{content}");
            }
        }
        let text = r#"{"title": "a", "n": [12345678901234567890, -1, 0.1, 1.10, 1e3, 0.30000000000000004, 5e-324]}"#;
        let Verdict::Document(document) = judge(text, None, &schema(), false) else { panic!("it is a document") };
        assert_eq!(document["n"].to_string(), "[12345678901234567890,-1,0.1,1.1,1000.0,0.30000000000000004,5e-324]");
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
        for endless in ["</think>", "</think>\"", "</think>[\"", "</", "<think>", "[/THINK"] {
            let found = codes(&endless.repeat(400_000), None);
            assert!(["json_invalid", "type"].contains(&found[0].as_str()), "{endless} {found:?}");
        }
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
