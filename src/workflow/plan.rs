//! What an execution does next.
//!
//! Invariant: the log decides. Given the same definition, the same progress and the same facts, the same comes next; a
//! step that has ended is never started again; no step begins before what it reads is there; no more are running than
//! the limit allows; and as long as it is not over, a step is running or a person is waited for.
//!
//! A step that fails ends an execution when the execution needs it: then nothing new begins, what is running is let
//! come to its end, and what waits for a person does so no longer. A step is *dispensable* when it is not final, and
//! whoever reads what it writes can do without it or is dispensable too.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::definition::{Step, Workflow};
use crate::domain::money::MicroUsd;
use crate::domain::progress::{
    EndReason, ExecutionFailure, ExecutionFailureCode, Progress, StepError, StepErrorCode, StepKey, StepState,
};
use crate::domain::status::{ExecutionStatus, StepStatus};
use crate::domain::time::Timestamp;

/// What the log does not say.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub now: Timestamp,
    /// The document types that the scope has, of those that no step writes.
    pub present: &'a BTreeSet<String>,
    /// What is running in this process; after a restart, nothing is.
    pub at_work: &'a BTreeSet<StepKey>,
    /// It has been asked to end. Once a step has been cancelled for that, the log says it too.
    pub is_cancelled: bool,
}

/// What is to be done now. Each shows in the log when it is done, and is then not asked for again.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Looks at the collection and begins the step with the keys of its items.
    Expand(StepKey),
    /// Begins, and goes to work.
    Start(StepKey),
    /// Has started before, and goes to work: see [`next_move`](super::step::next_move).
    Continue(StepKey),
    /// All items are complete, and so is the step.
    Close(StepKey),
    Fail(StepKey, StepError),
    Skip(StepKey, EndReason),
    /// Ends what is running there, if anything is.
    Cancel(StepKey, EndReason),
}

/// How the execution stands when the actions are done.
#[derive(Debug, Clone, PartialEq)]
pub enum Outlook {
    /// A step is running, or is about to be.
    Busy,
    /// Nothing happens before a person has spoken.
    Waiting,
    /// Nothing will happen any more.
    Over(Ending),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// One of the terminal statuses.
    pub status: ExecutionStatus,
    pub failure: Option<ExecutionFailure>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub outlook: Outlook,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

pub fn plan(workflow: &Workflow, progress: &Progress, facts: &Facts<'_>) -> Plan {
    let needed = Needed::of(workflow);
    let mut planner = Planner { workflow, progress, facts, actions: Vec::new() };
    let stop = planner.stop(&needed);
    match stop {
        Some(stop) => planner.wind_up(stop),
        None => planner.go_on(),
    }
    let outlook = planner.outlook(stop, &needed);
    let wake_at = planner.wake_at().filter(|_| !matches!(outlook, Outlook::Over(_)));
    Plan { actions: planner.actions, outlook, wake_at }
}

/// Whether a call may be made. `reserved` is what calls in progress may cost, `estimate` what this one may; a model
/// without a price is not held back by it.
pub fn affords(
    workflow: &Workflow,
    progress: &Progress,
    reserved: MicroUsd,
    estimate: Option<MicroUsd>,
) -> Result<(), StepError> {
    let Some(limit) = workflow.limits.max_cost_usd else { return Ok(()) };
    let spent = progress.totals.cost_usd;
    let all = spent + reserved + estimate.unwrap_or_default();
    let is_free = estimate.is_some_and(|estimate| estimate == MicroUsd(0));
    if all <= limit && (is_free || spent < limit) {
        return Ok(());
    }
    let message = format!("the call could take the cost beyond {limit} USD; {spent} USD are spent");
    Err(StepError::new(StepErrorCode::CostLimit, message))
}

/// Steps whose failure is that of the execution.
struct Needed<'a>(BTreeSet<&'a str>);

