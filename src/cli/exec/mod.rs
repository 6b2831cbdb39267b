//! `ade exec`: workflow executions, started, shown, answered and cancelled.

mod answer;
mod dialogue;
mod follow;
mod input;
mod lines;
mod report;
mod resource;
mod start;
mod typed;

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::{ApiClient, percent_encoded};
use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::service::attach;
use super::workflows::Place;
use crate::config::Settings;
use crate::domain::ExecutionId;
use crate::domain::status::ExecutionStatus;
use crate::domain::text::printable;
use crate::telemetry;

pub use lines::{line_of, phase_of};
pub use report::table;
use resource::{PATH, pending};

#[derive(Debug, Subcommand)]
pub enum ExecCommand {
    /// Start an execution of a workflow.
    Start(start::StartArgs),
    /// Follow an execution to its end, and answer its questions.
    Follow { execution: ExecutionId },
    /// Answer the questions of a step.
    Answer(answer::AnswerArgs),
    /// Accept or reject the document of a step.
    Accept(answer::AcceptArgs),
    /// A page of executions, the newest first.
    List(ListArgs),
    /// An execution, its steps, and the input it is waiting for.
    Show {
        execution: ExecutionId,
        /// Print the service's answers as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Cancel an execution.
    Cancel {
        execution: ExecutionId,
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that have not ended.
    #[arg(long)]
    active: bool,
    /// Only of this workflow.
    #[arg(long, value_name = "ID")]
    workflow: Option<String>,
    /// Only of this status.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(ExecutionStatus::WORDS))]
    status: Option<String>,
    /// Only of this scope.
    #[arg(long, value_name = "TYPE:ID", value_parser = start::Scope::parse)]
    scope: Option<start::Scope>,
    #[arg(long, value_name = "N", default_value_t = 1)]
    page: u64,
    #[command(flatten)]
    place: Place,
    /// Print the service's answer as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn exec(command: &ExecCommand, settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    match command {
        ExecCommand::Start(arguments) => return start::start(arguments, settings, server).await,
        ExecCommand::Follow { execution } => return start::follow(*execution, settings, server).await,
        _ => {}
    }
    let client = attach(&settings, server).await.map_err(CommandError::failed)?;
    match command {
        ExecCommand::Start(_) | ExecCommand::Follow { .. } => {}
        ExecCommand::Answer(arguments) => answer::answer(&client, arguments).await?,
        ExecCommand::Accept(arguments) => answer::accept(&client, arguments).await?,
        ExecCommand::List(arguments) => list(&client, arguments).await?,
        ExecCommand::Show { execution, json } => show(&client, *execution, *json).await?,
        ExecCommand::Cancel { execution, reason } => cancel(&client, *execution, reason.as_deref()).await?,
    }
    Ok(Exit::Succeeded)
}

async fn list(client: &ApiClient, arguments: &ListArgs) -> Result<(), CommandError> {
    let workspace_id = arguments.place.workspace_id(client).await?;
    let scope = arguments.scope.as_ref();
    let asked = [
        ("active", arguments.active.then_some("true")),
        ("workflow_id", arguments.workflow.as_deref()),
        ("status", arguments.status.as_deref()),
        ("scope_type", scope.map(|scope| scope.scope_type.as_str())),
        ("scope_id", scope.map(|scope| scope.scope_id.as_str())),
        ("workspace_id", workspace_id.as_deref()),
    ];
    let filters = asked.iter().filter_map(|(name, value)| Some(format!("&{name}={}", percent_encoded((*value)?))));
    let path = format!("{PATH}?page={}{}", arguments.page, filters.collect::<String>());
    let page = client.get(&path).await.map_err(CommandError::failed)?;
    if arguments.json {
        print_line(&page.to_string());
        return Ok(());
    }
    print_line(&report::list(&page));
    let (number, of) = (&page["page"], page["pageCount"].as_u64().unwrap_or(1));
    if of > 1 {
        print_line(&format!("page {number} of {of}, {} executions", page["total"]));
    }
    Ok(())
}

async fn show(client: &ApiClient, execution: ExecutionId, as_json: bool) -> Result<(), CommandError> {
    let get = async |path: String| client.get(&path).await.map_err(CommandError::failed);
    let mut resource = get(format!("{PATH}/{execution}")).await?;
    let steps = get(format!("{PATH}/{execution}/steps")).await?;
    if as_json {
        resource["steps"] = steps;
        print_line(&format!("{resource:#}"));
        return Ok(());
    }
    print_line(&report::list(&json!({ "items": [resource] })));
    let failure = &resource["failure"];
    if failure.is_object() {
        let text = |key: &str| failure[key].as_str().unwrap_or_default();
        print_line(&printable(&format!("{}: {}", text("code"), text("message"))));
    }
    print_line(&report::steps(&steps));
    let id = execution.to_string();
    pending(&resource)?.iter().flat_map(|pending| report::asked(&id, pending)).for_each(|line| print_line(&line));
    Ok(())
}

async fn cancel(client: &ApiClient, execution: ExecutionId, reason: Option<&str>) -> Result<(), CommandError> {
    let path = format!("{PATH}/{execution}/cancel");
    let answer = client.post(&path, &json!({ "reason": reason })).await.map_err(CommandError::failed)?;
    let is_over = answer["status"] == ExecutionStatus::Cancelled.as_str();
    print_line(&format!("{execution} {}", if is_over { "is cancelled" } else { "is being cancelled" }));
    Ok(())
}
