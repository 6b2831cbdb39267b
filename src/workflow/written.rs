//! A definition as it was written, whatever stands beside it.
//!
//! Invariant: what the service adds to a definition is no part of it. So one that was shown can be sent, kept in a file
//! and compared as it is.

use serde_json::Value;

use super::definition::{Fault, Workflow};
use crate::domain::json;
use crate::domain::workflow::NewWorkflow;

/// What the service adds when it shows a definition.
const TOLD: [&str; 5] = ["object", "workspace_id", "created_at", "updated_at", "links"];

/// Without what the service adds to it; its revision stays, and does not count.
pub fn written(mut definition: Value) -> Value {
    if let Some(members) = definition.as_object_mut() {
        members.retain(|name, _| !TOLD.contains(&name.as_str()));
    }
    definition
}

/// Whether both are the same definition, at whatever revision.
pub fn is_same(one: &Value, other: &Value) -> bool {
    let plain = |definition: &Value| {
        let mut definition = written(definition.clone());
        definition.as_object_mut().map(|members| members.remove("revision"));
        definition
    };
    plain(one) == plain(other)
}

/// Checked, to be stored; or all that is wrong with it.
pub fn checked(definition: Value) -> Result<NewWorkflow, Vec<Fault>> {
    let definition = written(definition);
    let workflow = Workflow::parse(&definition)?;
    Ok(NewWorkflow {
        step_count: workflow.steps.len() as u64,
        workflow_id: workflow.workflow_id,
        name: workflow.name,
        description: workflow.description,
        definition,
    })
}

/// As [`checked`], of a file; one that is no JSON has one fault.
pub fn checked_text(text: &[u8]) -> Result<NewWorkflow, Vec<Fault>> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    json::check(text).map_err(|fault| vec![Fault::new("json_invalid", fault.path, fault.kind.to_string())])?;
    let definition =
        serde_json::from_slice(text).map_err(|error| vec![Fault::new("json_invalid", "", error.to_string())])?;
    checked(definition)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        serde_json::from_str(include_str!("../assets/workflows/brief-to-plan.json")).unwrap()
    }

    fn shown(mut definition: Value, revision: u64) -> Value {
        definition["revision"] = json!(revision);
        for name in TOLD {
            definition[name] = json!("told");
        }
        definition
    }

    #[test]
    fn what_was_shown_is_what_was_written() {
        assert!(is_same(&example(), &shown(example(), 7)));
        let mut changed = shown(example(), 7);
        changed["name"] = json!("Another");
        assert!(!is_same(&example(), &changed));
        assert!(is_same(&json!([1]), &json!([1])) && !is_same(&json!([1]), &json!({})));
    }

    #[test]
    fn what_is_stored_is_the_definition_alone() {
        let new = checked(shown(example(), 7)).unwrap();
        assert_eq!((new.workflow_id.as_str(), new.step_count), ("brief-to-plan", 3));
        assert_eq!(new.definition["revision"], 7);
        assert!(TOLD.iter().all(|name| new.definition[name].is_null()));
    }

    #[test]
    fn a_file_that_would_not_be_kept_as_it_is_written_is_refused_with_the_place() {
        let text = example().to_string();
        for (more, path) in [("\"limits\": {\"x\": 1e-999}", "limits.x"), ("\"name\": \"a\", \"name\": \"b\"", "name")]
        {
            let faults = checked_text(format!("{{{more}, {}", &text[1..]).as_bytes()).unwrap_err();
            assert_eq!((faults.len(), faults[0].path.as_str()), (1, path), "{faults:?}");
        }
    }

    #[test]
    fn a_file_is_json_with_or_without_a_mark_at_its_start() {
        let text = example().to_string();
        assert!(checked_text(text.as_bytes()).is_ok() && checked_text(format!("\u{feff}{text}").as_bytes()).is_ok());
        for text in [&b"{"[..], b"", b"\xff\xfe"] {
            let faults = checked_text(text).unwrap_err();
            assert_eq!((faults.len(), faults[0].code.as_str()), (1, "json_invalid"));
        }
    }
}
