//! `ade exec answer` and `ade exec accept`: what a person says, from the command line.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::dialogue::{name, questions};
use super::follow::path;
use super::resource::{PATH, pending};
use super::start::read_object;
use super::typed;
use crate::cli::client::ApiClient;
use crate::cli::exit::CommandError;
use crate::cli::follow::Target;
use crate::cli::output::print_line;
use crate::domain::progress::{Pending, PendingKind};
use crate::domain::{ClarificationId, ExecutionId};

#[derive(Debug, Args)]
pub struct AnswerArgs {
    execution: ExecutionId,
    /// The step that asks.
    step: String,
    /// An answer by the question's id, as one would type it; may be given several times.
    #[arg(long = "answer", value_name = "ID=TEXT", value_parser = by_id, required_unless_present = "file")]
    answers: Vec<(String, String)>,
    /// A JSON object: for each question's id the value. What --answer says wins.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The item, of a step that runs once for each.
    #[arg(long, value_name = "KEY")]
    item: Option<String>,
    /// Answer only if this is what is asked.
    #[arg(long, value_name = "ID")]
    clarification: Option<ClarificationId>,
}

#[derive(Debug, Args)]
pub struct AcceptArgs {
    execution: ExecutionId,
    /// The step whose document it is.
    step: String,
    /// Reject it: the step retries, with the comment.
    #[arg(long)]
    reject: bool,
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// The item, of a step that runs once for each.
    #[arg(long, value_name = "KEY")]
    item: Option<String>,
}

/// Why nothing can be sent to the step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NothingToAnswer {
    #[error("{step} is not waiting for this; `ade exec show` lists what an execution is waiting for")]
    NotAsked { step: String },
    #[error("{step} is waiting for several: name one with --item ({})", items.join(", "))]
    WhichItem { step: String, items: Vec<String> },
    #[error("{id}: {why}")]
    Answer { id: String, why: String },
}

fn by_id(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((id, text)) if !id.trim().is_empty() => Ok((id.trim().to_owned(), text.to_owned())),
        _ => Err("a question's id and a text are expected, as Q_1=yes".to_owned()),
    }
}

pub async fn answer(client: &ApiClient, arguments: &AnswerArgs) -> Result<(), CommandError> {
    let mut answers = arguments.file.as_deref().map(read_object).transpose()?.unwrap_or_default();
    let resource = client.get(&format!("{PATH}/{}", arguments.execution)).await.map_err(CommandError::failed)?;
    let open = pending(&resource)?;
    let found = pick(&open, PendingKind::Clarification, &arguments.step, arguments.item.as_deref());
    let mut item = arguments.item.clone();
    let mut clarification_id = arguments.clarification;
    match found {
        Ok(asked) => {
            answers.extend(typed_answers(asked, &arguments.answers).map_err(CommandError::failed)?);
            item = asked.item.clone();
            clarification_id = clarification_id.or(asked.clarification_id);
        }
        // The service decides whether the values only repeat an earlier answer.
        Err(NothingToAnswer::NotAsked { .. }) if arguments.answers.is_empty() => {}
        Err(error) => return Err(CommandError::failed(error)),
    }
    let body = json!({"answers": answers, "item": item, "clarification_id": clarification_id});
    post(client, arguments.execution, PendingKind::Clarification, &arguments.step, &body).await
}

pub async fn accept(client: &ApiClient, arguments: &AcceptArgs) -> Result<(), CommandError> {
    let resource = client.get(&format!("{PATH}/{}", arguments.execution)).await.map_err(CommandError::failed)?;
    let open = pending(&resource)?;
    let item = match pick(&open, PendingKind::Acceptance, &arguments.step, arguments.item.as_deref()) {
        Ok(asked) => asked.item.clone(),
        // The service decides whether this repeats an earlier decision.
        Err(NothingToAnswer::NotAsked { .. }) => arguments.item.clone(),
        Err(error) => return Err(CommandError::failed(error)),
    };
    let body = json!({"accepted": !arguments.reject, "comment": arguments.comment, "item": item});
    post(client, arguments.execution, PendingKind::Acceptance, &arguments.step, &body).await
}

