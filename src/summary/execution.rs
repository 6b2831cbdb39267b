//! How far an execution has come, folded from its stream.

use super::Fact;
use crate::domain::progress::{
    Acceptance, Clarification, Decision, EndReason, Product, Progress, RecordedCall, RecordedReply, RetryReason,
    StepKey, StepState, Totals,
};
use crate::domain::status::{ExecutionStatus, StepStatus};
use crate::domain::time::Timestamp;
use crate::event::payload::execution::{
    ACCEPTANCE_GIVEN, ACCEPTANCE_NEEDED, AcceptanceGiven, AcceptanceNeeded, CLARIFICATION_ANSWERED,
    CLARIFICATION_NEEDED, COMPLETE, ClarificationAnswered, ClarificationNeeded, Complete, EXECUTION_STARTED,
    ExecutionStarted, Kept, LLM_CALL, LlmCall, STEP_CANCELLED, STEP_COMPLETED, STEP_FAILED, STEP_PROGRESS,
    STEP_RETRYING, STEP_SKIPPED, STEP_STARTED, StepCompleted, StepEnded, StepFailed, StepRetrying, StepStarted,
};

/// Folds one execution's stream. What cannot follow what went before is passed over, except what it has cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExecutionFold {
    progress: Progress,
    working: Working,
}

/// How many steps that call a model, items included, do what an execution's status is made of. Counted as they change,
/// so that an event costs the same however many steps there are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Working {
    running: usize,
    asking: usize,
    presenting: usize,
}

impl Working {
    fn count(&mut self, step: &StepState) -> Option<&mut usize> {
        match step.status {
            _ if step.items.is_some() => None,
            StepStatus::Running => Some(&mut self.running),
            StepStatus::WaitingClarification => Some(&mut self.asking),
            StepStatus::WaitingAcceptance => Some(&mut self.presenting),
            _ => None,
        }
    }

    fn add(&mut self, step: &StepState) {
        self.count(step).into_iter().for_each(|count| *count += 1);
    }

    fn take(&mut self, step: &StepState) {
        self.count(step).into_iter().for_each(|count| *count -= 1);
    }

    /// What the execution does now: it works if any step does; else it waits, for answers first.
    fn status(self) -> ExecutionStatus {
        match self {
            Self { running: 1.., .. } => ExecutionStatus::Running,
            Self { asking: 1.., .. } => ExecutionStatus::WaitingClarification,
            Self { presenting: 1.., .. } => ExecutionStatus::WaitingAcceptance,
            _ => ExecutionStatus::Running,
        }
    }
}

impl ExecutionFold {
    /// Whether an event of this type can change the state; the many pieces of text cannot.
    pub fn is_relevant(kind: &[u8]) -> bool {
        kind != STEP_PROGRESS.as_bytes()
    }

