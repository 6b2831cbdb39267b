//! Definitions as they come in: read by their form, then held against the rules, with all faults at once.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::definition::{Fault, Workflow};
use super::rules;
use super::schema::Schema;

const DEFINITION: &str = include_str!("workflow.v1.json");

impl Workflow {
    /// Every violation of the form; or, when there is none, of every rule.
    pub fn parse(definition: &Value) -> Result<Self, Vec<Fault>> {
        let faults: Vec<_> = form().findings(definition).into_iter().map(of_form).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut workflow =
            Self::deserialize(definition).map_err(|error| vec![Fault::new("schema_invalid", "", error.to_string())])?;
        let mut faults = rules::faults(&workflow, definition);
        workflow.compile(&definition["schemas"], &mut faults);
        if faults.is_empty() { Ok(workflow) } else { Err(faults) }
    }

    /// From text; one that is no JSON has one fault.
    pub fn parse_text(text: &str) -> Result<Self, Vec<Fault>> {
        let definition = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| vec![Fault::new("json_invalid", "", error.to_string())])?;
        Self::parse(&definition)
    }
}

/// The form of every definition, as JSON Schema.
pub fn form() -> &'static Schema {
    static FORM: LazyLock<Schema> = LazyLock::new(|| {
        let source = serde_json::from_str(DEFINITION).expect("the file is JSON");
        Schema::compile(&source).expect("the file is a schema")
    });
    &FORM
}

fn of_form(finding: crate::domain::progress::Finding) -> Fault {
    Fault::new("schema_invalid", dotted(&finding.path), finding.message)
}

/// `/steps/2/task_prompt` as `steps[2].task_prompt`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            path.push_str(&format!("{dot}{part}"));
        }
    }
    path
}
