//! What a person says to a step that waits, and whether it counts.
//!
//! Invariant: what is asked is answered once. Repeating the same input is acknowledged as known; different input is
//! refused and changes nothing.

use serde_json::{Map, Value};

use super::clarification;
use super::definition::{Fault, Workflow};
use crate::domain::ClarificationId;
use crate::domain::principal::Principal;
use crate::domain::progress::{Acceptance, Clarification, Decision, DocumentRef, Progress, StepKey, StepState};
use crate::domain::status::StepStatus;

/// Whom it is said to. What is left out must be clear from what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRef {
    pub step_id: String,
    /// Of a step that runs once for each.
    pub item: Option<String>,
    /// Of answers.
    pub clarification_id: Option<ClarificationId>,
}

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub enum UserInput {
    /// By question.
    Answers(Map<String, Value>),
    Decision(Decision),
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq)]
pub enum InputOutcome {
    Answered(StepKey, ClarificationId, Map<String, Value>),
    Decided(StepKey, DocumentRef, Decision),
    /// It was said before, in the same words.
    Known,
}

/// It does not count.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("the workflow has no such step")]
    NoSuchStep,
    #[error("no step is waiting for this input: {what}")]
    NotWaiting { what: String },
    #[error("the questions have already been answered differently")]
    AnsweredOtherwise,
    #[error("the document has already been decided differently")]
    DecidedOtherwise,
    #[error("the document is decided on by {}", named.join(", "))]
    NotAmong { named: Vec<String> },
    #[error("invalid answers")]
    Invalid(Vec<Fault>),
}

pub fn apply(
    workflow: &Workflow,
    progress: &Progress,
    to: &StepRef,
    input: UserInput,
    by: &Principal,
) -> Result<InputOutcome, Refusal> {
    workflow.step(&to.step_id).ok_or(Refusal::NoSuchStep)?;
    match input {
        UserInput::Answers(answers) => apply_answers(progress, to, answers),
        UserInput::Decision(decision) => apply_decision(progress, to, decision, by),
    }
}

fn apply_answers(progress: &Progress, to: &StepRef, answers: Map<String, Value>) -> Result<InputOutcome, Refusal> {
    let asked = |state: &StepState| {
        let mut asked = state.clarifications.iter().rev().cloned();
        match to.clarification_id {
            Some(id) => asked.find(|asked| asked.clarification_id == id),
            None => asked.next(),
        }
    };
    let of_step = addressed(progress, to).filter_map(|(key, state)| Some((key, state, asked(state)?)));
    let is_open = |(_, state, asked): &(_, &StepState, Clarification)| {
        state.status == StepStatus::WaitingClarification && asked.answers.is_none()
    };
    let (key, _, asked) = the_one(of_step.collect(), is_open)?;
    if let Some(first) = &asked.answers {
        let is_known = clarification::is_repeat(first, &answers);
        return if is_known { Ok(InputOutcome::Known) } else { Err(Refusal::AnsweredOtherwise) };
    }
    match clarification::answer_faults(&asked.questions, &answers) {
        faults if faults.is_empty() => {
            Ok(InputOutcome::Answered(key.clone(), asked.clarification_id, clarification::given(answers)))
        }
        faults => Err(Refusal::Invalid(faults)),
    }
}

fn apply_decision(
    progress: &Progress,
    to: &StepRef,
    decision: Decision,
    by: &Principal,
) -> Result<InputOutcome, Refusal> {
    let of_step = addressed(progress, to).filter_map(|(key, state)| Some((key, state, state.acceptance.clone()?)));
    let is_open = |(_, state, asked): &(_, &StepState, Acceptance)| {
        state.status == StepStatus::WaitingAcceptance && asked.decision.is_none()
    };
    let (key, _, asked) = the_one(of_step.collect(), is_open)?;
    match &asked.decision {
        None if !by.is_among(&asked.accepted_by) => Err(Refusal::NotAmong { named: asked.accepted_by }),
        None => Ok(InputOutcome::Decided(key.clone(), asked.document, decision)),
        Some(first) if *first == decision => Ok(InputOutcome::Known),
        Some(_) => Err(Refusal::DecidedOtherwise),
    }
}

