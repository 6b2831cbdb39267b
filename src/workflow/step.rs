//! What a running step does next, and what follows from a reply.
//!
//! Invariant: what is on record is used before anything is done again. A reply that is stored is judged and not asked
//! for a second time; a document that a person has accepted is the one that completes the step.

use serde_json::Value;

use super::definition::Step;
use super::reply::Verdict;
use crate::domain::progress::{Acceptance, Finding, RecordedReply, RetryReason, StepError, StepErrorCode, StepState};
use crate::domain::question::Question;

/// A step asks no more often than this; another question set is of no use.
pub const MAX_CLARIFICATIONS: usize = 3;

/// What a step that is running does now.
#[derive(Debug, Clone, PartialEq)]
pub enum Move<'a> {
    /// Asks the model, with all answers and with the findings of the last attempt.
    Call,
    /// Looks at a reply that is stored; see [`consequence`].
    Judge(&'a RecordedReply),
    /// The document has been accepted, and is stored.
    Complete(&'a Acceptance),
    /// The document has been rejected.
    Retry(Retry),
    Fail(StepError),
}

/// The next attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    pub attempt: u32,
    pub reason: RetryReason,
    pub findings: Vec<Finding>,
}

/// What follows from a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Consequence {
    Ask(Vec<Question>),
    /// To be stored; then the step is complete, or is to be accepted.
    Write(Value),
    Retry(Retry),
    Fail(StepError),
}

pub fn next_move<'a>(step: &Step, state: &'a StepState) -> Move<'a> {
    if let Some(reply) = &state.reply {
        return Move::Judge(reply);
    }
    let decided = state.acceptance.as_ref().and_then(|asked| Some((asked, asked.decision.as_ref()?)));
    let Some((asked, decision)) = decided else { return Move::Call };
    if decision.accepted {
        return Move::Complete(asked);
    }
    let comment = decision.comment.as_deref().filter(|comment| !comment.trim().is_empty());
    let finding = Finding::of_reply("rejected", comment.unwrap_or("the document was rejected without a comment"));
    match again(step, state, RetryReason::Rejection, vec![finding]) {
        Ok(retry) => Move::Retry(retry),
        Err(error) => Move::Fail(error),
    }
}

/// Whether a question set is an answer to what the step is asked.
pub fn may_ask(step: &Step, state: &StepState) -> bool {
    step.allow_clarification && state.clarifications.len() < MAX_CLARIFICATIONS
}

pub fn consequence(step: &Step, state: &StepState, verdict: Verdict) -> Consequence {
    match verdict {
        Verdict::Questions(questions) => Consequence::Ask(questions),
        Verdict::Document(document) => Consequence::Write(document),
        Verdict::Findings(findings) => match again(step, state, RetryReason::Validation, findings) {
            Ok(retry) => Consequence::Retry(retry),
            Err(error) => Consequence::Fail(error),
        },
    }
}

/// The next attempt, or the end of the last one.
fn again(step: &Step, state: &StepState, reason: RetryReason, findings: Vec<Finding>) -> Result<Retry, StepError> {
    if state.attempt < step.max_attempts {
        return Ok(Retry { attempt: state.attempt + 1, reason, findings });
    }
    let (code, what) = match reason {
        RetryReason::Rejection => (StepErrorCode::Rejected, "the document was rejected"),
        RetryReason::Validation => (StepErrorCode::ValidationFailed, "no reply was of use"),
        RetryReason::Provider => (StepErrorCode::ProviderError, "no call succeeded"),
    };
    let message = format!("{what}, and attempt {} was the last", state.attempt);
    Err(StepError { findings, ..StepError::new(code, message) })
}

#[cfg(test)]
mod tests {
    use super::super::definition::Workflow;
    use super::super::definition::tests::{step as any_step, workflow};
    use super::*;
    use crate::domain::progress::{Clarification, Decision, DocumentRef};
    use crate::domain::{CallId, ClarificationId, DocumentId};
    use serde_json::json;

    fn step() -> Step {
        Workflow::parse(&workflow(vec![any_step("a", &[], "x")])).unwrap().steps.remove(0)
    }

    fn attempt(attempt: u32) -> StepState {
        StepState { attempt, ..StepState::default() }
    }

    fn decided(number: u32, accepted: bool, comment: Option<&str>) -> StepState {
        let document = DocumentRef { document_id: DocumentId::generate(), document_type: "x".into(), version: 1 };
        let decision = Some(Decision { accepted, comment: comment.map(str::to_owned) });
        let acceptance = Acceptance { document, content_digest: String::new(), accepted_by: Vec::new(), decision };
        StepState { acceptance: Some(acceptance), ..attempt(number) }
    }

    #[test]
    fn a_stored_reply_is_judged_before_another_is_asked_for() {
        assert_eq!(next_move(&step(), &attempt(1)), Move::Call);
        let reply = RecordedReply { call_id: CallId::generate(), content_digest: None, stop_reason: None };
        let state = StepState { reply: Some(reply.clone()), ..attempt(1) };
        assert_eq!(next_move(&step(), &state), Move::Judge(&reply));
    }

    #[test]
    fn a_decision_is_carried_out() {
        let accepted = decided(1, true, None);
        assert!(matches!(next_move(&step(), &accepted), Move::Complete(_)));
        let Move::Retry(retry) = next_move(&step(), &decided(2, false, Some("too long"))) else {
            panic!("it tries again")
        };
        assert_eq!(
            (retry.attempt, retry.reason, retry.findings[0].message.as_str()),
            (3, RetryReason::Rejection, "too long")
        );
        let Move::Fail(error) = next_move(&step(), &decided(3, false, None)) else { panic!("it was the last") };
        assert_eq!((error.code, error.findings.len()), (StepErrorCode::Rejected, 1));
    }

    #[test]
    fn a_reply_of_no_use_is_an_attempt() {
        let finding = || Verdict::Findings(vec![Finding::of_reply("length", "cut")]);
        let Consequence::Retry(retry) = consequence(&step(), &attempt(1), finding()) else { panic!("it tries again") };
        assert_eq!((retry.attempt, retry.findings[0].code.as_str()), (2, "length"));
        let Consequence::Fail(error) = consequence(&step(), &attempt(3), finding()) else { panic!("it was the last") };
        assert_eq!((error.code, error.findings[0].code.as_str()), (StepErrorCode::ValidationFailed, "length"));
        assert_eq!(consequence(&step(), &attempt(1), Verdict::Document(json!(1))), Consequence::Write(json!(1)));
    }

    #[test]
    fn nobody_is_asked_for_ever() {
        let clarification = || Clarification {
            clarification_id: ClarificationId::generate(),
            questions: Vec::new(),
            deadline: None,
            answers: Some(serde_json::Map::new()),
        };
        let asked = |times| StepState { clarifications: vec![clarification(); times], ..attempt(1) };
        assert!(may_ask(&step(), &asked(0)) && may_ask(&step(), &asked(MAX_CLARIFICATIONS - 1)));
        assert!(!may_ask(&step(), &asked(MAX_CLARIFICATIONS)));
        assert!(!may_ask(&Step { allow_clarification: false, ..step() }, &asked(0)));
    }
}