impl<'a> Needed<'a> {
    fn of(workflow: &'a Workflow) -> Self {
        let mut needed = Self(workflow.steps.iter().map(|step| step.step_id.as_str()).collect());
        // Each round finds those whose readers were found before.
        while let Some(step) = workflow.steps.iter().find(|step| needed.has(step) && needed.could_miss(workflow, step))
        {
            needed.0.remove(step.step_id.as_str());
        }
        needed
    }

    fn has(&self, step: &Step) -> bool {
        self.0.contains(step.step_id.as_str())
    }

    fn could_miss(&self, workflow: &Workflow, step: &Step) -> bool {
        let mut readers = workflow.consumers(step).peekable();
        !step.is_final && readers.peek().is_some() && readers.all(|(reader, requires)| !requires || !self.has(reader))
    }
}

/// Why nothing new begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    Duration,
    Failed,
}

impl Stop {
    fn reason(self) -> EndReason {
        match self {
            Self::Cancelled => EndReason::ExecutionCancelled,
            Self::Duration => EndReason::DurationLimit,
            Self::Failed => EndReason::ExecutionFailed,
        }
    }
}

/// What a step reads.
enum Inputs {
    Ready,
    /// It is still being written.
    Awaited,
    /// It will not be written.
    Lost,
    /// Not given.
    Missing(Vec<String>),
}

struct Planner<'a> {
    workflow: &'a Workflow,
    progress: &'a Progress,
    facts: &'a Facts<'a>,
    actions: Vec<Action>,
}

