//! `ade exec start` and `ade exec follow`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::follow::{Ending, Session};
use super::resource::PATH;
use crate::cli::client::ApiClient;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::follow::Target;
use crate::cli::output::print_line;
use crate::cli::service::{Service, attach, attach_or_start};
use crate::cli::signals::Signals;
use crate::cli::workflows::Place;
use crate::config::Settings;
use crate::domain::ExecutionId;
use crate::domain::status::ExecutionStatus;

#[derive(Debug, Args)]
pub struct StartArgs {
    /// Id of the workflow.
    workflow: String,
    /// What it is for, such as `project:42`.
    #[arg(long, value_name = "TYPE:ID", value_parser = Scope::parse)]
    scope: Scope,
    /// A JSON object: for each document type its content.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Follow it to its end, and answer its questions. Without a running service, one is started for the duration.
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub scope_type: String,
    pub scope_id: String,
}

impl Scope {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
                Ok(Self { scope_type: kind.to_owned(), scope_id: id.to_owned() })
            }
            _ => Err("a type and an id are expected, as project:42".to_owned()),
        }
    }
}

pub async fn start(arguments: &StartArgs, settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    // Before anything is started: the likeliest mistake is in the file.
    let input = arguments.input.as_deref().map(read_object).transpose()?;
    if !arguments.follow {
        let client = attach(&settings, server).await.map_err(CommandError::failed)?;
        let id = create(&client, arguments, input).await?;
        print_line(&id.to_string());
        return Ok(Exit::Succeeded);
    }
    with_service(settings, server, async |client| {
        let id = create(client, arguments, input).await?;
        print_line(&format!("execution {id}"));
        Ok(id)
    })
    .await
}

pub async fn follow(execution: ExecutionId, settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    with_service(settings, server, async |_| Ok(execution)).await
}

/// Follows the execution that `find` returns, on a service that is started if none is running.
async fn with_service(
    settings: Settings,
    server: Option<&str>,
    find: impl AsyncFnOnce(&ApiClient) -> Result<ExecutionId, CommandError>,
) -> Result<Exit, CommandError> {
    // From here on an interrupt does not just end this process, which may have a service to end first.
    let mut signals = Signals::new().map_err(CommandError::failed)?;
    let service = attach_or_start(settings, server).await.map_err(CommandError::failed)?;
    let client = service.client();
    let ending = match find(&client).await {
        Ok(id) => followed(client, id, &service, &mut signals).await,
        Err(error) => Err(error),
    };
    // An interrupt does not wait for work to end.
    service.close(!matches!(ending, Ok(Ending::Interrupted))).await;
    Ok(match ending? {
        Ending::Over(status) => Exit::of_success(status == ExecutionStatus::Completed),
        Ending::Waiting => Exit::Waiting,
        Ending::Interrupted => Exit::Interrupted,
    })
}

async fn followed(
    client: ApiClient,
    id: ExecutionId,
    service: &Service,
    signals: &mut Signals,
) -> Result<Ending, CommandError> {
    let target = Target::of_execution(id);
    let ending = Session::new(client, target).follow(signals).await.map_err(CommandError::failed)?;
    let what_then = match (ending, service.is_embedded()) {
        (Ending::Over(_), _) => return Ok(ending),
        (_, false) => format!("it continues; `ade exec follow {id}` reattaches, `ade exec cancel {id}` ends it"),
        (_, true) => {
            format!("it continues when a service runs on the data directory: `ade serve`, or `ade exec follow {id}`")
        }
    };
    print_line(&what_then);
    Ok(ending)
}

async fn create(
    client: &ApiClient,
    arguments: &StartArgs,
    input: Option<Map<String, Value>>,
) -> Result<ExecutionId, CommandError> {
    let Scope { scope_type, scope_id } = &arguments.scope;
    let mut body = json!({"workflow_id": arguments.workflow, "scope_type": scope_type, "scope_id": scope_id});
    if let Some(input) = input {
        body["input"] = input.into();
    }
    if let Some(workspace_id) = arguments.place.workspace_id(client).await? {
        body["workspace_id"] = workspace_id.into();
    }
    let created = client.post(PATH, &body).await.map_err(CommandError::failed)?;
    let id = created["execution_id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| CommandError::failed("the service's answer has no execution id"))
}

/// A file with a JSON object.
pub fn read_object(path: &Path) -> Result<Map<String, Value>, CommandError> {
    let wrong = |reason: &dyn std::fmt::Display| CommandError::Usage(format!("{}: {reason}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    serde_json::from_slice(text).map_err(|error| wrong(&format_args!("a JSON object is expected: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_type_and_an_id() {
        let scope = |kind: &str, id: &str| Ok(Scope { scope_type: kind.to_owned(), scope_id: id.to_owned() });
        assert_eq!(Scope::parse("project:42"), scope("project", "42"));
        assert_eq!(Scope::parse("team:a:b/c"), scope("team", "a:b/c"));
        for text in ["", "project", "project:", ":42"] {
            assert!(Scope::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_input_is_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.json");
        for (text, is_good) in [(r#"{"brief": 1}"#, true), ("\u{feff}{}", true), ("[]", false), ("{", false)] {
            std::fs::write(&path, text).unwrap();
            let result = read_object(&path);
            assert_eq!(result.is_ok(), is_good, "{text}");
            assert!(result.is_ok_and(|_| true) || read_object(&path).unwrap_err().exit() == Exit::Usage);
        }
        assert!(read_object(&folder.path().join("nothing")).is_err());
    }
}
