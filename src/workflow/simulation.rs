//! Only for tests: executions of random workflows, played through by the decisions of this module and the fold of their
//! logs alone, with a worker that dies at any event and knows afterwards no more than the log. First what workflows are
//! drawn from, then the [`World`] that plays one, and at the end the laws that every play keeps.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::clarification::tests::set;
use super::definition::Workflow;
use super::definition::tests::{step, workflow};
use super::plan::{Action, Facts, Outlook, plan};
use super::reply::Verdict;
use super::step::{Consequence, Move, Retry, consequence, may_ask, next_move};
use super::{clarification, item};
use crate::domain::money::MicroUsd;
use crate::domain::progress::{DocumentRef, EndReason, Finding, Product, Progress, StepError, StepErrorCode, StepKey};
use crate::domain::status::{ExecutionStatus, StepStatus};
use crate::domain::time::Timestamp;
use crate::domain::{CallId, ClarificationId, DocumentId, EventId, ExecutionId, WorkspaceId};
use crate::event::codec::{Identity, Stamp, decode, encode};
use crate::event::payload::execution::*;
use crate::event::{Draft, Source};
use crate::summary::{ExecutionFold, Fact};

/// Small numbers that depend on a seed only.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// Steps that read what earlier ones write, in any order.
fn random_workflow(random: &mut Random) -> Workflow {
    let count = 1 + random.below(7);
    let mut steps: Vec<Value> = Vec::new();
    for number in 0..count {
        let mut reads: Vec<String> = (0..number).filter(|_| random.one_in(3)).map(|from| format!("t{from}")).collect();
        reads.extend(random.one_in(3).then(|| "brief".to_owned()));
        let (mut required, mut optional) = (Vec::new(), Vec::new());
        for of in reads {
            if random.one_in(4) { optional.push(of) } else { required.push(of) }
        }
        let each = required.iter().find(|of| {
            let writer = steps.iter().find(|step| step["output"] == **of);
            writer.is_none_or(|writer| writer["for_each"].is_null())
        });
        let each = each.filter(|_| random.one_in(3)).map(|of| json!({"document_type": of, "collection": "list"}));
        let inputs: Vec<_> = required.iter().map(String::as_str).collect();
        let mut made = step(&format!("s{number}"), &inputs, &format!("t{number}"));
        made["for_each"] = json!(each);
        made["optional_inputs"] = json!(optional);
        made["is_final"] = json!(random.one_in(4));
        made["max_attempts"] = json!(1 + random.below(3));
        made["acceptance"] = json!({"required": random.one_in(4)});
        steps.insert(random.below(number + 1) as usize, made);
    }
    let mut definition = workflow(steps);
    definition["limits"] = json!({"max_parallel_steps": 1 + random.below(3)});
    if random.one_in(4) {
        definition["limits"]["max_duration_seconds"] = json!(1 + random.below(60));
    }
    Workflow::parse(&definition).unwrap()
}

/// The log, what the store keeps, and a worker that may die.
struct World {
    workflow: Workflow,
    random: Random,
    identity: Identity,
    lines: Vec<Vec<u8>>,
    fold: ExecutionFold,
    /// Of what was drafted, as a producer folds it before anything is written.
    of_drafts: ExecutionFold,
    at_work: BTreeSet<StepKey>,
    present: BTreeSet<String>,
    is_cancelled: bool,
    now: Timestamp,
    /// One in so many events is the last of its process.
    deaths: u64,
    documents: BTreeMap<DocumentId, Value>,
    by_attempt: BTreeMap<(StepKey, u32), DocumentRef>,
    /// What an earlier execution has completed.
    kept: Vec<Kept>,
    /// Prompts that were answered.
    answered: BTreeSet<(StepKey, u32, usize)>,
}

/// The process is no more.
struct Died;

