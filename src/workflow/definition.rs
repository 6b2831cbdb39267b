//! A definition, `workflow.v1`: parsed, checked, and asked about.
//!
//! Invariant: a [`Workflow`] has passed every rule, so what it names is there. What is wrong with one that has not is
//! told all at once. Its revision is kept beside it: the server counts it, and what a definition says of it does not
//! matter.
//!
//! A document type that no step writes is *given at start*: an execution is handed such documents, or finds them in its
//! scope. A type that a step writes cannot be given.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::schema::Schema;
use crate::domain::money::MicroUsd;

/// Running steps at once, in a workflow that sets no limit.
const DEFAULT_PARALLEL_STEPS: usize = 4;

/// What is wrong with a definition, and where: `steps[2].task_prompt`, empty for the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub code: String,
    pub message: String,
    pub path: String,
}

impl Fault {
    pub fn new(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), path: path.into() }
    }
}

/// For people: `steps[2].role: there is no such role (unknown_role)`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{place}{} ({})", self.path, self.message, self.code)
    }
}

/// A definition that has passed every rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Workflow {
    pub workflow_id: String,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub metadata: Metadata,
    pub prompts: Prompts,
    #[serde(skip)]
    pub schemas: BTreeMap<String, Schema>,
    #[serde(default)]
    pub limits: Limits,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub tags: Vec<String>,
    pub estimated_cost_usd: Option<Value>,
    pub estimated_duration_minutes: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Prompts {
    pub roles: BTreeMap<String, String>,
    pub tasks: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Limits {
    #[serde(deserialize_with = "amount")]
    pub max_cost_usd: Option<MicroUsd>,
    pub max_duration_seconds: Option<u64>,
    pub max_parallel_steps: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Step {
    pub step_id: String,
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub role: String,
    pub task_prompt: String,
    /// Document types; without one of them the step fails.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Document types that the step waits for, and goes on without.
    #[serde(default)]
    pub optional_inputs: Vec<String>,
    pub output: String,
    pub output_schema: String,
    pub model: String,
    pub provider: Option<String>,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    #[serde(default = "yes")]
    pub allow_clarification: bool,
    #[serde(default = "three")]
    pub max_attempts: u32,
    #[serde(default = "five_minutes")]
    pub timeout_seconds: u64,
    #[serde(default)]
    pub is_final: bool,
    pub acceptance: Option<AcceptanceRule>,
    pub for_each: Option<ForEach>,
}

/// Whether a person must accept the document, and who may: roles of API keys or names of keys; with none named, anyone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AcceptanceRule {
    pub required: bool,
    #[serde(default)]
    pub accepted_by: Vec<String>,
}

/// The step runs once for each item of an array: the member `collection` of the document of that type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ForEach {
    pub document_type: String,
    pub collection: String,
}

/// A document type that an execution is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartInput {
    pub document_type: String,
    /// Without it a step fails.
    pub is_required: bool,
}

impl Step {
    pub fn must_be_accepted(&self) -> bool {
        self.acceptance.as_ref().is_some_and(|acceptance| acceptance.required)
    }

    /// Required and optional.
    pub fn all_inputs(&self) -> impl Iterator<Item = &String> {
        self.inputs.iter().chain(&self.optional_inputs)
    }
}

