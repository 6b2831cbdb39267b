//! Definitions of workflows for tests.

use serde_json::{Map, Value, json};

/// The workflow that comes with the service.
pub fn example() -> Value {
    serde_json::from_str(include_str!("../../../src/assets/workflows/brief-to-plan.json")).unwrap()
}

/// A step that writes the document type of its own name; `task` is the text of its task, with the directives of the
/// builtin provider in it.
pub fn step(id: &str, inputs: &[&str], task: &str) -> Value {
    json!({
        "step_id": id, "name": id, "role": "writer", "task_prompt": task, "inputs": inputs, "output": id,
        "output_schema": "text", "provider": "builtin", "model": "builtin-small",
    })
}

/// A step with other members than usual.
pub fn with(mut step: Value, members: Value) -> Value {
    step.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    step
}

/// A step whose model is on a server that speaks chat completions.
pub fn by_server(step: Value) -> Value {
    with(step, json!({"provider": "openai", "model": "gpt-4.1-mini"}))
}

/// A definition with these steps, the last of which is final.
pub fn workflow(workflow_id: &str, steps: &[Value]) -> Value {
    limited(workflow_id, &json!({}), steps)
}

pub fn limited(workflow_id: &str, limits: &Value, steps: &[Value]) -> Value {
    let mut steps = steps.to_vec();
    let mut tasks = Map::new();
    for step in &mut steps {
        let id = step["step_id"].as_str().unwrap().to_owned();
        tasks.insert(id.clone(), step["task_prompt"].take());
        step["task_prompt"] = json!(id);
    }
    steps.last_mut().unwrap()["is_final"] = json!(true);
    json!({
        "schema_version": "workflow.v1", "workflow_id": workflow_id, "name": workflow_id, "limits": limits,
        "prompts": {"roles": {"writer": "You write what you are asked for."}, "tasks": tasks},
        "schemas": {"text": {
            "type": "object", "required": ["title", "text"], "additionalProperties": false,
            "properties": {
                "title": {"type": "string", "minLength": 1, "maxLength": 200}, "text": {"type": "string", "minLength": 1},
            },
        }},
        "steps": steps,
    })
}

/// A question set with one question that wants a text.
pub fn question_set(text: &str) -> Value {
    json!({
        "schema_version": "clarification_question_set.v1", "mode": "questions_only",
        "correlation_id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "question_set_kind": "other",
        "questions": [{
            "id": "Q_1", "text": text, "intent": "To know it", "priority": "must", "answer_type": "free_text",
            "required": true,
        }],
        "qa": {
            "non_question_line_count": 0, "declarative_sentence_count": 0, "answer_leadin_count": 0,
            "all_questions_end_with_qmark": true,
        },
    })
}

/// An answer to each of these questions, of the type that it wants.
pub fn answers_to(questions: &Value) -> Value {
    let answer = |question: &Value| match question["answer_type"].as_str().unwrap() {
        "single_choice" => question["choices"][0]["value"].clone(),
        "multi_choice" => json!([question["choices"][0]["value"]]),
        "yes_no" => json!(true),
        "number" => json!(7),
        "date" => json!("2026-11-21"),
        "uuid" => json!("3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        "json_object" => json!({"a": [1]}),
        _ => json!("everybody in the house"),
    };
    let questions = questions.as_array().unwrap().iter();
    questions
        .map(|question| (question["id"].as_str().unwrap().to_owned(), answer(question)))
        .collect::<Map<_, _>>()
        .into()
}