type Alive = Result<(), Died>;

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let identity = Identity::of_execution(WorkspaceId::generate(), ExecutionId::generate(), "test");
        let workflow = random_workflow(&mut random);
        let present = if random.one_in(5) { BTreeSet::new() } else { BTreeSet::from(["brief".to_owned()]) };
        let deaths = [u64::MAX, 20, 3][random.below(3) as usize];
        Self {
            workflow,
            random,
            identity,
            lines: Vec::new(),
            fold: ExecutionFold::default(),
            of_drafts: ExecutionFold::default(),
            at_work: BTreeSet::new(),
            present,
            is_cancelled: false,
            now: Timestamp::default(),
            deaths,
            documents: BTreeMap::new(),
            by_attempt: BTreeMap::new(),
            kept: Vec::new(),
            answered: BTreeSet::new(),
        }
    }

    fn progress(&self) -> &Progress {
        self.fold.progress()
    }

    fn append(&mut self, kind: &'static str, key: Option<&StepKey>, payload: &impl Serialize) -> Alive {
        self.now += TimeDelta::milliseconds(1 + self.random.below(2000) as i64);
        let mut draft = Draft::new(kind, Source::Executor, payload);
        draft.step = key.cloned().map(Box::new);
        let sequence = self.lines.len() as u64 + 1;
        let stamp = Stamp { sequence, event_id: EventId::generate(), created_at: self.now };
        let mut line = Vec::new();
        encode(&mut line, &self.identity, stamp, &draft);
        self.fold.apply(Fact::from(&decode(&line).unwrap()));
        self.of_drafts.apply(Fact::of_draft(&draft, self.now));
        assert_eq!(self.of_drafts, self.fold, "who writes knows what who reads knows");
        self.lines.push(line);
        if self.random.one_in(self.deaths) { Err(Died) } else { Ok(()) }
    }

    /// Another execution, that begins where this one has failed.
    fn repeat(self) -> Self {
        let seed = self.random.0;
        let kept = self.fold.kept();
        let identity = Identity::of_execution(WorkspaceId::generate(), ExecutionId::generate(), "test");
        Self {
            identity,
            kept,
            lines: Vec::new(),
            fold: ExecutionFold::default(),
            of_drafts: ExecutionFold::default(),
            random: Random(seed),
            at_work: BTreeSet::new(),
            answered: BTreeSet::new(),
            by_attempt: BTreeMap::new(),
            present: BTreeSet::from(["brief".to_owned()]),
            is_cancelled: false,
            ..self
        }
    }

    fn run(&mut self) {
        for _ in 0..5000 {
            if self.progress().status.is_terminal() {
                return;
            }
            if self.turn().is_err() {
                self.fold = fold(&self.lines);
                self.at_work.clear();
                self.is_cancelled = false;
            }
        }
        panic!("it does not end: {:?}\n{:?}", self.workflow, self.progress());
    }

    fn turn(&mut self) -> Alive {
        if self.progress().status == ExecutionStatus::Pending {
            return self.begin();
        }
        if self.random.one_in(200) {
            self.is_cancelled = true;
        }
        let facts =
            Facts { now: self.now, present: &self.present, at_work: &self.at_work, is_cancelled: self.is_cancelled };
        let plan = plan(&self.workflow, self.progress(), &facts);
        self.check(&plan.actions);
        for action in plan.actions {
            self.act(action)?;
        }
        match plan.outlook {
            Outlook::Over(ending) => {
                let documents: Vec<Product> = self.progress().products().cloned().collect();
                let totals = self.progress().totals;
                let complete = Complete { status: ending.status, failure: ending.failure, totals, documents };
                self.append(COMPLETE, None, &complete)
            }
            Outlook::Busy if self.at_work.is_empty() => Ok(()),
            Outlook::Busy => {
                let at = self.random.below(self.at_work.len() as u64) as usize;
                let key = self.at_work.iter().nth(at).cloned().expect("it is one of them");
                self.work(&key)
            }
            Outlook::Waiting => self.wait(),
        }
    }

    fn begin(&mut self) -> Alive {
        let steps = self.workflow.steps.iter().map(|step| step.step_id.clone()).collect();
        let started = ExecutionStarted {
            workflow_id: "test".into(),
            revision: 1,
            scope_type: "project".into(),
            scope_id: "1".into(),
            steps,
            started_by: None,
            retry_of_execution_id: None,
            kept: self.kept.clone(),
        };
        self.append(EXECUTION_STARTED, None, &started)
    }

    /// What every plan must keep to.
    fn check(&self, actions: &[Action]) {
        let to_work = actions.iter().filter_map(|action| match action {
            Action::Start(key) | Action::Continue(key) => Some(key),
            _ => None,
        });
        let at_work: BTreeSet<_> = self.at_work.iter().chain(to_work).collect();
        assert!(at_work.len() <= self.workflow.max_parallel_steps(), "{at_work:?}");
        for action in actions {
            if let Action::Start(key) | Action::Expand(key) = action {
                let status = self.progress().status_of(key);
                assert_eq!(status, StepStatus::Pending, "{key} begins once");
                let step = self.workflow.step(&key.step_id).unwrap();
                let is_there = |of: &String| match self.workflow.producer(of) {
                    Some(producer) => {
                        self.progress().status_of(&StepKey::step(&producer.step_id)) == StepStatus::Completed
                    }
                    None => self.present.contains(of),
                };
                assert!(step.inputs.iter().all(is_there), "{key} begins before its inputs are there");
            }
        }
    }

    fn act(&mut self, action: Action) -> Alive {
        match action {
            Action::Expand(key) => match self.items(&key) {
                Ok(items) => self.start(&key, Some(items)),
                Err(error) => self.append(STEP_FAILED, Some(&key), &StepFailed { error }),
            },
            Action::Start(key) => {
                self.start(&key, None)?;
                self.at_work.insert(key);
                Ok(())
            }
            Action::Continue(key) => {
                self.at_work.insert(key);
                Ok(())
            }
            Action::Close(key) => self.complete(&key, None),
            Action::Fail(key, error) => self.append(STEP_FAILED, Some(&key), &StepFailed { error }),
            Action::Skip(key, reason) => self.append(STEP_SKIPPED, Some(&key), &StepEnded { reason }),
            Action::Cancel(key, reason) => {
                self.at_work.remove(&key);
                self.append(STEP_CANCELLED, Some(&key), &StepEnded { reason })
            }
        }
    }

    fn items(&mut self, key: &StepKey) -> Result<Vec<String>, StepError> {
        let for_each = self.workflow.step(&key.step_id).unwrap().for_each.clone().unwrap();
        let written =
            self.progress().products().find(|product| product.document.document_type == for_each.document_type);
        let content = match written {
            Some(product) => self.documents[&product.document.document_id].clone(),
            None => json!({"list": ["given", "at", "start"]}),
        };
        Ok(item::items(&for_each, &content)?.into_iter().map(|item| item.key).collect())
    }

    fn start(&mut self, key: &StepKey, items: Option<Vec<String>>) -> Alive {
        let step = self.workflow.step(&key.step_id).unwrap();
        let (role, model) = (step.role.clone(), step.model.clone());
        self.append(STEP_STARTED, Some(key), &StepStarted { attempt: 1, role, model, inputs: Vec::new(), items })
    }

    fn complete(&mut self, key: &StepKey, document: Option<DocumentRef>) -> Alive {
        let step = self.workflow.step(&key.step_id).unwrap();
        let completed = StepCompleted {
            document_id: document.as_ref().map(|document| document.document_id),
            document_type: step.output.clone(),
            version: document.as_ref().map(|document| document.version),
            duration_ms: 1,
            content_digest: document.map(|_| "sha256:00".to_owned()),
        };
        self.append(STEP_COMPLETED, Some(key), &completed)
    }

    /// One thing that a step does. A death on the way leaves it where the log says it is.
    fn work(&mut self, key: &StepKey) -> Alive {
        let step = self.workflow.step(&key.step_id).unwrap().clone();
        let state = self.progress().step(key).unwrap().clone();
        assert_eq!(state.status, StepStatus::Running, "{key} is at work");
        match next_move(&step, &state) {
            Move::Call => self.call(key, state.attempt, state.clarifications.len()),
            Move::Judge(_) => {
                let verdict = self.verdict(may_ask(&step, &state));
                match consequence(&step, &state, verdict) {
                    Consequence::Ask(questions) => self.ask(key, questions),
                    Consequence::Write(content) => self.write(key, state.attempt, content, step.must_be_accepted()),
                    Consequence::Retry(retry) => self.retry(key, retry),
                    Consequence::Fail(error) => self.fail(key, error),
                }
            }
            Move::Complete(asked) => {
                self.at_work.remove(key);
                self.complete(key, Some(asked.document.clone()))
            }
            Move::Retry(retry) => self.retry(key, retry),
            Move::Fail(error) => self.fail(key, error),
        }
    }

    fn call(&mut self, key: &StepKey, attempt: u32, round: usize) -> Alive {
        let fails = self.random.one_in(8);
        if fails && self.random.one_in(4) {
            return self.fail(key, StepError::new(StepErrorCode::ProviderError, "no more"));
        }
        let call = LlmCall {
            call_id: CallId::generate(),
            provider: "builtin".into(),
            model: "builtin-small".into(),
            attempt,
            input_tokens: 10,
            output_tokens: 5,
            cache_read_tokens: 1,
            cache_write_tokens: 2,
            latency_ms: 3,
            cost_usd: (!self.random.one_in(5)).then_some(MicroUsd(7)),
            stop_reason: None,
            error: fails.then(|| "interrupted".to_owned()),
            error_message: None,
            content_digest: None,
        };
        if !fails {
            let is_new = self.answered.insert((key.clone(), attempt, round));
            assert!(is_new, "{key} has the reply to attempt {attempt} on record and asks again");
        }
        self.append(LLM_CALL, Some(key), &call)
    }

    fn verdict(&mut self, may_ask: bool) -> Verdict {
        match self.random.below(6) {
            0 if may_ask => {
                let asked = set(&[("Q_1", "yes_no", true, Value::Null)]);
                Verdict::Questions(clarification::questions(&asked).unwrap())
            }
            1 | 2 => Verdict::Findings(vec![Finding::of_reply("type", "wrong")]),
            _ => Verdict::Document(match self.random.below(6) {
                0 => json!({"no": "list"}),
                count => json!({"list": vec!["x"; count as usize - 1]}),
            }),
        }
    }

    fn ask(&mut self, key: &StepKey, questions: Vec<crate::domain::question::Question>) -> Alive {
        self.at_work.remove(key);
        let deadline = self.random.one_in(3).then(|| self.now + TimeDelta::seconds(30));
        let clarification_id = ClarificationId::generate();
        self.append(CLARIFICATION_NEEDED, Some(key), &ClarificationNeeded { clarification_id, questions, deadline })
    }

    /// Stored once for an attempt, however often it is stored.
    fn write(&mut self, key: &StepKey, attempt: u32, content: Value, must_be_accepted: bool) -> Alive {
        self.at_work.remove(key);
        let document_type = self.workflow.step(&key.step_id).unwrap().output.clone();
        let document = self.by_attempt.entry((key.clone(), attempt)).or_insert_with(|| DocumentRef {
            document_id: DocumentId::generate(),
            document_type,
            version: u64::from(attempt),
        });
        let document = document.clone();
        self.documents.entry(document.document_id).or_insert(content);
        if !must_be_accepted {
            return self.complete(key, Some(document));
        }
        let needed = AcceptanceNeeded { document, content_digest: "sha256:00".into(), accepted_by: Vec::new() };
        self.append(ACCEPTANCE_NEEDED, Some(key), &needed)
    }

    fn retry(&mut self, key: &StepKey, retry: Retry) -> Alive {
        let Retry { attempt, reason, findings } = retry;
        self.append(STEP_RETRYING, Some(key), &StepRetrying { attempt, reason, findings })
    }

    fn fail(&mut self, key: &StepKey, error: StepError) -> Alive {
        self.at_work.remove(key);
        self.append(STEP_FAILED, Some(key), &StepFailed { error })
    }

    /// A person speaks, or time goes by.
    fn wait(&mut self) -> Alive {
        let pending = self.progress().pending();
        assert!(!pending.is_empty(), "nobody works and nobody is waited for: {:?}", self.progress());
        if self.random.one_in(6) {
            self.now += TimeDelta::seconds(60);
            return Ok(());
        }
        let at = self.random.below(pending.len() as u64) as usize;
        let key = StepKey { step_id: pending[at].step_id.clone(), item: pending[at].item.clone() };
        if let Some(clarification_id) = pending[at].clarification_id {
            let answers: Map<String, Value> = json!({"Q_1": true}).as_object().cloned().unwrap();
            let faults = clarification::answer_faults(pending[at].questions.as_ref().unwrap(), &answers);
            assert_eq!(faults, []);
            let answered = ClarificationAnswered { clarification_id, answers, answered_by: None };
            return self.append(CLARIFICATION_ANSWERED, Some(&key), &answered);
        }
        let document = pending[at].document.clone().unwrap();
        let given = AcceptanceGiven {
            document_id: document.document_id,
            version: document.version,
            accepted: !self.random.one_in(3),
            comment: None,
            decided_by: None,
        };
        self.append(ACCEPTANCE_GIVEN, Some(&key), &given)
    }

    /// What is true of every log that has ended.
    fn check_log(&self) {
        let events: Vec<_> = self.lines.iter().map(|line| decode(line).unwrap()).collect();
        let kept = |kept: &Kept| (Some(kept.step_id.clone()), kept.item.clone());
        let mut completed: BTreeSet<_> = self.kept.iter().map(kept).collect();
        for event in &events {
            let key = (event.step_id.as_deref().map(str::to_owned), event.item.as_deref().map(str::to_owned));
            assert!(!completed.contains(&key), "{} of {key:?} after its completion", event.kind);
            if event.kind == STEP_COMPLETED {
                completed.insert(key);
            }
        }
        assert_eq!(events.iter().filter(|event| event.kind == COMPLETE).count(), 1);
        assert_eq!(events.last().unwrap().kind, COMPLETE);
        let progress = self.progress();
        let calls: Vec<LlmCall> = events
            .iter()
            .filter(|event| event.kind == LLM_CALL)
            .map(|event| serde_json::from_str(event.payload.get()).unwrap())
            .collect();
        let cost: MicroUsd = calls.iter().filter_map(|call| call.cost_usd).sum();
        assert_eq!((progress.totals.cost_usd, progress.totals.calls), (cost, calls.len() as u64));
        assert!(progress.steps.values().all(|step| step.status.is_terminal()));
        let all_completed = progress.steps.values().all(|step| step.status == StepStatus::Completed);
        match progress.status {
            ExecutionStatus::Completed => assert!(progress.failure.is_none()),
            ExecutionStatus::Failed => assert!(progress.failure.is_some() && !all_completed),
            status => {
                assert_eq!(status, ExecutionStatus::Cancelled);
                let reason = Some(EndReason::ExecutionCancelled);
                assert!(progress.steps.values().any(|step| step.reason == reason));
            }
        }
        if progress.status == ExecutionStatus::Completed {
            for last in self.workflow.steps.iter().filter(|step| step.is_final) {
                assert_eq!(progress.status_of(&StepKey::step(&last.step_id)), StepStatus::Completed);
            }
        }
    }
}