impl Workflow {
    pub fn step(&self, step_id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.step_id == step_id)
    }

    /// Who writes documents of that type.
    pub fn producer(&self, document_type: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.output == document_type)
    }

    /// Who reads what the step writes, and whether it cannot do without.
    pub fn consumers<'a>(&'a self, step: &'a Step) -> impl Iterator<Item = (&'a Step, bool)> {
        self.steps.iter().filter_map(|other| {
            let is_required = other.inputs.contains(&step.output);
            (is_required || other.optional_inputs.contains(&step.output)).then_some((other, is_required))
        })
    }

    /// # Panics
    /// Of a step of another workflow.
    pub fn output_schema(&self, step: &Step) -> &Schema {
        self.schemas.get(&step.output_schema).expect("the rules looked for it")
    }

    /// # Panics
    /// Of a step of another workflow.
    pub fn role(&self, step: &Step) -> &str {
        self.prompts.roles.get(&step.role).expect("the rules looked for it")
    }

    /// # Panics
    /// Of a step of another workflow.
    pub fn task(&self, step: &Step) -> &str {
        self.prompts.tasks.get(&step.task_prompt).expect("the rules looked for it")
    }

    pub fn max_parallel_steps(&self) -> usize {
        self.limits.max_parallel_steps.unwrap_or(DEFAULT_PARALLEL_STEPS)
    }

    /// What an execution is given, sorted by type.
    pub fn start_inputs(&self) -> Vec<StartInput> {
        let mut given = BTreeMap::new();
        for step in &self.steps {
            for document_type in step.all_inputs().filter(|of| self.producer(of).is_none()) {
                *given.entry(document_type.clone()).or_insert(false) |= step.inputs.contains(document_type);
            }
        }
        given.into_iter().map(|(document_type, is_required)| StartInput { document_type, is_required }).collect()
    }

    /// What is wrong with starting an execution: `given` are the types that the caller hands over, `present` those that
    /// the scope has already.
    pub fn start_faults<'a>(
        &self,
        given: impl IntoIterator<Item = &'a str>,
        present: impl Fn(&str) -> bool,
    ) -> Vec<Fault> {
        let (takes, given): (_, Vec<_>) = (self.start_inputs(), given.into_iter().collect());
        let path = |document_type: &str| format!("input.{document_type}");
        let unknown = given.iter().filter(|of| takes.iter().all(|takes| takes.document_type != **of));
        let unknown = unknown.map(|of| Fault::new("unknown_input", path(of), "the workflow takes no such document"));
        let is_there = |of: &str| given.contains(&of) || present(of);
        let missing = takes.iter().filter(|takes| takes.is_required && !is_there(&takes.document_type));
        let missing = missing.map(|takes| {
            let of = &takes.document_type;
            Fault::new("input_missing", path(of), "a step needs it, and the scope has none")
        });
        unknown.chain(missing).collect()
    }

    pub(super) fn compile(&mut self, schemas: &Value, faults: &mut Vec<Fault>) {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            match Schema::compile(schema) {
                Ok(schema) => drop(self.schemas.insert(name.clone(), schema)),
                Err(error) => faults.push(Fault::new("invalid_schema", format!("schemas.{name}"), error.to_string())),
            }
        }
    }
}

/// An amount is written as text, or as a number whose digits are taken as they stand. One that is none is found by the
/// rules.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MicroUsd>, D::Error> {
    Ok(Option::<Value>::deserialize(deserializer)?.as_ref().and_then(parse_amount))
}

pub(super) fn parse_amount(value: &Value) -> Option<MicroUsd> {
    match value {
        Value::String(text) => MicroUsd::parse(text).ok(),
        Value::Number(number) => MicroUsd::parse(&number.to_string()).ok(),
        _ => None,
    }
}

fn yes() -> bool {
    true
}

fn three() -> u32 {
    3
}

