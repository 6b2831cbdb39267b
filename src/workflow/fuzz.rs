//! Definitions that people send, schemas within them, and what models reply.

use serde_json::{Value, json};

use super::definition::Workflow;
use super::reply::{Verdict, judge};
use super::schema::Schema;
use super::written::checked_text;
use crate::domain::progress::Finding;
use crate::fuzzing::first_byte;

/// A definition that is accepted is accepted again as it is stored, and names nothing that is not there.
pub fn definitions(bytes: &[u8]) {
    let new = match checked_text(bytes) {
        Ok(new) => new,
        Err(faults) => return assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.code.is_empty())),
    };
    let again = checked_text(new.definition.to_string().as_bytes());
    assert_eq!(again.as_ref(), Ok(&new));
    let workflow = Workflow::parse(&new.definition).expect("it was accepted");
    for step in &workflow.steps {
        let _ = (workflow.role(step), workflow.task(step), workflow.output_schema(step));
        assert_eq!(workflow.producer(&step.output), Some(step));
        assert!(workflow.consumers(step).all(|(consumer, _)| consumer.step_id != step.step_id), "a cycle");
    }
    let inputs = workflow.start_inputs();
    let given = inputs.iter().map(|input| input.document_type.as_str());
    assert!(workflow.start_faults(given, |_| false).is_empty());
}

/// A schema of somebody's, and a value: it is valid when nothing is found, and what is found is bounded.
pub fn schemas(bytes: &[u8]) {
    let Ok((source, value)) = serde_json::from_slice::<(Value, Value)>(bytes) else { return };
    let Ok(schema) = Schema::compile(&source) else { return };
    let findings = schema.findings(&value);
    assert_eq!(findings.is_empty(), schema.is_valid(&value));
    assert_bounded(&findings);
}

fn assert_bounded(findings: &[Finding]) {
    assert!(findings.len() <= 50, "{}", findings.len());
    assert!(findings.iter().all(|finding| finding.message.len() < 1_000 && finding.path.len() < 1_000), "{findings:?}");
}

/// A reply of a model. A document satisfies its schema; whatever else it is, is told in bounds.
pub fn model_replies(bytes: &[u8]) {
    let (how, bytes) = first_byte(bytes);
    let content = String::from_utf8_lossy(bytes);
    let source = json!({"type": "object", "required": ["title"], "properties": {
        "title": {"type": "string", "maxLength": 10}, "list": {"items": {"type": "integer"}, "uniqueItems": true}}});
    let schema = Schema::compile(&source).expect("a schema");
    let may_ask = how & 1 == 1;
    let reason = ["end", "length", "other", ""][how >> 1 & 3];
    match judge(&content, Some(reason).filter(|reason| !reason.is_empty()), &schema, may_ask) {
        Verdict::Questions(questions) => assert!(may_ask && !questions.is_empty()),
        Verdict::Document(document) => {
            assert!(schema.is_valid(&document));
            // It is kept as it was said.
            let again = judge(&document.to_string(), None, &schema, may_ask);
            assert_eq!(again, Verdict::Document(document));
        }
        Verdict::Findings(findings) => {
            assert!(!findings.is_empty());
            assert_bounded(&findings);
        }
    }
}