fn fold(lines: &[Vec<u8>]) -> ExecutionFold {
    let mut fold = ExecutionFold::default();
    apply(&mut fold, lines);
    fold
}

fn apply(fold: &mut ExecutionFold, lines: &[Vec<u8>]) {
    for line in lines {
        let event = decode(line).unwrap();
        if ExecutionFold::is_relevant(event.kind.as_bytes()) {
            fold.apply(Fact::from(&event));
        }
    }
}

/// The plays above would prove little if they all went the same way.
#[test]
fn every_way_is_gone() {
    let (mut kinds, mut endings) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..300 {
        let mut world = World::new(seed * 7919);
        world.run();
        for line in &world.lines {
            let event = decode(line).unwrap();
            kinds.insert((event.kind.into_owned(), event.item.is_some()));
        }
        let failure = world.progress().failure.as_ref().map(|failure| failure.code.as_str());
        endings.insert((world.progress().status.as_str(), failure));
    }
    let of_steps = [
        STEP_STARTED,
        LLM_CALL,
        STEP_RETRYING,
        CLARIFICATION_NEEDED,
        CLARIFICATION_ANSWERED,
        ACCEPTANCE_NEEDED,
        ACCEPTANCE_GIVEN,
        STEP_COMPLETED,
        STEP_FAILED,
        STEP_CANCELLED,
    ];
    for kind in of_steps {
        assert!([true, false].iter().all(|&item| kinds.contains(&(kind.to_owned(), item))), "{kind}");
    }
    assert!(kinds.contains(&(STEP_SKIPPED.to_owned(), false)));
    let expected = [
        ("cancelled", Some("execution_cancelled")),
        ("completed", None),
        ("failed", Some("duration_limit")),
        ("failed", Some("step_failed")),
    ];
    assert_eq!(endings, BTreeSet::from(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the workflow, its replies, its people and the deaths of its worker: it ends, once and in order.
    #[test]
    fn every_execution_ends_and_repeats_nothing(seed in any::<u64>()) {
        let mut world = World::new(seed);
        world.run();
        world.check_log();
    }

    /// A retry does what is not done, and nothing else.
    #[test]
    fn a_retry_keeps_what_is_complete(seed in any::<u64>()) {
        let mut world = World::new(seed);
        world.run();
        for _ in 0..20 {
            if world.progress().status == ExecutionStatus::Completed {
                break;
            }
            world = world.repeat();
            world.run();
            world.check_log();
        }
    }

    /// A fold that has stopped anywhere goes on from there.
    #[test]
    fn a_fold_in_two_parts_is_the_fold(seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let mut world = World::new(seed);
        world.run();
        let cut = cut.index(world.lines.len() + 1);
        let mut parts = fold(&world.lines[..cut]);
        let before = parts.clone();
        apply(&mut parts, &world.lines[cut..]);
        prop_assert_eq!(&parts, &fold(&world.lines));
        let has_ended = |status: StepStatus| status.is_terminal();
        for (key, step) in before.progress().steps.iter().filter(|(_, step)| has_ended(step.status)) {
            prop_assert_eq!(parts.progress().step(key), Some(step), "what has ended stays as it is");
        }
    }
}