fn five_minutes() -> u64 {
    300
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A step that has only what a step must have.
    pub fn step(id: &str, inputs: &[&str], output: &str) -> Value {
        json!({"step_id": id, "name": id, "role": "writer", "task_prompt": "write", "inputs": inputs,
            "output": output, "output_schema": "any", "model": "builtin-small"})
    }

    /// The last step is final, unless one says so itself.
    pub fn workflow(mut steps: Vec<Value>) -> Value {
        if steps.iter().all(|step| step["is_final"] != true) {
            steps.last_mut().unwrap()["is_final"] = json!(true);
        }
        json!({"schema_version": "workflow.v1", "workflow_id": "test", "name": "Test",
            "prompts": {"roles": {"writer": "You write."}, "tasks": {"write": "Write it."}},
            "schemas": {"any": true}, "steps": steps})
    }

    fn faults(definition: &Value) -> Vec<(String, String)> {
        Workflow::parse(definition).unwrap_err().into_iter().map(|fault| (fault.code, fault.path)).collect()
    }

    fn pair(code: &str, path: &str) -> (String, String) {
        (code.into(), path.into())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let workflow = Workflow::parse(&workflow(vec![step("a", &[], "x"), step("b", &["x"], "y")])).unwrap();
        let step = workflow.step("a").unwrap();
        assert_eq!((step.max_attempts, step.allow_clarification, step.is_final), (3, true, false));
        assert_eq!((workflow.max_parallel_steps(), step.must_be_accepted()), (4, false));
        assert_eq!((workflow.role(step), workflow.task(step)), ("You write.", "Write it."));
        assert_eq!(workflow.producer("x").map(|step| step.step_id.as_str()), Some("a"));
        let consumers: Vec<_> = workflow.consumers(step).map(|(step, required)| (&*step.step_id, required)).collect();
        assert_eq!(consumers, [("b", true)]);
    }

    #[test]
    fn violations_of_the_form_are_all_told() {
        let mut definition = workflow(vec![step("a", &[], "x"), step("B!", &[], "y")]);
        definition["steps"][0]["max_attempts"] = json!("3");
        definition["workflow_id"] = json!("../etc");
        definition["colour"] = json!(1);
        let mut found = faults(&definition);
        found.sort();
        let expected = ["", "steps[0].max_attempts", "steps[1].step_id", "workflow_id"];
        assert_eq!(found, expected.map(|path| pair("schema_invalid", path)));
    }

    #[test]
    fn text_that_is_no_json_has_one_fault() {
        let faults = Workflow::parse_text("{\"a\":").unwrap_err();
        assert_eq!((faults.len(), faults[0].code.as_str()), (1, "json_invalid"));
        let text = format!("\u{feff}{}", workflow(vec![step("a", &[], "x")]));
        assert!(Workflow::parse_text(&text).is_ok());
    }

    #[test]
    fn schemas_are_compiled() {
        let mut definition = workflow(vec![step("a", &[], "x")]);
        definition["schemas"] = json!({"any": {"type": "text"}, "far": {"$ref": "https://example.com/x"}});
        assert_eq!(faults(&definition), ["any", "far"].map(|name| pair("invalid_schema", &format!("schemas.{name}"))));
    }

    #[test]
    fn what_nobody_writes_is_given_at_start() {
        let mut second = step("b", &["x"], "y");
        second["optional_inputs"] = json!(["notes", "brief"]);
        let parsed = Workflow::parse(&workflow(vec![step("a", &["brief"], "x"), second])).unwrap();
        let takes = parsed.start_inputs();
        let takes: Vec<_> = takes.iter().map(|takes| (takes.document_type.as_str(), takes.is_required)).collect();
        assert_eq!(takes, [("brief", true), ("notes", false)]);
        let codes = |given: &[&str], present: &[&str]| {
            let faults = parsed.start_faults(given.iter().copied(), |of| present.contains(&of));
            faults.into_iter().map(|fault| (fault.code, fault.path)).collect::<Vec<_>>()
        };
        assert_eq!(codes(&["brief"], &[]), []);
        assert_eq!(codes(&[], &["brief"]), []);
        assert_eq!(codes(&["x"], &[]), [pair("unknown_input", "input.x"), pair("input_missing", "input.brief")]);
    }

    #[test]
    fn an_amount_is_text_or_a_number() {
        let mut definition = workflow(vec![step("a", &[], "x")]);
        for (amount, expected) in [(json!("1.5"), 1_500_000), (json!(0.25), 250_000), (json!(2), 2_000_000)] {
            definition["limits"] = json!({"max_cost_usd": amount});
            assert_eq!(Workflow::parse(&definition).unwrap().limits.max_cost_usd, Some(MicroUsd(expected)));
        }
        for wrong in [json!("much"), json!(-1), json!("0.0000001"), json!(1e-9)] {
            definition["limits"] = json!({"max_cost_usd": wrong});
            assert_eq!(faults(&definition), [pair("invalid_amount", "limits.max_cost_usd")], "{wrong}");
        }
    }
}
