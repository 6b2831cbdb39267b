//! `ade workflows`: definitions, listed, shown, checked and stored.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::Value;

use super::client::{ApiClient, ClientError, percent_encoded};
use super::exit::{CommandError, Exit};
use super::output::{print_error, print_line};
use super::service::attach;
use crate::config::{Settings, SettingsError};
use crate::domain::text::printable;
use crate::telemetry;
use crate::workflow::Fault;
use crate::workflow::written::{checked_text, is_same};

const PATH: &str = "/api/v1/workflows";

#[derive(Debug, Subcommand)]
pub enum WorkflowsCommand {
    /// All of a workspace.
    List {
        #[command(flatten)]
        place: Place,
        /// Print the service's answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// A definition, as JSON.
    Show {
        workflow: String,
        #[command(flatten)]
        place: Place,
    },
    /// Store a definition: a new workflow, or the next revision of one.
    Put {
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Check definitions and report everything that is wrong with them; needs no service.
    Validate {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Where workflows and executions belong.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// Slug, id or name of the workspace; the default one when left out.
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
}

impl Place {
    /// The id of the workspace that is named.
    pub async fn workspace_id(&self, client: &ApiClient) -> Result<Option<String>, CommandError> {
        let Some(name) = &self.workspace else { return Ok(None) };
        let found = client.workspace(name).await.map_err(CommandError::failed)?;
        let id = found.and_then(|workspace| workspace["id"].as_str().map(str::to_owned));
        id.map(Some).ok_or_else(|| CommandError::failed(format!("there is no workspace {name}")))
    }
}

/// An object's id for a query, if there is one.
fn query(workspace_id: Option<&str>) -> String {
    workspace_id.map(|id| format!("?workspace_id={}", percent_encoded(id))).unwrap_or_default()
}

pub async fn workflows(
    command: &WorkflowsCommand,
    settings: impl FnOnce() -> Result<Settings, SettingsError>,
    server: Option<&str>,
) -> Result<Exit, CommandError> {
    let place = match command {
        WorkflowsCommand::Validate { files } => return Ok(validate(files)),
        WorkflowsCommand::List { place, .. }
        | WorkflowsCommand::Show { place, .. }
        | WorkflowsCommand::Put { place, .. } => place,
    };
    let settings = settings()?;
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    let client = attach(&settings, server).await.map_err(CommandError::failed)?;
    let workspace_id = place.workspace_id(&client).await?;
    let place = query(workspace_id.as_deref());
    match command {
        WorkflowsCommand::List { json, .. } => list(&client, &place, *json).await,
        WorkflowsCommand::Show { workflow, .. } => show(&client, &place, workflow).await,
        WorkflowsCommand::Put { file, .. } => return put(&client, &place, file).await,
        WorkflowsCommand::Validate { files } => return Ok(validate(files)),
    }
    .map_err(CommandError::failed)?;
    Ok(Exit::Succeeded)
}

async fn list(client: &ApiClient, place: &str, as_json: bool) -> Result<(), ClientError> {
    let answer = client.get(&format!("{PATH}{place}")).await?;
    print_line(&if as_json { answer.to_string() } else { to_table(&answer) });
    Ok(())
}

fn to_table(answer: &Value) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["workflow", "revision", "steps", "name"]);
    for workflow in answer["workflows"].as_array().into_iter().flatten() {
        let text = |key: &str| printable(workflow[key].as_str().unwrap_or_default());
        let number = |key: &str| workflow[key].to_string();
        table.add_row([text("workflow_id"), number("revision"), number("step_count"), text("name")]);
    }
    table.to_string()
}

async fn show(client: &ApiClient, place: &str, workflow: &str) -> Result<(), ClientError> {
    let definition = client.get(&format!("{PATH}/{}{place}", percent_encoded(workflow))).await?;
    print_line(&format!("{definition:#}"));
    Ok(())
}

/// What became of a definition that was sent.
#[derive(Debug, PartialEq)]
enum Put {
    Created,
    Replaced,
    Same,
    /// Another client created or changed the workflow after it was read.
    Lost,
}

async fn put(client: &ApiClient, place: &str, file: &Path) -> Result<Exit, CommandError> {
    let text = std::fs::read(file).map_err(|error| CommandError::Usage(format!("{}: {error}", file.display())))?;
    let new = match checked_text(&text) {
        Ok(new) => new,
        Err(faults) => {
            report(file, &faults);
            return Ok(Exit::Failed);
        }
    };
    let stored = store(client, place, &new.workflow_id, &new.definition).await;
    let (put, revision) = stored.map_err(CommandError::failed)?;
    let id = &new.workflow_id;
    match put {
        Put::Created => print_line(&format!("{id} stored at revision {revision}")),
        Put::Replaced => print_line(&format!("{id} replaced, now at revision {revision}")),
        Put::Same => print_line(&format!("{id} is the same already, at revision {revision}")),
        Put::Lost => {
            print_error(&format!(
                "{id} was changed by another client in the meantime and is left unchanged; check it and retry"
            ));
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Succeeded)
}

async fn store(client: &ApiClient, place: &str, id: &str, definition: &Value) -> Result<(Put, u64), ClientError> {
    let path = format!("{PATH}/{id}{place}");
    let (put, answer) = match client.get(&path).await {
        Ok(stored) if is_same(&stored, definition) => (Put::Same, Ok(stored)),
        Ok(stored) => (Put::Replaced, client.put(&path, &format!("\"{}\"", stored["revision"]), definition).await),
        Err(error) if error.has_status(404) => (Put::Created, client.post(&format!("{PATH}{place}"), definition).await),
        Err(error) => return Err(error),
    };
    match answer {
        Ok(stored) => Ok((put, stored["revision"].as_u64().unwrap_or_default())),
        Err(error) if [404, 409, 412].into_iter().any(|status| error.has_status(status)) => Ok((Put::Lost, 0)),
        Err(error) => Err(error),
    }
}

fn validate(files: &[PathBuf]) -> Exit {
    let mut all_are_good = true;
    for file in files {
        let text = std::fs::read(file).map_err(|error| vec![Fault::new("unreadable", "", error.to_string())]);
        match text.and_then(|text| checked_text(&text)) {
            Ok(new) => print_line(&format!("{}: {}, {} steps", file.display(), new.workflow_id, new.step_count)),
            Err(faults) => {
                all_are_good = false;
                report(file, &faults);
            }
        }
    }
    Exit::of_success(all_are_good)
}

fn report(file: &Path, faults: &[Fault]) {
    faults.iter().for_each(|fault| print_error(&format!("{}: {}", file.display(), printable(&fault.to_string()))));
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
    use serde_json::json;

    use super::*;

    /// A service that shows revision 1, and on which another client is always faster.
    fn contested() -> ApiClient {
        let answer = |request: HttpRequest| async move {
            match request.method().as_str() {
                "GET" => HttpResponse::Ok().json(json!({"workflow_id": "plan", "revision": 1})),
                "PUT" if request.headers().get("if-match").is_some_and(|tag| tag == "\"1\"") => {
                    HttpResponse::PreconditionFailed().json(json!({"code": "precondition_failed", "detail": "changed"}))
                }
                _ => HttpResponse::BadRequest().finish(),
            }
        };
        let server = HttpServer::new(move || App::new().default_service(web::to(answer))).workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        actix_rt::spawn(server.run());
        ApiClient::new(&url, None)
    }

    #[actix_web::test]
    async fn a_lost_race_is_reported_as_such() {
        let stored = store(&contested(), "", "plan", &json!({"workflow_id": "plan", "name": "New"})).await;
        assert_eq!(stored.unwrap(), (Put::Lost, 0));
        let same = store(&contested(), "", "plan", &json!({"workflow_id": "plan"})).await;
        assert_eq!(same.unwrap(), (Put::Same, 1));
    }

    #[test]
    fn a_list_is_a_table() {
        let workflow = json!({"workflow_id": "plan", "name": "A \u{1b}[31mplan", "revision": 2, "step_count": 3});
        let table = to_table(&json!({"workflows": [workflow], "total": 1}));
        let cells: Vec<_> =
            table.lines().nth(3).unwrap().split('┆').map(|cell| cell.trim_matches(['│', ' '])).collect();
        assert_eq!(cells, ["plan", "2", "3", "A plan"]);
    }
}