impl<'a> Planner<'a> {
    fn stop(&self, needed: &Needed<'_>) -> Option<Stop> {
        let was_ended = |reason| self.progress.steps.values().any(|step| step.reason == Some(reason));
        let has_failed = |step: &Step| {
            let state = self.progress.step(&key(step));
            state
                .is_some_and(|state| state.status == StepStatus::Failed && (needed.has(step) || is_out_of_money(state)))
        };
        // What comes when every step has ended comes too late.
        let is_open = self.workflow.steps.iter().any(|step| !self.status(step).is_terminal());
        let is_late = self.deadline().is_some_and(|end| end <= self.facts.now);
        if was_ended(EndReason::ExecutionCancelled) || is_open && self.facts.is_cancelled {
            Some(Stop::Cancelled)
        } else if was_ended(EndReason::DurationLimit) || is_open && is_late {
            Some(Stop::Duration)
        } else {
            let items_out_of_money = self.progress.steps.values().any(is_out_of_money);
            (items_out_of_money || self.workflow.steps.iter().any(has_failed)).then_some(Stop::Failed)
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        let seconds = i64::try_from(self.workflow.limits.max_duration_seconds?).ok()?;
        self.progress.started_at?.checked_add_signed(TimeDelta::try_seconds(seconds)?)
    }

    fn go_on(&mut self) {
        for step in &self.workflow.steps {
            self.settle(step);
        }
        let free = self.workflow.max_parallel_steps().saturating_sub(self.facts.at_work.len());
        let mut work = self.unattended();
        work.extend(self.startable());
        self.actions.extend(work.into_iter().take(free));
    }

    /// What is decided about a step without any work.
    fn settle(&mut self, step: &'a Step) {
        match self.status(step) {
            StepStatus::Pending => self.settle_inputs(step),
            StepStatus::Running if step.for_each.is_some() => self.settle_items(step),
            _ => {}
        }
        for (key, state) in self.states(step) {
            if state.open_clarification().and_then(|asked| asked.deadline).is_some_and(|end| end <= self.facts.now)
                && state.status == StepStatus::WaitingClarification
            {
                let error = StepError::new(StepErrorCode::ClarificationExpired, "nobody answered in time");
                self.actions.push(Action::Fail(key.clone(), error));
            }
        }
    }

    fn settle_inputs(&mut self, step: &'a Step) {
        match self.inputs(step) {
            Inputs::Lost => self.actions.push(Action::Skip(key(step), EndReason::DependencyFailed)),
            Inputs::Missing(types) => {
                let message = format!("the scope has no document of type {}", types.join(", "));
                self.actions.push(Action::Fail(key(step), StepError::new(StepErrorCode::InputMissing, message)));
            }
            Inputs::Ready if step.for_each.is_some() => self.actions.push(Action::Expand(key(step))),
            Inputs::Ready | Inputs::Awaited => {}
        }
    }

    /// A step of items is complete when all are, and has failed when one has and no other is open.
    fn settle_items(&mut self, step: &'a Step) {
        let items = self.items(step);
        let status = |item: &StepKey| self.progress.status_of(item);
        if items.iter().all(|item| status(item) == StepStatus::Completed) {
            return self.actions.push(Action::Close(key(step)));
        }
        let lost = items.iter().find(|item| is_lost(status(item)));
        let is_open = |item: &StepKey| !status(item).is_terminal() && status(item) != StepStatus::Pending;
        if let Some(lost) = lost.filter(|_| !items.iter().any(is_open)) {
            let code = match self.progress.step(lost).and_then(|state| state.error.as_ref()) {
                Some(error) if error.code == StepErrorCode::CostLimit => error.code,
                _ => StepErrorCode::ItemFailed,
            };
            let message = format!("the item {} has failed", lost.item.as_deref().unwrap_or_default());
            self.actions.push(Action::Fail(key(step), StepError::new(code, message)));
        }
    }

    /// Has started, is not waiting, and is not being worked on.
    fn unattended(&self) -> Vec<Action> {
        let states = self.workflow.steps.iter().flat_map(|step| self.states(step));
        let unattended = states.filter(|(key, state)| {
            state.status == StepStatus::Running && state.items.is_none() && !self.facts.at_work.contains(key)
        });
        unattended.map(|(key, _)| Action::Continue(key.clone())).collect()
    }

    fn startable(&self) -> Vec<Action> {
        let mut start = Vec::new();
        for step in &self.workflow.steps {
            match self.status(step) {
                StepStatus::Pending if step.for_each.is_none() && matches!(self.inputs(step), Inputs::Ready) => {
                    start.push(Action::Start(key(step)));
                }
                StepStatus::Running if step.for_each.is_some() => {
                    let items = self.items(step);
                    if !items.iter().any(|item| is_lost(self.progress.status_of(item))) {
                        let pending = |item: &StepKey| self.progress.status_of(item) == StepStatus::Pending;
                        start.extend(items.into_iter().filter(pending).map(Action::Start));
                    }
                }
                _ => {}
            }
        }
        start
    }

    /// Ends everything that has not ended, each in its way.
    fn wind_up(&mut self, stop: Stop) {
        for step in &self.workflow.steps {
            for (key, state) in self.states(step).filter(|(key, _)| key.item.is_some()) {
                self.wind_up_one(stop, key, state.status);
            }
            let has_open_items = step.for_each.is_some()
                && self.states(step).any(|(key, state)| key.item.is_some() && !state.status.is_terminal());
            if !has_open_items {
                self.wind_up_one(stop, &key(step), self.status(step));
            }
        }
    }

    fn wind_up_one(&mut self, stop: Stop, key: &StepKey, status: StepStatus) {
        let is_at_work = self.facts.at_work.contains(key);
        match (status, stop) {
            (status, _) if status.is_terminal() => {}
            (StepStatus::Pending, Stop::Failed) => self.actions.push(Action::Skip(key.clone(), stop.reason())),
            // What it has cost so far is not thrown away.
            (_, Stop::Failed) if is_at_work => {}
            _ => self.actions.push(Action::Cancel(key.clone(), stop.reason())),
        }
    }

    fn outlook(&self, stop: Option<Stop>, needed: &Needed<'_>) -> Outlook {
        if !self.actions.is_empty() || !self.facts.at_work.is_empty() {
            return Outlook::Busy;
        }
        if self.workflow.steps.iter().all(|step| self.status(step).is_terminal()) {
            return Outlook::Over(self.ending(stop, needed));
        }
        Outlook::Waiting
    }

    fn ending(&self, stop: Option<Stop>, needed: &Needed<'_>) -> Ending {
        let failed = |code, message: &str| Ending {
            status: ExecutionStatus::Failed,
            failure: Some(ExecutionFailure { code, step_id: None, item: None, message: message.to_owned() }),
        };
        match stop {
            Some(Stop::Cancelled) => Ending {
                status: ExecutionStatus::Cancelled,
                ..failed(ExecutionFailureCode::Cancelled, "the execution was cancelled")
            },
            Some(Stop::Duration) => failed(ExecutionFailureCode::DurationLimit, "the execution took too long"),
            Some(Stop::Failed) => Ending { status: ExecutionStatus::Failed, failure: self.first_failure(needed) },
            None => Ending { status: ExecutionStatus::Completed, failure: None },
        }
    }

    /// What failed first; of a step and an item of it, the item, which says more.
    fn first_failure(&self, needed: &Needed<'_>) -> Option<ExecutionFailure> {
        let states = self.workflow.steps.iter().filter(|step| needed.has(step)).flat_map(|step| self.states(step));
        let out_of_money = self.progress.steps.iter().filter(|(_, state)| is_out_of_money(state));
        let failed = out_of_money.chain(states.filter(|(_, state)| state.status == StepStatus::Failed));
        let (key, state) = failed.min_by_key(|(key, state)| (state.completed_at, key.item.is_none()))?;
        let error = state.error.as_ref()?;
        Some(ExecutionFailure {
            code: match error.code {
                StepErrorCode::CostLimit => ExecutionFailureCode::CostLimit,
                StepErrorCode::OrchestrationError => ExecutionFailureCode::OrchestrationError,
                _ => ExecutionFailureCode::StepFailed,
            },
            step_id: Some(key.step_id.clone()),
            item: key.item.clone(),
            message: error.message.clone(),
        })
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let waiting = self.progress.steps.values().filter(|state| state.status == StepStatus::WaitingClarification);
        let answers = waiting.filter_map(|state| state.open_clarification()?.deadline);
        answers.chain(self.deadline()).min()
    }

    fn inputs(&self, step: &Step) -> Inputs {
        let producers = step.all_inputs().filter_map(|of| self.workflow.producer(of));
        let mut required = step.inputs.iter().filter_map(|of| self.workflow.producer(of));
        if required.any(|producer| is_lost(self.status(producer))) {
            return Inputs::Lost;
        }
        if producers.into_iter().any(|producer| !self.status(producer).is_terminal()) {
            return Inputs::Awaited;
        }
        let given = step.inputs.iter().filter(|of| self.workflow.producer(of).is_none());
        let missing: Vec<_> = given.filter(|of| !self.facts.present.contains(*of)).cloned().collect();
        if missing.is_empty() { Inputs::Ready } else { Inputs::Missing(missing) }
    }

    fn status(&self, step: &Step) -> StepStatus {
        self.progress.status_of(&key(step))
    }

    fn items(&self, step: &Step) -> Vec<StepKey> {
        let items = self.progress.step(&key(step)).and_then(|state| state.items.as_ref());
        items.into_iter().flatten().map(|item| StepKey::item(&step.step_id, item)).collect()
    }

    /// The step and its items, as far as they have started.
    fn states(&self, step: &'a Step) -> impl Iterator<Item = (&'a StepKey, &'a StepState)> + use<'a> {
        let progress: &'a Progress = self.progress;
        progress.steps.iter().filter(move |(key, _)| key.step_id == step.step_id)
    }
}

fn key(step: &Step) -> StepKey {
    StepKey::step(&step.step_id)
}

fn is_lost(status: StepStatus) -> bool {
    matches!(status, StepStatus::Failed | StepStatus::Skipped | StepStatus::Cancelled)
}

fn is_out_of_money(state: &StepState) -> bool {
    state.error.as_ref().is_some_and(|error| error.code == StepErrorCode::CostLimit)
}

#[cfg(test)]
mod tests {
    use super::super::definition::tests::{step, workflow};
    use super::*;
    use crate::domain::ClarificationId;
    use crate::domain::progress::Clarification;
    use serde_json::{Value, json};

    /// A workflow, how far it has come, and what else is known.
    struct World {
        workflow: Workflow,
        progress: Progress,
        at_work: BTreeSet<StepKey>,
        present: BTreeSet<String>,
        now: i64,
        is_cancelled: bool,
    }

    impl World {
        fn new(steps: Vec<Value>, states: &[(&str, StepStatus)]) -> Self {
            Self::of(workflow(steps), states)
        }

        fn of(definition: Value, states: &[(&str, StepStatus)]) -> Self {
            let progress = Progress {
                status: ExecutionStatus::Running,
                started_at: Some(Timestamp::default()),
                ..Progress::default()
            };
            let workflow = Workflow::parse(&definition).unwrap();
            let (at_work, present) = (BTreeSet::new(), BTreeSet::new());
            let mut world = Self { workflow, progress, at_work, present, now: 1, is_cancelled: false };
            for (name, status) in states {
                let state = world.state(name);
                state.status = *status;
                if *status == StepStatus::Failed {
                    state.error = Some(StepError::new(StepErrorCode::ValidationFailed, "no use"));
                }
            }
            world
        }

        fn state(&mut self, name: &str) -> &mut StepState {
            self.progress.steps.entry(parse(name)).or_default()
        }

        fn plan(&self) -> Plan {
            let facts = Facts {
                now: Timestamp::default() + TimeDelta::seconds(self.now),
                present: &self.present,
                at_work: &self.at_work,
                is_cancelled: self.is_cancelled,
            };
            plan(&self.workflow, &self.progress, &facts)
        }

        fn actions(&self) -> Vec<String> {
            self.plan().actions.iter().map(spell).collect()
        }
    }

    fn parse(name: &str) -> StepKey {
        match name.split_once('/') {
            Some((step, item)) => StepKey::item(step, item),
            None => StepKey::step(name),
        }
    }

    fn spell(action: &Action) -> String {
        match action {
            Action::Expand(key) => format!("expand {key}"),
            Action::Start(key) => format!("start {key}"),
            Action::Continue(key) => format!("continue {key}"),
            Action::Close(key) => format!("close {key}"),
            Action::Fail(key, error) => format!("fail {key} {}", error.code),
            Action::Skip(key, reason) => format!("skip {key} {reason}"),
            Action::Cancel(key, reason) => format!("cancel {key} {reason}"),
        }
    }

    /// a -> b, c -> d
    fn diamond() -> Vec<Value> {
        vec![step("a", &[], "ta"), step("b", &["ta"], "tb"), step("c", &["ta"], "tc"), step("d", &["tb", "tc"], "td")]
    }

    /// The items of `list` in what `a` writes, then their sum.
    fn each() -> Vec<Value> {
        let mut each = step("e", &["ta"], "te");
        each["for_each"] = json!({"document_type": "ta", "collection": "list"});
        vec![step("a", &[], "ta"), each, step("sum", &["te"], "ts")]
    }

    use StepStatus::*;

    #[test]
    fn what_is_ready_begins() {
        for (states, expected) in [
            (&[][..], &["start a"][..]),
            (&[("a", Running)], &["continue a"]),
            (&[("a", Completed)], &["start b", "start c"]),
            (&[("a", Completed), ("b", Completed)], &["start c"]),
            (&[("a", Completed), ("b", WaitingAcceptance), ("c", WaitingClarification)], &[]),
            (&[("a", Completed), ("b", Completed), ("c", Completed)], &["start d"]),
            (&[("a", Failed)], &["skip b execution_failed", "skip c execution_failed", "skip d execution_failed"]),
            (
                &[("a", Completed), ("b", Failed), ("c", WaitingClarification)],
                &["cancel c execution_failed", "skip d execution_failed"],
            ),
        ] {
            assert_eq!(World::new(diamond(), states).actions(), expected, "{states:?}");
        }
    }

    #[test]
    fn it_ends_as_its_steps_have_ended() {
        let ending = |states: &[(&str, StepStatus)]| match World::new(diamond(), states).plan().outlook {
            Outlook::Over(ending) => (ending.status, ending.failure.map(|failure| (failure.code, failure.step_id))),
            other => panic!("{other:?}"),
        };
        let all = [("a", Completed), ("b", Completed), ("c", Completed), ("d", Completed)];
        assert_eq!(ending(&all), (ExecutionStatus::Completed, None));
        let failed = [("a", Completed), ("b", Completed), ("c", Failed), ("d", Skipped)];
        let step_failed = Some((ExecutionFailureCode::StepFailed, Some("c".to_owned())));
        assert_eq!(ending(&failed), (ExecutionStatus::Failed, step_failed));
    }

    #[test]
    fn no_more_than_the_limit_are_at_work() {
        let mut definition = workflow((0..5).map(|n| step(&format!("s{n}"), &[], &format!("t{n}"))).collect());
        definition["limits"] = json!({"max_parallel_steps": 3});
        let mut world = World::of(definition, &[("s0", Running), ("s3", Running)]);
        world.at_work.insert(parse("s0"));
        assert_eq!(world.actions(), ["continue s3", "start s1"], "what has begun goes before what has not");
        world.at_work.extend(["s1", "s2", "s3"].map(parse));
        assert_eq!((world.actions(), world.plan().outlook), (vec![], Outlook::Busy));
    }

    #[test]
    fn what_nobody_gave_is_missing_before_any_call() {
        let mut world = World::new(vec![step("a", &["brief", "notes"], "x")], &[]);
        world.present.insert("notes".into());
        assert_eq!(world.actions(), ["fail a input_missing"]);
        world.present.insert("brief".into());
        assert_eq!(world.actions(), ["start a"]);
    }

    #[test]
    fn items_run_one_by_one_and_their_step_ends_with_the_last() {
        let with_items = |states: &[(&str, StepStatus)], items: &[&str]| {
            let mut world = World::new(each(), states);
            world.state("e").items = Some(items.iter().map(|&item| item.to_owned()).collect());
            world.actions()
        };
        assert_eq!(World::new(each(), &[("a", Completed)]).actions(), ["expand e"]);
        let begun = [("a", Completed), ("e", Running)];
        assert_eq!(with_items(&begun, &["x", "y"]), ["start e/x", "start e/y"]);
        assert_eq!(with_items(&begun, &[]), ["close e"]);
        let more = |x, y| [("a", Completed), ("e", Running), ("e/x", x), ("e/y", y)];
        assert_eq!(with_items(&more(Completed, Completed), &["x", "y"]), ["close e"]);
        assert_eq!(with_items(&more(Completed, Running), &["x", "y"]), ["continue e/y"]);
        assert_eq!(with_items(&more(Failed, WaitingClarification), &["x", "y", "z"]), [""; 0], "y is still open");
        assert_eq!(with_items(&more(Failed, Completed), &["x", "y", "z"]), ["fail e item_failed"], "z never begins");
        let done = [("a", Completed), ("e", Completed)];
        assert_eq!(with_items(&done, &["x"]), ["start sum"]);
    }

    #[test]
    fn a_step_that_can_be_missed_does_not_end_the_execution() {
        let mut reader = step("r", &["tb"], "tr");
        reader["optional_inputs"] = json!(["ta"]);
        let steps = vec![step("pre", &[], "tp"), step("a", &["tp"], "ta"), step("b", &[], "tb"), reader];
        let world = |states: &[(&str, StepStatus)]| World::new(steps.clone(), states);
        assert_eq!(world(&[("pre", Failed), ("b", Completed)]).actions(), ["skip a dependency_failed"]);
        assert_eq!(world(&[("pre", Failed), ("a", Skipped), ("b", Completed)]).actions(), ["start r"]);
        assert_eq!(world(&[("pre", Completed), ("a", Running), ("b", Completed)]).actions(), ["continue a"]);
        let all = [("pre", Failed), ("a", Skipped), ("b", Completed), ("r", Completed)];
        let completed = Ending { status: ExecutionStatus::Completed, failure: None };
        assert_eq!(world(&all).plan().outlook, Outlook::Over(completed));
        assert_eq!(world(&[("b", Failed)]).actions()[0], "skip pre execution_failed", "this one is needed");
    }

    #[test]
    fn a_cancel_ends_everything_and_is_remembered_by_the_log() {
        let mut world = World::new(diamond(), &[("a", Completed), ("b", Running), ("c", WaitingAcceptance)]);
        world.at_work.insert(parse("b"));
        world.is_cancelled = true;
        let expected = ["b", "c", "d"].map(|name| format!("cancel {name} execution_cancelled"));
        assert_eq!(world.actions(), expected);
        (world.is_cancelled, world.at_work) = (false, BTreeSet::new());
        world.state("b").status = Cancelled;
        world.state("b").reason = Some(EndReason::ExecutionCancelled);
        assert_eq!(world.actions(), expected[1..]);
        for name in ["c", "d"] {
            world.state(name).status = Cancelled;
        }
        let Outlook::Over(ending) = world.plan().outlook else { panic!("it is over") };
        assert_eq!(ending.status, ExecutionStatus::Cancelled);
    }

    #[test]
    fn a_time_limit_ends_everything_when_it_is_reached() {
        let mut definition = workflow(diamond());
        definition["limits"] = json!({"max_duration_seconds": 10});
        let mut world = World::of(definition, &[("a", WaitingAcceptance)]);
        let plan = world.plan();
        assert_eq!((plan.actions, plan.outlook), (vec![], Outlook::Waiting));
        assert_eq!(plan.wake_at, Some(Timestamp::default() + TimeDelta::seconds(10)));
        world.now = 10;
        assert_eq!(world.actions()[..2], ["cancel a duration_limit", "cancel b duration_limit"]);
    }

    #[test]
    fn questions_that_nobody_answers_fail_their_step() {
        let mut world = World::new(diamond(), &[("a", WaitingClarification)]);
        let deadline = Timestamp::default() + TimeDelta::seconds(5);
        world.state("a").clarifications = vec![Clarification {
            clarification_id: ClarificationId::generate(),
            questions: Vec::new(),
            deadline: Some(deadline),
            answers: None,
        }];
        assert_eq!((world.actions(), world.plan().wake_at), (vec![], Some(deadline)));
        world.now = 5;
        assert_eq!(world.actions(), ["fail a clarification_expired"]);
    }

    #[test]
    fn money_that_is_not_there_is_not_spent() {
        let mut definition = workflow(diamond());
        definition["limits"] = json!({"max_cost_usd": "0.000100"});
        let mut world = World::of(definition, &[("a", Completed)]);
        world.progress.totals.cost_usd = MicroUsd(60);
        let affords = |world: &World, reserved, estimate: Option<i64>| {
            affords(&world.workflow, &world.progress, MicroUsd(reserved), estimate.map(MicroUsd)).is_ok()
        };
        assert!(affords(&world, 0, Some(40)) && !affords(&world, 0, Some(41)) && !affords(&world, 1, Some(40)));
        assert!(affords(&world, 0, None), "what has no price is not held back");
        world.progress.totals.cost_usd = MicroUsd(100);
        assert!(!affords(&world, 0, None) && affords(&world, 0, Some(0)));
        let state = world.state("b");
        (state.status, state.completed_at) = (Failed, Some(Timestamp::default()));
        state.error = Some(StepError::new(StepErrorCode::CostLimit, "too dear"));
        assert_eq!(world.actions(), ["skip c execution_failed", "skip d execution_failed"]);
        for name in ["c", "d"] {
            world.state(name).status = Skipped;
        }
        let Outlook::Over(ending) = world.plan().outlook else { panic!("it is over") };
        assert_eq!(ending.failure.map(|failure| failure.code), Some(ExecutionFailureCode::CostLimit));
    }
}
