//! The rules of a definition that no schema can state, each looked at whatever the others say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::definition::{Fault, Step, Workflow, parse_amount};

/// Every violation, of a definition whose form is right.
pub fn faults(workflow: &Workflow, definition: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, step) in workflow.steps.iter().enumerate() {
        let mut at = |code: &str, key: &str, message: String| {
            faults.push(Fault::new(code, format!("steps[{number}].{key}"), message));
        };
        names(workflow, definition, step, &mut at);
        inputs(step, &mut at);
        for_each(workflow, step, &mut at);
    }
    unique(workflow, "duplicate_step_id", "step_id", |step| &step.step_id, &mut faults);
    unique(workflow, "duplicate_output", "output", |step| &step.output, &mut faults);
    cycles(workflow, &mut faults);
    if !workflow.steps.iter().any(|step| step.is_final) {
        faults.push(Fault::new("no_final_step", "steps", "at least one step must be final"));
    }
    amounts(definition, &mut faults);
    faults
}

/// Prompts and schemas that a step names are there.
fn names(workflow: &Workflow, definition: &Value, step: &Step, at: &mut impl FnMut(&str, &str, String)) {
    if !workflow.prompts.roles.contains_key(&step.role) {
        at("unknown_role", "role", format!("there is no role {:?}", step.role));
    }
    if !workflow.prompts.tasks.contains_key(&step.task_prompt) {
        at("unknown_task", "task_prompt", format!("there is no task {:?}", step.task_prompt));
    }
    if definition["schemas"].get(&step.output_schema).is_none() {
        at("unknown_schema", "output_schema", format!("there is no schema {:?}", step.output_schema));
    }
}

fn inputs(step: &Step, at: &mut impl FnMut(&str, &str, String)) {
    for twice in step.optional_inputs.iter().filter(|of| step.inputs.contains(of)) {
        at("duplicate_input", "optional_inputs", format!("{twice:?} is a required input already"));
    }
}

/// The collection is in one document that the step cannot do without.
fn for_each(workflow: &Workflow, step: &Step, at: &mut impl FnMut(&str, &str, String)) {
    let Some(for_each) = &step.for_each else { return };
    let of = &for_each.document_type;
    if !step.inputs.contains(of) {
        at("for_each_not_an_input", "for_each.document_type", format!("{of:?} is not among the step's inputs"));
    }
    if workflow.producer(of).is_some_and(|producer| producer.for_each.is_some()) {
        at("for_each_of_many", "for_each.document_type", format!("there is a document {of:?} for each of other items"));
    }
}

fn unique<'a>(
    workflow: &'a Workflow,
    code: &str,
    key: &str,
    value: impl Fn(&'a Step) -> &'a String,
    faults: &mut Vec<Fault>,
) {
    let mut first = BTreeMap::new();
    for (number, step) in workflow.steps.iter().enumerate() {
        let value = value(step);
        if let Some(first) = first.get(value) {
            let message = format!("{value:?} is taken by steps[{first}]");
            faults.push(Fault::new(code, format!("steps[{number}].{key}"), message));
        } else {
            first.insert(value, number);
        }
    }
}

/// Takes away steps whose inputs are there, until none is left or each waits for another.
fn cycles(workflow: &Workflow, faults: &mut Vec<Fault>) {
    let mut waiting: Vec<_> = workflow.steps.iter().enumerate().collect();
    loop {
        let written: BTreeSet<_> = waiting.iter().map(|(_, step)| &step.output).collect();
        let before = waiting.len();
        waiting.retain(|(_, step)| step.all_inputs().any(|of| written.contains(of)));
        if waiting.len() == before {
            break;
        }
    }
    // What is left waits for a cycle; in it is who leads back to itself.
    let needs = |step: &Step| -> Vec<usize> {
        let on = waiting.iter().filter(|(_, other)| step.all_inputs().any(|of| *of == other.output));
        on.map(|(number, _)| *number).collect()
    };
    for &(number, step) in &waiting {
        let (mut seen, mut next) = (BTreeSet::new(), needs(step));
        while let Some(at) = next.pop() {
            if seen.insert(at) {
                next.extend(needs(&workflow.steps[at]));
            }
        }
        if seen.contains(&number) {
            let message = format!("{:?} waits for what is made of its own output", step.step_id);
            faults.push(Fault::new("cycle", format!("steps[{number}].inputs"), message));
        }
    }
}

fn amounts(definition: &Value, faults: &mut Vec<Fault>) {
    for (group, key) in [("limits", "max_cost_usd"), ("metadata", "estimated_cost_usd")] {
        if let Some(amount) = definition.get(group).and_then(|group| group.get(key))
            && parse_amount(amount).is_none()
        {
            let message = "not an amount of dollars with at most six decimals, as \"0.25\"";
            faults.push(Fault::new("invalid_amount", format!("{group}.{key}"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::tests::{step, workflow};
    use super::*;
    use serde_json::json;

    fn found(definition: &Value) -> Vec<String> {
        let faults = Workflow::parse(definition).unwrap_err();
        faults.into_iter().map(|fault| format!("{} {}", fault.code, fault.path)).collect()
    }

    #[test]
    fn every_rule_is_kept_at_once() {
        let mut nameless = step("a", &["x"], "x");
        nameless["role"] = json!("nobody");
        nameless["task_prompt"] = json!("nothing");
        nameless["output_schema"] = json!("none");
        nameless["optional_inputs"] = json!(["x"]);
        let mut again = step("a", &[], "x");
        again["for_each"] = json!({"document_type": "brief", "collection": "list"});
        let mut definition = workflow(vec![nameless, again]);
        definition["steps"][1]["is_final"] = json!(false);
        definition["schemas"]["broken"] = json!({"type": "text"});
        definition["limits"] = json!({"max_cost_usd": "free"});
        assert_eq!(
            found(&definition),
            [
                "unknown_role steps[0].role",
                "unknown_task steps[0].task_prompt",
                "unknown_schema steps[0].output_schema",
                "duplicate_input steps[0].optional_inputs",
                "for_each_not_an_input steps[1].for_each.document_type",
                "duplicate_step_id steps[1].step_id",
                "duplicate_output steps[1].output",
                "cycle steps[0].inputs",
                "no_final_step steps",
                "invalid_amount limits.max_cost_usd",
                "invalid_schema schemas.broken",
            ]
        );
    }

    #[test]
    fn a_cycle_is_told_by_those_in_it() {
        let mut third = step("c", &["x"], "z");
        third["optional_inputs"] = json!(["y"]);
        let definition =
            workflow(vec![step("start", &[], "s"), step("b", &["z", "s"], "y"), third, step("after", &["y"], "end")]);
        assert_eq!(found(&definition), ["cycle steps[1].inputs", "cycle steps[2].inputs"]);
    }

    #[test]
    fn a_collection_is_in_one_document() {
        let for_each = |mut step: Value, of: &str| {
            step["for_each"] = json!({"document_type": of, "collection": "list"});
            step
        };
        let each = for_each(step("each", &["list"], "part"), "list");
        let many = for_each(step("many", &["part"], "piece"), "part");
        let definition = workflow(vec![each.clone(), many]);
        assert_eq!(found(&definition), ["for_each_of_many steps[1].for_each.document_type"]);
        assert!(Workflow::parse(&workflow(vec![each, step("sum", &["part"], "sum")])).is_ok());
    }
}