async fn post(
    client: &ApiClient,
    execution: ExecutionId,
    kind: PendingKind,
    step: &str,
    body: &Value,
) -> Result<(), CommandError> {
    let path = path(&Target::of_execution(execution), kind, step);
    client.post(&path, body).await.map_err(CommandError::failed)?;
    print_line(&format!("{step} of {execution} has its answer"));
    Ok(())
}

/// The one thing that is meant.
fn pick<'a>(
    open: &'a [Pending],
    kind: PendingKind,
    step: &str,
    item: Option<&str>,
) -> Result<&'a Pending, NothingToAnswer> {
    let is_meant = |pending: &&Pending| {
        pending.kind == kind && pending.step_id == step && item.is_none_or(|item| pending.item.as_deref() == Some(item))
    };
    let meant: Vec<_> = open.iter().filter(is_meant).collect();
    match *meant {
        [one] => Ok(one),
        [] => Err(NothingToAnswer::NotAsked { step: step.to_owned() }),
        _ => {
            let items = meant.iter().filter_map(|pending| pending.item.clone()).collect();
            Err(NothingToAnswer::WhichItem { step: step.to_owned(), items })
        }
    }
}

/// The values of what was typed, by the types of the questions.
fn typed_answers(asked: &Pending, said: &[(String, String)]) -> Result<Map<String, Value>, NothingToAnswer> {
    let mut answers = Map::new();
    for (id, text) in said {
        let wrong = |why: String| NothingToAnswer::Answer { id: id.clone(), why };
        let known = questions(asked).iter().find(|question| question.id == *id);
        let question = known.ok_or_else(|| wrong(format!("{} does not ask this", name(asked))))?;
        if let Some(value) = typed::answer(question, text).map_err(wrong)? {
            answers.insert(id.clone(), value);
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::tests::clarification;
    use super::*;

    fn of_item(item: &str) -> Pending {
        Pending { item: Some(item.to_owned()), ..clarification() }
    }

    #[test]
    fn the_one_thing_that_is_meant_is_found() {
        let kind = PendingKind::Clarification;
        let (one, two) = ([clarification()], [of_item("a"), of_item("b")]);
        assert_eq!(pick(&one, kind, "requirements", None), Ok(&one[0]));
        assert_eq!(pick(&two, kind, "requirements", Some("b")), Ok(&two[1]));
        assert_eq!(pick(&two[..1], kind, "requirements", None), Ok(&two[0]), "the only item");
        let none = Err(NothingToAnswer::NotAsked { step: "requirements".to_owned() });
        assert_eq!(pick(&two, kind, "requirements", Some("c")), none);
        assert_eq!(pick(&one, PendingKind::Acceptance, "requirements", None), none);
        let many = pick(&two, kind, "requirements", None).unwrap_err().to_string();
        assert!(many.ends_with("name one with --item (a, b)"), "{many}");
    }

    #[test]
    fn answers_are_typed_by_their_questions() {
        let said = |id: &str, text: &str| typed_answers(&clarification(), &[(id.to_owned(), text.to_owned())]);
        assert_eq!(Value::from(said("Q_2", "later").unwrap()), json!({"Q_2": "l"}));
        assert_eq!(Value::from(said("Q_3", "").unwrap()), json!({"Q_3": 3}), "nothing is the default");
        assert_eq!(said("Q_3", "many").unwrap_err().to_string(), "Q_3: a number is expected");
        assert_eq!(said("Q_4", "x").unwrap_err().to_string(), "Q_4: requirements does not ask this");
    }

    #[test]
    fn an_answer_is_an_id_and_a_text() {
        assert_eq!(by_id("Q_1=a=b "), Ok(("Q_1".to_owned(), "a=b ".to_owned())));
        assert!(by_id("Q_1").is_err() && by_id("=x").is_err());
    }
}