/// The step, or the items of it, that are meant.
fn addressed<'a>(progress: &'a Progress, to: &'a StepRef) -> impl Iterator<Item = (&'a StepKey, &'a StepState)> {
    let is_meant = |key: &StepKey| key.step_id == to.step_id && (to.item.is_none() || key.item == to.item);
    progress.steps.iter().filter(move |(key, _)| is_meant(key))
}

/// The one that waits; when none does, the one that was asked at all and can no longer be told anything new.
fn the_one<'a, T>(
    of_step: Vec<(&'a StepKey, &'a StepState, T)>,
    is_open: impl Fn(&(&'a StepKey, &'a StepState, T)) -> bool,
) -> Result<(&'a StepKey, &'a StepState, T), Refusal> {
    let (mut open, mut over): (Vec<_>, Vec<_>) = of_step.into_iter().partition(is_open);
    if open.len() > 1 || open.is_empty() && over.len() > 1 {
        return Err(Refusal::Invalid(vec![Fault::new("item_missing", "item", "several items of the step are meant")]));
    }
    open.pop()
        .or_else(|| over.pop())
        .filter(|(_, state, _)| accepts_input(state))
        .ok_or_else(|| Refusal::NotWaiting { what: "the step is not asking for input".to_owned() })
}

/// A step that was cancelled while it asked has nothing on record to compare with.
fn accepts_input(state: &StepState) -> bool {
    let has_decision = state.acceptance.as_ref().is_some_and(|asked| asked.decision.is_some());
    let has_answers = state.clarifications.last().is_some_and(|asked| asked.answers.is_some());
    !state.status.is_terminal() || has_decision || has_answers
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::clarification::tests::set;
    use super::super::definition::tests::{step, workflow};
    use super::*;
    use crate::domain::DocumentId;
    use crate::domain::principal::Role;

    fn definition() -> Workflow {
        Workflow::parse(&workflow(vec![step("a", &[], "x")])).unwrap()
    }

    fn asked(answers: Option<Value>) -> Clarification {
        Clarification {
            clarification_id: ClarificationId::generate(),
            questions: clarification::questions(&set(&[("Q_1", "yes_no", true, Value::Null)])).unwrap(),
            deadline: None,
            answers: answers.and_then(|answers| answers.as_object().cloned()),
        }
    }

    fn progress(steps: Vec<(StepKey, StepState)>) -> Progress {
        Progress { steps: steps.into_iter().collect(), ..Progress::default() }
    }

    fn waiting(clarifications: Vec<Clarification>) -> StepState {
        StepState { status: StepStatus::WaitingClarification, clarifications, ..StepState::default() }
    }

    fn to(item: Option<&str>, clarification_id: Option<ClarificationId>) -> StepRef {
        StepRef { step_id: "a".into(), item: item.map(str::to_owned), clarification_id }
    }

    fn answer(progress: &Progress, to: &StepRef, answers: Value) -> Result<InputOutcome, Refusal> {
        let input = UserInput::Answers(answers.as_object().cloned().unwrap());
        apply(&definition(), progress, to, input, &Principal::local())
    }

    #[test]
    fn questions_are_answered_once() {
        let open = asked(None);
        let id = open.clarification_id;
        let waits = progress(vec![(StepKey::step("a"), waiting(vec![open]))]);
        let heard = answer(&waits, &to(None, None), json!({"Q_1": true, "Q_2": null}));
        assert!(matches!(heard, Err(Refusal::Invalid(faults)) if faults[0].code == "unknown_question"));
        let heard = answer(&waits, &to(None, Some(id)), json!({"Q_1": true})).unwrap();
        assert_eq!(
            heard,
            InputOutcome::Answered(StepKey::step("a"), id, json!({"Q_1": true}).as_object().cloned().unwrap())
        );
        assert!(
            matches!(answer(&waits, &to(None, None), json!({})), Err(Refusal::Invalid(faults)) if faults.len() == 1)
        );
        let foreign = to(None, Some(ClarificationId::generate()));
        assert!(matches!(answer(&waits, &foreign, json!({"Q_1": true})), Err(Refusal::NotWaiting { .. })));

        let completed = StepState { status: StepStatus::Completed, ..waiting(vec![asked(Some(json!({"Q_1": true})))]) };
        let over = progress(vec![(StepKey::step("a"), completed)]);
        assert_eq!(answer(&over, &to(None, None), json!({"Q_1": true})), Ok(InputOutcome::Known));
        let otherwise = answer(&over, &to(None, None), json!({"Q_1": false}));
        assert_eq!(otherwise, Err(Refusal::AnsweredOtherwise));
    }

    #[test]
    fn an_earlier_round_is_told_by_its_id() {
        let first = asked(Some(json!({"Q_1": false})));
        let id = first.clarification_id;
        let waits = progress(vec![(StepKey::step("a"), waiting(vec![first, asked(None)]))]);
        assert_eq!(answer(&waits, &to(None, Some(id)), json!({"Q_1": false})), Ok(InputOutcome::Known));
        assert!(matches!(answer(&waits, &to(None, None), json!({"Q_1": false})), Ok(InputOutcome::Answered(..))));
    }

    #[test]
    fn whom_it_is_said_to_must_be_clear() {
        let item = |name: &str| (StepKey::item("a", name), waiting(vec![asked(None)]));
        let both = progress(vec![item("x"), item("y")]);
        let yes = || json!({"Q_1": true});
        assert!(
            matches!(answer(&both, &to(None, None), yes()), Err(Refusal::Invalid(faults)) if faults[0].path == "item")
        );
        assert!(
            matches!(answer(&both, &to(Some("y"), None), yes()), Ok(InputOutcome::Answered(key, ..)) if key.item.as_deref() == Some("y"))
        );
        let one = progress(vec![item("x"), (StepKey::item("a", "y"), StepState::default())]);
        assert!(matches!(answer(&one, &to(None, None), yes()), Ok(InputOutcome::Answered(..))));
        assert!(matches!(answer(&one, &to(Some("y"), None), yes()), Err(Refusal::NotWaiting { .. })));
        let other = StepRef { step_id: "b".into(), ..to(None, None) };
        assert_eq!(answer(&one, &other, yes()), Err(Refusal::NoSuchStep));
    }

    #[test]
    fn what_is_cancelled_asks_no_more() {
        let cancelled = StepState { status: StepStatus::Cancelled, ..waiting(vec![asked(None)]) };
        let over = progress(vec![(StepKey::step("a"), cancelled)]);
        assert!(matches!(answer(&over, &to(None, None), json!({"Q_1": true})), Err(Refusal::NotWaiting { .. })));
    }

    #[test]
    fn a_document_is_decided_on_once() {
        let document = DocumentRef { document_id: DocumentId::generate(), document_type: "x".into(), version: 1 };
        let asks = |decision: Option<Decision>| {
            let status = if decision.is_some() { StepStatus::Completed } else { StepStatus::WaitingAcceptance };
            let accepted_by = vec!["editors".to_owned()];
            let acceptance =
                Acceptance { document: document.clone(), content_digest: "d".into(), accepted_by, decision };
            progress(vec![(
                StepKey::step("a"),
                StepState { status, acceptance: Some(acceptance), ..StepState::default() },
            )])
        };
        let yes = || Decision { accepted: true, comment: None };
        let editor = Principal { role: Role::Viewer, name: "editors".into(), ..Principal::local() };
        let decide = |progress: &Progress, decision: Decision| {
            apply(&definition(), progress, &to(None, None), UserInput::Decision(decision), &editor)
        };
        let other = Principal { role: Role::Operator, name: "others".into(), ..Principal::local() };
        let by_other = apply(&definition(), &asks(None), &to(None, None), UserInput::Decision(yes()), &other);
        assert_eq!(by_other, Err(Refusal::NotAmong { named: vec!["editors".into()] }));
        let heard = decide(&asks(None), yes());
        assert_eq!(heard, Ok(InputOutcome::Decided(StepKey::step("a"), document.clone(), yes())));
        assert_eq!(decide(&asks(Some(yes())), yes()), Ok(InputOutcome::Known));
        let no = Decision { accepted: false, comment: None };
        assert_eq!(decide(&asks(Some(yes())), no), Err(Refusal::DecidedOtherwise));
        let nothing = progress(vec![(StepKey::step("a"), StepState::default())]);
        assert!(matches!(decide(&nothing, yes()), Err(Refusal::NotWaiting { .. })));
    }
}