    pub fn apply(&mut self, fact: Fact<'_>) {
        if self.progress.status.is_terminal() {
            return;
        }
        match fact.kind {
            EXECUTION_STARTED => self.started(fact.read(), fact.created_at),
            COMPLETE => self.complete(fact.read(), fact.created_at),
            _ => self.of_step(&fact),
        }
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What an execution that repeats this one does not do again.
    pub fn kept(&self) -> Vec<Kept> {
        let completed = self.progress.steps.iter().filter(|(_, step)| step.status == StepStatus::Completed);
        let kept = completed.map(|(key, step)| Kept {
            step_id: key.step_id.clone(),
            item: key.item.clone(),
            items: step.items.clone(),
            document: step.document.clone(),
        });
        kept.collect()
    }

    fn started(&mut self, started: Option<ExecutionStarted>, at: Timestamp) {
        let Some(started) = started.filter(|_| self.progress.status == ExecutionStatus::Pending) else { return };
        self.progress.status = ExecutionStatus::Running;
        self.progress.started_at = Some(at);
        self.progress.workflow_id = Some(started.workflow_id);
        self.progress.revision = Some(started.revision);
        self.working = Working::default();
        self.progress.steps = started.kept.into_iter().map(|kept| kept_step(kept, at)).collect();
    }

    fn complete(&mut self, complete: Option<Complete>, at: Timestamp) {
        let Some(complete) = complete.filter(|complete| self.progress.status.can_become(complete.status)) else {
            return;
        };
        for step in self.progress.steps.values_mut().filter(|step| !step.status.is_terminal()) {
            end(step, StepStatus::Cancelled, at);
            step.reason = Some(EndReason::ExecutionEnded);
        }
        self.progress.status = complete.status;
        self.progress.failure = complete.failure;
        self.progress.completed_at = Some(at);
        // As it was reported first: readers must not see another value later.
        self.progress.totals.duration_ms = complete.totals.duration_ms;
    }

    fn of_step(&mut self, fact: &Fact<'_>) {
        let Some(step_id) = fact.step_id else { return };
        let key = StepKey { step_id: step_id.to_owned(), item: fact.item.map(str::to_owned) };
        // Taken out, so that a step of which nothing came does not appear.
        let mut step = self.progress.steps.remove(&key).unwrap_or_default();
        self.working.take(&step);
        match fact.kind {
            LLM_CALL => called(&mut step, &mut self.progress.totals, fact.read()),
            CLARIFICATION_NEEDED => {
                let asked = fact.read().is_some_and(|needed| ask(&mut step, needed));
                self.progress.clarification_count += u64::from(asked);
            }
            _ => apply(&mut step, &key, fact),
        }
        self.working.add(&step);
        if step != StepState::default() {
            self.progress.steps.insert(key, step);
        }
        if self.progress.status != ExecutionStatus::Pending {
            self.progress.status = self.working.status();
        }
    }
}

fn kept_step(kept: Kept, at: Timestamp) -> (StepKey, StepState) {
    let state = StepState {
        status: StepStatus::Completed,
        completed_at: Some(at),
        items: kept.items,
        document: kept.document,
        kept: true,
        ..StepState::default()
    };
    (StepKey { step_id: kept.step_id, item: kept.item }, state)
}

fn apply(step: &mut StepState, key: &StepKey, fact: &Fact<'_>) {
    let at = fact.created_at;
    match fact.kind {
        STEP_STARTED => fact.read().into_iter().for_each(|started| begin(step, started, at)),
        STEP_RETRYING => fact.read().into_iter().for_each(|retrying| retry(step, retrying)),
        CLARIFICATION_ANSWERED => fact.read().into_iter().for_each(|answered| answer(step, answered)),
        ACCEPTANCE_NEEDED => fact.read().into_iter().for_each(|needed| present(step, needed)),
        ACCEPTANCE_GIVEN => fact.read().into_iter().for_each(|given| decide(step, given)),
        STEP_COMPLETED => fact.read().into_iter().for_each(|completed| finish(step, key, &completed, at)),
        STEP_FAILED => {
            if let Some(StepFailed { error }) = fact.read().filter(|_| end(step, StepStatus::Failed, at)) {
                step.error = Some(error);
            }
        }
        STEP_SKIPPED => leave(step, StepStatus::Skipped, fact.read(), at),
        STEP_CANCELLED => leave(step, StepStatus::Cancelled, fact.read(), at),
        _ => {}
    }
}

fn become_status(step: &mut StepState, next: StepStatus) -> bool {
    let possible = step.status.can_become(next);
    if possible {
        step.status = next;
    }
    possible
}

fn end(step: &mut StepState, status: StepStatus, at: Timestamp) -> bool {
    let ended = become_status(step, status);
    if ended {
        step.completed_at = Some(at);
        step.reply = None;
    }
    ended
}

fn begin(step: &mut StepState, started: StepStarted, at: Timestamp) {
    if step.status == StepStatus::Pending && become_status(step, StepStatus::Running) {
        step.attempt = started.attempt;
        step.started_at = Some(at);
        step.inputs = started.inputs;
        step.items = started.items;
    }
}

fn called(step: &mut StepState, totals: &mut Totals, call: Option<LlmCall>) {
    let Some(call) = call else { return };
    add(&mut step.totals, &call);
    add(totals, &call);
    let LlmCall { call_id, attempt, content_digest, stop_reason, error, .. } = call;
    if error.is_none() && step.status == StepStatus::Running {
        step.reply = Some(RecordedReply { call_id, content_digest: content_digest.clone(), stop_reason });
    }
    step.calls.push(RecordedCall { call_id, attempt, content_digest, error });
}

fn add(totals: &mut Totals, call: &LlmCall) {
    totals.calls += 1;
    totals.unpriced_calls += u64::from(call.cost_usd.is_none());
    totals.cost_usd += call.cost_usd.unwrap_or_default();
    totals.input_tokens += call.input_tokens;
    totals.output_tokens += call.output_tokens;
    totals.cache_read_tokens += call.cache_read_tokens;
    totals.cache_write_tokens += call.cache_write_tokens;
}

/// A call that is made again is the same attempt: what was found in the last one still holds.
fn retry(step: &mut StepState, retrying: StepRetrying) {
    if step.status != StepStatus::Running && !become_status(step, StepStatus::Running) {
        return;
    }
    step.attempt = retrying.attempt;
    step.reply = None;
    if retrying.reason != RetryReason::Provider {
        step.findings = retrying.findings;
        step.acceptance = None;
    }
}

fn ask(step: &mut StepState, needed: ClarificationNeeded) -> bool {
    let asked = become_status(step, StepStatus::WaitingClarification);
    if asked {
        step.reply = None;
        step.clarifications.push(Clarification {
            clarification_id: needed.clarification_id,
            questions: needed.questions,
            deadline: needed.deadline,
            answers: None,
        });
    }
    asked
}

fn answer(step: &mut StepState, answered: ClarificationAnswered) {
    let open = step.clarifications.last_mut().filter(|open| {
        step.status == StepStatus::WaitingClarification && open.clarification_id == answered.clarification_id
    });
    if let Some(open) = open {
        open.answers = Some(answered.answers);
        step.status = StepStatus::Running;
    }
}

fn present(step: &mut StepState, needed: AcceptanceNeeded) {
    if become_status(step, StepStatus::WaitingAcceptance) {
        step.reply = None;
        let AcceptanceNeeded { document, content_digest, accepted_by } = needed;
        step.acceptance = Some(Acceptance { document, content_digest, accepted_by, decision: None });
    }
}

fn decide(step: &mut StepState, given: AcceptanceGiven) {
    let asked = step.acceptance.as_mut().filter(|asked| {
        let of = &asked.document;
        step.status == StepStatus::WaitingAcceptance
            && (of.document_id, of.version) == (given.document_id, given.version)
    });
    if let Some(asked) = asked {
        asked.decision = Some(Decision { accepted: given.accepted, comment: given.comment });
        step.status = StepStatus::Running;
    }
}

fn finish(step: &mut StepState, key: &StepKey, completed: &StepCompleted, at: Timestamp) {
    if end(step, StepStatus::Completed, at) {
        step.document = completed.document().map(|document| Product {
            step_id: key.step_id.clone(),
            item: key.item.clone(),
            document,
            content_digest: completed.content_digest.clone().unwrap_or_default(),
        });
        step.findings.clear();
    }
}

fn leave(step: &mut StepState, status: StepStatus, ended: Option<StepEnded>, at: Timestamp) {
    if end(step, status, at) {
        step.reason = ended.map(|ended| ended.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::MicroUsd;
    use crate::domain::progress::{DocumentRef, PendingKind};
    use crate::domain::{CallId, ClarificationId, DocumentId};
    use crate::event::{Draft, Source};
    use serde_json::{Value, json};

    /// A fold to which each event comes a second after the last.
    #[derive(Default)]
    struct Play {
        fold: ExecutionFold,
        seconds: i64,
    }

    impl Play {
        fn begun() -> Self {
            let mut play = Self::default();
            let started =
                json!({"workflow_id": "w", "revision": 2, "scope_type": "project", "scope_id": "1", "steps": ["a"]});
            play.tell(EXECUTION_STARTED, None, started);
            play.tell(STEP_STARTED, Some("a"), json!({"attempt": 1, "role": "r", "model": "m", "inputs": []}));
            play
        }

        fn tell(&mut self, kind: &'static str, step: Option<&str>, payload: Value) {
            self.seconds += 1;
            let mut draft = Draft::new(kind, Source::Executor, &payload);
            draft.step = step.map(|step| Box::new(StepKey::step(step)));
            let at = Timestamp::default() + chrono::TimeDelta::seconds(self.seconds);
            self.fold.apply(Fact::of_draft(&draft, at));
        }

        fn call(&mut self, cost: Option<&str>, error: Option<&str>) -> CallId {
            let call_id = CallId::generate();
            let call = json!({"call_id": call_id, "provider": "p", "model": "m", "attempt": 1, "input_tokens": 10,
                "output_tokens": 5, "cache_read_tokens": 2, "cache_write_tokens": 1, "latency_ms": 9, "cost_usd": cost,
                "stop_reason": "end", "error": error, "content_digest": error.is_none().then_some("d")});
            self.tell(LLM_CALL, Some("a"), call);
            call_id
        }

        fn step(&self) -> &StepState {
            self.fold.progress().step(&StepKey::step("a")).unwrap()
        }
    }

    #[test]
    fn calls_are_summed_and_the_last_reply_is_kept_until_it_is_used() {
        let mut play = Play::begun();
        play.call(None, Some("rate_limited"));
        assert_eq!(play.step().reply, None);
        let good = play.call(Some("0.000003"), None);
        let step = play.step();
        assert_eq!(step.reply.as_ref().map(|reply| reply.call_id), Some(good));
        assert_eq!(
            step.calls.iter().map(|call| call.error.as_deref()).collect::<Vec<_>>(),
            [Some("rate_limited"), None]
        );
        assert_eq!((step.calls[1].call_id, step.calls[1].content_digest.as_deref()), (good, Some("d")));
        let totals = play.fold.progress().totals;
        assert_eq!((totals.calls, totals.unpriced_calls, totals.cost_usd), (2, 1, MicroUsd(3)));
        assert_eq!((totals.input_tokens, totals.cache_read_tokens, step.totals), (20, 4, totals));
        let finding = json!({"code": "type", "path": "/a", "message": "no"});
        play.tell(STEP_RETRYING, Some("a"), json!({"attempt": 2, "reason": "validation", "findings": [finding]}));
        assert_eq!((play.step().attempt, play.step().findings.len(), &play.step().reply), (2, 1, &None));
        play.tell(STEP_RETRYING, Some("a"), json!({"attempt": 2, "reason": "provider", "findings": []}));
        assert_eq!(play.step().findings.len(), 1, "it is still the same attempt");
    }

    #[test]
    fn questions_are_open_until_they_are_answered() {
        let mut play = Play::begun();
        play.call(None, None);
        let id = ClarificationId::generate();
        let question = json!({"id": "Q_1", "text": "Which?", "intent": "To know", "priority": "must",
            "answer_type": "free_text", "required": true});
        play.tell(
            CLARIFICATION_NEEDED,
            Some("a"),
            json!({"clarification_id": id, "questions": [question], "deadline": null}),
        );
        assert_eq!(play.fold.progress().status, ExecutionStatus::WaitingClarification);
        let pending = play.fold.progress().pending();
        assert_eq!((pending[0].kind, pending[0].clarification_id), (PendingKind::Clarification, Some(id)));
        let answers = |id| json!({"clarification_id": id, "answers": {"Q_1": "x"}, "answered_by": null});
        play.tell(CLARIFICATION_ANSWERED, Some("a"), answers(ClarificationId::generate()));
        assert!(play.step().open_clarification().is_some(), "those were other questions");
        play.tell(CLARIFICATION_ANSWERED, Some("a"), answers(id));
        assert_eq!(play.fold.progress().status, ExecutionStatus::Running);
        assert_eq!(play.step().answered().map(|(_, answers)| answers["Q_1"].clone()).collect::<Vec<_>>(), ["x"]);
        assert_eq!((play.fold.progress().clarification_count, &play.step().reply), (1, &None));
    }

    #[test]
    fn a_decision_is_of_one_version() {
        let mut play = Play::begun();
        let document = DocumentRef { document_id: DocumentId::generate(), document_type: "x".into(), version: 2 };
        let needed = AcceptanceNeeded { document: document.clone(), content_digest: "d".into(), accepted_by: vec![] };
        play.tell(ACCEPTANCE_NEEDED, Some("a"), serde_json::to_value(needed).unwrap());
        assert_eq!(play.fold.progress().status, ExecutionStatus::WaitingAcceptance);
        let given = |version| json!({"document_id": document.document_id, "version": version, "accepted": true, "comment": null});
        play.tell(ACCEPTANCE_GIVEN, Some("a"), given(1));
        assert_eq!(play.step().status, StepStatus::WaitingAcceptance);
        play.tell(ACCEPTANCE_GIVEN, Some("a"), given(2));
        let decision = play.step().acceptance.as_ref().and_then(|asked| asked.decision.clone());
        assert_eq!((play.step().status, decision.map(|decision| decision.accepted)), (StepStatus::Running, Some(true)));
    }

    #[test]
    fn an_end_closes_what_is_open_and_nothing_follows() {
        let mut play = Play::begun();
        let failure = json!({"code": "interrupted", "step_id": null, "item": null, "message": "gone"});
        let complete = json!({"status": "failed", "failure": failure, "documents": [],
            "totals": {"cost_usd": "0.000000", "input_tokens": 0, "output_tokens": 0, "calls": 0, "duration_ms": 1998}});
        play.tell(COMPLETE, None, complete);
        let before = play.fold.clone();
        assert_eq!(play.step().status, StepStatus::Cancelled);
        assert_eq!((before.progress().status, before.progress().totals.duration_ms), (ExecutionStatus::Failed, 1998));
        play.call(Some("1.000000"), None);
        assert_eq!(play.fold, before);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let mut play = Play::begun();
        let before = play.fold.clone();
        for kind in [STEP_COMPLETED, STEP_FAILED, CLARIFICATION_NEEDED, LLM_CALL, COMPLETE, "news"] {
            play.tell(kind, Some("a"), json!({"odd": 1}));
            play.tell(kind, Some("b"), json!([]));
        }
        assert_eq!(play.fold, before);
        assert!(!ExecutionFold::is_relevant(b"step_progress") && ExecutionFold::is_relevant(b"llm_call"));
    }
}
